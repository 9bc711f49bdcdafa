// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "services/runtime/channel.h"
#include "services/runtime/error.h"
#include "services/runtime/files.h"
#include "services/runtime/process.h"
#include "services/runtime/testing.h"
#include "virmo/v1/alert_service.grpc.pb.h"

namespace virmo {
namespace {

using testing::Eventually;

// A certificate authority in a folder of its own, by the openssl command.
class Authority {
 public:
  explicit Authority(std::string folder) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
    Run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca "
        "-keyout ca.key -out ca.pem");
  }

  // Issues, or issues anew, `NAME.pem` and `NAME.key` for a DNS name.
  void Issue(const std::string& file, const std::string& dns_name) const {
    EXPECT_TRUE(
        WriteFileAtomically(folder_ + "/ext", absl::StrCat("subjectAltName=DNS:", dns_name), 0600)
            .ok());
    Run(absl::StrCat("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout ",
                     file, ".key.new -out ", file, ".csr"));
    Run(absl::StrCat("x509 -req -in ", file,
                     ".csr -CA ca.pem -CAkey ca.key -days 2 -extfile ext "
                     "-set_serial ",
                     ++serial_, " -out ", file, ".pem.new"));
    for (const char* kind : {".key", ".pem"}) {
      std::filesystem::rename(absl::StrCat(folder_, "/", file, kind, ".new"),
                              absl::StrCat(folder_, "/", file, kind));
    }
  }

  config::v1::Tls Tls(const std::string& file) const {
    config::v1::Tls tls;
    tls.set_certificate_file(absl::StrCat(folder_, "/", file, ".pem"));
    tls.set_key_file(absl::StrCat(folder_, "/", file, ".key"));
    tls.set_ca_file(folder_ + "/ca.pem");
    return tls;
  }

 private:
  void Run(const std::string& arguments) const {
    const std::string command =
        absl::StrCat("cd ", folder_, " && openssl ", arguments, " >>log 2>&1");
    EXPECT_EQ(std::system(command.c_str()), 0) << command << "\n"
                                               << ReadFile(folder_ + "/log").value_or("");
  }

  const std::string folder_;
  mutable int serial_ = 1;
};

class WhoAmI : public v1::AlertService::Service {
 public:
  grpc::Status PublishAlert(grpc::ServerContext* context, const v1::PublishAlertRequest*,
                            v1::StoredAlert* response) override {
    const Caller caller = process->CallerOf(*context);
    response->set_last_error(absl::StrCat(caller.uid, "|", caller.name));
    return grpc::Status::OK;
  }
  Process* process = nullptr;
};

class TlsTest : public ::testing::Test {
 protected:
  TlsTest() : authority_(dir_ / "ca"), stranger_(dir_ / "stranger") {
    authority_.Issue("server", "vm-controller");
    authority_.Issue("bridge", "dm-bridge");
    authority_.Issue("other", "mallory");
    stranger_.Issue("bridge", "dm-bridge");
    listener_.set_address("127.0.0.1:0");
    *listener_.mutable_tls() = authority_.Tls("server");
    listener_.mutable_tls()->add_allowed_peers("dm-bridge");
  }
  ~TlsTest() override {
    if (process_ == nullptr) return;
    process_->RequestStop();
    thread_.join();
  }

  void Serve() {
    process_ = *Process::Create("test", listener_);
    who_am_i_.process = process_.get();
    process_->Register(who_am_i_);
    thread_ = std::thread([this] { EXPECT_TRUE(process_->Serve().ok()); });
    ASSERT_TRUE(Eventually([&] { return !process_->address().empty(); }));
  }

  // Calls with this certificate, expecting `expected` at the other end.
  absl::StatusOr<std::string> Call(config::v1::Tls tls,
                                   const std::string& expected = "vm-controller") const {
    config::v1::Endpoint endpoint;
    endpoint.set_address(process_->address());
    tls.add_allowed_peers(expected);
    *endpoint.mutable_tls() = tls;
    grpc::ClientContext context;
    SetDeadline(context, absl::Seconds(20));
    v1::StoredAlert answer;
    const grpc::Status status =
        v1::AlertService::NewStub(*MakeChannel(endpoint))->PublishAlert(&context, {}, &answer);
    if (!status.ok()) return FromGrpc(status);
    return answer.last_error();
  }

  testing::TempDir dir_;
  Authority authority_;
  Authority stranger_;
  config::v1::Listener listener_;
  WhoAmI who_am_i_;
  std::unique_ptr<Process> process_;
  std::thread thread_;
};

TEST_F(TlsTest, AnAllowedPeerIsLetInUnderItsDnsName) {
  Serve();

  const auto answer = Call(authority_.Tls("bridge"));

  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(*answer, "-1|dm-bridge");
}

TEST_F(TlsTest, APeerOfAnotherNameIsRefused) {
  Serve();

  const absl::Status status = Call(authority_.Tls("other")).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_EQ(ReasonOf(status), v1::ErrorInfo::REASON_CALLER_NOT_ALLOWED);
}

TEST_F(TlsTest, AListenerThatNamesNobodyAdmitsNobody) {
  listener_.mutable_tls()->clear_allowed_peers();
  Serve();

  EXPECT_EQ(Call(authority_.Tls("bridge")).status().code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(TlsTest, ACertificateOfAnotherAuthorityIsRefused) {
  Serve();
  config::v1::Tls tls = stranger_.Tls("bridge");
  tls.set_ca_file(authority_.Tls("bridge").ca_file());

  EXPECT_EQ(Call(tls).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(TlsTest, AClientWithoutTlsIsRefused) {
  Serve();
  config::v1::Endpoint endpoint;
  endpoint.set_address(process_->address());
  grpc::ClientContext context;
  SetDeadline(context, absl::Seconds(20));
  v1::StoredAlert answer;

  EXPECT_FALSE(
      v1::AlertService::NewStub(*MakeChannel(endpoint))->PublishAlert(&context, {}, &answer).ok());
}

TEST_F(TlsTest, AClientRefusesAServerOfAnotherName) {
  Serve();

  EXPECT_EQ(Call(authority_.Tls("bridge"), "policy-engine").status().code(),
            absl::StatusCode::kUnavailable);
}

TEST_F(TlsTest, ACertificateThatChangedIsReadAgain) {
  authority_.Issue("server", "old-name");
  Serve();
  ASSERT_FALSE(Call(authority_.Tls("bridge")).ok());

  authority_.Issue("server", "vm-controller");

  EXPECT_TRUE(Eventually([&] { return Call(authority_.Tls("bridge")).ok(); }));
}

TEST_F(TlsTest, AMissingFileIsNamed) {
  listener_.mutable_tls()->set_key_file(dir_ / "none.key");

  const absl::Status status = Process::Create("test", listener_).status();

  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ErrorInfoOf(status).field(), "tls.key_file");
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("none.key"));
}

TEST_F(TlsTest, AClientMustNameWhomItExpects) {
  config::v1::Endpoint endpoint;
  endpoint.set_address("192.0.2.1:1");
  *endpoint.mutable_tls() = authority_.Tls("bridge");

  EXPECT_EQ(ErrorInfoOf(MakeChannel(endpoint).status()).field(), "tls.allowed_peers");
}

}  // namespace
}  // namespace virmo
