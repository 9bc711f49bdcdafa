# SPDX-License-Identifier: Apache-2.0
"""An OMA DM 1.2 client that shares no code with VirMO: its own XML, WBXML, MD5 credentials and MAC, of
Python's standard library alone. It has the habits of deployed clients, odd but legal: see Habits."""
import base64
import gzip
import hashlib
import http.client
import os
import re
import urllib.parse
import zlib
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

# WBXML tokens of code pages 0 (SyncML) and 1 (MetInf), OMA-TS-SyncML-RepPro.
PAGE0 = {name: 5 + i for i, name in enumerate(
    "Add Alert Archive Atomic Chal Cmd CmdID CmdRef Copy Cred Data Delete Exec Final Get Item Lang "
    "LocName LocURI Map MapItem Meta MsgID MsgRef NoResp NoResults Put Replace RespURI Results "
    "Search Sequence SessionID SftDel Source SourceRef Status Sync SyncBody SyncHdr SyncML Target "
    "TargetRef".split())}
PAGE0.update({"VerDTD": 0x31, "VerProto": 0x32, "MoreData": 0x34, "Correlator": 0x3C})
PAGE1 = {name: 5 + i for i, name in enumerate(
    "Anchor EMI Format FreeID FreeMem Last Mark MaxMsgSize Mem MetInf Next NextNonce SharedMem Size "
    "Type Version MaxObjSize".split())}
NAMES = {(0, token): name for name, token in PAGE0.items()}
NAMES.update({(1, token): name for name, token in PAGE1.items()})


def md5_base64(octets):
    return base64.b64encode(hashlib.md5(octets).digest())


def digest(user, secret, nonce):
    """Cred/Data of auth-md5: B64(H(B64(H(user:secret)):nonce))."""
    return md5_base64(md5_base64(f"{user}:{secret}".encode()) + b":" + nonce).decode()


def mac(user, secret, nonce, body):
    """The mac of x-syncml-hmac, over the octets on the wire."""
    return md5_base64(md5_base64(f"{user}:{secret}".encode()) + b":" + nonce + b":" +
                      md5_base64(body)).decode()


@dataclass
class Node:
    """An element: text or children."""
    name: str
    text: str = ""
    children: list = field(default_factory=list)

    def find(self, path):
        node = self
        for name in path.split("/"):
            node = next((child for child in node.children if child.name == name), None)
            if node is None:
                return None
        return node

    def get(self, path, default=""):
        node = self.find(path)
        return default if node is None else node.text

    def all(self, name):
        return [child for child in self.children if child.name == name]


def element(name, *content):
    """element("Cmd", "text") or element("Item", child, child)."""
    if len(content) == 1 and isinstance(content[0], str):
        return Node(name, content[0])
    return Node(name, "", [child for child in content if child is not None])


def to_xml(node, xmlns):
    """Without namespaces at all, as Funambol's and libdmclient's, or with them on each element."""
    space = ""
    if xmlns and node.name == "SyncML":
        space = ' xmlns="SYNCML:SYNCML1.2"'
    if xmlns and node.name in PAGE1:
        space = ' xmlns="syncml:metinf"'
    if not node.children:
        text = escape(node.text)
        if "<" in node.text and node.name == "Data":
            text = "<![CDATA[" + node.text + "]]>"
        return f"<{node.name}{space}>{text}</{node.name}>" if text else f"<{node.name}{space}/>"
    inside = "\n".join(to_xml(child, xmlns) for child in node.children)
    return f"<{node.name}{space}>\n{inside}\n</{node.name}>"


def from_xml(octets):
    def convert(tree):
        name = re.sub(r"\{.*\}", "", tree.tag)
        return Node(name, tree.text or "" if len(tree) == 0 else "", [convert(c) for c in tree])
    return convert(ElementTree.fromstring(octets))


def to_wbxml(node):
    """WBXML 1.2 with the public identifier in the string table, as in the field."""
    fpi = b"-//SYNCML//DTD SyncML 1.2//EN"
    out = bytearray(b"\x02\x00\x00\x6a" + bytes([len(fpi)]) + fpi)
    page = [0]

    def write(element):
        wanted = 1 if element.name in PAGE1 and element.name not in PAGE0 else 0
        if page[0] != wanted:
            out.extend([0, wanted])
            page[0] = wanted
        token = (PAGE1 if wanted else PAGE0)[element.name]
        if not element.children and not element.text:
            out.append(token)
            return
        out.append(token | 0x40)
        if element.text:
            out.extend(b"\x03" + element.text.encode() + b"\x00")
        for child in element.children:
            write(child)
        out.append(1)
    write(node)
    return bytes(out)


def from_wbxml(octets):
    at = [1]

    def number():
        value = 0
        while True:
            octet = octets[at[0]]
            at[0] += 1
            value = value << 7 | octet & 0x7F
            if not octet & 0x80:
                return value
    if number() == 0:
        number()
    number()
    length = number()
    table = octets[at[0]:at[0] + length]
    at[0] += length
    page, stack, root = 0, [], None
    while at[0] < len(octets):
        token = octets[at[0]]
        at[0] += 1
        if token == 0:
            page = octets[at[0]]
            at[0] += 1
        elif token == 1:
            stack.pop()
        elif token == 3:
            end = octets.index(b"\0", at[0])
            stack[-1].text += octets[at[0]:end].decode()
            at[0] = end + 1
        elif token == 0x83:
            start = number()
            stack[-1].text += table[start:table.index(b"\0", start)].decode()
        elif token == 0xC3:
            size = number()
            stack[-1].text += octets[at[0]:at[0] + size].decode("utf-8", "replace")
            at[0] += size
        else:
            node = Node(NAMES[(page, token & 0x3F)])
            if stack:
                stack[-1].children.append(node)
            root = root or node
            if token & 0x40:
                stack.append(node)
    return root


@dataclass
class Habits:
    """What a client may do its own way."""
    ver_proto: str = "DM/1.2"
    wbxml: bool = False
    xmlns: bool = False
    content_type: str = "application/vnd.syncml.dm+xml; charset=utf-8"
    coding: str = ""                 # gzip or deflate, both ways
    auth: str = "md5"                # none (first), basic, md5, mac
    status_last: bool = True         # Status after Results
    wrong_msg_ref: bool = False      # as in OMA's own examples
    no_cmd_ref: bool = False         # in Results
    command_meta: bool = True        # Meta at command level, Items without
    max_msg_size: int = 0
    final_early: bool = True         # Final also while the server's package goes on
    chunk: int = 0                   # splits Results' data into pieces of so many characters
    check_server: bool = True


class Peer:
    """One device. `tree` has its leaves."""

    def __init__(self, account, habits, connect=None):
        self.account = account
        self.habits = habits
        self.tree = {}
        self.alerts = []             # (type, source, correlator, format, data)
        self.executed = []           # (uri, correlator, data)
        self.on_exec = lambda uri, data: 200
        self.server_proved = False
        self.nonce = base64.b64decode(account.get("client_nonce", ""))
        self.server_nonce = base64.b64decode(account.get("server_nonce", ""))
        self.session_id = "0"
        self.msg_id = 0
        self.url = account["address"]
        self.seen = []               # every message of the server, as Node
        self.chunks = {}             # large objects coming in, by URI
        self.pending = []            # commands to be sent in later messages
        self.connect = connect or self.default_connect

    @staticmethod
    def default_connect(parts):
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)

    def begin(self, session_id):
        self.session_id = session_id
        self.msg_id = 0
        self.url = self.account["address"]
        self.server_proved = False
        self.pending = []

    # --- messages

    def header(self, credentials=True):
        self.msg_id += 1
        cred = None
        name, secret = self.account["client_name"], self.account["client_secret"]
        if credentials and self.habits.auth == "md5":
            cred = element("Cred", element("Meta", element("Format", "b64"),
                                           element("Type", "syncml:auth-md5")),
                           element("Data", digest(name, secret, self.nonce)))
        if credentials and self.habits.auth == "basic":
            cred = element("Cred", element("Meta", element("Type", "syncml:auth-basic")),
                           element("Data", base64.b64encode(f"{name}:{secret}".encode()).decode()))
        size = None
        if self.habits.max_msg_size:
            size = element("Meta", element("MaxMsgSize", str(self.habits.max_msg_size)))
        return element("SyncHdr", element("VerDTD", "1.2"),
                       element("VerProto", self.habits.ver_proto),
                       element("SessionID", self.session_id), element("MsgID", str(self.msg_id)),
                       element("Target", element("LocURI", self.url)),
                       element("Source", element("LocURI", self.account["device_uri"]),
                               element("LocName", name)), cred, size)

    def package1(self, credentials=True):
        """Alert, alerts, DevInfo: one Replace with several Items that have no Meta."""
        alerts = []
        for i, (kind, source, correlator, form, data) in enumerate(self.alerts):
            alerts.append(element(
                "Alert", element("CmdID", str(10 + i)), element("Data", "1226"),
                element("Correlator", correlator) if correlator else None,
                element("Item", element("Source", element("LocURI", source)),
                        element("Meta", element("Format", form), element("Type", kind)),
                        element("Data", data))))
        info = {"DevId": self.account["device_uri"], "Man": "Elsewhere", "Mod": "Thing",
                "DmV": "0.9", "Lang": "de"}
        items = [element("Item", element("Source", element("LocURI", "./DevInfo/" + leaf)),
                         element("Data", value)) for leaf, value in info.items()]
        body = element("SyncBody",
                       element("Alert", element("CmdID", "1"), element("Data", "1201")), *alerts,
                       element("Replace", element("CmdID", "3"), *items), element("Final"))
        return element("SyncML", self.header(credentials), body)

    def post(self, message):
        """Sends a message; the server's answer."""
        habits = self.habits
        octets = to_wbxml(message) if habits.wbxml else to_xml(message, habits.xmlns).encode()
        headers = {"content-type": habits.content_type, "accept": "*/*"}
        if habits.auth == "mac":
            code = mac(self.account["client_name"], self.account["client_secret"], self.nonce,
                       octets)
            headers["x-syncml-hmac"] = (f'algorithm=MD5, username="{self.account["client_name"]}", '
                                        f'mac={code}')
        if habits.coding:
            headers["content-encoding"] = headers["accept-encoding"] = habits.coding
            octets = (gzip.compress(octets) if habits.coding == "gzip" else zlib.compress(octets))
        parts = urllib.parse.urlsplit(self.url)
        connection = self.connect(parts)
        connection.request("POST", parts.path + ("?" + parts.query if parts.query else ""), octets,
                           headers)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        if answer.status != 200:
            raise ConnectionError(f"HTTP {answer.status}: {body[:300]!r}")
        coding = answer.getheader("content-encoding", "")
        if coding:
            assert coding == habits.coding, coding
            body = gzip.decompress(body) if coding == "gzip" else zlib.decompress(body)
        if habits.max_msg_size:
            assert len(body) <= habits.max_msg_size, (len(body), habits.max_msg_size)
        if habits.auth == "mac":
            self.check_mac(answer.getheader("x-syncml-hmac"), body)
        server = from_wbxml(body) if habits.wbxml else from_xml(body)
        assert server.get("SyncHdr/VerProto") == habits.ver_proto
        assert server.get("SyncHdr/SessionID") == self.session_id
        if server.find("SyncHdr/RespURI") is not None:
            self.url = server.get("SyncHdr/RespURI")
        self.seen.append(server)
        return server

    def check_mac(self, header, body):
        if header is None:
            self.server_proved = False
            return
        code = re.search(r"mac=([A-Za-z0-9+/=]+)", header).group(1)
        self.server_proved = code == mac(self.account["server_name"],
                                         self.account["server_secret"], self.server_nonce, body)
        assert self.server_proved, "the server's MAC is wrong"

    def take_header_status(self, server):
        """The code of the SyncHdr's Status; takes the nonce of a Chal."""
        for status in server.find("SyncBody").all("Status"):
            if status.get("CmdRef") == "0":
                nonce = status.get("Chal/Meta/NextNonce")
                if nonce:
                    self.nonce = base64.b64decode(nonce)
                return int(status.get("Data"))
        raise AssertionError("no Status for SyncHdr")

    # --- a session

    def run(self, most=400):
        """One session to its end; returns how often it was challenged."""
        challenges = 0
        message = self.package1(credentials=self.habits.auth != "none")
        while most > 0:
            most -= 1
            server = self.post(message)
            code = self.take_header_status(server)
            if code in (401, 407):
                challenges += 1
                assert challenges <= 2, "the server refuses us"
                if self.habits.auth == "none":
                    self.habits.auth = "md5"
                message = self.package1()
                continue
            self.alerts = []
            body = server.find("SyncBody")
            commands = [c for c in body.children if c.name not in ("Status", "Final")]
            if not commands and body.find("Final") is not None and not self.pending:
                return challenges
            message = self.reply(server, commands)
        raise AssertionError("the session does not end")

    def reply(self, server, commands):
        msg_ref = server.get("SyncHdr/MsgID")
        if self.habits.wrong_msg_ref:
            msg_ref = str(int(msg_ref) + 7)
        self.cmd_id = 0
        statuses, results = [], []
        known, chal = self.judge_server(server)
        statuses.append(element(
            "Status", element("CmdID", self.next_id()), element("MsgRef", msg_ref),
            element("CmdRef", "0"), element("Cmd", "SyncHdr"), chal, element("Data", known)))
        if known in ("200", "212"):
            for command in commands:
                self.perform(command, msg_ref, statuses, results)
        else:
            statuses += [self.status(command, msg_ref, known) for command in commands
                         if command.name != "Alert"]
        body = statuses[:1] + (results + statuses[1:] if self.habits.status_last
                               else statuses[1:] + results)
        if server.find("SyncBody/Final") is None:
            body.append(element("Alert", element("CmdID", self.next_id()), element("Data", "1222")))
        held = []
        if self.habits.chunk:
            body, held = self.split(body)
        self.pending += held
        if self.pending and not held:
            body += [self.pending.pop(0)]
        if not self.pending and (server.find("SyncBody/Final") is not None
                                 or self.habits.final_early):
            body.append(element("Final"))
        header = self.header(credentials=self.habits.auth == "basic")
        return element("SyncML", header, element("SyncBody", *body))

    def next_id(self):
        self.cmd_id += 1
        return str(self.cmd_id)

    def judge_server(self, server):
        if self.habits.auth == "mac":
            self.server_nonce = os.urandom(16)
            return "200", self.challenge("syncml:auth-MAC")
        if self.server_proved or not self.habits.check_server:
            return "200", None
        given = server.get("SyncHdr/Cred/Data").strip()
        right = digest(self.account["server_name"], self.account["server_secret"],
                       self.server_nonce)
        self.server_nonce = os.urandom(16)
        if given == right:
            self.server_proved = True
            return "212", self.challenge("syncml:auth-md5")
        return ("401" if given else "407"), self.challenge("syncml:auth-md5")

    def challenge(self, kind):
        nonce = base64.b64encode(self.server_nonce).decode()
        return element("Chal", element("Meta", element("Format", "b64"), element("Type", kind),
                                       element("NextNonce", nonce)))

    def status(self, command, msg_ref, code, uri=""):
        return element("Status", element("CmdID", self.next_id()), element("MsgRef", msg_ref),
                       element("CmdRef", command.get("CmdID")), element("Cmd", command.name),
                       element("TargetRef", uri) if uri else None, element("Data", str(code)))

    def perform(self, command, msg_ref, statuses, results):
        if command.name == "Alert":
            statuses.append(self.status(command, msg_ref, 200))
            return
        if command.name in ("Sequence", "Atomic"):
            statuses.append(self.status(command, msg_ref, 200))
            for child in command.children:
                if child.name not in ("CmdID", "Meta"):
                    self.perform(child, msg_ref, statuses, results)
            return
        for item in command.all("Item"):
            uri = item.get("Target/LocURI")
            code = self.act(command, item, uri, results, msg_ref)
            statuses.append(self.status(command, msg_ref, code, uri))

    def act(self, command, item, uri, results, msg_ref):
        data = item.get("Data")
        if item.find("MoreData") is not None or uri in self.chunks:
            whole = self.chunks.setdefault(uri, {"data": "", "size": item.get("Meta/Size")})
            whole["data"] += data
            if item.find("MoreData") is not None:
                return 213
            del self.chunks[uri]
            if whole["size"] != str(len(whole["data"].encode())):
                return 424
            data = whole["data"]
        if command.name == "Get":
            return self.read(command, uri, results, msg_ref)
        if command.name == "Exec":
            self.executed.append((uri, command.get("Correlator"), data))
            return self.on_exec(uri, data)
        if command.name == "Add":
            if uri in self.tree:
                return 418
            self.tree[uri] = data
            return 201
        if command.name == "Replace":
            if uri not in self.tree:
                return 404
            self.tree[uri] = data
            return 200
        if command.name == "Delete":
            gone = [node for node in self.tree if node == uri or node.startswith(uri + "/")]
            for node in gone:
                del self.tree[node]
            return 200 if gone else 404
        return 405

    def read(self, command, uri, results, msg_ref):
        path, _, query = uri.partition("?list=")
        below = {node: value for node, value in self.tree.items() if node.startswith(path + "/")}
        if path in self.tree:
            items = [(path, "chr", self.tree[path])]
        elif below or path == "./VirMO/VMs":
            names = "/".join(sorted({node[len(path) + 1:].split("/")[0] for node in below}))
            items = [(path, "node", names)]
            if query:
                items += [(node, "chr", value) for node, value in below.items()]
        else:
            return 404
        # One Results for each format: with Meta for the whole command, Items have none.
        for form in ("node", "chr"):
            chosen = [(node, value) for node, kind, value in items if kind == form]
            if not chosen:
                continue
            meta = element("Meta", element("Format", form))
            results.append(element(
                "Results", element("CmdID", self.next_id()),
                element("MsgRef", msg_ref),
                None if self.habits.no_cmd_ref else element("CmdRef", command.get("CmdID")),
                meta if self.habits.command_meta and form == "node" else None,
                *[element("Item", element("Source", element("LocURI", node)),
                          None if self.habits.command_meta else meta, element("Data", value))
                  for node, value in chosen]))
        return 200

    def split(self, body):
        """Results whose data is too long go chunk by chunk, one in each later message."""
        now, later = [], []
        for command in body:
            item = command.find("Item") if command.name == "Results" else None
            data = item.get("Data") if item is not None and len(command.all("Item")) == 1 else ""
            if len(data) <= self.habits.chunk:
                now.append(command)
                continue
            pieces = [data[i:i + self.habits.chunk]
                      for i in range(0, len(data), self.habits.chunk)]
            for i, piece in enumerate(pieces):
                meta = element("Meta", element("Size", str(len(data.encode())))) if i == 0 else None
                last = i + 1 == len(pieces)
                chunk = element("Results", element("CmdID", str(50 + i)),
                                element("MsgRef", command.get("MsgRef")),
                                element("CmdRef", command.get("CmdRef")),
                                element("Item", item.find("Source"), meta, element("Data", piece),
                                        None if last else element("MoreData")))
                (now if i == 0 else later).append(chunk)
        return now, later
