// SPDX-License-Identifier: Apache-2.0
#include "vm-controller/libvirt/libvirt_devices.h"

#include <libvirt/libvirt-qemu.h>
#include <libvirt/virterror.h>

#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "services/runtime/error.h"
#include "services/runtime/status_macros.h"
#include "vm-controller/libvirt/device_xml.h"
#include "vm-controller/libvirt/domain_xml.h"
#include "vm-controller/libvirt/handles.h"
#include "vm-controller/libvirt/libvirt_error.h"

namespace virmo::vm_controller {
namespace {

// How long the guest may take to let go before we report it cut. USB goes at once; PCI needs the
// guest.
constexpr absl::Duration kPatience = absl::Milliseconds(400);
constexpr absl::Duration kLookEvery = absl::Milliseconds(4);

struct Opened {
  ConnectPtr connect;
  DomainPtr domain;
};

absl::StatusOr<Opened> Open(Connection& connection, const std::string& id) {
  Opened opened;
  ASSIGN_OR_RETURN(opened.connect, connection.Get());
  opened.domain.reset(virDomainLookupByUUIDString(opened.connect.get(), id.c_str()));
  if (opened.domain == nullptr) return LibvirtError(absl::StrCat("find domain ", DomainName(id)));
  if (IsTestDriver(opened.domain.get())) {
    return Error(v1::ErrorInfo::REASON_NOT_SUPPORTED,
                 "this hypervisor cannot change devices of a running virtual machine");
  }
  return opened;
}

std::string XmlOf(const Opened& opened) {
  return TakeText(virDomainGetXMLDesc(opened.domain.get(), 0));
}

std::optional<LiveDevice> Find(const Opened& opened, const std::string& alias) {
  for (const LiveDevice& device : ReadDevices(XmlOf(opened))) {
    if (device.alias == alias) return device;
  }
  return std::nullopt;
}

absl::Status UpdateLink(const Opened& opened, const std::string& alias, bool up) {
  const std::string nic = InterfaceWithLink(XmlOf(opened), alias, up);
  if (nic.empty()) return absl::OkStatus();
  if (virDomainUpdateDeviceFlags(opened.domain.get(), nic.c_str(), VIR_DOMAIN_AFFECT_LIVE) == 0) {
    return absl::OkStatus();
  }
  return LibvirtError(absl::StrCat("set the link of ", alias));
}

// Replaces what is behind a serial port by nothing. libvirt has no call for it.
absl::Status CutSerial(const Opened& opened, const std::string& alias) {
  const std::string command = absl::StrCat(R"({"execute":"chardev-change","arguments":{"id":"char)",
                                           alias, R"(","backend":{"type":"null","data":{}}}})");
  char* reply = nullptr;
  const int done = virDomainQemuMonitorCommand(opened.domain.get(), command.c_str(), &reply, 0);
  const std::string text = TakeText(reply);
  if (done != 0) return LibvirtError(absl::StrCat("cut ", alias));
  if (!absl::StrContains(text, "\"error\"")) return absl::OkStatus();
  return Error(v1::ErrorInfo::REASON_HYPERVISOR_FAILED,
               absl::StrCat("cannot cut ", alias, ": ", text));
}

// Takes away what is behind a device that the guest may hold on to. Succeeds for those that it
// cannot.
absl::Status Cut(const Opened& opened, const LiveDevice& device) {
  if (device.element == "interface") return UpdateLink(opened, device.alias, false);
  if (device.element == "serial") return CutSerial(opened, device.alias);
  return absl::OkStatus();
}

bool NeedsGuest(const LiveDevice& device) {
  return device.element == "interface" || device.element == "serial";
}

}  // namespace

absl::StatusOr<std::vector<LiveDevice>> LibvirtDevices::ListDevices(const std::string& id) {
  ASSIGN_OR_RETURN(const Opened opened, Open(connection_, id));
  char* xml = virDomainGetXMLDesc(opened.domain.get(), 0);
  if (xml == nullptr) return LibvirtError(absl::StrCat("describe domain ", DomainName(id)));
  return ReadDevices(TakeText(xml));
}

absl::Status LibvirtDevices::Attach(const std::string& id, const DeviceSpec& spec) {
  ASSIGN_OR_RETURN(const Opened opened, Open(connection_, id));
  const std::optional<LiveDevice> there = Find(opened, spec.alias);
  if (there && there->cut) return UpdateLink(opened, spec.alias, true);
  if (there) return absl::OkStatus();
  const std::string device = WriteDeviceXml(spec, XmlOf(opened));
  if (virDomainAttachDeviceFlags(opened.domain.get(), device.c_str(), VIR_DOMAIN_AFFECT_LIVE) ==
      0) {
    return absl::OkStatus();
  }
  const absl::Status error = LibvirtError(absl::StrCat("attach ", spec.alias));
  return Find(opened, spec.alias) ? absl::OkStatus() : error;
}

absl::StatusOr<Departure> LibvirtDevices::Detach(const std::string& id, const std::string& alias) {
  ASSIGN_OR_RETURN(const Opened opened, Open(connection_, id));
  const std::optional<LiveDevice> device = Find(opened, alias);
  if (!device) return Departure::kGone;
  const absl::Status cut = Cut(opened, *device);
  const int asked =
      virDomainDetachDeviceAlias(opened.domain.get(), alias.c_str(), VIR_DOMAIN_AFFECT_LIVE);
  const absl::Status error =
      asked == 0 ? absl::OkStatus() : LibvirtError(absl::StrCat("detach ", alias));
  const absl::Time deadline = absl::Now() + kPatience;
  while (Find(opened, alias)) {
    if (absl::Now() > deadline) {
      // It was asked before and waits for the guest still.
      if (NeedsGuest(*device) && cut.ok()) return Departure::kCut;
      RETURN_IF_ERROR(cut);
      return error.ok() ? Error(v1::ErrorInfo::REASON_HYPERVISOR_FAILED,
                                absl::StrCat(alias, " was to be detached and is still there"))
                        : error;
    }
    absl::SleepFor(kLookEvery);
  }
  return Departure::kGone;
}

absl::Status LibvirtDevices::SetLink(const std::string& id, const std::string& alias, bool up) {
  ASSIGN_OR_RETURN(const Opened opened, Open(connection_, id));
  return UpdateLink(opened, alias, up);
}

}  // namespace virmo::vm_controller
