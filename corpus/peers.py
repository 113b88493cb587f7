#!/usr/bin/env python3
"""bogofilter, CRM114 (OSBF) and rspamd's Bayes, from Debian's packages, on the same mails in the same order as policyctl eval:
each mail is classified, then learnt with its true label.

  corpus/peers.py SCORES     SCORES is what `policyctl eval --save` wrote; prints a line each like eval's, and CPU a mail

rspamd learns and answers by its controller, over a Redis of its own; its Bayes alone is asked, from the first lesson on (by
default it keeps silent until 200 of each class). It tells its probability with two decimals: ties count half."""
import math
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, TOP)

from tests.bench import peers  # noqa: E402
from tests.lib.procs import Dir, free_port  # noqa: E402

PEERS = os.path.join(TOP, "build", "peers")
LIBS = os.path.join(PEERS, "usr/lib/x86_64-linux-gnu") + ":" + os.path.join(PEERS, "usr/lib/aarch64-linux-gnu")


def program(*names):
    for name in names:
        for path in (shutil.which(name), os.path.join(PEERS, "usr/bin", name)):
            if path and os.access(path, os.X_OK):
                return path
    return None


def run(args, mail, d):
    env = dict(os.environ, LD_LIBRARY_PATH=LIBS)
    with open(mail, "rb") as f:
        return subprocess.run(args, stdin=f, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=d, env=env).stdout.decode("latin-1")


class Bogofilter:
    name = "bogofilter"

    def __init__(self, d):
        self.d, self.p = d, program("bogofilter-bdb", "bogofilter")

    def score(self, mail):
        words = run([self.p, "-C", "-d", self.d, "-T"], mail, self.d).split()
        p = float(words[1]) if len(words) > 1 else 0.5
        return p - 0.5

    def learn(self, mail, spam):
        run([self.p, "-C", "-d", self.d, "-s" if spam else "-n"], mail, self.d)


class Crm114:
    name = "CRM114 OSBF"

    def __init__(self, d):
        self.d, self.p = d, program("crm")
        for name in ("ham.css", "spam.css"):
            self.learn(os.devnull, name == "spam.css")

    def score(self, mail):
        out = run([self.p, "-{ isolate (:s:); { classify <osbf unique microgroom> ( ham.css | spam.css ) (:s:) } output /:*:s:/ }"], mail, self.d)
        found = re.search(r"pR:\s*(-?[0-9.]+)", out)
        return -float(found.group(1)) if found else 0.0

    def learn(self, mail, spam):
        run([self.p, "-{ learn <osbf unique microgroom> ( %s.css ) }" % ("spam" if spam else "ham")], mail, self.d)


class Rspamd:
    name = "rspamd Bayes"

    def __init__(self, d):
        self.p = peers.program("rspamd")
        if self.p:
            self.d = Dir()
            self.server = peers.Rspamd(self.d, free_port(), least=1)

    def score(self, mail):
        return self.server.bayes(mail)

    def learn(self, mail, spam):
        self.server.learn("spam" if spam else "ham", [mail])

    def cpu(self):
        """Of its processes, and Redis: seconds."""
        ticks = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open("/proc/%s/stat" % pid) as f:
                    words = f.read().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue
            if int(pid) in self.server.pids.values() or int(words[1]) == self.server.pids["rspamd"]:
                ticks += int(words[11]) + int(words[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def close(self):
        self.server.close()
        self.d.close()


def figures(judged):
    ham, spam = [z for z, s in judged if not s], [z for z, s in judged if s]
    wrong, below, i = 0.0, 0, 0
    order = sorted(judged)
    while i < len(order):
        k, n = i, [0, 0]
        while k < len(order) and order[k][0] == order[i][0]:
            n[order[k][1]] += 1
            k += 1
        wrong += n[0] * (below + n[1] / 2)
        below += n[1]
        i = k
    hm, sm = sum(z > 0 for z in ham), sum(z <= 0 for z in spam)
    rate = [(hm + 0.5) / (len(ham) + 1), (sm + 0.5) / (len(spam) + 1)]
    lam = 1 / (1 + math.exp(-sum(math.log(r / (1 - r)) for r in rate) / 2))
    limit = sorted(ham, reverse=True)[int(len(ham) * 0.001)]
    return 100 * wrong / (len(ham) * len(spam)), 100 * lam, 100 * sum(z <= limit for z in spam) / len(spam), hm, sm


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1]) as f:
        mails = [(parts[1] == "spam", parts[4]) for parts in (line.rstrip("\n").split(" ", 4) for line in f)]
    print("%-22s %9s %7s %8s %5s %5s" % ("", "1-ROCA%", "LAM%", "miss.1%", "hm", "sm"))
    for peer in (Bogofilter, Crm114, Rspamd):
        with tempfile.TemporaryDirectory() as d:
            p = peer(d)
            if p.p is None:
                print("%-22s not here (make deps-bench)" % peer.name)
                continue
            judged, before = [], resource.getrusage(resource.RUSAGE_CHILDREN)
            for n, (spam, path) in enumerate(mails):
                judged.append((p.score(path), int(spam)))
                p.learn(path, spam)
                if sys.stderr.isatty() and n % 50 == 0:
                    sys.stderr.write("\r%s: %d of %d" % (peer.name, n, len(mails)))
            if sys.stderr.isatty():
                sys.stderr.write("\r%60s\r" % "")
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu = (p.cpu() if hasattr(p, "cpu") else after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / len(mails)
            print("%-22s %9.4f %7.3f %8.2f %5d %5d   %.1f ms CPU a mail" % ((peer.name,) + figures(judged) + (cpu * 1000,)), flush=True)
            if hasattr(p, "close"):
                p.close()


if __name__ == "__main__":
    main()
