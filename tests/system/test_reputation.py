"""Reputation in Redis: networks and proved domains by what their mail was like, known senders, replies; and what a forger gets."""
import re
import subprocess
import unittest

from tests.lib.mail import mail
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, RedisServer, rbldnsd, wait_until

FRIEND, STRANGER, HOME = "192.0.2.10", "203.0.113.66", "10.9.8.7"
ZONE = '@ TXT "v=spf1 ip4:%s -all"\n' % FRIEND


class Reputation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d, cls.shared = Dir(), Dir()
        cls.addClassCleanup(cls.d.close)
        cls.addClassCleanup(cls.shared.close)
        cls.redis = RedisServer(cls.shared("redis.sock"), cls.shared.path)
        cls.addClassCleanup(cls.redis.stop)
        dns, port = rbldnsd(cls.d, "friend.example", ZONE, "generic", more=[
            (z, ZONE, "generic") for z in ("bad.example", "letters.example", "mate.example", "gone.example")])
        cls.addClassCleanup(dns.stop)
        cls.pd = Policyd(cls.d, resolver=port, memory=True, settings='redis = { url = "redis://127.0.0.1:%d/0"; };' % cls.redis.port)
        cls.addClassCleanup(cls.pd.close)
        cls.pd.ctl("policy", "set", "domain:test.example", "customer=acme", "quarantine=40", "discard=off", "tag=30")
        wait_until(lambda: cls.command("exists", "{rep:key}") == "1")

    @classmethod
    def command(cls, *args):
        return subprocess.run(["redis-cli", "-p", str(cls.redis.port)] + list(args), stdout=subprocess.PIPE, check=True).stdout.decode().strip()

    def send(self, sender, rcpts=("bob@test.example",), client=FRIEND, headers=(), author=None, data=None, login=None):
        """{symbol: points} of REPUTATION_* and KNOWN_*"""
        m = Milter(("127.0.0.1", self.pd.milter_port), client=(client, 4711), helo="mail.friend.example")
        if login:
            m.macro(b"M", **{"{auth_authen}": login})
        self.n = getattr(Reputation, "n", 0) + 1
        Reputation.n = self.n
        data = data or mail("r%d" % self.n, headers=headers, sender=author or sender)
        out = m.send(data, list(rcpts), sender=sender)
        m.close()
        status = [v for _, n, v in out["headers"] if n == "X-Spam-Status"]
        return {k: float(v) for k, v in re.findall(r"\b((?:REPUTATION|KNOWN)_\w+)=(-?[\d.]+)", status[0])} if status else None

    def show(self, *what):
        return self.pd.json("reputation", "show", *what)

    def test_good_and_bad_domains(self):
        for _ in range(8):
            self.send("x@letters.example", rcpts=["n%d@test.example" % _])
            self.send("x@bad.example", headers=["X-Test-Points: 20"])
        wait_until(lambda: self.show("sender", "letters.example")["good"] > 7.9)
        good, bad = self.show("sender", "letters.example"), self.show("sender", "bad.example")
        self.assertTrue(-1.5 <= good["points"] < -0.3, good)
        self.assertTrue(0.3 < bad["points"] <= 3 and bad["bad"] > 7.9, bad)
        self.assertLess(self.send("x@letters.example", rcpts=["new@test.example"])["REPUTATION_SENDER"], -0.3)
        self.assertGreater(self.send("x@bad.example", rcpts=["new@test.example"])["REPUTATION_SENDER"], 0.3)

    def test_a_forged_sender_gets_nothing(self):
        for i in range(8):
            self.send("x@letters.example", rcpts=["f%d@test.example" % i])
        wait_until(lambda: self.show("sender", "letters.example")["points"] < -0.3)
        found = self.send("x@letters.example", client=STRANGER, rcpts=["new2@test.example"])
        self.assertNotIn("REPUTATION_SENDER", found)
        before = self.show("sender", "letters.example")["bad"]
        for _ in range(3):                               # and can do it no harm
            self.send("x@letters.example", client=STRANGER, headers=["X-Test-Points: 20"])
        self.assertAlmostEqual(self.show("sender", "letters.example")["bad"], before, 2)

    def test_a_network(self):
        for i in range(10):
            self.send("a%d@nowhere.example" % i, client="203.0.113.%d" % (100 + i), headers=["X-Test-Points: 20"])
        wait_until(lambda: self.show("net", "203.0.113.0/24")["bad"] >= 9.9)
        self.assertGreater(self.send("z@nowhere.example", client="203.0.113.200")["REPUTATION_NET"], 0.3)
        self.assertNotIn("REPUTATION_NET", self.send("z@nowhere.example", client="203.0.114.1"))
        self.assertIn("forgotten", self.pd.ctl("reputation", "reset", "net", "203.0.113.0/24").stdout.decode())
        self.assertNotIn("REPUTATION_NET", self.send("z@nowhere.example", client="203.0.113.200"))

    def test_half_after_a_week(self):
        self.command("hset", "{rep:sender:gone.example}", "good", "0", "bad", "40", "last", str(int(self.command("time").split()[0]) - 7 * 86400))
        self.assertAlmostEqual(self.show("sender", "gone.example")["bad"], 20, 1)

    def test_known_senders(self):
        """Three good mails of a proved author: known at that mailbox, and at no other in the same mail."""
        for _ in range(3):
            self.send("ann@friend.example", rcpts=["carl@test.example"])
        wait_until(lambda: self.show("pair", "ann@friend.example", "carl@test.example")["heard"] == 3)
        self.assertEqual(self.send("ann@friend.example", rcpts=["carl@test.example"])["KNOWN_SENDER"], -1.0)
        self.assertNotIn("KNOWN_SENDER", self.send("ann@friend.example", rcpts=["dora@test.example"]))
        self.assertNotIn("KNOWN_SENDER", self.send("ann@friend.example", rcpts=["carl@test.example"], client=STRANGER))       # SPF fails
        self.assertNotIn("KNOWN_SENDER", self.send("x@mate.example", rcpts=["carl@test.example"], author="ann@friend.example"))   # another's SPF
        self.d.write("both.eml", mail("both", sender="ann@friend.example"))
        r = self.pd.json("scan", self.d("both.eml"), "--client", FRIEND, "--from", "ann@friend.example", "--rcpt", "carl@test.example", "--rcpt", "dora@test.example")
        points = {x["address"]: x["points"] for x in r["recipients"]}
        self.assertAlmostEqual(points["carl@test.example"], points["dora@test.example"] - 1.0, 3)

    def test_replies(self):
        """Bob writes to Mia; her answer is credited, an answer by anybody else to the same Message-ID is not."""
        asked = mail("question", sender="bob@test.example", headers=[])
        message_id = re.search(rb"Message-ID: (<[^>]+>)", asked).group(1).decode()
        self.send("bob@test.example", rcpts=["mia@mate.example"], client=STRANGER, data=asked, login="bob@test.example")
        wait_until(lambda: self.show("pair", "mia@mate.example", "bob@test.example")["written"] == 1)
        reply = ["In-Reply-To: " + message_id, "References: <older@x.example> " + message_id]
        self.assertEqual(self.send("mia@mate.example", headers=reply)["KNOWN_REPLY"], -3.0)
        self.assertEqual(self.send("mia@mate.example")["KNOWN_WRITTEN_TO"], -2.0)
        for found in (self.send("eve@friend.example", headers=reply), self.send("mia@mate.example", headers=reply, client=STRANGER),
                      self.send("mia@mate.example", headers=reply, rcpts=["other@test.example"])):
            self.assertFalse({k for k in found if k.startswith("KNOWN_")}, found)
        for key in self.command("--scan", "--pattern", "{rep:*").split():        # who writes to whom cannot be read there
            self.assertNotIn("mia@", key + self.command("type", key))

    def test_zz_without_redis(self):
        self.redis.stop()
        wait_until(lambda: self.pd.json("stats")["redis_down_now"] == 1)
        self.assertEqual(self.send("ann@friend.example", rcpts=["carl@test.example"]), {"REPUTATION_UNKNOWN": 0.0})


if __name__ == "__main__":
    unittest.main()
