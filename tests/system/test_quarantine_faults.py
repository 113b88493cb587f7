"""The quarantine when the disk is short, lies or fails, and when processes are killed: nothing lost, nothing doubled beyond
what a kill explains, nothing said to be there that is not."""
import collections
import os
import random
import signal
import subprocess
import threading
import time
import unittest

from tests.lib.mail import eicar, mail, points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import TOP, Dir, wait_until
from tests.lib.sink import Sink
from tests.lib.store import Store

RELEASES = int(os.environ.get("QUARANTINE_RELEASES", "200"))
DICE = random.Random(int(os.environ.get("QUARANTINE_SEED", "7")))


class Case(unittest.TestCase):
    settings = ""

    def setUp(self):
        self.d = Dir()
        self.addCleanup(self.d.close)
        self.sink = Sink()
        self.addCleanup(self.sink.close)

    def start(self, **more):
        self.pd = Policyd(self.d, reinject=self.sink.port, settings=self.settings, **more)
        self.addCleanup(self.pd.close)
        self.pd.set("domain:acme.example", customer="acme", quarantine="6", discard="off", tag="4")
        self.milter = Milter(("127.0.0.1", self.pd.milter_port))
        self.addCleanup(self.milter.close)

    def store(self):
        store = Store(self.d("state/run/store.sock"))
        self.addCleanup(store.close)
        return store

    def send(self, rcpts, data=None):
        return self.milter.send(data or points(8), rcpts)["reply"][0]


class Disk(Case):
    """One disk fault after another, by a library between the store and libc."""

    def setUp(self):
        super().setUp()
        library = self.d("disk.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, os.path.join(TOP, "tests/system/preload/disk.c"), "-ldl"], check=True)
        self.fault = self.d("fault")
        os.environ.update(LD_PRELOAD=library, DISK_FAULT=self.fault)
        try:
            self.start()
        finally:
            del os.environ["LD_PRELOAD"], os.environ["DISK_FAULT"]

    def broken(self, what):
        with open(self.fault, "w") as f:
            f.write(what)

    def whole(self):
        if os.path.exists(self.fault):
            os.unlink(self.fault)

    def test_every_write(self):
        """Deferred while it fails, other mail flows, and the index says nothing that the segments do not hold."""
        store, n = self.store(), 0
        for fault in ("pwrite ENOSPC", "pwrite EIO", "pwrite EROFS", "pwrite-short ENOSPC", "fdatasync EIO", "fdatasync ENOSPC"):
            for once in ("", " once"):
                rcpt = "f%d@acme.example" % n
                n += 1
                self.assertEqual(self.send(["before-" + rcpt]), "d")
                data = points(8, fault)
                self.broken(fault + once)
                self.assertIn(self.send([rcpt], data), "ty", fault)
                self.assertEqual(self.send([rcpt], mail("innocent")), "a")
                self.assertEqual(store.ask("list", rcpt=rcpt)["entries"], [], fault)
                entry = store.ask("list", rcpt="before-" + rcpt)["entries"][0]
                if not once:
                    result = store.ask("change", op="delete", ids=[entry["id"]])["results"][0]
                    self.assertEqual((result["state"], result["done"], result["reply"]), ("new", False, "the quarantine cannot be written"))
                self.whole()
                self.assertEqual(self.send([rcpt], data), "d", fault)
                self.assertEqual(len(store.ask("list", rcpt=rcpt)["entries"]), 1)
                self.assertTrue(store.ask("change", op="delete", ids=[entry["id"]])["results"][0]["done"])
        before = sorted((e["id"], e["state"]) for e in store.ask("list", limit=1000)["entries"])
        store.ask("rebuild")
        after = store.ask("list", limit=1000)["entries"]
        self.assertEqual(sorted((e["id"], e["state"]) for e in after), before)
        self.assertEqual(store.ask("stats")["damaged"], 0)
        for e in after:
            self.assertFalse(store.ask("show", id=e["id"])["damaged"])


class Room(Case):
    """A disk of 20 MB: what is worth least is deferred first, then all; nothing is dropped."""

    def setUp(self):
        super().setUp()
        os.makedirs(self.d("state/quarantine"), mode=0o700)
        os.chmod(self.d("state"), 0o711)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m,mode=0700", "tmpfs", self.d("state/quarantine")]).returncode:
            self.skipTest("a tmpfs cannot be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", self.d("state/quarantine")])
        self.start()

    def test_room(self):
        far = ["far%d@acme.example" % i for i in range(2)]
        held, deferred_far, deferred = 0, 0, 0
        for i in range(90):
            data = points(8, "filling %d" % i, body=os.urandom(500000).hex() + "\r\n")
            reply = self.send(["near@acme.example"], data)
            held += reply == "d"
            if reply != "d":
                self.assertIn(reply, "ty")
                deferred += 1
                if deferred == 3:
                    break
            elif self.send(far, points(20, "far beyond")) != "d":
                deferred_far += 1
        self.assertGreater(deferred_far, 1, "what is worth least went first")
        self.assertEqual(deferred, 3)
        self.assertIn(self.send(["virus@acme.example"], eicar()), "ty")
        self.assertEqual(self.send(["near@acme.example"], mail("innocent")), "a")
        store = self.store()
        self.assertEqual(len(store.ask("list", rcpt="near@acme.example", limit=1000)["entries"]), held)
        self.assertTrue(store.ask("stats")["low"])
        self.assertIn("mail for it is deferred", self.pd.log())


class Quotas(Case):
    settings = "quarantine = { customer_entries = 30; campaign_entries = 10; customer_bytes = 400000; };"

    def test_quotas(self):
        """A campaign pushes out its own oldest, a customer his; over his octets he waits, and nobody else."""
        self.start()
        self.pd.set("domain:zeta.example", customer="zeta", quarantine="6", discard="off", tag="4")
        store = self.store()
        body = "The same for everyone. " * 100 + "\r\n"
        for i in range(5):
            self.assertEqual(self.send(["own@acme.example"], points(8, "own %d" % i)), "d")
        for i in range(25):
            self.assertEqual(self.send(["c@acme.example"], points(8, "campaign %d" % i, body=body)), "d")
        entries = store.ask("list", rcpt="c@acme.example", limit=100)["entries"]
        live = [e["subject"] for e in entries if e["state"] == "new"]
        self.assertEqual(len(entries), 25)
        self.assertEqual(sorted(live), sorted("campaign %d" % i for i in range(25 - len(live), 25)))
        self.assertTrue(9 <= len(live) <= 10, live)
        self.assertEqual({e["note"] for e in entries if e["state"] == "expired"}, {"over the quota of one campaign"})
        self.assertEqual({e["state"] for e in store.ask("list", rcpt="own@acme.example")["entries"]}, {"new"})
        for i in range(40):
            self.assertEqual(self.send(["many@acme.example"], points(8, "single %d" % i)), "d")
        stats = store.ask("stats", customer="acme")["states"]
        self.assertTrue(25 <= stats["new"] <= 30, stats)
        replies = [self.send(["large@acme.example"], points(8, "large %d" % i, body=os.urandom(60000).hex() + "\r\n")) for i in range(10)]
        self.assertEqual(replies[0], "d")
        self.assertIn(replies[-1], "ty")
        self.assertEqual(self.send(["z@zeta.example"]), "d")


class Kills(Case):
    def test_kills(self):
        """Releases while deliver and store are killed: all get there, with at most one second copy a kill; the count is exact
        after a rebuild."""
        self.start(keep=True)
        rcpts = ["k%d@acme.example" % i for i in range(RELEASES)]
        for i in range(0, RELEASES, 10):
            self.assertEqual(self.send(rcpts[i:i + 10], points(8, "release %d" % i)), "d")
        self.sink.data_reply = lambda: (time.sleep(0.01), "250 2.0.0 Ok: queued as SINK%06d" % self.sink.count)[1]
        kills, stop = [], threading.Event()

        def killer():
            while not stop.wait(0.25):
                name = DICE.choice(["deliver", "store", "deliver"])
                try:
                    os.kill(self.pd.pids()[name], signal.SIGKILL)
                    kills.append(name)
                except (AssertionError, ProcessLookupError, KeyError):
                    pass
        t = threading.Thread(target=killer)
        t.start()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                store = Store(self.d("state/run/store.sock"))
                waiting = store.ask("list", state=["new", "seen"], limit=40)["entries"]
                if waiting:
                    store.ask("change", op="release", ids=[{"id": e["id"], "n": e["n"]} for e in waiting])
                elif len(kills) >= 6:
                    break
                store.close()
            except (OSError, ValueError, AssertionError, KeyError):      # killed while we asked
                time.sleep(0.05)
        stop.set()
        t.join()
        wait_until(self.pd.ready, 30)
        store = self.store()
        wait_until(lambda: store.ask("stats")["states"]["released"] == RELEASES, 60)
        copies = collections.Counter(r for _, to, _ in self.sink.mails for r in to)
        self.assertEqual(set(copies), set(rcpts))
        doubles = sum(copies.values()) - RELEASES
        self.assertLessEqual(doubles, len(kills), copies)
        print("%d releases, %d kills, %d second copies" % (RELEASES, len(kills), doubles), end=" ")
        before = store.ask("stats")
        store.ask("rebuild")
        after = store.ask("stats")
        self.assertEqual((after["states"], after["mails"]), (before["states"], before["mails"]))


if __name__ == "__main__":
    unittest.main()
