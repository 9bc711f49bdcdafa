// SPDX-License-Identifier: Apache-2.0
#include "services/syncml/content_coding.h"

#include "absl/strings/escaping.h"
#include "gtest/gtest.h"

namespace virmo::syncml {
namespace {

// Made by Python's gzip, zlib and zlib with wbits=-15 of "hello hello hello".
constexpr char kGzipHex[] = "1f8b0800000000000203cb48cdc9c957c84090008088f9e511000000";
constexpr char kZlibHex[] = "789ccb48cdc9c957c84090003a2e067d";
constexpr char kRawHex[] = "cb48cdc9c957c8409000";

constexpr size_t kMax = 1 << 20;

TEST(ContentCodingTest, ReadsWhatOthersCompressed) {
  const std::string text = "hello hello hello";
  EXPECT_EQ(*Decompress(absl::HexStringToBytes(kGzipHex), ContentCoding::kGzip, kMax), text);
  EXPECT_EQ(*Decompress(absl::HexStringToBytes(kZlibHex), ContentCoding::kDeflate, kMax), text);
  EXPECT_EQ(*Decompress(absl::HexStringToBytes(kRawHex), ContentCoding::kDeflate, kMax), text);
  EXPECT_EQ(*Decompress(text, ContentCoding::kIdentity, kMax), text);
}

TEST(ContentCodingTest, ReadsBackWhatItCompressed) {
  for (const ContentCoding coding :
       {ContentCoding::kIdentity, ContentCoding::kGzip, ContentCoding::kDeflate}) {
    for (const std::string& text :
         {std::string(), std::string("\0\xff octets", 9), std::string(300000, 'x')}) {
      EXPECT_EQ(*Decompress(Compress(text, coding), coding, kMax), text);
    }
  }
}

TEST(ContentCodingTest, AZipBombIsGivenUpAtTheLimit) {
  const std::string bomb = Compress(std::string(64 << 20, '\0'), ContentCoding::kGzip);
  EXPECT_LT(bomb.size(), 100000u);
  EXPECT_TRUE(absl::IsResourceExhausted(Decompress(bomb, ContentCoding::kGzip, kMax).status()));
  EXPECT_TRUE(Decompress(Compress("12345", ContentCoding::kGzip), ContentCoding::kGzip, 5).ok());
  EXPECT_FALSE(Decompress(Compress("123456", ContentCoding::kGzip), ContentCoding::kGzip, 5).ok());
}

TEST(ContentCodingTest, DamagedBodiesAreRefused) {
  const std::string good = Compress("hello hello hello", ContentCoding::kGzip);
  for (const std::string& bad : {good.substr(0, good.size() - 3), good + "x", good + good,
                                 std::string(), std::string("<a/>")}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Decompress(bad, ContentCoding::kGzip, kMax).status()));
  }
  EXPECT_FALSE(Decompress("<SyncML/>", ContentCoding::kDeflate, kMax).ok());
}

TEST(ContentCodingTest, HeadersAreReadLeniently) {
  EXPECT_EQ(ParseContentCoding(" GZIP "), ContentCoding::kGzip);
  EXPECT_EQ(ParseContentCoding(""), ContentCoding::kIdentity);
  EXPECT_EQ(ParseContentCoding("br"), std::nullopt);
  EXPECT_EQ(ParseContentCoding("gzip, gzip"), std::nullopt);
  EXPECT_TRUE(Accepts("br, gzip;q=0.5", ContentCoding::kGzip));
  EXPECT_FALSE(Accepts("gzip;q=0, *", ContentCoding::kGzip));
  EXPECT_TRUE(Accepts("gzip;q=0, *", ContentCoding::kDeflate));
  EXPECT_FALSE(Accepts("", ContentCoding::kGzip));
  EXPECT_EQ(BestAccepted("deflate, x-gzip"), ContentCoding::kGzip);
  EXPECT_EQ(BestAccepted("deflate"), ContentCoding::kDeflate);
  EXPECT_EQ(BestAccepted("br"), ContentCoding::kIdentity);
}

}  // namespace
}  // namespace virmo::syncml
