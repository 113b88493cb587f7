"""Campaigns: mails alike on two nodes with one Redis, reports, healing, expiry, files; and Redis away."""
import base64
import os
import re
import subprocess
import unittest

from tests.lib.mail import mail, points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, RedisServer, wait_until
from tests.lib.sink import Sink

TEXT = """Dear %s, your parcel %d is waiting at our depot since last week and could not be delivered because the address on the label
was not complete. Please confirm the street and the number of your house within two days, otherwise the parcel goes back to the
shop that sent it and the fee for storage will be charged to your account. Our team thanks you for your help and wishes you a
pleasant day. This message was sent to you by the service of your post office in the name of %s.
"""
NAMES = ("Ann", "Bob", "Cleo", "Dan", "Eve", "Fred", "Gina", "Hugo")


def alike(i, subject="parcel", headers=(), extra=""):
    return mail("%s %d" % (subject, i), body=(TEXT % (NAMES[i % 8], 1000 + 7 * i, NAMES[i // 8 % 8]) + extra).replace("\n", "\r\n"), headers=headers)


def with_file(i, data):
    body = ("--b%d\r\nContent-Type: text/plain\r\n\r\nMail %s\r\n--b%d\r\nContent-Type: application/octet-stream\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n%s\r\n--b%d--\r\n" % (i, chr(97 + i) * 9, i, base64.encodebytes(data).decode().replace("\n", "\r\n"), i))
    return mail("file %d" % i, body=body).replace(b"text/plain; charset=utf-8", b"multipart/mixed; boundary=b%d" % i)


class Campaigns(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = Dir()
        cls.addClassCleanup(cls.shared.close)
        cls.redis = RedisServer(cls.shared("redis.sock"), cls.shared.path)
        cls.addClassCleanup(cls.redis.stop)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        cls.nodes = []
        for name in ("one", "two"):
            d = Dir()
            cls.addClassCleanup(d.close)
            pd = Policyd(d, reinject=cls.sink.port, memory=True, settings='redis = { url = "redis://127.0.0.1:%d/0"; }; host_name = "%s.example";' % (cls.redis.port, name))
            cls.addClassCleanup(pd.close)
            cls.nodes.append(pd)
        for customer in ("acme", "bits", "cans"):
            cls.nodes[0].set("domain:%s.example" % customer, customer=customer, quarantine="30", discard="off", tag="25")
        wait_until(lambda: "cans" in cls.nodes[1].ctl("policy", "explain", "a@cans.example").stdout.decode())

    def setUp(self):
        subprocess.run(["redis-cli", "-p", str(self.redis.port), "eval", "for _, k in ipairs(redis.call('KEYS', '{alike:*')) do redis.call('DEL', k) end return 1", "0"],
                       check=True, stdout=subprocess.DEVNULL)

    def send(self, data, node=0, rcpt="u@acme.example"):
        """{symbol: points}"""
        m = Milter(("127.0.0.1", self.nodes[node].milter_port))
        out = m.send(data, [rcpt])
        m.close()
        status = [v for _, n, v in out["headers"] if n == "X-Spam-Status"]
        return {k: float(v) for k, v in re.findall(r"\b(CAMPAIGN\w*)=(-?[\d.]+)", status[0])} if status else {"reply": out["reply"][0]}

    def learn(self, what, data, customer=None, node=0):
        self.nodes[node].d.write("lesson.eml", data)
        self.nodes[node].ctl("learn", what, self.nodes[node].d("lesson.eml"), *(["--for", "u@%s.example" % customer] if customer else []))

    def evidence(self, data, node=0):
        self.nodes[node].d.write("scan.eml", data)
        return {s["name"]: s["evidence"] for s in self.nodes[node].json("scan", self.nodes[node].d("scan.eml"))["symbols"]}

    def found(self, data, want, node=1):
        wait_until(lambda: self.evidence(data, node).get("CAMPAIGN", "").endswith(want))

    def test_alike_is_seen_and_counted_on_all_nodes(self):
        for i in range(6):
            self.send(alike(i), rcpt="u%d@%s.example" % (i, ("acme", "bits", "cans")[i % 3]))
        wait_until(lambda: re.search(r"like [456] mails to [456] recipients of 3 customers", self.evidence(alike(9), 1).get("CAMPAIGN", "")))
        self.assertEqual(self.send(alike(7), 1), {"CAMPAIGN": 0.0})              # many are no crime
        self.assertEqual(self.send(mail("another", body="We met at the lake and talked of boats, dogs and a tent that broke in the first night "
                                        "of our holidays, which the children liked best.\r\n"), 1), {})

    def test_a_single_mail_leaves_nothing(self):
        before = self.keys()
        self.send(mail("single", body="Quite another letter: the committee will meet on the first Monday of every month in the old town hall, "
                       "and minutes are sent to whoever asks our secretary.\r\n"))
        self.assertEqual(self.keys(), before)

    def keys(self):
        return subprocess.run(["redis-cli", "-p", str(self.redis.port), "--scan", "--pattern", "{alike:*"], stdout=subprocess.PIPE, check=True).stdout.split()

    def test_reports_and_healing(self):
        self.learn("spam", alike(20), "acme")
        wait_until(lambda: self.send(alike(21), 1) == {"CAMPAIGN": 0.0, "CAMPAIGN_REPORTED": 3.0})
        self.learn("spam", alike(22), "acme", 1)                                 # the same voice again is the same voice
        self.found(alike(23), "reports: 1 spam, 0 ham")
        self.learn("spam", alike(24), "bits", 1)
        wait_until(lambda: self.send(alike(25)).get("CAMPAIGN_REPORTED") == 4.5)
        self.learn("ham", alike(26), "cans")                                     # one that says no weighs two that say yes
        self.found(alike(27), "reports: 2 spam, 1 ham")
        self.assertEqual(self.send(alike(28), 1), {"CAMPAIGN": 0.0})
        self.learn("ham", alike(29), "bits")                                     # a mind is changed
        self.found(alike(30), "reports: 1 spam, 2 ham")
        self.nodes[0].d.write("lesson.eml", alike(26))
        self.learn("ham", alike(26), "cans")
        self.nodes[0].ctl("unlearn", self.nodes[0].d("lesson.eml"), "--for", "u@cans.example")
        self.found(alike(31), "reports: 1 spam, 1 ham")

    def test_what_was_caught(self):
        """Held for other reasons, three times: the fourth that slips through the rules has points; its own do not count as a catch."""
        for i in range(4):
            self.assertEqual(self.send(alike(40 + i, headers=["X-Test-Points: 20"]), rcpt="u%d@unknown.example" % i), {"reply": "d"})
        wait_until(lambda: self.send(alike(50), 1).get("CAMPAIGN_CAUGHT", 0) >= 1.0)
        for i in range(5):
            self.send(alike(51 + i), 1)
        self.assertEqual(self.send(alike(57), 1), {"CAMPAIGN": 0.0})             # most passed since

    def test_a_release_heals(self):
        """Held for what a report says; one of those who waited for it takes it out."""
        pd = self.nodes[0]
        self.learn("spam", alike(80), "bits")
        self.found(alike(81), "reports: 1 spam, 0 ham", 0)
        self.assertEqual(self.send(alike(82, headers=["X-Test-Points: 8"]), rcpt="v@unknown.example"), {"reply": "d"})
        entry = wait_until(lambda: pd.quarantine(rcpt="v@unknown.example"))[0]
        pd.ctl("quarantine", "release", entry["id"])
        self.found(alike(83), "reports: 1 spam, 1 ham")
        self.assertEqual(self.send(alike(84), 1), {"CAMPAIGN": 0.0})

    def test_a_file(self):
        data = os.urandom(3000)
        for i, customer in enumerate(("acme", "bits")):
            self.learn("spam", with_file(i, data), customer)
        wait_until(lambda: self.send(with_file(3, data), 1) == {"CAMPAIGN_PART": 2.0})
        self.assertEqual(self.send(with_file(4, os.urandom(3000)), 1), {})
        self.learn("ham", with_file(5, data), "cans")
        wait_until(lambda: self.send(with_file(6, data), 1) == {})

    def test_it_expires(self):
        self.learn("spam", alike(60), "acme")
        self.found(alike(61), "1 spam, 0 ham")
        ttl = [int(subprocess.run(["redis-cli", "-p", str(self.redis.port), "ttl", k], stdout=subprocess.PIPE, check=True).stdout) for k in self.keys()]
        self.assertGreaterEqual(len(ttl), 10)
        self.assertTrue(all(7 * 86400 - 60 < t <= 7 * 86400 for t in ttl), ttl)

    def test_zz_without_redis(self):
        self.redis.stop()
        wait_until(lambda: self.nodes[0].json("stats")["redis_down_now"] == 1)
        self.assertEqual(self.send(alike(70)), {"CAMPAIGN_UNKNOWN": 0.0})


if __name__ == "__main__":
    unittest.main()
