// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/console_hub.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "gtest/gtest.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"

namespace virmo::vm_controller {
namespace {

constexpr char kId[] = "11111111-2222-4333-8444-555555555555";
constexpr absl::Duration kPatience = absl::Seconds(20);

// A guest's serial port, as QEMU serves it.
class Guest {
 public:
  explicit Guest(const std::string& path) {
    struct sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    unlink(path.c_str());
    listener_ = socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(bind(listener_, reinterpret_cast<struct sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(listen(listener_, 1), 0);
  }
  ~Guest() {
    if (client_ >= 0) close(client_);
    close(listener_);
  }
  void Accept() { client_ = accept(listener_, nullptr, nullptr); }
  void Print(const std::string& text) {
    EXPECT_EQ(send(client_, text.data(), text.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(text.size()));
  }
  std::string ReadInput(size_t size) {
    std::string text(size, '\0');
    EXPECT_EQ(recv(client_, text.data(), size, MSG_WAITALL), static_cast<ssize_t>(size));
    return text;
  }

 private:
  int listener_ = -1;
  int client_ = -1;
};

class ConsoleHubTest : public testing::Test {
 protected:
  ConsoleHubTest() : files_(MakeRoot()) {
    EXPECT_TRUE(MakeDirectory(files_.ConsoleDirectory(kId), 0700).ok());
    hub_ = std::make_unique<ConsoleHub>(files_);
    guest_ = std::make_unique<Guest>(files_.ConsoleSocket(kId));
    hub_->Attach(kId);
    guest_->Accept();
  }
  ~ConsoleHubTest() override {
    hub_.reset();
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  std::string MakeRoot() {
    std::string pattern = "/tmp/ch-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    return root_ = pattern;
  }
  // Reads until `size` octets came.
  static std::string Hear(ConsoleHub::Stream& stream, size_t size) {
    std::string all, some;
    while (all.size() < size &&
           stream.Next(kPatience, &some) == ConsoleHub::Stream::State::kOutput) {
      all += some;
    }
    return all;
  }

  std::string root_;
  MachineFiles files_;
  std::unique_ptr<ConsoleHub> hub_;
  std::unique_ptr<Guest> guest_;
};

TEST_F(ConsoleHubTest, AListenerHearsTheBacklogAndThenWhatComes) {
  {
    auto first = hub_->Open(kId, 0);
    guest_->Print("before ");
    EXPECT_EQ(Hear(**first, 7), "before ");
  }
  auto stream = hub_->Open(kId, 100);
  ASSERT_TRUE(stream.ok());
  guest_->Print("after");
  EXPECT_EQ(Hear(**stream, 12), "before after");
}

TEST_F(ConsoleHubTest, TypingReachesTheGuest) {
  EXPECT_TRUE(hub_->Write(kId, "ls\n").ok());
  EXPECT_EQ(guest_->ReadInput(3), "ls\n");
}

TEST_F(ConsoleHubTest, ABarCutsListenersOffAndLetsNobodyTypeUntilItIsLifted) {
  auto stream = hub_->Open(kId, 0);
  hub_->SetBarred(kId, true);

  std::string output;
  EXPECT_EQ((*stream)->Next(kPatience, &output), ConsoleHub::Stream::State::kClosed);
  EXPECT_EQ(ReasonOf(hub_->Open(kId, 0).status()), v1::ErrorInfo::REASON_VM_LOCKED);
  EXPECT_EQ(ReasonOf(hub_->Write(kId, "x")), v1::ErrorInfo::REASON_VM_LOCKED);

  hub_->SetBarred(kId, false);
  auto again = hub_->Open(kId, 0);
  guest_->Print("hello");
  EXPECT_EQ(Hear(**again, 5), "hello");
}

TEST_F(ConsoleHubTest, AGuestThatRestartsIsHeardAgain) {
  auto stream = hub_->Open(kId, 0);
  guest_.reset();
  guest_ = std::make_unique<Guest>(files_.ConsoleSocket(kId));
  hub_->Attach(kId);
  guest_->Accept();
  guest_->Print("back");
  EXPECT_EQ(Hear(**stream, 4), "back");
}

TEST_F(ConsoleHubTest, TheLogIsBounded) {
  auto stream = hub_->Open(kId, 0);
  const std::string block(1 << 16, 'x');
  for (int i = 0; i < 48; ++i) {  // 3 MiB.
    guest_->Print(block);
    ASSERT_EQ(Hear(**stream, block.size()).size(), block.size());
  }
  std::uintmax_t size = 0;
  for (const auto& entry : std::filesystem::directory_iterator(files_.ConsoleDirectory(kId))) {
    if (entry.is_regular_file()) size += entry.file_size();
  }
  EXPECT_LE(size, (2u << 20) + (1u << 17));
  EXPECT_GE(size, 1u << 20);
}

}  // namespace
}  // namespace virmo::vm_controller
