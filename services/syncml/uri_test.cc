// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/uri.h"

#include <gtest/gtest.h>

namespace virmo::syncml {
namespace {

std::string Normalised(absl::string_view uri) {
  const auto parsed = ParseNodeUri(uri);
  return parsed.ok() ? parsed->ToString() : parsed.status().ToString();
}

TEST(NodeUriTest, SpellingsOfOneNodeGiveOneValue) {
  EXPECT_EQ(Normalised("./A/B"), "./A/B");
  EXPECT_EQ(Normalised("A/B"), "./A/B");
  EXPECT_EQ(Normalised("\n ./A/B\t"), "./A/B");
  EXPECT_EQ(Normalised("./%41/%7e%2d"), "./A/~-");
  EXPECT_EQ(Normalised("./a%c3%a9"), "./a%C3%A9");
  EXPECT_EQ(Normalised("./a\xC3\xA9"), "./a%C3%A9");
  EXPECT_EQ(Normalised("."), ".");
}

TEST(NodeUriTest, CaseIsKept) { EXPECT_NE(Normalised("./virmo"), Normalised("./VirMO")); }

TEST(NodeUriTest, SplitsPropertyAndListOff) {
  const auto prop = ParseNodeUri("./VirMO/VMs?prop=ACL");
  ASSERT_TRUE(prop.ok()) << prop.status();
  EXPECT_EQ(prop->query, NodeUri::Query::kProp);
  EXPECT_EQ(prop->argument, "ACL");
  EXPECT_EQ(prop->Path(), "./VirMO/VMs");

  const auto list = ParseNodeUri(".?list=TNDS+ACL+Type");
  ASSERT_TRUE(list.ok()) << list.status();
  EXPECT_TRUE(list->is_root());
  EXPECT_EQ(list->query, NodeUri::Query::kList);
  EXPECT_EQ(list->argument, "TNDS+ACL+Type");
  EXPECT_EQ(list->ToString(), ".?list=TNDS+ACL+Type");
}

TEST(NodeUriTest, EveryPcharStandsForItself) {
  constexpr absl::string_view kUri = "./az09-_.!~*'():@&=+$,";
  EXPECT_EQ(Normalised(kUri), kUri);
}

TEST(NodeUriTest, MalformedUrisAreRefused) {
  for (const char* uri :
       {"",      " ",      "/",       "/A",      "A/",        "./",         "A//B",      "./A/../B",
        "..",    "A/.",    "././A",   "*",       "A/*",       "A B",        "A/%",       "A/%4",
        "A/%GG", "A/%2F",  "A/%00",   "A/%FF",   "A/%2E%2E",  "%2A",        "A/\xFF",    "A<B",
        "A?",    "A?prop", "A?prop=", "A?list=", "A?other=1", "A?Prop=ACL", "?prop=ACL", "A\x01"}) {
    EXPECT_EQ(ParseNodeUri(uri).status().code(), absl::StatusCode::kInvalidArgument) << uri;
  }
}

TEST(NodeUriTest, LimitsAreInclusiveAndZeroIsNone) {
  const UriLimits limits = {.max_depth = 2, .max_total_length = 9, .max_segment_length = 4};
  EXPECT_TRUE(ParseNodeUri("./abcd/ef", limits).ok());
  EXPECT_EQ(ParseNodeUri("./a/b/c", limits).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ParseNodeUri("./abcde", limits).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(ParseNodeUri("./abcd/efg", limits).status().code(), absl::StatusCode::kOutOfRange);
  EXPECT_TRUE(ParseNodeUri("./a/b/c/" + std::string(1000, 'x')).ok());
}

TEST(NodeUriTest, NamesSurviveEscaping) {
  for (const char* name : {"plain", "Hypervisor box", "50%", "a/b?c#d", "\xC3\xA9t\xC3\xA9"}) {
    EXPECT_EQ(UnescapeSegment(EscapeSegment(name)), name);
  }
  EXPECT_EQ(EscapeSegment("Hypervisor box"), "Hypervisor%20box");
}

TEST(NodeUriTest, IsWithinComparesWholeSegments) {
  EXPECT_TRUE(IsWithin("./A/B", "./A"));
  EXPECT_TRUE(IsWithin("./A", "./A"));
  EXPECT_TRUE(IsWithin("./A", "."));
  EXPECT_FALSE(IsWithin("./AB", "./A"));
  EXPECT_FALSE(IsWithin("./A", "./A/B"));
}

}  // namespace
}  // namespace virmo::syncml
