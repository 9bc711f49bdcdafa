// SPDX-License-Identifier: Apache-2.0
#include "services/cli/inspect.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "services/cli/exit_code.h"
#include "services/cli/format.h"
#include "services/cli/table.h"
#include "services/cli/width.h"
#include "services/ovf/inspection.h"

namespace virmo::cli {
namespace {

std::string DisksText(const ovf::Descriptor& descriptor, const ovf::VirtualSystem& system) {
  std::vector<std::string> disks;
  for (const ovf::Drive& drive : system.drives) {
    if (drive.kind != ovf::DriveKind::kDisk) continue;
    const ovf::Disk* disk = descriptor.FindDisk(drive.disk_id);
    disks.push_back(absl::StrCat(drive.disk_id.empty() ? drive.file_id : drive.disk_id,
                                 disk == nullptr ? "" : " ",
                                 disk == nullptr ? "" : Bytes(disk->capacity_bytes)));
  }
  return absl::StrJoin(disks, ", ");
}

std::string SystemText(const ovf::Descriptor& descriptor, const ovf::VirtualSystem& system) {
  std::vector<std::string> nics;
  for (const ovf::Nic& nic : system.nics) nics.push_back(nic.network);
  return PropertiesText(
      {{"Virtual machine", system.name},
       {"Processors", absl::StrCat(system.cpus)},
       {"Memory", Mebibytes(system.memory_mib)},
       {"Firmware", system.secure_boot ? "efi, secure boot"
                    : system.efi       ? "efi"
                                       : "bios"},
       {"Disks", DisksText(descriptor, system)},
       {"Networks", absl::StrJoin(nics, ", ")},
       {"Guest", system.os_description.empty() ? system.os_type : system.os_description}});
}

std::string PropertiesOf(const std::vector<ovf::Product>& products, Table& table) {
  for (const ovf::Product& product : products) {
    for (const ovf::Property& property : product.properties) {
      table.Add({property.key, property.type, property.user_configurable ? "yes" : "no",
                 property.password ? "(hidden)" : property.value, property.label});
    }
  }
  return table.Text();
}

std::string InspectionText(const ovf::Descriptor& descriptor, const ovf::Findings& findings) {
  std::string text;
  for (const ovf::VirtualSystem& system : descriptor.systems) {
    absl::StrAppend(&text, text.empty() ? "" : "\n", SystemText(descriptor, system));
  }
  std::string properties;
  Table table({"PROPERTY", "TYPE", "CONFIGURABLE", "DEFAULT", "LABEL"});
  size_t count = 0;
  PropertiesOf(descriptor.collection_products, table);
  for (const ovf::VirtualSystem& system : descriptor.systems) {
    properties = PropertiesOf(system.products, table);
    for (const ovf::Product& product : system.products) count += product.properties.size();
  }
  if (count > 0) absl::StrAppend(&text, "\n", properties);
  if (!descriptor.deployment_options.empty()) text += "\nDeployment options:\n";
  for (const ovf::DeploymentOption& option : descriptor.deployment_options) {
    absl::StrAppend(&text, "  ", Printable(option.id), option.is_default ? " (default)" : "", "  ",
                    Printable(option.label), "\n");
  }
  for (const ovf::Eula& eula : descriptor.eulas) {
    absl::StrAppend(
        &text, "\nLicence agreement",
        eula.virtual_system.empty() ? "" : absl::StrCat(" of ", Printable(eula.virtual_system)),
        ":\n", Printable(eula.text), "\n");
  }
  if (!findings.warnings().empty()) text += "\nWarnings:\n";
  for (const std::string& warning : findings.warnings()) {
    absl::StrAppend(&text, "  ", Printable(warning), "\n");
  }
  return text;
}

}  // namespace

absl::Status InspectImage(Context& context, const Arguments& arguments) {
  ovf::Findings findings;
  const std::optional<ovf::Descriptor> descriptor =
      ovf::Inspect(arguments.Text("FILE"),
                   {.deployment_option = arguments.Text("--deployment-option"),
                    .locale = arguments.Text("--locale")},
                   findings);
  if (!descriptor) {
    for (const ovf::Findings::Fault& fault : findings.faults()) {
      context.err() << Printable(fault.text) << "\n";
    }
    return WithExitCode(absl::FailedPreconditionError(""), ExitCode::kFailedOnDevice);
  }
  context.Print(context.json() ? ovf::InspectionJson(*descriptor, findings)
                               : InspectionText(*descriptor, findings));
  return absl::OkStatus();
}

}  // namespace virmo::cli
