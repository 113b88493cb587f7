"""Two nodes and one Redis: one list of what both hold, a cache that mends itself; what one holds, opened and released at the other."""
import http.client
import http.server
import os
import shutil
import signal
import socket
import threading
import time
import unittest

from tests.lib.mail import points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, RedisServer, free_port, wait_until
from tests.lib.sink import Sink
from tests.lib.store import Store
from tests.lib.web import Browser


PASSWORD = "correct horse battery"


class Pool(unittest.TestCase):
    """`reviews`: the nodes' review pages have one key, so that each opens what the other holds."""
    reviews = False

    @classmethod
    def setUpClass(cls):
        cls.sink, cls.shared = Sink(), Dir()
        cls.addClassCleanup(cls.sink.close)
        cls.addClassCleanup(cls.shared.close)
        cls.redis = RedisServer(cls.shared("redis.sock"), cls.shared.path)
        cls.addClassCleanup(cls.redis.stop)
        cls.nodes, cls.dirs = [], []
        for name in ("one", "two"):
            d = Dir()
            cls.addClassCleanup(d.close)
            pd = Policyd(d, reinject=cls.sink.port, review=free_port(),
                         settings='redis = { url = "redis://127.0.0.1:%d/0"; }; host_name = "%s.example"; %s' % (
                             cls.redis.port, name, "" if cls.reviews else 'review = { url = "https://%s.example"; };' % name))
            cls.addClassCleanup(pd.close)
            cls.nodes.append([pd])
            cls.dirs.append(d)
        cls.nodes[0][0].set("domain:acme.example", customer="acme", quarantine="6", discard="off", tag="4")
        wait_until(lambda: "acme" in cls.nodes[1][0].ctl("policy", "explain", "a@acme.example").stdout.decode())

    def setUp(self):
        for node, d in zip(self.nodes, self.dirs):
            node[1:] = [Milter(("127.0.0.1", node[0].milter_port)), Store(d("state/run/store.sock"))]
            self.addCleanup(node[1].close)
            self.addCleanup(node[2].close)

    def hold(self, node, rcpts, subject):
        self.assertEqual(self.nodes[node][1].send(points(8, subject), rcpts)["reply"][0], "d")

    def pool(self, node, **more):
        return self.nodes[node][2].ask("list", pool=True, **more)



class Nodes(Pool):
    def test_one_list(self):
        for i in range(12):
            self.hold(i % 2, ["a@acme.example"], "pool %02d" % i)
        self.hold(0, ["b@acme.example", "c@other.example"], "for two")
        for node in (0, 1):
            page = wait_until(lambda: (lambda p: p if len(p["entries"]) == 12 and len(p["nodes"]) == 2 else None)(self.pool(node, rcpt="a@acme.example")), 40)
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
        self.hold(0, ["where@acme.example", "there@acme.example"], "held elsewhere")
        two = self.nodes[1][0]
        two.ctl("user", "add", "sue", "--role", "support", data=b"correct horse 1\n")
        sue = Browser(two.review, two.json("user", "key", "sue")["key"])
        ident = wait_until(lambda: self.pool(1, rcpt="where@acme.example")["entries"])[0]["id"]
        page = sue.get("/support?q=where@acme.example").text
        self.assertIn("held elsewhere", page)
        self.assertIn('href="https://one.example/m/%s?n=0"' % ident, page)
        self.nodes[0][2].ask("change", op="release", ids=[{"id": ident, "rcpt": "where@acme.example"}])
        wait_until(lambda: self.pool(1, rcpt="where@acme.example", state="released")["entries"])
        found = sue.get("/api/v1/trace?q=" + ident).json()
        self.assertEqual({e["recipient"]: e["state"] for e in found["held"] if e["id"] == ident}, {"where@acme.example": "released", "there@acme.example": "new"})
        self.assertEqual({e["recipient"] for e in found["events"]}, {"where@acme.example", "there@acme.example"})

    def test_a_cache(self):
        """Redis loses all it has, or is away while mail is held: the list is whole again by itself."""
        self.hold(0, ["cache@acme.example"], "before")
        wait_until(lambda: len(self.pool(1, rcpt="cache@acme.example")["entries"]) == 1)
        with socket.create_connection(("127.0.0.1", self.redis.port)) as s:
            s.sendall(b"FLUSHALL\r\n")
            s.recv(100)
        self.assertEqual(self.pool(1, rcpt="cache@acme.example")["entries"], [])
        wait_until(lambda: [e["subject"] for e in self.pool(1, rcpt="cache@acme.example")["entries"]] == ["before"])
        self.assertEqual(len(self.nodes[0][2].ask("list", rcpt="cache@acme.example")["entries"]), 1)


class Proxy(http.server.BaseHTTPRequestHandler):
    """Stands between two nodes: keeps what it sees, and gives on what `change` makes of it."""
    seen, change, to = [], None, None

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        c = http.client.HTTPConnection(self.to, timeout=30)
        c.request("POST", self.path, body, {"Content-Type": self.headers["Content-Type"]})
        r = c.getresponse()
        answer = r.read()
        Proxy.seen.append((body, answer))
        if Proxy.change:
            answer = Proxy.change(answer)
        self.send_response(r.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


class Across(Pool):
    reviews = True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        for pd, in cls.nodes:
            for box in "adw":
                pd.ctl("user", "add", box + "@acme.example", "--role", "owner", data=PASSWORD.encode() + b"\n")
            pd.ctl("user", "add", "anna", "--role", "admin", "--customer", "acme", data=PASSWORD.encode() + b"\n")
        shutil.copy2(cls.dirs[0]("state/pool.key"), cls.dirs[1]("state/pool.key"))        # as the README says
        st = os.stat(cls.dirs[0]("state/pool.key"))
        os.chown(cls.dirs[1]("state/pool.key"), st.st_uid, st.st_gid)
        cls.nodes[1][0].ctl("reload")

    def listed(self, node, count, rcpt="a@acme.example"):
        return wait_until(lambda: (lambda e: e if len(e) == count else None)(self.pool(node, rcpt=rcpt)["entries"]))

    def owner(self, node, name="a@acme.example"):
        b = Browser(self.nodes[node][0].review)
        self.assertEqual(b.sign_in(name, PASSWORD).status, 200)
        return b

    def send_to(self, node, subject, rcpt="a@acme.example"):
        data = points(8, subject)
        self.assertEqual(self.nodes[node][1].send(data, [rcpt])["reply"][0], "d")
        return data

    def at(self, entries, node):
        return next(e for e in entries if e["node"] == node)

    def test_opened_and_released(self):
        """Signed in at one node: the other's mail is in the list, opens, is released by its own node, exactly as it came; both audit
        logs say who did it."""
        here, there = self.send_to(0, "held here"), self.send_to(1, "held there")
        entries = self.listed(0, 2)
        b = self.owner(0)
        page = b.get("/")
        self.assertIn("held here", page.text)
        self.assertIn("held there", page.text)
        path = next(x for x in page.links() if x.startswith("/m/" + self.at(entries, "two.example")["id"]))
        self.assertIn("node=two.example", path)
        opened = b.get(path)
        self.assertEqual(opened.status, 200)
        self.assertIn("held there", opened.text)
        self.assertIn("Shall we have lunch", opened.text)
        self.assertEqual(b.get(next(x for x in opened.links() if "mail.eml" in x)).body, there)
        form = next(f for f in opened.forms() if f["action"] == "/change")
        answer = b.post("/change", form["fields"] + [("op", "release")])
        self.assertEqual(answer.status, 200)
        self.assertEqual([m[2] for m in self.sink.to("a@acme.example")], [there])
        self.assertEqual(self.nodes[1][2].ask("show", id=self.at(entries, "two.example")["id"])["entries"][0]["state"], "released")
        for pd, where in ((self.nodes[0][0], "127.0.0.1"), (self.nodes[1][0], "node one.example")):
            done = [e for e in pd.json("audit", "list")["entries"] if e["action"] == "mail.release"]
            self.assertEqual([(e["actor"], e["role"], e["from"], e["customer"]) for e in done], [("a@acme.example", "owner", where, "acme")])
            pd.ctl("audit", "verify")
        # both at once, from the list: each goes to the node that holds it
        self.send_to(1, "one more there")
        self.listed(0, 3)
        ids = [f for f in wait_until(lambda: (lambda p: p if "one more there" in p.text else None)(b.get("/"))).forms() if f["action"] == "/change"][0]["fields"]
        picked = [(n, v) for n, v in ids if n in ("id", "csrf")]
        self.assertEqual(len([1 for n, _ in picked if n == "id"]), 2, picked)
        b.post("/change", picked + [("op", "delete")])
        self.assertEqual({e["state"] for node in (0, 1) for e in self.nodes[node][2].ask("list", rcpt="a@acme.example")["entries"]}, {"deleted", "released"})
        # and by the API, and by policyctl
        self.send_to(1, "for the API")
        e = next(e for e in self.listed(0, 4) if e["subject"] == "for the API")
        shown = b.api("GET", "/api/v1/messages/%s?n=0&node=two.example" % e["id"]).json()
        self.assertEqual(shown["entries"][0]["node"], "two.example")
        wait_until(lambda: self.nodes[1][2].ask("show", id=e["id"])["entries"][0]["state"] == "seen")       # by looking at it
        results = b.api("POST", "/api/v1/messages/change", {"op": "unseen", "ids": ["%s:0:two.example" % e["id"]]}).json()["results"]
        self.assertEqual([(r["done"], r["state"]) for r in results], [(True, "new")], results)
        ctl = self.nodes[0][0]
        self.assertEqual([x["subject"] for x in ctl.json("quarantine", "list", "--customer", "acme", "--search", "for the API", "--node", "two.example")["entries"]],
                         ["for the API"])
        self.assertEqual(ctl.json("quarantine", "list", "--customer", "acme", "--search", "for the API")["entries"], [])
        raw = ctl.ctl("quarantine", "show", e["id"], "--node", "two.example", "--raw").stdout
        self.assertIn(b"Subject: for the API", raw)
        self.assertIn(b"requested", ctl.ctl("quarantine", "request", e["id"], "--node", "two.example").stdout)
        self.assertIn(b"released", ctl.ctl("quarantine", "approve", e["id"], "--node", "two.example").stdout)
        self.assertEqual(len(self.sink.to("a@acme.example")), 2)
        self.assertEqual(self.nodes[0][0].ctl("quarantine", "show", e["id"], "--node", "three.example", check=False).returncode, 1)

    def test_rights_go_along(self):
        """What is not his is not there, wherever it is held; an admin reads no text of the other node's mail either."""
        self.send_to(1, "not for a", "b@acme.example")
        e = self.listed(0, 1, "b@acme.example")[0]
        owner = self.owner(0, "w@acme.example")
        self.assertEqual(owner.get("/m/%s?n=0&node=two.example" % e["id"]).status, 404)
        results = owner.api("POST", "/api/v1/messages/change", {"op": "release", "ids": ["%s:0:two.example" % e["id"]]})
        self.assertEqual(results.status, 404)
        admin = Browser(self.nodes[0][0].review)
        admin.sign_in("anna", PASSWORD)
        page = admin.get("/m/%s?n=0&node=two.example" % e["id"])
        self.assertEqual(page.status, 200)
        self.assertNotIn("Shall we have lunch", page.text)
        self.assertEqual(self.sink.to("b@acme.example"), [])

    def test_a_node_is_away(self):
        """Its mail is listed, and said not to be reachable; nothing is shown as done; all is well when it is back."""
        self.send_to(0, "held here", "d@acme.example")
        self.send_to(1, "held there", "d@acme.example")
        e = self.at(self.listed(0, 2, "d@acme.example"), "two.example")
        b, pd = self.owner(0, "d@acme.example"), self.nodes[1][0]
        pids = [pid for name, pid in pd.pids().items() if name in ("review", "store")]
        for pid in pids:                     # it hangs
            os.kill(pid, signal.SIGSTOP)
        pd.p.stop(signal.SIGKILL)            # and dies
        began = time.monotonic()
        page = b.get("/m/%s?n=0&node=two.example" % e["id"])
        self.assertEqual(page.status, 503)
        self.assertIn("does not answer right now", page.text)
        self.assertLess(time.monotonic() - began, 10)
        results = b.api("POST", "/api/v1/messages/change", {"op": "release", "ids": ["%s:0:two.example" % e["id"]]}).json()["results"]
        self.assertEqual([(r["done"], r["recipient"]) for r in results], [(False, "two.example")])
        out = self.nodes[0][0].ctl("quarantine", "release", e["id"], "--node", "two.example", check=False)
        self.assertEqual(out.returncode, 1)
        self.assertIn(b"two.example: no answer from http://127.0.0.1", out.stderr)
        self.assertEqual(self.pool(0, rcpt="d@acme.example")["entries"][0]["subject"][:5], "held ")
        wait_until(lambda: self.pool(0, rcpt="d@acme.example")["away"] == ["two.example"], 30)
        self.assertIn("two.example", b.get("/").text.split("role=\"status\"")[1][:400])
        self.assertIn("two.example was last seen", self.nodes[0][0].ctl("doctor", check=False).stdout.decode())
        pd.start()
        wait_until(lambda: self.pool(0, rcpt="d@acme.example")["away"] == [], 30)
        self.assertEqual(b.get("/m/%s?n=0&node=two.example" % e["id"]).status, 200)
        self.assertEqual(self.sink.to("d@acme.example"), [])

    def test_who_is_not_of_the_pool(self):
        """Without the key nobody asks and nobody answers; what was recorded does not work again; nobody between reads or changes it."""
        self.send_to(1, "held there", "w@acme.example")
        e = self.listed(0, 1, "w@acme.example")[0]
        b = self.owner(0, "w@acme.example")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        Proxy.to, Proxy.seen, Proxy.change = self.nodes[1][0].review[len("http://"):], [], None
        conf = open(self.nodes[1][0].conf).read()
        with open(self.nodes[1][0].conf, "w") as f:
            f.write(conf + 'review = { node_url = "http://127.0.0.1:%d/"; };\n' % server.server_port)
        self.nodes[1][0].ctl("reload")
        path = "/m/%s?n=0&node=two.example" % e["id"]
        wait_until(lambda: b.get(path).status == 200 and Proxy.seen)
        for body, answer in Proxy.seen:
            for word in (b"lunch", b"acme", b"quarantine", b"two.example"):
                self.assertNotIn(word, body + answer)
        before = len(Proxy.seen)
        Proxy.change = lambda answer: answer[:40] + bytes([answer[40] ^ 1]) + answer[41:]
        self.assertEqual(b.get(path).status, 503)
        Proxy.change = lambda answer: Proxy.seen[0][1]                       # the true answer, to another question
        self.assertEqual(b.get(path).status, 503)
        Proxy.change = lambda answer: b"x" * 50
        self.assertEqual(b.get(path).status, 503)
        Proxy.change = None
        self.assertEqual(len(Proxy.seen), before + 3)
        # replayed, to the same node and to another; altered; sealed with another key; not sealed
        peer = Browser(self.nodes[1][0].review)

        def post(body, to=peer):
            return to.request("POST", "/peer", body, {"Content-Type": "application/octet-stream"})
        release = b.api("POST", "/api/v1/messages/change", {"op": "seen", "ids": ["%s:0:two.example" % e["id"]]}).json()["results"][0]
        self.assertTrue(release["done"])
        body = Proxy.seen[-1][0]
        self.assertEqual(post(body).status, 200)                             # an answer, sealed: that it was asked before
        self.assertIn("it was asked before", self.nodes[1][0].log())
        post(body, Browser(self.nodes[0][0].review))
        self.assertIn("it is for another node", self.nodes[0][0].log())
        for bad in (body[:-1], bytes([body[0] ^ 1]) + body[1:], body[:60] + bytes([body[60] ^ 128]) + body[61:], b"", b"{}", os.urandom(500)):
            self.assertEqual(post(bad).status, 404)
        os.unlink(self.dirs[1]("state/pool.key"))                            # makes one of its own: no longer of this pool
        os.kill(self.nodes[1][0].pids()["review"], signal.SIGKILL)
        wait_until(self.nodes[1][0].ready)
        self.assertEqual(b.get(path).status, 503)
        said = self.nodes[0][0].ctl("quarantine", "show", e["id"], "--node", "two.example", check=False)
        self.assertIn(b"does not know our pool.key", said.stderr)
        self.assertIn("must be the same on all of them", self.nodes[1][0].ctl("doctor", check=False).stdout.decode())


if __name__ == "__main__":
    unittest.main()
