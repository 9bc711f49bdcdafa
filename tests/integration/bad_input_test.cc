// SPDX-License-Identifier: Apache-2.0
// Rubbish from outside, against all real processes on libvirt's test driver: the right code, a text
// that names the cause, and nothing left behind.

#include <curl/curl.h>

#include <cstring>
#include <fstream>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/uuid.h"
#include "tests/support/stack.h"

namespace virmo {
namespace {

using testing_support::Await;
using testing_support::Stack;
using v1::Command;
using v1::VirtualMachine;

struct HttpAnswer {
  int64_t status = 0;
  std::string body;
};

size_t AppendTo(char* data, size_t size, size_t count, void* body) {
  static_cast<std::string*>(body)->append(data, size * count);
  return size * count;
}

HttpAnswer Post(const std::string& url, const std::string& body,
                const std::string& type = "application/vnd.syncml.dm+xml") {
  HttpAnswer answer;
  CURL* curl = curl_easy_init();
  curl_slist* headers = curl_slist_append(nullptr, ("Content-Type: " + type).c_str());
  headers = curl_slist_append(headers, "Expect:");
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));  // NOLINT
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, AppendTo);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, 10L);
  curl_easy_perform(curl);
  long status = 0;  // NOLINT(google-runtime-int): libcurl's own type.
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  answer.status = status;
  curl_slist_free_all(headers);
  curl_easy_cleanup(curl);
  return answer;
}

class BadInputTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    stack_ = new Stack({.hypervisor_uri = "test:///default", .extra_configuration = {}});
    stack_->StartAll();
    image_ = stack_->Upload(testing_support::GuestImage(), "guest");
    work_ = stack_->Do(Provision("work")).virtual_machine_id();
  }

  static void TearDownTestSuite() {
    delete stack_;
    stack_ = nullptr;
  }

  static v1::Action Provision(const std::string& name) {
    v1::Action action;
    action.mutable_provision()->set_image("images/guest");
    action.mutable_provision()->set_display_name(name);
    action.mutable_provision()->set_memory_mib(64);
    return action;
  }

  static v1::Action ProvisionFrom(const std::string& uri, const std::string& sha256) {
    v1::Action action;
    action.mutable_provision()->set_uri(uri);
    action.mutable_provision()->set_media_type("application/x-qcow2");
    action.mutable_provision()->set_sha256(sha256);
    action.mutable_provision()->set_display_name("never");
    action.mutable_provision()->set_memory_mib(64);
    return action;
  }

  static std::string ServerUrl() { return image_.uri().substr(0, image_.uri().find("/images/")); }

  // The command ends FAILED with this result code and a text that says `cause`; the device has no
  // virtual machine more than before.
  static void ExpectFails(const v1::Action& action, int result_code, const std::string& cause) {
    const size_t before = CountVirtualMachines();
    const Command ended = stack_->AwaitEnd(stack_->Queue(action));
    EXPECT_EQ(ended.state(), Command::STATE_FAILED) << ended.ShortDebugString();
    EXPECT_EQ(ended.result_code(), result_code) << ended.ShortDebugString();
    EXPECT_TRUE(absl::StrContains(ended.detail(), cause)) << ended.detail();
    EXPECT_EQ(CountVirtualMachines(), before);
  }

  static size_t CountVirtualMachines() {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(10));
    v1::ListVirtualMachinesResponse response;
    EXPECT_TRUE(stack_->vms()
                    .ListVirtualMachines(&context, v1::ListVirtualMachinesRequest(), &response)
                    .ok());
    return static_cast<size_t>(response.virtual_machines_size());
  }

  // A Get of one URI; returns the Status that the device answered.
  static int DmStatusOfGet(const std::string& uri) {
    v1::Action action;
    action.mutable_get()->add_uris(uri);
    return stack_->AwaitEnd(stack_->Queue(action)).dm_status();
  }

  static int DmStatusOfReplace(const std::string& uri, const std::string& value,
                               const std::string& format) {
    v1::Action action;
    action.mutable_replace()->set_uri(uri);
    action.mutable_replace()->set_value(value);
    action.mutable_replace()->set_format(format);
    return stack_->AwaitEnd(stack_->Queue(action)).dm_status();
  }

  static Stack* stack_;
  static v1::Image image_;
  static std::string work_;
};

Stack* BadInputTest::stack_ = nullptr;
v1::Image BadInputTest::image_;
std::string BadInputTest::work_;

TEST_F(BadInputTest, WrongDigestIsToldAndLeavesNothing) {
  ExpectFails(ProvisionFrom(image_.uri(), std::string(64, 'a')), 1407, "SHA-256");
}

TEST_F(BadInputTest, UnreachableUrlIsTold) {
  const std::string url =
      absl::StrCat("http://127.0.0.1:", testing_support::FreePort(), "/image.qcow2");
  ExpectFails(ProvisionFrom(url, std::string(64, 'b')), 1501, "127.0.0.1");
}

TEST_F(BadInputTest, MissingPackageIsTold) {
  const std::string nobodys = std::string(64, 'b');
  ExpectFails(ProvisionFrom(ServerUrl() + "/images/sha256/" + nobodys, nobodys), 1402, "404");
}

TEST_F(BadInputTest, TooMuchMemoryIsRefused) {
  v1::Action action = Provision("huge");
  action.mutable_provision()->set_memory_mib(512 << 10);
  const Command ended = stack_->AwaitEnd(stack_->Queue(action));
  EXPECT_EQ(ended.state(), Command::STATE_FAILED) << ended.ShortDebugString();
  EXPECT_TRUE(ended.result_code() == 1422 || ended.result_code() == 1406) << ended.result_code();
}

TEST_F(BadInputTest, DuplicateNameIsRefusedWhenQueued) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(5));
  v1::CreateCommandRequest request;
  request.set_parent(Stack::kDevice);
  *request.mutable_command()->mutable_action() = Provision("work");
  v1::Command command;
  const absl::Status status = FromGrpc(stack_->fleet().CreateCommand(&context, request, &command));
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists) << status;
}

TEST_F(BadInputTest, DuplicateNameAndIdAreRefusedByTheController) {
  v1::CreateVirtualMachineRequest request;
  request.mutable_virtual_machine()->set_display_name("work");
  request.mutable_package()->set_uri(image_.uri());
  request.mutable_package()->set_media_type(image_.media_type());
  request.mutable_package()->set_sha256(image_.sha256());
  for (const std::string& id : {std::string(), work_}) {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(5));
    request.set_request_id(NewUuid());
    request.set_virtual_machine_id(id);
    if (!id.empty()) request.mutable_virtual_machine()->set_display_name("other");
    google::longrunning::Operation operation;
    const absl::Status status =
        FromGrpc(stack_->vms().CreateVirtualMachine(&context, request, &operation));
    EXPECT_EQ(ReasonOf(status), v1::ErrorInfo::REASON_ALREADY_EXISTS) << status;
    EXPECT_EQ(DmStatusOf(ReasonOf(status)), 418);
  }
}

TEST_F(BadInputTest, IllegalTransitionIsRefusedWithItsCode) {
  v1::Action action;
  action.set_virtual_machine(work_);
  action.mutable_suspend();
  const Command ended = stack_->AwaitEnd(stack_->Queue(action));
  EXPECT_EQ(ended.dm_status(), 403);
  EXPECT_EQ(ended.result_code(), 1419) << ended.ShortDebugString();
  EXPECT_EQ(stack_->Vm(work_).state(), VirtualMachine::STATE_STOPPED);
}

TEST_F(BadInputTest, UnknownVirtualMachineIsRefusedWhenQueued) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(5));
  v1::CreateCommandRequest request;
  request.set_parent(Stack::kDevice);
  request.mutable_command()->mutable_action()->set_virtual_machine("nobody");
  request.mutable_command()->mutable_action()->mutable_start();
  v1::Command command;
  const absl::Status status = FromGrpc(stack_->fleet().CreateCommand(&context, request, &command));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
  EXPECT_TRUE(absl::StrContains(std::string(status.message()), "nobody")) << status;
}

TEST_F(BadInputTest, UnknownVirtualMachineIsRefusedByTheController) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(5));
  v1::StartVirtualMachineRequest request;
  request.set_name("virtualMachines/" + NewUuid());
  request.set_request_id(NewUuid());
  google::longrunning::Operation operation;
  const absl::Status status =
      FromGrpc(stack_->vms().StartVirtualMachine(&context, request, &operation));
  EXPECT_EQ(ReasonOf(status), v1::ErrorInfo::REASON_VM_NOT_FOUND) << status;
}

TEST_F(BadInputTest, UnknownNodeIsNotFound) {
  EXPECT_EQ(DmStatusOfGet("./VirMO/NoSuchNode"), 404);
  EXPECT_EQ(DmStatusOfGet("./VirMO/VMs/" + NewUuid() + "/State"), 404);
}

TEST_F(BadInputTest, UnknownVirtualMachineInTheTreeIsNotFound) {
  EXPECT_EQ(DmStatusOfReplace("./VirMO/VMs/" + NewUuid() + "/Name", "x", "chr"), 404);
}

TEST_F(BadInputTest, WrongFormatIsUnsupported) {
  const std::string size = "./VirMO/VMs/" + work_ + "/Resources/RAM/Size";
  EXPECT_EQ(DmStatusOfReplace(size, "true", "bool"), 415);
}

TEST_F(BadInputTest, UnparsableValueIsRefusedWhenQueued) {
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(5));
  v1::CreateCommandRequest request;
  request.set_parent(Stack::kDevice);
  v1::Action::Replace& replace = *request.mutable_command()->mutable_action()->mutable_replace();
  replace.set_uri("./VirMO/VMs/" + work_ + "/Resources/RAM/Size");
  replace.set_value("lots");
  replace.set_format("int");
  v1::Command command;
  const absl::Status status = FromGrpc(stack_->fleet().CreateCommand(&context, request, &command));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_TRUE(absl::StrContains(std::string(status.message()), "lots")) << status;
}

TEST_F(BadInputTest, ReadOnlyNodeIsNotAllowed) {
  EXPECT_EQ(DmStatusOfReplace("./VirMO/VMs/" + work_ + "/State", "30", "int"), 405);
}

TEST_F(BadInputTest, MalformedMessagesAreRefusedAndTheServerGoesOn) {
  const std::string dm = ServerUrl() + "/dm";
  EXPECT_EQ(Post(dm, "this is no message").status, 400);
  EXPECT_EQ(Post(dm, "").status, 400);
  EXPECT_EQ(Post(dm, "<!DOCTYPE SyncML [<!ENTITY a \"aaaa\">]><SyncML>&a;</SyncML>").status, 400);
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += "<Item>";
  EXPECT_EQ(Post(dm, "<SyncML><SyncBody>" + deep).status, 413);
  EXPECT_EQ(Post(dm, "<SyncML>" + std::string(10 << 20, 'x') + "</SyncML>").status, 413);
  EXPECT_EQ(Post(dm, "{}", "application/json").status, 415);
  stack_->AwaitHealthy(Stack::kServer);
}

TEST_F(BadInputTest, WrongSecretIsRefusedAndTold) {
  const std::string path = stack_->Directory() + "/account.textproto";
  std::string account;
  {
    std::ifstream file(path);
    account.assign(std::istreambuf_iterator<char>(file), {});
  }
  const size_t at = account.find("client_secret: \"");
  ASSERT_NE(at, std::string::npos);
  std::string wrong = account;
  wrong.replace(at, strlen("client_secret: \""), "client_secret: \"wrong");
  stack_->Terminate(Stack::kDmBridge);
  std::ofstream(path) << wrong;
  stack_->Start(Stack::kDmBridge);

  EXPECT_TRUE(Await([&] {
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(10), true);
    v1::Session session;
    const absl::Status status =
        FromGrpc(stack_->bridge().RunSession(&context, v1::RunSessionRequest(), &session));
    return ReasonOf(status) == v1::ErrorInfo::REASON_UNAUTHENTICATED;
  })) << "a wrong secret was not refused";

  stack_->Terminate(Stack::kDmBridge);
  std::ofstream(path) << account;
  // Guessing is answered with waits of half a minute and more; a restart forgives.
  stack_->Terminate(Stack::kServer);
  stack_->Start(Stack::kServer);
  stack_->AwaitHealthy(Stack::kServer);
  stack_->Start(Stack::kDmBridge);
  EXPECT_EQ(DmStatusOfGet("./DevInfo/DevId"), 200) << "the right secret no longer works";
}

}  // namespace
}  // namespace virmo
