"""The classifier through the real path: workers, trainer, Redis. Lessons are one per mail and can be taken back; nodes of a
pool become equal bit by bit; what was acknowledged outlives Redis; customers have models of their own."""
import os
import random
import shutil
import signal
import subprocess
import threading
import time
import unittest

from tests.lib.policyd import Policyd
from tests.lib.procs import TOP, Dir, Proc, free_port, wait_until

POISONED = int(os.environ.get("POISONED", "200"))

HAM = "meeting minutes report budget lunch train review patch kernel thanks agenda draft deadline holiday question".split()
SPAM = "winner pills casino cheap rolex refinance viagra unlimited offer click guarantee prize lottery bonus urgent".split()
BOTH = "the a of to and in is for with on this that you we from mail please today week new".split()


def mail(n, spam, extra=""):
    dice = random.Random(n * 2 + spam)
    words = [dice.choice((SPAM if spam else HAM) if dice.random() < 0.4 else BOTH) for _ in range(80)]
    return ("From: %s%d@%s.example\r\nTo: bob@shop.example\r\nSubject: %s\r\nMessage-ID: <%d.%d@x.example>\r\nDate: Mon, 2 Mar 2026 10:00:%02d +0000\r\n\r\n%s\r\n%s\r\n"
            % ("s" if spam else "h", n, "bulk" if spam else "work", " ".join(words[:4]), n, spam, n % 60, " ".join(words), extra)).encode()


def folder(d, name, mails):
    os.makedirs(d(name), exist_ok=True)
    for i, m in enumerate(mails):
        with open(os.path.join(d(name), "%05d.eml" % i), "wb") as f:
            f.write(m)
    return d(name)


class Redis:
    """A redis-server of our own."""

    def __init__(self, d, *settings, port=None):
        self.d, self.port, self.settings = d, port or free_port(), settings
        os.makedirs(d("redis-%d" % self.port))
        self.start()

    def start(self):
        self.p = Proc(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", self.d("redis-%d" % self.port)] +
                      list(self.settings), self.d("redis.log"), executable=shutil.which("redis-server") or "/usr/bin/redis-check-rdb")
        wait_until(lambda: self.say("PING") == "PONG", 10)

    def say(self, *words):
        return subprocess.run(["redis-cli", "-p", str(self.port)] + list(words), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout.decode().strip()

    def kill(self):
        os.kill(self.p.p.pid, signal.SIGKILL)
        self.p.p.wait()

    def close(self):
        self.p.stop()


def cluster(test):
    """Three masters and three replicas; their ports."""
    nodes = []
    for _ in range(6):
        while True:                          # the bus takes port + 10000
            port = free_port()
            if port < 50000:
                break
        r = Redis(test.d, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0", port=port)
        test.addCleanup(r.close)
        nodes.append(r)
    made = subprocess.run(["redis-cli", "--cluster", "create"] + ["127.0.0.1:%d" % r.port for r in nodes] + ["--cluster-replicas", "1", "--cluster-yes"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    test.assertEqual(made.returncode, 0, made.stdout.decode())
    wait_until(lambda: all("cluster_state:ok" in r.say("CLUSTER", "INFO") for r in nodes), 20)
    return [r.port for r in nodes]


class Node(Policyd):
    def __init__(self, d, redis, name="node", settings=""):
        os.makedirs(d(name), exist_ok=True)
        super().__init__(Sub(d, name), policy=False, clamav='engine = "off";', settings='redis = { url = "redis://127.0.0.1:%d/0"; };\n%s' % (redis.port, settings))

    def score(self, raw, rcpt="bob@shop.example"):
        self.d.write("scored.eml", raw)
        r = self.json("scan", self.d("scored.eml"), "--rcpt", rcpt)
        r = r["mails"][0] if "mails" in r else r[0] if isinstance(r, list) else r
        return r["recipients"][0]

    def table(self):
        self.ctl("model", "export", self.d("table"))
        with open(self.d("table"), "rb") as f:
            return f.read()


class Sub:
    """A folder inside a test's folder, of the same kind."""

    def __init__(self, d, name):
        self.d, self.path = d, d(name)

    def __call__(self, name):
        return os.path.join(self.path, name)

    def write(self, name, data):
        with open(self(name), "wb" if isinstance(data, bytes) else "w") as f:
            f.write(data)
        return self(name)


class Model(unittest.TestCase):
    def setUp(self):
        self.d = Dir()
        self.addCleanup(self.d.close)
        self.redis = Redis(self.d)
        self.addCleanup(self.redis.close)

    def node(self, name="node", **more):
        n = Node(self.d, self.redis, name, **more)
        self.addCleanup(n.close)
        return n

    def settled(self, *nodes):
        """All nodes have all of the ledger, and no rebuild is still to come."""
        def same():
            states = [n.model() for n in nodes]
            return all(s["caught_up"] and s["in_order"] for s in states) and len({s["place"] for s in states}) == 1
        wait_until(same, 20)

    def test_lessons(self):
        n = self.node()
        spam = folder(self.d, "spam", [mail(i, 1) for i in range(60)])
        ham = folder(self.d, "ham", [mail(i, 0) for i in range(60)])
        self.assertEqual(n.json("learn", "spam", spam)["learnt"], 60)
        self.assertEqual(n.json("learn", "ham", ham)["learnt"], 60)
        self.assertEqual(n.json("learn", "spam", spam)["known"], 60)
        self.settled(n)
        self.assertGreater(n.score(mail(1000, 1))["bayes_points"], 2)
        self.assertLess(n.score(mail(1000, 0))["bayes_points"], -1)
        self.assertEqual(n.model()["spam"], 60)
        n.ctl("model", "verify")
        # a spam trap's mail comes by a pipe
        trapped = mail(400, 1)
        self.assertIn(b"1 learnt", n.ctl("learn", "spam", "-", "--as", "trap", data=trapped).stdout)
        self.assertEqual(n.json("model", "history", "1")["lessons"][0]["source"], "trap")
        self.assertIn(b"1 unlearnt", n.ctl("unlearn", "-", data=trapped).stdout)
        self.assertEqual(n.ctl("learn", "spam", "-", data=b"", check=False).returncode, 1)
        self.settled(n)
        before = n.table()
        # one lesson more, taken back by its id: as before
        place = n.json("model", "history", "1")["lessons"][0]["id"]
        one = folder(self.d, "one", [mail(500, 1)])
        self.assertEqual(n.json("learn", "ham", one)["learnt"], 1)
        self.assertEqual(n.json("learn", "spam", one)["flipped"], 1)
        self.assertEqual(n.json("model", "rollback", place)["taken_back"], 1)
        self.settled(n)
        self.assertEqual(weights(before), weights(n.table()))
        n.ctl("model", "verify")
        # and so is one that is unlearnt
        n.ctl("learn", "spam", one)
        self.assertEqual(n.json("unlearn", one)["unlearnt"], 1)
        self.assertEqual(n.ctl("unlearn", one, check=False).returncode, 1)
        self.settled(n)
        self.assertEqual(weights(before), weights(n.table()))

    def test_pool(self):
        """Two nodes, taught at once and by turns: equal tables; a third one that comes later too."""
        a, b = self.node("a"), self.node("b")
        folders = [folder(self.d, "m%d" % i, [mail(100 * i + k, i % 2) for k in range(50)]) for i in range(4)]
        threads = [threading.Thread(target=node.ctl, args=("learn", "ham" if i % 2 == 0 else "spam", folders[i]))
                   for i, node in enumerate((a, b, b, a))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.settled(a, b)
        self.assertEqual(a.model()["spam"] + a.model()["ham"], 200)
        self.assertEqual(a.table(), b.table())
        start = time.time()
        a.ctl("learn", "spam", folder(self.d, "late", [mail(9999, 1)]))
        wait_until(lambda: b.model()["spam"] == a.model()["spam"] == 101, 5)
        self.assertLess(time.time() - start, 2)
        c = self.node("c")
        self.settled(a, b, c)
        self.assertEqual(a.table(), c.table())

    def test_customers(self):
        n = self.node()
        for c in ("acme", "beta"):
            n.set("domain:%s.example" % c, customer=c, own_model="true")
        n.ctl("learn", "spam", folder(self.d, "spam", [mail(i, 1) for i in range(60)]))
        n.ctl("learn", "ham", folder(self.d, "ham", [mail(i, 0) for i in range(60)]))
        self.settled(n)
        news = [mail(i, 1, "newsletter of the numismatic society " * 5) for i in range(300, 330)]
        before = {c: n.score(news[0], "x@%s.example" % c)["bayes_points"] for c in ("acme", "beta", "none")}
        self.assertEqual(len(set(before.values())), 1)
        # acme likes what is spam to others: his word is his alone until a second customer says the same
        r = n.json("learn", "ham", folder(self.d, "news", news[1:]), "--for", "bob@acme.example")
        self.assertEqual(r["learnt"], 29)
        after = {c: n.score(news[0], "x@%s.example" % c)["bayes_points"] for c in ("acme", "beta", "none")}
        self.assertLess(after["acme"], before["acme"] - 1)
        self.assertEqual(after["beta"], before["beta"])
        self.assertEqual(after["none"], before["none"])
        # no request per scan once he is known
        n.score(news[0], "x@acme.example")
        count = n.json("stats")["model_customers_fetched"]
        for i in range(5):
            n.score(mail(i, 0), "x@acme.example")
        self.assertEqual(n.json("stats")["model_customers_fetched"], count)
        # another node, and taking it back
        b = self.node("b")
        wait_until(lambda: abs(b.score(news[0], "x@acme.example")["bayes_points"] - after["acme"]) < 1e-6, 5)
        self.assertEqual(n.json("unlearn", self.d("news"), "--for", "bob@acme.example")["unlearnt"], 29)
        wait_until(lambda: abs(b.score(news[0], "x@acme.example")["bayes_points"] - before["acme"]) < 1e-6, 5)

    def test_no_request_for_a_scan(self):
        """Redis sees nothing of the model for a scan, of a customer with one of his own neither: only what the trainer asks by the clock."""
        n = self.node()
        n.set("domain:acme.example", customer="acme", own_model="true", mailbox_model="true")
        for kind in range(2):
            n.ctl("learn", ("ham", "spam")[kind], folder(self.d, "m%d" % kind, [mail(i, kind) for i in range(40)]))
        n.ctl("learn", "ham", folder(self.d, "own", [mail(90, 1)]), "--for", "bob@acme.example", "--as", "admin")
        n.ctl("learn", "ham", folder(self.d, "his", [mail(91, 1)]), "--for", "bob@acme.example", "--as", "user")
        self.settled(n)
        n.score(mail(500, 1), "bob@acme.example")
        paths = [self.d.write("z%d.eml" % i, mail(600 + i, i % 2)) for i in range(100)]
        with open(self.d("monitor"), "wb") as out:
            watch = subprocess.Popen(["redis-cli", "-p", str(self.redis.port), "MONITOR"], stdout=out)
            time.sleep(0.5)
            start = time.monotonic()
            n.ctl("scan", *paths, "--rcpt", "bob@acme.example", check=False)
            seconds = time.monotonic() - start
            time.sleep(0.5)
            watch.kill()
            watch.wait()
        with open(self.d("monitor")) as f:
            model = [line for line in f if "{model:" in line]
        self.assertEqual([line for line in model if "{model:c:" in line], [])
        by_clock = [line for line in model if "XRANGE" in line or ":lease" in line or ("HGET" in line and "place" in line)]
        self.assertEqual([line for line in model if line not in by_clock and "lua" not in line], [])
        self.assertLess(len(by_clock), 30 * (seconds + 2))       # two ledgers every 200 ms, and the lease
        self.assertGreater(n.json("stats")["scans"], 100)

    def test_one_customer_poisons_nobody_else(self):
        """A customer's users teach it upside down, as often as they like: nobody else's score moves, whatever way they take."""
        n = self.node()
        for c in ("acme", "beta"):
            n.set("domain:%s.example" % c, customer=c, own_model="true")
        for kind in range(2):
            n.ctl("learn", ("ham", "spam")[kind], folder(self.d, "m%d" % kind, [mail(i, kind) for i in range(60)]))
        self.settled(n)
        probes = [mail(700 + i, i % 2) for i in range(10)]
        before = [[n.score(m, r)["bayes_points"] for m in probes] for r in ("x@beta.example", "x@none.example")]
        for kind in range(2):
            lies = folder(self.d, "lies%d" % kind, [mail(3000 + i, kind) for i in range(POISONED // 2)])
            for role in ("user", "admin"):
                n.ctl("learn", ("spam", "ham")[kind], lies, "--for", "bob@acme.example", "--as", role, check=False)
        self.assertEqual(n.model()["spam"] + n.model()["ham"], 120)
        after = [[n.score(m, r)["bayes_points"] for m in probes] for r in ("x@beta.example", "x@none.example")]
        self.assertEqual(before, after)
        own = [n.score(m, "x@acme.example")["bayes_points"] for m in probes]
        self.assertNotEqual(own, after[0])

    def test_hostile_lessons(self):
        """What nobody would send but to hurt: learnt, turned over and taken back, it leaves the model as it was."""
        n = self.node()
        for kind in range(2):
            n.ctl("learn", ("ham", "spam")[kind], folder(self.d, "m%d" % kind, [mail(i, kind) for i in range(40)]))
        self.settled(n)
        before, dice = n.table(), random.Random(5)
        head = b"From: a@b.example\r\nSubject: x\r\nMessage-ID: <%d@x.example>\r\n\r\n"
        bodies = [b" ".join(b"w%d" % dice.randrange(10 ** 9) for _ in range(900000)),            # 10 MB of words
                  b"\r\n".join(b" ".join(b"tok%d" % (10 * i + k) for k in range(10)) for i in range(10000)),
                  b"viagra " * 200000, b"a" * 5000000, dice.randbytes(1000000), bytes(1000000), b""]
        mails = [head % i + body for i, body in enumerate(bodies)]
        mails += [b"".join(b"X-%d: %d\r\n" % (i, i) for i in range(10000)) + b"\r\nhi\r\n", b"\r\n"]
        hostile = folder(self.d, "hostile", mails)
        start = time.monotonic()
        self.assertEqual(n.json("learn", "spam", hostile)["learnt"], len(mails))
        self.assertEqual(n.json("learn", "ham", hostile)["flipped"], len(mails))
        self.assertLess(time.monotonic() - start, 180)       # on a machine that has other things to do
        self.assertGreater(n.score(mail(1000, 1))["bayes_points"], 1)
        self.assertEqual(n.json("unlearn", hostile)["unlearnt"], len(mails))
        self.settled(n)
        self.assertEqual(weights(before), weights(n.table()))
        n.ctl("model", "verify")

    def test_operators_score(self):
        """score.lua is the operator's: a change is in force with a reload, one that cannot work is refused and the old one stays."""
        with open(os.path.join(TOP, "lua", "score.lua")) as f:
            ours = f.read()
        script = self.d.write("score.lua", ours)
        n = self.node(settings='score = "%s";' % script)
        for kind in range(2):
            n.ctl("learn", ("ham", "spam")[kind], folder(self.d, "m%d" % kind, [mail(i, kind) for i in range(40)]))
        self.settled(n)
        first = n.score(mail(1000, 1))
        self.d.write("score.lua", ours.replace("SPAM_MOST, HAM_MOST = 1.0, 8.0", "SPAM_MOST, HAM_MOST = 0.5, 3.0"))
        n.ctl("reload")
        second = n.score(mail(1000, 1))
        self.assertLess(second["bayes_points"], 3.0)
        self.assertAlmostEqual(second["points"] - first["points"], second["bayes_points"] - first["bayes_points"], 5)
        for broken, why in (("return function(symbols, class)\n  return 1 +\nend\n", "score.lua:3:1"), ("return 5\n", "must return function"),
                            ("return function() return 'x', 0 end\n", "two finite numbers"), ("return function() return 0 / 0, 0 end\n", "two finite numbers"),
                            ("return function(s, c) return c.nosuch.field, 0 end\n", "score.lua:1"),
                            ("return function(s, c) return c.log_odds + s[3].points, 0 end\n", "score.lua:1"),
                            ("return function() while true do end end\n", "score.lua")):
            self.d.write("score.lua", broken)
            r = n.ctl("reload", check=False)
            self.assertEqual((r.returncode, why in r.stderr.decode()), (1, True), (broken, r.stderr))
            self.assertEqual(n.score(mail(1000, 1))["points"], second["points"])

    def test_cluster(self):
        """The same lessons on a Cluster of three masters with a replica each: keys of one model lie together, scripts name them."""
        ports = cluster(self)
        n = Node(self.d, type("Any", (), {"port": ports[0]}), "clustered")
        self.addCleanup(n.close)
        n.ctl("learn", "spam", folder(self.d, "spam", [mail(i, 1) for i in range(60)]))
        n.ctl("learn", "ham", folder(self.d, "ham", [mail(i, 0) for i in range(60)]))
        self.settled(n)
        self.assertEqual(n.json("unlearn", folder(self.d, "back", [mail(3, 1)]))["unlearnt"], 1)
        self.settled(n)
        self.assertEqual((n.model()["spam"], n.model()["ham"]), (59, 60))
        n.ctl("model", "verify")

    def test_redis_dies(self):
        """Redis is killed with -9 while lessons come: what was acknowledged is there, nothing is there twice, mail goes on."""
        self.redis.close()
        self.redis.settings = ("--appendonly", "yes", "--appendfsync", "always")
        self.redis.start()
        n = self.node()
        mails = [mail(i, i % 2) for i in range(400)]
        acknowledged, stop = [], []

        def teach():
            for i, m in enumerate(mails):
                path = self.d.write("t.eml", m.decode())
                while not stop:
                    r = n.ctl("--json", "learn", "spam" if i % 2 else "ham", path, check=False)
                    if r.returncode == 0:
                        break
                    time.sleep(0.1)
                acknowledged.append(i)
                if stop:
                    return
        t = threading.Thread(target=teach)
        t.start()
        for _ in range(3):
            time.sleep(1.5)
            self.redis.kill()
            self.assertIn("points", n.score(mail(5000, 1)))
            time.sleep(0.3)
            self.redis.start()
        time.sleep(1)
        stop.append(1)
        t.join()
        wait_until(lambda: n.model()["caught_up"], 10)
        learnt = n.model()["spam"] + n.model()["ham"]
        self.assertIn(learnt, (len(acknowledged) - 1, len(acknowledged)))
        self.assertEqual(int(self.redis.say("HLEN", "{model:global}:known")), learnt)
        self.settled(n)
        n.ctl("model", "verify")


def weights(table):
    """Without the head's counters of lessons and its place in the ledger."""
    return table[200:]


if __name__ == "__main__":
    unittest.main()
