"""The ledger: mails through Postfix while a random process of policyd, master included, is killed with -9 every 2 s.
For every (mail, recipient) exactly one fate; lost 0; second copies at most one a transaction in flight at a kill.

LEDGER_MAILS (default 200), LEDGER_RATE (mails a second, default 5) and LEDGER_SEED choose the length and the dice."""
import collections
import os
import random
import signal
import smtplib
import threading
import time
import unittest

from tests.lib.mail import GTUBE, mail
from tests.lib.mta import Postfix
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port, wait_until
from tests.lib.sink import Sink

MAILS = int(os.environ.get("LEDGER_MAILS", "200"))
RATE = float(os.environ.get("LEDGER_RATE", "5"))
SEED = int(os.environ.get("LEDGER_SEED", "7"))
SENDERS = 4
KILL_EVERY_S = 2
DOMAIN = "test.example"


class Ledger(unittest.TestCase):
    def setUp(self):
        self.d = Dir()
        self.addCleanup(self.d.close)
        self.sink = Sink()
        self.addCleanup(self.sink.close)
        milter_port = free_port()
        self.pf = Postfix(self.d, self.sink.port, "inet:127.0.0.1:%d" % milter_port)
        self.addCleanup(self.pf.close)
        self.pd = Policyd(self.d, milter="inet:%d@127.0.0.1" % milter_port, keep=True, policy=False)
        self.addCleanup(self.pd.close)
        for kind, fields in {"keep": {"quarantine": "off", "discard": "off"}, "hold": {"quarantine": "6", "discard": "off"},
                             "drop": {"quarantine": "off", "discard": "6"}, "none": {"filter": "false"}}.items():
            for n in range(4):
                self.pd.set("mailbox:%s%d@%s" % (kind, n, DOMAIN), **fields)
        self.dice = random.Random(SEED)
        self.tries = collections.Counter()
        self.refused = set()

    def fate(self, rcpt, points):
        """What his policy says, by the name that he has."""
        if points < 6 or rcpt.startswith(("keep", "none")):
            return "delivered"
        return "held" if rcpt.startswith("hold") else "dropped"

    def make(self, n):
        points = self.dice.choice([0, 0, 8])
        rcpts = self.dice.sample(["%s%d@%s" % (k, i, DOMAIN) for k in ("keep", "hold", "drop", "none") for i in range(4)],
                                 self.dice.randint(1, 10))
        size = self.dice.choice([100, 2000, 40000])
        body = "".join(self.dice.choice("etaoin shrdlu\n") for _ in range(size)).replace("\n", "\r\n") + "\r\n"
        headers = ["X-Ledger: %d" % n] + (["X-Test-Points: 8"] if points else [])
        return n, points, rcpts, mail("ledger %d" % n, body=body, headers=headers)

    def sender(self, work, errors):
        """Sends each mail until the server has taken or refused it for each recipient, as an MTA would."""
        session = None
        while True:
            try:
                n, points, rcpts, data = work.popleft()
            except IndexError:
                return
            time.sleep(SENDERS / RATE)
            left, end = list(rcpts), time.monotonic() + 300
            while left:
                if time.monotonic() > end:
                    errors.append("mail %d was never taken" % n)
                    return
                self.tries[n] += 1
                try:
                    if session is None:
                        session = smtplib.SMTP("127.0.0.1", self.pf.port, timeout=90)
                        session.ehlo("client.example")
                    session.rset()
                    if session.mail("ann@sender.example")[0] != 250:
                        raise smtplib.SMTPServerDisconnected("MAIL")
                    taken = [r for r in left if session.rcpt(r)[0] == 250]
                    code = session.data(data)[0] if taken else 0
                    if code == 250:
                        left = [r for r in left if r not in taken]
                        continue
                    if 500 <= code < 600:
                        errors.append("mail %d was refused: %d" % (n, code))
                        return
                except (smtplib.SMTPException, OSError):
                    pass
                try:
                    session.close()
                except (AttributeError, OSError):
                    pass
                session = None
                time.sleep(0.3)

    def killer(self, done, kills):
        while not done.wait(KILL_EVERY_S):
            try:
                pids = self.pd.pids()
                names = [n for n in pids if pids[n] > 0] + ["master", "worker"]
                name = self.dice.choice(names)
                if name == "master":
                    pid = self.pd.p.p.pid
                elif name == "worker":
                    with open("/proc/%d/task/%d/children" % (pids["zygote"], pids["zygote"])) as f:
                        pid = int(f.read().split()[0])
                else:
                    pid = pids[name]
                os.kill(pid, signal.SIGKILL)
                kills.append(name)
            except (AssertionError, OSError, KeyError, IndexError, ValueError):
                continue                     # it was dead already, or the master is just starting

    def test_every_recipient_has_one_fate(self):
        mails = [self.make(n) for n in range(MAILS)]
        work, errors, kills, done = collections.deque(mails), [], [], threading.Event()
        threads = [threading.Thread(target=self.sender, args=(work, errors)) for _ in range(SENDERS)]
        killer = threading.Thread(target=self.killer, args=(done, kills))
        start = time.monotonic()
        for t in threads:
            t.start()
        killer.start()
        for t in threads:
            t.join()
        done.set()
        killer.join()
        self.assertEqual(errors, [])
        wait_until(self.pd.ready, 60)
        wait_until(self.pf.queue_empty, 60)

        delivered, held = collections.Counter(), collections.Counter()
        for _, rcpts, data in self.sink.mails:
            n = int(data.split(b"\r\nX-Ledger: ")[1].split(b"\r\n")[0])
            for r in rcpts:
                delivered[n, r] += 1
        offset = 0
        while True:
            page = self.pd.json("quarantine", "list", "--limit", "1000", "--offset", str(offset))["entries"]
            for e in page:
                held[int(e["subject"].split()[1]) if e["class"] != "unscannable" else self.by_raw(e["id"]), e["recipient"]] += 1
            if len(page) < 1000:
                break
            offset += 1000
        lost, doubled, wrong = [], 0, []
        for n, points, rcpts, _ in mails:
            for r in rcpts:
                got, kept, want = delivered[n, r], held[n, r], self.fate(r, points)
                if want == "dropped":
                    if got and not kept:
                        wrong.append((n, r, want, got, kept))
                    continue                 # discarded by his policy: nothing to find
                if got + kept == 0:
                    lost.append((n, r, want))
                doubled += max(0, got + kept - 1)
        in_flight = len(kills) * SENDERS * 10
        print("\n      %d mails, %d recipients, %d kills (%s), %d tries, %d delivered, %d held, %d second copies, %.0f s" % (
            MAILS, sum(len(m[2]) for m in mails), len(kills), ", ".join("%s %d" % k for k in sorted(collections.Counter(kills).items())),
            sum(self.tries.values()), sum(delivered.values()), sum(held.values()), doubled, time.monotonic() - start))
        self.assertEqual(lost, [])
        self.assertEqual(wrong, [])
        self.assertLessEqual(doubled, in_flight)
        self.assertGreater(len(kills), 0)

    def by_raw(self, entry):
        """A mail whose workers were both killed is held as unscannable: its number is in its bytes."""
        raw = self.pd.ctl("quarantine", "show", entry, "--raw").stdout
        return int(raw.split(b"X-Ledger: ")[1].split(b"\r\n")[0])


if __name__ == "__main__":
    unittest.main()
