"""Who sent it: SPF, names, DKIM, DMARC, ARC, by a real DNS server; milter and policy server say the same."""
import socket
import time
import unittest

from tests.lib.milter import Milter
from tests.lib.nsd import Nsd
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir
from tests.system.test_policy_port import request

MAIL = b"From: Ann <ann@good.example>\r\nTo: bob@test.example\r\nSubject: minutes\r\nMessage-ID: <1@good.example>\r\n" \
    b"Date: Wed, 25 Nov 2026 10:00:00 +0000\r\n\r\nThe minutes of our meeting are below.\r\n"

GOOD, OTHER, NAMELESS, WRONG = "192.0.2.10", "192.0.2.66", "192.0.2.77", "192.0.2.78"
LONG = " ".join("ip4:198.51.100.%d" % i for i in range(200))     # no room for it in one UDP answer


def strings(text):
    return " ".join('"%s"' % text[i:i + 200] for i in range(0, len(text), 200))


ZONES = {
    "good.example": '@ TXT "v=spf1 ip4:192.0.2.10 -all"\n@ MX 10 mail\nmail A 192.0.2.10\nmail TXT "v=spf1 a -all"\n'
                    '@ TXT "some-site-verification=abc"\n',
    "long.example": "@ TXT %s\n" % strings("v=spf1 %s ip4:192.0.2.10 -all" % LONG) +
                    "".join('@ TXT "filler %d %s"\n' % (i, "x" * 180) for i in range(10)),
    "alias.example": "@ MX 10 mail\nspf CNAME far.good2.example.\nloop CNAME loop2\nloop2 CNAME loop\n",
    "good2.example": 'far TXT "v=spf1 ip4:192.0.2.10 -all"\n',
    "loop.example": '@ TXT "v=spf1 include:loop.example -all"\n',
    "many.example": '@ TXT "v=spf1 %s -all"\n' % " ".join("a:n%d.many.example" % i for i in range(11)) +
                    "".join("n%d A 192.0.2.200\n" % i for i in range(11)),
    "void.example": '@ TXT "v=spf1 a:n1.void.example a:n2.void.example a:n3.void.example ip4:192.0.2.10 -all"\n',
    "2.0.192.in-addr.arpa": "10 PTR mail.good.example.\n66 PTR host.elsewhere.test.\n78 PTR mail.good.example.\n",
}


class Sender(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.dns = Nsd(cls.d, ZONES)
        cls.addClassCleanup(cls.dns.stop)
        cls.pd = Policyd(cls.d, resolver=cls.dns.port, settings='host_name = "mx.test.example";')
        cls.addClassCleanup(cls.pd.close)
        cls.pd.set("strict@test.example", spf_fail="reject")

    def send(self, sender="ann@good.example", client=GOOD, helo="mail.good.example", rcpt="bob@test.example"):
        m = Milter(("127.0.0.1", self.pd.milter_port), client=(client, 4711), helo=helo)
        self.addCleanup(m.close)
        return m.send(MAIL, [rcpt], sender=sender)

    def symbols(self, **how):
        out = self.send(**how)
        status = [value for op, name, value in out["headers"] if name == "X-Spam-Status"]
        self.assertEqual(len(status), 1, out)
        return [t.split("=")[0] for t in "".join(status[0].split()).split("tests=[")[1].split("]")[0].split(",")]

    def ask(self, sender="ann@good.example", client=GOOD, helo="mail.good.example", rcpt="bob@test.example"):
        with socket.create_connection(("127.0.0.1", self.pd.policy_port), timeout=10) as s:
            s.sendall(request(rcpt, client=client, sender=sender, helo_name=helo))
            got = b""
            while not got.endswith(b"\n\n"):
                got += s.recv(4096)
        return got.decode().strip()

    def test_good_sender(self):
        found = self.symbols()
        for symbol in ("SPF_PASS", "SPF_HELO_PASS"):
            self.assertIn(symbol, found)
        self.assertFalse([s for s in found if s.startswith(("RDNS_", "HELO_", "SPF_FAIL"))], found)

    def test_names(self):
        self.assertIn("RDNS_NONE", self.symbols(client=NAMELESS))
        self.assertIn("RDNS_MISMATCH", self.symbols(client=WRONG))
        self.assertIn("RDNS_UNKNOWN", self.symbols(client=OTHER))        # nsd refuses what it has no zone for
        self.assertIn("HELO_IS_US", self.symbols(helo="MX.test.example"))
        self.assertIn("HELO_LITERAL_WRONG", self.symbols(helo="[192.0.2.1]"))
        self.assertNotIn("HELO_LITERAL_WRONG", self.symbols(helo="[192.0.2.10]"))
        self.assertIn("HELO_NOT_FQDN", self.symbols(helo="bad..name"))

    def test_null_sender(self):
        self.assertIn("SPF_PASS", self.symbols(sender=""))
        self.assertIn("SPF_FAIL", self.symbols(sender="", client=NAMELESS))

    def test_answers(self):
        for sender, want in (("a@nothing.good.example", "SPF_NONE"), ("a@long.example", "SPF_PASS"), ("a@spf.alias.example", "SPF_PASS"),
                             ("a@loop.alias.example", "SPF_UNKNOWN"), ("a@loop.example", "SPF_PERMERROR"), ("a@many.example", "SPF_PERMERROR"),
                             ("a@void.example", "SPF_PERMERROR"), ("a@refused.test", "SPF_UNKNOWN")):
            self.assertIn(want, self.symbols(sender=sender), sender)

    def test_both_protocols_refuse_alike(self):
        refusal = r"550 5\.7\.23 good\.example says that \[192\.0\.2\.66\] does not send its mail \(SPF\) \(ref [A-Z2-7]{14}\)"
        kind, text = self.send(client=OTHER, rcpt="strict@test.example")["rcpts"]["strict@test.example"]
        self.assertEqual(kind, "y")
        self.assertRegex(text, "^" + refusal)
        self.assertRegex(self.ask(client=OTHER, rcpt="strict@test.example"), "^action=" + refusal)
        self.assertEqual(self.ask(client=OTHER), "action=DUNNO")
        self.assertEqual(self.ask(rcpt="strict@test.example"), "action=DUNNO")
        self.assertEqual(self.send(rcpt="strict@test.example")["rcpts"]["strict@test.example"][0], "c")

    def test_asked_once(self):
        self.symbols()
        before = self.pd.json("stats")["dns_asked"]
        self.symbols()
        self.ask(rcpt="strict@test.example")
        self.assertEqual(self.pd.json("stats")["dns_asked"], before)

    def test_own_users_are_not_asked_about(self):
        with socket.create_connection(("127.0.0.1", self.pd.policy_port), timeout=10) as s:
            s.sendall(request("strict@test.example", client=OTHER, sender="ann@good.example", sasl_username="ann"))
            self.assertEqual(s.recv(4096), b"action=DUNNO\n\n")

    def test_silent_resolver(self):
        d = Dir()
        self.addCleanup(d.close)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            pd = Policyd(d, resolver=silent.getsockname()[1], settings='host_name = "mx.test.example";')
            self.addCleanup(pd.close)
            pd.set("strict@test.example", spf_fail="reject")
            m = Milter(("127.0.0.1", pd.milter_port), client=(GOOD, 4711))
            start = time.monotonic()
            out = m.send(MAIL, ["bob@test.example"])
            took = time.monotonic() - start
            m.close()
            self.assertEqual(out["reply"][0], "a")
            self.assertIn("SPF_UNKNOWN", str(out["headers"]))
            self.assertLess(took, 5)
            start = time.monotonic()
            with socket.create_connection(("127.0.0.1", pd.policy_port), timeout=10) as s:
                s.sendall(request("strict@test.example", client=OTHER, sender="b@other.example"))
                self.assertEqual(s.recv(4096), b"action=DUNNO\n\n")
            self.assertLess(time.monotonic() - start, 0.5)


if __name__ == "__main__":
    unittest.main()
