// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "services/server/dm/outgoing.h"
#include "services/server/fleet/key_escrow.h"
#include "services/server/images/image_library.h"
#include "virmo/v1/command.pb.h"

namespace virmo::server {

// A queued command with its secrets open: keep it short-lived.
struct OpenCommand {
  std::string id;
  std::string device;
  std::string virtual_machine_id;
  v1::Action action;
  bool prepared = false;  // its first step was taken
};

// Whether an action takes two steps: what must not be ignored is asked for first, and carried out
// only when the device took that. (Exec cannot be part of an Atomic.)
inline bool TakesTwoSteps(const v1::Action& action) { return action.provision().encrypted(); }

// Makes the SyncML commands of queued ones (the VirMO tree profile). The Correlator is the
// command's id, so that a repeat is known for one.
class CommandComposer {
 public:
  // All references outlive this.
  CommandComposer(ImageLibrary& images, KeyEscrow& escrow, std::string public_url)
      : images_(images), escrow_(escrow), public_url_(std::move(public_url)) {}

  // NOT_FOUND if its image is gone.
  absl::StatusOr<Outgoing> Compose(const OpenCommand& command) const;

 private:
  struct Package {
    std::string id;
    std::string uri;
    std::string media_type;
    std::string sha256;
  };

  absl::StatusOr<Package> ImageOf(const std::string& image) const;
  absl::StatusOr<Outgoing> ComposeProvision(const OpenCommand& command) const;
  absl::StatusOr<Outgoing> ComposeUnlock(const OpenCommand& command) const;
  absl::StatusOr<Outgoing> ComposeFirmware(const OpenCommand& command) const;

  ImageLibrary& images_;
  KeyEscrow& escrow_;
  const std::string public_url_;
};

// Those that change settings of a virtual machine (setting_composer.cc).
Outgoing ComposePeripheral(const OpenCommand& command);
Outgoing ComposeResources(const OpenCommand& command);
Outgoing ComposeSharing(const OpenCommand& command);
Outgoing ComposeTransfer(const OpenCommand& command);
Outgoing ComposeGrant(const OpenCommand& command);

}  // namespace virmo::server
