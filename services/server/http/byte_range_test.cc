// SPDX-License-Identifier: Apache-2.0
#include "services/server/http/byte_range.h"

#include "gtest/gtest.h"

namespace virmo::server {
namespace {

void ExpectPart(absl::string_view header, int64_t offset, int64_t size) {
  const ByteRange range = ParseByteRange(header, 100);
  EXPECT_EQ(range.kind, ByteRange::Kind::kPart) << header;
  EXPECT_EQ(range.offset, offset) << header;
  EXPECT_EQ(range.size, size) << header;
}

TEST(ByteRangeTest, ReadsEveryFormOfOneRange) {
  ExpectPart("bytes=0-0", 0, 1);
  ExpectPart("bytes=10-19", 10, 10);
  ExpectPart("bytes=90-", 90, 10);
  ExpectPart("bytes=90-500", 90, 10);
  ExpectPart("bytes=-5", 95, 5);
  ExpectPart("bytes=-500", 0, 100);
}

TEST(ByteRangeTest, SaysWhatCannotBeSatisfied) {
  for (const char* header : {"bytes=100-", "bytes=100-200", "bytes=-0"}) {
    EXPECT_EQ(ParseByteRange(header, 100).kind, ByteRange::Kind::kUnsatisfiable) << header;
  }
}

TEST(ByteRangeTest, IgnoresWhatItDoesNotUnderstand) {
  for (const char* header :
       {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=+1-2", "bytes=1-2,4-5",
        "lines=1-2", "bytes=99999999999999999999-"}) {
    EXPECT_EQ(ParseByteRange(header, 100).kind, ByteRange::Kind::kWhole) << header;
  }
}

}  // namespace
}  // namespace virmo::server
