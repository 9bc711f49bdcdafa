// SPDX-License-Identifier: Apache-2.0
#include "services/runtime/uuid.h"

#include <set>

#include "gtest/gtest.h"
#include "services/runtime/resource_name.h"

namespace virmo {
namespace {

constexpr char kDnsSpace[] = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";

TEST(UuidTest, NameUuidMatchesTheRfcVector) {
  EXPECT_EQ(NameUuid(kDnsSpace, "www.example.com"), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
}

TEST(UuidTest, NameUuidDependsOnSpaceAndName) {
  EXPECT_NE(NameUuid(kDnsSpace, "a"), NameUuid(kDnsSpace, "b"));
  EXPECT_NE(NameUuid(kDnsSpace, "a"), NameUuid(NameUuid(kDnsSpace, "x"), "a"));
}

TEST(UuidTest, NewUuidsAreVersion4AndDiffer) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string uuid = NewUuid();
    EXPECT_TRUE(IsUuid(uuid)) << uuid;
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
    seen.insert(uuid);
  }
  EXPECT_EQ(seen.size(), 1000U);
}

TEST(UuidTest, IsUuidRefusesOtherForms) {
  EXPECT_TRUE(IsUuid(kDnsSpace));
  EXPECT_FALSE(IsUuid(""));
  EXPECT_FALSE(IsUuid("6BA7B810-9DAD-11D1-80B4-00C04FD430C8"));
  EXPECT_FALSE(IsUuid("6ba7b8109dad11d180b400c04fd430c8"));
  EXPECT_FALSE(IsUuid("6ba7b810-9dad-11d1-80b4-00c04fd430c"));
  EXPECT_FALSE(IsUuid("6ba7b810-9dad-11d1-80b4-00c04fd430cg"));
  EXPECT_FALSE(IsUuid("6ba7b810-9dad-11d1-80b4-00c04fd430c8 "));
}

TEST(ResourceNameTest, NamesAndIdsConvertBothWays) {
  EXPECT_EQ(*VirtualMachineId(VirtualMachineName(kDnsSpace)), kDnsSpace);
  EXPECT_EQ(*OperationId(OperationName(kDnsSpace)), kDnsSpace);
}

TEST(ResourceNameTest, AnotherFormIsRefusedNamingTheField) {
  for (const char* name : {"", "virtualMachines/", "virtualMachines/../etc/passwd",
                           "operations/6ba7b810-9dad-11d1-80b4-00c04fd430c8"}) {
    const absl::Status status = VirtualMachineId(name, "target").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(status.message().substr(0, 8), "target: ");
  }
}

}  // namespace
}  // namespace virmo
