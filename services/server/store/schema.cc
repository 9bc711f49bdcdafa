// SPDX-License-Identifier: Apache-2.0
#include "services/server/store/schema.h"

namespace virmo::server {
namespace {

// Times are microseconds since 1970; 0 is none. `resource` is what the API shows.
constexpr const char* kVersion1 = R"sql(
CREATE TABLE counter (
  name TEXT PRIMARY KEY,
  value BIGINT NOT NULL
);
INSERT INTO counter (name, value) VALUES ('command', 0), ('alert', 0);

-- client_credential and server_secret are sealed (see SecretBox). Nonces are no secrets.
CREATE TABLE device (
  id TEXT PRIMARY KEY,
  device_uri TEXT NOT NULL UNIQUE,
  client_credential BLOB NOT NULL,
  server_secret BLOB NOT NULL,
  client_nonce BLOB NOT NULL,
  server_nonce BLOB NOT NULL,
  inventory_time BIGINT NOT NULL,
  resource BLOB NOT NULL
);

CREATE TABLE virtual_machine (
  device TEXT NOT NULL,
  id TEXT NOT NULL,
  resource BLOB NOT NULL,
  PRIMARY KEY (device, id)
);

-- Virtual machines that are to be read again, and why.
CREATE TABLE unread (
  device TEXT NOT NULL,
  virtual_machine TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (device, virtual_machine)
);

-- session: the token of the session that it was last sent in. awaits_read: done, to be confirmed.
CREATE TABLE command (
  id TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  sequence BIGINT NOT NULL UNIQUE,
  state INTEGER NOT NULL,
  virtual_machine TEXT NOT NULL,
  awaits_read INTEGER NOT NULL,
  end_time BIGINT NOT NULL,
  session TEXT NOT NULL,
  resource BLOB NOT NULL
);
CREATE INDEX command_by_state ON command (device, state, sequence);
CREATE INDEX command_by_device ON command (device, sequence);
CREATE INDEX command_by_end ON command (end_time);

CREATE TABLE exchange (
  command TEXT NOT NULL,
  number INTEGER NOT NULL,
  resource BLOB NOT NULL,
  PRIMARY KEY (command, number)
);

CREATE TABLE alert (
  device TEXT NOT NULL,
  alert_id TEXT NOT NULL,
  sequence BIGINT NOT NULL UNIQUE,
  receive_time BIGINT NOT NULL,
  resource BLOB NOT NULL,
  PRIMARY KEY (device, alert_id)
);
CREATE INDEX alert_by_device ON alert (device, sequence);
CREATE INDEX alert_by_time ON alert (receive_time);

CREATE TABLE image (
  id TEXT PRIMARY KEY,
  sha256 TEXT NOT NULL,
  resource BLOB NOT NULL
);
CREATE INDEX image_by_digest ON image (sha256);

CREATE TABLE dm_session (
  token TEXT PRIMARY KEY,
  device TEXT NOT NULL,
  device_uri TEXT NOT NULL,
  session_id TEXT NOT NULL,
  update_time BIGINT NOT NULL,
  ended INTEGER NOT NULL,
  state BLOB NOT NULL
);
CREATE INDEX dm_session_by_device ON dm_session (device, update_time);
CREATE INDEX dm_session_by_uri ON dm_session (device_uri, session_id);
CREATE INDEX dm_session_by_time ON dm_session (update_time);
)sql";

constexpr const char* kVersion2 = R"sql(
-- sealed: the whole action of a command that carries secrets, until it has ended; `resource` then
-- has `***` in their place.
ALTER TABLE command ADD COLUMN sealed BLOB NOT NULL DEFAULT '';

-- Wrong credentials, by the device URI that was claimed.
CREATE TABLE lockout (
  device_uri TEXT PRIMARY KEY,
  failures INTEGER NOT NULL,
  blocked_until BIGINT NOT NULL,
  update_time BIGINT NOT NULL
);
CREATE INDEX lockout_by_time ON lockout (update_time);

-- Large objects that devices are sending, chunk by chunk.
CREATE TABLE object_chunk (
  token TEXT NOT NULL,
  number INTEGER NOT NULL,
  data BLOB NOT NULL,
  PRIMARY KEY (token, number)
);

-- Data keys of encrypted virtual machines, sealed by the device for our public key.
CREATE TABLE key_escrow (
  device TEXT NOT NULL,
  virtual_machine TEXT NOT NULL,
  sealed_key BLOB NOT NULL,
  PRIMARY KEY (device, virtual_machine)
);

-- Our own keys; the private half is sealed.
CREATE TABLE server_key (
  name TEXT PRIMARY KEY,
  public_key BLOB NOT NULL,
  private_key BLOB NOT NULL
);
)sql";

}  // namespace

Schema GetSchema() { return {.component = "server", .migrations = {kVersion1, kVersion2}}; }

}  // namespace virmo::server
