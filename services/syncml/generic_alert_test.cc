// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/generic_alert.h"

#include <gtest/gtest.h>

#include "services/syncml/codec.h"

namespace virmo::syncml {
namespace {

OperationResult Sample() {
  return {.result_code = 1200,
          .identifier = "3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10",
          .state = 30,
          .lock_state = 30,
          .alert_id = "a1",
          .time = "20250101T120000Z",
          .detail = "<b> & \"c\"\r\n"};
}

TEST(OperationResultTest, ReadsWhatItWrites) {
  const auto parsed = ParseOperationResult(FormatOperationResult(Sample()));
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(*parsed, Sample());
}

TEST(OperationResultTest, WritesTheElementsOfTheProfile) {
  OperationResult result = Sample();
  result.detail.clear();
  EXPECT_EQ(FormatOperationResult(result),
            "<OpResult><ResultCode>1200</ResultCode>"
            "<Identifier>3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10</Identifier><State>30</State>"
            "<LockState>30</LockState><AlertID>a1</AlertID><Time>20250101T120000Z</Time>"
            "</OpResult>");
}

TEST(OperationResultTest, TakesABareNumberAsOtherObjectsSend) {
  const auto parsed = ParseOperationResult(" 1405\n");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->result_code, 1405);
  EXPECT_EQ(parsed->identifier, "");
}

TEST(OperationResultTest, TakesWhiteSpacePrefixesAndUnknownElements) {
  const auto parsed = ParseOperationResult(
      "\n<x:OpResult xmlns:x='urn:x'>\n <x:Extra><x:State>99</x:State></x:Extra>"
      "<x:ResultCode> 1426 </x:ResultCode></x:OpResult>");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->result_code, 1426);
  EXPECT_EQ(parsed->state, 0);
}

TEST(OperationResultTest, RefusesWhatHasNoReadableResult) {
  for (const char* data :
       {"", "soon", "-5", "<OpResult/>", "<Other><ResultCode>1200</ResultCode></Other>",
        "<OpResult><ResultCode>many</ResultCode></OpResult>", "<OpResult><ResultCode>1200",
        "<!DOCTYPE OpResult><OpResult><ResultCode>1200</ResultCode></OpResult>"}) {
    EXPECT_EQ(ParseOperationResult(data).status().code(), absl::StatusCode::kInvalidArgument)
        << data;
  }
}

TEST(GenericAlertTest, SurvivesTheWireInBothEncodings) {
  const GenericAlert alert = {.source_uri = "./VirMO/VMs/v1/Operations/Start",
                              .type = "urn:oma:at:virmo:1.0:Start",
                              .format = "xml",
                              .mark = "informational",
                              .data = FormatOperationResult(Sample()),
                              .correlator = "c7"};
  Message message;
  message.body = {MakeGenericAlert("2", alert)};
  for (const Encoding encoding : {Encoding::kXml, Encoding::kWbxml}) {
    const auto decoded = Decode(Encode(message, encoding), encoding);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    const auto alerts = GenericAlertsOf(decoded->body.at(0));
    ASSERT_EQ(alerts.size(), 1U);
    EXPECT_EQ(alerts[0], alert);
  }
}

TEST(GenericAlertTest, OtherAlertsHaveNone) {
  EXPECT_TRUE(GenericAlertsOf(MakeAlert("1", AlertCode::kServerInitiated)).empty());
}

TEST(GenericAlertTest, TypeIsStrippedOfItsKnownPrefixes) {
  EXPECT_EQ(AlertType(" Reversed-Domain-Name: org.example.update "), "org.example.update");
  EXPECT_EQ(AlertType("content-type:text/plain"), "text/plain");
  EXPECT_EQ(AlertType("urn:oma:at:virmo:1.0:Start"), "urn:oma:at:virmo:1.0:Start");
}

}  // namespace
}  // namespace virmo::syncml
