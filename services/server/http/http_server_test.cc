// SPDX-License-Identifier: Apache-2.0
#include "services/server/http/http_server.h"

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime/uuid.h"
#include "services/server/testing/http_client.h"
#include "services/server/testing/raw_connection.h"

namespace virmo::server {
namespace {

using testing::Fetch;
using ::testing::HasSubstr;
using testing::RawConnection;
using ::testing::StartsWith;

class HttpServerTest : public ::testing::Test {
 protected:
  HttpServerTest() {
    HttpServer::Options options;
    options.address = "127.0.0.1:0";
    options.max_body_bytes = 1000;
    options.header_timeout = absl::Milliseconds(300);
    options.body_timeout = absl::Milliseconds(300);
    server_ = *HttpServer::Listen(options);
    server_->Start([](const HttpRequest& request) {
      HttpResponse response;
      response.headers["X-Path"] = request.path + "|" + request.query;
      response.body = request.method + " " + request.body;
      return response;
    });
    url_ = "http://" + server_->address();
  }

  std::unique_ptr<HttpServer> server_;
  std::string url_;
};

TEST_F(HttpServerTest, HandsOverRequestsAndAnswers) {
  const auto answer = Fetch("POST", url_ + "/dm?s=7", {}, "hello");

  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "POST hello");
  EXPECT_EQ(answer.headers.at("x-path"), "/dm|s=7");
}

TEST_F(HttpServerTest, AnswersHeadWithoutABody) {
  const auto answer = Fetch("HEAD", url_ + "/x");

  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-length"), "5");
  EXPECT_EQ(answer.body, "");
}

TEST_F(HttpServerTest, RefusesABodyBeyondTheLimitWith413) {
  EXPECT_EQ(Fetch("POST", url_ + "/dm", {}, std::string(1001, 'x')).status, 413);
  EXPECT_EQ(
      Fetch("POST", url_ + "/dm", {"Transfer-Encoding: chunked"}, std::string(5000, 'x')).status,
      413);
  EXPECT_EQ(Fetch("POST", url_ + "/dm", {}, std::string(10 << 20, 'x')).status, 413);
  EXPECT_EQ(Fetch("POST", url_ + "/dm", {}, std::string(1000, 'x')).status, 200);
}

TEST_F(HttpServerTest, RefusesAHugeHeader) {
  EXPECT_EQ(Fetch("GET", url_ + "/", {"X-Big: " + std::string(20000, 'x')}).status, 431);
}

TEST_F(HttpServerTest, AnswersMalformedHttpWith400) {
  RawConnection raw(server_->address());
  raw.Say("nonsense\r\n\r\n");

  EXPECT_THAT(raw.ReadToEnd(), StartsWith("HTTP/1.1 400"));
}

TEST_F(HttpServerTest, CutsOffASlowClientAndServesOthersMeanwhile) {
  RawConnection slow(server_->address());
  slow.Say("POST /dm HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this");
  RawConnection silent(server_->address());

  EXPECT_EQ(Fetch("GET", url_ + "/").status, 200);
  EXPECT_EQ(slow.ReadToEnd(), "");  // Returns because the server closed it.
  EXPECT_EQ(silent.ReadToEnd(), "");
}

TEST_F(HttpServerTest, ServesManyIdleConnections) {
  std::vector<std::unique_ptr<RawConnection>> idle;
  for (int i = 0; i < 200; ++i) {
    idle.push_back(std::make_unique<RawConnection>(server_->address()));
    ASSERT_TRUE(idle.back()->connected());
  }

  EXPECT_EQ(Fetch("GET", url_ + "/").status, 200);
}

TEST(HttpServerTlsTest, SpeaksTlsWithTheCertificateGiven) {
  const std::string folder = ::testing::TempDir() + "/tls-" + NewUuid();
  std::filesystem::create_directories(folder);
  const std::string made =
      absl::StrCat("cd ", folder, " && openssl req -x509 -newkey ec -pkeyopt ",
                   "ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 ",
                   "-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1 >log 2>&1");
  ASSERT_EQ(std::system(made.c_str()), 0);
  HttpServer::Options options;
  options.address = "127.0.0.1:0";
  options.certificate_file = folder + "/cert.pem";
  options.key_file = folder + "/key.pem";
  auto server = HttpServer::Listen(options);
  ASSERT_TRUE(server.ok()) << server.status();
  (*server)->Start([](const HttpRequest&) { return TextResponse(200, "hello"); });

  const std::string at = (*server)->address();
  EXPECT_EQ(Fetch("GET", "https://" + at + "/", {}, "", folder + "/cert.pem").body, "hello\n");
  EXPECT_EQ(Fetch("GET", "https://" + at + "/").status, 0);  // A stranger's certificate.
  EXPECT_EQ(Fetch("GET", "http://" + at + "/").status, 0);
  server->reset();
  std::filesystem::remove_all(folder);
}

TEST(HttpServerListenTest, RefusesPlainHttpOnAPublicAddress) {
  HttpServer::Options options;
  options.address = "0.0.0.0:0";
  const auto server = HttpServer::Listen(options);

  EXPECT_TRUE(absl::IsInvalidArgument(server.status()));
  EXPECT_THAT(std::string(server.status().message()), HasSubstr("http_tls"));
}

TEST(HttpServerListenTest, NamesWhatIsWrongWithAnAddress) {
  HttpServer::Options options;
  for (const char* address :
       {"", "127.0.0.1", "127.0.0.1:x", "dm.example.com:80", "1.2.3.4:99999"}) {
    options.address = address;
    EXPECT_TRUE(absl::IsInvalidArgument(HttpServer::Listen(options).status())) << address;
  }
}

TEST(HttpServerListenTest, SaysSoWhenTheAddressIsTaken) {
  HttpServer::Options options;
  options.address = "127.0.0.1:0";
  const auto first = HttpServer::Listen(options);
  ASSERT_TRUE(first.ok());
  options.address = (*first)->address();

  EXPECT_TRUE(absl::IsAlreadyExists(HttpServer::Listen(options).status()));
}

}  // namespace
}  // namespace virmo::server
