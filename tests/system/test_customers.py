"""What hangs on a customer: what he has used adds up with the log, and when he leaves, all of it goes, with a receipt."""
import collections
import re
import subprocess
import unittest

from tests.lib.mail import mail, points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, wait_until


class Customers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.pd = Policyd(cls.d, policy=False)
        cls.addClassCleanup(cls.pd.close)
        for c in "one", "two":
            cls.pd.set("customer:" + c, tag="3", quarantine="6", discard="10")
            cls.pd.set("domain:%s.example" % c, customer=c)
        cls.pd.set("none@two.example", filter="false")

    def send(self, data, rcpts):
        m = Milter(("127.0.0.1", self.pd.milter_port))
        m.send(data, rcpts)
        m.close()

    def redis(self, *words):
        return subprocess.check_output(["redis-cli", "-s", self.d("state/run/redis.sock")] + list(words)).decode().strip()

    def use(self, customer):
        total = collections.Counter()
        for day in self.pd.json("policy", "meter", customer)["days"]:
            total.update({k: v for k, v in day.items() if k != "day"})
        return total

    def test_use_adds_up_with_the_log(self):
        before = {c: self.use(c) for c in ("one", "two", "-")}
        start = len(self.pd.log())
        sizes = {}
        for n, (value, rcpts) in enumerate(((0, ["a@one.example", "b@one.example", "c@two.example"]), (5, ["a@one.example"]), (8, ["a@one.example", "c@two.example"]),
                                            (20, ["c@two.example", "none@two.example", "who@else.example"]), (0, ["c@two.example"]))):
            data = points(value, "use %d" % n) if value else mail("use %d" % n)
            sizes[n] = (data, rcpts)
            self.send(data, rcpts)
        wait_until(lambda: len(re.findall(r"ref: .*Hits:", self.pd.log()[start:])) >= 10)
        lines = re.findall(r"(Passed|Quarantined|Discarded|Rejected) (\S+), .*?-> <\S+@(\S+)>,.*?ref: (\w+),.*?size: (\d+),", self.pd.log()[start:])
        owner = {"one.example": "one", "two.example": "two", "else.example": "-"}
        want = {c: collections.Counter() for c in before}
        seen = set()
        for verb, noun, domain, ref, size in lines:
            c = want[owner[domain]]
            c["recipients"] += 1
            if (owner[domain], ref) not in seen:
                seen.add((owner[domain], ref))
                c["messages"] += 1
                c["bytes"] += int(size)
            if verb == "Quarantined":
                c["out.quarantine"] += 1
                c["byte_days"] += int(size) * 14
            elif verb == "Discarded":
                c["out.discard"] += 1
            else:
                c["out.tag" if noun == "SPAM" else "out.deliver"] += 1
            c["class." + {"CLEAN": "clean", "UNFILTERED": "unfiltered"}.get(noun, "spam")] += 1
        self.assertEqual(sum(c["recipients"] for c in want.values()), 10)
        self.assertEqual(want["one"]["out.tag"] + want["one"]["out.quarantine"] + want["two"]["out.quarantine"] + want["two"]["out.discard"], 4)
        for c in want:
            got = self.use(c) - before[c]
            self.assertGreater(got.pop("cpu_us"), 0)
            self.assertEqual(dict(got), dict(want[c]), c)
        out = self.pd.ctl("policy", "meter", "one", "yesterday", check=False)
        self.assertEqual(out.returncode, 2)

    def test_direction_is_each_recipients_own(self):
        """A login of customer three writes to a colleague, to customer four, and to the world: two inbound policies, one outbound."""
        self.pd.set("customer:three", tag="3", quarantine="6", discard="10", outbound="discard")
        self.pd.set("domain:three.example", customer="three")
        self.pd.set("c@four.example", quarantine="off", discard="off", subject_tag="[TWO] ")
        m = Milter(("127.0.0.1", self.pd.milter_port))
        m.macro(b"M", **{"{auth_authen}": "ann@three.example"})
        got = m.send(points(8, "direction"), ["bob@three.example", "c@four.example", "world@away.example"], sender="ann@three.example")
        self.assertEqual(sorted(got["deleted"]), ["bob@three.example", "world@away.example"])
        log = wait_until(lambda: re.findall(r"(\w+) SPAM, .*-> <(\S+)>,.*?(outbound)?$", "\n".join(l for l in self.pd.log().splitlines() if "646972656374696f6e" in l), re.M))
        self.assertEqual({a: (v, o) for v, a, o in log}, {"bob@three.example": ("Quarantined", ""), "c@four.example": ("Passed", ""),
                                                          "world@away.example": ("Discarded", "outbound")})
        self.pd.set("customer:three", outbound="reject")
        m.macro(b"M", **{"{auth_authen}": "ann@three.example"})
        got = m.send(points(8, "direction two"), ["world@away.example"], sender="ann@three.example")
        self.assertEqual(got["reply"][0], "y")
        m.close()
        m = Milter(("127.0.0.1", self.pd.milter_port))       # the same sender's name without a login is nobody of ours
        got = m.send(points(8, "direction three"), ["world@away.example"], sender="ann@three.example")
        self.assertEqual(got["reply"][0], "d")
        m.close()

    def test_who_leaves_leaves_nothing(self):
        self.pd.set("customer:gone", tag="3", quarantine="6")
        self.pd.set("domain:gone.example", customer="gone")
        self.pd.set("a@gone.example", tag="2")
        self.pd.ctl("policy", "block", "a@gone.example", "domain:spam.example")
        for n in range(3):
            self.send(points(8, "held %d" % n), ["a@gone.example", "b@gone.example", "a@one.example"])
        self.assertEqual(len(self.pd.quarantine(customer="gone")), 6)
        others = len(self.pd.quarantine(customer="one"))
        self.d.write("lesson.eml", mail("a lesson"))
        self.pd.ctl("learn", "spam", self.d("lesson.eml"), "--for", "a@gone.example")
        wait_until(lambda: self.redis("EXISTS", "{model:c:gone}:table") == "1")
        receipt = self.pd.json("policy", "remove-customer", "gone", "--yes")
        self.assertEqual((receipt["customer"], receipt["quarantine_entries"], receipt["policy_records"]), ("gone", 6, 3))
        self.assertEqual(sum(d["recipients"] for d in receipt["use"]), 6)
        self.assertRegex(receipt["mac"], "^[0-9a-f]{64}$")
        self.assertIn("customer gone removed by", self.pd.log())
        self.assertEqual([e for e in self.pd.quarantine(customer="gone") if e["state"] != "deleted"], [])
        self.assertEqual(len(self.pd.quarantine(customer="one")), others)
        self.assertEqual(self.pd.json("policy", "list", "--customer", "gone")["records"], [])
        self.assertEqual(self.pd.json("policy", "history", "customer:gone")["entries"], [])
        self.assertEqual(self.use("gone"), {})
        self.assertEqual(self.redis("EXISTS", "{model:c:gone}:table", "{model:c:gone}:known"), "0")
        self.assertEqual([k for k in self.redis("KEYS", "*gone*").split("\n") if k and ":rate:" not in k], [])     # today's limit ends by itself
        self.assertEqual({f["level"] for f in self.pd.json("policy", "explain", "a@gone.example")["fields"]}, {"default"})
        again = self.pd.json("policy", "remove-customer", "gone", "--yes")
        self.assertEqual((again["quarantine_entries"], again["policy_records"]), (0, 0))


if __name__ == "__main__":
    unittest.main()
