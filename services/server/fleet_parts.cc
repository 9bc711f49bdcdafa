// SPDX-License-Identifier: Apache-2.0
#include "services/server/fleet_parts.h"

#include <utility>

#include "services/runtime/files.h"
#include "services/runtime/status_macros.h"
#include "services/server/store/schema.h"

namespace virmo::server {

absl::StatusOr<Foundation> Foundation::Open(const std::string& folder, const Clock& clock) {
  Foundation base;
  RETURN_IF_ERROR(MakeDirectory(folder));
  ASSIGN_OR_RETURN(base.database, Database::Open(folder + "/server.db", {GetSchema()}));
  ASSIGN_OR_RETURN(const auto rows,
                   base.database->Query("SELECT (SELECT COUNT(*) FROM device) + (SELECT COUNT(*) "
                                        "FROM server_key)"));
  RETURN_IF_ERROR(MakeDirectory(folder + "/keys"));
  ASSIGN_OR_RETURN(base.secrets,
                   SecretBox::Open(folder + "/keys/device-secrets.key",
                                   rows[0].Int(0) == 0 ? SecretBox::IfMissing::kMakeKey
                                                       : SecretBox::IfMissing::kFail));
  ASSIGN_OR_RETURN(base.escrow, KeyEscrow::Open(*base.database, *base.secrets));
  ASSIGN_OR_RETURN(base.images, ImageLibrary::Open(folder + "/images", *base.database, clock));
  return base;
}

FleetParts::FleetParts(Foundation foundation, const FleetOptions& options, const Clock& clock,
                       OnDevice on_session, OnDevice on_deferred)
    : base(std::move(foundation)),
      devices(*base.database, *base.secrets, clock),
      inventory(*base.database, clock, options.stale_after),
      queue(*base.database, *base.secrets, clock),
      alerts(*base.database, clock),
      lockout(*base.database, options.lockout_failures),
      validator(devices, inventory, queue, *base.images),
      dm{.database = *base.database,
         .secrets = *base.secrets,
         .devices = devices,
         .inventory = inventory,
         .queue = queue,
         .alerts = alerts,
         .images = *base.images,
         .lockout = lockout,
         .escrow = *base.escrow,
         .feed = feed,
         .clock = clock,
         .server_id = options.server_id,
         .public_url = options.public_url,
         .max_message_bytes = options.max_message_bytes,
         .max_object_bytes = options.max_object_bytes,
         .allow_basic = options.allow_basic,
         .stale_after = options.stale_after,
         .on_session = std::move(on_session),
         .on_deferred = std::move(on_deferred)},
      handler(dm) {}

FleetService::Parts FleetParts::ForService(const FleetOptions& options, OnDevice on_queued) {
  return {*base.database,
          devices,
          inventory,
          queue,
          validator,
          alerts,
          feed,
          {options.server_id, DmUrl(options.public_url), base.escrow->PublicKey()},
          std::move(on_queued)};
}

}  // namespace virmo::server
