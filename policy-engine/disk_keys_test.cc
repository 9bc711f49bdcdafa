// SPDX-License-Identifier: Apache-2.0
#include "policy-engine/disk_keys.h"

#include <set>
#include <string>
#include <vector>

#include "policy-engine/escrow_server.h"
#include "policy-engine/policy_engine_fixture.h"

namespace virmo::policy_engine {
namespace {

class DiskKeysTest : public PolicyEngineFixture {
 protected:
  DiskKeysTest() {
    server_.WritePublicKey(folder_ / "escrow.pub");
    config_.set_escrow_public_key_file(folder_ / "escrow.pub");
    Reopen();
  }

  absl::Status Provision(const std::string& id, const std::string& operation) {
    v1::AdmitRequest request;
    request.set_virtual_machine(Name(id));
    request.set_operation(operation);
    request.set_kind(v1::OPERATION_KIND_PROVISION);
    request.set_encrypted(true);
    return engine_->admission.Admit(request).status();
  }
  std::string GivenEncryptedVm() {
    const std::string id = NewUuid();
    const absl::Status status = Provision(id, NewOperation());
    EXPECT_TRUE(status.ok()) << status;
    Report(id, Vm::STATE_STOPPED);
    return id;
  }

  absl::StatusOr<std::string> Obtain(const std::string& id, const std::string& operation) {
    v1::ObtainDiskKeyRequest request;
    request.set_virtual_machine(Name(id));
    request.set_operation(operation);
    auto response = engine_->keys.Obtain(request);
    if (!response.ok()) return response.status();
    return response->key();
  }
  // The key, by a start that is admitted.
  std::string StartAndObtain(const std::string& id) {
    const std::string operation = NewOperation();
    const absl::Status started = Start(id, operation);
    EXPECT_TRUE(started.ok()) << started;
    auto key = Obtain(id, operation);
    EXPECT_TRUE(key.ok()) << key.status();
    Report(id, Vm::STATE_STOPPED);
    return key.value_or("");
  }
  std::string OpenEscrow(const std::string& id) { return server_.Open(Policy(id).key_escrow()); }

  absl::StatusOr<Operation> UnlockWith(const std::string& id, const std::string& key) {
    v1::UnlockVirtualMachineRequest request;
    request.set_virtual_machine(Name(id));
    request.set_request_id(NewUuid());
    request.set_released_key(key);
    return engine_->locking.Unlock(request);
  }

  std::string HostWrapOf(const std::string& id) {
    const auto rows = database_->Query("SELECT host_wrap FROM disk_keys WHERE id = ?1", {id});
    return rows.ok() && !rows->empty() ? (*rows)[0].Text(0) : "";
  }
  // Tries to open whatever is stored, at every offset, as one who copied all files would.
  bool HostKeyOpensAnything(const std::string& id) {
    const absl::StatusOr<Key> host = LoadHostKey(folder_ / "host.key", false);
    EXPECT_TRUE(host.ok()) << host.status();
    for (const auto& [name, content] : FilesOfState()) {
      for (size_t at = 0; at + kWrapSize <= content.size(); ++at) {
        const absl::string_view window = absl::string_view(content).substr(at, kWrapSize);
        if (Unwrap(window, *host, "virmo disk key 1 host " + id)) return true;
      }
    }
    return false;
  }

  EscrowServer server_;
};

TEST_F(DiskKeysTest, GivesEachVmAKeyOfItsOwnToTheOperationsThatWereAdmitted) {
  const std::string a = NewUuid();
  const std::string operation = NewOperation();
  ASSERT_TRUE(Provision(a, operation).ok());
  ASSERT_TRUE(Provision(a, operation).ok());  // Asked a second time.
  const auto first = Obtain(a, operation);
  Report(a, Vm::STATE_STOPPED);
  const std::string b = GivenEncryptedVm();

  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->size(), 32U);
  EXPECT_EQ(StartAndObtain(a), *first);
  EXPECT_NE(StartAndObtain(b), *first);
  EXPECT_EQ(ReasonOf(Obtain(a, NewOperation()).status()), v1::ErrorInfo::REASON_KEY_UNAVAILABLE);
  EXPECT_TRUE(Policy(a).key_on_device());
  EXPECT_EQ(Policy(a).policy().lock().mode(), v1::Lock::MODE_SUSPEND);
}

TEST_F(DiskKeysTest, KeepsNoKeyInClearAndTheKeyThroughARestart) {
  const std::string id = GivenEncryptedVm();
  const std::string key = StartAndObtain(id);
  Reopen();

  EXPECT_EQ(StartAndObtain(id), key);
  EXPECT_THAT(FilesWith(key), testing::IsEmpty());
  EXPECT_TRUE(HostKeyOpensAnything(id));  // The attack below would be seen.
}

TEST_F(DiskKeysTest, SealsTheKeyForTheServerAlone) {
  const std::string id = GivenEncryptedVm();

  EXPECT_EQ(Policy(id).key_escrow().size(), 80U);
  EXPECT_EQ(OpenEscrow(id), StartAndObtain(id));
  EXPECT_EQ(EscrowServer().Open(Policy(id).key_escrow()), "");
}

TEST_F(DiskKeysTest, RefusesEncryptedVmsWithoutTheServersKeySayingWhy) {
  config_.clear_escrow_public_key_file();
  Reopen();
  const std::string id = NewUuid();

  const absl::Status refused = Provision(id, NewOperation());

  EXPECT_EQ(ReasonOf(refused), v1::ErrorInfo::REASON_KEY_UNAVAILABLE);
  EXPECT_THAT(refused.message(), testing::HasSubstr("escrow_public_key_file"));
  EXPECT_FALSE(Exists(id));
}

TEST_F(DiskKeysTest, RefusesAKeyFileThatIsNone) {
  for (const char* text : {"", "not base64", "AAAA", "-----BEGIN PUBLIC KEY-----",
                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
                           "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}) {
    std::ofstream(folder_ / "bad.pub") << text;
    EXPECT_FALSE(LoadPublicKey(folder_ / "bad.pub").ok()) << text;
  }
  std::ofstream(folder_ / "short.key") << "0123456789abcdef";
  EXPECT_FALSE(LoadHostKey(folder_ / "short.key", false).ok());
  EXPECT_FALSE(LoadHostKey(folder_ / "missing.key", false).ok());
}

TEST_F(DiskKeysTest, LocksSoThatNothingOnTheDeviceOpensTheKey) {
  std::vector<std::string> others;
  for (int i = 0; i < 20; ++i) others.push_back(GivenEncryptedVm());
  const std::string id = GivenEncryptedVm();
  const std::string key = StartAndObtain(id);
  const std::string operation = NewOperation();
  ASSERT_TRUE(Start(id, operation).ok());
  const std::string wrap = HostWrapOf(id);
  ASSERT_THAT(FilesWith(wrap), testing::Not(testing::IsEmpty()));

  Lock(id);

  EXPECT_THAT(FilesWith(wrap), testing::IsEmpty());
  EXPECT_THAT(FilesWith(wrap.substr(24, 16)), testing::IsEmpty());
  EXPECT_THAT(FilesWith(key), testing::IsEmpty());
  EXPECT_FALSE(HostKeyOpensAnything(id));
  EXPECT_FALSE(Policy(id).key_on_device());
  EXPECT_EQ(ReasonOf(Obtain(id, operation).status()), v1::ErrorInfo::REASON_VM_LOCKED);
  EXPECT_EQ(OpenEscrow(id), key);
  EXPECT_TRUE(Policy(others[3]).key_on_device());
}

TEST_F(DiskKeysTest, UnlocksWithTheKeyThatTheServerReleasesAndSealsItAnew) {
  const std::string id = GivenEncryptedVm();
  const std::string key = StartAndObtain(id);
  Lock(id);
  const std::string escrow = Policy(id).key_escrow();

  EXPECT_EQ(ReasonOf(UnlockWith(id, "").status()), v1::ErrorInfo::REASON_KEY_UNAVAILABLE);
  EXPECT_EQ(ReasonOf(UnlockWith(id, std::string(32, 'x')).status()),
            v1::ErrorInfo::REASON_INVALID_ARGUMENT);
  EXPECT_EQ(ReasonOf(UnlockWith(id, key.substr(1)).status()),
            v1::ErrorInfo::REASON_INVALID_ARGUMENT);
  EXPECT_TRUE(Policy(id).policy().lock().locked());
  EXPECT_FALSE(Policy(id).key_on_device());
  const auto unlocked = UnlockWith(id, server_.Open(escrow));

  ASSERT_TRUE(unlocked.ok()) << unlocked.status();
  EXPECT_FALSE(Policy(id).policy().lock().locked());
  EXPECT_TRUE(Policy(id).key_on_device());
  EXPECT_NE(Policy(id).key_escrow(), escrow);
  EXPECT_EQ(OpenEscrow(id), key);
  EXPECT_EQ(StartAndObtain(id), key);
  EXPECT_THAT(FilesWith(key), testing::IsEmpty());
}

TEST_F(DiskKeysTest, UnlocksByTheSameRequestOnceAndTellsAnotherKeyApart) {
  const std::string id = GivenEncryptedVm();
  const std::string key = StartAndObtain(id);
  Lock(id);
  v1::UnlockVirtualMachineRequest request;
  request.set_virtual_machine(Name(id));
  request.set_request_id(NewUuid());
  request.set_released_key(key);
  ASSERT_TRUE(engine_->locking.Unlock(request).ok());
  const int64_t version = Policy(id).policy().version();

  EXPECT_TRUE(engine_->locking.Unlock(request).ok());
  request.set_released_key(std::string(32, 'x'));
  EXPECT_EQ(ReasonOf(engine_->locking.Unlock(request).status()),
            v1::ErrorInfo::REASON_REQUEST_ID_REUSED);
  EXPECT_EQ(Policy(id).policy().version(), version);
}

TEST_F(DiskKeysTest, TakesNoKeyForAVmThatIsNotEncrypted) {
  const std::string id = GivenVm();
  Lock(id);

  EXPECT_EQ(ReasonOf(UnlockWith(id, std::string(32, 'x')).status()),
            v1::ErrorInfo::REASON_INVALID_ARGUMENT);
  const std::string operation = NewOperation();
  Unlock(id);
  ASSERT_TRUE(Start(id, operation).ok());
  EXPECT_EQ(ReasonOf(Obtain(id, operation).status()), v1::ErrorInfo::REASON_KEY_UNAVAILABLE);
}

TEST_F(DiskKeysTest, MakesAKeyForACloneWhoseOperationMayReadTheSource) {
  const std::string source = GivenEncryptedVm();
  const std::string key = StartAndObtain(source);
  const std::string clone = NewUuid();
  const std::string operation = NewOperation();

  ASSERT_TRUE(Admit(clone, v1::OPERATION_KIND_CLONE, operation, {}, source).ok());

  EXPECT_EQ(Obtain(source, operation).value_or(""), key);
  const auto own = Obtain(clone, operation);
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_NE(*own, key);
  EXPECT_EQ(OpenEscrow(clone), *own);
}

TEST_F(DiskKeysTest, DeletesEverythingOfTheKeyWithTheVm) {
  const std::string id = GivenEncryptedVm();
  const std::string wrap = HostWrapOf(id);

  ASSERT_TRUE(Send({}, false, {id}).ok());

  EXPECT_FALSE(Exists(id));
  EXPECT_THAT(FilesWith(wrap), testing::IsEmpty());
  EXPECT_FALSE(HostKeyOpensAnything(id));
}

TEST_F(DiskKeysTest, DestroysAKeyThatAnOlderCopyOfTheDatabaseBroughtBack) {
  const std::string id = GivenEncryptedVm();
  const std::string key = StartAndObtain(id);
  Close();
  std::filesystem::copy(Path(), folder_ / "copy");
  Open();
  Lock(id);
  const int64_t locked_version = Policy(id).policy().version();
  Close();
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(Path() + suffix);
  std::filesystem::rename(folder_ / "copy", Path());
  Open();
  ASSERT_TRUE(HostKeyOpensAnything(id));

  ReportFull({Item(id, Vm::STATE_SUSPENDED, 0, locked_version)});

  EXPECT_TRUE(Policy(id).policy().lock().locked());
  EXPECT_FALSE(HostKeyOpensAnything(id));
  EXPECT_TRUE(UnlockWith(id, key).ok());
}

TEST_F(DiskKeysTest, TakesTheServersKeyWhenItsOwnRecordWasLost) {
  const std::string id = GivenEncryptedVm();
  const std::string key = StartAndObtain(id);
  Close();
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(Path() + suffix);
  Open();
  ReportFull({Item(id, Vm::STATE_STOPPED, 0, 1)});
  ASSERT_TRUE(Policy(id).policy().lock().locked());

  ASSERT_TRUE(UnlockWith(id, key).ok());

  EXPECT_EQ(StartAndObtain(id), key);
  EXPECT_EQ(OpenEscrow(id), key);
}

TEST_F(DiskKeysTest, NeedsTheServerWhenTheHostsKeyIsAnother) {
  const std::string id = GivenEncryptedVm();
  const std::string key = OpenEscrow(id);
  Close();
  std::filesystem::remove(folder_ / "host.key");
  Open();
  ReportFull({Item(id, Vm::STATE_STOPPED)});

  EXPECT_EQ(ReasonOf(Start(id)), v1::ErrorInfo::REASON_KEY_UNAVAILABLE);
  ASSERT_TRUE(UnlockWith(id, key).ok());
  EXPECT_EQ(StartAndObtain(id), key);
}

}  // namespace
}  // namespace virmo::policy_engine
