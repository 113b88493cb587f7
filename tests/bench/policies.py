"""make bench-policy: the policy store at the size of a provider. The table in one process (policytable), then the whole: import
of 1,000,000 mailboxes of 100,000 customers by policyctl into a running system, a change seen by a second node, a start without
Redis. POLICY_MAILBOXES=N for fewer."""
import json
import os
import platform
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tests.lib.policyd import Policyd
from tests.lib.procs import BUILD, Dir, wait_until

MAILBOXES = int(os.environ.get("POLICY_MAILBOXES", "1000000"))
CUSTOMERS = max(1, MAILBOXES // 10)


def machine():
    with open("/proc/cpuinfo") as f:
        cpu = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    return "%s, %d cores, %s, %s" % (cpu[0] if cpu else "?", os.cpu_count(), platform.platform(), time.strftime("%Y-%m-%d"))


def write_import(path):
    with open(path, "w") as f:
        for i in range(CUSTOMERS):
            f.write('{"key":"customer:c%d","values":{"tag":"%g","quarantine":"%g"}}\n' % (i, 3 + i % 5 * 0.5, 6 + i % 7 * 0.5))
            f.write('{"key":"domain:company-%d.example","values":{"customer":"c%d","subject_tag":"[SPAM] "}}\n' % (i, i))
            for m in range(i, MAILBOXES, CUSTOMERS):
                f.write('{"key":"mailbox:first.last%d@company-%d.example","values":{%s}}\n' % (m, i, '"discard":"off"' if m % 4 == 0 else ""))


def rss(pid):
    """What this process has for itself, in MB."""
    with open("/proc/%d/smaps_rollup" % pid) as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Anonymous:")) / 1e3


def main():
    print("# %s\n" % machine(), flush=True)
    d = Dir()
    try:
        sys.stdout.flush()
        subprocess.check_call([os.path.join(BUILD, "bench", "policytable"), d.path, str(MAILBOXES), str(CUSTOMERS)])
        os.unlink(d("policies.snapshot"))
        path = d("import.jsonl")
        write_import(path)
        pd = Policyd(d, policy=False, sample_rules=False)
        before = rss(pd.pids()["broker"])
        start = time.monotonic()
        out = pd.ctl("policy", "import", path, timeout=900)
        took = time.monotonic() - start
        print("policyctl policy import: %s: %.1f s" % (out.stderr.decode().strip().split("\r")[-1], took))
        print("broker: %.0f MB more than before" % (rss(pd.pids()["broker"]) - before))
        start = time.monotonic()
        out = pd.ctl("policy", "import", path, timeout=900)
        print("the same again: %s: %.1f s" % (out.stderr.decode().strip().split("\r")[-1], time.monotonic() - start))

        second = Dir()
        redis = pd.d("state/run/redis.sock")
        two = Policyd(second, policy=False, sample_rules=False, settings='redis = { url = "unix://%s"; };' % redis)
        total = json.loads(pd.ctl("--json", "status").stdout) and pd.policy_status()["records"]
        start = time.monotonic()
        wait_until(lambda: two.policy_status()["records"] == total, 120)
        print("a second node, empty, has all %d records after: %.1f s" % (total, time.monotonic() - start))
        start = time.monotonic()
        pd.set("customer:c7", quarantine="13")
        wait_until(lambda: "13" in two.ctl("policy", "explain", "first.last7@company-7.example").stdout.decode(), 10, 0.005)
        print("a change at a customer, until the second node explains it for a mailbox: %.0f ms" % ((time.monotonic() - start) * 1000))
        two.close()
        time.sleep(3)
        start = time.monotonic()
        alone = Policyd(second, policy=False, sample_rules=False, settings='redis = { url = "redis://127.0.0.1:9/0"; };')
        records = alone.policy_status()["records"]
        print("started without Redis, %d records from the snapshot, after: %.1f s (the whole system)" % (records, time.monotonic() - start))
        alone.close()
        second.close()
        pd.close()
        return 0 if records == total else 1
    finally:
        d.close()


if __name__ == "__main__":
    sys.exit(main())
