# SPDX-License-Identifier: Apache-2.0
"""The real virmo-server and virmo, and a DM client that shares no code with them (dm_peer.py):
enrolment, sessions, commands and their outcomes, in the ways of third-party clients.

    dm_peer_test.py VIRMO_SERVER VIRMO
"""
import http.client
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dm_peer import Habits, Peer  # noqa: E402

SERVER, VIRMO = "", ""
VM = "3b6f9c4e-8a51-4c51-9d3c-3c0a2f7d1e10"
ROOT = "./VirMO/VMs/" + VM


class Fixture(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="vdm", dir=os.environ.get("TMPDIR", "/tmp"))
        self.http = "127.0.0.1:0"
        self.extra = ""
        self.start()

    def tearDown(self):
        self.server.kill()
        self.server.wait()
        self.log.close()
        shutil.rmtree(self.folder)

    def start(self):
        config = self.folder + "/server.textproto"
        with open(config, "w", encoding="utf-8") as file:
            file.write(f"listener {{ address: 'unix:{self.folder}/s' }}\n"
                       f"state_directory: '{self.folder}/state'\nhttp_address: '{self.http}'\n"
                       + self.extra)
        self.log = open(self.folder + "/log", "ab")
        self.server = subprocess.Popen([SERVER, "--config", config], stdout=self.log,
                                       stderr=self.log)
        end = time.monotonic() + 60
        while self.virmo("server", "show", check=False).returncode != 0:
            self.assertIsNone(self.server.poll(), "the server ended")
            self.assertLess(time.monotonic(), end, "the server does not come up")
            time.sleep(0.05)

    def kill(self):
        self.server.send_signal(signal.SIGKILL)
        self.server.wait()
        self.log.close()

    def virmo(self, *words, check=True):
        result = subprocess.run([VIRMO, "--server", f"unix:{self.folder}/s", *words],
                                capture_output=True, text=True, timeout=120)
        if check and result.returncode != 0:
            self.fail(f"virmo {' '.join(words)}: {result.stderr}")
        return result

    def enrol(self, name="thing-1"):
        path = f"{self.folder}/{name}.account"
        self.virmo("device", "enrol", name, "--account-file", path)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        account = dict(re.findall(r'(\w+): "([^"]*)"', text))
        # Restarts keep the port, as the account has it.
        self.http = account["address"].split("/")[2]
        return account

    def peer(self, **habits):
        peer = Peer(self.enrol(), Habits(**habits))
        peer.tree = {ROOT + "/State": "10", ROOT + "/Name": "web", ROOT + "/Lock/State": "30",
                     ROOT + "/Resources/RAM/Size": "256", "./DevDetail/FwV": "7.1"}
        return peer

    def queue(self, *words):
        return self.virmo(*words, "--no-wait", "-q").stdout.strip()

    def show(self, command):
        return json.loads(self.virmo("command", "show", "thing-1", command, "-o", "json").stdout)

    def state(self, command):
        return self.show(command)["state"].replace("STATE_", "")


class PeerTest(Fixture):
    def whole_scenario(self, **habits):
        """Reads, starts, writes, and hears of it by alert."""
        peer = self.peer(**habits)
        first = peer.run()
        get = self.queue("tree", "get", "thing-1", "./DevDetail/FwV", "./Nowhere")
        start = self.queue("vm", "start", "thing-1", "web")
        peer.on_exec = lambda uri, data: 202
        peer.begin("0")
        peer.run()
        self.assertEqual(self.state(start), "ACCEPTED")
        self.assertEqual(peer.executed[0][0], ROOT + "/Operations/Start")
        peer.tree[ROOT + "/State"] = "30"
        peer.alerts = [("Reversed-Domain-Name: urn:oma:at:virmo:1.0:Start", peer.executed[0][0],
                        peer.executed[0][1], "xml",
                        "<OpResult><ResultCode>1200</ResultCode></OpResult>")]
        peer.begin("0")
        peer.run()
        shown = self.show(get)
        self.assertEqual(shown["state"], "STATE_FAILED")  # One of the two is not there.
        self.assertEqual([node["dm_status"] for node in shown["node_results"]], [200, 404])
        self.assertEqual(shown["node_results"][0]["value"], "7.1")
        self.assertEqual(self.state(start), "CONFIRMED")
        text = self.virmo("command", "show", "thing-1", start).stdout
        self.assertIn("<Exec>", text)
        self.assertIn("<Status>", text)
        self.assertIn("<Alert>", text)
        device = json.loads(self.virmo("device", "show", "thing-1", "-o", "json").stdout)
        self.assertEqual(device["manufacturer"], "Elsewhere")
        self.assertEqual(device["protocol_version"], habits.get("ver_proto", "DM/1.2"))
        return first

    def test_a_plain_dm_1_2_client_without_namespaces(self):
        self.assertEqual(self.whole_scenario(), 0)

    def test_a_client_that_waits_to_be_challenged(self):
        self.assertEqual(self.whole_scenario(auth="none"), 1)

    def test_wbxml_with_a_public_id_in_the_string_table(self):
        self.whole_scenario(wbxml=True, content_type="application/vnd.syncml.dm+wbxml")

    def test_macs_on_every_message(self):
        self.whole_scenario(auth="mac", xmlns=True, ver_proto="DM/1.3")

    def test_macs_over_wbxml(self):
        self.whole_scenario(auth="mac", wbxml=True)

    def test_gzip_both_ways(self):
        self.whole_scenario(coding="gzip", xmlns=True)

    def test_deflate_both_ways_under_a_wrong_content_type(self):
        self.whole_scenario(coding="deflate", content_type="text/plain")

    def test_wrong_msg_refs_and_the_older_content_type(self):
        self.whole_scenario(wrong_msg_ref=True, content_type="application/vnd.syncml+xml")

    def test_statuses_before_results_that_lack_cmd_ref(self):
        self.whole_scenario(status_last=False, no_cmd_ref=True, command_meta=False)

    def test_small_messages(self):
        self.whole_scenario(max_msg_size=1600, final_early=False)

    def test_a_client_that_lost_its_nonces(self):
        peer = self.peer()
        peer.nonce = b"lost"
        peer.server_nonce = b"lost too"
        start = self.queue("vm", "start", "thing-1", VM)
        peer.tree[ROOT + "/State"] = "30"
        self.assertEqual(peer.run(), 1)
        self.assertEqual(self.state(start), "CONFIRMED")
        self.assertEqual(len(peer.executed), 1)

    def test_a_wrong_secret_is_refused_and_then_locked_out(self):
        peer = self.peer()
        peer.run()
        right = peer.account["client_secret"]
        peer.account["client_secret"] = "guess"
        for _ in range(10):
            peer.begin("5")
            try:
                peer.post(peer.package1())
            except ConnectionError as error:
                self.assertIn("503", str(error))
                break
        peer.account["client_secret"] = right
        peer.begin("6")
        with self.assertRaises(ConnectionError):
            peer.run()
        self.kill()
        self.start()  # A restart does not forgive.
        peer.begin("7")
        with self.assertRaises(ConnectionError):
            peer.run()

    def test_basic_is_refused_over_plain_http(self):
        peer = self.peer(auth="basic")
        with self.assertRaises(AssertionError):
            peer.run()
        self.assertEqual(peer.take_header_status(peer.seen[0]), 401)

    def test_unknown_versions(self):
        peer = self.peer()
        for version, code in (("DM/9.9", 513), ("DM/1.1", 513)):
            peer.begin("1")
            peer.habits.ver_proto = version
            message = peer.package1()
            peer.habits.ver_proto = "DM/1.3"
            self.assertEqual(peer.take_header_status(peer.post(message)), code)

    def test_a_large_object_to_the_device(self):
        peer = self.peer(max_msg_size=4000)
        peer.tree["./Ext/Blob"] = "old"
        value = "<&ä>" * 5000
        replace = self.queue("tree", "set", "thing-1", "./Ext/Blob", value)
        peer.run()
        self.assertEqual(peer.tree["./Ext/Blob"], value)
        self.assertEqual(self.show(replace)["attempts"], 1)
        self.assertIn(self.state(replace), ("APPLIED", "CONFIRMED"))

    def test_a_large_object_from_the_device(self):
        peer = self.peer(chunk=1000)
        peer.tree["./Ext/Blob"] = "0123456789" * 700
        get = self.queue("tree", "get", "thing-1", "./Ext/Blob")
        peer.run()
        shown = self.show(get)
        self.assertEqual(shown["state"], "STATE_CONFIRMED", shown["detail"])
        self.assertEqual(shown["node_results"][0]["value"], peer.tree["./Ext/Blob"])

    def test_killed_in_every_session_it_loses_and_repeats_nothing(self):
        peer = self.peer()
        peer.run()
        commands = [self.queue("tree", "exec", "thing-1", f"./Ext/n{i}") for i in range(12)]
        post = peer.post
        countdown = [3]

        def post_and_die(message):
            """The server dies after it answered; the client repeats its last message."""
            octets = message
            while True:
                try:
                    answer = post(octets)
                except OSError:
                    time.sleep(0.05)
                    continue
                countdown[0] -= 1
                if countdown[0] == 0:
                    self.kill()
                    restart = threading.Thread(target=self.start)
                    restart.start()
                    restart.join()
                    countdown[0] = 2
                return answer
        peer.post = post_and_die
        for session in range(3):
            peer.begin(str(session))
            peer.run()
        self.assertEqual(sorted(uri for uri, _, _ in peer.executed),
                         sorted(f"./Ext/n{i}" for i in range(12)))
        for command in commands:
            self.assertEqual(self.state(command), "APPLIED")

    def test_settings_are_written_read_back_and_confirmed(self):
        peer = self.peer()
        peer.run()
        leaves = {"/Resources/CPU/Count": "1", "/Resources/Network/InAverage": "0",
                  "/Peripherals/GPS/Enabled": "false", "/Lock/UserUnlock/Allowed": "false",
                  "/Lock/UserUnlock/Method": "10", "/Lock/UserUnlock/Secret": "",
                  "/Lock/UserUnlock/ValidUntil": "", "/Lock/UserUnlock/OneTime": "false",
                  "/Lock/UserUnlock/WipeAfter": "0"}
        peer.tree.update({ROOT + leaf: value for leaf, value in leaves.items()})

        def execute(uri, _data):
            if uri.endswith("/Peripherals/GPS/Operations/Enable"):
                peer.tree[ROOT + "/Peripherals/GPS/Enabled"] = "true"
            return 200
        peer.on_exec = execute
        secret = self.folder + "/pin"
        with open(secret, "w", encoding="utf-8") as file:
            file.write("4711-geheim\n")
        commands = [
            self.queue("vm", "set", "thing-1", "web", "--memory", "512", "--cpus", "2", "--net-in",
                       "9000"),
            self.queue("vm", "peripheral", "enable", "thing-1", "web", "GPS"),
            self.queue("vm", "share", "thing-1", "web", "*", "--channel", "network"),
            self.queue("vm", "grant-unlock", "thing-1", "web", "--secret-file", secret),
            self.queue("tree", "sequence", "thing-1", "add ./Ext/a=1", "get ./Ext/a",
                       "delete ./Ext/a", "add:int ./Ext/b=05")]
        peer.begin("8")
        peer.run()
        for command in commands:
            self.assertEqual(self.state(command), "CONFIRMED", self.show(command)["timeline"])
        self.assertEqual(peer.tree[ROOT + "/Resources/RAM/Size"], "512")
        self.assertEqual(peer.tree[ROOT + "/Lock/UserUnlock/Secret"], "4711-geheim")
        self.kill()
        for folder, _, files in os.walk(self.folder):
            for name in files:
                path = os.path.join(folder, name)
                if not os.path.isfile(path):
                    continue  # The socket.
                with open(path, "rb") as file:
                    found = b"4711-geheim" in file.read()
                self.assertFalse(found and name != "pin", name)
        self.start()


class TlsPeerTest(Fixture):
    def setUp(self):
        self.keys = tempfile.mkdtemp(prefix="vtls")
        self.make_certificates()
        super().setUp()
        self.kill()
        self.extra = (f"http_tls {{ certificate_file: '{self.keys}/server.pem' "
                      f"key_file: '{self.keys}/server.key' }}\n"
                      f"device_ca_file: '{self.keys}/ca.pem'\nallow_basic: true\n")
        self.start()

    def tearDown(self):
        super().tearDown()
        shutil.rmtree(self.keys)

    def make_certificates(self):
        def openssl(*words):
            subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=self.keys)
        for ca in ("ca", "other"):
            openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", f"/CN={ca}", "-keyout", f"{ca}.key", "-out",
                    f"{ca}.pem")
        for name, subject, ca in (("server", "127.0.0.1", "ca"), ("thing", "thing-1", "ca"),
                                  ("stranger", "thing-1", "other")):
            openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", f"/CN={subject}", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", f"{name}.key", "-out", f"{name}.csr")
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{ca}.pem", "-CAkey",
                    f"{ca}.key", "-CAcreateserial", "-copy_extensions", "copy", "-days", "2",
                    "-out", f"{name}.pem")

    def connect(self, certificate=""):
        def over_tls(parts):
            context = ssl.create_default_context(cafile=self.keys + "/ca.pem")
            if certificate:
                context.load_cert_chain(f"{self.keys}/{certificate}.pem",
                                        f"{self.keys}/{certificate}.key")
            return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=60,
                                               context=context)
        return over_tls

    def test_a_certificate_stands_for_credentials(self):
        peer = self.peer(auth="tls")
        peer.connect = self.connect("thing")
        start = self.queue("vm", "start", "thing-1", VM)
        peer.tree[ROOT + "/State"] = "30"
        self.assertEqual(peer.run(), 0)
        self.assertEqual(self.state(start), "CONFIRMED")
        self.assertEqual(peer.take_header_status(peer.seen[0]), 212)

    def test_a_certificate_of_another_authority_is_refused(self):
        peer = self.peer(auth="tls")
        peer.connect = self.connect("stranger")
        with self.assertRaises(OSError):
            peer.run()

    def test_without_a_certificate_credentials_are_asked_for(self):
        peer = self.peer(auth="tls")
        peer.connect = self.connect()
        self.assertEqual(peer.take_header_status(peer.post(peer.package1())), 407)
        peer.habits.auth = "md5"
        peer.run()

    def test_basic_over_tls(self):
        peer = self.peer(auth="basic")
        peer.connect = self.connect()
        self.assertEqual(peer.run(), 0)
        peer.account["client_secret"] = "guess"
        peer.begin("2")
        self.assertEqual(peer.take_header_status(peer.post(peer.package1())), 401)

    def test_guessing_does_not_lock_a_certificate_out(self):
        peer = self.peer(auth="tls")
        stranger = Peer(dict(peer.account, client_secret="guess"), Habits(), self.connect())
        with self.assertRaises(ConnectionError):
            for i in range(20):
                stranger.begin(str(i))
                stranger.post(stranger.package1())
        peer.connect = self.connect("thing")
        self.assertEqual(peer.run(), 0)


if __name__ == "__main__":
    SERVER, VIRMO = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
