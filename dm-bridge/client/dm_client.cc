// SPDX-License-Identifier: Apache-2.0
#include "dm-bridge/client/dm_client.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "services/runtime/error.h"
#include "services/runtime/logging.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "services/syncml/auth.h"

namespace virmo::dm_bridge {
namespace {

// Alerts that come while a session runs share the next one anyway; in a burst a moment more lets
// those of one cause meet. The first does not wait.
constexpr absl::Duration kCoalesce = absl::Milliseconds(2);
constexpr absl::Duration kBurst = absl::Milliseconds(100);
constexpr absl::Duration kFirstBackOff = absl::Seconds(1);
constexpr absl::Duration kLongestBackOff = absl::Minutes(5);
// Peers are not held to our MaxMsgSize to the byte: not all of them heed it.
constexpr int64_t kLeastMessageCap = 1 << 20;

double Jitter() {
  const absl::StatusOr<std::string> octets = syncml::RandomNonce();
  if (!octets.ok()) return 1.0;
  return 0.5 + static_cast<unsigned char>((*octets)[0]) / 512.0;
}

uint16_t RandomSessionNumber() {
  const absl::StatusOr<std::string> octets = syncml::RandomNonce();
  if (!octets.ok()) return 1;
  return static_cast<uint16_t>(static_cast<unsigned char>((*octets)[0]) << 8 |
                               static_cast<unsigned char>((*octets)[1]));
}

void SetNow(google::protobuf::Timestamp& timestamp) {
  const absl::Time now = absl::Now();
  timestamp.set_seconds(absl::ToUnixSeconds(now));
  timestamp.set_nanos(static_cast<int32_t>(
      absl::ToInt64Nanoseconds(now - absl::FromUnixSeconds(timestamp.seconds()))));
}

std::string VersionOf(const config::v1::DmAccount& account) {
  return account.protocol_version().empty() ? "DM/1.3" : account.protocol_version();
}

syncml::Encoding EncodingOf(const config::v1::DmBridgeConfig& config) {
  return config.encoding() == "wbxml" ? syncml::Encoding::kWbxml : syncml::Encoding::kXml;
}

size_t MessageCap(const config::v1::DmBridgeConfig& config) {
  return static_cast<size_t>(std::max<int64_t>(config.max_message_bytes(), kLeastMessageCap));
}

HttpTransport::Options TransportOptions(const config::v1::DmBridgeConfig& config) {
  HttpTransport::Options options;
  options.ca_file = config.ca_file();
  options.certificate_file = config.client_certificate_file();
  options.key_file = config.client_key_file();
  options.compression =
      syncml::ParseContentCoding(config.compression()).value_or(syncml::ContentCoding::kIdentity);
  options.max_answer_bytes = MessageCap(config);
  return options;
}

}  // namespace

// What a running session sees of this client.
class DmClient::Host : public SessionHost {
 public:
  explicit Host(DmClient& client) : client_(client) {}

  absl::Status SaveNonces(const Nonces& nonces) override {
    return client_.environment_.accounts.SaveNonces(client_.server_id_, nonces);
  }
  std::vector<OutgoingAlert> PendingAlerts() override {
    return client_.environment_.alerts.PendingFor(client_.server_id_);
  }
  void OnAlertAnswered(const std::string& alert_id, syncml::StatusCode code) override {
    client_.environment_.alerts.OnAnswered(alert_id, code);
  }
  PromptAnswer Ask(const syncml::Interaction& interaction) override {
    return client_.environment_.prompts.Ask(client_.server_id_, interaction);
  }
  void OnCommands() override {
    client_.environment_.view.AwaitServices();
    client_.environment_.view.OnCommands();
  }

 private:
  DmClient& client_;
};

DmClient::DmClient(config::v1::DmAccount account, Environment environment)
    : server_id_(account.server_id()),
      environment_(std::move(environment)),
      transport_(TransportOptions(environment_.config)),
      session_number_(RandomSessionNumber()),
      account_(std::move(account)),
      met_(environment_.accounts.HasMet(server_id_).value_or(true)),
      poll_plan_(environment_.config, !met_, absl::Now()),
      protocol_version_(VersionOf(account_)),
      thread_([this] { Run(); }) {}

DmClient::~DmClient() {
  Stop();
  thread_.join();
}

void DmClient::Stop() {
  transport_.Cancel();
  {
    MutexLock lock(mutex_);
    stop_ = true;
    changed_.notify_all();
  }
  environment_.prompts.CancelAllOf(server_id_);
}

void DmClient::SetAccount(config::v1::DmAccount account) {
  MutexLock lock(mutex_);
  new_account_ = std::move(account);
  asked_ = true;
  changed_.notify_all();
}

void DmClient::Retire() {
  MutexLock lock(mutex_);
  stop_ = true;
  changed_.notify_all();
}

void DmClient::OnAlertsPending() {
  MutexLock lock(mutex_);
  alerts_pending_ = true;
  changed_.notify_all();
}

void DmClient::OnNotified(SessionRequest request) {
  MutexLock lock(mutex_);
  notified_ = std::move(request);
  changed_.notify_all();
}

absl::StatusOr<v1::Session> DmClient::RunSession() {
  MutexLock lock(mutex_);
  if (!running_) asked_ = true;
  const int64_t before = ended_;
  changed_.notify_all();
  lock.Wait(changed_, [&] { return stop_ || ended_ > before; });
  if (ended_ == before) return absl::CancelledError("dm-bridge is stopping");
  if (last_outcome_.ok()) return last_;
  const bool refused = ReasonOf(last_outcome_) == v1::ErrorInfo::REASON_UNAUTHENTICATED;
  return refused ? last_outcome_
                 : Error(v1::ErrorInfo::REASON_SESSION_FAILED, last_outcome_.message());
}

v1::Account DmClient::Describe() const {
  MutexLock lock(mutex_);
  v1::Account account;
  account.set_server_id(server_id_);
  account.set_address(account_.address());
  account.set_client_name(account_.client_name());
  account.set_protocol_version(protocol_version_);
  *account.mutable_last_session() = last_;
  const absl::Time next = std::max(next_poll_, not_before_);
  if (next > absl::InfinitePast()) {
    account.mutable_next_session_time()->set_seconds(absl::ToUnixSeconds(next));
  }
  return account;
}

bool DmClient::IsDueLocked(absl::Time now) const {
  if (stop_ || asked_ || notified_) return true;
  return now >= NextDueLocked();
}

absl::Time DmClient::NextDueLocked() const {
  return std::max(alerts_pending_ ? absl::InfinitePast() : next_poll_, not_before_);
}

DmClient::Wake DmClient::WaitUntilDue(std::optional<SessionRequest>* notified) {
  MutexLock lock(mutex_);
  while (!IsDueLocked(absl::Now())) {
    const bool pending = alerts_pending_;
    const absl::Duration wait =
        std::clamp(NextDueLocked() - absl::Now(), absl::ZeroDuration(), absl::Hours(1));
    lock.WaitFor(changed_, wait + absl::Milliseconds(1),
                 [&] { return stop_ || asked_ || notified_ || alerts_pending_ != pending; });
  }
  const bool burst = absl::Now() - alerts_delivered_ < kBurst;
  if (alerts_pending_ && burst && !asked_ && !notified_) {
    lock.WaitFor(changed_, kCoalesce, [&] { return stop_ || asked_ || notified_; });
  }
  if (stop_) return Wake::kStop;
  if (new_account_) account_ = *std::exchange(new_account_, std::nullopt);
  *notified = std::exchange(notified_, std::nullopt);
  asked_ = false;
  alerts_pending_ = false;
  running_ = true;
  SetNow(*last_.mutable_start_time());
  return Wake::kRun;
}

void DmClient::Run() {
  std::optional<SessionRequest> notified;
  while (WaitUntilDue(&notified) == Wake::kRun) RunOne(notified);
}

SessionSettings DmClient::MakeSettings(const std::optional<SessionRequest>& notified,
                                       const Nonces& nonces) {
  if (++session_number_ == 0) ++session_number_;
  SessionSettings settings;
  settings.account = account_;
  settings.protocol_version = VersionOf(account_);
  settings.nonces = nonces;
  settings.session_id = notified ? notified->session_id
                                 : absl::AsciiStrToUpper(absl::StrCat(absl::Hex(session_number_)));
  settings.server_initiated = notified.has_value();
  if (notified && notified->resync_nonce) settings.nonces.client = notified->resync_nonce;
  settings.session_uuid = NewUuid();
  settings.transport_authenticates_server =
      absl::StartsWithIgnoreCase(account_.address(), "https://");
  const config::v1::DmBridgeConfig& config = environment_.config;
  settings.encoding = EncodingOf(config);
  settings.max_message_bytes = config.max_message_bytes();
  settings.max_object_bytes = config.max_object_bytes();
  settings.dev_info = MakeDevInfo(environment_.config, account_.device_uri());
  return settings;
}

ExchangeResult DmClient::RunOnce(const std::optional<SessionRequest>& notified,
                                 v1::Session* report) {
  const absl::StatusOr<Nonces> nonces = environment_.accounts.GetNonces(server_id_);
  if (!nonces.ok()) return {.outcome = nonces.status()};
  const SessionSettings settings = MakeSettings(notified, *nonces);
  Host host(*this);
  Session session(settings, environment_.tree, host);
  ExchangeOptions options;
  options.encoding = settings.encoding;
  options.max_message_bytes = MessageCap(environment_.config);
  options.observer = [this](bool sent, const syncml::Message& message) {
    environment_.trace.Publish(server_id_, sent, message);
  };
  const ExchangeResult result = RunExchange(session, transport_, options);
  if (result.outcome.ok()) environment_.alerts.OnUnanswered(session.unanswered());
  report->set_server_id(server_id_);
  report->set_session_id(settings.session_id);
  report->set_messages(session.messages_sent());
  report->set_commands(session.commands_done());
  report->set_alerts(session.alerts_delivered());
  return result;
}

// Of package #0 with ui-mode 3. While nobody can be asked the answer is the configuration's, with
// "yes" as the default: the server could as well wait for the next poll.
bool DmClient::UserAgrees(const SessionRequest& notified) {
  if (!notified.ask_user) return true;
  syncml::Interaction question;
  question.code = syncml::AlertCode::kConfirm;
  question.text = absl::StrCat(server_id_, " wants to manage this device now. Allow it?");
  question.options.default_response = "1";
  const PromptAnswer answer = environment_.prompts.Ask(server_id_, question);
  return answer.code == syncml::StatusCode::kOk;
}

void DmClient::RunOne(const std::optional<SessionRequest>& notified) {
  v1::Session report;
  SetNow(*report.mutable_start_time());
  if (notified && !UserAgrees(*notified)) {
    spdlog::info("session not begun server={} cause=\"the user did not agree\"", server_id_);
    SetNow(*report.mutable_end_time());
    return Settle(report, absl::OkStatus());
  }
  ExchangeResult result = RunOnce(notified, &report);
  if (result.fall_back) {
    spdlog::info("falling back server={} version=DM/1.2", server_id_);
    account_.set_protocol_version("DM/1.2");
    result = RunOnce(notified, &report);
    if (result.outcome.ok()) {
      const absl::Status saved = environment_.accounts.SaveProtocolVersion(server_id_, "DM/1.2");
      if (!saved.ok()) spdlog::warn("version not saved cause=\"{}\"", saved.message());
    } else {
      account_.clear_protocol_version();
    }
  }
  SetNow(*report.mutable_end_time());
  report.set_error(std::string(result.outcome.message()));
  Settle(report, result.outcome);
}

// Records how a session went and decides when the next one is due.
void DmClient::Settle(const v1::Session& report, const absl::Status& outcome) {
  if (outcome.ok()) {
    spdlog::debug("session ended server={} session={} messages={} commands={} alerts={}",
                  server_id_, report.session_id(), report.messages(), report.commands(),
                  report.alerts());
  } else {
    spdlog::warn("session failed server={} session={} cause=\"{}\"", server_id_,
                 report.session_id(), outcome.message());
  }
  const bool more_alerts = !environment_.alerts.PendingFor(server_id_).empty();
  const absl::Time retry = environment_.alerts.NextRetry(server_id_);
  const bool busy = report.commands() > 0 || environment_.view.HasUnfinished(server_id_);
  if (outcome.ok() && report.messages() > 0 && !met_) {
    met_ = environment_.accounts.SetMet(server_id_).ok();
  }
  const absl::Time now = absl::Now();
  MutexLock lock(mutex_);
  protocol_version_ = VersionOf(account_);
  failures_ = outcome.ok() ? 0 : std::min(failures_ + 1, 16);
  not_before_ =
      failures_ == 0
          ? absl::InfinitePast()
          : now + std::min(kFirstBackOff * (1 << (failures_ - 1)), kLongestBackOff) * Jitter();
  if (report.alerts() > 0) alerts_delivered_ = now;
  const absl::Duration pause = poll_plan_.AfterSession(now, busy);
  // After a failure the next one is due as soon as the back-off is over.
  next_poll_ = outcome.ok() ? std::min(now + pause, retry) : not_before_;
  if (more_alerts) alerts_pending_ = true;
  running_ = false;
  last_ = report;
  last_outcome_ = outcome;
  ++ended_;
  changed_.notify_all();
}

}  // namespace virmo::dm_bridge
