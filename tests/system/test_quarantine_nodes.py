"""Two nodes and one Redis: one list of what both hold, a cache that mends itself."""
import unittest

from tests.lib.mail import points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, RedisServer, free_port, wait_until
from tests.lib.sink import Sink
from tests.lib.store import Store
from tests.lib.web import Browser


class Nodes(unittest.TestCase):
    def setUp(self):
        self.sink, self.shared = Sink(), Dir()
        self.addCleanup(self.sink.close)
        self.addCleanup(self.shared.close)
        self.redis = RedisServer(self.shared("redis.sock"), self.shared.path)
        self.addCleanup(self.redis.stop)
        self.nodes = []
        for name in ("one", "two"):
            d = Dir()
            self.addCleanup(d.close)
            pd = Policyd(d, reinject=self.sink.port, review=free_port(), settings='redis = { url = "redis://127.0.0.1:%d/0"; }; host_name = "%s.example"; '
                         'review = { url = "https://%s.example"; };' % (self.redis.port, name, name))
            self.addCleanup(pd.close)
            milter = Milter(("127.0.0.1", pd.milter_port))
            self.addCleanup(milter.close)
            store = Store(d("state/run/store.sock"))
            self.addCleanup(store.close)
            self.nodes.append((pd, milter, store))
        self.nodes[0][0].set("domain:acme.example", customer="acme", quarantine="6", discard="off", tag="4")
        wait_until(lambda: "acme" in self.nodes[1][0].ctl("policy", "explain", "a@acme.example").stdout.decode())

    def hold(self, node, rcpts, subject):
        self.assertEqual(self.nodes[node][1].send(points(8, subject), rcpts)["reply"][0], "d")

    def pool(self, node, **more):
        return self.nodes[node][2].ask("list", pool=True, **more)

    def test_one_list(self):
        for i in range(12):
            self.hold(i % 2, ["a@acme.example"], "pool %02d" % i)
        self.hold(0, ["b@acme.example", "c@other.example"], "for two")
        for node in (0, 1):
            page = wait_until(lambda: (lambda p: p if len(p["entries"]) == 12 else None)(self.pool(node, rcpt="a@acme.example")))
            self.assertEqual({e["node"] for e in page["entries"]}, {"one.example", "two.example"})
            self.assertEqual(page["nodes"], {"one.example": "https://one.example", "two.example": "https://two.example"})
            times = [e["time"] for e in page["entries"]]
            self.assertEqual(times, sorted(times, reverse=True))
            seen, cursor = [], ""
            while True:
                page = self.pool(node, rcpt="a@acme.example", limit=5, **({"cursor": cursor} if cursor else {}))
                seen += [e["subject"] for e in page["entries"]]
                cursor = page["cursor"]
                if not page["more"]:
                    break
            self.assertEqual(sorted(seen), ["pool %02d" % i for i in range(12)])
        # what is out of scope is not there; a state is changed where the mail is, and seen everywhere
        self.assertEqual(self.pool(1, rcpt="c@other.example", scope={"customer": "acme"})["entries"], [])
        self.assertEqual(self.pool(1, scope={"rcpts": ["b@acme.example"]})["entries"][0]["subject"], "for two")
        entry = next(e for e in self.pool(1, rcpt="a@acme.example")["entries"] if e["node"] == "one.example")
        self.assertTrue(self.nodes[0][2].ask("change", op="release", ids=[entry["id"]])["results"][0]["done"])
        wait_until(lambda: [e["id"] for e in self.pool(1, rcpt="a@acme.example", state="released")["entries"]] == [entry["id"]])
        self.assertEqual(self.pool(0)["exit"], 2)
        self.assertIn(b"at two.example", self.nodes[0][0].ctl("quarantine", "list", "--pool", "--rcpt", "a@acme.example").stdout)

    def test_where_is_my_mail(self):
        """Support at one node finds what the other one holds, what became of it, and where to open it."""
        self.hold(0, ["a@acme.example", "b@acme.example"], "held elsewhere")
        two = self.nodes[1][0]
        two.ctl("user", "add", "sue", "--role", "support", data=b"correct horse 1\n")
        sue = Browser(two.review, two.json("user", "key", "sue")["key"])
        ident = wait_until(lambda: self.pool(1, rcpt="a@acme.example")["entries"])[0]["id"]
        page = sue.get("/support?q=a@acme.example").text
        self.assertIn("held elsewhere", page)
        self.assertIn('href="https://one.example/m/%s?n=0"' % ident, page)
        self.nodes[0][2].ask("change", op="release", ids=[{"id": ident, "rcpt": "a@acme.example"}])
        wait_until(lambda: self.pool(1, rcpt="a@acme.example", state="released")["entries"])
        found = sue.get("/api/v1/trace?q=" + ident).json()
        self.assertEqual({e["recipient"]: e["state"] for e in found["held"] if e["id"] == ident}, {"a@acme.example": "released", "b@acme.example": "new"})
        self.assertEqual({e["recipient"] for e in found["events"]}, {"a@acme.example", "b@acme.example"})

    def test_a_cache(self):
        """Redis loses all it has, or is away while mail is held: the list is whole again by itself."""
        self.hold(0, ["a@acme.example"], "before")
        wait_until(lambda: len(self.pool(1, rcpt="a@acme.example")["entries"]) == 1)
        import socket
        with socket.create_connection(("127.0.0.1", self.redis.port)) as s:
            s.sendall(b"FLUSHALL\r\n")
            s.recv(100)
        self.assertEqual(self.pool(1, rcpt="a@acme.example")["entries"], [])
        wait_until(lambda: [e["subject"] for e in self.pool(1, rcpt="a@acme.example")["entries"]] == ["before"])
        self.assertEqual(len(self.nodes[0][2].ask("list", rcpt="a@acme.example")["entries"]), 1)


if __name__ == "__main__":
    unittest.main()
