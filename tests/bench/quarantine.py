#!/usr/bin/env python3
"""make bench-quarantine: the store with 2.5 million entries. ENTRIES, SECONDS, RATE and BYTES change the size of it. DIR is its
place (a disk with 20 GB free); what is loaded there stays, and ONLY=load ends after that."""
import datetime
import json
import os
import platform
import random
import subprocess
import sys
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, TOP)
os.environ.setdefault("POLICYD_BUILD", os.path.join(TOP, "build"))
from tests.lib.policyd import Policyd          # noqa: E402
from tests.lib.procs import BUILD, Dir         # noqa: E402
from tests.lib.store import Store              # noqa: E402

ENTRIES = int(os.environ.get("ENTRIES", "2500000"))
SECONDS = int(os.environ.get("SECONDS", "300"))
RATE = float(os.environ.get("RATE", "500"))
BYTES = int(os.environ.get("BYTES", "75000"))
TOOL = os.path.join(BUILD, "bench", "quarantine")
DAYS = 15


def tool(*args):
    return json.loads(subprocess.run([TOOL] + [str(a) for a in args], stdout=subprocess.PIPE, check=True).stdout)


def fsync_ms(path):
    took = []
    with open(os.path.join(path, "fsync"), "wb", buffering=0) as f:
        for _ in range(200):
            f.write(b"x" * 4096)
            start = time.perf_counter()
            os.fdatasync(f.fileno())
            took.append(time.perf_counter() - start)
    os.unlink(f.name)
    return sorted(took)[100] * 1000, sorted(took)[197] * 1000


class Pages:
    """Pages as people ask for them; the time of each, question to answer."""

    def __init__(self, path):
        self.store = Store(path)
        self.dice = random.Random(3)
        self.took = {}

    def page(self, kind, **ask):
        start = time.perf_counter()
        page = self.store.ask("list", **ask)
        self.took.setdefault(kind, []).append((time.perf_counter() - start) * 1000)
        assert "error" not in page, page
        return page

    def round(self):
        box = self.dice.randrange(20000)
        rcpt, customer = "user%05d@c%03d.example" % (box, box % 500), "customer%03d" % (box % 500)
        page, pages = self.page("mailbox, first page", rcpt=rcpt), 1
        while page["more"] and pages < 50:
            page, pages = self.page("mailbox, further pages", rcpt=rcpt, cursor=page["cursor"]), pages + 1
        self.page("mailbox, closest first", rcpt=rcpt, sort="closest")
        self.page("mailbox, search", rcpt=rcpt, search="parcel %x" % self.dice.randrange(16))
        self.page("customer, first page", scope={"customer": customer})
        self.page("customer, by class", scope={"customer": customer}, **{"class": "phish"})
        self.page("customer, search", scope={"customer": customer}, search="parcel %03x" % self.dice.randrange(4096))
        day = int(time.time()) - 86400 * self.dice.randrange(13)
        self.page("largest mailbox, some day", rcpt="user00000@c000.example", until=day)
        self.page("largest mailbox, search", rcpt="user00000@c000.example", search="%04x" % self.dice.randrange(65536))
        self.page("largest mailbox, closest first", rcpt="user00000@c000.example", sort="closest", until=day)
        self.page("everything, some day", until=day)
        self.page("everything, requested", state="requested")

    def report(self, title):
        print("\n%s\n  %-34s %6s %8s %8s %8s" % (title, "page of 50, ms", "pages", "median", "p99", "longest"))
        for kind, took in self.took.items():
            took.sort()
            print("  %-34s %6d %8.1f %8.1f %8.1f" % (kind, len(took), took[len(took) // 2], took[len(took) * 99 // 100], took[-1]))
        self.took = {}


def main():
    base = os.environ.get("DIR")
    d = Dir()
    if base:
        d.close()
        d.path = base
        os.makedirs(base, exist_ok=True)
        os.chmod(base, 0o755)
    state = d("state")
    try:
        cpu = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
        print("make bench-quarantine, %s; %s, %d cores, Linux %s" % (datetime.date.today(), cpu[0] if cpu else platform.machine(), os.cpu_count(), platform.release()))
        print("fdatasync of 4 KB here: median %.2f ms, p99 %.2f ms" % fsync_ms(d.path))
        if not os.path.exists(d("loaded.json")):
            with open(d("loading.json"), "w") as f:
                json.dump(tool("load", state, ENTRIES, DAYS), f)
            os.rename(d("loading.json"), d("loaded.json"))
        with open(d("loaded.json")) as f:
            loaded = json.load(f)
        if os.environ.get("ONLY") == "load":
            return
        size = {k: sum(os.path.getsize(os.path.join(state, "quarantine", n)) for n in os.listdir(os.path.join(state, "quarantine")) if k in n)
                for k in (".seg", "sqlite")}
        print("\nloaded %d entries of 1-2 KB in %.0f s (%.0f/s, no sync between); segments %.2f GB, index %.2f GB" % (
            loaded["entries"], loaded["seconds"], loaded["entries"] / loaded["seconds"], size[".seg"] / 1e9, size["sqlite"] / 1e9))
        expired = tool("expire", state)
        print("expiry of a day: files gone in %.0f ms; its %d rows in %.0f s beside other work, never more than %.0f ms at a time" % (
            expired["files_ms"], expired["rows"], expired["rows_seconds"], expired["longest_round_ms"]))
        start = time.monotonic()
        pd = Policyd(d)
        print("start with %d entries: %.1f s" % (ENTRIES, time.monotonic() - start))
        try:
            pages = Pages(d("state/run/store.sock"))
            for _ in range(100):
                pages.round()
            pages.report("Pages, nothing else going on")
            results = {}
            t = threading.Thread(target=lambda: results.update(tool("insert", d("state/run/store.sock"), SECONDS, RATE, BYTES)))
            t.start()
            while t.is_alive():
                pages.round()
                time.sleep(1)
            t.join()
            print("\ninserts, %d s, %.0f a second wanted, mails of %d KB, fsynced before each answer: %.0f a second (%.1f MB/s), %d failed; answer "
                  "p50 %.1f ms, p99 %.1f ms, longest %.1f ms" % (SECONDS, RATE, BYTES // 1000, results["per_second"], results["mb_per_second"],
                  results["failed"], results["p50_ms"], results["p99_ms"], results["longest_ms"]))
            pages.report("Pages during these inserts")
            fast = tool("insert", d("state/run/store.sock"), 20, 0, BYTES)
            print("\ninserts as fast as they go, 20 s: %.0f a second (%.1f MB/s)" % (fast["per_second"], fast["mb_per_second"]))
            stats = time.perf_counter()
            pages.store.ask("stats", by=["day"])
            print("statistics by day: %.1f ms" % ((time.perf_counter() - stats) * 1000))
        finally:
            pd.close()
    finally:
        if not base:
            d.close()


if __name__ == "__main__":
    main()
