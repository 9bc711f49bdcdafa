// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/key_escrow.h"

#include <sodium.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "services/server/testing/session_fixture.h"
#include "services/syncml/base64.h"

namespace virmo::server {
namespace {

class KeyEscrowTest : public SessionFixture {
 protected:
  // As a device's policy-engine does.
  std::string Sealed(const std::string& key) {
    const std::string public_key = *syncml::Base64Decode(fleet_.escrow().PublicKey());
    std::string sealed(crypto_box_SEALBYTES + key.size(), '\0');
    crypto_box_seal(reinterpret_cast<unsigned char*>(sealed.data()),
                    reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                    reinterpret_cast<const unsigned char*>(public_key.data()));
    return sealed;
  }
  std::string Leaf(const char* path) { return absl::StrCat("./VirMO/VMs/", kVm, "/", path); }
  std::string QueueUnlock() {
    v1::Action action = On(kVm);
    action.mutable_unlock();
    return fleet_.Queue("edge-1", action);
  }

  const std::string key_ = "0123456789abcdefghijklmnopqrstuv";
};

TEST_F(KeyEscrowTest, KeepsItsKeyPairAcrossRestarts) {
  const std::string before = fleet_.escrow().PublicKey();
  fleet_.Restart();

  EXPECT_EQ(fleet_.escrow().PublicKey(), before);
  EXPECT_EQ(before.size(), 44u);
}

TEST_F(KeyEscrowTest, GivesTheKeyBackWithUnlockAndShowsItNowhere) {
  device_.tree[Leaf("Lock/KeyEscrow")] = syncml::Base64Encode(Sealed(key_));
  Session();
  EXPECT_TRUE((*fleet_.inventory().Find("edge-1", kVm))->key_escrowed());
  fleet_.Restart();
  const std::string id = QueueUnlock();
  Session();

  ASSERT_EQ(Execs().size(), 1u);
  EXPECT_EQ(Execs()[0].items[0].data, absl::StrCat("key:", syncml::Base64Encode(key_)));
  EXPECT_FALSE(absl::StrContains(Get(id).DebugString(), syncml::Base64Encode(key_)));
  EXPECT_TRUE(absl::StrContains(Get(id).DebugString(), "***"));
  const auto rows = *fleet_.database().Query("SELECT state FROM dm_session");
  for (const auto& row : rows) {
    EXPECT_FALSE(absl::StrContains(row.Text(0), syncml::Base64Encode(key_)));
  }
}

TEST_F(KeyEscrowTest, SendsNoArgumentForAMachineThatIsNotEncrypted) {
  QueueUnlock();
  Session();

  EXPECT_FALSE(Execs()[0].items[0].data);
}

TEST_F(KeyEscrowTest, KeepsTheFormerWhenADeviceShowsRubbish) {
  device_.tree[Leaf("Lock/KeyEscrow")] = syncml::Base64Encode(Sealed(key_));
  Session();
  device_.tree[Leaf("Lock/KeyEscrow")] = "cnViYmlzaA==";
  QueueUnlock();
  Session();
  QueueUnlock();
  Session();

  EXPECT_EQ(*fleet_.escrow().Release("edge-1", kVm), key_);
}

TEST_F(KeyEscrowTest, ForgetsTheKeyOnlyWhenTheMachineWasDeleted) {
  device_.tree[Leaf("Lock/KeyEscrow")] = syncml::Base64Encode(Sealed(key_));
  Session();
  const auto tree = device_.tree;
  device_.tree.clear();  // For once it shows nothing.
  fleet_.now += absl::Hours(1);
  Session();
  EXPECT_TRUE(*fleet_.escrow().Holds("edge-1", kVm));

  device_.tree = tree;
  fleet_.now += absl::Hours(1);
  Session();
  v1::Action action = On(kVm);
  action.mutable_delete_();
  fleet_.Queue("edge-1", action);
  device_.on_exec = [&](const auto&) {
    device_.tree.clear();
    return ScriptedDevice::Answer{200, ""};
  };
  Session();
  EXPECT_FALSE(*fleet_.escrow().Holds("edge-1", kVm));
}

}  // namespace
}  // namespace virmo::server
