// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/action_rules.h"

#include <string>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

namespace virmo::server {
namespace {

using ::testing::HasSubstr;

v1::Action Parse(const std::string& text) {
  v1::Action action;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &action)) << text;
  return action;
}

std::string Tree(const std::string& operation, const std::string& mode = "MODE_SEQUENCE") {
  return "tree { mode: " + mode + " operations { " + operation + " } }";
}

TEST(ActionRulesTest, TakesWhatDevicesCanDo) {
  for (const std::string& text :
       {std::string("start {}"), std::string("replace { uri: './A/B' value: '05' format: 'int' }"),
        std::string("set_resources { cpu_limit: 0 }"),
        std::string("transfer { to: 'x' amounts { memory_mib: 1 } }"),
        std::string("grant_user_unlock { }"),
        std::string("grant_user_unlock { grant { allowed: true method: METHOD_NONE } }"),
        Tree("verb: VERB_EXEC uri: './A' value: 'x'"), Tree("verb: VERB_GET uri: './A?list=TNDS'"),
        Tree("verb: VERB_REPLACE uri: './A?prop=ACL' value: 'Get=*'", "MODE_ATOMIC"),
        Tree("verb: VERB_ADD uri: './A' format: 'node'"),
        Tree("verb: VERB_COPY uri: './A' source_uri: './B'", "MODE_ATOMIC")}) {
    EXPECT_TRUE(CheckFields(Parse(text)).ok()) << text << CheckFields(Parse(text));
  }
}

TEST(ActionRulesTest, RefusesWhatNoDeviceCanDo) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "action"},
      {"replace { uri: '/A' value: '1' }", "action.replace.uri"},
      {"replace { uri: './A/../B' value: '1' }", "action.replace.uri"},
      {"replace { uri: './A' value: 'x' format: 'int' }", "no 32-bit number"},
      {"replace { uri: './A' value: 'yes' format: 'bool' }", "`true` or `false`"},
      {"replace { uri: './A' value: '*' format: 'b64' }", "not base64"},
      {"replace { uri: './A' value: '1' format: 'quux' }", "quux"},
      {"replace { uri: './A?list=Struct' value: '1' }", "leaf or a property"},
      {"get { }", "1 to 50"},
      {"set_resources { }", "nothing"},
      {"set_resources { memory_mib: 0 }", "memory_mib"},
      {"set_resources { cpu_shares: 10001 }", "cpu_shares"},
      {"set_peripheral { enabled: true }", "class"},
      {"set_sharing { peer: 'x' direction: DIRECTION_IN }", "channel"},
      {"set_sharing { channel: CHANNEL_ANY direction: DIRECTION_IN }", "peer"},
      {"transfer { to: 'x' }", "nothing"},
      {"transfer { to: 'x' amounts { memory_mib: -1 } }", "amounts"},
      {"grant_user_unlock { grant { allowed: true } }", "method"},
      {"grant_user_unlock { grant { allowed: true method: METHOD_SECRET } }", "secret"},
      {"grant_user_unlock { secret: 'x' }", "secret"},
      {Tree("verb: VERB_EXEC uri: './A'", "MODE_ATOMIC"), "Exec is not allowed in an Atomic"},
      {Tree("verb: VERB_GET uri: './A'", "MODE_ATOMIC"), "Get is not allowed in an Atomic"},
      {Tree("uri: './A'"), "verb"},
      {Tree("verb: VERB_DELETE uri: './A' value: 'x'"), "no value"},
      {Tree("verb: VERB_DELETE uri: '.'"), "root"},
      {Tree("verb: VERB_ADD uri: './A?prop=ACL' value: 'x'"), "?prop="},
      {Tree("verb: VERB_REPLACE uri: './A?list=Struct' value: 'x'"), "?list="},
      {Tree("verb: VERB_COPY uri: './A'"), "source_uri"},
      {"tree { }", "1 to 200"}};
  for (const auto& [text, cause] : cases) {
    const absl::Status status = CheckFields(Parse(text));
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << text << status;
    EXPECT_THAT(std::string(status.message()) + status.ToString(), HasSubstr(cause)) << text;
  }
}

TEST(ActionRulesTest, RefusesWhatIsTooLarge) {
  v1::Action action;
  action.mutable_replace()->set_uri("./A");
  action.mutable_replace()->set_value(std::string((2 << 20) + 1, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(CheckFields(action)));

  v1::Action tree;
  for (int i = 0; i < 3; ++i) {
    auto& operation = *tree.mutable_tree()->add_operations();
    operation.set_verb(v1::Action::Tree::Operation::VERB_ADD);
    operation.set_uri("./A");
    operation.set_value(std::string(1 << 20, 'x'));
  }
  EXPECT_THAT(std::string(CheckFields(tree).message()), HasSubstr("together"));
}

TEST(ActionRulesTest, TakesWhiteSpaceOffUris) {
  v1::Action action = Parse("get { uris: ' ./A\\n' }");
  TrimUris(action);
  EXPECT_EQ(action.get().uris(0), "./A");
}

}  // namespace
}  // namespace virmo::server
