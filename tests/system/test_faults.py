"""What may break, and what then: crashing mail, hanging mail, reloads under load, Redis gone, a bad reload."""
import os
import signal
import threading
import time
import unittest

from tests.lib.mail import eicar, mail, points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, wait_until

RELOADS = int(os.environ.get("RELOADS", "100"))


class Faults(unittest.TestCase):
    def setUp(self):
        self.d = Dir()
        self.addCleanup(self.d.close)
        self.pd = Policyd(self.d, settings="limits = { scan_timeout_ms = 3000; message_timeout_ms = 20000; };")
        self.addCleanup(self.pd.close)

    def milter(self, **more):
        m = Milter(("127.0.0.1", self.pd.milter_port), **more)
        self.addCleanup(m.close)
        return m

    def test_poison(self):
        """Two crashes, then quarantine as unscannable; the connection and its neighbours notice nothing."""
        m, other, stop, seen = self.milter(), self.milter(), threading.Event(), []

        def neighbour():
            while not stop.is_set():
                seen.append(other.send(mail("neighbour"), ["n@test.example"])["reply"][0])

        t = threading.Thread(target=neighbour)
        t.start()
        out = m.send(mail("poison", headers=["X-Policyd-Test-Crash: yes"]), ["victim@test.example"])
        self.assertEqual(out["reply"][0], "d")
        entry = self.pd.quarantine(rcpt="victim@test.example")[0]
        self.assertEqual(entry["class"], "unscannable")
        crashes = self.pd.json("stats")["workers_crashed"]
        self.assertEqual(crashes, 2)
        out = m.send(mail("after"), ["after@test.example"])          # same connection
        self.assertEqual(out["reply"][0], "a")
        stop.set()
        t.join()
        self.assertEqual(set(seen), {"a"})

    def test_poison_is_remembered(self):
        data = mail("poison again", headers=["X-Policyd-Test-Crash: yes"])
        m = self.milter()
        self.assertEqual(m.send(data, ["a@test.example"])["reply"][0], "d")
        for i in range(3):
            self.assertEqual(m.send(data, ["b%d@test.example" % i])["reply"][0], "d")
        self.assertEqual(self.pd.json("stats")["workers_crashed"], 2)

    def test_hang(self):
        """The watchdog ends it; twice is poison; the answer comes in time."""
        start = time.monotonic()
        out = self.milter().send(mail("hang", headers=["X-Policyd-Test-Hang: yes"]), ["hang@test.example"])
        self.assertEqual(out["reply"][0], "d")
        self.assertLess(time.monotonic() - start, 15)

    def test_memory_bomb(self):
        out = self.milter().send(mail("bomb", headers=["X-Policyd-Test-Bomb: yes"]), ["bomb@test.example"])
        self.assertEqual(out["reply"][0], "d")
        self.assertEqual(self.pd.quarantine(rcpt="bomb@test.example")[0]["class"], "unscannable")

    def test_worker_killed(self):
        """kill -9 of workers costs a retry, never a connection."""
        m = self.milter()
        for i in range(20):
            zygote = self.pd.pids()["zygote"]
            with open("/proc/%d/task/%d/children" % (zygote, zygote)) as f:
                for pid in f.read().split():
                    os.kill(int(pid), signal.SIGKILL)
            self.assertEqual(m.send(mail("k%d" % i), ["k@test.example"])["reply"][0], "a")

    def test_reloads_under_load(self):
        m, stop, seen = self.milter(), threading.Event(), []

        def load():
            while not stop.is_set():
                out = m.send(mail("load"), ["load@test.example"])
                seen.append(out["reply"][0])

        t = threading.Thread(target=load)
        t.start()
        for i in range(RELOADS):
            self.pd.ctl("reload")
        stop.set()
        t.join()
        self.assertEqual(set(seen), {"a"})
        self.assertGreater(len(seen), 5)
        self.assertEqual(self.pd.json("status")["generation"], RELOADS + 1)
        self.assertEqual([p["restarts"] for p in self.pd.json("status")["processes"]], [0] * 7)

    def test_bad_reload_changes_nothing(self):
        with open(self.pd.conf) as f:
            good = f.read()
        for bad, say in ((good + "nonsense = 1;\n", 'unknown setting "nonsense"'), (good + "workers = { min = \"x\"; };\n", "expected a whole number"),
                         (good.replace("timeout_ms = 1500", "timeout_ms = 1"), "expected 50 to 10000"), (good + "log = {\n", "syntax error")):
            self.d.write("policyd.conf", bad)
            r = self.pd.ctl("-s", self.d("state/run/control.sock"), "reload", check=False)
            self.assertEqual(r.returncode, 1)
            self.assertIn(say, r.stderr.decode())
            self.assertRegex(r.stderr.decode(), r"policyd\.conf:\d+: ")
        self.d.write("policyd.conf", good)
        self.d.write("rules/broken.lua", "rule { symbol = \n")
        self.d.write("policyd.conf", good.replace("rules = (", "rules = ( \"%s\"," % self.d("rules")))
        r = self.pd.ctl("reload", check=False)
        self.assertEqual(r.returncode, 1)
        self.assertIn("broken.lua:", r.stderr.decode())
        self.assertEqual(self.milter().send(points(5), ["u@test.example"])["reply"][0], "a")
        self.assertEqual(self.pd.json("status")["generation"], 1)

    def test_redis_gone(self):
        """Known policies go on; the filter never stops; writes say that they cannot; it comes back by itself."""
        self.pd.set("mailbox:known@test.example", quarantine="5", discard="off")
        m = self.milter()
        self.assertEqual(m.send(points(5), ["known@test.example"])["reply"][0], "d")
        os.kill(self.pd.pids()["redis"], signal.SIGSTOP)
        try:
            start = time.monotonic()
            self.assertEqual(m.send(points(5, "two"), ["known@test.example"])["reply"][0], "d")
            self.assertLess(time.monotonic() - start, 3)
            wait_until(lambda: self.pd.ctl("policy", "set", "x@test.example", "tag=1", check=False).returncode == 1)
        finally:
            os.kill(self.pd.pids()["redis"], signal.SIGCONT)
        os.kill(self.pd.pids()["redis"], signal.SIGKILL)
        self.assertEqual(m.send(points(5, "three"), ["known@test.example"])["reply"][0], "d")
        wait_until(lambda: self.pd.ctl("policy", "set", "y@test.example", "tag=1", check=False).returncode == 0, 10)
        self.assertIn("quarantine=5", self.pd.ctl("policy", "get", "known@test.example").stdout.decode())

    def test_no_virus_database_never_means_clean(self):
        os.unlink(self.d("clamdb/test.hdb"))
        self.pd.close()
        self.pd.d.write("clamdb/readme", "no signatures\n")
        self.pd.start()
        out = self.milter().send(mail("unscanned"), ["u@test.example"])
        self.assertEqual(out["reply"][0], "y")
        self.assertTrue(out["reply"][1].startswith("451 4.7.1"))
        r = self.pd.ctl("doctor", check=False)
        self.assertEqual(r.returncode, 2)
        self.assertIn("no virus database is loaded", r.stdout.decode())
        from tests.lib.policyd import EICAR_MD5
        self.d.write("clamdb/test.hdb", EICAR_MD5)
        self.pd.ctl("reload")
        self.assertEqual(self.milter().send(mail("scanned"), ["u@test.example"])["reply"][0], "a")

    def test_where_only_root_may_enter(self):
        """A checkout below /root: workers are nobody, rules and virus database are found all the same."""
        d = Dir()
        self.addCleanup(d.close)
        os.chmod(d.path, 0o700)
        pd = Policyd(d)
        self.addCleanup(pd.close)
        m = Milter(("127.0.0.1", pd.milter_port))
        self.addCleanup(m.close)
        self.assertEqual(m.send(eicar(), ["a@test.example"])["reply"][0], "d")
        self.assertEqual(pd.quarantine()[0]["class"], "virus")
        self.assertEqual(m.send(points(5), ["a@test.example"])["reply"][0], "a")
        self.assertEqual(pd.ctl("reload").returncode, 0)
        self.assertEqual(m.send(eicar(), ["b@test.example"])["reply"][0], "d")

    def test_store_gone_defers(self):
        """What should be held is deferred when it cannot be stored; other mail flows; nothing is discarded."""
        m = self.milter()
        os.chmod(self.d("state/quarantine"), 0o700)
        pid = self.pd.pids()["store"]
        os.kill(pid, signal.SIGSTOP)
        try:
            self.assertEqual(m.send(mail("clean"), ["c@test.example"])["reply"][0], "a")
            out = m.send(points(8), ["h@test.example"])
            self.assertEqual(out["reply"][0], "y")
            self.assertTrue(out["reply"][1].startswith("451 4.3.1"))
        finally:
            os.kill(pid, signal.SIGCONT)

    def test_a_retry_adds_no_second_entry(self):
        m, data = self.milter(), points(8, "retry me")
        for _ in range(3):
            self.assertEqual(m.send(data, ["r1@test.example", "r2@test.example"])["reply"][0], "d")
        entries = self.pd.quarantine()
        self.assertEqual(sorted(e["recipient"] for e in entries), ["r1@test.example", "r2@test.example"])
        self.assertEqual(entries[0]["id"], entries[1]["id"])
        other = points(8, "retry me")                    # same words, another Message-ID: a mail of its own
        m.send(other, ["r1@test.example"])
        self.assertEqual(len(self.pd.quarantine(rcpt="r1@test.example")), 2)

    def test_rebuild(self):
        m = self.milter()
        for i in range(5):
            m.send(points(8, "s%d" % i), ["a@test.example", "b@test.example"])
        self.pd.ctl("quarantine", "delete", self.pd.quarantine()[0]["id"], "--rcpt", "a@test.example")
        before = sorted((e["id"], e["recipient"], e["state"]) for e in self.pd.quarantine())
        self.pd.ctl("quarantine", "rebuild")
        self.assertEqual(sorted((e["id"], e["recipient"], e["state"]) for e in self.pd.quarantine()), before)
        self.pd.close()
        for name in os.listdir(self.d("state/quarantine")):
            if name.startswith("index"):
                os.unlink(self.d("state/quarantine", name))
        self.pd.start()
        self.assertEqual(sorted((e["id"], e["recipient"], e["state"]) for e in self.pd.quarantine()), before)

    def in_order(self):
        return self.pd.model()["in_order"]

    def test_learning(self):
        for i in range(60):
            self.d.write("spam/%d.eml" % i, mail("buy %d" % i, body="cheap viagra casino bonus offer number %d click now\r\n" % i))
            self.d.write("ham/%d.eml" % i, mail("minutes %d" % i, body="the minutes of meeting %d about the carrier and delivery\r\n" % i))
        self.assertIn("60 learnt", self.pd.ctl("learn", "spam", self.d("spam")).stdout.decode())
        self.assertIn("60 learnt", self.pd.ctl("learn", "ham", self.d("ham")).stdout.decode())
        self.assertIn("60 known already", self.pd.ctl("learn", "ham", self.d("ham")).stdout.decode())
        wait_until(self.in_order)
        self.d.write("new.eml", mail("offer", body="casino bonus offer: cheap viagra, click now\r\n"))
        r = self.pd.json("scan", self.d("new.eml"))["recipients"][0]
        self.assertTrue(r["model_known"])
        self.assertGreater(r["probability"], 0.9)
        self.pd.close()
        self.pd.start()                                  # what was learnt outlives a restart
        r = self.pd.json("scan", self.d("new.eml"))["recipients"][0]
        self.assertGreater(r["probability"], 0.9)
        self.assertIn("60 unlearnt", self.pd.ctl("unlearn", self.d("spam")).stdout.decode())
        wait_until(self.in_order)
        self.assertFalse(self.pd.json("scan", self.d("new.eml"))["recipients"][0]["model_known"])


if __name__ == "__main__":
    unittest.main()
