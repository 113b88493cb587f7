"""The store killed at every point where it changes the disk: while mail comes in, is released and deleted, expires, while the index
is made anew or has gone, and policyctl while it writes a backup. What was said to be done is done; nothing is lost, nothing is there
twice; the index says what the segments say. STORE_KILLS=n: n points of each (make soak: all there are)."""
import mmap
import os
import random
import signal
import sqlite3
import struct
import subprocess
import time
import unittest

from tests.lib.mail import points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import BUILD, TOP, Dir, wait_until
from tests.lib.sink import Sink
from tests.lib.store import Store

KILLS = int(os.environ.get("STORE_KILLS", "4"))
DAY = 86400


def some_points(dice, most):
    """KILLS of the points 1..most: the first ones always, for there is most to lose."""
    return list(range(1, most + 1)) if KILLS >= most else sorted({1, 2, *dice.sample(range(1, most + 1), KILLS)})[:max(KILLS, 2)]


class Killed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d, cls.sink, cls.dice = Dir(), Sink(), random.Random(5)
        cls.addClassCleanup(cls.d.close)
        cls.addClassCleanup(cls.sink.close)
        library = cls.d("crash.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, os.path.join(TOP, "tests/system/preload/crash.c"), "-ldl"], check=True)
        cls.d.write("crash-page", bytes(4096), 0o666)
        with open(cls.d("crash-page"), "r+b") as f:
            cls.page = mmap.mmap(f.fileno(), 4096)
        cls.faults = {"LD_PRELOAD": library, "CRASH_PAGE": cls.d("crash-page")}
        os.environ.update(cls.faults)
        try:
            cls.pd = Policyd(cls.d, reinject=cls.sink.port, policy=False)
        finally:
            for name in cls.faults:
                del os.environ[name]
        cls.addClassCleanup(cls.pd.close)
        cls.pd.set("domain:acme.example", customer="acme", quarantine="6", discard="off", tag="4", retention_days="1")
        cls.pd.set("domain:long.example", customer="long", quarantine="6", discard="off", tag="4", retention_days="365")
        cls.sent, cls.ahead, cls.kills = 0, 0, 0

    def setUp(self):
        self.kills_before = self.kills
        self.milter = Milter(("127.0.0.1", self.pd.milter_port))
        self.addCleanup(self.milter.close)

    AT, BACKUP, STRUCK, AHEAD = 0, 8, 16, 24                                 # preload/crash.c

    def put(self, where, value):
        struct.pack_into("=q", self.page, where, value)

    def crash_at(self, n, where=AT):
        self.put(self.STRUCK, 0)
        self.put(where, n)

    def struck(self):
        return struct.unpack_from("=q", self.page, self.STRUCK)[0] == 1

    def crashed(self):
        """Has it? If not, it will not any more."""
        self.put(self.AT, 0)
        self.put(self.BACKUP, 0)
        type(self).kills += self.struck()
        return self.struck()

    def ask(self, cmd, **fields):
        """An answer, whatever it takes: the store may be starting again."""
        def once():
            store = None
            try:
                store = Store(self.d("state/run/store.sock"))
                return store.ask(cmd, **fields)
            except (OSError, ConnectionError, ValueError):
                return None
            finally:
                if store:
                    store.close()
        return wait_until(once, 60)

    def try_to(self, cmd, **fields):
        store = Store(self.d("state/run/store.sock"))
        try:
            return store.ask(cmd, **fields)
        except (OSError, ConnectionError):
            return None
        finally:
            store.close()

    def back(self):
        wait_until(self.pd.ready, 60)

    def new_mail(self):
        type(self).sent += 1
        body = "A body that several share. " * 60 + "\r\n" if self.sent % 2 else "word %d\r\n" % self.sent
        return points(8, "kill %d" % self.sent, body=body)

    def hold(self, rcpt, data=None):
        data = data or self.new_mail()
        self.assertEqual(self.milter.send(data, [rcpt])["reply"][0], "d")
        return data

    def entries(self, rcpt):
        return self.ask("list", rcpt=rcpt, limit=1000)["entries"]

    def raw(self, ident):
        store = Store(self.d("state/run/store.sock"))
        try:
            return store.ask("show", raw=True, id=ident)[1]
        finally:
            store.close()

    def everything(self):
        return sorted((e["id"], e["n"], e["recipient"], e["state"], e["digest"]) for e in self.ask("list", limit=1000)["entries"])

    def tearDown(self):
        print("%d kills" % (self.kills - self.kills_before), end=" ")
        if "disk_is_full" not in self.id():
            self.assertGreater(self.kills, self.kills_before)

    def agree(self):
        """What the index says is what the segments say; returns it."""
        before, stats = self.everything(), self.ask("stats")
        after = self.ask("rebuild")
        self.assertEqual(self.everything(), before)
        self.assertEqual((after["states"], after["mails"], after["damaged"]), (stats["states"], stats["mails"], stats["damaged"]))
        return before

    # ---- one operation after the other ----

    def test_insert(self):
        """An id that was given is there, with its exact bytes; a sender who was told to come again is held once."""
        for n in some_points(self.dice, 12):
            rcpt, data = "in%d@long.example" % n, self.new_mail()
            self.hold("before-" + rcpt)
            self.crash_at(n)
            first = self.milter.send(data, [rcpt])["reply"][0]
            struck = self.crashed()
            self.assertIn(first, "dty" if struck else "d", n)
            self.back()
            if first != "d":
                self.assertEqual(self.milter.send(data, [rcpt])["reply"][0], "d")
            found = self.entries(rcpt)
            self.assertEqual([e["state"] for e in found], ["new"], "point %d, first answer %s" % (n, first))
            self.assertEqual(self.raw(found[0]["id"]), data)
            self.assertEqual(len(self.entries("before-" + rcpt)), 1)
        self.agree()

    def test_delete_and_release(self):
        """What was answered holds; a release that was begun goes out, with one more copy at most."""
        for n in some_points(self.dice, 12):
            rcpt, copies = "out%d@long.example" % n, 0
            data = self.hold(rcpt)
            entry = self.entries(rcpt)[0]
            self.crash_at(n)
            answer = self.try_to("change", op="release", ids=[entry["id"]])
            struck = self.crashed()
            self.back()
            if answer is None and self.entries(rcpt)[0]["state"] == "new":
                self.ask("change", op="release", ids=[entry["id"]])
            wait_until(lambda: self.entries(rcpt)[0]["state"] == "released", 60)
            copies = [m[2] for m in self.sink.to(rcpt)]
            self.assertIn(len(copies), (1, 2) if struck else (1,), n)
            self.assertEqual(set(copies), {data})

            rcpt = "del%d@long.example" % n
            self.hold(rcpt)
            entry = self.entries(rcpt)[0]
            self.crash_at(n)
            answer = self.try_to("change", op="delete", ids=[entry["id"]])
            self.crashed()
            self.back()
            state = self.entries(rcpt)[0]["state"]
            self.assertIn(state, ("deleted",) if answer else ("new", "deleted"))
        self.agree()

    def test_expiry(self):
        """Days pass: what is over goes, files and rows; nothing else does, however often it is killed at that."""
        kept = {"stays%d@long.example" % i: self.hold("stays%d@long.example" % i) for i in range(3)}
        for n in some_points(self.dice, 25):
            for i in range(4):
                self.hold("goes@acme.example")
            type(self).ahead += 3 * DAY
            self.crash_at(n)
            self.put(self.AHEAD, self.ahead)
            wait_until(lambda: self.struck() or not self.short_files(), 60)
            self.crashed()
            self.back()
            wait_until(lambda: not self.short_files() and not self.entries("goes@acme.example"), 60)
        for rcpt, data in kept.items():
            self.assertEqual(self.raw(self.entries(rcpt)[0]["id"]), data)
        self.agree()

    def short_files(self):
        """Segments of one day's retention that are over."""
        oldest = time.strftime("%Y%m%d", time.gmtime(time.time() + self.ahead - 2 * DAY + 1))
        return [f for f in os.listdir(self.d("state/quarantine")) if "-0001-" in f and f[:8] <= oldest]

    def test_index(self):
        """Rebuilt while it is killed; deleted; cut; overwritten: it comes back as it was."""
        for i in range(6):
            self.hold("index%d@long.example" % i)
        self.ask("change", op="delete", ids=[self.entries("index0@long.example")[0]["id"]])
        before = self.everything()
        for n in some_points(self.dice, 20):
            self.crash_at(n)
            self.try_to("rebuild")
            self.crashed()
            self.back()
            self.assertEqual(self.everything(), before, n)
        path = self.d("state/quarantine/index.sqlite")
        for what in ("deleted", "cut", "overwritten", "no database"):
            pid = self.pd.pids()["store"]
            os.kill(pid, signal.SIGSTOP)
            size = os.path.getsize(path)
            for end in ("-wal", "-shm"):
                if os.path.exists(path + end):
                    os.unlink(path + end)
            if what == "deleted":
                os.unlink(path)
            elif what == "cut":
                os.truncate(path, size // 2 + 100)
            else:
                with open(path, "r+b") as f:
                    f.seek(0 if what == "no database" else 4096 * 3)
                    f.write(os.urandom(4096 * (1 if what == "no database" else 8)))
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: self.everything() == before, 60)
        self.assertIn("made anew", self.pd.log())
        self.agree()

    def test_backup(self):
        """policyctl backup: a whole file under its name, or none; never a half one."""
        self.hold("keys@acme.example")
        for n in range(1, 20):
            path = self.d("backup-%d.json" % n)
            self.crash_at(n, self.BACKUP)
            r = subprocess.run([os.path.join(BUILD, "policyctl"), "-c", self.pd.conf, "backup", path], env=dict(os.environ, ASAN_OPTIONS="verify_asan_link_order=0:detect_leaks=0", **self.faults),
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            struck = self.crashed()
            if os.path.exists(path):
                self.assertIn(b"0 of them were not here", self.pd.ctl("restore", path).stdout)
            self.assertEqual(r.returncode, -signal.SIGKILL if struck else 0, r.stderr)
            if not struck:
                self.assertTrue(os.path.exists(path))
                self.assertGreater(n, 4)
                break
        self.pd.ctl("backup", self.d("backup-after.json"))
        self.assertEqual([e["action"] for e in self.pd.json("audit", "list")["entries"][:1]], ["keys.backup"])
        self.pd.ctl("audit", "verify")

    def test_index_disk_is_full(self):
        """The segments can be written and the index cannot: what was said to be held is in the list as soon as it can."""
        path = self.d("state/quarantine/index.sqlite")
        self.hold("full0@long.example")
        lock = sqlite3.connect(path, timeout=0, isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")      # as good as a disk that takes nothing: every write of the store's fails
        try:
            for i in range(1, 4):
                self.hold("full%d@long.example" % i)
            self.assertEqual(self.entries("full1@long.example"), [])
            wait_until(lambda: "the index could not be written" in self.pd.log())
        finally:
            lock.execute("ROLLBACK")
            lock.close()
        for i in range(4):
            wait_until(lambda: len(self.entries("full%d@long.example" % i)) == 1)
        self.assertIn("the index has caught up", self.pd.log())
        self.agree()


if __name__ == "__main__":
    unittest.main()
