#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An OMA DM server written from the specification alone, to be a stranger to dm-bridge.

It shares no code with VirMO: own messages, own digests, Python's standard library only. It speaks
one scenario with the device that calls it and prints one line for each thing it saw, `ok WHAT` or
`FAIL WHAT: WHY`; it ends with 0 when all went well. Usage: dm_server.py SCENARIO PORT_FILE
"""

import base64
import hashlib
import os
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree
from xml.sax.saxutils import escape

USER, SECRET = "vm-device-01", "devsecret"
SERVER, SERVER_SECRET = "virmo-server", "srvsecret"


def b64(octets):
    return base64.b64encode(octets).decode()


def md5(octets):
    return hashlib.md5(octets).digest()


def digest(user, secret, nonce):
    return b64(md5(b64(md5(f"{user}:{secret}".encode())).encode() + b":" + nonce))


def mac(user, secret, nonce, body):
    inner = b64(md5(f"{user}:{secret}".encode())).encode()
    return b64(md5(inner + b":" + nonce + b":" + b64(md5(body)).encode()))


def strip(element):
    for node in element.iter():
        node.tag = node.tag.split("}")[-1]
    return element


def text(element, path, default=""):
    found = element.find(path)
    return default if found is None or found.text is None else found.text


class Message:
    """What the device said."""

    def __init__(self, body, headers):
        self.body = body
        self.hmac = headers.get("x-syncml-hmac")
        self.root = strip(ElementTree.fromstring(body))
        self.session = text(self.root, "SyncHdr/SessionID")
        self.id = text(self.root, "SyncHdr/MsgID")
        self.version = text(self.root, "SyncHdr/VerProto")
        self.cred = text(self.root, "SyncHdr/Cred/Data", None)
        self.final = self.root.find("SyncBody/Final") is not None
        self.commands = [c for c in self.root.find("SyncBody") if c.tag != "Final"]

    def statuses(self):
        return {(text(c, "Cmd"), text(c, "CmdRef")): text(c, "Data")
                for c in self.commands if c.tag == "Status"}

    def status(self, cmd_ref):
        for (_, ref), code in self.statuses().items():
            if ref == cmd_ref:
                return code
        return None

    def status_items(self, cmd_ref):
        for c in self.commands:
            if c.tag == "Status" and text(c, "CmdRef") == cmd_ref:
                return [text(i, "Data") for i in c.findall("Item")]
        return []

    def results(self, cmd_ref):
        return [i for c in self.commands if c.tag == "Results" and text(c, "CmdRef") == cmd_ref
                for i in c.findall("Item")]

    def alerts(self):
        return [text(c, "Data") for c in self.commands if c.tag == "Alert"]

    def next_nonce(self):
        for c in self.commands:
            if c.tag == "Status" and text(c, "CmdRef") == "0":
                nonce = text(c, "Chal/Meta/NextNonce", None)
                return None if nonce is None else base64.b64decode(nonce)
        return None


class Server:
    def __init__(self, scenario):
        self.client_nonce = bytes(range(1, 17))
        self.server_nonce = bytes(range(17, 33))
        self.failures = 0
        self.done = threading.Event()
        self.lock = threading.Lock()
        self.use_mac = scenario == "mac"
        self.old_only = scenario == "dm12"
        self.xmlns = scenario != "dm12"
        self.scenario = getattr(self, "scenario_" + scenario)()
        self.message = None
        self.url = None
        self.challenged = False
        self.answer = None
        self.last_body = None

    def check(self, what, condition, why=""):
        print(("ok " if condition else "FAIL ") + what + ("" if condition else f": {why}"),
              flush=True)
        self.failures += not condition
        return condition

    # One message of ours. `commands` is what comes after the statuses.
    def build(self, code, commands="", final=True, refuse=None, cred=True, resp_uri="", max_size=0):
        m = self.message
        statuses = []
        chal = ""
        if code in ("401", "407", "212") or self.use_mac:
            self.client_nonce = os.urandom(16)
            kind = "syncml:auth-MAC" if self.use_mac else "syncml:auth-md5"
            chal = (f"<Chal><Meta><Type xmlns='syncml:metinf'>{kind}</Type>"
                    f"<Format xmlns='syncml:metinf'>b64</Format><NextNonce xmlns='syncml:metinf'>"
                    f"{b64(self.client_nonce)}</NextNonce></Meta></Chal>")
        number = 1
        statuses.append(f"<Status><CmdID>1</CmdID><MsgRef>{m.id}</MsgRef><CmdRef>0</CmdRef>"
                        f"<Cmd>SyncHdr</Cmd>{chal}<Data>{code}</Data></Status>")
        for c in m.commands:
            if c.tag in ("Status", "Results"):
                continue
            number += 1
            statuses.append(f"<Status><CmdID>{number}</CmdID><MsgRef>{m.id}</MsgRef><CmdRef>"
                            f"{text(c, 'CmdID')}</CmdRef><Cmd>{c.tag}</Cmd>"
                            f"<Data>{refuse or '200'}</Data></Status>")
        proof = ""
        if cred and not self.use_mac:
            proof = ("<Cred><Meta><Format xmlns='syncml:metinf'>b64</Format><Type "
                     "xmlns='syncml:metinf'>syncml:auth-md5</Type></Meta><Data>"
                     f"{digest(SERVER, SERVER_SECRET, self.server_nonce)}</Data></Cred>")
        resp = f"<RespURI>{self.url}{resp_uri}</RespURI>" if resp_uri else ""
        meta = (f"<Meta><MaxMsgSize xmlns='syncml:metinf'>{max_size}</MaxMsgSize></Meta>"
                if max_size else "")
        space = " xmlns='SYNCML:SYNCML1.2'" if self.xmlns else ""
        return (f"<?xml version='1.0' encoding='UTF-8'?>\n<SyncML{space}>\n<SyncHdr>"
                f"<VerDTD>1.2</VerDTD><VerProto>{m.version}</VerProto>"
                f"<SessionID>{m.session}</SessionID><MsgID>{m.id}</MsgID>"
                f"<Target><LocURI>{text(m.root, 'SyncHdr/Source/LocURI')}</LocURI></Target>"
                f"<Source><LocURI>{self.url}</LocURI></Source>{resp}{proof}{meta}</SyncHdr>"
                f"<SyncBody>{''.join(statuses)}{commands}{'<Final/>' if final else ''}"
                "</SyncBody></SyncML>")

    def proven(self):
        m = self.message
        if not self.use_mac:
            return m.cred == digest(USER, SECRET, self.client_nonce)
        given = re.search(r"mac=([^,\s]+)", m.hmac or "")
        name = re.search(r'username="([^"]*)"', m.hmac or "")
        return bool(given and name and name.group(1) == USER and
                    given.group(1) == mac(USER, SECRET, self.client_nonce, m.body))

    def handle(self, path, headers, body):
        with self.lock:
            if body == self.last_body:  # Said again: our answer was lost.
                return self.answer
            self.message = Message(body, headers)
            if self.message.next_nonce() is not None:
                self.server_nonce = self.message.next_nonce()
            try:
                reply = self.scenario.send(path)
            except StopIteration:
                self.done.set()
                reply = self.build("212" if self.proven() else "200")
            self.last_body = body
            self.answer = reply.encode()
            return self.answer

    # auth-md5 both ways, every kind of command, a large object each way, a question, an abort.
    def scenario_full(self):
        path = yield
        m = self.message
        self.check("package 1 has 1201 and DevInfo", m.alerts()[0] == "1201" and any(
            c.tag == "Replace" for c in m.commands), m.alerts())
        self.check("DM/1.3 first", m.version == "DM/1.3", m.version)
        self.check("md5 by the account's nonce", self.proven(), m.cred)
        yield_path = yield self.build("407", refuse="407", cred=False)  # As if it were not.
        m = self.message
        self.check("it begins anew with the challenge's nonce", self.proven(), m.cred)
        self.check("same session, next message", m.id == "2", m.id)
        self.server_nonce = b"a wrong nonce"  # The device must not believe us yet.
        get = "<Get><CmdID>20</CmdID><Item><Target><LocURI>./DevInfo/Man</LocURI></Target></Item></Get>"
        yield_path = yield self.build("212", get, resp_uri="?sid=7")
        m = self.message
        self.check("RespURI is followed", yield_path.endswith("?sid=7"), yield_path)
        self.check("a wrong server is challenged", m.status("0") == "401", m.statuses())
        self.check("and nothing done", m.status("20") == "401" and not m.results("20"), m.statuses())
        sequence = (
            "<Sequence><CmdID>21</CmdID>"
            "<Get><CmdID>22</CmdID><Item><Target><LocURI>./VirMO/VMs</LocURI></Target></Item></Get>"
            "<Exec><CmdID>23</CmdID><Correlator>c23</Correlator><Item><Target><LocURI>./VirMO/VMs/"
            "3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10/Operations/Start</LocURI></Target></Item></Exec>"
            "</Sequence>")
        yield self.build("200", get + sequence)
        m = self.message
        self.check("212 for the right one", m.status("0") == "212", m.statuses())
        self.check("Get", [text(i, "Data") for i in m.results("20")] == ["VirMO"], m.body)
        self.check("Sequence", m.status("21") == "200" and m.status("22") == "200", m.statuses())
        self.check("Exec is accepted", m.status("23") == "202", m.statuses())
        # A large object to the device, which must not exist there: all chunks, one outcome.
        size = 3000
        chunk = ("<Add><CmdID>{0}</CmdID><Item><Target><LocURI>./VirMO/Provision/big/Name</LocURI>"
                 "</Target><Meta>{1}<Format xmlns='syncml:metinf'>chr</Format></Meta><Data>{2}"
                 "</Data>{3}</Item></Add>")
        first = chunk.format(30, f"<Size xmlns='syncml:metinf'>{size}</Size>", "x" * 2000,
                             "<MoreData/>")
        yield self.build("200", first, final=False, cred=False)
        m = self.message
        self.check("213 for a chunk", m.status("30") == "213", m.statuses())
        self.check("1222 asks for the rest", "1222" in m.alerts() and not m.final, m.alerts())
        yield self.build("200", chunk.format(31, "", "x" * 999, ""), cred=False)
        self.check("424 for a wrong size", self.message.status("31") == "424",
                   self.message.statuses())
        # And one from it.
        struct = ("<Get><CmdID>40</CmdID><Item><Target><LocURI>./VirMO?list=StructData</LocURI>"
                  "</Target></Item></Get>")
        yield self.build("200", struct, cred=False, max_size=2048)
        items, messages = 0, 1
        while True:
            m = self.message
            self.check("MaxMsgSize is heeded", len(m.body) <= 2048, len(m.body))
            items += len(m.results("40"))
            if m.final or messages > 60:
                break
            messages += 1
            yield self.build("200", "<Alert><CmdID>90</CmdID><Data>1222</Data></Alert>", final=False,
                             cred=False, max_size=2048)
        self.check("a list comes in several messages", messages > 2 and items > 20,
                   f"{messages} {items}")
        # A question that nobody is there to answer, with defaults.
        question = ("<Alert><CmdID>50</CmdID><Data>1101</Data><Item><Data>MINDT=1&amp;MAXDT=9&amp;"
                    "DR=0</Data></Item><Item><Data>Sure?</Data></Item></Alert>"
                    "<Alert><CmdID>51</CmdID><Data>1104</Data><Item><Data>DR=1-3</Data></Item><Item>"
                    "<Data>Which?</Data></Item><Item><Data>a</Data></Item><Item><Data>b</Data></Item>"
                    "<Item><Data>c</Data></Item></Alert>")
        bypassed = ("<Sequence><CmdID>52</CmdID><Alert><CmdID>53</CmdID><Data>1101</Data><Item><Data>"
                    "DR=0</Data></Item><Item><Data>Go on?</Data></Item></Alert><Get><CmdID>54</CmdID>"
                    "<Item><Target><LocURI>./DevInfo</LocURI></Target></Item></Get></Sequence>")
        broken = ("<Frobnicate><CmdID>55</CmdID></Frobnicate><Get><CmdID>56</CmdID><Item><Target>"
                  "<LocURI>./No/Such</LocURI></Target></Item></Get>")
        yield self.build("200", question + bypassed + broken, cred=False, max_size=65536)
        m = self.message
        self.check("no is 304", m.status("50") == "304", m.statuses())
        self.check("choices by default", m.status_items("51") == ["1", "3"], m.status_items("51"))
        self.check("no bypasses the Sequence", m.status("54") == "215", m.statuses())
        self.check("an unknown command harms itself", m.status("55") == "400", m.statuses())
        self.check("what is not there", m.status("56") == "404", m.statuses())
        # We give up: the device says nothing more in this session.
        session = m.session
        yield self.build("200", "<Alert><CmdID>60</CmdID><Data>1223</Data></Alert>", cred=False)
        self.check("after 1223 a new session", self.message.session != session,
                   self.message.session)
        self.check("with the nonce of the last", self.proven(), self.message.cred)

    # auth-MAC over the octets, each message with a fresh nonce.
    def scenario_mac(self):
        yield
        self.check("first MAC", self.proven(), self.message.hmac)
        get = "<Get><CmdID>{0}</CmdID><Item><Target><LocURI>./DevInfo/Mod</LocURI></Target></Item></Get>"
        for i in range(4):
            yield self.build("200", get.format(20 + i))
            m = self.message
            self.check("MAC of the next", self.proven(), m.hmac)
            self.check("never 212", m.status("0") == "200", m.statuses())
            self.check("Get", m.status(str(20 + i)) == "200", m.statuses())
            self.check("a fresh nonce for us", m.next_nonce() is not None, m.statuses())

    # Knows DM/1.2 only, and sends no namespace.
    def scenario_dm12(self):
        yield
        self.check("DM/1.3 first", self.message.version == "DM/1.3", self.message.version)
        yield self.build("400", refuse="400", cred=False)
        m = self.message
        self.check("then DM/1.2", m.version == "DM/1.2", m.version)
        self.check("proven", self.proven(), m.cred)
        yield self.build("212", "<Get><CmdID>9</CmdID><Item><Target><LocURI> ./DevInfo/DevId\n"
                         "</LocURI></Target></Item></Get>")
        self.check("Get", len(self.message.results("9")) == 1, self.message.statuses())
        yield self.build("200", cred=False)
        self.check("DM/1.2 is remembered", self.message.version == "DM/1.2", self.message.version)


def main():
    server = Server(sys.argv[1])
    server.scenario.send(None)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                reply = server.handle(self.path, self.headers, body)
            except Exception as error:  # Shown, and counted.
                server.check("the device's message", False, f"{error!r}: {body!r}")
                server.done.set()
                reply = b""
            self.send_response(200 if reply else 500)
            self.send_header("Content-Type", "application/vnd.syncml.dm+xml")
            if server.use_mac and reply:
                value = mac(SERVER, SERVER_SECRET, server.server_nonce, reply)
                self.send_header("x-syncml-hmac",
                                 f'algorithm=MD5, username="{SERVER}", mac={value}')
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_port}/dm"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    with open(sys.argv[2] + ".new", "w") as file:
        file.write(server.url)
    os.rename(sys.argv[2] + ".new", sys.argv[2])
    server.check("all of the scenario", server.done.wait(90), "the device stopped calling")
    http.shutdown()
    sys.exit(1 if server.failures else 0)


main()
