// SPDX-License-Identifier: Apache-2.0
#include "services/cli/fake_server.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "openssl/sha.h"

#include "services/runtime/error.h"
#include "services/runtime/uuid.h"

namespace virmo::cli {
namespace {

grpc::Status NotFound(const std::string& name) {
  return ToGrpc(Error(v1::ErrorInfo::REASON_NOT_FOUND, absl::StrCat("there is no ", name)));
}

void SetNow(google::protobuf::Timestamp& timestamp) {
  const int64_t nanos = absl::ToUnixNanos(absl::Now());
  timestamp.set_seconds(nanos / 1000000000);
  timestamp.set_nanos(static_cast<int32_t>(nanos % 1000000000));
}

// Pages of two, so that every list of three proves that its caller reads on.
template <typename Item, typename Request, typename Add>
std::string Page(const std::vector<Item>& items, const Request& request, Add add) {
  size_t first = 0;
  if (!request.page_token().empty() && !absl::SimpleAtoi(request.page_token(), &first)) return "";
  const size_t end = std::min(items.size(), first + 2);
  for (size_t i = first; i < end; ++i) *add() = items[i];
  return end < items.size() ? absl::StrCat(end) : "";
}

bool IsEnd(v1::Command::State state) { return state >= v1::Command::STATE_APPLIED; }

}  // namespace

void FakeFleet::AddDevice(const v1::Device& device) {
  MutexLock lock(mutex_);
  devices_[device.name()] = device;
}

void FakeFleet::AddVm(const std::string& device, const v1::DeviceVirtualMachine& vm) {
  MutexLock lock(mutex_);
  vms_[device].push_back(vm);
}

void FakeFleet::AddAlert(const v1::DeviceAlert& alert) {
  MutexLock lock(mutex_);
  alerts_.push_back(alert);
  changed_.notify_all();
}

void FakeFleet::FailNext(v1::ErrorInfo::Reason reason, const std::string& message) {
  MutexLock lock(mutex_);
  failures_.push_back(ToGrpc(Error(reason, message)));
}

void FakeFleet::BreakAlertsAfter(int count) {
  MutexLock lock(mutex_);
  break_alerts_after_ = count;
}

void FakeFleet::Shutdown() {
  MutexLock lock(mutex_);
  shutdown_ = true;
  changed_.notify_all();
}

std::vector<v1::Command> FakeFleet::Commands() {
  MutexLock lock(mutex_);
  std::vector<v1::Command> commands;
  for (const auto& [name, entry] : commands_) commands.push_back(entry.command);
  return commands;
}

v1::EnrolDeviceRequest FakeFleet::last_enrolment() {
  MutexLock lock(mutex_);
  return enrolment_;
}

int FakeFleet::watches() {
  MutexLock lock(mutex_);
  return watches_;
}

grpc::Status FakeFleet::TakeFailure() {
  MutexLock lock(mutex_);
  if (failures_.empty()) return grpc::Status::OK;
  grpc::Status failure = failures_.front();
  failures_.pop_front();
  return failure;
}

void FakeFleet::Wait(grpc::ServerContext* context) {
  MutexLock lock(mutex_);
  // Woken often, since a client's leaving notifies nobody.
  while (!shutdown_ && !context->IsCancelled()) {
    if (lock.WaitFor(changed_, absl::Milliseconds(20), [&] { return shutdown_; })) return;
  }
}

grpc::Status FakeFleet::GetServer(grpc::ServerContext*, const v1::GetServerRequest*,
                                  v1::GetServerResponse* response) {
  response->set_server_id("virmo-server");
  response->set_escrow_public_key("a2V5");
  return grpc::Status::OK;
}

grpc::Status FakeFleet::EnrolDevice(grpc::ServerContext*, const v1::EnrolDeviceRequest* request,
                                    v1::Enrolment* response) {
  if (grpc::Status failure = TakeFailure(); !failure.ok()) return failure;
  MutexLock lock(mutex_);
  enrolment_ = *request;
  *response->mutable_device() = request->device();
  response->mutable_device()->set_name("devices/" + request->device_id());
  response->set_account_textproto("server_id: \"virmo-server\"\nclient_secret: \"s3cret\"\n");
  return grpc::Status::OK;
}

grpc::Status FakeFleet::GetDevice(grpc::ServerContext*, const v1::GetDeviceRequest* request,
                                  v1::Device* response) {
  MutexLock lock(mutex_);
  const auto found = devices_.find(request->name());
  if (found == devices_.end()) return NotFound(request->name());
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeFleet::ListDevices(grpc::ServerContext*, const v1::ListDevicesRequest* request,
                                    v1::ListDevicesResponse* response) {
  if (grpc::Status failure = TakeFailure(); !failure.ok()) return failure;
  MutexLock lock(mutex_);
  std::vector<v1::Device> devices;
  for (const auto& [name, device] : devices_) devices.push_back(device);
  response->set_next_page_token(Page(devices, *request, [&] { return response->add_devices(); }));
  return grpc::Status::OK;
}

grpc::Status FakeFleet::DeleteDevice(grpc::ServerContext*, const v1::DeleteDeviceRequest* request,
                                     v1::Device* response) {
  MutexLock lock(mutex_);
  const auto found = devices_.find(request->name());
  if (found == devices_.end()) return NotFound(request->name());
  *response = found->second;
  devices_.erase(found);
  return grpc::Status::OK;
}

grpc::Status FakeFleet::ListDeviceVirtualMachines(
    grpc::ServerContext*, const v1::ListDeviceVirtualMachinesRequest* request,
    v1::ListDeviceVirtualMachinesResponse* response) {
  MutexLock lock(mutex_);
  if (devices_.count(request->parent()) == 0) return NotFound(request->parent());
  response->set_next_page_token(
      Page(vms_[request->parent()], *request, [&] { return response->add_virtual_machines(); }));
  return grpc::Status::OK;
}

grpc::Status FakeFleet::CreateCommand(grpc::ServerContext*, const v1::CreateCommandRequest* request,
                                      v1::Command* response) {
  if (grpc::Status failure = TakeFailure(); !failure.ok()) return failure;
  MutexLock lock(mutex_);
  if (devices_.count(request->parent()) == 0) return NotFound(request->parent());
  const std::string name = absl::StrCat(request->parent(), "/commands/", request->request_id());
  Entry& entry = commands_[name];
  if (entry.command.name().empty()) {
    entry.command.set_name(name);
    *entry.command.mutable_action() = request->command().action();
    SetNow(*entry.command.mutable_create_time());
    if (request->command().action().has_provision()) {
      entry.command.set_virtual_machine_id("0b7c6e0e-43f5-4ba5-93b5-6d2d2b6d1a11");
    }
    Advance(entry, {.state = v1::Command::STATE_QUEUED});
  }
  *response = entry.command;
  return grpc::Status::OK;
}

void FakeFleet::Advance(Entry& entry, const Scripted& step) {
  v1::Command& command = entry.command;
  if (step.state != command.state()) {
    command.set_state(step.state);
    v1::Command::Step& reached = *command.add_timeline();
    reached.set_state(step.state);
    reached.set_detail(step.detail);
    SetNow(*reached.mutable_time());
  }
  if (!step.detail.empty()) command.set_detail(step.detail);
  if (step.progress_percent != 0) command.set_progress_percent(step.progress_percent);
  command.set_result_code(step.result_code);
  command.set_dm_status(step.dm_status);
  if (IsEnd(step.state) && !command.has_end_time()) SetNow(*command.mutable_end_time());
}

grpc::Status FakeFleet::GetCommand(grpc::ServerContext*, const v1::GetCommandRequest* request,
                                   v1::Command* response) {
  MutexLock lock(mutex_);
  const auto found = commands_.find(request->name());
  if (found == commands_.end()) return NotFound(request->name());
  *response = found->second.command;
  for (const auto& node : node_results) *response->add_node_results() = node;
  v1::Command::Exchange& exchange = *response->add_exchanges();
  exchange.set_sent(true);
  exchange.set_syncml("<Exec>\n<CmdID>7</CmdID></Exec>");
  return grpc::Status::OK;
}

grpc::Status FakeFleet::ListCommands(grpc::ServerContext*, const v1::ListCommandsRequest* request,
                                     v1::ListCommandsResponse* response) {
  MutexLock lock(mutex_);
  std::vector<v1::Command> commands;
  for (const auto& [name, entry] : commands_) {
    if (request->parent() == "devices/-" || absl::StartsWith(name, request->parent() + "/")) {
      commands.push_back(entry.command);
    }
  }
  response->set_next_page_token(Page(commands, *request, [&] { return response->add_commands(); }));
  return grpc::Status::OK;
}

grpc::Status FakeFleet::CancelCommand(grpc::ServerContext*, const v1::CancelCommandRequest* request,
                                      v1::Command* response) {
  MutexLock lock(mutex_);
  const auto found = commands_.find(request->name());
  if (found == commands_.end()) return NotFound(request->name());
  if (found->second.command.state() != v1::Command::STATE_QUEUED) {
    return ToGrpc(Error(v1::ErrorInfo::REASON_WRONG_STATE, "it was sent already"));
  }
  Advance(found->second, {.state = v1::Command::STATE_CANCELLED});
  *response = found->second.command;
  return grpc::Status::OK;
}

grpc::Status FakeFleet::WatchCommand(grpc::ServerContext* context,
                                     const v1::WatchCommandRequest* request,
                                     grpc::ServerWriter<v1::WatchCommandResponse>* writer) {
  v1::WatchCommandResponse response;
  {
    MutexLock lock(mutex_);
    ++watches_;
    const auto found = commands_.find(request->name());
    if (found == commands_.end()) return NotFound(request->name());
    *response.mutable_command() = found->second.command;
  }
  writer->Write(response);
  writer->Write(v1::WatchCommandResponse());  // A sign of life.
  while (true) {
    Scripted step;
    {
      MutexLock lock(mutex_);
      Entry& entry = commands_[request->name()];
      if (entry.next == script.size()) break;
      step = script[entry.next++];
      Advance(entry, step);
      *response.mutable_command() = entry.command;
    }
    writer->Write(response);
    if (step.breaks_stream) return {grpc::StatusCode::UNAVAILABLE, "cut"};
  }
  if (never_ends) Wait(context);
  return grpc::Status::OK;
}

grpc::Status FakeFleet::ListDeviceAlerts(grpc::ServerContext*,
                                         const v1::ListDeviceAlertsRequest* request,
                                         v1::ListDeviceAlertsResponse* response) {
  MutexLock lock(mutex_);
  response->set_next_page_token(Page(alerts_, *request, [&] { return response->add_alerts(); }));
  return grpc::Status::OK;
}

grpc::Status FakeFleet::WatchDeviceAlerts(
    grpc::ServerContext* context, const v1::WatchDeviceAlertsRequest* request,
    grpc::ServerWriter<v1::WatchDeviceAlertsResponse>* writer) {
  std::vector<v1::DeviceAlert> alerts;
  int break_after = -1;
  {
    MutexLock lock(mutex_);
    ++watches_;
    alerts = alerts_;
    std::swap(break_after, break_alerts_after_);
  }
  for (const v1::DeviceAlert& alert : alerts) {
    // The one that was seen last comes again: a client must not show it twice.
    if (alert.sequence() < request->after_sequence()) continue;
    v1::WatchDeviceAlertsResponse response;
    *response.mutable_alert() = alert;
    writer->Write(response);
    if (--break_after == 0) return {grpc::StatusCode::UNAVAILABLE, "cut"};
  }
  Wait(context);
  return grpc::Status::OK;
}

std::string FakeImages::octets() {
  MutexLock lock(mutex_);
  return octets_;
}

v1::Image FakeImages::described() {
  MutexLock lock(mutex_);
  return described_;
}

grpc::Status FakeImages::UploadImage(grpc::ServerContext*,
                                     grpc::ServerReader<v1::UploadImageRequest>* reader,
                                     v1::Image* response) {
  if (!refusal.ok()) return refusal;
  v1::UploadImageRequest request;
  std::string octets;
  reader->Read(&request);
  const v1::Image image = request.image();
  while (reader->Read(&request)) octets += request.chunk();
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(octets.data()), octets.size(), digest);
  MutexLock lock(mutex_);
  *response = image;
  response->set_size_bytes(static_cast<int64_t>(octets.size()));
  response->set_sha256(absl::BytesToHexString(absl::string_view(
                           reinterpret_cast<const char*>(digest), sizeof digest)) +
                       damage);
  octets_ = octets;
  described_ = image;
  images_[image.name()] = *response;
  return grpc::Status::OK;
}

grpc::Status FakeImages::GetImage(grpc::ServerContext*, const v1::GetImageRequest* request,
                                  v1::Image* response) {
  MutexLock lock(mutex_);
  const auto found = images_.find(request->name());
  if (found == images_.end()) return NotFound(request->name());
  *response = found->second;
  return grpc::Status::OK;
}

grpc::Status FakeImages::ListImages(grpc::ServerContext*, const v1::ListImagesRequest* request,
                                    v1::ListImagesResponse* response) {
  MutexLock lock(mutex_);
  std::vector<v1::Image> images;
  for (const auto& [name, image] : images_) images.push_back(image);
  response->set_next_page_token(Page(images, *request, [&] { return response->add_images(); }));
  return grpc::Status::OK;
}

grpc::Status FakeImages::DeleteImage(grpc::ServerContext*, const v1::DeleteImageRequest* request,
                                     v1::Image*) {
  MutexLock lock(mutex_);
  return images_.erase(request->name()) == 1 ? grpc::Status::OK : NotFound(request->name());
}

grpc::Status FakeController::GetVirtualMachine(grpc::ServerContext*,
                                               const v1::GetVirtualMachineRequest* request,
                                               v1::VirtualMachine* response) {
  if (request->name() != vm.name()) {
    return ToGrpc(Error(v1::ErrorInfo::REASON_VM_NOT_FOUND, "there is no " + request->name()));
  }
  *response = vm;
  return grpc::Status::OK;
}

grpc::Status FakeController::ListVirtualMachines(grpc::ServerContext*,
                                                 const v1::ListVirtualMachinesRequest*,
                                                 v1::ListVirtualMachinesResponse* response) {
  *response->add_virtual_machines() = vm;
  return grpc::Status::OK;
}

grpc::Status FakeController::OpenConsole(
    grpc::ServerContext* context,
    grpc::ServerReaderWriter<v1::OpenConsoleResponse, v1::OpenConsoleRequest>* stream) {
  v1::OpenConsoleRequest request;
  stream->Read(&request);
  if (request.name() != vm.name()) {
    return ToGrpc(Error(v1::ErrorInfo::REASON_VM_NOT_FOUND, "there is no " + request.name()));
  }
  if (vm.locked()) {
    return ToGrpc(Error(v1::ErrorInfo::REASON_VM_LOCKED, request.name() + " is locked"));
  }
  v1::OpenConsoleResponse response;
  response.set_output("login: \x1b[0m\n");
  stream->Write(response);
  while (!context->IsCancelled() && stream->Read(&request)) {
  }
  return grpc::Status::OK;
}

grpc::Status FakeProcess::GetProcess(grpc::ServerContext*, const v1::GetProcessRequest*,
                                     v1::Process* response) {
  *response = process;
  return grpc::Status::OK;
}

grpc::Status FakeProcess::SetLogLevel(grpc::ServerContext*, const v1::SetLogLevelRequest* request,
                                      v1::Process* response) {
  process.set_log_level(request->level());
  *response = process;
  return grpc::Status::OK;
}

}  // namespace virmo::cli
