"""What MTAs do that a milter must know: one test a trap, with a real Postfix where it is Postfix that sets it."""
import time
import unittest

from tests.lib.mail import GTUBE, Client, mail, points
from tests.lib.milter import STEPS, Milter
from tests.lib.mta import Postfix, Sendmail
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port, wait_until
from tests.lib.sink import Sink


class Traps(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        port = free_port()
        cls.pf = Postfix(cls.d, cls.sink.port, "inet:127.0.0.1:%d" % port)
        cls.addClassCleanup(cls.pf.close)
        cls.pd = Policyd(cls.d, reinject=cls.pf.plain, milter="inet:%d@127.0.0.1" % port)
        cls.addClassCleanup(cls.pd.close)
        cls.milter_port = port
        cls.pd.set("mailbox:free@test.example", filter="false")

    def setUp(self):
        self.sink.mails.clear()

    def send(self, data, rcpts, options=(), **more):
        c = Client(self.pf.port)
        try:
            return c.send(data, rcpts, options=options, **more)
        finally:
            c.close()

    def delivered(self, count):
        """Recipients of what the sink has, once it has that many and the queue is empty."""
        wait_until(lambda: sum(len(m[1]) for m in self.sink.mails) >= count and self.pf.queue_empty())
        return sorted(r for m in self.sink.mails for r in m[1])

    def test_recipients_go_by_what_rcpt_said(self):
        """Mixed case, quoted local parts, a detail, a trailing dot in quotes: deleted by the argument, not by a macro."""
        odd = ["Mixed.Case@Test.Example", '"quo ted"@test.example', '"a\\"b"@test.example', '"..dots.."@test.example', "user+detail@test.example"]
        answers, reply = self.send(points(8, "odd"), ["free@test.example"] + odd)
        self.assertEqual({code for code, _ in answers.values()}, {250}, answers)
        self.assertEqual(reply[0], 250)
        self.assertEqual(self.delivered(1), ["free@test.example"])
        held = [e for e in self.pd.quarantine() if e["subject"] == "odd"]
        self.assertEqual(sorted(e["recipient"] for e in held), sorted(r.lower() for r in odd))
        for e in held:
            self.pd.ctl("quarantine", "release", e["id"], "--rcpt", e["recipient"])
        self.assertEqual(self.delivered(1 + len(odd)), sorted(["free@test.example"] + odd))

    def test_utf8_recipients(self):
        odd = ["j\u00fcrgen@test.example", "\u7528\u6237@test.example"]
        c = Client(self.pf.port)
        c.s.command_encoding = "utf-8"
        answers, reply = c.send(points(8, "utf8"), ["free@test.example"] + odd, options=["SMTPUTF8"])
        c.close()
        self.assertEqual({code for code, _ in answers.values()}, {250}, answers)
        self.assertEqual(reply[0], 250)
        self.assertEqual(self.delivered(1), ["free@test.example"])
        self.assertEqual(sorted(e["recipient"] for e in self.pd.quarantine() if e["subject"] == "utf8"), sorted(odd))

    def test_a_recipient_given_twice(self):
        """Postfix deletes both by one call; the store keeps one."""
        self.send(points(8, "twice"), ["twice@test.example", "free@test.example", "twice@test.example", "Twice@test.example"])
        self.assertEqual(self.delivered(1), ["free@test.example"])
        self.assertEqual([e["recipient"] for e in self.pd.quarantine() if e["subject"] == "twice"], ["twice@test.example"])

    def test_nobody_left_is_a_discard_the_mta_logs(self):
        _, reply = self.send(points(8, "all held"), ["held1@test.example", "held2@test.example"])
        self.assertEqual(reply[0], 250)
        wait_until(lambda: "milter-discard" in self.pf.log())
        self.assertTrue(self.pf.queue_empty())
        self.assertEqual(len([e for e in self.pd.quarantine() if e["subject"] == "all held"]), 2)

    def test_no_filtering_for_the_first_only(self):
        """Never ACCEPT at RCPT: the others want their filter."""
        self.send(mail("first is free", body=GTUBE + "\r\n"), ["free@test.example", "guarded@test.example"])
        self.assertEqual(self.delivered(1), ["free@test.example"])

    def test_discard_for_the_first_only(self):
        """Never DISCARD at RCPT: it would take the others along."""
        self.pd.set("mailbox:drop@test.example", quarantine="off", discard="6")
        self.send(points(8, "drop"), ["drop@test.example", "free@test.example"])
        self.assertEqual(self.delivered(1), ["free@test.example"])

    def test_the_queue_id_is_known_at_the_end(self):
        """Postfix has none at the first RCPT: it is asked for again."""
        _, reply = self.send(mail("queue id"), ["qid@test.example"])
        queue_id = reply[1].decode().split()[-1]
        wait_until(lambda: "Queue-ID: %s," % queue_id in self.pd.log())
        self.delivered(1)

    def test_one_mail_after_another(self):
        """RSET in any state leaves nothing behind; each mail has its own recipients."""
        c = Client(self.pf.port)
        c.s.mail("left@sender.example")
        c.s.rcpt("left@test.example")
        c.s.rset()
        for i in range(5):
            c.send(points(8, "series %d" % i) if i % 2 else mail("series %d" % i), ["s%d@test.example" % i])
            c.s.mail("left@sender.example")
            c.s.rcpt("left%d@test.example" % i)
        c.close()
        self.assertEqual(self.delivered(3), ["s0@test.example", "s2@test.example", "s4@test.example"])
        self.assertEqual(sorted(e["recipient"] for e in self.pd.quarantine() if e["subject"].startswith("series")), ["s1@test.example", "s3@test.example"])

    def test_the_null_sender(self):
        _, reply = self.send(points(8, "bounce"), ["null@test.example"], sender="")
        self.assertEqual(reply[0], 250)
        entry = [e for e in self.pd.quarantine() if e["subject"] == "bounce"][0]
        self.assertEqual(entry["sender"], "")

    def test_headers_as_they_come(self):
        """Folded, without a space, very long, with octets above 127: what is stored is what came."""
        head = ["X-Folded: one", "\ttwo", "  three", "X-Tight:value", "X-Empty:", "X-Long: " + "x" * 900 + "\r\n " + "y" * 900]
        data = mail("headers", headers=["X-Test-Points: 8"] + head)
        self.send(data, ["heads@test.example"])
        entry = [e for e in self.pd.quarantine() if e["subject"] == "headers"][0]
        stored = self.pd.ctl("quarantine", "show", entry["id"], "--raw").stdout
        for line in ("\r\n".join(head)).encode().split(b"\r\n"):
            self.assertIn(b"\r\n" + line + b"\r\n", stored)

    def connect(self, **more):
        m = Milter(("127.0.0.1", self.milter_port), **more)
        self.addCleanup(m.close)
        return m

    def test_old_mtas(self):
        """Without SKIP, without a single no-reply flag, without leading spaces: same answers."""
        for steps in (0, 0x7f, 0x400, STEPS):
            m = self.connect(steps=steps)
            self.assertEqual(m.send(mail("old"), ["old@test.example"])["reply"][0], "a")
            out = m.send(points(5, "old, tagged"), ["old@test.example"])
            self.assertIn(("add", "X-Spam-Flag", "YES"), out["headers"], hex(steps))
            self.assertEqual(m.send(points(8, "old, held"), ["old@test.example"])["reply"][0], "d")

    def test_bodies_cut_anywhere(self):
        for size in (1, 3, 64, 1000):
            m = self.connect()
            out = m.send(mail("cut", body=("word " * 10 + GTUBE + "\r\n")), ["cut%d@test.example" % size, "free@test.example"], chunk=size)
            self.assertEqual(out["deleted"], ["cut%d@test.example" % size])

    def test_the_client_goes_away_at_every_step(self):
        for last in "CHMRLNB":
            m = Milter(("127.0.0.1", self.milter_port))
            for step, data in (("M", b"<a@sender.example>\0"), ("R", b"<gone@test.example>\0"), ("L", b"Subject\0 x\0"), ("N", b""), ("B", b"body\r\n")):
                if last in "CH":
                    break
                m.command(step.encode(), data)
                if step == last:
                    break
            m.s.close()
        m = Milter(("127.0.0.1", self.milter_port))                  # and while it scans
        m.command(b"M", b"<a@sender.example>\0")
        m.command(b"R", b"<gone@test.example>\0")
        m.command(b"N")
        m.packet(b"E")
        m.s.close()
        self.assertEqual(self.connect().send(mail("still there"), ["free@test.example"])["reply"][0], "a")
        wait_until(lambda: self.pd.json("stats")["transactions_now"] == 0)

    def test_sendmail(self):
        """Mixed case and quoted recipients, one given twice, the first one without filtering."""
        d = Dir()
        self.addCleanup(d.close)
        sm = Sendmail(d, self.sink.port, self.milter_port)
        self.addCleanup(sm.close)
        c = Client(sm.port)
        odd = ["Sm.Mixed@Test.Example", '"sm quoted"@test.example', "sm+detail@test.example", "sm.mixed@test.example"]
        answers, reply = c.send(points(8, "sendmail"), ["free@test.example"] + odd + [odd[2]])
        c.close()
        self.assertEqual(reply[0], 250, reply)
        self.assertEqual(self.delivered(1), ["free@test.example"])
        held = sorted(e["recipient"] for e in self.pd.quarantine() if e["subject"] == "sendmail")
        self.assertEqual(held, ['"sm quoted"@test.example', "sm+detail@test.example", "sm.mixed@test.example"])


class Slow(unittest.TestCase):
    def test_progress_while_a_scan_is_long(self):
        d = Dir()
        self.addCleanup(d.close)
        pd = Policyd(d, settings="limits = { scan_timeout_ms = 7000; message_timeout_ms = 30000; };")
        self.addCleanup(pd.close)
        m = Milter(("127.0.0.1", pd.milter_port))
        self.addCleanup(m.close)
        began = time.monotonic()
        out = m.send(mail("slow", headers=["X-Policyd-Test-Hang: yes"]), ["slow@test.example"])
        self.assertGreater(time.monotonic() - began, 10)
        self.assertGreaterEqual(out["progress"], 2)
        self.assertEqual(out["reply"][0], "d")


if __name__ == "__main__":
    unittest.main()
