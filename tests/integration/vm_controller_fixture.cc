// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/vm_controller_fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "grpcpp/create_channel.h"
#include "vm-controller/image/digest.h"

namespace virmo::vm_controller {
namespace {

constexpr char kBootId[] = "/proc/sys/kernel/random/boot_id";

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

bool IsQemu(pid_t pid) {
  return absl::StartsWith(Read(absl::StrCat("/proc/", pid, "/comm")), "qemu-system");
}

}  // namespace

bool VmControllerFixture::Soon(const std::function<bool()>& condition, absl::Duration timeout) {
  for (const absl::Time end = absl::Now() + timeout; absl::Now() < end;) {
    if (condition()) return true;
    absl::SleepFor(absl::Milliseconds(50));
  }
  return condition();
}

void VmControllerFixture::SetUp() {
  if (access(VIRMO_GUEST_IMAGE, R_OK) != 0) GTEST_SKIP() << "no guest image";
  // Orphaned QEMU processes are ours to reap: a first process that reaps slowly delays libvirt.
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  reaper_ = std::thread([this] { Reap(); });
  std::string pattern = "/tmp/vq-XXXXXX";
  ASSERT_NE(mkdtemp(pattern.data()), nullptr);
  directory_ = pattern;
  chmod(pattern.c_str(), 0755);
  policy_ =
      std::make_unique<PolicyServerFixture>(absl::StrCat("unix:", directory_, "/policy.sock"));
  WriteConfiguration();
  StartProgram();
}

void VmControllerFixture::TearDown() {
  StopProgram(SIGTERM);
  for (const pid_t pid : Qemus()) kill(pid, SIGKILL);
  ending_ = true;
  if (reaper_.joinable()) reaper_.join();
  policy_.reset();
  if (HasFailure()) std::cerr << Read(directory_ + "/log");
  std::error_code ignored;
  if (!directory_.empty() && !HasFailure()) std::filesystem::remove_all(directory_, ignored);
}

void VmControllerFixture::WriteConfiguration() {
  std::ofstream(directory_ + "/config")
      << "listener { address: 'unix:" << directory_ << "/vmc.sock' }\n"
      << "state_directory: '" << directory_ << "/state'\n"
      << "alert_emitter { address: 'unix:" << directory_ << "/alerts.sock' }\n"
      << "policy_engine { address: 'unix:" << directory_ << "/policy.sock' }\n"
      << "accelerator: ACCELERATOR_TCG\n"
      << "hypervisor_uri: '" << HypervisorUri() << "'\n"
      << ExtraConfiguration() << "logging { level: 'debug' }\n"
      << "package_directories: '" << std::filesystem::path(VIRMO_GUEST_IMAGE).parent_path().string()
      << "'\n"
      << "package_directories: '" << directory_ << "/packages'\n"
      << "package_directories: '" << directory_ << "/state/exports'\n"
      << ExtraConfiguration();
}

void VmControllerFixture::StartProgram(const std::string& fault) {
  const std::string config = directory_ + "/config", log = directory_ + "/log";
  const pid_t child = fork();
  if (child == 0) {
    if (freopen(log.c_str(), "a", stderr) == nullptr) _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (!boot_id_file_.empty() &&
        (unshare(CLONE_NEWNS) != 0 ||
         mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
         mount(boot_id_file_.c_str(), kBootId, nullptr, MS_BIND, nullptr) != 0)) {
      _exit(125);
    }
    if (!fault.empty()) setenv("VIRMO_FAULT", fault.c_str(), 1);
    execl(VIRMO_VM_CONTROLLER, "vm-controller", "--config", config.c_str(), nullptr);
    _exit(127);
  }
  program_ = child;
  // A channel of its own: an old one would wait before it connects again.
  grpc::ChannelArguments fresh;
  fresh.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto channel = grpc::CreateCustomChannel(absl::StrCat("unix:", directory_, "/vmc.sock"),
                                                 grpc::InsecureChannelCredentials(), fresh);
  vms_ = v1::VirtualMachineService::NewStub(channel);
  operations_ = google::longrunning::Operations::NewStub(channel);
  snapshots_ = v1::SnapshotService::NewStub(channel);
  AwaitReachable();
}

void VmControllerFixture::AwaitReachable() {
  EXPECT_TRUE(Soon([&] {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(5));
    v1::Host host;
    return vms_->GetHost(&context, {}, &host).ok() && host.reachable();
  })) << Read(directory_ + "/log");
}

void VmControllerFixture::StopProgram(int signal) {
  if (program_ <= 0) return;
  kill(program_, signal);
  AwaitDeath();
}

void VmControllerFixture::AwaitDeath() {
  waitpid(program_, nullptr, 0);
  program_ = -1;
}

// Reaps the QEMU processes that the program, or a libvirtd, leaves to us.
void VmControllerFixture::Reap() {
  while (!ending_) {
    for (const pid_t pid : Qemus()) waitpid(pid, nullptr, WNOHANG);
    absl::SleepFor(absl::Milliseconds(20));
  }
}

// Children of ours.
std::set<pid_t> VmControllerFixture::Qemus() {
  std::set<pid_t> qemus;
  std::istringstream children(Read(absl::StrCat("/proc/self/task/", getpid(), "/children")));
  for (pid_t pid = 0; children >> pid;) {
    if (IsQemu(pid)) qemus.insert(pid);
  }
  return qemus;
}

int VmControllerFixture::QemuCount() {
  int count = 0;
  for (const pid_t pid : Qemus()) {
    // One that is dead and not reaped yet has no command line any more.
    count += Read(absl::StrCat("/proc/", pid, "/cmdline")).empty() ? 0 : 1;
  }
  return count;
}

v1::VirtualMachine VmControllerFixture::Vm(const std::string& id) {
  grpc::ClientContext context;
  v1::GetVirtualMachineRequest request;
  request.set_name(VirtualMachineName(id));
  v1::VirtualMachine vm;
  vms_->GetVirtualMachine(&context, request, &vm);
  return vm;
}

absl::Status VmControllerFixture::Outcome(const grpc::Status& status, Operation operation) {
  if (!status.ok()) return FromGrpc(status);
  EXPECT_TRUE(Soon(
      [&] {
        if (operation.done()) return true;
        grpc::ClientContext context;
        google::longrunning::GetOperationRequest request;
        request.set_name(operation.name());
        operations_->GetOperation(&context, request, &operation);
        return operation.done();
      },
      absl::Seconds(120)))
      << operation.ShortDebugString();
  return operation.has_error() ? FromRpc(operation.error()) : absl::OkStatus();
}

absl::Status VmControllerFixture::OutcomeOf(const std::string& request_id) {
  Operation operation;
  operation.set_name(OperationName(request_id));
  return Outcome(grpc::Status::OK, operation);
}

v1::CreateVirtualMachineRequest VmControllerFixture::ProvisionRequest(const std::string& name) {
  v1::CreateVirtualMachineRequest request;
  request.set_request_id(NewUuid());
  request.set_virtual_machine_id(NewUuid());
  request.mutable_virtual_machine()->set_display_name(name);
  v1::Allocation* memory = request.mutable_virtual_machine()->add_allocations();
  memory->set_kind(v1::RESOURCE_KIND_MEMORY);
  memory->set_virtual_quantity(96);
  request.mutable_package()->set_uri(absl::StrCat("file://", VIRMO_GUEST_IMAGE));
  request.mutable_package()->set_media_type("application/x-qcow2");
  request.mutable_package()->set_sha256(FileSha256(VIRMO_GUEST_IMAGE).value());
  return request;
}

std::string VmControllerFixture::Provision(const std::string& name) {
  const v1::CreateVirtualMachineRequest request = ProvisionRequest(name);
  grpc::ClientContext context;
  Operation operation;
  const grpc::Status status = vms_->CreateVirtualMachine(&context, request, &operation);
  const absl::Status outcome = Outcome(status, operation);
  EXPECT_TRUE(outcome.ok()) << outcome;
  return request.virtual_machine_id();
}

void VmControllerFixture::SetBootId(const std::string& boot_id) {
  boot_id_file_ = directory_ + "/boot_id";
  std::ofstream(boot_id_file_) << boot_id << "\n";
}

void VmControllerFixture::Type(const std::string& id, const std::string& line) {
  grpc::ClientContext context;
  const auto console = vms_->OpenConsole(&context);
  v1::OpenConsoleRequest request;
  request.set_name(VirtualMachineName(id));
  console->Write(request);
  request.Clear();
  request.set_input(line + "\n");
  console->Write(request);
  // Two ticks later it has been handed over.
  v1::OpenConsoleResponse output;
  for (int i = 0; i < 2; ++i) console->Read(&output);
  context.TryCancel();
  console->Finish();
}

std::string VmControllerFixture::ConsoleOf(const std::string& id) {
  return Read(absl::StrCat(directory_, "/state/vms/", id, "/console/log"));
}

std::vector<std::string> VmControllerFixture::FilesWith(const std::string& text,
                                                        const std::string& directory) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    if (!entry.is_regular_file() || entry.is_symlink()) continue;
    if (absl::StrContains(Read(entry.path()), text)) found.push_back(entry.path());
  }
  return found;
}

int VmControllerFixture::LastTick(const std::string& id) {
  const std::string text = ConsoleOf(id);
  const size_t at = text.rfind("tick ");
  if (at == std::string::npos) return 0;
  const std::string rest = text.substr(at + 5, 20);
  int tick = 0;
  (void)absl::SimpleAtoi(rest.substr(0, rest.find(' ')), &tick);
  return tick;
}

}  // namespace virmo::vm_controller
