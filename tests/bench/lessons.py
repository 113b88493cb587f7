"""How many lessons a second go through the whole path: policyctl, broker, workers, trainer, Redis (appendfsync everysec), and what
they cost in Redis; then that a node which starts anew has the same model. Run by make bench-lessons, with the corpus' index."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.lib.procs import Dir, wait_until  # noqa: E402
from tests.system.test_model import Node, Redis  # noqa: E402


def cpu_of(pid):
    """Seconds of a process and of all below it; of those that have ended too."""
    with open("/proc/%d/stat" % pid) as f:
        spent = sum(int(x) for x in f.read().rsplit(")", 1)[1].split()[11:15]) / os.sysconf("SC_CLK_TCK")
    with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
        return spent + sum(cpu_of(int(child)) for child in f.read().split())


def main():
    with open(sys.argv[1]) as f:
        lines = [line.rstrip("\n").split(" ", 1) for line in f]
    d = Dir()
    redis = Redis(d, "--appendonly", "yes", "--appendfsync", "everysec")
    n = Node(d, redis, "a")
    try:
        for kind in ("ham", "spam"):
            paths = [p for k, p in lines if k == kind]
            start, cpu = time.monotonic(), cpu_of(n.p.p.pid) + cpu_of(redis.p.p.pid)
            r = n.json("learn", kind, *paths)
            seconds, cpu = time.monotonic() - start, cpu_of(n.p.p.pid) + cpu_of(redis.p.p.pid) - cpu
            print("%-4s %5d mails, %5d learnt, %d known: %.1f s, %.0f lessons a second, %.0f us of CPU each" % (
                kind, len(paths), r["learnt"], r["known"], seconds, len(paths) / seconds, cpu * 1e6 / len(paths)), flush=True)
        start = time.monotonic()
        wait_until(lambda: n.model()["in_order"], 120)
        used = int(next(line.split(":")[1] for line in redis.say("INFO", "memory").split() if line.startswith("used_memory:")))
        print("made anew in the order of the mails: %.1f s after the last lesson; Redis holds %.0f MB" % (time.monotonic() - start, used / 1e6))
        b = Node(d, redis, "b")
        start = time.monotonic()
        wait_until(lambda: b.model()["caught_up"], 120)
        print("a second node: %s" % ("the same model, bit by bit" if b.table() == n.table() else "ANOTHER MODEL"))
        b.close()
    finally:
        n.close()
        redis.close()
        d.close()


if __name__ == "__main__":
    main()
