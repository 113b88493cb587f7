"""Postfix policy delegation: the protocol by raw sockets, and the behaviour that Postfix depends on."""
import socket
import time
import unittest

from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, rbldnsd

LISTED, CLEAN = "203.0.113.9", "198.51.100.7"


def request(recipient="bob@test.example", client=CLEAN, state="RCPT", **more):
    attrs = {"request": "smtpd_access_policy", "protocol_state": state, "protocol_name": "ESMTP", "client_address": client,
             "client_name": "unknown", "client_port": "4711", "reverse_client_name": "unknown", "server_address": "127.0.0.1",
             "server_port": "25", "helo_name": "client.example", "sender": "ann@sender.example", "recipient": recipient,
             "recipient_count": "0", "queue_id": "", "instance": "1.2.3.0", "size": "0", "etrn_domain": "", "stress": "",
             "sasl_method": "", "sasl_username": "", "sasl_sender": "", "ccert_subject": "", "ccert_issuer": "", "ccert_fingerprint": "",
             "ccert_pubkey_fingerprint": "", "encryption_protocol": "", "encryption_cipher": "", "encryption_keysize": "0", "policy_context": ""}
    attrs.update(more)
    return ("".join("%s=%s\n" % a for a in attrs.items()) + "\n").encode()


class PolicyPort(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        dns, port = rbldnsd(cls.d, "bl.test", ":127.0.0.2:Listed $\n127.0.0.2\n203.0.113.0/24\n")
        cls.addClassCleanup(dns.stop)
        cls.pd = Policyd(cls.d, zones=['{ zone = "bl.test"; points = 6.0; }'], resolver=port)
        cls.addClassCleanup(cls.pd.close)
        cls.pd.set("mailbox:open@test.example", dnsbl="off")

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.pd.policy_port), timeout=10)
        self.addCleanup(s.close)
        return s

    def ask(self, s, data):
        s.sendall(data)
        return self.answer(s)

    def answer(self, s):
        got = b""
        while not got.endswith(b"\n\n"):
            more = s.recv(4096)
            self.assertTrue(more, "closed after %r" % got)
            got += more
        self.assertEqual(got.count(b"\n\n"), 1)
        return got.decode().strip()

    def test_persistent(self):
        s = self.connect()
        for _ in range(50):
            self.assertEqual(self.ask(s, request()), "action=DUNNO")

    def test_listed(self):
        s = self.connect()
        self.assertRegex(self.ask(s, request(client=LISTED)), r"^action=550 5\.7\.1 Service unavailable; client \[203.0.113.9\] blocked using bl\.test \(ref [A-Z2-7]{14}\)$")
        self.assertEqual(self.ask(s, request("open@test.example", client=LISTED)), "action=DUNNO")
        self.assertEqual(self.ask(s, request(client=LISTED, sasl_username="ann")), "action=DUNNO")
        self.assertEqual(self.ask(s, request(client=LISTED, policy_context="submission")), "action=DUNNO")

    def test_other_states(self):
        s = self.connect()
        for state in ("CONNECT", "EHLO", "MAIL", "DATA", "END-OF-MESSAGE", "VRFY", "ETRN", "NONSENSE"):
            self.assertEqual(self.ask(s, request(client=LISTED, state=state)), "action=DUNNO")

    def test_cut_anywhere(self):
        data = request(client=LISTED)
        for size in (1, 2, 7, 100):
            s = self.connect()
            for at in range(0, len(data), size):
                s.sendall(data[at:at + size])
            self.assertTrue(self.answer(s).startswith("action=550"))

    def test_two_at_once(self):
        s = self.connect()
        s.sendall(request() + request(client=LISTED))
        got = b""
        while got.count(b"\n\n") < 2:
            got += s.recv(4096)
        first, second = got.decode().strip().split("\n\n")
        self.assertEqual(first, "action=DUNNO")
        self.assertTrue(second.startswith("action=550"))

    def test_bad_requests(self):
        for bad in (b"\n", b"nonsense\n\n", b"request=other\n\n", b"a=b\n\n", b"request=smtpd_access_policy\nx\0y=1\n\n",
                    b"request=smtpd_access_policy\n" + b"a=b\n" * 200 + b"\n", b"\xff\xfe\n\n"):
            s = self.connect()
            self.assertEqual(self.ask(s, bad), "action=DUNNO")
            if not bad.startswith(b"\n"):
                self.assertEqual(self.ask(s, request()), "action=DUNNO")
        self.assertIn("policy request refused", self.pd.log())

    def test_too_large(self):
        s = self.connect()
        s.sendall(b"request=smtpd_access_policy\nsender=" + b"x" * 20000)
        self.assertEqual(self.answer(s), "action=DUNNO")
        try:                                             # then it hangs up, in whatever way TCP lets it
            self.assertEqual(s.recv(100), b"")
        except ConnectionResetError:
            pass

    def test_nothing_hostile_comes_back(self):
        s = self.connect()
        for evil in ("a\raction=OK@test.example", "\u00fc\u0000@x", "x" * 3000 + "@test.example", "%s%n@test.example"):
            answer = self.ask(s, request(evil.replace("\0", ""), client=LISTED))
            self.assertRegex(answer, r"^action=[ -~]+$")

    def test_many_idle_clients(self):
        idle = [self.connect() for _ in range(300)]
        for s in idle[::2]:
            s.sendall(b"request=smtpd_acc")
        s = self.connect()
        start = time.monotonic()
        self.assertEqual(self.ask(s, request()), "action=DUNNO")
        self.assertLess(time.monotonic() - start, 0.2)


if __name__ == "__main__":
    unittest.main()
