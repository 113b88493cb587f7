"""The review pages in a real browser (Debian's Chromium, driven by playwright-core; axe-core looks at every page). Screenshots are
left in build/web. WEB_SUITES=all renders every mail of the hostile suites (make web-suites), else a part of them."""
import email
import glob
import json
import os
import re
import shutil
import subprocess
import time
import unittest

from tests.lib.mail import eicar, points
from tests.lib.policyd import EICAR_MD5, Policyd
from tests.lib.procs import TOP, Dir, free_port, wait_until
from tests.lib.sink import Sink
from tests.lib.web import Browser
from tests.lib.milter import Milter
from tests.suites.lib import unpack

PASSWORD, OWNER, HOSTILE = "correct horse 1", "bob@shop.example", "hostile@shop.example"
PHISH = """From: "Shop Bank" <service@b4nk.example>\r\nTo: bob@shop.example\r\nSubject: Verify your account\r\nMessage-ID: <ph1@b4nk.example>\r
Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nPlease click here to verify.\r\n"""
INVOICE = """From: Ines <ines@partner.example>\r\nTo: bob@shop.example\r\nSubject: Your invoice for November\r\nMessage-ID: <inv1@partner.example>\r
Date: Tue, 24 Nov 2026 10:00:00 +0000\r\nX-Test-Points: 8\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r
--bb\r\nContent-Type: multipart/alternative; boundary=aa\r\n\r\n--aa\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello Bob,\r\n\r
Please see the attached invoice. It is due in 14 days.\r\n\r\nInes\r\n--aa\r\nContent-Type: text/html; charset=utf-8\r\n\r
<h2>Invoice</h2><p>Hello Bob,</p><p>Please see the <a href="https://partner.example/inv">attached invoice</a>.</p><table><tr><td>Total</td><td align=right>120 &euro;</td></tr></table>\r
--aa--\r\n--bb\r\nContent-Type: application/pdf; name=invoice.pdf\r\nContent-Disposition: attachment; filename=invoice.pdf\r
Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjQKJcOkw7zDtsOfCg==\r\n--bb--\r\n"""


@unittest.skipUnless(shutil.which("node") and os.path.isdir(os.path.join(TOP, "build/web-npm/node_modules/playwright-core")), "make deps brings the browser")
class Web(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        cls.d.write("clamdb/test.hdb", EICAR_MD5)
        cls.d.write("clamdb/phish.ndb", "Heuristics.Phishing.Test:0:*:%s\n" % b"click here to verify".hex())
        cls.pd = Policyd(cls.d, reinject=cls.sink.port, review=free_port())
        cls.addClassCleanup(cls.pd.close)
        cls.pd.set("domain:shop.example", customer="shop", discard="off", virus="quarantine")
        cls.pd.set("domain:other.example", customer="other")
        cls.pd.set("mailbox:" + HOSTILE, tag="off", quarantine="-5000", discard="off", dnsbl="off")
        cls.pd.ctl("review", "--customer", "shop", "digest=daily", "digest_hour=%d" % time.localtime().tm_hour)
        for name, *role in ((OWNER, "--role", "owner"), (HOSTILE, "--role", "owner"), ("anna", "--role", "admin", "--customer", "shop"),
                            ("sue", "--role", "support"), ("abe", "--role", "abuse")):
            cls.pd.ctl("user", "add", name, *role, data=PASSWORD.encode() + b"\n")

    def send(self, data, *rcpts, sender="ann@sender.example"):
        m = Milter(("127.0.0.1", self.pd.milter_port))
        try:
            return m.send(data, list(rcpts), sender=sender)
        finally:
            m.close()

    def ids(self, rcpt):
        return [e["id"] for e in self.pd.quarantine(rcpt=rcpt)]

    def run_browser(self, name, **more):
        shots = os.path.join(TOP, "build", "web")
        os.makedirs(shots, exist_ok=True)
        cfg = dict({"url": self.pd.review, "password": PASSWORD, "owner": OWNER, "admin": "anna", "support": "sue", "abuse": "abe",
                    "modules": os.path.join(TOP, "build/web-npm/node_modules"), "chromium": shutil.which("chromium"), "shots": shots,
                    "journeys": [], "look": []}, **more)
        self.d.write(name + ".json", json.dumps(cfg))
        env = dict(os.environ, HOME=self.d.path)
        r = subprocess.run(["node", os.path.join(TOP, "tests/web/journeys.js"), self.d(name + ".json")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=900, env=env)
        out = r.stdout.decode()
        print("\n" + "".join("      " + line + "\n" for line in out.splitlines() if not line.startswith("ok")), end="")
        print("      %d checks passed" % out.count("\nok ") if r.returncode == 0 else out)
        self.assertEqual(r.returncode, 0, out)

    def test_journeys(self):
        self.send(INVOICE.encode(), OWNER, sender="ines@partner.example")
        self.send(PHISH.encode(), OWNER, sender="service@b4nk.example")
        self.send(eicar(), OWNER)
        for n in range(3):
            self.send(points(8, "Cheap watches %d" % n), OWNER)
        self.send(points(8, "for eve", body="words for eve only\r\n"), "eve@shop.example")
        self.send(points(8, "not for shop"), "zoe@other.example")
        self.send(points(8, "For the link"), "lea@shop.example")
        entries = {e["subject"]: e for e in self.pd.quarantine()}
        self.assertEqual(entries["Verify your account"]["class"], "phish")
        self.d.write("state/review/test-clock", "%d\n" % (86400 + 3700))
        wait_until(lambda: self.sink.to("lea@shop.example"))
        self.d.write("state/review/test-clock", "0\n")
        text = email.message_from_bytes(self.sink.to("lea@shop.example")[0][2]).get_payload()[0].get_payload(decode=True).decode()
        number, path = re.search(r"(\d{4})  http://[^/]+(/d/\S+)", text).groups()
        ident = entries["Your invoice for November"]["id"]
        self.run_browser("look", look=[[None, "/signin", "signin"], [None, "/signin/mail", "signin-mail"], [OWNER, "/", "list"], [OWNER, "/m/" + ident, "message"],
                                       [OWNER, "/settings", "settings"], ["anna", "/settings", "settings-admin"], ["anna", "/m/" + ident, "message-admin"],
                                       ["anna", "/seals", "seals"], ["anna", "/stats", "stats"], ["anna", "/audit", "audit"],
                                       ["sue", "/support?q=" + OWNER, "support"], ["sue", "/m/" + ident, "sealed"], [None, path, "link"], [None, "/nothing", "nothing"]])
        self.run_browser("journeys", journeys=["owner", "admin", "allowing", "support", "twoPersons", "abuse", "withoutScripts"], mails={"phish": entries["Verify your account"]["id"]},
                         link={"path": path, "number": number})
        wait_until(lambda: [m for m in self.sink.to(OWNER) if m[2] == INVOICE.encode()])     # byte exact, from the browser
        self.assertEqual(self.sink.to("lea@shop.example")[-1][2].split(b"\r\n\r\n")[0].count(b"For the link"), 1)

    def test_hostile_mails_do_nothing(self):
        every = os.environ.get("WEB_SUITES") == "all"
        mails = []
        with open(os.path.join(TOP, "tests/web/hostile.html.txt")) as f:
            fragments = f.read().split("\n")
        for n, fragment in enumerate(x for x in fragments if x):
            mails.append(("From: a@b.example\r\nSubject: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>before</p>%s<p>after</p>\r\n"
                          % (fragment.replace("\r", " ")[:200], fragment)).encode())
        mails.append(("From: a@b.example\r\nSubject: all of them\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n%s\r\n" % "\r\n".join(fragments)).encode())
        for suite in (("hostile-open", "mails.tar.xz"), ("mime-evasion", "mails.tar.xz")):
            files = sorted(glob.glob(os.path.join(unpack(*suite), "**", "*.eml"), recursive=True))
            for path in files if every else files[::12]:
                with open(path, "rb") as f:
                    mails.append(re.sub(rb"\r?\n", b"\r\n", f.read()))
        for data in mails:
            try:
                self.send(data, HOSTILE)
            except (ValueError, IndexError):             # no header block at all: not a mail that an MTA would hand on
                continue
        ids = self.ids(HOSTILE)
        self.assertGreater(len(ids), len(mails) * 0.8)
        self.run_browser("hostile", journeys=["hostile"], hostile={"who": HOSTILE, "ids": ids})


if __name__ == "__main__":
    unittest.main()
