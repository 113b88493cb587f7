#!/usr/bin/env python3
"""make bench: policyd beside its peers, in turns in one run: same messages, same DNS zone, Bayes trained on the same half.

  plain        no virus scan: policyd, rspamd
  virus        2.6 million signatures, no cache of clean digests anywhere: policyd, rspamd with clamd, clamav-milter, libclamav alone
  virus-cache  the same with every cache on (the load repeats its messages, so this flatters whoever has one)
  policy       the policy-delegation port

Every figure is the median of ROUNDS; CPU is user and system time of all processes of the system under test, from /proc.
The table goes to standard output, everything to build/bench/results.json. BENCH=plain,policy runs some cases only."""
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(os.path.dirname(HERE)))
os.environ["POLICYD_BUILD"] = os.path.join(os.path.dirname(os.path.dirname(HERE)), "build")

from tests.bench import makedb, peers  # noqa: E402
from tests.lib import corpus  # noqa: E402
from tests.lib.policyd import Policyd  # noqa: E402
from tests.lib.procs import BUILD, TOP, Dir, rbldnsd  # noqa: E402

OUT = os.path.join(TOP, "build", "bench")
CONNECTIONS = [int(n) for n in os.environ.get("BENCH_CONNECTIONS", "1,8,32,128").split(",")]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
CASES = os.environ.get("BENCH", "plain,virus,virus-cache,policy").split(",")
LOAD, LOAD_VIRUS, SEED = 1000, 300, 20260101


def halves():
    """Each class cut in half by a fixed seed: one to learn from, one to send."""
    rng, learn, send = random.Random(SEED), {"ham": [], "spam": []}, []
    index = corpus.index()
    items = [line.split(" ", 1) for line in open(index).read().splitlines()]
    for label in ("ham", "spam"):
        paths = [os.path.join(os.path.dirname(index), p) for l, p in items if l == label]
        rng.shuffle(paths)
        learn[label] = paths[:len(paths) // 2]
        send += [(label, p) for p in paths[len(paths) // 2:]]
    rng.shuffle(send)
    path = os.path.join(OUT, "load.index")
    with open(path, "w") as f:
        f.writelines("%s %s\n" % item for item in send)
    return learn, path


class OurPolicyd:
    name = "policyd"

    def __init__(self, d, dns, learn, clamav):
        self.pd = Policyd(d, zones=['{ zone = "dnsbl.test"; points = 6.0; }'], resolver=dns, sample_rules=False, clamav=clamav,
                          milter="unix:" + d("milter.sock"))
        self.pd.ctl("policy", "set", "default", "dnsbl=score")       # else a third is refused at RCPT and never scanned
        for label in ("ham", "spam"):
            self.pd.ctl("learn", label, *learn[label], timeout=600)
        self.socket = "unix:" + d("milter.sock")
        self.pids = {"policyd": self.pd.p.p.pid}
        time.sleep(2)

    def close(self):
        self.pd.close()


def milterload(system, index, connections, messages):
    args = [os.path.join(OUT, "milterload"), "--socket", system.socket, "--index", index, "--connections", str(connections), "--per-connection", "5",
            "--messages", str(messages), "--warmup", str(max(40, 2 * connections)), "--client-pool", "300", "--json", "-", "--quiet"]
    for name, pid in system.pids.items():
        args += ["--track", "%s=%d" % (name, pid)]
    r = subprocess.run(args, stdout=subprocess.PIPE, check=True, timeout=900)
    return json.loads(r.stdout)


def measure(case, systems, index, messages, results):
    for connections in CONNECTIONS:
        for turn in range(ROUNDS):
            for system in systems:
                r = milterload(system, index, connections, messages)
                results.append({"case": case, "system": system.name, "connections": connections, "round": turn, "report": r})
                print("  %s %s c=%d: %.0f msg/s" % (case, system.name, connections, r["msg_per_s"]), file=sys.stderr)


def bare(case, database, index, messages, results, cache):
    for turn in range(ROUNDS):
        r = subprocess.run([os.path.join(OUT, "bareclam"), database, index, "0", str(messages), cache], stdout=subprocess.PIPE, check=True)
        results.append({"case": case, "system": "libclamav alone", "connections": 1, "round": turn, "report": json.loads(r.stdout)})


def policy_port(pd, results):
    for connections in CONNECTIONS:
        for turn in range(ROUNDS):
            r = subprocess.run([os.path.join(OUT, "policyload"), "--socket", "inet:%d@127.0.0.1" % pd.policy_port, "--connections", str(connections), "--requests", "40000",
                                "--warmup", "2000", "--track", "policyd=%d" % pd.p.p.pid, "--json", "-"], stdout=subprocess.PIPE, check=True)
            results.append({"case": "policy", "system": "policyd", "connections": connections, "round": turn, "report": json.loads(r.stdout)})


def row(case, system, connections, runs):
    reports = [r["report"] for r in runs]

    def middle(f):
        return statistics.median(f(r) for r in reports)
    if system == "libclamav alone":
        return "%-12s %-16s %5s %9.0f %8s %8s %9.2f %8s" % (case, system, "-", middle(lambda r: r["per_s"]), "-", "-", middle(lambda r: r["cpu_ms"]), "-")
    if case == "policy":
        return "%-12s %-16s %5d %9.0f %8.2f %8.2f %9.4f %8.0f" % (
            case, system, connections, middle(lambda r: r["req_per_s"]), middle(lambda r: r["latency_ms"]["p50"]), middle(lambda r: r["latency_ms"]["p99"]),
            middle(lambda r: r["server_cpu_s_per_1000"]), middle(lambda r: sum(p["pss_kb"] for p in r["processes"].values()) / 1024))
    return "%-12s %-16s %5d %9.0f %8.1f %8.1f %9.2f %8.0f" % (
        case, system, connections, middle(lambda r: r["msg_per_s"]), middle(lambda r: r["eom_ms"]["p50"]), middle(lambda r: r["eom_ms"]["p99"]),
        middle(lambda r: r["server_cpu_s_per_1000"]), middle(lambda r: sum(p["pss_kb"] for p in r["processes"].values()) / 1024))


def table(results):
    lines = ["%-12s %-16s %5s %9s %8s %8s %9s %8s" % ("case", "system", "conns", "mails/s", "p50 ms", "p99 ms", "CPU ms", "PSS MB")]
    seen = []
    for r in results:
        key = (r["case"], r["system"], r["connections"])
        if key not in seen:
            seen.append(key)
    for key in seen:
        lines.append(row(*key, [r for r in results if (r["case"], r["system"], r["connections"]) == key]))
    return "\n".join(lines) + "\n(p50, p99: after end of message; CPU: ms a message or request, all processes; PSS: all processes; policy: requests/s)"


def main():
    os.makedirs(OUT, exist_ok=True)
    d, skipped, results, open_ = Dir(), [], [], []
    learn, index = halves()
    try:
        zone, zone_port = rbldnsd(d, "dnsbl.test", ":127.0.0.2:listed\n203.0.113.0/24\n")
        open_.append(zone.stop)
        dns_process, dns = peers.resolver(d, zone_port)
        open_.append(dns_process.stop)
        database = os.path.join(OUT, "db")

        def sub(name):
            s = Dir.__new__(Dir)
            s.path = d(name)
            os.makedirs(s.path, exist_ok=True)
            os.chmod(s.path, 0o755)
            return s

        def start(what, *args):
            try:
                system = what(*args)
            except (AssertionError, TypeError, OSError) as e:
                skipped.append("%s (%s)" % (what.__name__, str(e).splitlines()[0]))
                return None
            open_.append(system.close)
            return system

        def rspamd(name, *more):
            peer = start(peers.Rspamd, sub(name), dns, *more)
            if peer:
                print("  rspamd learned %d spam, %d ham" % tuple(peer.learn(label, learn[label]) for label in ("spam", "ham")), file=sys.stderr)
            return peer

        if "plain" in CASES or "policy" in CASES:
            ours = OurPolicyd(sub("plain"), dns, learn, 'engine = "off";')
            open_.append(ours.close)
            if "policy" in CASES:
                policy_port(ours.pd, results)
            if "plain" in CASES:
                peer = rspamd("rspamd")
                measure("plain", [s for s in (ours, peer) if s], index, LOAD, results)
        for case, nocache in (("virus", True), ("virus-cache", False)):
            if case not in CASES:
                continue
            makedb.make(database)
            ours = OurPolicyd(sub(case), dns, learn, 'engine = "libclamav"; database = "%s"; cache = %s;' % (database, "false" if nocache else "true"))
            clamd = start(peers.Clamd, sub(case + "-clamd"), database, nocache)
            systems = [ours]
            if clamd:
                systems += [rspamd(case + "-rspamd", clamd, nocache), start(peers.ClamavMilter, sub(case + "-cm"), clamd)]
            bare(case, database, index, LOAD_VIRUS, results, "nocache" if nocache else "cache")
            measure(case, [s for s in systems if s], index, LOAD_VIRUS, results)
            ours.close()
            for s in systems[1:] + [clamd]:
                if s:
                    s.close()
                    open_.remove(s.close)
    finally:
        for close in reversed(open_):
            close()
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(":")[1].strip() for line in f if line.startswith("model name")), "?")
    about = {"date": time.strftime("%Y-%m-%d"), "cpu": cpu, "cores": os.cpu_count(), "kernel": platform.release(), "rounds": ROUNDS,
             "messages": {"plain": LOAD, "virus": LOAD_VIRUS}, "skipped": skipped}
    with open(os.path.join(OUT, "results.json"), "w") as f:
        json.dump({"about": about, "runs": results}, f, indent=1)
    print("\n%s, %d x %s, Linux %s; median of %d\n" % (about["date"], about["cores"], cpu, about["kernel"], ROUNDS))
    print(table(results))
    for s in skipped:
        print("skipped: " + s)


if __name__ == "__main__":
    main()
