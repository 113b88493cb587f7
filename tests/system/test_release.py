"""Held mail through real Postfix, as its sender, its recipient and his admin see it: it comes out as it came in, so that its DKIM
signature still holds; a sender asks for what was rejected; an owner asks for what is dangerous and his admin approves; what is
wanted in a folder goes to user+folder."""
import base64
import os
import re
import subprocess
import sys
import unittest

from tests.lib.mail import Client, eicar, mail, points
from tests.lib.mta import Postfix
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port, wait_until
from tests.lib.sink import Sink
from tests.lib.web import Browser

try:
    import dkim
except ImportError:                          # Debian's package, when another python runs this
    sys.path.append("/usr/lib/python3/dist-packages")
    import dkim

PASSWORD = "correct horse 1"
OWNER, ADMIN = "bob@shop.example", "anna"
ODD = ("A line that ends in blanks   \r\n\r\n\ttabs\tin it \r\n.\r\n..dots\r\n.dot\r\nFrom here on\r\n" + "x" * 990 +
       "\r\ncaf\u00e9 und m\u00fcsli\r\n\r\n\r\n")


class Through(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d, cls.sink = Dir(), Sink()
        cls.addClassCleanup(cls.d.close)
        cls.addClassCleanup(cls.sink.close)
        milter, lmtp = free_port(), free_port()
        cls.pf = Postfix(cls.d, cls.sink.port, "inet:127.0.0.1:%d" % milter, extra="recipient_delimiter = +\n", lmtp=lmtp)
        cls.addClassCleanup(cls.pf.close)
        cls.pd = Policyd(cls.d, reinject=cls.pf.plain, milter="inet:%d@127.0.0.1" % milter, lmtp=lmtp, review=free_port(), policy=False)
        cls.addClassCleanup(cls.pd.close)
        cls.pd.set("domain:shop.example", customer="shop", tag="4", quarantine="6", discard="off")
        for name, *role in ((OWNER, "--role", "owner"), (ADMIN, "--role", "admin", "--customer", "shop")):
            cls.pd.ctl("user", "add", name, *role, data=PASSWORD.encode() + b"\n")
        key = cls.d("dkim.pem")
        subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, stderr=subprocess.DEVNULL)
        with open(key, "rb") as f:
            cls.private = f.read()
        cls.public = base64.b64encode(subprocess.run(["openssl", "rsa", "-in", key, "-pubout", "-outform", "DER"], check=True,
                                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)
        wait_until(cls.pd.route_up, 30)

    def setUp(self):
        self.sink.mails.clear()

    def send(self, data, rcpts, sender="ann@sender.example"):
        """As a stranger's server does."""
        c = Client(self.pf.port, client="198.51.100.7")
        try:
            return c.send(data, rcpts, sender, options=["BODY=8BITMIME"] if not data.isascii() else [])
        finally:
            c.close()

    def sign(self, data, how):
        return dkim.sign(data, b"sel", b"sender.example", self.private, canonicalize=how,
                         include_headers=[b"from", b"to", b"subject", b"date", b"message-id", b"mime-version", b"content-type"]) + data

    def verifies(self, data):
        """By another implementation than ours, with the key that the sender's DNS would tell."""
        return dkim.verify(data, dnsfunc=lambda name, timeout=5: b"v=DKIM1; k=rsa; p=" + self.public)

    def browser(self, who):
        b = Browser(self.pd.review)
        self.assertEqual(b.sign_in(who, PASSWORD).status, 200)
        return b

    def press(self, browser, ident, op, **more):
        """Opens the mail, presses the button of that name; the page after it."""
        page = browser.get("/m/%s?n=0" % ident)
        form = next(f for f in page.forms() if ("op", op) in f["buttons"])
        return browser.post(form["action"], form["fields"] + [("op", op)] + list(more.items()))

    def buttons(self, browser, ident):
        return {v for f in browser.get("/m/%s?n=0" % ident).forms() for n, v in f["buttons"] if n == "op"}

    def held(self, rcpt, subject):
        return wait_until(lambda: [e for e in self.pd.quarantine(rcpt=rcpt) if e["subject"] == subject])[0]

    def arrived(self, rcpt):
        return wait_until(lambda: self.sink.to(rcpt))

    def test_signature_still_holds(self):
        """Held, released in the browser or by policyctl, on through Postfix: under its own Received fields the bytes are those that
        came, and the sender's signature verifies, by the strictest canonicalization too."""
        for n, how in enumerate(((b"simple", b"simple"), (b"relaxed", b"relaxed"), (b"relaxed", b"simple"))):
            subject = "signed %d" % n
            data = self.sign(points(8, subject, body=ODD), how)
            self.assertTrue(self.verifies(data))
            self.assertEqual(self.send(data, [OWNER])[1][0], 250)
            entry = self.held(OWNER, subject)
            if n == 0:
                self.press(self.browser(OWNER), entry["id"], "release")
            else:
                self.pd.ctl("quarantine", "release", entry["id"])
            got = self.arrived(OWNER)
            self.assertEqual([m[0] for m in got], ["ann@sender.example"])
            self.assertTrue(got[0][2].endswith(data), how)
            above = got[0][2][:-len(data)].decode()
            self.assertEqual(set(re.findall(r"^([A-Za-z-]+):", above, re.M)), {"Received"}, above)
            self.assertTrue(self.verifies(got[0][2]), how)
            self.assertFalse(self.verifies(got[0][2].replace("m\u00fcsli".encode(), b"muesli")), "the check itself")
            shown = self.pd.json("quarantine", "show", entry["id"])["entries"][0]
            queue_id = re.search(r"queue id is ([0-9A-Za-z]+)", shown["note"]).group(1)
            self.assertIn(queue_id + ": from=<ann@sender.example>", self.pf.log())
            self.sink.mails.clear()

    def test_the_sender_asks_and_the_admin_approves(self):
        """The rejection says where to ask; who wrote the mail does; the admin finds the request and approves it."""
        rcpt = "ask@shop.example"
        self.pd.set("mailbox:" + rcpt, discard="7", top_action="reject", keep_rejected="true", release_link="true")
        data = self.sign(points(8, "wrongly rejected"), (b"relaxed", b"relaxed"))
        code, text = self.send(data, [rcpt])[1]
        text = text.decode().replace("\n", " ")
        self.assertEqual((code, text[:6]), (550, "5.7.1 "), text)
        path = re.search(r"http://[^/ ]+(/ask/[a-z0-9-]+)", text).group(1)
        stranger = Browser(self.pd.review)
        form = stranger.get(path).forms()[0]                                 # a scanner that follows links has done nothing by that
        self.assertEqual(self.held(rcpt, "wrongly rejected")["state"], "new")
        stranger.post(form["action"], {"address": "mallory@elsewhere.example"})
        self.assertEqual(self.held(rcpt, "wrongly rejected")["state"], "new")
        page = stranger.post(form["action"], {"address": "ann@sender.example"})
        self.assertEqual(page.status, 200)
        entry = self.held(rcpt, "wrongly rejected")
        self.assertEqual((entry["state"], entry["mode"]), ("requested", "copy"))
        admin = self.browser(ADMIN)
        self.assertIn("wrongly rejected", admin.get("/?state=requested").text)
        self.press(admin, entry["id"], "approve")
        got = self.arrived(rcpt)
        self.assertTrue(got[0][2].endswith(data) and self.verifies(got[0][2]))
        self.assertEqual([(e["action"], e["actor"]) for e in self.pd.json("audit", "list")["entries"] if entry["id"] in e["target"]],
                         [("mail.approve", ADMIN), ("mail.request", "ann@sender.example")])

    def test_request_and_approve(self):
        """A banned file: its owner may ask, not deliver; his admin may. A virus is scanned once more, and nobody gets it."""
        self.pd.set("mailbox:" + OWNER, banned_types="exe", banned="quarantine")
        body = ("--b\r\nContent-Type: text/plain\r\n\r\nthe tool you wanted\r\n--b\r\nContent-Type: application/octet-stream; name=tool.exe\r\n"
                "Content-Transfer-Encoding: base64\r\n\r\n%s\r\n--b--\r\n" % base64.b64encode(b"MZ" + os.urandom(300)).decode())
        data = mail("a tool", body=body).replace(b"text/plain; charset=utf-8", b"multipart/mixed; boundary=b", 1)
        self.assertEqual(self.send(data, [OWNER])[1][0], 250)
        entry = self.held(OWNER, "a tool")
        self.assertEqual(entry["class"], "banned")
        owner, admin = self.browser(OWNER), self.browser(ADMIN)
        self.assertEqual(self.buttons(owner, entry["id"]) & {"release", "approve", "request"}, {"request"})
        refused = owner.api("POST", "/api/v1/messages/change", {"op": "release", "ids": [entry["id"]]}).json()["results"]
        self.assertEqual([r["done"] for r in refused], [False])
        self.press(owner, entry["id"], "request")
        self.assertEqual(self.held(OWNER, "a tool")["state"], "requested")
        self.assertEqual(self.buttons(admin, entry["id"]) & {"approve", "deny"}, {"approve", "deny"})
        self.assertEqual(self.sink.to(OWNER), [])
        self.press(admin, entry["id"], "approve")
        self.assertTrue(self.arrived(OWNER)[0][2].endswith(data))

        self.assertEqual(self.send(eicar(), [OWNER])[1][0], 250)
        entry = self.held(OWNER, "a file")
        self.assertEqual(entry["class"], "virus")
        self.pd.ctl("quarantine", "request", entry["id"])
        out = self.pd.ctl("quarantine", "approve", entry["id"], check=False)
        self.assertEqual(out.returncode, 1)
        self.assertIn(b"a virus was found in it", out.stdout)
        self.assertEqual(len(self.sink.to(OWNER)), 1)

    def test_into_a_folder(self):
        """Tagged mail for who wants it in a folder goes to user+folder; clean mail, and what he releases, to himself; a neighbour in
        the same transaction gets his own way."""
        rcpt, next_door = "folder@shop.example", "plain@shop.example"
        self.pd.set("mailbox:" + rcpt, folder="Junk")
        self.assertEqual(self.send(points(5, "tagged"), [rcpt])[1][0], 250)
        self.arrived("folder+Junk@shop.example")
        self.assertEqual(self.send(mail("clean"), [rcpt])[1][0], 250)
        self.assertIn(b"Subject: clean", self.arrived(rcpt)[0][2])
        self.assertEqual(self.send(points(5, "tagged for two"), [rcpt, next_door])[1][0], 250)
        self.arrived(next_door)
        wait_until(lambda: len(self.sink.to("folder+Junk@shop.example")) == 2)
        data = points(8, "held")
        self.assertEqual(self.send(data, [rcpt])[1][0], 250)
        self.pd.ctl("quarantine", "release", self.held(rcpt, "held")["id"])
        wait_until(lambda: len(self.sink.to(rcpt)) == 2)
        self.assertTrue(self.sink.to(rcpt)[1][2].endswith(data))
        self.assertEqual(len(self.sink.to("folder+Junk@shop.example")), 2)


if __name__ == "__main__":
    unittest.main()
