"""The quarantine as those who serve people use it: pages, scopes, states and their undoing, votes, counts, releases."""
import unittest

from tests.lib.mail import mail, points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, wait_until
from tests.lib.sink import Sink
from tests.lib.store import Store


class Quarantine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        cls.pd = Policyd(cls.d, reinject=cls.sink.port)
        cls.addClassCleanup(cls.pd.close)
        for domain, customer in (("acme.example", "acme"), ("zeta.example", "zeta")):
            cls.pd.set("domain:" + domain, customer=customer, quarantine="6", discard="off", tag="4")
        cls.milter = Milter(("127.0.0.1", cls.pd.milter_port))
        cls.addClassCleanup(cls.milter.close)

    def setUp(self):
        self.store = Store(self.d("state/run/store.sock"))
        self.addCleanup(self.store.close)

    def hold(self, rcpts, n=8, subject="held", **more):
        out = self.milter.send(points(n, subject, **more), rcpts)
        self.assertEqual(out["reply"][0], "d", out)

    def entries(self, **more):
        return self.store.ask("list", **more)["entries"]

    def test_pages(self):
        """By cursor, in every order, nothing twice and nothing left out; filters and words."""
        for i in range(25):
            self.hold(["pages@acme.example"], n=20 if i < 12 else 8, subject="page %02d %s" % (i, "apple" if i % 5 == 0 else "pear"))
        for sort in ("newest", "oldest", "closest", "points", "size"):
            seen, cursor = [], ""
            while True:
                page = self.store.ask("list", rcpt="pages@acme.example", sort=sort, limit=7, **({"cursor": cursor} if cursor else {}))
                self.assertLessEqual(len(page["entries"]), 7)
                seen += page["entries"]
                if not page["more"]:
                    break
                cursor = page["cursor"]
            self.assertEqual(len({e["id"] for e in seen}), 25, sort)
            self.assertEqual(len(seen), 25, sort)
            key = {"newest": lambda e: -e["time"], "oldest": lambda e: e["time"], "closest": lambda e: abs(e["points"] - e["quarantine"]),
                   "points": lambda e: -e["points"], "size": lambda e: -e["size"]}[sort]
            self.assertEqual([key(e) for e in seen], sorted(key(e) for e in seen), sort)
        found = self.entries(rcpt="pages@acme.example", search="PAGE apple")
        self.assertEqual(sorted(e["subject"] for e in found), ["page %02d apple" % i for i in range(0, 25, 5)])
        self.assertEqual(self.entries(rcpt="pages@acme.example", search="plum"), [])
        self.assertEqual(len(self.entries(rcpt="pages@acme.example", points_min=15)), 12)
        self.assertEqual(len(self.entries(rcpt=["pages@acme.example", "other@acme.example"], limit=100)), 25)
        one = found[0]
        for name in ("message_id", "queue_id", "digest"):
            self.assertIn(one["id"], [e["id"] for e in self.entries(**{name: one[name], "limit": 1000})], name)
        self.assertEqual(len(self.entries(rcpt="pages@acme.example", until=one["time"] - 3600)), 0)
        wrong = self.store.ask("list", state="lost")
        self.assertEqual((wrong["exit"], wrong["error"][:25]), (2, '"lost" is no state; expec'))
        self.assertEqual(self.store.ask("list", cursor="t.1.x;y.2")["exit"], 2)
        self.assertEqual(self.store.ask("list", sort="best")["exit"], 2)

    def test_scope(self):
        """A mail for two customers is two entries; out of scope is the same as not there."""
        self.hold(["scope@acme.example", "scope2@acme.example", "scope@zeta.example"], subject="for two")
        acme, zeta = self.entries(customer="acme", search="for two"), self.entries(customer="zeta", search="for two")
        self.assertEqual(([e["recipient"] for e in zeta], len(acme)), (["scope@zeta.example"], 2))
        self.assertEqual(len({e["id"] for e in acme + zeta}), 2)
        own = {"customer": "zeta", "rcpts": ["scope@zeta.example"]}
        self.assertEqual([e["id"] for e in self.entries(scope=own, search="for two")], [zeta[0]["id"]])
        self.assertEqual(self.entries(scope=own, customer="acme"), [])
        hidden, missing = (self.store.ask("show", id=i, scope=own) for i in (acme[0]["id"], "qaaaaaaaaaaaaaaa"))
        self.assertEqual((hidden, hidden["exit"]), (missing, 1))
        for op in ("delete", "release", "seen", "ham"):
            results = self.store.ask("change", op=op, ids=[acme[0]["id"]], scope=own)["results"]
            self.assertEqual([(r["done"], r["recipient"]) for r in results], [(False, "")])
        self.assertEqual({e["state"] for e in self.entries(customer="acme", search="for two")}, {"new"})
        half = self.store.ask("show", id=acme[0]["id"], scope={"customer": "acme", "rcpts": ["scope2@acme.example"]})
        self.assertEqual([e["recipient"] for e in half["entries"]], ["scope2@acme.example"])
        self.assertEqual(self.entries(scope={"customer": 5}), [])
        self.assertEqual(self.entries(scope="acme"), [])

    def test_show(self):
        """Reasons, thresholds, and the exact bytes."""
        data = mail("show me", headers=["X-Test-Points: 8", "X-Odd: \t  x"])
        self.assertEqual(self.milter.send(data, ["show@acme.example"])["reply"][0], "d")
        entry = self.entries(rcpt="show@acme.example")[0]
        shown, raw = self.store.ask("show", raw=True, id=entry["id"])
        self.assertEqual(raw, data)
        self.assertFalse(shown["damaged"])
        self.assertEqual([(e["tag"], e["quarantine"], e["discard"], e["class"]) for e in shown["entries"]], [(4, 6, None, "spam")])
        self.assertTrue(any(s["points"] == 8 for s in shown["symbols"]), shown["symbols"])

    def test_states(self):
        """From state to state, back within ten minutes, several at once; the same after a rebuild."""
        for i in range(6):
            self.hold(["s%d@acme.example" % i], subject="state %d" % i)
        ids = [self.entries(rcpt="s%d@acme.example" % i)[0]["id"] for i in range(6)]

        def change(op, *which, **more):
            return [(r["state"], r["done"]) for r in self.store.ask("change", op=op, ids=[ids[i] for i in which], actor="eve", **more)["results"]]
        self.assertEqual(change("seen", 0, 1), [("seen", True)] * 2)
        self.assertEqual(change("request", 1, 2), [("requested", True)] * 2)
        self.assertEqual(len(self.entries(state="requested", scope={"customer": "acme"})), 2)
        self.assertEqual(change("deny", 1, 3), [("new", False), ("seen", True)])
        self.assertEqual(change("approve", 1), [("seen", False)])
        self.assertEqual(change("delete", 3, 4, 4), [("deleted", True)] * 2)
        self.assertEqual(change("release", 3), [("deleted", False)])
        self.assertEqual(change("undo", 3, 5), [("new", False), ("new", True)])
        self.assertEqual(change("undo", 3), [("new", False)])
        self.assertEqual(change("ham", 5) + change("spam", 0), [("new", True), ("seen", True)])
        self.assertEqual(change("unseen", 0), [("new", True)])
        entry = self.entries(rcpt="s4@acme.example")[0]
        self.assertEqual((entry["state"], entry["before"], entry["actor"]), ("deleted", "new", "eve"))
        self.assertGreater(entry["undo_until"], entry["changed"])
        self.assertEqual(self.store.ask("change", op="sell", ids=ids)["exit"], 2)

        def everything():
            return sorted((e["id"], e["n"], e["state"], e["before"], e["vote"], e["actor"], e["changed"]) for e in self.entries(limit=1000))
        before, rows = everything(), self.store.ask("stats", by=["day", "customer", "class"])
        self.store.ask("rebuild")
        self.assertEqual(everything(), before)
        after = self.store.ask("stats", by=["day", "customer", "class"])
        self.assertEqual((after["rows"], after["states"], after["recipients"]), (rows["rows"], rows["states"], rows["recipients"]))

    def test_stats(self):
        self.hold(["stats@zeta.example"], subject="counted")
        entry = self.entries(rcpt="stats@zeta.example")[0]
        before = self.store.ask("stats", by=["class"], customer="zeta")["rows"][0]
        self.store.ask("change", op="delete", ids=[entry["id"]])
        self.store.ask("change", op="ham", ids=[entry["id"]])
        after = self.store.ask("stats", by=["class"], scope={"customer": "zeta"})["rows"][0]
        self.assertEqual((after["deleted"] - before["deleted"], after["ham"] - before["ham"], after["class"]), (1, 1, "spam"))
        self.store.ask("change", op="undo", ids=[entry["id"]])
        self.assertEqual(self.store.ask("stats", by=["class"], customer="zeta")["rows"][0]["deleted"], before["deleted"])
        self.assertEqual(self.store.ask("stats", by=["class"], customer="acme", scope={"customer": "zeta"})["rows"], [])
        self.assertTrue(any(r["symbol"] == "TEST_EIGHT" and r["ham"] for r in self.store.ask("rules", customer="zeta")["rules"]))

    def test_release(self):
        """Exact bytes, the null sender's and the odd recipient's envelope; once, and again when asked; the queue id is recorded."""
        data = mail("let me out", headers=["X-Test-Points: 8"], body="line\r\n.dot\r\n..two\r\nlast without end")
        self.assertEqual(self.milter.send(data, ["out@acme.example", "stay@acme.example"], sender="")["reply"][0], "d")
        entry = self.entries(rcpt="out@acme.example")[0]
        self.store.ask("change", op="request", ids=[{"id": entry["id"], "rcpt": "out@acme.example"}])
        result = self.store.ask("change", op="approve", ids=[{"id": entry["id"], "n": entry["n"]}], actor="boss")["results"]
        self.assertEqual([(r["state"], r["done"], r["recipient"]) for r in result], [("released", True, "out@acme.example")], result)
        got = self.sink.to("out@acme.example")
        self.assertEqual([(m[0], m[2]) for m in got], [("", data + b"\r\n")])
        self.assertEqual(self.entries(rcpt="stay@acme.example")[0]["state"], "new")
        again = self.store.ask("change", op="release", ids=[{"id": entry["id"], "rcpt": "out@acme.example"}])["results"][0]
        self.assertEqual((again["state"], again["done"]), ("released", True))
        self.assertIn("released before", again["reply"])
        self.store.ask("change", op="release", ids=[{"id": entry["id"], "rcpt": "out@acme.example"}], again=True)
        self.assertEqual(len(self.sink.to("out@acme.example")), 2)

    def test_release_of_what_is_dangerous(self):
        """A virus is scanned once more and not released; whoever may, says so."""
        from tests.lib.mail import eicar
        self.assertEqual(self.milter.send(eicar(), ["virus@acme.example"])["reply"][0], "d")
        entry = self.entries(rcpt="virus@acme.example")[0]
        self.assertEqual(entry["class"], "virus")
        result = self.store.ask("change", op="release", ids=[entry["id"]])["results"][0]
        self.assertEqual((result["state"], result["done"]), ("new", False))
        self.assertIn("a virus was found", result["reply"])
        result = self.store.ask("change", op="release", ids=[entry["id"]], risky=True)["results"][0]
        self.assertEqual((result["state"], result["done"]), ("released", True))


if __name__ == "__main__":
    unittest.main()
