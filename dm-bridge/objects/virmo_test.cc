// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/objects/virmo.h"

#include "dm-bridge/objects/request_id.h"
#include "dm-bridge/testing/fake_device.h"
#include "dm-bridge/testing/test_tree.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime/resource_name.h"

namespace virmo::dm_bridge {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kRoot[] = "./VirMO/VMs/3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10";
constexpr char kOtherVm[] = "7d1e103b-8a51-4c51-9d3c-3c0a2f7d1e10";

v1::PolicyStatus MakePolicy() {
  v1::PolicyStatus status;
  status.set_etag("e1");
  status.mutable_policy()->set_virtual_machine(kVmName);
  status.mutable_policy()->set_version(1);
  v1::Allocation& memory = *status.mutable_policy()->add_allocations();
  memory.set_kind(v1::RESOURCE_KIND_MEMORY);
  memory.set_virtual_quantity(256);
  memory.set_reservation(256);
  v1::Allocation& cpu = *status.mutable_policy()->add_allocations();
  cpu.set_kind(v1::RESOURCE_KIND_PROCESSOR);
  cpu.set_virtual_quantity(2);
  cpu.set_weight(200);
  return status;
}

class VirmoTest : public ::testing::Test {
 protected:
  VirmoTest()
      : database_(OpenTestDatabase(folder_)),
        acls_(*AclStore::Open(*database_)),
        settings_(*database_),
        provisions_(*database_),
        transfers_(*database_),
        tree_(*acls_) {
    const std::string address = absl::StrCat("unix:", folder_ / "d.sock");
    device_ = std::make_unique<FakeDevice>(address);
    const auto channel = grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
    device_->controller.Put(MakeMachine(kVm, "work", v1::VirtualMachine::STATE_RUNNING));
    device_->policies.Put(MakePolicy());
    view_ = std::make_unique<DeviceView>(
        channel, channel,
        DeviceView::Callbacks{.on_service = [](const std::string&, const absl::Status&) {},
                              .on_operation =
                                  [this](const v1::OperationEvent& event) {
                                    EXPECT_TRUE(provisions_.OnOperation(event).ok());
                                  }});
    tree_.Mount(MakeVirmoObject(*view_, settings_, provisions_, transfers_));
    EXPECT_TRUE(Eventually(
        [&] { return Get("./VirMO/VMs") != "!503" && Get(Of("Lock/State")) != "!503"; }));
  }
  ~VirmoTest() override { view_.reset(); }

  static std::string Of(const std::string& leaf) { return absl::StrCat(kRoot, "/", leaf); }
  static std::string Code(const absl::Status& status) {
    return status.ok() ? "200"
                       : absl::StrCat(syncml::ToText(DmStatusOf(status)), " ", DmTextOf(status));
  }
  std::string Get(const std::string& uri) {
    const auto values = tree_.Get(TestTree::Request(uri));
    if (values.ok()) return values->front().value.value_or("");
    return absl::StrCat("!", syncml::ToText(DmStatusOf(values.status())));
  }
  std::string Replace(const std::string& uri, const std::string& data) {
    return Code(tree_.Replace(TestTree::Request(uri, data)));
  }
  std::string Add(const std::string& uri, const std::string& data) {
    return Code(tree_.Add(TestTree::Request(uri, data)));
  }
  std::string Exec(const std::string& uri, const std::string& argument = "",
                   const std::string& correlator = "c1") {
    NodeRequest request = TestTree::Request(uri, argument);
    request.correlator = correlator;
    request.command_key = absl::StrCat("key", ++key_);
    const auto outcome = tree_.Exec(request);
    if (outcome.ok()) return *outcome == ExecOutcome::kAccepted ? "202" : "200";
    return Code(outcome.status());
  }
  void GivenProvisionRequest() {
    ASSERT_EQ(Add("./VirMO/Provision/p/PkgID", "pkg-7"), "200");
    ASSERT_EQ(Add("./VirMO/Provision/p/VMID", kOtherVm), "200");
    ASSERT_EQ(Add("./VirMO/Provision/p/Name", "new"), "200");
    ASSERT_EQ(Add("./VirMO/Provision/p/PkgURL", "https://images.example/a.qcow2"), "200");
    ASSERT_EQ(Add("./VirMO/Provision/p/PkgType", "application/x-qcow2"), "200");
    ASSERT_EQ(Add("./VirMO/Provision/p/Digest", "sha-256:" + std::string(64, 'A')), "200");
    ASSERT_EQ(Add("./VirMO/Provision/p/Resources/RAM/Size", "512"), "200");
    ASSERT_EQ(Add("./VirMO/Provision/p/AutoStart", "true"), "200");
  }

  TempFolder folder_;
  std::unique_ptr<Database> database_;
  std::unique_ptr<AclStore> acls_;
  SettingsStore settings_;
  ProvisionStore provisions_;
  TransferStore transfers_;
  Tree tree_;
  std::unique_ptr<FakeDevice> device_;
  std::unique_ptr<DeviceView> view_;
  int key_ = 0;
};

TEST_F(VirmoTest, ShowsTheHostAndWhatItCanDo) {
  EXPECT_EQ(Get("./VirMO?prop=Type"), "urn:oma:mo:oma-virmo:1.0");
  EXPECT_EQ(Get("./VirMO/Host/HypervisorType"), "20");
  EXPECT_EQ(Get("./VirMO/Host/MgmtVM"), "!404");
  EXPECT_EQ(Get("./VirMO/Host/Resources/RAM/Total"), "8192");
  EXPECT_EQ(Get("./VirMO/Host/Resources/RAM/Reserved"), "512");
  EXPECT_EQ(Get("./VirMO/Host/Resources/RAM/Free"), "6680");
  EXPECT_EQ(Get("./VirMO/Host/Capabilities"), "Suspend");
  EXPECT_EQ(Get("./VirMO/Host/Capabilities/Suspend"), "true");
  EXPECT_EQ(Get("./VirMO/Host/Capabilities/Fly"), "!404");
}

TEST_F(VirmoTest, ShowsAVirtualMachineAsTheServicesTellIt) {
  EXPECT_EQ(Get("./VirMO/VMs"), kVm);
  EXPECT_EQ(Get(Of("ID")), kVm);
  EXPECT_EQ(Get(Of("Name")), "work");
  EXPECT_EQ(Get(Of("State")), "30");
  EXPECT_EQ(Get(Of("Role")), "10");
  EXPECT_EQ(Get(Of("Owner")), "virmo-server");
  EXPECT_EQ(Get(Of("Resources/RAM/Size")), "256");
  EXPECT_EQ(Get(Of("Resources/RAM/Used")), "256");
  EXPECT_EQ(Get(Of("Resources/RAM/Max")), "4096");
  EXPECT_EQ(Get(Of("Resources/CPU/Count")), "2");
  EXPECT_EQ(Get(Of("Resources/CPU/Shares")), "200");
  EXPECT_EQ(Get(Of("Lock/State")), "30");
  EXPECT_EQ(Get(Of("Lock/Mode")), "20");
  EXPECT_EQ(Get(Of("Lock/LockedBy")), "!404");
  EXPECT_EQ(Get(Of("LastOperation")), "!404");
  EXPECT_EQ(Get(Of("Lock/UserUnlock/Allowed")), "false");
  EXPECT_EQ(Get(Of("Lock/UserUnlock/MaxAttempts")), "5");
  EXPECT_EQ(Get(Of("Lock/KeyEscrow")), "!404");
  EXPECT_EQ(Get("./VirMO/VMs/no-such-machine/State"), "!404");
}

TEST_F(VirmoTest, ASuspendedMachineUsesNoMemory) {
  device_->controller.Put(MakeMachine(kVm, "work", v1::VirtualMachine::STATE_SUSPENDED));
  EXPECT_TRUE(Eventually([&] { return Get(Of("State")) == "60"; }));
  EXPECT_EQ(Get(Of("Resources/RAM/Used")), "0");
}

TEST_F(VirmoTest, AMachineWithoutAPolicyRecordCountsAsLocked) {
  device_->controller.Put(MakeMachine(kOtherVm, "lost", v1::VirtualMachine::STATE_STOPPED));
  const std::string lock = absl::StrCat("./VirMO/VMs/", kOtherVm, "/Lock");
  EXPECT_TRUE(Eventually([&] { return Get(lock + "/State") == "10"; }));
  EXPECT_EQ(Get(lock + "/LockedBy"), "policy-engine");
}

TEST_F(VirmoTest, OneThatIsBeingMadeIsNotShown) {
  device_->controller.Put(MakeMachine(kOtherVm, "new", v1::VirtualMachine::STATE_PROVISIONING));
  device_->controller.Put(MakeMachine(kVm, "seen", v1::VirtualMachine::STATE_RUNNING));
  EXPECT_TRUE(Eventually([&] { return Get(Of("Name")) == "seen"; }));
  EXPECT_EQ(Get("./VirMO/VMs"), kVm);
  EXPECT_EQ(Get(absl::StrCat("./VirMO/VMs/", kOtherVm, "/State")), "!404");
}

TEST_F(VirmoTest, WithAServiceAwayItsNodesAnswer503AndNeverAnOldValue) {
  device_.reset();
  EXPECT_TRUE(Eventually([&] { return Get(Of("State")) == "!503"; }));
  EXPECT_TRUE(Eventually([&] { return Get(Of("Lock/State")) == "!503"; }));
  EXPECT_EQ(Get("./VirMO/Host/HypervisorName"), "!503");
  EXPECT_THAT(Exec(Of("Operations/Start")), HasSubstr("503"));
  EXPECT_EQ(Get("./VirMO/Config/StopTimeout"), "60");
}

TEST_F(VirmoTest, ExecBeginsAnOperationWithItsInitiator) {
  EXPECT_EQ(Exec(Of("Operations/Start")), "202");
  EXPECT_THAT(device_->controller.log(),
              ElementsAre(absl::StrCat("Start ", kVmName, " ", Of("Operations/Start"), " c1")));
  device_->controller.AnswerDone();
  EXPECT_EQ(Exec(Of("Operations/Start"), "", "c2"), "200");
}

TEST_F(VirmoTest, TheSameCommandAgainIsTheSameOperation) {
  EXPECT_EQ(Exec(Of("Operations/Start")), "202");
  EXPECT_EQ(Exec(Of("Operations/Start")), "202");
  EXPECT_EQ(device_->controller.log().size(), 1u);
  EXPECT_EQ(Exec(Of("Operations/Start"), "", "c2"), "202");
  EXPECT_EQ(Exec(Of("Operations/Start"), "", ""), "202");
  EXPECT_EQ(Exec(Of("Operations/Start"), "", ""), "202");
  EXPECT_EQ(device_->controller.log().size(), 4u);
}

TEST_F(VirmoTest, ARefusalCarriesStatusResultCodeAndText) {
  device_->controller.AnswerError(
      Error(v1::ErrorInfo::REASON_WRONG_STATE, "cannot start a suspended virtual machine"));
  EXPECT_EQ(Exec(Of("Operations/Start")), "403 1419 cannot start a suspended virtual machine");
  device_->controller.AnswerError(Error(v1::ErrorInfo::REASON_BUSY, "operations/7 runs"));
  EXPECT_EQ(Exec(Of("Operations/Stop")), "417 1432 operations/7 runs");
  device_->controller.AnswerError(Error(v1::ErrorInfo::REASON_NOT_SUPPORTED, "no clone here"));
  EXPECT_EQ(Exec(Of("Operations/Clone")), "406 1411 no clone here");
  device_->controller.AnswerError(
      Error(v1::ErrorInfo::REASON_INSUFFICIENT_RESOURCES, "256 MiB, 100 free"));
  EXPECT_EQ(Exec(Of("Operations/Start")), "420 1422 256 MiB, 100 free");
  EXPECT_THAT(Exec("./VirMO/VMs/none/Operations/Start"), HasSubstr("404"));
}

TEST_F(VirmoTest, ArgumentsAreHandedOnAndWrongOnesAnswer412) {
  ASSERT_EQ(Replace("./VirMO/Config/StopTimeout", "7"), "200");
  EXPECT_EQ(Exec(Of("Operations/Stop"), "graceful"), "202");
  EXPECT_EQ(device_->controller.last_stop().timeout().seconds(), 7);
  EXPECT_EQ(Exec(Of("Operations/Stop"), "force"), "202");
  EXPECT_TRUE(device_->controller.last_stop().force());
  EXPECT_EQ(Exec(Of("Operations/Clone"), "twin"), "202");
  EXPECT_THAT(device_->controller.log().back(), HasSubstr("Clone(twin)"));
  EXPECT_EQ(Exec(Of("Operations/Delete"), "force"), "202");
  EXPECT_THAT(Exec(Of("Operations/Stop"), "gently"), HasSubstr("412"));
  EXPECT_THAT(Exec(Of("Operations/Start"), "now"), HasSubstr("412"));
  EXPECT_THAT(Replace("./VirMO/Config/StopTimeout", "0"), HasSubstr("403"));
}

TEST_F(VirmoTest, LockGoesToThePolicyEngineAndIsReadBack) {
  ASSERT_EQ(Replace(Of("Lock/Mode"), "30"), "200");
  EXPECT_EQ(Get(Of("Lock/Mode")), "30");
  EXPECT_THAT(Replace(Of("Lock/Mode"), "15"), HasSubstr("400"));
  EXPECT_EQ(Exec(Of("Operations/Lock"), "lost phone"), "202");
  ASSERT_EQ(device_->policies.locks().size(), 1u);
  EXPECT_EQ(device_->policies.locks()[0].reason(), "lost phone");
  EXPECT_EQ(device_->policies.locks()[0].initiator().server_id(), "srv");
  EXPECT_EQ(Get(Of("Lock/State")), "10");
}

TEST_F(VirmoTest, TheGrantToTheUserIsWrittenLeafByLeafAndItsSecretIsNeverRead) {
  const std::string grant = Of("Lock/UserUnlock/");
  EXPECT_EQ(Replace(grant + "Allowed", "true"), "200");
  EXPECT_EQ(Replace(grant + "Method", "20"), "200");
  EXPECT_EQ(Replace(grant + "Secret", "271828"), "200");
  EXPECT_EQ(Replace(grant + "ValidUntil", "20300101T120000Z"), "200");
  EXPECT_EQ(Replace(grant + "MaxAttempts", "3"), "200");
  EXPECT_EQ(Replace(grant + "OneTime", "true"), "200");
  EXPECT_EQ(Replace(grant + "WipeAfter", "10"), "200");

  EXPECT_EQ(Get(grant + "Allowed"), "true");
  EXPECT_EQ(Get(grant + "Method"), "20");
  EXPECT_EQ(Get(grant + "Secret"), "!405");
  EXPECT_EQ(Get(grant + "ValidUntil"), "20300101T120000Z");
  EXPECT_EQ(Get(grant + "MaxAttempts"), "3");
  EXPECT_EQ(Get(grant + "OneTime"), "true");
  EXPECT_EQ(Get(grant + "WipeAfter"), "10");
  EXPECT_THAT(device_->policies.secrets(), testing::ElementsAre("271828"));
  EXPECT_EQ(Replace(grant + "ValidUntil", ""), "200");
  EXPECT_EQ(Get(grant + "ValidUntil"), "");
  EXPECT_THAT(Replace(grant + "Method", "30"), HasSubstr("400"));
  EXPECT_THAT(Replace(grant + "ValidUntil", "tomorrow"), HasSubstr("400"));
  EXPECT_THAT(Replace(grant + "Attempts", "0"), HasSubstr("405"));
}

TEST_F(VirmoTest, AWriteIsSeenByTheNextGetThoughTheStreamLagsBehind) {
  EXPECT_EQ(Replace(Of("Name"), "play"), "200");
  EXPECT_EQ(Get(Of("Name")), "play");
  EXPECT_EQ(Replace(Of("AutoStart"), "true"), "200");
  EXPECT_EQ(Get(Of("AutoStart")), "true");
  // Once for each message, not once for ever.
  v1::VirtualMachine vm = MakeMachine(kVm, "again", v1::VirtualMachine::STATE_RUNNING);
  device_->controller.Put(vm, /*quietly=*/true);
  EXPECT_EQ(Get(Of("Name")), "play");
  view_->OnCommands();
  EXPECT_EQ(Get(Of("Name")), "again");
}

TEST_F(VirmoTest, AllocationsAreChangedFieldByField) {
  EXPECT_EQ(Replace(Of("Resources/RAM/Size"), "512"), "200");
  EXPECT_EQ(Get(Of("Resources/RAM/Size")), "512");
  EXPECT_EQ(Replace(Of("Resources/CPU/Limit"), "150"), "200");
  const auto sets = device_->policies.set_allocations();
  ASSERT_EQ(sets.size(), 2u);
  EXPECT_EQ(sets[0].etag(), "e1");
  EXPECT_EQ(sets[0].allocations(0).reservation(), 0);  // It was all of it, and stays all of it.
  EXPECT_EQ(sets[1].allocations(0).virtual_quantity(), 2);
  EXPECT_EQ(sets[1].allocations(0).weight(), 200);
  EXPECT_EQ(sets[1].allocations(0).limit(), 150);
  EXPECT_THAT(Replace(Of("Resources/RAM/Size"), "8192"), HasSubstr("403 1423"));
  EXPECT_THAT(Replace(Of("Resources/RAM/Size"), "much"), HasSubstr("400"));
  EXPECT_THAT(Replace(Of("Resources/CPU/Shares"), "10001"), HasSubstr("403"));
  EXPECT_THAT(Replace(Of("Resources/Storage/Size"), "1"), HasSubstr("405"));
}

TEST_F(VirmoTest, VirtualMachinesAreNeitherAddedNorDeletedAsNodes) {
  EXPECT_THAT(Add(absl::StrCat("./VirMO/VMs/", kOtherVm), ""), HasSubstr("405"));
  EXPECT_EQ(DmStatusOf(tree_.Delete(TestTree::Request(kRoot))),
            syncml::StatusCode::kCommandNotAllowed);
}

TEST_F(VirmoTest, AProvisioningRequestIsMadeCarriedOutAndFollowed) {
  GivenProvisionRequest();
  EXPECT_EQ(Get("./VirMO/Provision/p/Status"), "10");
  EXPECT_EQ(Get("./VirMO/Provision/p/VMRef"), "!404");

  EXPECT_EQ(Exec("./VirMO/Provision/p/Operations/DownloadProvision"), "202");

  const v1::CreateVirtualMachineRequest request = device_->controller.last_create();
  EXPECT_EQ(request.virtual_machine_id(), kOtherVm);
  EXPECT_EQ(request.virtual_machine().display_name(), "new");
  EXPECT_EQ(request.virtual_machine().allocations(0).virtual_quantity(), 512);
  EXPECT_EQ(request.package().package_id(), "pkg-7");
  EXPECT_EQ(request.package().sha256(), std::string(64, 'a'));
  EXPECT_TRUE(request.start());
  EXPECT_EQ(Get("./VirMO/Provision/p/Status"), "30");
  EXPECT_EQ(DmStatusOf(tree_.Delete(TestTree::Request("./VirMO/Provision/p"))),
            syncml::StatusCode::kForbidden);
  EXPECT_THAT(Exec("./VirMO/Provision/p/Operations/DownloadProvision", "", "other"),
              HasSubstr("417 1432"));

  device_->controller.Finish(request.request_id(), 1200);
  EXPECT_TRUE(Eventually([&] { return Get("./VirMO/Provision/p/Status") == "80"; }));
  EXPECT_EQ(Get("./VirMO/Provision/p/Progress"), "100");
  EXPECT_EQ(Get("./VirMO/Provision/p/VMRef"), absl::StrCat("./VirMO/VMs/", kOtherVm));
  EXPECT_EQ(Exec("./VirMO/Provision/p/Operations/DownloadProvision"), "200");
  EXPECT_THAT(Exec("./VirMO/Provision/p/Operations/DownloadProvision", "", "other"),
              HasSubstr("403 1419"));
  EXPECT_EQ(device_->controller.log().size(), 1u);
  EXPECT_TRUE(tree_.Delete(TestTree::Request("./VirMO/Provision/p")).ok());
  EXPECT_EQ(Get("./VirMO/Provision"), "");
}

TEST_F(VirmoTest, AProvisioningRequestThatIsIncompleteAnswers412NamingWhatIsMissing) {
  ASSERT_EQ(Add("./VirMO/Provision/q/PkgURL", "https://images.example/a"), "200");
  EXPECT_THAT(Exec("./VirMO/Provision/q/Operations/DownloadProvision"), HasSubstr("412 PkgType"));
  ASSERT_EQ(Add("./VirMO/Provision/q/PkgType", "application/x-qcow2"), "200");
  ASSERT_EQ(Add("./VirMO/Provision/q/Digest", "md5:00"), "200");
  EXPECT_THAT(Exec("./VirMO/Provision/q/Operations/DownloadProvision"), HasSubstr("412 Digest"));
  EXPECT_THAT(device_->controller.log(), IsEmpty());
  EXPECT_EQ(Get("./VirMO/Provision/q/Status"), "10");
}

TEST_F(VirmoTest, ARefusedProvisioningRequestIsAsBefore) {
  GivenProvisionRequest();
  device_->controller.AnswerError(Error(v1::ErrorInfo::REASON_ALREADY_EXISTS, "the id is taken"));
  EXPECT_EQ(Exec("./VirMO/Provision/p/Operations/DownloadProvision"), "418 1400 the id is taken");
  EXPECT_EQ(Get("./VirMO/Provision/p/Status"), "10");
}

TEST_F(VirmoTest, AFailedDownloadIsToldApartFromAFailedProvisioning) {
  GivenProvisionRequest();
  ASSERT_EQ(Exec("./VirMO/Provision/p/Operations/DownloadProvision"), "202");
  device_->controller.Finish(device_->controller.request_ids().back(), 1407);
  EXPECT_TRUE(Eventually([&] { return Get("./VirMO/Provision/p/Status") == "20"; }));
  ASSERT_EQ(Exec("./VirMO/Provision/p/Operations/DownloadProvision", "", "again"), "202");
  device_->controller.Finish(device_->controller.request_ids().back(), 1405);
  EXPECT_TRUE(Eventually([&] { return Get("./VirMO/Provision/p/Status") == "70"; }));
}

TEST_F(VirmoTest, ACallThatNeverArrivedLeavesTheRequestIdle) {
  GivenProvisionRequest();
  ASSERT_TRUE(provisions_
                  .SetRecord("p", {.status = ProvisionStatus::kDownloadProgressing,
                                   .operation = "00000000-0000-4000-8000-000000000001"})
                  .ok());
  EXPECT_EQ(Get("./VirMO/Provision/p/Status"), "10");
}

TEST_F(VirmoTest, ProvisioningRequestsAreBoundedAndTheOldestThatEndedGoesFirst) {
  for (int i = 0; i < ProvisionStore::kMaxRequests; ++i) {
    ASSERT_TRUE(provisions_.Create(absl::StrCat("r", i)).ok());
  }
  EXPECT_THAT(Add("./VirMO/Provision/more/PkgID", "x"), HasSubstr("420 1422"));
  ASSERT_TRUE(provisions_.SetRecord("r7", {.status = ProvisionStatus::kProvisioned}).ok());
  EXPECT_EQ(Add("./VirMO/Provision/more/PkgID", "x"), "200");
  EXPECT_EQ(Get("./VirMO/Provision/r7"), "!404");
}

TEST_F(VirmoTest, ATransferIsMadeCarriedOutAndFollowed) {
  const std::string node = "./VirMO/Transfers/t/";
  ASSERT_EQ(Add(node + "From", kVm), "200");
  EXPECT_THAT(Exec(node + "Operations/Execute"), StartsWith("412 "));
  EXPECT_THAT(Add(node + "To", "nobody"), StartsWith("400 "));
  ASSERT_EQ(Add(node + "To", kOtherVm), "200");
  ASSERT_EQ(Add(node + "RAM", "128"), "200");
  EXPECT_EQ(Get(node + "Status"), "10");
  EXPECT_EQ(Get(node + "NetIn"), "!404");

  EXPECT_EQ(Exec(node + "Operations/Execute"), "202");
  EXPECT_EQ(Get(node + "Status"), "20");
  EXPECT_EQ(Exec(node + "Operations/Execute"), "202");  // The same command again.
  EXPECT_THAT(Exec(node + "Operations/Execute", "", "c2"), StartsWith("403 "));
  EXPECT_THAT(Replace(node + "RAM", "256"), StartsWith("403 "));
  EXPECT_THAT(Code(tree_.Delete(TestTree::Request("./VirMO/Transfers/t"))), StartsWith("403 "));

  const v1::TransferResourcesRequest sent = device_->policies.transfers().front();
  EXPECT_EQ(sent.transfer().from(), VirtualMachineName(kVm));
  EXPECT_EQ(sent.transfer().to(), VirtualMachineName(kOtherVm));
  EXPECT_EQ(sent.transfer().memory_mib(), 128);
  EXPECT_EQ(sent.initiator().uri(), node + "Operations/Execute");
  google::longrunning::Operation ended;
  ended.set_name(absl::StrCat("operations/", sent.request_id()));
  ended.set_done(true);
  device_->controller.PutOperation(ended);
  EXPECT_EQ(Get(node + "Status"), "30");
  EXPECT_EQ(Code(tree_.Delete(TestTree::Request("./VirMO/Transfers/t"))), "200");
}

TEST_F(VirmoTest, ARefusedTransferMayBeMendedAndTriedAgain) {
  const std::string node = "./VirMO/Transfers/t/";
  ASSERT_EQ(Add(node + "From", kVm), "200");
  ASSERT_EQ(Add(node + "To", kOtherVm), "200");
  ASSERT_EQ(Add(node + "RAM", "2000"), "200");
  EXPECT_THAT(Exec(node + "Operations/Execute"), StartsWith("420 1422"));
  EXPECT_EQ(Get(node + "Status"), "10");
  ASSERT_EQ(Replace(node + "RAM", "100"), "200");
  EXPECT_EQ(Exec(node + "Operations/Execute"), "202");
}

TEST(RequestIdTest, DependsOnServerUriCorrelatorAndArgument) {
  const Call call{.server_id = "s",
                  .uri = "./A",
                  .names = {},
                  .value = "v",
                  .correlator = "c",
                  .command_key = "k"};
  Call same = call;
  same.command_key = "other";
  EXPECT_EQ(RequestIdOf(call), RequestIdOf(same));
  for (std::string Call::*field : {&Call::server_id, &Call::uri, &Call::value, &Call::correlator}) {
    Call other = call;
    other.*field = "x";
    EXPECT_NE(RequestIdOf(call), RequestIdOf(other));
  }
  Call uncorrelated = call;
  uncorrelated.correlator = "";
  same.correlator = "";
  EXPECT_NE(RequestIdOf(uncorrelated), RequestIdOf(same));
}

TEST_F(VirmoTest, EachClassOfPeripheralsIsAnInstanceOfDcmo) {
  EXPECT_EQ(Get(Of("Peripherals/Bluetooth/Property")), "Bluetooth");
  EXPECT_EQ(Get(Of("Peripherals/Bluetooth/Group")), "Connectivity");
  EXPECT_EQ(Get(Of("Peripherals/Bluetooth/Attached")), "false");
  EXPECT_EQ(Get(Of("Peripherals/Bluetooth/Enabled")), "false") << "default deny";
  EXPECT_EQ(Get(Of("Peripherals/Toaster/Enabled")), "!404");

  EXPECT_EQ(Exec(Of("Peripherals/Bluetooth/Operations/Enable")), "202");
  const auto requests = device_->policies.peripherals();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(requests[0].rule().peripheral_class(), v1::PERIPHERAL_CLASS_BLUETOOTH);
  EXPECT_TRUE(requests[0].rule().enabled());
  EXPECT_EQ(Get(Of("Peripherals/Bluetooth/Enabled")), "true");

  EXPECT_EQ(Replace(Of("Peripherals/Bluetooth/DCMOConfig/DenyUserEnable"), "true"), "200");
  EXPECT_EQ(Replace(Of("Peripherals/Bluetooth/Exclusive"), "true"), "200");
  const v1::PeripheralRule rule = device_->policies.peripherals().back().rule();
  EXPECT_TRUE(rule.enabled() && rule.deny_user_enable() && rule.exclusive());
  EXPECT_EQ(Exec(Of("Peripherals/Bluetooth/Operations/Disable")), "202");
  EXPECT_EQ(Get(Of("Peripherals/Bluetooth/Enabled")), "false");
}

}  // namespace
}  // namespace virmo::dm_bridge
