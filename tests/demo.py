#!/usr/bin/env python3
"""make run: the whole system on loopback with nothing configured; sample mail through the real milter protocol; then it
keeps running until Ctrl-C. Everything lives in build/run. --once (make test): ends after the sample mail, and fails where an
outcome is not what that mail's policy says."""
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
os.environ.setdefault("POLICYD_BUILD", os.path.join(os.path.dirname(HERE), "build"))

from tests.lib.mail import EICAR  # noqa: E402
from tests.lib.milter import Milter  # noqa: E402
from tests.lib.policyd import Policyd  # noqa: E402
from tests.lib.procs import TOP, free_port, rbldnsd, wait_until  # noqa: E402

class RunDir:
    def __init__(self):
        self.path = os.path.join(TOP, "build", "run")
        shutil.rmtree(self.path, ignore_errors=True)
        os.makedirs(self.path)
        os.chmod(self.path, 0o755)

    def __call__(self, *parts):
        return os.path.join(self.path, *parts)

    def write(self, name, text, mode=0o644):
        path = self(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path


def sample(name):
    with open(os.path.join(TOP, "corpus", "sample", name), "rb") as f:
        data = f.read().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return data.replace(b"@EICAR@", EICAR.encode())      # the file itself does not alarm a virus scanner


def events(pd, queue_id, count):
    """What policyctl trace knows of that mail: an event a recipient."""
    def found():
        r = pd.ctl("--json", "trace", queue_id, check=False)
        told = json.loads(r.stdout)["events"] if r.returncode == 0 else []
        return len(told) >= count and told
    return {e["recipient"]: e for e in wait_until(found, 10)}


def show(pd, title, out, rcpts, queue_id):
    """Prints what became of it; returns each recipient's outcome."""
    print("\n  " + title)
    told = events(pd, queue_id, len([r for r in rcpts if out["rcpts"][r][0] == "c"])) if "c" in [out["rcpts"][r][0] for r in rcpts] else {}
    for r in rcpts:
        letter, text = out["rcpts"][r]
        if letter != "c":
            print("    <%s>  refused at RCPT: %s" % (r, text))
            continue
        e = told[r]
        limits = ", ".join("%s %s" % (n, e[n]) for n in ("tag", "quarantine", "discard") if e.get(n) not in (None, "off"))
        print("    %-22s %-11s %6.2f points (%s)%s" % ("<%s>" % r, e["outcome"], e["points"], limits or "no limits",
              "  held as " + e["quarantine_id"] if e.get("quarantine_id") else ""))
    if told:
        found = sorted(next(iter(told.values()))["symbols"], key=lambda s: -abs(s["points"]))
        print("      because: " + (", ".join("%s %+.1f" % (s["name"], s["points"]) for s in found[:6]) or "nothing was found"))
    for op, name, value in out["headers"]:
        if name in ("X-Spam-Flag", "Subject"):
            print("      %s header %s: %s" % (op, name, value.replace("\n", " ")[:110]))
    return [told[r]["outcome"] if r in told else "reject" for r in rcpts]


def feed(pd):
    starter = os.path.join(TOP, "build", "model", "starter.tbl")
    if os.path.exists(starter):
        print("\nThe starter model (make model): " + pd.ctl("model", "import", starter).stdout.decode().strip())
    pd.ctl("policy", "set", "domain:shop.example", "customer=shop", "subject_tag=[SPAM] ", "discard=off")
    for who, fields in (("none", ["filter=false", "dnsbl=off"]), ("tag", ["quarantine=off"]), ("hold", ["quarantine=6"]), ("drop", ["quarantine=off", "discard=6"])):
        pd.ctl("policy", "set", "mailbox:%s@shop.example" % who, *fields)
    address = ("127.0.0.1", pd.milter_port)
    four = ["none@shop.example", "tag@shop.example", "hold@shop.example", "drop@shop.example"]
    print("\nSample mail through the milter on port %d:" % pd.milter_port)
    odd = []
    for n, (title, name, rcpts, client, want) in enumerate((
            ("An ordinary mail", "ham.eml", ["bob@shop.example"], "198.51.100.7", ["deliver"]),
            ("A newsletter that was asked for", "newsletter.eml", ["bob@shop.example"], "198.51.100.8", ["deliver"]),
            ("Spam", "spam.eml", ["bob@shop.example"], "198.51.100.9", ["quarantine"]),
            ("The EICAR test virus", "virus.eml", ["bob@shop.example"], "198.51.100.10", ["quarantine"]),
            ("A client on a DNS blocklist (refused before any body is read)", "ham.eml", ["bob@shop.example"], "203.0.113.5", ["reject"]),
            ("One spam to four recipients: no filtering, tag only, quarantine, discard", "spam.eml", four, "198.51.100.11",
             ["deliver", "tag", "quarantine", "discard"])), 1):
        queue_id = "DEMO%d" % n
        m = Milter(address, (client, 4711))
        got = show(pd, title, m.send(sample(name), rcpts, queue_id=queue_id), rcpts, queue_id)
        m.close()
        if got != want:
            odd.append("%s: %s, not %s" % (title, ", ".join(got), ", ".join(want)))
    return odd


def people(pd):
    """One of each role for the review pages; the password is made up anew at each start."""
    password = "-".join(secrets.choice(("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron", "iris", "juniper")) + secrets.token_hex(1)
                        for _ in range(3))
    for name, *role in (("bob@shop.example", "--role", "owner"), ("anna", "--role", "admin", "--customer", "shop"),
                        ("sue", "--role", "support"), ("abe", "--role", "abuse")):
        pd.ctl("user", "add", name, *role, data=(password + "\n").encode())
    return password


def port(usual):
    """The usual one if nobody has it."""
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", usual))
            return usual
        except OSError:
            return free_port()


def main():
    for s in (signal.SIGINT, signal.SIGTERM):    # a shell starts background jobs with SIGINT ignored
        signal.signal(s, signal.default_int_handler)
    d = RunDir()
    dns, dns_port = rbldnsd(d, "bl.demo", ":127.0.0.2:Listed $\n127.0.0.2\n203.0.113.0/24\n")
    try:
        pd = Policyd(d, zones=['{ zone = "bl.demo"; points = 6.0; }'], resolver=dns_port, reinject=10026, sample_rules=False,
                     ports=(port(8890), port(8891)), review=port(8892))
    except AssertionError as e:
        dns.stop()
        sys.exit("make run: %s" % e)
    try:
        odd = feed(pd)
        password = people(pd)
        if "--once" in sys.argv:
            sys.exit("\n".join(odd) or 0)
        ctl = "%s -c %s" % (os.path.relpath(os.path.join(os.environ["POLICYD_BUILD"], "policyctl")), os.path.relpath(pd.conf))
        print("""
The review pages:  {review}
  bob@shop.example   {password}   the owner of a mailbox
  anna               {password}   the administrator of customer "shop"
  sue, abe           {password}   the provider's support and abuse desk

It keeps running until Ctrl-C. Meanwhile, in another terminal:
  {ctl} quarantine list
  {ctl} policy explain tag@shop.example
  {ctl} scan corpus/sample/spam.eml --explain
  {ctl} doctor
  tail -f {log}

To plug it into Postfix, in main.cf:
  smtpd_milters = inet:127.0.0.1:{milter}
  milter_default_action = tempfail
and, to refuse listed clients without a milter, last in smtpd_recipient_restrictions:
  check_policy_service {{ inet:127.0.0.1:{policy}, timeout=10s, default_action=DUNNO }}
(README.md, "Plugging in Postfix", has the rest: a unix socket, releases, Sendmail.)""".format(
            ctl=ctl, log=os.path.relpath(d("policyd.log")), milter=pd.milter_port, policy=pd.policy_port,
            review=pd.review, password=password), flush=True)
        while pd.p.alive():
            time.sleep(0.5)
    except KeyboardInterrupt:
        print("\nstopping")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)     # a second Ctrl-C does not leave half of it running
        pd.close()
        dns.stop()


if __name__ == "__main__":
    main()
