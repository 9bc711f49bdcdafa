// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/policy_engine_fixture.h"
#include "services/runtime/peripheral_class.h"

namespace virmo::policy_engine {
namespace {

class PeripheralsTest : public PolicyEngineFixture {
 protected:
  static v1::SetPeripheralRequest Request(const std::string& id, v1::PeripheralClass kind,
                                          bool enabled) {
    v1::SetPeripheralRequest request;
    request.set_virtual_machine(Name(id));
    request.set_request_id(NewUuid());
    request.mutable_rule()->set_peripheral_class(kind);
    request.mutable_rule()->set_enabled(enabled);
    request.mutable_initiator()->set_server_id("enterprise");
    return request;
  }
  Operation Set(const v1::SetPeripheralRequest& request) {
    auto operation = engine_->peripherals.Set(request);
    EXPECT_TRUE(operation.ok()) << operation.status();
    return operation.value_or(Operation());
  }
  void ReportItem(const std::string& id, v1::PeripheralClass kind, Outcome::Outcome outcome) {
    v1::ReportAppliedRequest report;
    report.set_virtual_machine(Name(id));
    report.set_policy_version(Policy(id).policy().version());
    v1::AppliedItem& item = *report.add_items();
    item.set_item(PeripheralItem(kind));
    item.set_outcome(outcome);
    item.set_detail("said by the controller");
    ASSERT_TRUE(engine_->enforcement.Report(report).ok());
  }
};

TEST_F(PeripheralsTest, AClassIsGivenWhenTheControllerReportsIt) {
  const std::string id = GivenVm();
  const int64_t before = Policy(id).policy().version();
  const Operation operation = Set(Request(id, v1::PERIPHERAL_CLASS_GPS, true));
  EXPECT_FALSE(operation.done());
  EXPECT_GT(Policy(id).policy().version(), before);
  ASSERT_EQ(Policy(id).policy().peripherals_size(), 1);
  EXPECT_TRUE(Policy(id).policy().peripherals(0).enabled());

  ReportItem(id, v1::PERIPHERAL_CLASS_BLUETOOTH, Outcome::OUTCOME_APPLIED);
  EXPECT_FALSE(Get(operation).done()) << "another class says nothing about this one";
  ReportItem(id, v1::PERIPHERAL_CLASS_GPS, Outcome::OUTCOME_FAILED);
  EXPECT_FALSE(Get(operation).done()) << "the controller goes on trying";
  ReportItem(id, v1::PERIPHERAL_CLASS_GPS, Outcome::OUTCOME_APPLIED);
  EXPECT_TRUE(Get(operation).done());
  EXPECT_TRUE(Get(operation).has_response());
  const auto alerts = emitter_.WaitFor(1);
  ASSERT_EQ(alerts.size(), 1u);
  EXPECT_EQ(alerts[0].event(), "PeripheralEnable");
  EXPECT_EQ(alerts[0].result_code(), 1200);
}

TEST_F(PeripheralsTest, WhatTheHostCannotGiveFailsAndWhatItCannotTakeIsTaken) {
  const std::string id = GivenVm();
  const Operation give = Set(Request(id, v1::PERIPHERAL_CLASS_DISPLAY, true));
  ReportItem(id, v1::PERIPHERAL_CLASS_DISPLAY, Outcome::OUTCOME_NOT_ENFORCEABLE);
  EXPECT_EQ(ReasonOfEnd(Get(give)), v1::ErrorInfo::REASON_NOT_ENFORCEABLE);
  const Operation take = Set(Request(id, v1::PERIPHERAL_CLASS_DISPLAY, false));
  ReportItem(id, v1::PERIPHERAL_CLASS_DISPLAY, Outcome::OUTCOME_NOT_ENFORCEABLE);
  EXPECT_TRUE(Get(take).has_response());
}

TEST_F(PeripheralsTest, ALockedVirtualMachineIsGivenNothingButTakenFrom) {
  const std::string id = GivenVm();
  Lock(id);
  EXPECT_EQ(
      ReasonOf(engine_->peripherals.Set(Request(id, v1::PERIPHERAL_CLASS_NFC, true)).status()),
      v1::ErrorInfo::REASON_VM_LOCKED);
  EXPECT_TRUE(engine_->peripherals.Set(Request(id, v1::PERIPHERAL_CLASS_NFC, false)).ok());
}

TEST_F(PeripheralsTest, ALaterDecisionOnTheSameClassEndsTheEarlierOne) {
  const std::string id = GivenVm();
  const Operation gps = Set(Request(id, v1::PERIPHERAL_CLASS_GPS, true));
  const Operation nfc = Set(Request(id, v1::PERIPHERAL_CLASS_NFC, true));
  Set(Request(id, v1::PERIPHERAL_CLASS_GPS, false));
  EXPECT_EQ(ReasonOfEnd(Get(gps)), v1::ErrorInfo::REASON_CANCELLED);
  EXPECT_FALSE(Get(nfc).done());
}

TEST_F(PeripheralsTest, ARepeatedRequestIsAnsweredAsTheFirst) {
  const std::string id = GivenVm();
  const v1::SetPeripheralRequest request = Request(id, v1::PERIPHERAL_CLASS_GPS, true);
  const Operation first = Set(request);
  const int64_t version = Policy(id).policy().version();
  Reopen();
  EXPECT_EQ(Set(request).name(), first.name());
  EXPECT_EQ(Policy(id).policy().version(), version);
}

TEST_F(PeripheralsTest, AnUnreportedDecisionFailsInTimeAndStands) {
  const std::string id = GivenVm();
  const Operation operation = Set(Request(id, v1::PERIPHERAL_CLASS_GPS, true));
  ahead_ = absl::Hours(1);
  engine_->enforcement.EndOverdue();
  EXPECT_EQ(ReasonOfEnd(Get(operation)), v1::ErrorInfo::REASON_PERIPHERAL_FAILED);
  EXPECT_TRUE(Policy(id).policy().peripherals(0).enabled());
}

TEST_F(PeripheralsTest, MalformedRulesAreRefused) {
  const std::string id = GivenVm();
  const auto refused = [&](const v1::SetPeripheralRequest& request) {
    return absl::IsInvalidArgument(engine_->peripherals.Set(request).status());
  };
  EXPECT_TRUE(refused(Request(id, v1::PERIPHERAL_CLASS_UNSPECIFIED, true)));
  for (const char* exception :
       {"", "1d6b", "1d6b:", "1D6B:0104", "1d6b:0104:", "1d6b-0104", "1d6b:01045"}) {
    v1::SetPeripheralRequest request = Request(id, v1::PERIPHERAL_CLASS_USB_STORAGE, true);
    request.mutable_rule()->add_exceptions(exception);
    EXPECT_TRUE(refused(request)) << exception;
  }
  v1::SetPeripheralRequest good = Request(id, v1::PERIPHERAL_CLASS_USB_STORAGE, true);
  good.mutable_rule()->add_exceptions("1d6b:0104:VIRMO0001");
  good.mutable_rule()->set_deny_user_enable(true);
  EXPECT_FALSE(refused(good));
  EXPECT_TRUE(Policy(id).policy().peripherals(0).deny_user_enable());
}

}  // namespace
}  // namespace virmo::policy_engine
