"""Behind a trusted relay the client before it is asked about: two real Postfixes in a row, and headers of every kind."""
import re
import unittest

from tests.lib.mail import Client, mail, points
from tests.lib.milter import Milter
from tests.lib.mta import Postfix
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port, rbldnsd, wait_until
from tests.lib.sink import Sink

LISTED, CLEAN, RELAY, SECOND = "203.0.113.9", "198.51.100.7", "127.0.0.2", "192.0.2.50"


def received(address, by="mx.relay.example", helo="helo.example", protocol="ESMTP"):
    return "Received: from %s (rdns.example [%s])\r\n\tby %s (Postfix) with %s id 4X\r\n\tfor <x@test.example>; Tue, 24 Nov 2026 10:00:00 +0000" % (
        helo, address, by, protocol)


class TrustedRelay(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d, far = Dir(), Dir()
        cls.addClassCleanup(cls.d.close)
        cls.addClassCleanup(far.close)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        dns, dns_port = rbldnsd(cls.d, "bl.test", ":127.0.0.2:Listed $\n127.0.0.2\n203.0.113.0/24\n")
        cls.addClassCleanup(dns.stop)
        cls.milter_port = free_port()
        cls.pf = Postfix(cls.d, cls.sink.port, "inet:127.0.0.1:%d" % cls.milter_port, extra="smtpd_authorized_xforward_hosts = 127.0.0.0/8")
        cls.addClassCleanup(cls.pf.close)
        cls.relay = Postfix(far, cls.pf.port, "", extra="smtp_bind_address = %s\nsmtpd_milters =" % RELAY)
        cls.addClassCleanup(cls.relay.close)
        cls.pd = Policyd(cls.d, zones=['{ zone = "bl.test"; points = 6.0; }'], resolver=dns_port, milter="inet:%d@127.0.0.1" % cls.milter_port,
                         reinject=cls.pf.plain, settings='trusted_relays = ( "%s", "%s" );' % (RELAY, SECOND))
        cls.addClassCleanup(cls.pd.close)
        cls.pd.set("mailbox:score@test.example", dnsbl="score", quarantine="off", discard="off")     # whatever the rules add
        cls.pd.set("mailbox:off@test.example", dnsbl="off")
        cls.pd.set("mailbox:drop@test.example", reject_fallback="discard")

    def through(self, data, rcpts, client):
        """By the relay: what the first Postfix answered."""
        c = Client(self.relay.port, client)
        try:
            return c.send(data, rcpts)
        finally:
            c.close()

    def one(self, rcpt, subject):
        def found():
            return [m for m in self.sink.to(rcpt) if b"\r\nSubject: " + subject.encode() in m[2]]
        return wait_until(found)[0][2].split(b"\r\n\r\n")[0].decode()

    def held(self, rcpt, subject):
        def found():
            return [e for e in self.pd.quarantine(rcpt=rcpt) if e["subject"] == subject]
        return wait_until(found)[0]

    def test_listed_client_behind_it(self):
        """Reject mode: nothing can be refused any more (the relay would bounce it to anybody), so the policy's fall-back acts."""
        self.assertEqual(self.through(mail("far"), ["reject@test.example", "score@test.example", "off@test.example", "drop@test.example"], LISTED)[1][0], 250)
        entry = self.held("reject@test.example", "far")
        self.assertIn("DNSBL_BL=6.00", entry["symbols"])
        self.assertIn("RELAYED=0.00", entry["symbols"])
        head = self.one("score@test.example", "far")
        self.assertIn("DNSBL_BL=6.00", head)
        self.assertIn("X-Spam-Flag: YES", head)
        self.one("off@test.example", "far")
        line = wait_until(lambda: re.search(r"Discarded SPAM.*<drop@test.example>.*", self.pd.log())).group(0)
        self.assertIn("not as wanted", line)
        self.assertIn("[%s]:" % RELAY, line)
        self.assertIn(" [%s] <ann@sender.example>" % LISTED, line)
        self.assertTrue(wait_until(self.relay.queue_empty))
        self.assertEqual([m for m in self.sink.mails if b"Subject: far" in m[2] and {"reject@test.example", "drop@test.example"} & set(m[1])], [])
        self.assertGreater(self.pd.json("stats")["dnsbl_clients_behind_relays"], 0)

    def test_clean_client_behind_it(self):
        """Whatever he writes below the relay's own line is not looked at."""
        for i, lines in enumerate(([], [received(LISTED)], [received(RELAY), received(LISTED)],
                                   [received(SECOND, by="second.example"), received(RELAY), received(LISTED)], ["Received: garbage [%s]" % LISTED])):
            self.through(mail("clean %d" % i, headers=[]).replace(b"From:", "".join(x + "\r\n" for x in lines).encode() + b"From:", 1), ["score@test.example"], CLEAN)
            head = self.one("score@test.example", "clean %d" % i)
            self.assertNotIn("DNSBL_BL", head)
            self.assertIn("RELAYED=0.00", head)

    def test_listed_client_says_he_is_another(self):
        """Forged lines below the relay's, and a HELO that looks like its line."""
        forged = mail("forged").replace(b"From:", (received(CLEAN) + "\r\n" + received(RELAY) + "\r\n").encode() + b"From:", 1)
        for i, helo in enumerate(("[%s]" % CLEAN, "=?us-ascii?Q?x=28y=5B%s=5D=29?=" % CLEAN, "by", "localhost")):
            c = Client(self.relay.port, LISTED, helo=helo)
            c.send(forged.replace(b"Subject: forged", b"Subject: forged %d" % i), ["score@test.example"])
            c.close()
            self.assertIn("DNSBL_BL=6.00", self.one("score@test.example", "forged %d" % i), helo)

    def milter(self, lines, client=RELAY, rcpt="score@test.example"):
        """Symbols in the score header of a mail that a relay hands over."""
        m = Milter(("127.0.0.1", self.milter_port), client=(client, 4711))
        self.addCleanup(m.close)
        data = "".join(x + "\r\n" for x in lines).encode() + mail("by hand")
        out = m.send(data, [rcpt])
        self.assertEqual(out["reply"][0], "a")
        return [v for op, n, v in out["headers"] if n == "X-Spam-Status"][0]

    def test_two_trusted_hops(self):
        self.assertIn("DNSBL_BL", self.milter([received(SECOND), received(LISTED)]))
        self.assertNotIn("DNSBL_BL", self.milter([received(SECOND), received(CLEAN), received(LISTED)]))
        self.assertNotIn("DNSBL_BL", self.milter([received(LISTED)], client=CLEAN))     # not from a relay of ours
        self.assertNotIn("RELAYED", self.milter([received(LISTED)], client=CLEAN))

    def test_a_filter_on_the_relay(self):
        """The relay's own content filter shows as a hop by loopback."""
        self.assertIn("DNSBL_BL", self.milter([received("127.0.0.1"), received(LISTED)]))

    def test_the_mtas_own_line_on_top(self):
        self.assertIn("DNSBL_BL", self.milter([received(RELAY, by="mx.test.example"), received(LISTED)]))

    def test_users_of_the_relay(self):
        """Logged in there, or a program of its own: nobody asks a list about them."""
        for line in (received(LISTED, protocol="ESMTPSA"), "Received: by mx.relay.example (Postfix, from userid 1000)\r\n\tid 4X; x"):
            self.assertNotIn("DNSBL_BL", self.milter([line, received(LISTED)]))

    def test_no_client_to_be_found_is_shown(self):
        for lines in ([], ["Received: from nowhere by mx.relay.example; x"]):
            status = self.milter(lines)
            self.assertIn("RELAY_UNKNOWN=0.00", status)
            self.assertNotIn("DNSBL_BL", status)

    def test_policyctl_scan_decides_the_same(self):
        self.d.write("relayed.eml", (received(LISTED) + "\r\n").encode() + mail("relayed scan"))
        r = self.pd.json("scan", self.d("relayed.eml"), "--client", RELAY, "--rcpt", "reject@test.example", "--rcpt", "score@test.example")
        self.assertEqual([(x["wanted"], x["outcome"]) for x in r["recipients"]], [("reject", "quarantine"), ("tag", "tag")])
        self.assertEqual(self.pd.json("stats")["transactions_now"], 0)

    def test_a_crash_does_not_lose_the_answer(self):
        """The second worker asks again; the first one's answer is not taken for it."""
        m = Milter(("127.0.0.1", self.milter_port), client=(RELAY, 4711))
        self.addCleanup(m.close)
        data = (received(LISTED) + "\r\n").encode() + mail("crash", headers=["X-Policyd-Test-Crash: late"])
        self.assertEqual(m.send(data, ["crash@test.example"])["reply"][0], "d")
        self.assertEqual(m.send((received(CLEAN) + "\r\n").encode() + mail("next"), ["score@test.example"])["reply"][0], "a")

    def test_attributes_that_change_the_client(self):
        """XCLIENT changes the milter's client: that one is asked at once, and can be refused. XFORWARD does not."""
        c = Client(self.pf.port, LISTED)
        self.assertEqual(c.send(mail("xclient"), ["reject@test.example"])[0]["reject@test.example"][0], 550)
        c.close()
        c = Client(self.pf.port)
        c.s.docmd("XFORWARD", "ADDR=%s NAME=[UNAVAILABLE] PROTO=ESMTP HELO=x" % LISTED)
        self.assertEqual(c.send(mail("xforward"), ["reject@test.example"])[0]["reject@test.example"][0], 250)
        c.close()


if __name__ == "__main__":
    unittest.main()
