// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/user_unlocking.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "policy-engine/escrow_server.h"
#include "policy-engine/policy_engine_fixture.h"

namespace virmo::policy_engine {
namespace {

constexpr char kSecret[] = "4711-korrekt";

class UserUnlockingTest : public PolicyEngineFixture {
 protected:
  UserUnlockingTest() {
    server_.WritePublicKey(folder_ / "escrow.pub");
    config_.set_escrow_public_key_file(folder_ / "escrow.pub");
    Reopen();
  }
  ~UserUnlockingTest() override { StopController(); }

  // A controller that stores what it is told, and says so.
  void StartController(const std::string& id) {
    stop_ = false;
    controller_ = std::thread([this, id] {
      while (!stop_) {
        auto record = engine_->store.Find(id);
        const v1::EffectivePolicy policy =
            record.ok() && *record ? (*record)->status.policy() : v1::EffectivePolicy();
        if (policy.unlock_attempts_total() > stored_total_) {
          stored_total_ = policy.unlock_attempts_total();
          ReportStored(id);
        }
        absl::SleepFor(absl::Milliseconds(2));
      }
    });
  }
  void StopController() {
    stop_ = true;
    if (controller_.joinable()) controller_.join();
  }
  void ReportStored(const std::string& id) {
    v1::InventoryItem item = Item(id, Vm::STATE_STOPPED);
    item.set_unlock_attempts_total(stored_total_);
    ASSERT_TRUE(Send({item}, false).ok());
  }

  std::string GivenEncryptedVm() {
    const std::string id = NewUuid();
    v1::AdmitRequest request;
    request.set_virtual_machine(Name(id));
    request.set_operation(NewOperation());
    request.set_kind(v1::OPERATION_KIND_PROVISION);
    request.set_encrypted(true);
    EXPECT_TRUE(engine_->admission.Admit(request).ok());
    Report(id, Vm::STATE_STOPPED);
    return id;
  }
  static v1::UserUnlock Grant() {
    v1::UserUnlock grant;
    grant.set_allowed(true);
    grant.set_method(v1::UserUnlock::METHOD_SECRET);
    grant.set_max_attempts(3);
    return grant;
  }
  absl::Status Set(const std::string& id, const v1::UserUnlock& grant,
                   const std::string& secret = kSecret) {
    v1::UpdateLockSettingsRequest request;
    request.set_virtual_machine(Name(id));
    request.set_request_id(NewUuid());
    *request.mutable_lock()->mutable_user_unlock() = grant;
    request.mutable_update_mask()->add_paths("user_unlock");
    request.set_user_secret(secret);
    return engine_->locking.UpdateSettings(request).status();
  }
  // Locked, with a grant, and a controller.
  std::string GivenLockedVm(const v1::UserUnlock& grant = Grant(), bool encrypted = false) {
    const std::string id = encrypted ? GivenEncryptedVm() : GivenVm();
    const absl::Status set = Set(id, grant);
    EXPECT_TRUE(set.ok()) << set;
    Lock(id);
    StartController(id);
    return id;
  }

  absl::Status Try(const std::string& id, const std::string& secret) {
    v1::UnlockByUserRequest request;
    request.set_virtual_machine(Name(id));
    request.set_secret(secret);
    return engine_->unlocking.Unlock(request, {1000, 4242, "alice"}).status();
  }
  bool IsLocked(const std::string& id) { return Policy(id).policy().lock().locked(); }
  v1::UserUnlock GrantOf(const std::string& id) { return Policy(id).policy().lock().user_unlock(); }
  std::vector<v1::Alert> UnlockAlerts(size_t count) {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    std::vector<v1::Alert> found;
    while (found.size() < count && absl::Now() < deadline) {
      found.clear();
      for (const v1::Alert& alert : emitter_.WaitFor(0)) {
        if (alert.event() == "UserUnlock") found.push_back(alert);
      }
      absl::SleepFor(absl::Milliseconds(2));
    }
    return found;
  }
  static constexpr auto kRefused = v1::ErrorInfo::REASON_USER_UNLOCK_REFUSED;

  EscrowServer server_;
  std::atomic<bool> stop_ = false;
  std::atomic<int64_t> stored_total_ = 0;
  std::thread controller_;
};

TEST_F(UserUnlockingTest, UnlocksWithTheSecretAndTellsTheServer) {
  const std::string id = GivenLockedVm();
  EXPECT_TRUE(GrantOf(id).has_secret());

  EXPECT_EQ(ReasonOf(Try(id, "wrong")), kRefused);
  EXPECT_EQ(GrantOf(id).attempts(), 1);
  EXPECT_TRUE(IsLocked(id));
  const absl::Status unlocked = Try(id, kSecret);

  EXPECT_TRUE(unlocked.ok()) << unlocked;
  EXPECT_FALSE(IsLocked(id));
  EXPECT_EQ(GrantOf(id).attempts(), 0);
  EXPECT_EQ(Policy(id).policy().unlock_attempts_total(), 2);
  const auto alerts = UnlockAlerts(1);
  ASSERT_EQ(alerts.size(), 1U);
  EXPECT_EQ(alerts[0].result_code(), 1200);
  EXPECT_EQ(alerts[0].lock_state(), 30);
  EXPECT_THAT(alerts[0].detail(), testing::HasSubstr("alice (uid 1000)"));
}

TEST_F(UserUnlockingTest, StoresNothingOfTheSecretButWhatArgon2idMadeOfIt) {
  const std::string id = GivenLockedVm();
  ASSERT_TRUE(Try(id, kSecret).ok());

  EXPECT_THAT(FilesWith(kSecret), testing::IsEmpty());
}

TEST_F(UserUnlockingTest, RefusesAfterTheAttemptsAllowedEvenTheRightSecretWithOneAlert) {
  const std::string id = GivenLockedVm();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ReasonOf(Try(id, "wrong")), kRefused);

  for (int i = 0; i < 3; ++i) EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);
  StopController();
  Reopen();
  StartController(id);
  EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);

  EXPECT_TRUE(IsLocked(id));
  ASSERT_EQ(UnlockAlerts(1).size(), 1U);
  EXPECT_EQ(UnlockAlerts(1)[0].result_code(), 1427);
  ASSERT_TRUE(Set(id, Grant(), "").ok());  // The server allows it again.
  EXPECT_TRUE(Try(id, kSecret).ok());
}

TEST_F(UserUnlockingTest, RefusesWithoutAGrantAfterItsEndAndWhenItIsWithdrawn) {
  const std::string none = GivenVm();
  Lock(none);
  EXPECT_EQ(ReasonOf(Try(none, kSecret)), kRefused);
  EXPECT_EQ(Policy(none).policy().unlock_attempts_total(), 0);

  v1::UserUnlock grant = Grant();
  *grant.mutable_valid_until() = ToTimestamp(absl::Now() + absl::Hours(1));
  const std::string id = GivenLockedVm(grant);
  ahead_ = absl::Hours(2);
  EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);
  ahead_ = absl::ZeroDuration();  // The clock is set back.
  EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);
  StopController();
  Reopen();
  EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);
  EXPECT_EQ(GrantOf(id).attempts(), 0);

  ASSERT_TRUE(Set(id, v1::UserUnlock(), "").ok());
  EXPECT_FALSE(GrantOf(id).has_secret());
  ASSERT_TRUE(Set(id, Grant(), "").ok());
  EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);
}

TEST_F(UserUnlockingTest, GivesNoTimeBackWhenTheClockIsSetBackBeforeTheEnd) {
  v1::UserUnlock grant = Grant();
  *grant.mutable_valid_until() = ToTimestamp(absl::Now() + absl::Hours(2));
  const std::string id = GivenLockedVm(grant);
  ahead_ = absl::Hours(3);
  engine_->unlocking.Tick();
  ahead_ = -absl::Hours(10);

  EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);
  *grant.mutable_valid_until() = ToTimestamp(absl::Now());  // Ahead of the clock that is.
  ASSERT_TRUE(Set(id, grant, "").ok());
  EXPECT_TRUE(Try(id, kSecret).ok());
}

TEST_F(UserUnlockingTest, UnlocksOnceIfTheGrantSaysSoAndWithoutASecretIfItSaysThat) {
  v1::UserUnlock once = Grant();
  once.set_one_time(true);
  const std::string id = GivenLockedVm(once);
  ASSERT_TRUE(Try(id, kSecret).ok());
  EXPECT_FALSE(GrantOf(id).allowed());
  Lock(id);
  EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);

  v1::UserUnlock none = Grant();
  none.set_method(v1::UserUnlock::METHOD_NONE);
  const std::string other = GivenVm();
  ASSERT_TRUE(Set(other, none, "").ok());
  Lock(other);
  EXPECT_TRUE(Try(other, "").ok());
  EXPECT_FALSE(IsLocked(other));
}

TEST_F(UserUnlockingTest, BringsTheKeyOfAnEncryptedVmBackOffLine) {
  const std::string id = GivenLockedVm(Grant(), true);
  const std::string key = server_.Open(Policy(id).key_escrow());
  ASSERT_FALSE(Policy(id).key_on_device());

  EXPECT_EQ(ReasonOf(Try(id, "wrong")), kRefused);
  EXPECT_FALSE(Policy(id).key_on_device());
  ASSERT_TRUE(Try(id, kSecret).ok());

  EXPECT_TRUE(Policy(id).key_on_device());
  StopController();
  const std::string operation = NewOperation();
  ASSERT_TRUE(Start(id, operation).ok());
  v1::ObtainDiskKeyRequest request;
  request.set_virtual_machine(Name(id));
  request.set_operation(operation);
  EXPECT_EQ(engine_->keys.Obtain(request)->key(), key);
  EXPECT_THAT(FilesWith(key), testing::IsEmpty());
}

TEST_F(UserUnlockingTest, NeedsTheServerForAnEncryptedVmWithoutASecretOfItsOwn) {
  v1::UserUnlock none = Grant();
  none.set_method(v1::UserUnlock::METHOD_NONE);
  const std::string id = GivenEncryptedVm();
  ASSERT_TRUE(Set(id, none, "").ok());
  Lock(id);
  EXPECT_EQ(ReasonOf(Try(id, "")), kRefused);

  EXPECT_EQ(ReasonOf(Set(id, Grant())), v1::ErrorInfo::REASON_KEY_UNAVAILABLE);
  EXPECT_TRUE(IsLocked(id));
}

TEST_F(UserUnlockingTest, CountsEveryGuessOfManyAtOnce) {
  const std::string id = GivenLockedVm();
  std::vector<std::thread> guessers;
  std::atomic<int> refused = 0;
  for (int i = 0; i < 8; ++i) {
    guessers.emplace_back([&, i] {
      if (ReasonOf(Try(id, "guess" + std::to_string(i))) == kRefused) ++refused;
    });
  }
  for (std::thread& guesser : guessers) guesser.join();

  EXPECT_EQ(refused, 8);
  EXPECT_EQ(Policy(id).policy().unlock_attempts_total(), 3);  // The others were not looked at.
  EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);
}

TEST_F(UserUnlockingTest, LooksAtNoSecretUntilTheControllerHasCountedToo) {
  const std::string id = GivenLockedVm();
  StopController();
  unlocking_options_.confirmation = absl::Milliseconds(200);
  Reopen();

  EXPECT_EQ(ReasonOf(Try(id, kSecret)), v1::ErrorInfo::REASON_SERVICE_UNAVAILABLE);

  EXPECT_TRUE(IsLocked(id));
  EXPECT_EQ(GrantOf(id).attempts(), 0);
  EXPECT_EQ(Policy(id).policy().unlock_attempts_total(), 1);
  unlocking_options_.confirmation = absl::Seconds(30);
  Reopen();
  StartController(id);
  EXPECT_TRUE(Try(id, kSecret).ok());
}

TEST_F(UserUnlockingTest, UsesTheGrantUpWhenAnOlderCopyOfEitherDatabaseComesBack) {
  const std::string id = GivenLockedVm();
  ASSERT_EQ(ReasonOf(Try(id, "wrong")), kRefused);
  StopController();

  stored_total_ = 7;  // It has counted more than we know of.
  ReportStored(id);
  EXPECT_EQ(Policy(id).policy().unlock_attempts_total(), 7);
  EXPECT_EQ(GrantOf(id).attempts(), 3);
  EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);

  ASSERT_TRUE(Set(id, Grant(), "").ok());
  EXPECT_EQ(GrantOf(id).attempts(), 0);
  stored_total_ = 2;  // Less than it confirmed before.
  ReportStored(id);
  EXPECT_EQ(GrantOf(id).attempts(), 3);
  StartController(id);
  EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);
  ASSERT_TRUE(Set(id, Grant(), "").ok());
  EXPECT_TRUE(Try(id, kSecret).ok());
}

TEST_F(UserUnlockingTest, WipesAfterTheFailuresTheServerNamedAndOnlyThatVm) {
  v1::UserUnlock grant = Grant();
  grant.set_wipe_after(5);
  const std::string other = GivenVm();
  const std::string id = GivenLockedVm(grant);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(ReasonOf(Try(id, "wrong")), kRefused);
  EXPECT_FALSE(Policy(id).policy().wipe());

  EXPECT_EQ(ReasonOf(Try(id, kSecret)), kRefused);  // Used up after 3: it counts as failed.

  EXPECT_TRUE(Policy(id).policy().wipe());
  EXPECT_FALSE(Policy(other).policy().wipe());
  const auto alerts = UnlockAlerts(2);
  ASSERT_EQ(alerts.size(), 2U);
  EXPECT_THAT(alerts[1].detail(), testing::HasSubstr("wiped"));
}

TEST_F(UserUnlockingTest, TellsTheLockByDisplayNameTooAndRefusesShortSecrets) {
  const std::string id = GivenVm();
  v1::InventoryItem item = Item(id, Vm::STATE_STOPPED);
  item.set_display_name("work phone");
  ASSERT_TRUE(Send({item}, false).ok());
  Lock(id);

  EXPECT_TRUE(engine_->unlocking.GetLock("work phone")->lock().locked());
  EXPECT_EQ(ReasonOf(engine_->unlocking.GetLock("home").status()),
            v1::ErrorInfo::REASON_VM_NOT_FOUND);
  EXPECT_EQ(ReasonOf(Set(id, Grant(), "123")), v1::ErrorInfo::REASON_INVALID_ARGUMENT);
}

}  // namespace
}  // namespace virmo::policy_engine
