// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet/notifier.h"

#include <condition_variable>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "services/runtime/mutex.h"
#include "services/server/fleet/notification_sender.h"
#include "services/server/http/http_server.h"
#include "services/server/testing/test_fleet.h"
#include "services/syncml/notification.h"

namespace virmo::server {
namespace {

// A device's listener for package #0 over HTTP.
class HttpListener {
 public:
  explicit HttpListener(int status) {
    HttpServer::Options options;
    options.address = "127.0.0.1:0";
    http_ = *HttpServer::Listen(options);
    http_->Start([this, status](const HttpRequest& request) {
      MutexLock lock(mutex_);
      requests_.push_back(request);
      changed_.notify_all();
      return TextResponse(status, "");
    });
  }
  std::string url() const { return absl::StrCat("http://", http_->address(), "/push"); }
  std::vector<HttpRequest> WaitFor(size_t count) {
    MutexLock lock(mutex_);
    lock.WaitFor(changed_, absl::Seconds(60), [&] { return requests_.size() >= count; });
    return requests_;
  }

 private:
  Mutex mutex_;
  std::condition_variable changed_;
  std::vector<HttpRequest> requests_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<HttpServer> http_;
};

class NotifierTest : public ::testing::Test {
 protected:
  config::v1::DmAccount Enrol(const std::string& address) {
    v1::EnrolDeviceRequest request;
    request.set_device_id("edge-1");
    request.mutable_device()->set_notification_address(address);
    const auto enrolment = fleet_.devices().Enrol(request, {"virmo-server", "http://x/dm"});
    EXPECT_TRUE(enrolment.ok()) << enrolment.status();
    config::v1::DmAccount account;
    google::protobuf::TextFormat::ParseFromString(enrolment->account_textproto(), &account);
    return account;
  }
  std::string QueueGet() {
    v1::Action action;
    action.mutable_get()->add_uris("./DevInfo/Man");
    return fleet_.Queue("edge-1", action);
  }

  testing::TestFleet fleet_;
  EventFeed feed_;
};

TEST_F(NotifierTest, PostsPackageZeroAndTriesAgainWithTheResyncNonce) {
  HttpListener listener(202);
  const auto account = Enrol(listener.url());
  const std::string id = QueueGet();
  Notifier notifier(fleet_.devices(), fleet_.queue(), feed_, "virmo-server");
  notifier.Notify("edge-1");
  const auto requests = listener.WaitFor(3);

  ASSERT_GE(requests.size(), 3u);
  EXPECT_EQ(requests[0].method, "POST");
  EXPECT_EQ(requests[0].path, "/push");
  EXPECT_EQ(requests[0].Header("content-type"), "application/vnd.syncml.notification");
  const std::string nonce = *syncml::Base64Decode(account.server_nonce());
  EXPECT_TRUE(syncml::Verify(requests[0].body, account.server_secret(), nonce).ok());
  const auto first = *syncml::Decode(requests[0].body);
  EXPECT_EQ(first.version, 11);
  EXPECT_EQ(first.server_id, "virmo-server");
  // The same session each time, and in between for a device that lost our nonce.
  EXPECT_EQ(syncml::Decode(requests[2].body)->session_id, first.session_id);
  EXPECT_TRUE(
      syncml::Verify(requests[2].body, account.server_secret(), syncml::ResyncNonce()).ok());
  EXPECT_EQ(fleet_.Command("edge-1", id).state(), v1::Command::STATE_NOTIFIED);
}

TEST_F(NotifierTest, StopsWhenTheDeviceComes) {
  HttpListener listener(200);
  Enrol(listener.url());
  QueueGet();
  Notifier notifier(fleet_.devices(), fleet_.queue(), feed_, "virmo-server");
  notifier.Notify("edge-1");
  listener.WaitFor(1);
  notifier.SessionSeen("edge-1");
  notifier.NotifyLater("edge-1");
  notifier.SessionSeen("edge-1");

  EXPECT_EQ(listener.WaitFor(1).size(), 1u);
}

TEST_F(NotifierTest, GoesOnWhenADeviceRefuses) {
  HttpListener listener(500);
  Enrol(listener.url());
  const std::string id = QueueGet();
  Notifier notifier(fleet_.devices(), fleet_.queue(), feed_, "virmo-server");
  notifier.Notify("edge-1");

  EXPECT_GE(listener.WaitFor(2).size(), 2u);
  EXPECT_EQ(fleet_.Command("edge-1", id).state(), v1::Command::STATE_QUEUED);
}

TEST_F(NotifierTest, TakesAddressesOfBothKindsAndNoOthers) {
  EXPECT_TRUE(CheckAddress("udp:10.0.0.7:2948").ok());
  EXPECT_TRUE(CheckAddress("udp:[::1]:2948").ok());
  EXPECT_TRUE(CheckAddress("http://10.0.0.7:8080/push").ok());
  EXPECT_TRUE(CheckAddress("https://device.example/push").ok());
  for (const char* bad : {"10.0.0.7:2948", "udp:2948", "udp:h:0", "udp:h:99999", "http://",
                          "http:///x", "http://a b/", "ftp://x/"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckAddress(bad))) << bad;
  }
}

}  // namespace
}  // namespace virmo::server
