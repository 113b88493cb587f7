"""One mail from Postfix to each recipient's outcome: real Postfix, Redis, DNS list, libclamav; a sink behind them."""
import re
import unittest

from tests.lib.mail import GTUBE, Client, eicar, mail, points
from tests.lib.mta import Postfix
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, rbldnsd, wait_until
from tests.lib.sink import Sink

LISTED, CLEAN = "203.0.113.9", "198.51.100.7"


class Flow(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        cls.dns, port = rbldnsd(cls.d, "bl.test", ":127.0.0.2:Listed $\n127.0.0.2\n203.0.113.0/24\n")
        cls.addClassCleanup(cls.dns.stop)
        cls.pd = None
        milter = "inet:%d@127.0.0.1"
        from tests.lib.procs import free_port
        cls.milter_port, plain = free_port(), None
        cls.pf = Postfix(cls.d, cls.sink.port, "inet:127.0.0.1:%d" % cls.milter_port)
        cls.addClassCleanup(cls.pf.close)
        cls.pd = Policyd(cls.d, zones=['{ zone = "bl.test"; points = 6.0; }'], resolver=port, reinject=cls.pf.plain,
                         milter=milter % cls.milter_port)
        cls.addClassCleanup(cls.pd.close)
        cls.pd.set("domain:shop.example", customer="acme", tag="1.5", subject_tag="[SPAM] ")

    def send(self, data, rcpts, client=CLEAN, sender="ann@sender.example"):
        c = Client(self.pf.port, client)
        try:
            return c.send(data, rcpts, sender)
        finally:
            c.close()

    def one(self, rcpt):
        """The one mail that the sink has for a recipient, headers apart."""
        wait_until(lambda: self.sink.to(rcpt))
        mails = self.sink.to(rcpt)
        self.assertEqual(len(mails), 1)
        head, body = mails[0][2].split(b"\r\n\r\n", 1)
        return head.decode() + "\r\n", body

    def test_clean(self):
        _, reply = self.send(mail("clean"), ["clean@test.example"])
        self.assertEqual(reply[0], 250)
        head, _ = self.one("clean@test.example")
        self.assertIn("\r\nX-Spam-Status: No, score=", head)
        self.assertNotIn("X-Spam-Flag", head)

    def test_tagged(self):
        _, reply = self.send(points(2, "subject to tag"), ["tagged@shop.example"])
        self.assertEqual(reply[0], 250)
        head, _ = self.one("tagged@shop.example")
        self.assertIn("\r\nX-Spam-Flag: YES\r\n", head)
        self.assertIn("\r\nSubject: [SPAM] subject to tag\r\n", head)
        self.assertRegex(head, r"X-Spam-Score: \d")
        self.assertIn("TEST_TWO=2.00", head)

    def test_quarantined_and_released(self):
        data = points(8, "hold me", body="one\r\n.two\r\n..three\r\nlast\r\n")
        _, reply = self.send(data, ["held@test.example"])
        self.assertEqual(reply[0], 250)
        entries = self.pd.quarantine(rcpt="held@test.example")
        self.assertEqual([e["state"] for e in entries], ["new"])
        raw = self.pd.ctl("quarantine", "show", entries[0]["id"], "--raw").stdout
        self.assertEqual(raw, data)
        self.assertEqual(self.sink.to("held@test.example"), [])
        out = self.pd.ctl("quarantine", "release", entries[0]["id"]).stdout.decode()
        self.assertIn("queue id is ", out)
        wait_until(lambda: self.sink.to("held@test.example"))
        got = self.sink.to("held@test.example")[0]
        self.assertEqual(got[0], "ann@sender.example")
        self.assertTrue(got[2].endswith(data), "not byte-exact behind the MTA's own Received lines")
        self.assertEqual(self.pd.quarantine(rcpt="held@test.example")[0]["state"], "released")
        again = self.pd.ctl("quarantine", "release", entries[0]["id"]).stdout.decode()
        self.assertIn("released before", again)
        self.assertEqual(len(self.sink.to("held@test.example")), 1)

    def test_discarded(self):
        _, reply = self.send(mail("gtube", body=GTUBE + "\r\n"), ["gone@test.example"])
        self.assertEqual(reply[0], 250)
        wait_until(lambda: "Discarded SPAM" in self.pd.log())
        self.assertEqual(self.sink.to("gone@test.example"), [])
        self.assertEqual(self.pd.quarantine(rcpt="gone@test.example"), [])

    def test_rejected(self):
        self.pd.set("mailbox:strict@test.example", top_action="reject")
        _, reply = self.send(points(20), ["strict@test.example"])
        self.assertEqual(reply[0], 550)
        self.assertRegex(reply[1].decode(), r"5\.7\.1 .*\(ref [A-Z2-7]{14}\)")

    def test_virus(self):
        _, reply = self.send(eicar(), ["virus@test.example"])
        self.assertEqual(reply[0], 250)
        entry = self.pd.quarantine(rcpt="virus@test.example")[0]
        self.assertEqual(entry["class"], "virus")
        self.assertEqual(self.sink.to("virus@test.example"), [])

    def test_listed_client_is_refused(self):
        answers, reply = self.send(mail("listed"), ["listed@test.example"], client=LISTED)
        code, text = answers["listed@test.example"]
        self.assertEqual(code, 550)
        self.assertIn("[203.0.113.9] blocked using bl.test (ref ", text.decode())
        self.assertIsNone(reply)

    def test_forged_headers_go(self):
        data = mail("forged", headers=["X-Spam-Flag: NO", "X-Spam-Status: No, score=-99", "X-Spam-Flag: no, really"])
        self.send(data, ["forged@test.example"])
        head, _ = self.one("forged@test.example")
        self.assertNotIn("X-Spam-Flag", head)
        self.assertEqual(head.count("X-Spam-Status"), 1)
        self.assertNotIn("-99", head)

    def test_policy_is_in_force_in_a_second(self):
        import time
        self.pd.set("mailbox:quick@test.example", quarantine="off", discard="off", tag="off")
        time.sleep(0.5)
        self.send(points(20), ["quick@test.example"])
        head, _ = self.one("quick@test.example")
        self.assertIn("X-Spam-Status: No", head)

    def test_scan_says_what_the_milter_did(self):
        data = points(5, "same")
        self.send(data, ["same@test.example"])
        head, _ = self.one("same@test.example")
        self.d.write("same.eml", data)
        r = self.pd.json("scan", self.d("same.eml"), "--rcpt", "same@test.example")
        self.assertEqual(r["recipients"][0]["outcome"], "tag")
        self.assertIn("score=%.2f" % r["recipients"][0]["points"], head)

    def test_trace(self):
        data = points(8, "trace me")
        self.send(data, ["trace@test.example"])
        line = wait_until(lambda: re.search(r"Quarantined SPAM.*<trace@test.example>, Queue-ID: (\S+), ref: (\S+),", self.pd.log()))
        for name in (line.group(1), line.group(2), self.pd.quarantine(rcpt="trace@test.example")[0]["id"]):
            out = wait_until(lambda: self.pd.ctl("trace", name, check=False).stdout.decode())
            self.assertIn("<ann@sender.example> -> <trace@test.example>", out)
            self.assertIn("TEST_EIGHT", out)

    def test_six_recipients(self):
        """No filtering, tag, quarantine, discard, default by unknown domain, and one refused by his own DNS list mode."""
        d = "six%s@test.example"
        for name, fields in {"0": {"filter": "false", "dnsbl": "off"}, "1": {"tag": "4", "quarantine": "off", "discard": "off", "dnsbl": "score"},
                             "2": {"tag": "off", "quarantine": "5", "discard": "off", "dnsbl": "score"},
                             "3": {"tag": "off", "quarantine": "off", "discard": "6", "dnsbl": "off"},
                             "5": {"dnsbl": "reject"}}.items():
            self.pd.set("mailbox:" + d % name, **fields)
        self.pd.set("domain:unknown.example", dnsbl="score")
        rcpts = [d % 0, d % 1, d % 2, d % 3, "who@unknown.example", d % 5]
        answers, reply = self.send(points(8, "six"), rcpts, client=LISTED)
        self.assertEqual([answers[r][0] for r in rcpts], [250] * 5 + [550])
        self.assertEqual(reply[0], 250)
        wait_until(lambda: self.sink.to(d % 0) and self.sink.to(d % 1))
        wait_until(self.pf.queue_empty)
        self.assertEqual([len(self.sink.to(r)) for r in rcpts], [1, 1, 0, 0, 0, 0])
        held = {e["recipient"]: e for e in self.pd.quarantine() if e["subject"] == "six"}
        self.assertEqual(sorted(held), sorted([d % 2, "who@unknown.example"]))
        head = self.sink.to(d % 0)[0][2].decode()
        self.assertIn("X-Spam-Score:", head)         # the fall-back: score headers for all who remain
        self.assertIn("variants folded", self.pd.log())


if __name__ == "__main__":
    unittest.main()
