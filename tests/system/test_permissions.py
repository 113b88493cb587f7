"""Who may reach what: every route of the review process for every caller and whatever belongs to him or to others. What stands
in no row here may not be reached, and a route without a row fails the test."""
import json
import unittest
import urllib.parse

from tests.lib.mail import points
from tests.lib.review import ABUSE, ADMIN, OWNER, PASSWORD, SUPPORT, Base, routes
from tests.lib.web import Browser

# Whose it is, seen from bob@shop.example: his own, his domain's, another domain of his customer, another customer's.
WHOSE = {"own": OWNER, "mailbox": "eve@shop.example", "domain": "ida@laden.example", "customer": "zoe@other.example"}
OURS = ("own", "mailbox", "domain")
SAM, ADA, OTTO = "sam", "ada", "otto"        # support and abuse desk for the one customer; the other customer's admin
REACH = {OWNER: ("own",), ADMIN: OURS, OTTO: ("customer",), SUPPORT: tuple(WHOSE), SAM: OURS, ABUSE: tuple(WHOSE), ADA: OURS}
ROLE = {OWNER: "o", ADMIN: "a", OTTO: "a", SUPPORT: "s", SAM: "s", ABUSE: "b", ADA: "b"}

# method, path, which roles (o owner, a admin, s support, b abuse desk; p anybody), what the row is about, and what is sent.
# About a mail, a policy, a customer or a seal: only of whom the caller looks after, else it is not there (404).
TABLE = [
    ("GET", "/health", "p"), ("GET", "/metrics", "p"), ("GET", "/static/:", "p"), ("GET", "/api/v1/openapi.json", "p"), ("GET", "/signin", "p"),
    ("POST", "/signin", "p"), ("GET", "/signin/mail", "p"), ("POST", "/signin/mail", "p"), ("GET", "/in/:", "p"), ("POST", "/in/:", "p"),
    ("GET", "/d/:", "p"), ("POST", "/d/:", "p"), ("GET", "/ask/:", "p"), ("POST", "/ask/:", "p"), ("GET", "/unsubscribe/:", "p"),
    ("POST", "/unsubscribe/:", "p"), ("POST", "/language", "p"),
    ("POST", "/signout", "oasb", "-"), ("GET", "/", "oasb", "list"), ("GET", "/api/v1/messages", "oasb", "list"), ("GET", "/api/v1/me", "oasb", "-"),
    ("POST", "/change", "oasb", "mail", {"op": "spam", "id": "ID"}), ("POST", "/api/v1/messages/change", "oasb", "mail", {"op": "spam", "ids": ["ID"]}),
    ("GET", "/m/:", "oasb", "mail"), ("GET", "/api/v1/messages/:", "oasb", "mail"),
    ("GET", "/m/:/html", "ob", "mail-read"), ("GET", "/m/:/mail.eml", "ob", "mail-read"), ("GET", "/api/v1/messages/:/mail.eml", "ob", "mail-read"),
    ("POST", "/m/:/sender/:", "oab", "mail", {}), ("POST", "/api/v1/messages/:/sender/:", "oab", "mail", {}),
    ("POST", "/m/:/unseal", "s", "mail", {"reason": "ticket 1"}),
    ("POST", "/api/v1/messages/:/unseal", "s", "mail", {"reason": "ticket 1"}),
    ("GET", "/seals", "asb", "-"), ("GET", "/api/v1/seals", "asb", "seals"),
    ("POST", "/seals/:", "asb", "seal", {"op": "nothing"}), ("POST", "/api/v1/seals/:", "asb", "seal", {"op": "nothing"}),
    ("GET", "/support", "asb", "trace"), ("GET", "/api/v1/trace", "asb", "trace"),
    ("GET", "/stats", "asb", "-"), ("GET", "/api/v1/stats", "asb", "-"), ("GET", "/audit", "asb", "audit"), ("GET", "/api/v1/audit", "asb", "audit"),
    ("GET", "/settings", "oa", "settings"), ("GET", "/api/v1/settings", "oa", "settings"),
    ("POST", "/settings", "oa", "settings-write", {"tag": "3"}), ("POST", "/api/v1/settings", "oa", "settings-write", {"tag": "3"}),
    ("POST", "/settings/list", "oa", "settings-write", {"list": "block", "kind": "from", "entry": "x@y.example"}),
    ("POST", "/api/v1/settings/list", "oa", "settings-write", {"list": "block", "kind": "from", "entry": "x@y.example"}),
    ("POST", "/settings/review", "oa", "-", {"digest": "off"}),
    ("GET", "/api/v1/policies", "asb", "policies"), ("GET", "/api/v1/policies/:", "asb", "policy"), ("GET", "/api/v1/policies/:/explain", "asb", "policy"),
    ("GET", "/api/v1/policies/:/history", "asb", "policy"), ("GET", "/api/v1/policy-schema", "asb", "-"),
    ("PUT", "/api/v1/policies/:", "ab", "policy", {"tag": "3"}), ("DELETE", "/api/v1/policies/:", "ab", "policy", {}),
    ("POST", "/api/v1/policy-import", "ab", "policy-import", {}),
    ("GET", "/api/v1/customers/:/use", "asb", "customer"), ("POST", "/api/v1/customers/:/rollback", "ab", "customer", {"to_ms": 4102444800000}),
    ("DELETE", "/api/v1/customers/:", "b", "customer-gone", {}),
]


class Permissions(Base):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pd.set("domain:laden.example", customer="shop")
        for name, role in ((SAM, "support"), (ADA, "abuse")):
            cls.pd.ctl("user", "add", name, "--role", role, "--customer", "shop", data=PASSWORD.encode() + b"\n")
        cls.mails = {whose: cls.hold(points(8, "mail of " + whose), rcpt) for whose, rcpt in WHOSE.items()}
        for rcpt in WHOSE.values():
            cls.pd.set("mailbox:" + rcpt, subject_tag="[%s]" % rcpt.split("@")[0])

    def seal(self, whose):
        """One that somebody else has asked for."""
        self.pd.ctl("user", "remove", "asker", check=False)
        self.keys.pop("asker", None)
        self.pd.ctl("user", "add", "asker", "--role", "support", data=PASSWORD.encode() + b"\n")
        self.assertEqual(self.api("asker").api("POST", "/api/v1/messages/%s/unseal" % self.mails[whose], {"reason": "why"}).status, 200)
        return next(s["key"] for s in self.pd.json("review", "seals")["seals"] if s["id"] == self.mails[whose])

    def send(self, who, method, path, body):
        b = self.api(who) if who else Browser(self.pd.review)
        if method == "GET":
            return b.request(method, path, None, follow=False)
        if path.startswith("/api/"):
            return b.request(method, path, json.dumps(body), {"Content-Type": "application/json"}, follow=False)
        return b.request(method, path, urllib.parse.urlencode(body), {"Content-Type": "application/x-www-form-urlencoded"}, follow=False)

    def fill(self, path, about, body, whose):
        """The row's path and body for what belongs to `whose`."""
        ident, key = self.mails[whose] + ":0", "mailbox:" + WHOSE[whose]
        body = {k: ident if v == "ID" else [ident] if v == ["ID"] else v for k, v in (body or {}).items()}
        if about.startswith("mail"):
            path = path.replace(":", self.mails[whose], 1).replace(":", "block") + ("?n=0" if "/:" in path else "")
        elif about.startswith("settings"):
            path, body = (path + "?key=" + urllib.parse.quote(key), body) if about == "settings" else (path, dict(body, key=key))
        elif about == "policy":
            path = path.replace(":", WHOSE[whose], 1)
        elif about == "policy-import":
            body = {"records": [{"key": key, "values": {"tag": "3"}}], "merge": True, "dry_run": True}
        elif about.startswith("customer"):
            path = path.replace(":", "other" if whose == "customer" else "shop", 1)
        elif about == "seal":
            path = path.replace(":", self.sealed[whose], 1)
        elif about == "trace":
            path += "?q=" + WHOSE[whose]
        return path, body

    def cell(self, row, who, whose):
        method, path, roles, about, body = (row + (None,))[:5] if len(row) > 3 else row + ("-", None)
        at, sent = self.fill(path, about, body, whose)
        r = self.send(who, method, at, sent)
        label = (who or "nobody", method, at, whose, r.status, r.text[-200:])
        if roles == "p":
            self.assertNotIn(r.status, (401, 500), label)
        elif who is None:
            self.assertIn(r.status, (303, 401), label)
            self.assertTrue(r.status == 401 or r.headers["Location"] == "/signin", label)
        elif ROLE[who] not in roles:
            # A role that may see the mail, but not read it, is told it is not there: the rights are the class', not the route's.
            self.assertEqual(r.status, 404 if about == "mail-read" else 403, label)
        elif about in ("list", "trace", "policies", "audit", "seals"):
            self.assertEqual(r.status, 200, label)
            for other in WHOSE:
                word = {"list": "mail of " + other, "trace": "mail of " + other}.get(about, WHOSE[other] if about == "policies" else self.mails[other])
                if other not in REACH[who]:
                    self.assertNotIn(word, r.text, label)
                elif about == "list" or (about == "trace" and other == whose):
                    self.assertIn(word, r.text, label)
        elif about == "customer" and REACH[who] in (OURS, ("customer",)) and (whose == "customer") != (REACH[who] == ("customer",)):
            self.assertEqual(r.status, 404, label)
        elif about == "customer-gone" and whose == "customer" and REACH[who] == OURS:
            self.assertIn(r.status, (404, 422), label)   # the same for a customer that is not there
        elif about not in ("-", "customer", "customer-gone") and whose not in REACH[who]:
            self.assertEqual(r.status, 404, label)
        elif about == "seal":
            self.assertEqual(r.status, 400, label)       # reached: it only makes no sense
        elif method == "DELETE" and about == "policy":
            self.assertIn(r.status, (200, 422), label)   # the second one finds no record of the mailbox, but may look
        else:
            self.assertIn(r.status, (200, 303), label)

    def test_every_cell(self):
        self.sealed = {whose: self.seal(whose) for whose in WHOSE}
        cells = 0
        for row in TABLE:
            if row[1] == "/signout" or row[3:4] == ("customer-gone",):
                continue
            for who in [None] + list(REACH):
                for whose in WHOSE:
                    self.cell(row, who, whose)
                    cells += 1
                    if len(row) < 4 or row[3] == "-":
                        break                            # it belongs to nobody: once is enough
        print("      %d cells" % cells)
        gone = next(row for row in TABLE if row[3:4] == ("customer-gone",))
        for who in (None, OWNER, ADMIN, OTTO, SUPPORT, SAM):
            self.cell(gone, who, "customer")
        self.cell(gone, ADA, "customer")
        self.assertEqual({w: self.state(i, WHOSE[w]) for w, i in self.mails.items()}["customer"], "new")

    def test_every_route_has_a_row(self):
        table = {(row[0], row[1]): row for row in TABLE}
        letters = {"OWNER": "o", "ADMIN": "a", "SUPPORT": "s", "ABUSE": "b", "PROVIDER": "sb", "EVERYBODY": "oasb"}
        for method, path, roles, flags in routes():
            row = table.pop((method, path), None)
            self.assertIsNotNone(row, "%s %s: who may?" % (method, path))
            public = "ROUTE_PUBLIC" in flags
            self.assertEqual(public, row[2] == "p", path)
            self.assertTrue(public or roles != "0", "%s: nobody may" % path)
            if not public and row[3] != "mail-read":
                self.assertEqual(set("".join(letters[r.strip()] for r in roles.split("|"))), set(row[2]), path)
        self.assertEqual(table, {}, "rows for routes that are not there")

    def test_what_is_not_in_the_table_is_denied(self):
        for who in (None, OWNER, ADMIN, SUPPORT, ABUSE):
            for method, path in (("GET", "/admin"), ("GET", "/m"), ("GET", "/m/"), ("GET", "/api/v1/"), ("GET", "/api/v2/messages"), ("GET", "//"),
                                 ("GET", "/../etc/passwd"), ("GET", "/static/../users.json"), ("POST", "/api/v1/messages/%s/release" % self.mails["own"]),
                                 ("GET", "/m/%s/../%s" % (self.mails["own"], self.mails["own"])), ("GET", "/SETTINGS"), ("GET", "/seals/")):
                r = self.send(who, method, path, {})
                self.assertIn(r.status, (400, 404, 405), (who, method, path))
            for method, path in (("DELETE", "/change"), ("PUT", "/settings"), ("POST", "/m/" + self.mails["own"]), ("GET", "/change")):
                self.assertEqual(self.send(who, method, path, {}).status, 405, (who, method, path))


if __name__ == "__main__":
    unittest.main()
