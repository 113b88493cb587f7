"""The review pages and API as programs and people without JavaScript use them: who may what, forged and foreign requests, slow
and oversized ones, links in mails, digests."""
import base64
import email
import hashlib
import hmac
import http.client
import json
import os
import random
import re
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time
import unittest

from tests.lib.mail import eicar, points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port, wait_until
from tests.lib.review import ABUSE, ADMIN, OWNER, PASSWORD, SUPPORT, Base, routes
from tests.lib.web import Browser



def totp(secret, now):
    key = base64.b32decode(secret)
    mac = hmac.new(key, struct.pack(">Q", int(now) // 30), hashlib.sha1).digest()
    at = mac[19] & 15
    return "%06d" % ((struct.unpack(">I", mac[at:at + 4])[0] & 0x7fffffff) % 1000000)


class Review(Base):
    def test_release_is_byte_exact(self):
        data = points(8, "exact", body="caf\u00e9\r\n.\r\n..dots\r\n\r\n")
        ident = self.hold(data, OWNER)
        page = self.browser(OWNER).post("/change", {"csrf": self.browser(OWNER).csrf(), "op": "release", "id": ident + ":0"})
        self.assertIn("delivered or on its way", page.text)
        wait_until(lambda: [m for m in self.sink.to(OWNER) if m[2] == data])
        self.assertEqual(self.state(ident), "released")
        self.assertIn("SINK", self.browser(OWNER).get("/m/%s?n=0" % ident).text)     # the MTA's queue id
        self.assertEqual(self.pd.json("audit", "list")["entries"][0]["action"], "mail.release")

    def allowed(self, rcpt):
        return json.loads(self.pd.ctl("policy", "get", rcpt, "--json").stdout).get("values", {}).get("allow", {})

    def test_release_and_always_allow_is_one_action(self):
        """In a page, in bulk, by the API and by policyctl: delivered, and an entry on the recipient's own list, with its end and
        a note; the sender of the envelope is never it. What is not delivered allows nobody."""
        verp = "bounce-4711-sue=shop.example@mailer.example"
        for n, who in enumerate(("page", "api", "ctl")):
            rcpt = "always-%s@shop.example" % who
            m = Milter(("127.0.0.1", self.pd.milter_port))
            m.send(points(8, "always " + who, sender="News@Letters.example"), [rcpt], sender=verp)
            m.close()
        ids = {w: self.pd.quarantine(rcpt="always-%s@shop.example" % w)[0]["id"] for w in ("page", "api", "ctl")}
        b = self.browser(ADMIN)
        page = b.get("/m/%s?n=0" % ids["page"])
        form = next(f for f in page.forms() if ("op", "allow") in f["buttons"])
        fields = [(k, "our newsletter" if k == "comment" else v) for k, v in form["fields"]]
        page = b.post(form["action"], fields + [("days", "31"), ("op", "allow")])
        self.assertIn("Always delivered from now on: mail from <bdi>news@letters.example", page.text)
        entry = self.allowed("always-page@shop.example")
        self.assertEqual(list(entry), ["from:news@letters.example"])
        self.assertEqual((entry["from:news@letters.example"]["comment"], entry["from:news@letters.example"]["by"]), ("our newsletter", ADMIN))
        self.assertAlmostEqual(entry["from:news@letters.example"]["until"], time.time() + 31 * 86400, delta=100)
        r = self.api(ABUSE).api("POST", "/api/v1/messages/change", {"op": "release", "allow": True, "ids": [ids["api"]]}).json()["results"][0]
        self.assertEqual((r["done"], r["allow"]), (True, {"entry": "from:news@letters.example", "done": True, "reply": ""}))
        self.assertEqual(list(self.allowed("always-api@shop.example")), ["from:news@letters.example"])
        out = self.pd.ctl("quarantine", "release", ids["ctl"], "--allow", "--until", "2031-01-01", "--note", "by phone").stdout.decode()
        self.assertIn("always gets mail of from:news@letters.example", out)
        self.assertEqual(self.allowed("always-ctl@shop.example")["from:news@letters.example"]["comment"], "by phone")
        for who in ids:
            self.assertEqual(self.state(ids[who], "always-%s@shop.example" % who), "released")
        log = [e for e in self.pd.json("audit", "list", "--customer", "shop")["entries"] if e["action"] == "settings.allow" and "always-" in e["target"]]
        self.assertEqual({(e["actor"].split()[0], e["target"], e["note"]) for e in log},
                         {(ADMIN, "always-page@shop.example", "from:news@letters.example"), (ABUSE, "always-api@shop.example", "from:news@letters.example"),
                          ("policyctl", "always-ctl@shop.example", "from:news@letters.example")})
        virus = self.hold(eicar(), "always-no@shop.example")
        r = self.pd.ctl("quarantine", "release", virus, "--allow", check=False)
        self.assertEqual((r.returncode, self.allowed("always-no@shop.example")), (1, {}))
        r = self.api(SUPPORT).api("POST", "/api/v1/messages/change", {"op": "release", "allow": True, "note": "T1", "ids": [ids["api"]]}).json()
        self.assertFalse(r["results"][0]["done"])        # support delivers; whom to trust is not his to say

    def test_who_says_that_the_sender_is_who_he_is(self):
        """Results of authentication in the mail's own header are a stranger's word, in whatever name: not shown as ours."""
        host = self.pd.json("status").get("host_name") or socket.gethostname()
        forged = "Authentication-Results: %s; dmarc=pass header.from=bank.example" % host
        data = points(8, "forged results").replace(b"Subject:", forged.encode() + b"\r\nARC-Authentication-Results: i=1; x.example; spf=pass\r\nSubject:", 1)
        text = self.browser(ADMIN).get("/m/%s?n=0" % self.hold(data, OWNER)).text
        card, rest = re.search(r"Is the sender who he says he is\?</h2>(.*?)</section>(.*)", text, re.S).groups()
        self.assertNotIn("pass", card)
        self.assertEqual(len(re.findall(r"dmarc=pass header.from=bank.example</bdi> <span class=\"badge badge-state\">not our word", rest)), 1)
        self.assertEqual(rest.count("not our word"), 2)

    def test_an_allow_entry_goes_to_the_mailbox_behind_the_address(self):
        self.pd.set("mailbox:gus@shop.example", tag="3")
        self.addCleanup(self.pd.ctl, "policy", "unset", "mailbox:gus@shop.example")
        ident = self.hold(points(8, "to an extension"), "gus+news@shop.example")
        self.api(ADMIN).api("POST", "/api/v1/messages/change", {"op": "allow", "ids": [ident]})
        self.assertEqual((list(self.allowed("gus@shop.example")), self.allowed("gus+news@shop.example")), (["from:ann@sender.example"], {}))

    def test_lists_in_the_settings(self):
        """Put on and taken off again, one entry at a time; blocking from a message."""
        b = self.browser(ADMIN)
        key = "mailbox:lists@shop.example"
        for entry in ("a@x.example", "b@x.example"):
            page = b.post("/settings/list", {"csrf": b.csrf(), "key": key, "list": "block", "kind": "from", "entry": entry})
            self.assertIn("Saved", page.text)
        page = b.post("/settings/list", {"csrf": b.csrf(), "key": key, "list": "block", "remove": "from:a@x.example"})
        self.assertNotIn("from:a@x.example", page.text)
        self.assertIn("from:b@x.example", page.text)
        ident = self.hold(points(8, "block me"), "lists@shop.example")
        page = b.post("/m/%s/sender/block?n=0" % ident, {"csrf": b.csrf()})
        self.assertEqual(page.status, 200)
        self.assertEqual(sorted(json.loads(self.pd.ctl("policy", "get", key, "--json").stdout)["values"]["block"]), ["from:ann@sender.example", "from:b@x.example"])

    def test_delete_and_undo(self):
        ident = self.hold(points(8, "undo"), OWNER)
        b = self.browser(OWNER)
        page = b.post("/change", {"csrf": b.csrf(), "op": "delete", "id": ident + ":0"})
        self.assertEqual(self.state(ident), "deleted")
        form = next(f for f in page.forms() if ("op", "undo") in f["buttons"])
        page = b.post(form["action"], form["fields"] + [("op", "undo")])
        self.assertIn("taken back", page.text)
        self.assertIn(self.state(ident), ("new", "seen"))

    def test_dangerous_mail_is_asked_for_and_approved(self):
        ident = self.hold(eicar(), OWNER)
        owner = self.api(OWNER)
        reply = owner.api("POST", "/api/v1/messages/change", {"op": "release", "ids": [ident]}).json()
        self.assertFalse(reply["results"][0]["done"])
        self.assertTrue(owner.api("POST", "/api/v1/messages/change", {"op": "request", "ids": [ident]}).json()["results"][0]["done"])
        self.assertEqual(self.state(ident), "requested")
        for who in (ADMIN, SUPPORT, ABUSE):              # nobody delivers a virus from here
            r = self.api(who).api("POST", "/api/v1/messages/change", {"op": "approve", "ids": [ident], "note": "T1"}).json()
            self.assertFalse(r["results"][0]["done"], who)
        self.assertEqual(self.state(ident), "requested")

    def test_support_gives_a_ticket(self):
        ident = self.hold(points(8, "ticket"), OWNER)
        self.assertEqual(self.api(SUPPORT).api("POST", "/api/v1/messages/change", {"op": "release", "ids": [ident]}).status, 400)
        self.assertEqual(self.state(ident), "new")

    def test_a_seal_takes_two(self):
        """Support reads a customer's mail only with a reason, a second person's yes, for an hour, and the customer sees it."""
        ident = self.hold(points(8, "sealed", body="the inner words\r\n"), OWNER)
        other = self.hold(points(8, "sealed too", body="the other words\r\n"), OWNER)
        sue, at = self.browser(SUPPORT), "/m/%s?n=0" % ident
        self.addCleanup(self.browsers.clear)             # an hour later nobody is signed in any more
        self.addCleanup(self.clock, 0)
        reads = lambda who=SUPPORT: "the inner words" in self.api(who).get("/api/v1/messages/%s?n=0" % ident).text
        self.assertFalse(reads())
        self.assertIn("The text is sealed", sue.get(at).text)
        self.assertFalse("inner words" in sue.get(at + "&reason=ticket+4711").text)  # a GET opens nothing
        self.assertEqual(sue.post("/m/%s/unseal?n=0" % ident, {"csrf": sue.csrf(), "reason": " x"}).status, 400)
        page = sue.post("/m/%s/unseal?n=0" % ident, {"csrf": sue.csrf(), "reason": "ticket 4711"})
        self.assertIn("a second person has to agree", page.text)
        self.assertFalse(reads())
        seal = self.api(SUPPORT).get("/api/v1/seals").json()["seals"][0]
        self.assertEqual((seal["state"], seal["asker"], seal["reason"], seal["customer"]), ("asked", SUPPORT, "ticket 4711", "shop"))
        path = "/api/v1/seals/" + seal["key"]
        self.assertEqual(self.api(SUPPORT).api("POST", path, {"op": "open"}).status, 403)       # not by himself
        self.assertEqual(self.api("otto").api("POST", path, {"op": "open"}).status, 404)        # another customer's admin
        self.assertEqual(self.api(OWNER).api("POST", path, {"op": "open"}).status, 403)
        self.assertEqual(self.api(ABUSE).api("POST", path, {"op": "break"}).status, 400)
        self.assertFalse(reads())
        admin = self.browser(ADMIN)
        self.assertIn('<span class="count">1</span>', admin.get("/").text)
        form = next(f for f in admin.get("/seals").forms() if f["action"] == "/seals/" + seal["key"])
        admin.post(form["action"], form["fields"] + [("op", "open")])
        self.assertTrue(reads())
        self.assertIn("the inner words", sue.get(at).text)
        self.assertNotIn("the other words", sue.get("/m/%s?n=0" % other).text)                  # this mail alone
        self.assertEqual(sue.get("/m/%s/html?n=0" % ident).status, 404)
        self.assertEqual(sue.get("/m/%s/mail.eml?n=0" % ident).status, 404)
        self.pd.ctl("user", "add", "sid", "--role", "support", data=PASSWORD.encode() + b"\n")
        self.assertFalse(reads("sid"))                                            # and this reader
        self.clock(3700)
        wait_until(lambda: not reads())
        self.clock(0)
        wait_until(reads)
        self.assertEqual(self.api(ADMIN).api("POST", path, {"op": "close"}).status, 200)
        self.assertFalse(reads())
        self.assertEqual(self.api(ABUSE).api("POST", path, {"op": "open"}).status, 409)
        ask = lambda reason: self.api(SUPPORT).api("POST", "/api/v1/messages/%s/unseal" % ident, {"reason": reason})
        self.assertEqual(ask("ticket 4712").status, 200)
        key = self.pd.json("review", "seals")["seals"][0]["key"]
        self.pd.ctl("review", "refuse", key)
        self.assertFalse(reads())
        ask("ticket 4713")
        self.pd.ctl("review", "open", self.pd.json("review", "seals")["seals"][0]["key"])
        self.assertTrue(reads())
        os.kill(self.pd.pids()["review"], signal.SIGKILL)
        wait_until(self.pd.ready)
        self.assertTrue(reads())
        log = [(e["actor"], e["action"], e["note"]) for e in reversed(self.pd.json("audit", "list", "--customer", "shop")["entries"]) if e["target"] == ident]
        for entry in ((SUPPORT, "seal.ask", "ticket 4711"), (ADMIN, "seal.open", SUPPORT), (SUPPORT, "mail.read", "ticket 4711"), (ADMIN, "seal.close", SUPPORT)):
            self.assertIn(entry, log)
        for page in ("/audit", "/seals"):
            self.assertIn("ticket 4711", self.api(ADMIN).get(page).text)

    def test_admin_reads_bodies_only_where_the_customer_says_so(self):
        ident = self.hold(points(8, "privacy", body="private words\r\n"), OWNER)
        self.assertNotIn("private words", self.browser(ADMIN).get("/m/%s?n=0" % ident).text)
        self.pd.ctl("review", "--customer", "shop", "admin_reads=yes")
        self.addCleanup(self.pd.ctl, "review", "--customer", "shop", "admin_reads=no")
        self.assertIn("private words", self.browser(ADMIN).get("/m/%s?n=0" % ident).text)

    def test_openapi_says_all_routes_and_no_others(self):
        doc = Browser(self.pd.review).get("/api/v1/openapi.json").json()
        said = {(m.upper(), re.sub(r"\{\w+\}", ":", p)) for p, ms in doc["paths"].items() for m in ms}
        self.assertEqual(said, {(m, p) for m, p, _, _ in routes() if p.startswith("/api/")})

    def test_foreign_ids_are_not_there_in_the_same_time(self):
        theirs = self.hold(points(8, "foreign"), "zoe@other.example")
        mine = self.hold(points(8, "mine"), OWNER)
        never = "q" + "a" * 15
        for who in (OWNER, ADMIN):
            b, times = self.api(who), {theirs: [], never: []}
            self.assertEqual(b.get("/api/v1/messages/%s" % mine).status, 200)
            for path in ("/api/v1/messages/%s", "/api/v1/messages/%s?n=0", "/api/v1/messages/%s/mail.eml", "/m/%s", "/m/%s/html"):
                bodies = set()
                for ident in (theirs, never):
                    r = b.get(path % ident)
                    self.assertEqual(r.status, 404, path)
                    bodies.add(r.body.replace(ident.encode(), b""))
                self.assertEqual(len(bodies), 1)
            for _ in range(9):
                for ident in times:
                    times[ident].append(b.get("/api/v1/messages/%s" % ident).took)
            a, z = (sorted(t)[4] for t in times.values())
            self.assertLess(abs(a - z), 0.02, times)
            for op in ("release", "delete", "request", "spam", "undo"):
                r = b.api("POST", "/api/v1/messages/change", {"op": op, "ids": [theirs + ":0"]})
                self.assertEqual(r.status, 404)
            self.assertNotIn("foreign", b.get("/api/v1/messages?customer=other&rcpt=zoe@other.example&state=all").text)
        self.assertEqual(self.state(theirs, "zoe@other.example"), "new")

    def test_other_recipients_do_not_show(self):
        ident = self.hold(points(8, "to three"), OWNER, "eve@shop.example", "zoe@other.example")
        ids = {e["id"] for e in self.pd.quarantine() if e["subject"] == "to three"}
        for i in ids:
            for path in ("/m/%s" % i, "/api/v1/messages/%s" % i):
                text = self.api(OWNER).get(path).text
                self.assertNotIn("eve@", text)
                self.assertNotIn("zoe@", text)
        self.assertNotIn("zoe@", self.api(ADMIN).get("/api/v1/messages?state=all&limit=500").text)
        self.assertEqual(self.state(ident), "seen")      # by its owner, just now

    def test_forged_forms(self):
        ident = self.hold(points(8, "forged"), OWNER)
        b = self.browser(OWNER)
        good = b.csrf()
        fields = {"op": "delete", "id": ident + ":0"}
        for forged in ({}, {"csrf": ""}, {"csrf": good[:-1]}, {"csrf": good[:-1] + "x"}, {"csrf": self.browser(ADMIN).csrf()}):
            self.assertEqual(b.post("/change", dict(fields, **forged)).status, 403)
        self.assertEqual(b.post("/change", dict(fields, csrf=good), headers={"Sec-Fetch-Site": "cross-site"}).status, 403)
        self.assertEqual(b.post("/change", dict(fields, csrf=good), headers={"Content-Type": "text/plain"}).status, 415)
        self.assertEqual(Browser(self.pd.review).post("/signin", {"name": OWNER, "password": PASSWORD}, headers={"Sec-Fetch-Site": "cross-site"}).status, 403)
        self.assertEqual(self.state(ident), "new")

    def test_headers_of_every_answer(self):
        ident = self.hold(points(8, "headers"), OWNER)
        for path in ("/", "/m/%s" % ident, "/nothing", "/static/app.js", "/api/v1/me", "/signin"):
            h = self.browser(OWNER).get(path).headers
            self.assertIn("frame-ancestors 'none'", h["Content-Security-Policy"], path)
            self.assertNotIn("unsafe", h["Content-Security-Policy"])
            self.assertEqual((h["X-Frame-Options"], h["X-Content-Type-Options"], h["Referrer-Policy"]), ("DENY", "nosniff", "no-referrer"))
        b = Browser(self.pd.review)
        r = b.post("/signin", {"name": OWNER, "password": PASSWORD}, follow=False)
        self.assertRegex(r.headers["Set-Cookie"], r"HttpOnly; SameSite=Lax")
        frame = self.browser(OWNER).get("/m/%s/html?n=0" % ident).headers["Content-Security-Policy"]
        self.assertTrue(frame.startswith("default-src 'none'; style-src 'sha256-") and "; sandbox;" in frame, frame)

    def test_sign_in_and_out(self):
        b = Browser(self.pd.review)
        for name, password in (("nobody", PASSWORD), ("otto", "wrong horse 1"), ("otto", "")):
            r = b.sign_in(name, password)
            self.assertIn(r.status, (400, 403))
            self.assertIn("not right", r.text)
        self.assertEqual(b.sign_in("otto", PASSWORD).status, 200)
        cookies = dict(b.cookies)
        b.post("/signout", {"csrf": b.csrf()})
        b.cookies = cookies
        self.assertEqual(b.get("/", follow=False).status, 303)
        b.sign_in("otto", PASSWORD)
        self.pd.ctl("user", "passwd", "otto", data=PASSWORD.encode() + b"\n")        # ends what began before
        self.assertEqual(b.get("/", follow=False).status, 303)

    def test_second_factor(self):
        self.pd.ctl("user", "add", "tom", "--role", "abuse", data=PASSWORD.encode() + b"\n")
        secret = self.pd.json("user", "totp", "tom")["secret"]
        b = Browser(self.pd.review)
        self.assertEqual(b.sign_in("tom", PASSWORD).status, 403)
        self.assertEqual(b.sign_in("tom", PASSWORD, totp(secret, time.time() + 3000)).status, 403)
        code = totp(secret, time.time())
        self.assertEqual(b.sign_in("tom", PASSWORD, code).status, 200)
        self.assertEqual(Browser(self.pd.review).sign_in("tom", PASSWORD, code).status, 403)        # once

    def test_audit_chain(self):
        self.assertIn("the chain is whole", self.pd.ctl("audit", "verify").stdout.decode())
        path = self.d("state/review/audit.log")
        with open(path, "rb") as f:
            before = f.read()
        lines = before.splitlines(True)
        self.assertGreater(len(lines), 3)
        for broken in (b"".join(lines[:1] + lines[2:]), before.replace(b"user.add", b"user.ADD", 1), before[:-len(lines[-1])],
                       b"".join([lines[1], lines[0]] + lines[2:])):
            with open(path, "r+b") as f:
                f.write(broken)
                f.truncate()
            self.assertEqual(self.pd.ctl("audit", "verify", check=False).returncode, 1)
        with open(path, "r+b") as f:
            f.write(before)
            f.truncate()
        self.pd.ctl("audit", "verify")

    def test_a_restart_signs_nobody_out(self):
        b = self.browser(ADMIN)
        b.get("/")
        time.sleep(2.5)                      # sessions are saved every second
        os.kill(self.pd.pids()["review"], signal.SIGKILL)
        wait_until(self.pd.ready)
        self.assertEqual(b.get("/", follow=False).status, 200)

    def test_trace_by_address_and_id(self):
        ident = self.hold(points(8, "where is it"), "lost@shop.example")
        sue = self.browser(SUPPORT)
        by = {e["id"]: e for e in self.pd.quarantine(rcpt="lost@shop.example")}[ident]
        for q in ("lost@shop.example", "LOST@shop.example", by["queue_id"], by["message_id"], ident):
            text = sue.get("/support?q=" + q.replace("<", "%3C").replace(">", "%3E")).text
            self.assertIn("where is it", text, q)
            self.assertIn("held in the quarantine", text)
        reference = re.search(r"<dt>Reference</dt><dd><bdi>(\w+)<", text).group(1)
        self.assertIn("where is it", sue.get("/support?q=" + reference).text)
        self.assertIn("Nothing is known", sue.get("/support?q=nobody@nowhere.example").text)
        self.assertIn("where is it", sue.get("/support?q=ann@sender.example+lost@shop.example").text)       # all must fit
        self.assertIn("where is it", sue.get("/support?q=lost@shop.example+" + by["queue_id"]).text)
        self.assertNotIn("where is it", sue.get("/support?q=lost@shop.example+other@sender.example").text)
        self.assertIn("where is it", self.api(ADMIN).get("/support?q=lost@shop.example").text)              # his customer's
        self.assertEqual(self.api("otto").get("/api/v1/trace?q=lost@shop.example").json(), {"events": [], "held": []})
        self.assertIn(b"where is it", self.pd.ctl("trace", "ann@sender.example", "lost@shop.example").stdout)
        self.api(ADMIN).api("POST", "/api/v1/messages/change", {"op": "release", "ids": [ident]})
        self.assertRegex(sue.get("/support?q=" + reference).text, r"the MTA&#39;s queue id is SINK")        # and what became of it since

    def test_settings(self):
        b = self.browser(OWNER)
        page = b.post("/settings", {"csrf": b.csrf(), "key": "mailbox:" + OWNER, "tag": "2.5", "quarantine": "", "discard": "off"})
        self.assertIn("Saved", page.text)
        self.addCleanup(self.pd.ctl, "policy", "unset", "mailbox:" + OWNER)
        fields = {f["field"]: f for f in self.pd.json("policy", "explain", OWNER)["fields"]}
        self.assertEqual((fields["tag"]["value"], fields["tag"]["level"]), ("2.5", "mailbox"))
        page = b.post("/settings", {"csrf": b.csrf(), "key": "mailbox:" + OWNER, "tag": "9", "quarantine": "5", "discard": ""})
        self.assertEqual(page.status, 400)
        self.assertIn("Not saved", page.text)
        for who, key in ((OWNER, "mailbox:eve@shop.example"), (OWNER, "customer:shop"), (ADMIN, "customer:other")):
            x = self.browser(who)
            self.assertEqual(x.post("/settings", {"csrf": x.csrf(), "key": key, "tag": "1"}).status, 404, (who, key))


class Bounds(Base):
    def raw(self, data, seconds=3):
        with socket.create_connection(tuple(self.pd.review[7:].split(":")), timeout=seconds) as s:
            s.sendall(data)
            try:
                return s.recv(200)
            except socket.timeout:
                return None

    def test_oversized_and_odd(self):
        for data, status in ((b"GET / HTTP/1.1\r\nA: " + b"a" * 20000 + b"\r\n\r\n", b"431"),
                             (b"POST /signin HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n", b"413"),
                             (b"POST /signin HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"501"),
                             (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"414"),
                             (b"BREW / HTTP/1.1\r\nHost: x\r\n\r\n", b"405"), (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", b"400")):
            self.assertIn(status, self.raw(data) or b"", data[:40])

    def test_slow_clients_cost_nobody_else(self):
        """300 connections that send a byte every second: pages are served meanwhile, and all of them are ended in time."""
        host, port = self.pd.review[7:].split(":")
        slow = []
        for n in range(300):
            s = socket.create_connection((host, int(port)), timeout=5, source_address=("127.0.0.%d" % (2 + n // 100), 0))
            slow.append(s)
        began, ended = time.monotonic(), 0
        while slow and time.monotonic() - began < 25:
            for s in list(slow):
                try:
                    s.sendall(b"X")
                    s.setblocking(False)
                    try:
                        gone = s.recv(100) == b""
                    except BlockingIOError:
                        gone = False
                    s.setblocking(True)
                except OSError:
                    gone = True
                if gone:
                    slow.remove(s)
                    s.close()
            if time.monotonic() - began < 2:
                self.assertIn(Browser(self.pd.review).get("/health").status, (200, 503))
            time.sleep(0.5)
        self.assertEqual(len(slow), 0)
        self.assertLess(time.monotonic() - began, 20)
        stats = self.pd.json("stats")
        self.assertGreater(stats["http_too_slow"] + stats["http_connections_refused"], 250)

    def test_health_and_metrics(self):
        b = Browser(self.pd.review)
        self.assertEqual(b.get("/health").json()["status"], "ok")
        text = b.get("/metrics").text
        self.assertRegex(text, r"(?m)^# TYPE policyd_messages_total counter\npolicyd_messages_total \d+$")
        self.assertEqual(b.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status, 403)
        for line in text.splitlines():
            self.assertRegex(line, r"^(# TYPE policyd_\w+ (counter|gauge)|policyd_\w+ -?\d+)$")


class Tls(unittest.TestCase):
    def test_own_certificate(self):
        d = Dir()
        self.addCleanup(d.close)
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", d("key.pem"), "-out", d("cert.pem"), "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, stderr=subprocess.DEVNULL)
        port, milter = free_port(), free_port()
        listen = 'listen = { milter = ( { socket = "inet:%d@127.0.0.1"; } ); review = "https://127.0.0.1:%d"; };' % (milter, port)
        pd = Policyd(d, listen=listen, settings='review = { certificate = "%s"; key = "%s"; };' % (d("cert.pem"), d("key.pem")))
        self.addCleanup(pd.close)
        pd.ctl("user", "add", "anna", "--role", "admin", "--customer", "shop", data=PASSWORD.encode() + b"\n")
        trust = ssl.create_default_context(cafile=d("cert.pem"))
        c = http.client.HTTPSConnection("127.0.0.1", port, context=trust, timeout=20)
        c.request("POST", "/signin", "name=anna&password=" + PASSWORD.replace(" ", "+"), {"Content-Type": "application/x-www-form-urlencoded"})
        r = c.getresponse()
        r.read()
        self.assertEqual(r.status, 303)
        self.assertRegex(r.headers["Set-Cookie"], r"^__Host-policyd=\w{64}; Path=/;.*; Secure$")
        self.assertIn("max-age", r.headers["Strict-Transport-Security"])
        cookie = r.headers["Set-Cookie"].split(";")[0]
        for _ in range(3):                               # the connection is kept
            c.request("GET", "/", headers={"Cookie": cookie})
            r = c.getresponse()
            self.assertIn(b"anna", r.read())
        old = ssl.create_default_context(cafile=d("cert.pem"))
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, OSError)):
            http.client.HTTPSConnection("127.0.0.1", port, context=old, timeout=5).request("GET", "/")


class Links(Base):
    """Digests, the links in them, and who must not be able to use them."""
    settings = ""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pd.ctl("review", "--customer", "shop", "digest=daily", "digest_hour=%d" % time.localtime().tm_hour, "brand=Shop & S\u00f6hne")

    def tearDown(self):
        self.clock(0)

    def digests(self, rcpt):
        return [m for m in self.sink.to(rcpt) if b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in m[2]]

    def digest(self, rcpt):
        """The next window's digest for this mailbox: its text part."""
        before = len(self.digests(rcpt))
        Links.days = getattr(Links, "days", 0) + 1
        self.clock(Links.days * 86400 + 3700)            # past this hour's spread
        wait_until(lambda: len(self.digests(rcpt)) > before, 30)
        return self.text(self.digests(rcpt)[-1])

    def text(self, m):
        msg = email.message_from_bytes(m[2])
        return msg, msg.get_payload()[0].get_payload(decode=True).decode(), msg.get_payload()[1].get_payload(decode=True).decode()

    def links(self, text):
        """{subject line: (number, path)}"""
        return {s.strip(): (n, p) for s, n, p in re.findall(r"\n  ([^\n]*)\r?\n  [^\n]*\n  \w+ (\d{4})  http://[^/]+(/d/\S+)", text)}

    def test_digest_reads_well_and_the_human_gets_his_mail(self):
        data = points(8, "wanted 1")
        self.hold(data, "hans@shop.example")
        for n in range(4):
            self.hold(points(8, "cheap watches %d" % n, sender="w%d@watch.example" % n), "hans@shop.example")
        self.hold(points(20, "far too much") .replace(b"X-Test-Points: 20", b"X-Test-Points: 8"), "hans@shop.example")
        self.hold(points(8, "<b>bold</b> http://evil.example/x www.evil.example"), "hans@shop.example")
        msg, text, html = self.digest("hans@shop.example")
        self.assertIn("7 mails", str(email.header.make_header(email.header.decode_header(msg["Subject"]))))
        self.assertIn("Shop & S\u00f6hne", str(email.header.make_header(email.header.decode_header(msg["From"]))))
        self.assertEqual(msg["Auto-Submitted"], "auto-generated")
        self.assertIn("4 alike", text)                   # one campaign, one line
        self.assertNotIn("http://evil", text + html)
        self.assertNotIn("<b>bold", html)
        number, path = self.links(text)["wanted 1"]
        b = Browser(self.pd.review)
        page = b.get(path)
        self.assertIn("wanted 1", page.text)
        form = page.forms()[0]
        page = b.post(form["action"], [("code", number), ("op", "allow")])
        self.assertIn("delivered or on its way", page.text)
        self.assertIn("Always delivered from now on: mail from <bdi>ann@sender.example", page.text)
        wait_until(lambda: [m for m in self.sink.to("hans@shop.example") if m[2] == data])
        self.assertEqual(b.get(path).status, 410)        # used up
        self.assertEqual(b.post(path, [("code", number), ("op", "delete")]).status, 410)

    def test_scanner_does_nothing(self):
        """Follows every link, posts every form with every button, guesses; from several addresses, as fast as it can."""
        ids = [self.hold(points(8, "scan %d" % n), "scan@shop.example") for n in range(3)]
        _, text, html = self.digest("scan@shop.example")
        todo = set(re.findall(r"http://[^/\s\"]+(/[^\s\"<]*)", text + html))
        unsubscribe = re.search(r"<http://[^/]+(/[^>]+)>", self.text(self.digests("scan@shop.example")[-1])[0]["List-Unsubscribe"]).group(1)
        todo.add(unsubscribe)
        seen, posts = set(), 0
        while todo:
            path = todo.pop()
            if path in seen or path.startswith("/static"):
                continue
            seen.add(path)
            b = Browser(self.pd.review)
            for method in ("HEAD", "GET"):
                page = b.request(method, path, follow=False)
            for link in page.links():
                if link.startswith("/"):
                    todo.add(link)
            for form in page.forms():
                for button in form["buttons"] or [(None, "")]:
                    for guess in ("", "0000", "1234", "".join(random.choices("0123456789", k=4))):
                        fields = [(n, guess if n in ("code", "password") else v or "x@shop.example") for n, v in form["fields"]]
                        fields += [button] if button[0] else []
                        b.post(form["action"], fields, follow=False)
                        posts += 1
        self.assertGreater(posts, 30)
        self.assertEqual([self.state(i, "scan@shop.example") for i in ids], ["new"] * 3)
        self.assertEqual(self.sink.to("scan@shop.example"), self.digests("scan@shop.example"))
        self.hold(points(8, "scan again"), "scan@shop.example")
        self.digest("scan@shop.example")     # still subscribed

    def test_ten_thousand_bad_tokens(self):
        ident = self.hold(points(8, "token"), "tok@shop.example")
        foreign = self.hold(points(8, "token two"), "tik@shop.example")
        _, text, _ = self.digest("tok@shop.example")
        number, path = self.links(text)["token"]
        wait_until(lambda: self.digests("tik@shop.example"))
        number2, path2 = self.links(self.text(self.digests("tik@shop.example")[-1])[1])["token two"]
        token, token2 = path[3:], path2[3:]
        letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        rng, bad = random.Random(7), []
        body, mac = token.split(".")
        body2, mac2 = token2.split(".")
        bad += [body + "." + mac2, body2 + "." + mac, body, "." + mac, token + "A", token + "=", "A" + token, token.swapcase(), token[::-1], body + ".", "x"]
        while len(bad) < 10000:
            kind = rng.randrange(4)
            at = rng.randrange(len(token))
            if kind == 0:                    # one letter
                new = token[:at] + rng.choice(letters) + token[at + 1:]
            elif kind == 1:                  # one bit of the bytes
                raw = bytearray(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
                raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
                new = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode() + "." + mac
            elif kind == 2:                  # shorter or longer
                new = token[:at] if rng.random() < 0.5 else token + rng.choice(letters) * rng.randrange(1, 9)
            else:                            # made up
                new = "".join(rng.choices(letters, k=len(body))) + "." + "".join(rng.choices(letters, k=len(mac)))
            if new not in (token, token2):
                bad.append(new)
        c, accepted = http.client.HTTPConnection(self.pd.review[7:], timeout=30), []
        for n, t in enumerate(bad):
            if n % 2:
                c.request("POST", "/d/" + t, "op=release&code=" + number, {"Content-Type": "application/x-www-form-urlencoded"})
            else:
                c.request("GET", "/d/" + t)
            r = c.getresponse()
            r.read()
            if r.status < 400:
                accepted.append(t)
        self.assertEqual(accepted, [])
        b = Browser(self.pd.review)
        for where in ("/in/", "/unsubscribe/"):          # a token is for one thing
            self.assertEqual(b.get(where + token).status, 410)
        self.assertEqual(b.post(path, [("code", number2), ("op", "release")]).status if number != number2 else 403, 403)   # another's number
        self.clock(Links.days * 86400 + 3700 + 20 * 86400)
        wait_until(lambda: b.get(path).status == 410)    # expired
        self.clock(Links.days * 86400 + 3700)
        wait_until(lambda: b.get(path).status == 200)
        for _ in range(10):                              # out of tries
            b.post(path, [("code", "%04d" % ((int(number) + 1) % 10000)), ("op", "release")])
        self.assertEqual(b.post(path, [("code", number), ("op", "release")]).status, 410)
        self.assertEqual([self.state(ident, "tok@shop.example"), self.state(foreign, "tik@shop.example")], ["new", "new"])

    def test_one_click_unsubscribe(self):
        self.hold(points(8, "off"), "off@shop.example")
        msg, _, _ = self.digest("off@shop.example")
        path = re.search(r"<http://[^/]+(/[^>]+)>", msg["List-Unsubscribe"]).group(1)
        b = Browser(self.pd.review)
        self.assertEqual(b.get(path).status, 200)        # acts on nothing
        self.assertEqual(b.post(path, {"x": "y"}).status, 400)
        self.assertEqual(b.post(path, {"List-Unsubscribe": "One-Click"}).status, 200)
        self.hold(points(8, "off 2"), "off@shop.example")
        self.hold(points(8, "on"), "on@shop.example")
        n = len(self.digests("off@shop.example"))
        self.digest("on@shop.example")
        time.sleep(2)
        self.assertEqual(len(self.digests("off@shop.example")), n)

    def test_admins_get_what_is_held_for_whom_and_what_waits(self):
        """Each once a window and address, also over a restart; no bodies, no link that acts; none when there is nothing."""
        b = self.api(ADMIN)
        self.pd.ctl("review", "--customer", "other", "admin_digest=daily", "request_digest=daily", "digest_hour=%d" % time.localtime().tm_hour,
                    "admin_mail=otto@other.example, root@elsewhere.example")
        self.assertEqual(self.pd.ctl("review", "--customer", "other", "admin_mail=not an address", check=False).returncode, 2)
        for n in range(3):
            self.hold(points(8, "three %d" % n, body="inner words\r\n"), "zoe@other.example")
        virus = self.hold(eicar(), "zack@other.example")
        self.pd.ctl("quarantine", "request", virus)
        Links.days = getattr(Links, "days", 0) + 1
        self.clock(Links.days * 86400 + 3700)
        at = "root@elsewhere.example"
        wait_until(lambda: len(self.sink.to(at)) == 2 and len(self.sink.to("otto@other.example")) == 2, 30)
        mails = {str(email.header.make_header(email.header.decode_header(self.text(m)[0]["Subject"]))): self.text(m) for m in self.sink.to(at)}
        _, text, html = mails["4 mails are held for your mailboxes"]
        self.assertRegex(text, r"3  zoe@other\.example  \(3 spam\)")
        self.assertRegex(text, r"1  zack@other\.example  \(1 virus; 1 release asked for\)")
        _, text, html = mails["1 mail waits for your answer"]
        self.assertIn("zack@other.example", text)
        self.assertIn("/m/%s?n=0" % virus, text)
        for _, text, html in mails.values():
            self.assertNotIn("inner words", text + html)
            self.assertNotIn("/d/", text + html)
            self.assertEqual(Browser(self.pd.review).get("/m/" + virus, follow=False).headers["Location"], "/signin")
        os.kill(self.pd.pids()["review"], signal.SIGKILL)
        wait_until(self.pd.ready)
        time.sleep(2.5)
        self.assertEqual((len(self.sink.to(at)), len(self.sink.to("otto@other.example"))), (2, 2))
        self.assertEqual(b.get("/api/v1/me").status, 200)

    def test_sign_in_by_mail(self):
        b = Browser(self.pd.review)
        page = b.post("/signin/mail", {"address": "Lena@Shop.example"})
        self.assertIn("on its way", page.text)
        wait_until(lambda: self.sink.to("lena@shop.example"))
        _, text, _ = self.text(self.sink.to("lena@shop.example")[-1])
        code = re.search(r"(?m)^    (\d{6})", text).group(1)
        form = page.forms()[0]
        wrong = "%06d" % ((int(code) + 1) % 1000000)
        self.assertEqual(b.post(form["action"], [("code", wrong)]).status, 403)
        self.hold(points(8, "for lena"), "lena@shop.example")
        page = b.post(form["action"], [("code", code)])
        self.assertIn("for lena", page.text)
        self.assertEqual(Browser(self.pd.review).post(form["action"], [("code", code)]).status, 410)
        page = Browser(self.pd.review).post("/signin/mail", {"address": "nobody@unknown.example"})
        self.assertIn("on its way", page.text)           # says no more than for one that we know
        time.sleep(0.5)
        self.assertEqual(self.sink.to("nobody@unknown.example"), [])


class Digests(Base):
    def test_days_with_restarts(self):
        """Simulated days (make soak: 30), four mailboxes, review killed again and again: one digest a window and mailbox, none
        missing."""
        days = int(os.environ.get("DIGEST_DAYS", "5"))
        self.pd.ctl("review", "--customer", "shop", "digest=daily", "digest_hour=0")
        boxes = ["d%d@shop.example" % n for n in range(4)]
        stop, kills = threading.Event(), [0]
        rng = random.Random(11)

        def kill():
            while not stop.wait(rng.uniform(0.4, 1.6)):
                try:
                    pid = self.pd.pids()["review"]
                    if pid > 0:              # not between two lives
                        os.kill(pid, signal.SIGKILL)
                        kills[0] += 1
                except (OSError, KeyError, ValueError, AssertionError):
                    pass

        sent = {}
        t = threading.Thread(target=kill)
        t.start()
        try:
            for day in range(1, days + 1):
                for box in boxes:
                    self.hold(points(8, "day %d" % day), box)
                midnight = (int(time.time()) // 86400 + day) * 86400 + time.timezone
                self.d.write("state/review/test-clock", "%d\n" % (midnight + 3605 - int(time.time())))
                for box in boxes:
                    wait_until(lambda: len(self.sink.to(box)) >= sent.get(box, 0) + 1, 60)
                for box in boxes:
                    sent[box] = sent.get(box, 0) + 1
        finally:
            stop.set()
            t.join()
        time.sleep(3)
        counts = {box: len(self.sink.to(box)) for box in boxes}
        ids = [email.message_from_bytes(m[2])["Message-ID"] for box in boxes for m in self.sink.to(box)]
        print("      %d days, %d kills, %d digests" % (days, kills[0], len(ids)))
        self.assertEqual(len(ids), len(set(ids)))
        with open(self.d("state/review/digests.log")) as f:
            windows = {(e["window"], e["mailbox"]) for e in map(json.loads, f) if e["state"] in ("sending", "sent")}
        self.assertEqual(len(ids), len(windows))
        for box in boxes:
            self.assertGreaterEqual(counts[box], days)


if __name__ == "__main__":
    unittest.main()
