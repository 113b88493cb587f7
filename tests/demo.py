#!/usr/bin/env python3
"""make run: the whole system on loopback with nothing configured; sample mail through the real milter protocol; then it
keeps running until Ctrl-C. Everything lives in build/run."""
import os
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
from tests.lib.procs import TOP, free_port, rbldnsd  # noqa: E402

WORDS = {"a": "accepted", "c": "accepted", "d": "taken, delivered to nobody", "r": "rejected", "t": "deferred", "y": "answered"}


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


def show(title, out, rcpts):
    print("\n  " + title)
    for r in rcpts:
        letter, text = out["rcpts"][r]
        if letter not in "c":
            what = "refused at RCPT: " + text
        elif r in out["deleted"]:
            what = "not delivered (quarantined or discarded by his policy)"
        else:
            what = WORDS[out["reply"][0]] + (": " + out["reply"][1] if out["reply"][1] else "")
        print("    <%s>  %s" % (r, what))
    for op, name, value in out["headers"]:
        print("      %s header %s: %s" % (op, name, value.replace("\n", " ")[:110]))


def feed(pd):
    pd.ctl("policy", "set", "domain:shop.example", "customer=shop", "subject_tag=[SPAM] ")
    for who, fields in (("none", ["filter=false", "dnsbl=off"]), ("tag", ["quarantine=off", "discard=off"]), ("hold", ["discard=off"]), ("drop", ["quarantine=off", "discard=6"])):
        pd.ctl("policy", "set", "mailbox:%s@shop.example" % who, *fields)
    address = ("127.0.0.1", pd.milter_port)
    four = ["none@shop.example", "tag@shop.example", "hold@shop.example", "drop@shop.example"]
    print("\nSample mail through the milter on port %d:" % pd.milter_port)
    for title, name, rcpts, client in (
            ("An ordinary mail", "ham.eml", ["bob@shop.example"], "198.51.100.7"),
            ("A newsletter that was asked for", "newsletter.eml", ["bob@shop.example"], "198.51.100.8"),
            ("Spam", "spam.eml", ["bob@shop.example"], "198.51.100.9"),
            ("The EICAR test virus", "virus.eml", ["bob@shop.example"], "198.51.100.10"),
            ("A client on a DNS blocklist (refused before any body is read)", "ham.eml", ["bob@shop.example"], "203.0.113.5"),
            ("One spam to four recipients: no filtering, tag only, quarantine, discard", "spam.eml", four, "198.51.100.11")):
        m = Milter(address, (client, 4711))
        show(title, m.send(sample(name), rcpts, queue_id="DEMO"), rcpts)
        m.close()


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
    d = RunDir()
    dns, dns_port = rbldnsd(d, "bl.demo", ":127.0.0.2:Listed $\n127.0.0.2\n203.0.113.0/24\n")
    try:
        pd = Policyd(d, zones=['{ zone = "bl.demo"; points = 6.0; }'], resolver=dns_port, reinject=10026, sample_rules=False,
                     ports=(port(8890), port(8891)))
    except AssertionError as e:
        dns.stop()
        sys.exit("make run: %s" % e)
    try:
        feed(pd)
        ctl = "%s -c %s" % (os.path.relpath(os.path.join(os.environ["POLICYD_BUILD"], "policyctl")), os.path.relpath(pd.conf))
        print("""
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
            ctl=ctl, log=os.path.relpath(d("policyd.log")), milter=pd.milter_port, policy=pd.policy_port), flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        while pd.p.alive():
            time.sleep(0.5)
    except KeyboardInterrupt:
        print("\nstopping")
    finally:
        pd.close()
        dns.stop()


if __name__ == "__main__":
    main()
