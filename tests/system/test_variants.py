"""Recipients of one mail who want different bytes: token addresses through Postfix' own queue, made good by the LMTP stage and
the listener without milters. Each gets what he would get alone; what one listener refuses or defers concerns one recipient."""
import os
import re
import signal
import time
import unittest

from tests.lib.mail import Client, mail, points
from tests.lib.milter import Milter
from tests.lib.mta import Postfix
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port, wait_until
from tests.lib.sink import Sink

ALIASES = """virtual_alias_maps = inline:{ { sales@test.example = member1@test.example, member2@test.example } }
recipient_delimiter = +
bounce_queue_lifetime = 1d
"""


def plain_with(restriction):
    return Postfix.PLAIN.replace("smtpd_recipient_restrictions=", "smtpd_recipient_restrictions=%s," % restriction)


def seen(data):
    """Of a delivered mail what this system has a say in: its own headers, the subject and the body, without the reference."""
    head, body = data.split(b"\r\n\r\n", 1)
    head = re.sub(rb"\r\n[ \t]+", b" ", head)
    lines = [h for h in head.split(b"\r\n") if h.lower().startswith((b"x-spam", b"subject:", b"from:", b"to:"))]
    return [re.sub(rb" ref=[A-Z2-7]{14}", b"", h) for h in lines], body


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        milter, lmtp = free_port(), free_port()
        cls.lmtp = lmtp
        cls.d.write("access", "")
        cls.pf = Postfix(cls.d, cls.sink.port, "inet:127.0.0.1:%d" % milter, extra=ALIASES, lmtp=lmtp,
                         plain=plain_with("check_recipient_access,texthash:%s" % cls.d("access")))
        cls.addClassCleanup(cls.pf.close)
        cls.pd = Policyd(cls.d, reinject=cls.pf.plain, milter="inet:%d@127.0.0.1" % milter, lmtp=lmtp, policy=False, keep=True)
        cls.addClassCleanup(cls.pd.close)
        cls.pd.milter_port_used = milter
        wait_until(cls.pd.route_up, 30)

    def setUp(self):
        self.sink.mails.clear()

    def send(self, data, rcpts, sender="ann@test.example", mail_options=(), rcpt_options=()):
        c = Client(self.pf.port)
        try:
            c.s.rset()
            self.assertEqual(c.s.mail(sender, list(mail_options))[0], 250)
            for r in rcpts:
                code, text = c.s.docmd("RCPT", "TO:<%s>%s" % (r, "".join(" " + o for o in rcpt_options))) if r.isascii() else (
                    c.s.send(("RCPT TO:<%s>\r\n" % r).encode()) or c.s.getreply())
                self.assertEqual(code, 250, (r, text))
            return c.s.data(data)
        finally:
            c.close()

    def settled(self, seconds=60):
        wait_until(self.pf.queue_empty, seconds)


class Variants(Base):
    TWELVE = {
        "none@test.example": ({"filter": "false"}, 1), "clean@test.example": ({"tag": "20", "quarantine": "off", "discard": "off"}, 1),
        "junk@shop.example": ({"customer": "acme", "subject_tag": "[JUNK] "}, 1), "spam@other.example": ({"subject_tag": "[SPAM] "}, 1),
        "folder@test.example": ({"folder": "Junk"}, 1), "held@test.example": ({"quarantine": "5"}, 0),
        "gone@test.example": ({"quarantine": "off", "discard": "5"}, 0), "refuser@test.example": ({"quarantine": "off", "discard": "5", "top_action": "reject"}, 0),
        "sales@test.example": ({"subject_tag": "[JUNK] "}, 2), "plus+ext@test.example": ({"subject_tag": "[PLUS] "}, 1),
        '"odd one"@test.example': ({"subject_tag": "[ODD] "}, 1), "j\u00f6rg@test.example": ({"subject_tag": "[W\u00dcST] "}, 1),
    }

    def final(self, rcpt):
        return {"sales@test.example": ["member1@test.example", "member2@test.example"], "folder@test.example": ["folder+Junk@test.example"]}.get(rcpt, [rcpt])

    def test_twelve_recipients_each_as_alone(self):
        for rcpt, (fields, _) in self.TWELVE.items():
            key = rcpt.replace("plus+ext@", "plus@")
            self.pd.set("mailbox:" + key, **dict({"tag": "3", "quarantine": "off", "discard": "off"}, **fields) if "filter" not in fields else fields)
        data = points(5, "twelve", body="Hello\r\n.\r\n..dots\r\n")
        alone = {}
        for rcpt in self.TWELVE:
            code = self.send(data, [rcpt], mail_options=["SMTPUTF8"])[0]
            self.assertEqual(code, 550 if rcpt.startswith("refuser") else 250, rcpt)
        self.settled()
        for rcpt, (_, copies) in self.TWELVE.items():
            for f in self.final(rcpt):
                self.assertEqual(len(self.sink.to(f)), 1 if copies else 0, (f, copies))
                if copies:
                    alone[f] = seen(self.sink.to(f)[0][2])
        held_alone = len(self.pd.quarantine(rcpt="held@test.example"))
        self.sink.mails.clear()
        data = points(5, "twelve", body="Hello\r\n.\r\n..dots\r\n")        # another Message-ID: no retry of the one before
        self.assertEqual(self.send(data, list(self.TWELVE), mail_options=["SMTPUTF8"])[0], 250)
        self.settled()
        for rcpt, (_, copies) in self.TWELVE.items():
            for f in self.final(rcpt):
                self.assertEqual(len(self.sink.to(f)), 1 if copies else 0, f)
                if copies:
                    self.assertEqual(seen(self.sink.to(f)[0][2]), alone[f], f)
        self.assertEqual(len(self.pd.quarantine(rcpt="held@test.example")), held_alone + 1)
        self.assertEqual(len(self.pd.quarantine(rcpt="refuser@test.example")), 1)        # his fall-back, in company
        self.assertFalse([r for m in self.sink.mails for r in m[1] if "variant.internal" in r])
        stats = self.pd.json("stats")
        self.assertEqual(stats["variant_fallbacks"], 0)
        self.assertGreaterEqual(stats["variant_recipients_routed"], 7)
        log = self.pd.log()
        self.assertRegex(log, r"Passed SPAM.*<spam@other.example>.*by variant")
        self.assertRegex(log, r"variant of ref [A-Z2-7]{14} for <spam@other.example>: 250 2.0.0 Ok: queued as")

    def test_delivery_reports_name_the_original(self):
        self.pd.set("mailbox:tagged@test.example", tag="3", subject_tag="[T] ", quarantine="off", discard="off")
        self.pd.set("mailbox:plain1@test.example", tag="off", quarantine="off", discard="off")
        self.pd.set("mailbox:plain2@test.example", tag="off", quarantine="off", discard="off")
        self.send(points(5, "report"), ["tagged@test.example", "plain1@test.example", "plain2@test.example"],
                  mail_options=["RET=HDRS", "ENVID=env+2B1"], rcpt_options=["NOTIFY=SUCCESS,FAILURE", "ORCPT=rfc822;first+2Bname@away.example"])
        self.settled()
        reports = b"".join(m[2] for m in self.sink.to("ann@test.example"))
        self.assertEqual(len(re.findall(rb"Final-Recipient: rfc822; tagged@test.example\r\n", reports)), 1, reports.decode()[-3000:])
        self.assertIn(b"Original-Recipient: rfc822;first+name@away.example\r\n", reports)
        self.assertIn(b"Original-Envelope-Id: env+1\r\n", reports)
        self.assertNotIn(b"variant.internal", re.sub(rb"(?i)received:.*", b"", reports))
        self.assertRegex(reports, rb"Action: relayed")

    def test_one_variant_is_deferred(self):
        for name, tag in ("a", "[A] "), ("b", "[B] "), ("c", ""):
            self.pd.set("mailbox:%s@test.example" % name, tag="3", subject_tag=tag, quarantine="off", discard="off")
        self.d.write("access", "b@test.example 451 4.3.9 not now\n")
        self.pf.command("reload")
        time.sleep(0.5)
        self.send(points(5, "later"), ["a@test.example", "b@test.example", "c@test.example"])
        wait_until(lambda: self.sink.to("a@test.example") and self.sink.to("c@test.example"))
        wait_until(lambda: "not now" in self.pf.queue())
        self.assertEqual(self.pf.queue().count("variant.internal"), 1)
        self.assertEqual(self.sink.to("b@test.example"), [])
        self.d.write("access", "")
        self.pf.command("reload")
        time.sleep(0.5)
        self.pf.flush()
        wait_until(lambda: self.sink.to("b@test.example"), 60)
        self.settled()
        self.assertEqual([len(self.sink.to(n + "@test.example")) for n in "abc"], [1, 1, 1])
        self.assertIn(b"\r\nSubject: [B] later\r\n", self.sink.to("b@test.example")[0][2])

    def test_one_variant_is_refused(self):
        """A 5xx of the listener is passed back, and the MTA tells the sender, naming whom he wrote to."""
        for name, tag in ("x", "[X] "), ("y", "[Y] "), ("z", "[Y] "):
            self.pd.set("mailbox:%s@test.example" % name, tag="3", subject_tag=tag, quarantine="off", discard="off")
        self.d.write("access", "x@test.example 550 5.2.2 mailbox full\n")
        self.pf.command("reload")
        time.sleep(0.5)
        self.send(points(5, "refused"), ["x@test.example", "y@test.example", "z@test.example"])
        self.settled()
        self.d.write("access", "")
        self.pf.command("reload")
        self.assertEqual([len(self.sink.to(n + "@test.example")) for n in "xyz"], [0, 1, 1])
        bounce = self.sink.to("ann@test.example")[0][2]
        self.assertIn(b"5.2.2", bounce)
        self.assertIn(b"rfc822;x@test.example", bounce)

    def test_banned_files_are_taken_out(self):
        """Of three recipients one gets the mail, one the mail without the program in it, one nothing; each as he would alone."""
        self.pd.set("mailbox:whole@test.example", tag="off", quarantine="off", discard="off", banned="deliver")
        self.pd.set("mailbox:without@test.example", tag="off", quarantine="off", discard="off", banned_types="exe", strip="true")
        self.pd.set("mailbox:strict@test.example", tag="off", quarantine="off", discard="off", banned_types="exe", banned="quarantine")
        rcpts = ["whole@test.example", "without@test.example", "strict@test.example"]
        part = "Content-Type: %s; name=%s\r\nContent-Transfer-Encoding: base64\r\n\r\n%s\r\n"
        exe, pdf = part % ("application/octet-stream", "tool.exe", "TVqQAAMAAAAEAAAA"), part % ("application/pdf", "plan.pdf", "JVBERi0xLjQKJSVFT0YK")
        body = "--=b\r\n\r\nsee the plan\r\n--=b\r\n" + exe + "--=b\r\n" + pdf + "--=b--\r\n"
        seen_alone = {}
        for to in [[r] for r in rcpts] + [rcpts]:
            data = mail("files", body).replace(b"text/plain; charset=utf-8\r\n", b"multipart/mixed; boundary=\"=b\"\r\n", 1)
            self.sink.mails.clear()
            self.assertEqual(self.send(data, to)[0], 250)
            self.settled()
            for r in to:
                got = self.sink.to(r)
                self.assertEqual(len(got), 0 if r.startswith("strict") else 1, (r, to))
                if got:
                    text = re.sub(rb"[A-Z2-7]{14}", b"REF", got[0][2].split(b"\r\n\r\n", 1)[1])
                    self.assertEqual(seen_alone.setdefault(r, text), text)
        without = self.sink.to("without@test.example")[0][2]
        self.assertIn(b"see the plan", without)
        self.assertIn(pdf.encode(), without)
        self.assertNotIn(b"TVqQ", without)
        self.assertIn(exe.encode(), self.sink.to("whole@test.example")[0][2])
        reference = re.search(rb'The file "tool.exe" \(application/[a-z-]+\) has been taken out.*reference ([A-Z2-7]{14})\.', without, re.S).group(1).decode()
        events = [e for e in self.pd.json("trace", reference)["events"] if e.get("recipient") == "without@test.example"]
        self.assertTrue(events[0]["files_taken_out"])
        self.sink.mails.clear()
        self.pd.ctl("quarantine", "release", events[0]["quarantine_id"], "--risky")
        wait_until(lambda: self.sink.to("without@test.example"), 30)
        self.assertIn(exe.encode(), self.sink.to("without@test.example")[0][2])
        self.assertRegex(self.pd.log(), r"Passed BANNED.*<without@test.example>.*by variant, files taken out")

    def test_outside_mail_to_the_reserved_domain(self):
        m = Milter(("127.0.0.1", self.pd.milter_port_used))
        got = m.send(mail("x"), ["v1aaaaaaaaaaaaaaaaaaaaaaaa@variant.internal", "x@VARIANT.internal.", "postmaster@variant.internal", "bob@test.example"])
        m.close()
        for r, (letter, text) in got["rcpts"].items():
            self.assertEqual((letter, text[:9]) if letter != "c" else letter, "c" if r == "bob@test.example" else ("y", "550 5.1.1"), text)

    def test_the_stage_takes_only_what_we_made(self):
        import smtplib
        s = smtplib.LMTP("127.0.0.1", self.lmtp)
        s.ehlo("x")
        s.mail("a@b.example")
        for r in ("bob@test.example", "v1abc@variant.internal", "v1" + "a" * 120 + "@variant.internal"):
            self.assertEqual(s.rcpt(r)[0], 550)
        self.assertEqual(s.docmd("DATA")[0], 503)
        self.assertEqual(s.docmd("RCPT TO:<" + "a" * 5000 + ">")[0], 500)
        s.quit()

    def test_the_same_recipient_twice(self):
        self.pd.set("mailbox:twice@test.example", tag="3", subject_tag="[2] ", quarantine="off", discard="off")
        for n in range(2):
            self.pd.set("mailbox:once%d@test.example" % n, tag="off", quarantine="off", discard="off")
        self.send(points(5, "twice"), ["twice@test.example", "once0@test.example", "once1@test.example", "twice@test.example"])
        self.settled()
        self.assertEqual([len(self.sink.to(r + "@test.example")) for r in ("twice", "once0", "once1")], [1, 1, 1])

    def test_large_mail_long_lines(self):
        self.pd.set("mailbox:big@test.example", tag="3", subject_tag="[B] ", quarantine="off", discard="off")
        for n in range(2):
            self.pd.set("mailbox:once%d@test.example" % n, tag="off", quarantine="off", discard="off")
        body = ("." * 900 + "\r\n") * 4000 + ".\r\n..\r\nend\r\n"
        data = points(5, "big", body=body)
        self.send(data, ["big@test.example", "once0@test.example", "once1@test.example"])
        self.settled()
        got = self.sink.to("big@test.example")[0][2]
        self.assertEqual(got.split(b"\r\n\r\n", 1)[1], data.split(b"\r\n\r\n", 1)[1])
        self.assertIn(b"Subject: [B] big", got)


class Kills(Base):
    """kill -9 of the processes that have a variant in hand, at every step that a mail takes: nobody is lost, and a second copy
    only where the kill met a mail between two 250s (RFC 1047)."""

    ROUNDS = int(os.environ.get("VARIANT_KILLS", "20"))

    def test_one_fate_each(self):
        for name, tag in ("k1", "[1] "), ("k2", "[2] "), ("k3", "[3] "):
            self.pd.set("mailbox:%s@test.example" % name, tag="3", subject_tag=tag, quarantine="off", discard="off")
        victims = ["deliver", "broker", "worker", "zygote"]
        total = 0
        for n in range(self.ROUNDS):
            wait_until(self.pd.route_up, 60)
            data = points(5, "kill %d" % n)
            sent = False
            for attempt in range(50):                # as an MTA would
                try:
                    sent = self.send(data, ["k1@test.example", "k2@test.example", "k3@test.example"])[0] == 250
                except (AssertionError, OSError, ValueError):
                    pass
                if sent:
                    break
                time.sleep(0.2)
            self.assertTrue(sent)
            time.sleep(0.004 * (n % 12))
            self.kill(victims[n % len(victims)])
            total += 1
        wait_until(self.pd.ready, 60)
        for _ in range(60):
            self.pf.flush()
            if self.pf.queue_empty():
                break
            time.sleep(1)
        self.settled()
        doubles = 0
        for n in range(total):
            for name in "k1", "k2", "k3":
                copies = sum(1 for m in self.sink.to(name + "@test.example") if (b"kill %d\r\n" % n) in m[2])
                self.assertGreaterEqual(copies, 1, (n, name))
                doubles += copies - 1
        print("\n      %d kills, %d second copies" % (total, doubles))
        self.assertLessEqual(doubles, total)

    def kill(self, name):
        try:
            pids = self.pd.pids()
            pid = pids.get(name, 0)
            if name == "worker":
                with open("/proc/%d/task/%d/children" % (pids["zygote"], pids["zygote"])) as f:
                    pid = int(f.read().split()[0])
            if pid > 0:
                os.kill(pid, signal.SIGKILL)
        except (AssertionError, OSError, KeyError, IndexError, ValueError):
            pass


class NoRoute(unittest.TestCase):
    def test_falls_back_to_one_variant(self):
        """The settings speak of a route that the MTA has not: nobody is replaced by a token, edits are folded, doctor says so."""
        d = Dir()
        self.addCleanup(d.close)
        sink = Sink()
        self.addCleanup(sink.close)
        milter = free_port()
        pf = Postfix(d, sink.port, "inet:127.0.0.1:%d" % milter)
        self.addCleanup(pf.close)
        pd = Policyd(d, reinject=pf.plain, milter="inet:%d@127.0.0.1" % milter, lmtp=free_port(), policy=False)
        self.addCleanup(pd.close)
        pd.set("mailbox:a@test.example", tag="3", subject_tag="[A] ", quarantine="off", discard="off")
        pd.set("mailbox:b@test.example", tag="off", quarantine="off", discard="off")
        c = Client(pf.port)
        self.assertEqual(c.send(points(5, "folded"), ["a@test.example", "b@test.example"])[1][0], 250)
        c.close()
        wait_until(lambda: sink.to("a@test.example") and sink.to("b@test.example"))
        self.assertIn(b"X-Spam-Flag: YES", sink.to("b@test.example")[0][2])
        self.assertIn(b"Subject: folded", sink.to("a@test.example")[0][2])
        self.assertEqual(pd.json("stats")["variant_fallbacks"], 1)
        out = pd.ctl("doctor", check=False).stdout.decode()
        self.assertRegex(out, r"WARN +variants .*probe")


if __name__ == "__main__":
    unittest.main()
