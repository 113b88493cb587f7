"""A customer's people and the provider's before the review pages: who they are, what is held for whom."""
import email
import os
import random
import re
import unittest

from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import TOP, Dir, free_port
from tests.lib.sink import Sink
from tests.lib.web import Browser

PASSWORD = "correct horse 1"
OWNER, ADMIN, SUPPORT, ABUSE = "bob@shop.example", "anna", "sue", "abe"
ROLES = (OWNER, ADMIN, SUPPORT, ABUSE)


def routes():
    """(method, path, roles, flags) out of the table itself."""
    with open(os.path.join(TOP, "quarantine/review/router.c")) as f:
        text = f.read()
    found = re.findall(r"\{ HTTP_(\w+),\s+\"([^\"]+)\",\s+([A-Z0-9 |]+?),\s+([A-Z_0-9 |]+?),\s+\w+ \},", text)
    assert len(found) == text.count("{ HTTP_") - 1, "a route is written in another way"    # no_route
    return found


class Base(unittest.TestCase):
    settings = ""

    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        cls.pd = Policyd(cls.d, settings=cls.settings, reinject=cls.sink.port, review=free_port())
        cls.addClassCleanup(cls.pd.close)
        cls.pd.set("domain:shop.example", customer="shop")
        cls.pd.set("domain:other.example", customer="other")
        for name, *role in ((OWNER, "--role", "owner"), (ADMIN, "--role", "admin", "--customer", "shop"), (SUPPORT, "--role", "support"),
                            (ABUSE, "--role", "abuse"), ("otto", "--role", "admin", "--customer", "other")):
            cls.pd.ctl("user", "add", name, *role, data=PASSWORD.encode() + b"\n")
        cls.keys = {}
        cls.browsers = {}

    @classmethod
    def hold(cls, data, *rcpts):
        """Its quarantine id."""
        m = Milter(("127.0.0.1", cls.pd.milter_port))
        out = m.send(data, list(rcpts), queue_id="4Q%06d" % random.randrange(10 ** 6))
        m.close()
        assert out["reply"][0] in "da" and set(out["deleted"]) | (set(rcpts) if out["reply"][0] == "d" else set()) == set(rcpts), out
        subject = email.message_from_bytes(data)["Subject"]
        found = [e for e in cls.pd.quarantine(rcpt=rcpts[0]) if e["subject"] == subject]
        return found[0]["id"]

    def browser(self, who):
        if who not in self.browsers:
            b = self.browsers[who] = Browser(self.pd.review)
            self.assertEqual(b.sign_in(who, PASSWORD).status, 200)
        return self.browsers[who]

    def api(self, who):
        if who not in self.keys:
            self.keys[who] = self.pd.json("user", "key", who)["key"]
        return Browser(self.pd.review, self.keys[who])

    def state(self, ident, rcpt=OWNER):
        return next(e["state"] for e in self.pd.json("quarantine", "show", ident)["entries"] if e["recipient"] == rcpt)

    def clock(self, ahead_s):
        self.d.write("state/review/test-clock", "%d\n" % ahead_s)
