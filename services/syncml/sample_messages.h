// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "services/syncml/message.h"

// Messages that several tests use.
namespace virmo::syncml {

// A message with this body.
inline std::string XmlWithBody(absl::string_view body) {
  return absl::StrCat(
      "<SyncML xmlns=\"SYNCML:SYNCML1.2\"><SyncHdr><VerDTD>1.2</VerDTD>"
      "<VerProto>DM/1.2</VerProto><SessionID>1</SessionID><MsgID>1</MsgID>"
      "<Target><LocURI>urn:x:d1</LocURI></Target><Source><LocURI>http://s/dm</LocURI></Source>"
      "</SyncHdr><SyncBody>",
      body, "</SyncBody></SyncML>");
}

// Package 1 with md5 credentials and the outcome of an operation.
inline constexpr absl::string_view kPackage1 = R"(<SyncML xmlns="SYNCML:SYNCML1.2">
 <SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.3</VerProto><SessionID>1F</SessionID><MsgID>1</MsgID>
  <Target><LocURI>https://virmo.example/dm</LocURI></Target>
  <Source><LocURI>urn:uuid:6f1c1f0e-0000-4000-8000-000000000001</LocURI><LocName>vm-device-01</LocName></Source>
  <Cred><Meta><Format xmlns="syncml:metinf">b64</Format><Type xmlns="syncml:metinf">syncml:auth-md5</Type></Meta>
   <Data>28VEUorkC0Iy6PUWFw5OKQ==</Data></Cred>
  <Meta><MaxMsgSize xmlns="syncml:metinf">65536</MaxMsgSize><MaxObjSize xmlns="syncml:metinf">1048576</MaxObjSize></Meta>
 </SyncHdr>
 <SyncBody>
  <Alert><CmdID>1</CmdID><Data>1200</Data></Alert>
  <Alert><CmdID>2</CmdID><Data>1226</Data><Correlator>c7</Correlator>
   <Item><Source><LocURI>./VirMO/VMs/3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10/Operations/Start</LocURI></Source>
    <Meta><Format xmlns="syncml:metinf">xml</Format><Type xmlns="syncml:metinf">urn:oma:at:virmo:1.0:Start</Type><Mark xmlns="syncml:metinf">informational</Mark></Meta>
    <Data><![CDATA[<OpResult><ResultCode>1200</ResultCode><Identifier>3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10</Identifier><State>30</State><LockState>30</LockState><AlertID>a1</AlertID><Time>20250101T120000Z</Time></OpResult>]]></Data></Item></Alert>
  <Replace><CmdID>3</CmdID>
   <Item><Source><LocURI>./DevInfo/DevId</LocURI></Source><Data>urn:uuid:6f1c1f0e-0000-4000-8000-000000000001</Data></Item>
   <Item><Source><LocURI>./DevInfo/Man</LocURI></Source><Data>Example</Data></Item>
   <Item><Source><LocURI>./DevInfo/Mod</LocURI></Source><Data>Hypervisor box</Data></Item>
   <Item><Source><LocURI>./DevInfo/DmV</LocURI></Source><Data>1.0</Data></Item>
   <Item><Source><LocURI>./DevInfo/Lang</LocURI></Source><Data>en</Data></Item>
  </Replace>
  <Final/>
 </SyncBody>
</SyncML>
)";

// A message that has a value in every member of the model.
inline Message FullMessage() {
  const Meta meta = {.format = "chr",
                     .type = "text/plain",
                     .mark = "warning",
                     .next_nonce = "ERITFBUWFxgZGhscHR4fIA==",
                     .size = 90000,
                     .max_msg_size = 65536,
                     .max_obj_size = 1048576};
  const Cred cred = {.meta = {.format = "b64", .type = "syncml:auth-md5"}, .data = "AAEC"};
  Item item = MakeTargetItem("./A/B", " white\r\n <b>&amp;]]> \xC3\xA9\t");
  item.source = Location{.uri = "./C", .name = "name"};
  item.source_parent = "./P";
  item.target_parent = "./Q";
  item.meta = meta;
  item.more_data = true;

  Message message;
  message.header = {.session_id = "1F",
                    .msg_id = "2",
                    .target = {.uri = "https://s/dm", .name = ""},
                    .source = {.uri = "urn:x:d1", .name = "dev"},
                    .resp_uri = "https://s/dm?a=1&b=2",
                    .cred = cred,
                    .meta = meta,
                    .no_resp = true};
  Command& status = message.body.emplace_back(
      MakeHeaderStatus("1", message.header, StatusCode::kInvalidCredentials));
  status.cred = cred;
  status.chal = Chal{.meta = meta};
  status.items = {item};

  Command results = MakeStatus("2", "1", status, StatusCode::kOk);
  results.kind = CommandKind::kResults;
  results.data.clear();
  results.cmd.clear();
  results.meta = meta;
  results.target_refs = {"./A"};
  results.source_refs = {"./B"};
  results.items = {item, MakeSourceItem("./E", "")};
  message.body.push_back(results);

  Command alert = MakeAlert("3", AlertCode::kGeneric);
  alert.correlator = "c7";
  alert.items = {item};
  message.body.push_back(alert);

  int id = 4;
  Command sequence;
  sequence.kind = CommandKind::kSequence;
  sequence.cmd_id = absl::StrCat(id++);
  Command atomic = sequence;
  atomic.kind = CommandKind::kAtomic;
  atomic.cmd_id = absl::StrCat(id++);
  atomic.meta = meta;
  for (const CommandKind kind : {CommandKind::kAdd, CommandKind::kCopy, CommandKind::kDelete,
                                 CommandKind::kExec, CommandKind::kGet, CommandKind::kReplace}) {
    Command command;
    command.kind = kind;
    command.cmd_id = absl::StrCat(id++);
    command.meta = meta;
    command.cred = cred;
    if (kind == CommandKind::kExec) command.correlator = "c8";
    command.items = {item, MakeTargetItem("./D")};
    atomic.children.push_back(command);
  }
  sequence.children = {atomic};
  message.body.push_back(sequence);
  message.final = true;
  return message;
}

}  // namespace virmo::syncml
