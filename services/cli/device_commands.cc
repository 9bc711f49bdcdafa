// SPDX-License-Identifier: Apache-2.0
// virmo device …
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

#include "services/cli/command.h"
#include "services/cli/context.h"
#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/secret_file.h"
#include "services/runtime/status_macros.h"
#include "services/runtime/uuid.h"
#include "virmo/v1/fleet_service.grpc.pb.h"

namespace virmo::cli {
namespace {

std::string Id(const v1::Device& device) { return LastPart(device.name()); }

std::string DeviceText(const v1::Device& device, absl::Time now) {
  const std::string session = Relative(device.last_session_time(), now);
  return PropertiesText({
      {"Device", Id(device)},
      {"Name", device.display_name()},
      {"URN", device.device_uri()},
      {"Manufacturer", device.manufacturer()},
      {"Model", device.model()},
      {"Client", device.client_version()},
      {"Protocol", device.protocol_version()},
      {"Notified at", device.notification_address()},
      {"Enrolled", Relative(device.create_time(), now)},
      {"Last session", session.empty() ? "never" : session},
      {"Last error", device.last_session_error()},
      {"Pending", absl::StrCat(device.pending_commands(), " commands")},
  });
}

v1::EnrolDeviceRequest EnrolRequest(const Arguments& arguments) {
  v1::EnrolDeviceRequest request;
  request.set_device_id(LastPart(arguments.Text("DEVICE")));
  request.mutable_device()->set_display_name(arguments.Text("--name"));
  request.mutable_device()->set_notification_address(arguments.Text("--notify"));
  request.mutable_device()->set_device_uri(arguments.Text("--device-uri"));
  request.set_request_id(NewUuid());
  return request;
}

absl::Status EnrolDevice(Context& context, const Arguments& arguments) {
  const std::string path = arguments.Text("--account-file");
  std::unique_ptr<SecretFile> file;
  if (path != "-") {
    ASSIGN_OR_RETURN(file, SecretFile::Prepare(path, arguments.Has("--force")));
  } else if (context.json()) {
    return UsageError("--account-file - and -o json would mix on standard output");
  }
  const v1::EnrolDeviceRequest request = EnrolRequest(arguments);
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(v1::Enrolment enrolment,
                   server.Call(&v1::FleetService::Stub::EnrolDevice, request,
                               absl::StrCat("enrol device \"", request.device_id(), "\"")));
  if (file == nullptr) {
    context.Print(enrolment.account_textproto());
    return absl::OkStatus();
  }
  const absl::Status written = file->Commit(enrolment.account_textproto());
  if (!written.ok()) {
    return WithHint(written, absl::StrCat("the device is enrolled but its account is lost: virmo "
                                          "device delete ",
                                          request.device_id(), ", then enrol it again"));
  }
  context.Show(enrolment.device(), Id(enrolment.device()),
               absl::StrCat("enrolled ", Id(enrolment.device()), "\naccount in ", path,
                            ": copy it to the device as /etc/virmo/account.textproto\n"));
  return absl::OkStatus();
}

absl::Status ListDevices(Context& context, const Arguments& /*arguments*/) {
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(
      const std::vector<v1::Device> devices,
      server.List(
          &v1::FleetService::Stub::ListDevices, v1::ListDevicesRequest(),
          [](v1::ListDevicesResponse& page) { return page.mutable_devices(); }, "list devices"));
  const absl::Time now = context.now();
  context.ShowList<v1::Device>(
      devices, {"DEVICE", "NAME", "MODEL", "LAST SESSION", "PENDING", "LAST ERROR"},
      [now](const v1::Device& device) -> std::vector<std::string> {
        const std::string session = Relative(device.last_session_time(), now);
        return {Id(device),
                device.display_name(),
                device.model(),
                session.empty() ? "never" : session,
                absl::StrCat(device.pending_commands()),
                device.last_session_error()};
      },
      Id);
  return absl::OkStatus();
}

absl::Status ShowDevice(Context& context, const Arguments& arguments) {
  v1::GetDeviceRequest request;
  request.set_name(FullName("devices", arguments.Text("DEVICE")));
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(const v1::Device device,
                   server.Call(&v1::FleetService::Stub::GetDevice, request,
                               absl::StrCat("show device \"", arguments.Text("DEVICE"), "\"")));
  context.Show(device, Id(device), DeviceText(device, context.now()));
  return absl::OkStatus();
}

absl::Status DeleteDevice(Context& context, const Arguments& arguments) {
  v1::DeleteDeviceRequest request;
  request.set_name(FullName("devices", arguments.Text("DEVICE")));
  ASSIGN_OR_RETURN(const Peer server, context.Server());
  ASSIGN_OR_RETURN(const v1::Device device,
                   server.Call(&v1::FleetService::Stub::DeleteDevice, request,
                               absl::StrCat("delete device \"", arguments.Text("DEVICE"), "\"")));
  context.Show(device, Id(device), absl::StrCat("deleted ", LastPart(request.name()), "\n"));
  return absl::OkStatus();
}

}  // namespace

std::vector<Command> DeviceCommands() {
  return {
      {"device enrol",
       "Make a new device's credentials and write its account file",
       {{.name = "DEVICE", .help = "Its id: 1 to 63 of a-z, 0-9 and -", .required = true},
        {.name = "--name", .help = "A name for people"},
        {.name = "--notify",
         .help = "Where it hears notifications: udp:HOST:PORT or http://HOST:PORT/PATH"},
        {.name = "--device-uri", .help = "Its own id, a URN. Default: one is made"},
        {.name = "--account-file",
         .kind = Kind::kFile,
         .help = "Where to write the account (it holds secrets); - for standard output",
         .required = true},
        {.name = "--force", .kind = Kind::kFlag, .help = "Replace the account file"}},
       EnrolDevice},
      {"device list", "List devices", {}, ListDevices},
      {"device show", "Show a device", {DeviceParameter()}, ShowDevice},
      {"device delete",
       "Forget a device with its commands and alerts; its credentials are refused from then on",
       {DeviceParameter()},
       DeleteDevice},
  };
}

}  // namespace virmo::cli
