// SPDX-License-Identifier: Apache-2.0
// HTTP both ways, prompts, polling.

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "absl/time/clock.h"
#include "dm-bridge/accounts/account_store.h"
#include "dm-bridge/client/poll_plan.h"
#include "dm-bridge/client/prompt_board.h"
#include "dm-bridge/testing/http_server.h"
#include "dm-bridge/testing/server_side.h"
#include "dm-bridge/testing/test_tree.h"
#include "dm-bridge/transport/http_transport.h"
#include "dm-bridge/transport/notification_gate.h"
#include "dm-bridge/transport/notification_http.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/syncml/content_coding.h"
#include "services/syncml/notification.h"

namespace virmo::dm_bridge {
namespace {

using syncml::AlertCode;
using syncml::ContentCoding;
using syncml::StatusCode;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

TEST(HttpTransportTest, PostsAndTellsErrorsApart) {
  std::vector<std::string> headers;
  HttpServer server([&](const HttpServer::Request& request) -> std::optional<HttpServer::Response> {
    headers.push_back(request.headers);
    if (request.path == "/503") return HttpServer::Response{503, ""};
    if (request.path == "/404") return HttpServer::Response{404, ""};
    if (request.path == "/302") return HttpServer::Response{302, ""};
    if (request.path == "/large") return HttpServer::Response{200, std::string(2 << 20, 'x')};
    if (request.path == "/cut") return std::nullopt;
    return HttpServer::Response{200, "got " + request.body};
  });
  HttpTransport transport({});
  const auto code = [&](const std::string& path) {
    return transport.Post({.url = server.Url(path), .content_type = "text/plain", .body = "x"})
        .status()
        .code();
  };
  const std::string large(200000, 'y');
  EXPECT_EQ(transport
                .Post({.url = server.Url("/"),
                       .content_type = "application/vnd.syncml.dm+xml",
                       .body = large})
                ->body,
            "got " + large);
  EXPECT_THAT(headers[0], HasSubstr("Content-Type: application/vnd.syncml.dm+xml"));
  EXPECT_THAT(headers[0], ::testing::Not(HasSubstr("Expect")));
  EXPECT_EQ(code("/503"), absl::StatusCode::kUnavailable);
  EXPECT_EQ(code("/404"), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(code("/302"), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(code("/large"), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(code("/cut"), absl::StatusCode::kUnavailable);
  EXPECT_EQ(code("/"), absl::StatusCode::kOk);
  EXPECT_FALSE(transport.Post({.url = "http://example.com/", .body = "x"}).ok());
  transport.Cancel();
  EXPECT_EQ(code("/"), absl::StatusCode::kCancelled);
}

TEST(HttpTransportTest, CompressedAnswersAreReadAndBombsAreNot) {
  std::string body;
  std::string coding;
  HttpServer server([&](const HttpServer::Request&) -> std::optional<HttpServer::Response> {
    return HttpServer::Response{.body = body,
                                .headers = absl::StrCat("Content-Encoding: ", coding, "\r\n")};
  });
  HttpTransport transport({.max_answer_bytes = 1 << 20});
  const auto post = [&] { return transport.Post({.url = server.Url("/"), .body = "x"}); };
  for (const ContentCoding kind : {ContentCoding::kGzip, ContentCoding::kDeflate}) {
    coding = std::string(syncml::Name(kind));
    body = syncml::Compress("answer", kind);
    ASSERT_TRUE(post().ok());
    EXPECT_EQ(post()->body, "answer");
    EXPECT_EQ(post()->entity, body);
    body = syncml::Compress(std::string(64 << 20, '\0'), kind);
    EXPECT_EQ(post().status().code(), absl::StatusCode::kResourceExhausted);
    body = "no such thing";
    EXPECT_EQ(post().status().code(), absl::StatusCode::kInvalidArgument);
  }
  coding = "br";
  EXPECT_EQ(post().status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(HttpTransportTest, CompressesOnceTheServerSaidThatItReadsIt) {
  std::vector<std::string> codings;
  bool refuse = false;
  HttpServer server([&](const HttpServer::Request& request) -> std::optional<HttpServer::Response> {
    const bool gzip = request.headers.find("Content-Encoding: gzip") != std::string::npos;
    codings.emplace_back(gzip ? "gzip" : "");
    if (gzip && refuse) return HttpServer::Response{.code = 415, .body = ""};
    const auto text = syncml::Decompress(
        request.body, gzip ? ContentCoding::kGzip : ContentCoding::kIdentity, 1 << 20);
    return HttpServer::Response{.body = text.value_or("?"),
                                .headers = refuse ? "" : "Accept-Encoding: gzip\r\n"};
  });
  HttpTransport transport({.compression = ContentCoding::kGzip});
  const std::string message(5000, 'x');
  const auto post = [&](std::optional<std::string> hmac) {
    return transport.Post({.url = server.Url("/"), .body = message, .hmac = std::move(hmac)})->body;
  };
  for (int i = 0; i < 2; ++i) EXPECT_EQ(post(std::nullopt), message);
  EXPECT_EQ(post("mac"), message);  // Peers differ in what a MAC is over.
  refuse = true;
  for (int i = 0; i < 2; ++i) EXPECT_EQ(post(std::nullopt), message);
  EXPECT_THAT(codings, ElementsAre("", "gzip", "", "gzip", "", ""));
}

// Package #0 by HTTP.
class NotificationHttpTest : public ::testing::Test {
 protected:
  NotificationHttpTest() : database_(OpenTestDatabase(folder_)), accounts_(*database_) {
    config::v1::DmAccount account;
    account.set_server_id("virmo-server");
    account.set_address("https://a/dm");
    account.set_device_uri("urn:x");
    account.set_client_name("me");
    account.set_client_secret("devsecret");
    account.set_server_name("virmo-server");
    account.set_server_secret("srvsecret");
    account.set_server_nonce("ERITFBUWFxgZGhscHR4fIA==");
    EXPECT_TRUE(accounts_.Put(account).ok());
    gate_ = *NotificationGate::Open(accounts_, [this](const NotificationGate::Accepted& accepted) {
      begun_.push_back(accepted.session_id);
    });
  }

  int Connect(int port) {
    const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience = {.tv_sec = 30, .tv_usec = 0};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    EXPECT_EQ(connect(connection, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    return connection;
  }
  static std::string ReadAll(int connection) {
    std::string all;
    char part[4096];
    for (ssize_t size; (size = recv(connection, part, sizeof(part), 0)) > 0;) {
      all.append(part, static_cast<size_t>(size));
    }
    close(connection);
    return all;
  }
  std::string Send(int port, const std::string& octets) {
    const int connection = Connect(port);
    send(connection, octets.data(), octets.size(), MSG_NOSIGNAL);
    return ReadAll(connection).substr(0, 12);
  }
  static std::string Post(const std::string& body,
                          const std::string& type = "application/vnd.syncml.notification") {
    return absl::StrCat("POST /any HTTP/1.1\r\nHost: d\r\nContent-Type: ", type,
                        "\r\nContent-Length: ", body.size(), "\r\n\r\n", body);
  }
  static std::string Package0(const std::string& secret) {
    syncml::Notification notification;
    notification.server_id = "virmo-server";
    notification.session_id = 0x1F;
    return *syncml::Encode(notification, secret, kServerNonce);
  }

  TempFolder folder_;
  std::unique_ptr<Database> database_;
  AccountStore accounts_;
  std::unique_ptr<NotificationGate> gate_;
  std::vector<std::string> begun_;
};

TEST_F(NotificationHttpTest, BeginsOneSessionForEachGoodPackageAndAnswersTheRestByWhatIsWrong) {
  const auto http = *NotificationHttp::Start("127.0.0.1:0", *gate_, {});
  const int port = http->port();
  EXPECT_EQ(Send(port, Post(Package0("forged"))), "HTTP/1.1 403");
  EXPECT_EQ(Send(port, Post(Package0("srvsecret"))), "HTTP/1.1 202");
  EXPECT_EQ(Send(port, Post(Package0("srvsecret"))), "HTTP/1.1 202");
  EXPECT_EQ(Send(port, Post("rubbish")), "HTTP/1.1 400");
  EXPECT_EQ(Send(port, Post(Package0("srvsecret"), "text/plain")), "HTTP/1.1 415");
  EXPECT_EQ(Send(port, "GET / HTTP/1.1\r\nHost: d\r\n\r\n"), "HTTP/1.1 405");
  EXPECT_EQ(Send(port, Post(std::string(100000, 'x'))), "HTTP/1.1 413");
  EXPECT_EQ(Send(port, "POST / HTTP/1.1\r\nX: " + std::string(100000, 'x')), "HTTP/1.1 431");
  EXPECT_EQ(Send(port, "no HTTP at all\r\n\r\n"), "HTTP/1.1 400");
  EXPECT_THAT(begun_, ElementsAre("1F"));
  EXPECT_FALSE(NotificationHttp::Start("127.0.0.1", *gate_, {}).ok());
}

TEST_F(NotificationHttpTest, WhoDripsIsCutOffAndHoldsNobodyUp) {
  const auto http = *NotificationHttp::Start(
      "127.0.0.1:0", *gate_, {.max_connections = 3, .timeout = absl::Milliseconds(400)});
  std::vector<int> slow;
  for (int i = 0; i < 3; ++i) slow.push_back(Connect(http->port()));
  std::atomic<bool> stop = false;
  std::thread dripping([&] {
    while (!stop) {
      for (const int connection : slow) send(connection, "P", 1, MSG_NOSIGNAL);
      absl::SleepFor(absl::Milliseconds(50));
    }
  });
  const absl::Time give_up = absl::Now() + absl::Seconds(30);
  std::string answer;
  while (answer.empty() && absl::Now() < give_up) {
    answer = Send(http->port(), Post(Package0("srvsecret")));
  }
  stop = true;
  dripping.join();
  EXPECT_EQ(answer, "HTTP/1.1 202");
  for (const int connection : slow) EXPECT_THAT(ReadAll(connection), IsEmpty());
}

// What is asked of the user.
class PromptBoardTest : public ::testing::Test {
 protected:
  static syncml::Interaction Question(AlertCode code, const std::string& options = "") {
    syncml::Interaction question;
    question.code = code;
    question.text = "Really?";
    question.options = syncml::ParseInteractionOptions(options);
    if (code == AlertCode::kSingleChoice || code == AlertCode::kMultipleChoice) {
      question.choices = {"one", "two", "three"};
    }
    return question;
  }
  static std::string Text(const PromptAnswer& answer) {
    std::string text = syncml::ToText(answer.code);
    for (const std::string& item : answer.items) absl::StrAppend(&text, " ", item);
    return text;
  }
  std::string Unattended(PromptBoard::Unattended how, const syncml::Interaction& question) {
    PromptBoard board(how);
    return Text(board.Ask("srv", question));
  }
  // Asks on another thread; returns the prompt as the watcher sees it.
  v1::Prompt Open(PromptBoard::Watcher& watcher, const syncml::Interaction& question) {
    asked_ = std::async(std::launch::async,
                        [this, question] { return Text(board_.Ask("srv", question)); });
    v1::WatchPromptsResponse event;
    while (!event.has_opened() && watcher.Next(absl::Seconds(30), &event)) {
    }
    return event.opened();
  }

  PromptBoard board_{config::v1::DmBridgeConfig::UNATTENDED_PROMPTS_UNSPECIFIED};
  std::future<std::string> asked_;
};

TEST_F(PromptBoardTest, WhatNobodyWatchesIsAnsweredAsConfigured) {
  using Config = config::v1::DmBridgeConfig;
  const auto by_default = [&](AlertCode code, const std::string& options) {
    return Unattended(Config::UNATTENDED_PROMPTS_DEFAULT_RESPONSE, Question(code, options));
  };
  EXPECT_EQ(by_default(AlertCode::kDisplay, ""), "200");
  EXPECT_EQ(by_default(AlertCode::kConfirm, "DR=1"), "200");
  EXPECT_EQ(by_default(AlertCode::kConfirm, "DR=0"), "304");
  EXPECT_EQ(by_default(AlertCode::kConfirm, ""), "214");
  EXPECT_EQ(by_default(AlertCode::kTextInput, "DR=%2B390+x"), "200 +390 x");
  EXPECT_EQ(by_default(AlertCode::kSingleChoice, "DR=2"), "200 2");
  EXPECT_EQ(by_default(AlertCode::kSingleChoice, "DR=9"), "214");
  EXPECT_EQ(by_default(AlertCode::kMultipleChoice, "DR=1-3"), "200 1 3");
  EXPECT_EQ(Unattended(Config::UNATTENDED_PROMPTS_CANCEL, Question(AlertCode::kConfirm, "DR=1")),
            "214");
  EXPECT_EQ(
      Unattended(Config::UNATTENDED_PROMPTS_UNSUPPORTED, Question(AlertCode::kConfirm, "DR=1")),
      "406");
}

TEST_F(PromptBoardTest, AWatcherAnswersAndAWrongAnswerLeavesThePromptOpen) {
  PromptBoard::Watcher watcher(board_);
  const v1::Prompt prompt = Open(watcher, Question(AlertCode::kTextInput, "IT=N&MAXLEN=4&ET=P"));
  EXPECT_EQ(prompt.text(), "Really?");
  EXPECT_TRUE(prompt.masked());
  v1::AnswerPromptRequest answer;
  answer.set_id(prompt.id());
  for (const char* wrong : {"12345", "12a"}) {
    answer.set_text(wrong);
    EXPECT_TRUE(absl::IsInvalidArgument(board_.Answer(answer))) << wrong;
  }
  PromptBoard::Watcher late(board_);
  v1::WatchPromptsResponse event;
  ASSERT_TRUE(late.Next(absl::Seconds(30), &event));
  EXPECT_EQ(event.opened().id(), prompt.id());
  answer.set_text("1234");
  EXPECT_TRUE(board_.Answer(answer).ok());
  EXPECT_EQ(asked_.get(), "200 1234");
  ASSERT_TRUE(late.Next(absl::Seconds(30), &event));
  EXPECT_EQ(event.closed(), prompt.id());
  EXPECT_TRUE(absl::IsNotFound(board_.Answer(answer)));
}

TEST_F(PromptBoardTest, ChoicesNoAndCancelAreToldApart) {
  PromptBoard::Watcher watcher(board_);
  v1::AnswerPromptRequest answer;
  answer.set_id(Open(watcher, Question(AlertCode::kSingleChoice)).id());
  answer.add_choices(1);
  answer.add_choices(2);
  EXPECT_TRUE(absl::IsInvalidArgument(board_.Answer(answer)));
  answer.clear_choices();
  answer.add_choices(4);
  EXPECT_TRUE(absl::IsInvalidArgument(board_.Answer(answer)));
  answer.set_choices(0, 3);
  EXPECT_TRUE(board_.Answer(answer).ok());
  EXPECT_EQ(asked_.get(), "200 3");
  answer.Clear();
  answer.set_id(Open(watcher, Question(AlertCode::kConfirm)).id());
  EXPECT_TRUE(board_.Answer(answer).ok());
  EXPECT_EQ(asked_.get(), "304");
  answer.Clear();
  answer.set_id(Open(watcher, Question(AlertCode::kConfirm)).id());
  answer.set_cancelled(true);
  EXPECT_TRUE(board_.Answer(answer).ok());
  EXPECT_EQ(asked_.get(), "214");
}

TEST_F(PromptBoardTest, TimeAndTheEndOfTheServerCloseAPrompt) {
  PromptBoard::Watcher watcher(board_);
  Open(watcher, Question(AlertCode::kConfirm, "MAXDT=1&DR=1"));
  EXPECT_EQ(asked_.get(), "408");
  Open(watcher, Question(AlertCode::kConfirm));
  board_.CancelAllOf("srv");
  EXPECT_EQ(asked_.get(), "214");
  Open(watcher, Question(AlertCode::kConfirm));
  board_.Close();
  EXPECT_EQ(asked_.get(), "214");
  EXPECT_EQ(Text(board_.Ask("srv", Question(AlertCode::kConfirm, "DR=1"))), "214");
}

TEST(PollPlanTest, IsShortAfterEnrolmentAndCommandsAndLongWhenQuiet) {
  config::v1::DmBridgeConfig config;
  config.set_min_poll_interval_seconds(2);
  config.set_poll_interval_seconds(300);
  config.set_max_poll_interval_seconds(3600);
  absl::Time now = absl::FromUnixSeconds(1000);
  PollPlan plan(config, /*enrolled_now=*/true, now);
  EXPECT_EQ(plan.AfterSession(now, false), absl::Seconds(2));
  now += absl::Seconds(61);
  EXPECT_EQ(plan.AfterSession(now, false), absl::Seconds(4));
  absl::Duration pause;
  for (int i = 0; i < 10; ++i) pause = plan.AfterSession(now, false);
  EXPECT_EQ(pause, absl::Seconds(300));
  for (int i = 0; i < 30; ++i) pause = plan.AfterSession(now, false);
  EXPECT_EQ(pause, absl::Seconds(3600));
  EXPECT_EQ(plan.AfterSession(now, true), absl::Seconds(2));
  PollPlan known(config, /*enrolled_now=*/false, now);
  EXPECT_EQ(known.AfterSession(now, false), absl::Seconds(300));
}

}  // namespace
}  // namespace virmo::dm_bridge
