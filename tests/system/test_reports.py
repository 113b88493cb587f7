"""Mailbox owners' reports, by the ways that they take: Dovecot's Junk folder (IMAPSieve), a report address that Postfix hands to
policyctl for whoever has signed in, and what report.sock refuses. And what their word is worth: one voice, one's own model."""
import base64
import imaplib
import os
import pwd
import grp
import smtplib
import time
import unittest

from tests.lib.imap import Dovecot
from tests.lib.mta import Postfix
from tests.lib.policyd import Policyd
from tests.lib.procs import BUILD, Dir, free_user, wait_until
from tests.lib.sink import Sink
from tests.system.test_model import folder, mail

POLICYCTL = os.path.join(BUILD, "policyctl")


def group_of(user):
    return grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name


def as_kept(raw):
    """The same mail as it lies in a mailbox: what delivery has put above it, Unix line ends."""
    return b"Return-Path: <x@y.example>\nDelivered-To: bob@shop.example\nX-Spam-Status: No, score=1\n" + raw.replace(b"\r\n", b"\n")


def forwarded(*mails, encode=False):
    """A report: mails attached to a mail."""
    parts = b""
    for m in mails:
        parts += b"--b\r\nContent-Type: message/rfc822\r\n"
        parts += b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(m) if encode else b"\r\n" + m
        parts += b"\r\n"
    return b"From: bob@shop.example\r\nTo: spam@report.internal\r\nSubject: Fwd: spam\r\nMIME-Version: 1.0\r\n" \
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nsee below\r\n" + parts + b"--b--\r\n"


class Reports(unittest.TestCase):
    def setUp(self):
        self.d = Dir()
        self.addCleanup(self.d.close)
        self.user = free_user(free_user(), free_user(free_user()))     # neither Postfix' own nor that of its postdrop
        self.pd = Policyd(self.d, policy=False, clamav='engine = "off";', settings='report = { group = "%s"; };' % group_of(self.user))
        self.addCleanup(self.pd.close)
        self.sock = self.d("state/run/report.sock")
        for c in ("shop", "laden", "magasin"):
            self.pd.set("domain:%s.example" % c, customer=c, own_model="true")
        self.pd.ctl("learn", "spam", folder(self.d, "spam", [mail(i, 1) for i in range(60)]))
        self.pd.ctl("learn", "ham", folder(self.d, "ham", [mail(i, 0) for i in range(60)]))
        wait_until(lambda: self.pd.model()["in_order"], 20)

    def report(self, what, raw, address, *more):
        return self.pd.ctl("-s", self.sock, "--json", "report", what, "--for", address, *more, data=raw, check=False)

    def points(self, raw, rcpt):
        path = self.d.write("scored.eml", raw)
        return self.scan(path, "--rcpt", rcpt)[0]["bayes_points"]

    def scan(self, path, *more):
        r = self.pd.json("scan", path, *more)
        return (r[0] if isinstance(r, list) else r)["recipients"]

    def test_the_socket(self):
        news = mail(700, 0, "letter of the numismatic society")
        r = self.report("ham", news, "bob@shop.example")
        self.assertEqual((r.returncode, b"learnt" in r.stdout), (0, True), r.stdout + r.stderr)
        # the same mail by another way is the same lesson; an own model has learnt it, everybody's waits for a second customer
        self.assertIn(b"known", self.report("ham", as_kept(news), "eve@shop.example").stdout)
        self.assertIn(b"known", self.report("ham", forwarded(news, encode=True), "bob@shop.example", "--attached").stdout)
        self.assertEqual(self.pd.model()["ham"], 60)
        # other customers have got the same letter, each as a mail of its own: alike, so everybody's model learns it from the third
        for i, c in enumerate(("laden", "magasin")):
            self.assertEqual(self.pd.model()["ham"], 60)
            other = news.replace(b"<700.0@", b"<701.%d@" % i).replace(b"bob@shop", b"kim@" + c.encode())
            self.assertEqual(self.report("ham", other, "kim@%s.example" % c).returncode, 0)
        self.assertEqual(self.pd.model()["ham"], 61)
        # several attached mails are several lessons
        r = self.report("spam", forwarded(*[mail(800 + i, 1) for i in range(3)]), "bob@shop.example", "--attached")
        self.assertIn(b'"mails": 3', r.stdout)
        # what can never be is a bounce with a reason (65), what may be later a temporary one (75)
        for args, why in (((news, "bob@shop.example", "--attached"), b"attached"), ((news, "bob@nowhere.example"), b"no customer"),
                          ((news, ""), b"signed in"), ((b"", "bob@shop.example"), b"no mail")):
            r = self.report("spam", *args)
            self.assertEqual((r.returncode, why in r.stderr), (65, True), r.stderr)
        self.assertEqual(self.pd.ctl("-s", self.d("nowhere.sock"), "report", "spam", "--for", "bob@shop.example", data=news, check=False).returncode, 75)
        # and nothing else goes by this socket
        for args in (["status"], ["stop"], ["policy", "list"], ["scan", self.d("scored.eml")], ["quarantine", "list"], ["model"],
                     ["unlearn", folder(self.d, "one", [news])], ["learn", "spam", folder(self.d, "one", [news])]):
            self.d.write("scored.eml", news)
            r = self.pd.ctl("-s", self.sock, *args, check=False)
            self.assertNotEqual(r.returncode, 0, args)
            self.assertIn(b"report.sock takes reports", r.stderr)
        self.assertEqual(os.stat(self.sock).st_mode & 0o777, 0o660)

    def test_a_mailbox_of_its_own(self):
        """What the owner of a mailbox says stays his, where the mailbox has a model of its own; others see none of it."""
        self.pd.set("bob@shop.example", mailbox_model="true")
        letters = [mail(i, 1, "letter of the numismatic society " * 5) for i in range(900, 930)]
        before = {a: self.points(letters[0], a) for a in ("bob@shop.example", "eve@shop.example", "kim@laden.example")}
        for m in letters[1:]:
            self.assertEqual(self.report("ham", m, "bob+lists@shop.example").returncode, 0)
        after = {a: self.points(letters[0], a) for a in before}
        self.assertLess(after["bob@shop.example"], before["bob@shop.example"] - 1)
        self.assertEqual(after["eve@shop.example"], before["eve@shop.example"])
        self.assertEqual(after["kim@laden.example"], before["kim@laden.example"])
        # three recipients of one mail, three scores; his extension is he
        path = self.d.write("scored.eml", letters[0])
        r = self.scan(path, "--rcpt", "bob+x@shop.example", "--rcpt", "eve@shop.example", "--rcpt", "kim@laden.example")
        self.assertEqual([x["bayes_points"] for x in r], [after[a] for a in after])
        # what his admin teaches is the customer's
        for m in letters[1:]:
            self.pd.ctl("learn", "ham", folder(self.d, "m", [m]), "--for", "bob@shop.example", "--as", "admin")
        self.assertLess(self.points(letters[0], "eve@shop.example"), before["eve@shop.example"] - 1)
        # another voice changes its mind: flipped, not added
        self.assertIn(b"flipped", self.report("spam", letters[1], "bob@shop.example").stdout)

    def test_junk_folder(self):
        """Moves between folders of a real Dovecot."""
        dc = Dovecot(self.d, self.user, self.sock, POLICYCTL)
        self.addCleanup(dc.close)
        self.pd.set("bob@shop.example", mailbox_model="true")
        letters = [mail(i, 1, "letter of the numismatic society " * 5) for i in range(900, 915)]
        before = self.points(letters[0], "bob@shop.example")
        imap = imaplib.IMAP4("127.0.0.1", dc.port)
        imap.login("bob@shop.example", "secret")
        for m in letters[1:]:
            imap.append("Junk", None, None, m)       # an IMAP client's own filter files it there: a report too
        imap.select("Junk")
        spam = self.points(letters[0], "bob@shop.example")
        self.assertGreater(spam, before, dc.log())
        n = self.pd.json("stats")["lessons"]
        self.assertEqual(imap.uid("MOVE", "1:*", "INBOX")[0], "OK")
        wait_until(lambda: self.pd.json("stats")["lessons"] == n + 14, 20)
        wait_until(lambda: self.points(letters[0], "bob@shop.example") < before - 0.5, 10)
        # thrown away from Junk: says nothing
        imap.select("INBOX")
        imap.uid("MOVE", "1:*", "Junk")
        wait_until(lambda: self.pd.json("stats")["lessons"] == n + 28, 20)
        imap.select("Junk")
        imap.uid("MOVE", "1:*", "Trash")
        time.sleep(0.5)
        self.assertEqual(self.pd.json("stats")["lessons"], n + 28)
        imap.logout()
        self.assertNotIn("Error:", dc.log())

    def test_report_address(self):
        """spam@report.internal and ham@..., for whoever has signed in at Postfix (by Dovecot's auth)."""
        dc = Dovecot(self.d, self.user, self.sock, POLICYCTL)
        self.addCleanup(dc.close)
        sink = Sink()
        self.addCleanup(sink.close)
        pf = Postfix(self.d, sink.port, "inet:127.0.0.1:%d" % self.pd.milter_port, plain=Postfix.PLAIN + """
policyd-report unix - n n - 4 pipe
  flags=Rq user=%s argv=%s -s %s report ${user} --attached --for ${sasl_username}""" % (self.user, POLICYCTL, self.sock), extra="""
transport_maps = inline:{ { report.internal = policyd-report: } }
policyd-report_destination_recipient_limit = 1
relay_domains = shop.example, report.internal
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = %s
""" % dc.auth)
        self.addCleanup(pf.close)
        self.pd.set("domain:report.internal", filter="false")      # reported spam is let through to be learnt

        def send(*mails, login=None, to="spam@report.internal"):
            s = smtplib.SMTP("127.0.0.1", pf.port, timeout=60)
            if login:
                s.login(login, "secret")
            s.sendmail("bob@shop.example", [to], forwarded(*mails))
            s.quit()

        letters = [mail(i, 1, "letter of the numismatic society " * 5) for i in range(900, 915)]
        before = self.points(letters[0], "eve@shop.example")
        send(*letters[1:], login="bob@shop.example", to="ham@report.internal")
        wait_until(lambda: self.points(letters[0], "eve@shop.example") < before - 0.5, 20)
        wait_until(pf.queue_empty, 20)
        self.assertEqual(sink.mails, [])
        # the same reports of someone who has not signed in change nothing and come back with the reason
        n = self.pd.json("stats")["lessons"]
        send(*letters[1:], to="spam@report.internal")
        wait_until(lambda: "nobody has signed in" in pf.log(), 20)
        self.assertEqual(self.pd.json("stats")["lessons"], n)


if __name__ == "__main__":
    unittest.main()
