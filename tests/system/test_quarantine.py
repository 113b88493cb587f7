"""The quarantine as those who serve people use it: pages, scopes, states and their undoing, votes, counts, releases."""
import base64
import json
import os
import pwd
import re
import signal
import sqlite3
import unittest

from tests.lib.mail import eicar, mail, points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port, wait_until
from tests.lib.sink import Sink
from tests.lib.store import Store
from tests.lib.web import Browser


class Quarantine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        cls.pd = Policyd(cls.d, reinject=cls.sink.port)
        cls.addClassCleanup(cls.pd.close)
        for domain, customer in (("acme.example", "acme"), ("zeta.example", "zeta")):
            cls.pd.set("domain:" + domain, customer=customer, quarantine="6", discard="off", tag="4")
        cls.milter = Milter(("127.0.0.1", cls.pd.milter_port))
        cls.addClassCleanup(cls.milter.close)

    def setUp(self):
        self.store = Store(self.d("state/run/store.sock"))
        self.addCleanup(self.store.close)

    def hold(self, rcpts, n=8, subject="held", **more):
        out = self.milter.send(points(n, subject, **more), rcpts)
        self.assertEqual(out["reply"][0], "d", out)

    def entries(self, **more):
        return self.store.ask("list", **more)["entries"]

    def test_pages(self):
        """By cursor, in every order, nothing twice and nothing left out; filters and words."""
        for i in range(25):
            self.hold(["pages@acme.example"], n=20 if i < 12 else 8, subject="page %02d %s" % (i, "apple" if i % 5 == 0 else "pear"))
        for sort in ("newest", "oldest", "closest", "points", "size"):
            seen, cursor = [], ""
            while True:
                page = self.store.ask("list", rcpt="pages@acme.example", sort=sort, limit=7, **({"cursor": cursor} if cursor else {}))
                self.assertLessEqual(len(page["entries"]), 7)
                seen += page["entries"]
                if not page["more"]:
                    break
                cursor = page["cursor"]
            self.assertEqual(len({e["id"] for e in seen}), 25, sort)
            self.assertEqual(len(seen), 25, sort)
            key = {"newest": lambda e: -e["time"], "oldest": lambda e: e["time"], "closest": lambda e: abs(e["points"] - e["quarantine"]),
                   "points": lambda e: -e["points"], "size": lambda e: -e["size"]}[sort]
            self.assertEqual([key(e) for e in seen], sorted(key(e) for e in seen), sort)
        found = self.entries(rcpt="pages@acme.example", search="PAGE apple")
        self.assertEqual(sorted(e["subject"] for e in found), ["page %02d apple" % i for i in range(0, 25, 5)])
        self.assertEqual(self.entries(rcpt="pages@acme.example", search="plum"), [])
        self.assertEqual(len(self.entries(rcpt="pages@acme.example", points_min=15)), 12)
        self.assertEqual(len(self.entries(rcpt=["pages@acme.example", "other@acme.example"], limit=100)), 25)
        one = found[0]
        for name in ("message_id", "queue_id", "digest"):
            self.assertIn(one["id"], [e["id"] for e in self.entries(**{name: one[name], "limit": 1000})], name)
        self.assertEqual(len(self.entries(rcpt="pages@acme.example", until=one["time"] - 3600)), 0)
        wrong = self.store.ask("list", state="lost")
        self.assertEqual((wrong["exit"], wrong["error"][:25]), (2, '"lost" is no state; expec'))
        self.assertEqual(self.store.ask("list", cursor="t.1.x;y.2")["exit"], 2)
        self.assertEqual(self.store.ask("list", sort="best")["exit"], 2)

    def test_scope(self):
        """A mail for two customers is two entries; out of scope is the same as not there."""
        self.hold(["scope@acme.example", "scope2@acme.example", "scope@zeta.example"], subject="for two")
        acme, zeta = self.entries(customer="acme", search="for two"), self.entries(customer="zeta", search="for two")
        self.assertEqual(([e["recipient"] for e in zeta], len(acme)), (["scope@zeta.example"], 2))
        self.assertEqual(len({e["id"] for e in acme + zeta}), 2)
        own = {"customer": "zeta", "rcpts": ["scope@zeta.example"]}
        self.assertEqual([e["id"] for e in self.entries(scope=own, search="for two")], [zeta[0]["id"]])
        self.assertEqual(self.entries(scope=own, customer="acme"), [])
        hidden, missing = (self.store.ask("show", id=i, scope=own) for i in (acme[0]["id"], "qaaaaaaaaaaaaaaa"))
        self.assertEqual((hidden, hidden["exit"]), (missing, 1))
        for op in ("delete", "release", "seen", "ham"):
            results = self.store.ask("change", op=op, ids=[acme[0]["id"]], scope=own)["results"]
            self.assertEqual([(r["done"], r["recipient"]) for r in results], [(False, "")])
        self.assertEqual({e["state"] for e in self.entries(customer="acme", search="for two")}, {"new"})
        half = self.store.ask("show", id=acme[0]["id"], scope={"customer": "acme", "rcpts": ["scope2@acme.example"]})
        self.assertEqual([e["recipient"] for e in half["entries"]], ["scope2@acme.example"])
        self.assertEqual(self.entries(scope={"customer": 5}), [])
        self.assertEqual(self.entries(scope="acme"), [])

    def test_show(self):
        """Reasons, thresholds, and the exact bytes."""
        data = mail("show me", headers=["X-Test-Points: 8", "X-Odd: \t  x"])
        self.assertEqual(self.milter.send(data, ["show@acme.example"])["reply"][0], "d")
        entry = self.entries(rcpt="show@acme.example")[0]
        shown, raw = self.store.ask("show", raw=True, id=entry["id"])
        self.assertEqual(raw, data)
        self.assertFalse(shown["damaged"])
        self.assertEqual([(e["tag"], e["quarantine"], e["discard"], e["class"]) for e in shown["entries"]], [(4, 6, None, "spam")])
        self.assertTrue(any(s["points"] == 8 for s in shown["symbols"]), shown["symbols"])

    def test_states(self):
        """From state to state, back within ten minutes, several at once; the same after a rebuild."""
        for i in range(6):
            self.hold(["s%d@acme.example" % i], subject="state %d" % i)
        ids = [self.entries(rcpt="s%d@acme.example" % i)[0]["id"] for i in range(6)]

        def change(op, *which, **more):
            return [(r["state"], r["done"]) for r in self.store.ask("change", op=op, ids=[ids[i] for i in which], actor="eve", **more)["results"]]
        self.assertEqual(change("seen", 0, 1), [("seen", True)] * 2)
        self.assertEqual(change("request", 1, 2), [("requested", True)] * 2)
        self.assertEqual(len(self.entries(state="requested", scope={"customer": "acme"})), 2)
        self.assertEqual(change("deny", 1, 3), [("new", False), ("seen", True)])
        self.assertEqual(change("approve", 1), [("seen", False)])
        self.assertEqual(change("delete", 3, 4, 4), [("deleted", True)] * 2)
        self.assertEqual(change("release", 3), [("deleted", False)])
        self.assertEqual(change("undo", 3, 5), [("new", False), ("new", True)])
        self.assertEqual(change("undo", 3), [("new", False)])
        self.assertEqual(change("ham", 5) + change("spam", 0), [("new", True), ("seen", True)])
        self.assertEqual(change("unseen", 0), [("new", True)])
        entry = self.entries(rcpt="s4@acme.example")[0]
        self.assertEqual((entry["state"], entry["before"], entry["actor"]), ("deleted", "new", "eve"))
        self.assertGreater(entry["undo_until"], entry["changed"])
        self.assertEqual(self.store.ask("change", op="sell", ids=ids)["exit"], 2)

        def everything():
            return sorted((e["id"], e["n"], e["state"], e["before"], e["vote"], e["actor"], e["changed"]) for e in self.entries(limit=1000))
        before, rows = everything(), self.store.ask("stats", by=["day", "customer", "class"])
        self.store.ask("rebuild")
        self.assertEqual(everything(), before)
        after = self.store.ask("stats", by=["day", "customer", "class"])
        self.assertEqual((after["rows"], after["states"], after["recipients"]), (rows["rows"], rows["states"], rows["recipients"]))

    def test_stats(self):
        self.hold(["stats@zeta.example"], subject="counted")
        entry = self.entries(rcpt="stats@zeta.example")[0]
        before = self.store.ask("stats", by=["class"], customer="zeta")["rows"][0]
        self.store.ask("change", op="delete", ids=[entry["id"]])
        self.store.ask("change", op="ham", ids=[entry["id"]])
        after = self.store.ask("stats", by=["class"], scope={"customer": "zeta"})["rows"][0]
        self.assertEqual((after["deleted"] - before["deleted"], after["ham"] - before["ham"], after["class"]), (1, 1, "spam"))
        self.store.ask("change", op="undo", ids=[entry["id"]])
        self.assertEqual(self.store.ask("stats", by=["class"], customer="zeta")["rows"][0]["deleted"], before["deleted"])
        self.assertEqual(self.store.ask("stats", by=["class"], customer="acme", scope={"customer": "zeta"})["rows"], [])
        self.assertTrue(any(r["symbol"] == "TEST_EIGHT" and r["ham"] for r in self.store.ask("rules", customer="zeta")["rules"]))

    def test_release(self):
        """Exact bytes, the null sender's and the odd recipient's envelope; once, and again when asked; the queue id is recorded."""
        data = mail("let me out", headers=["X-Test-Points: 8"], body="line\r\n.dot\r\n..two\r\nlast without end")
        self.assertEqual(self.milter.send(data, ["out@acme.example", "stay@acme.example"], sender="")["reply"][0], "d")
        entry = self.entries(rcpt="out@acme.example")[0]
        self.store.ask("change", op="request", ids=[{"id": entry["id"], "rcpt": "out@acme.example"}])
        result = self.store.ask("change", op="approve", ids=[{"id": entry["id"], "n": entry["n"]}], actor="boss")["results"]
        self.assertEqual([(r["state"], r["done"], r["recipient"]) for r in result], [("released", True, "out@acme.example")], result)
        got = self.sink.to("out@acme.example")
        self.assertEqual([(m[0], m[2]) for m in got], [("", data + b"\r\n")])
        self.assertEqual(self.entries(rcpt="stay@acme.example")[0]["state"], "new")
        again = self.store.ask("change", op="release", ids=[{"id": entry["id"], "rcpt": "out@acme.example"}])["results"][0]
        self.assertEqual((again["state"], again["done"]), ("released", True))
        self.assertIn("released before", again["reply"])
        self.store.ask("change", op="release", ids=[{"id": entry["id"], "rcpt": "out@acme.example"}], again=True)
        self.assertEqual(len(self.sink.to("out@acme.example")), 2)

    def test_release_of_what_is_dangerous(self):
        """A virus is scanned once more and not released; whoever may, says so."""
        self.assertEqual(self.milter.send(eicar(), ["virus@acme.example"])["reply"][0], "d")
        entry = self.entries(rcpt="virus@acme.example")[0]
        self.assertEqual(entry["class"], "virus")
        result = self.store.ask("change", op="release", ids=[entry["id"]])["results"][0]
        self.assertEqual((result["state"], result["done"]), ("new", False))
        self.assertIn("a virus was found", result["reply"])
        result = self.store.ask("change", op="release", ids=[entry["id"]], risky=True)["results"][0]
        self.assertEqual((result["state"], result["done"]), ("released", True))

    def test_votes_are_lessons(self):
        """A vote is taught, another one turns it, none takes it back; a virus is never learnt. What an owner's word weighs is
        the trainer's to say."""
        body = "Cheap watches for the discerning gentleman, only today and only here. " * 20 + "\r\n"
        self.hold(["vote@plain.example"], subject="vote on me", body=body)
        entry = self.entries(rcpt="vote@plain.example")[0]
        self.assertEqual(entry["allow"], "from:ann@sender.example")
        for op, said in (("ham", "learnt as ham"), ("spam", "flipped as spam"), ("unvote", "unlearnt as nothing")):
            self.store.ask("change", op=op, ids=[entry["id"]], actor="policyctl root")
            wait_until(lambda: "vote on %s: %s" % (entry["id"], said) in self.pd.log())
        self.hold(["vote@acme.example"], subject="vote on me too", body=body)
        entry = self.entries(rcpt="vote@acme.example")[0]
        self.store.ask("change", op="ham", ids=[entry["id"]], actor="vote@acme.example")
        wait_until(lambda: "vote on %s: " % entry["id"] in self.pd.log())
        self.milter.send(eicar(), ["vv@acme.example"])
        self.store.ask("change", op="ham", ids=[self.entries(rcpt="vv@acme.example")[0]["id"]])
        wait_until(lambda: "viruses are not learnt" in self.pd.log())

    def test_a_copy_of_what_is_rejected(self):
        """keep_rejected: the sender hears 5xx, the mail can still be released."""
        self.pd.set("mailbox:copy@acme.example", discard="7", top_action="reject", keep_rejected="true")
        self.pd.set("mailbox:none@acme.example", discard="7", top_action="reject")
        data = points(8, "rejected and kept")
        out = self.milter.send(data, ["copy@acme.example", "none@acme.example"])
        self.assertEqual(out["reply"][0], "y", out)
        entry = self.entries(rcpt="copy@acme.example")[0]
        self.assertEqual((entry["mode"], entry["state"]), ("copy", "new"))
        self.assertEqual(self.entries(rcpt="none@acme.example"), [])
        self.assertTrue(self.store.ask("change", op="release", ids=[entry["id"]])["results"][0]["done"])
        self.assertEqual([m[2] for m in self.sink.to("copy@acme.example")], [data])

    def test_policyctl(self):
        """What the pages do, policyctl does."""
        for i in range(4):
            self.hold(["ctl@acme.example"], subject="by hand %d" % i)
        held = self.pd.json("quarantine", "list", "--rcpt", "ctl@acme.example", "--search", "by hand", "--since", "1h", "--class", "spam",
                            "--symbol", "TEST_EIGHT", "--customer", "acme", "--points-min", "7.5", "--sort", "oldest")["entries"]
        ids = [e["id"] for e in sorted(held, key=lambda e: e["subject"])]
        self.assertEqual(len(ids), 4)
        pages = self.pd.ctl("quarantine", "list", "--rcpt", "ctl@acme.example", "--limit", "3")
        self.assertEqual((len(pages.stdout.splitlines()), b"--cursor" in pages.stderr), (3, True))
        self.assertEqual(len(self.pd.ctl("quarantine", "list", "--rcpt", "ctl@acme.example", "--all").stdout.splitlines()), 4)

        def states():
            return [self.pd.json("quarantine", "show", i)["entries"][0]["state"] for i in ids]
        self.pd.ctl("quarantine", "request", ids[0], "--note", "mine")
        self.pd.ctl("quarantine", "delete", "-", data="\n".join(ids[1:3]).encode())
        self.assertEqual(states(), ["requested", "deleted", "deleted", "new"])
        self.pd.ctl("quarantine", "undo", ids[1])
        self.pd.ctl("quarantine", "deny", ids[0])
        self.pd.ctl("quarantine", "seen", ids[3])
        self.assertEqual(states(), ["seen", "new", "deleted", "seen"])
        out = self.pd.ctl("quarantine", "release", ids[3], "--allow").stdout.decode()
        self.assertIn("always gets mail of from:ann@sender.example", out)
        self.assertIn("from:ann@sender.example", self.pd.ctl("policy", "get", "ctl@acme.example").stdout.decode())
        self.assertEqual(self.pd.ctl("quarantine", "approve", ids[1], check=False).returncode, 1)
        self.assertEqual(self.pd.ctl("quarantine", "release", "qnone", check=False).returncode, 1)
        self.pd.ctl("quarantine", "ham", ids[3])
        self.pd.ctl("quarantine", "unvote", ids[3])
        self.pd.ctl("quarantine", "show", ids[3], "--raw")
        rows = self.pd.json("quarantine", "stats", "--by", "customer,class", "--since", "1d", "--customer", "acme")["rows"]
        self.assertTrue(rows[0]["released"] >= 1 and rows[0]["customer"] == "acme", rows)
        self.assertIn(b"TEST_EIGHT", self.pd.ctl("quarantine", "rules").stdout)
        for wrong in (["list", "--since", "yesterday"], ["list", "--limit", "many"], ["release"], ["sell", "x"], ["list", "--state", "gone"]):
            r = self.pd.ctl("quarantine", *wrong, check=False)
            self.assertEqual((r.returncode, r.stdout, r.stderr != b""), (2, b"", True), wrong)
        # all of it is in the audit log: who by the kernel's word, what, to which mail, whose it was; and not a word can be changed
        log = self.pd.json("audit", "list", "--limit", "100")["entries"]
        done = {(e["action"], e["target"].split()[0]): e for e in log}
        for what in (("mail.request", ids[0]), ("mail.deny", ids[0]), ("mail.delete", ids[1]), ("mail.delete", ids[2]), ("mail.undo", ids[1]),
                     ("mail.release", ids[3]), ("mail.approve.failed", ids[1]), ("mail.release.failed", "qnone"), ("mail.ham", ids[3]),
                     ("mail.download", ids[3])):
            self.assertIn(what, done)
            e = done[what]
            self.assertEqual((e["from"], e["actor"]), ("uid %d" % os.getuid(), "policyctl " + pwd.getpwuid(os.getuid()).pw_name))
            self.assertEqual(e["customer"], "" if what[1] == "qnone" else "acme")
        self.assertEqual((done["mail.request", ids[0]]["note"], done["mail.release", ids[3]]["target"]), ("mine", ids[3] + " ctl@acme.example"))
        self.assertIn("nobody has asked", done["mail.approve.failed", ids[1]]["note"])
        self.pd.ctl("audit", "verify")
        path = self.d("state/review/audit.log")
        with open(path, "rb") as f:
            before = f.read()
        for broken in (before.replace(b"mail.delete", b"mail.unseen", 1), before[:before[:-1].rindex(b"\n") + 1], b""):
            with open(path, "wb") as f:
                f.write(broken)
            self.assertEqual(self.pd.ctl("audit", "verify", check=False).returncode, 1)
        with open(path, "wb") as f:
            f.write(before)
        self.pd.ctl("audit", "verify")

    # ---- what is on the disk ----

    def segments(self):
        return {n: open(self.d("state/quarantine", n), "rb").read() for n in os.listdir(self.d("state/quarantine")) if n.endswith(".seg")}

    def test_sealed(self):
        """Neither words nor addresses of a held mail stand in the segments."""
        self.hold(["sealed@acme.example"], subject="sealedsubject", body="sealedbody " * 20 + "\r\n")
        for word in (b"sealedsubject", b"sealedbody", b"sealed@acme", b"sender.example"):
            for name, data in self.segments().items():
                self.assertNotIn(word, data, name)

    def test_campaign_is_stored_once(self):
        """The body once a customer, however many mails; each comes out exactly as it came in."""
        body = base64.b64encode(os.urandom(60000)).decode()
        body = "".join(body[i:i + 76] + "\r\n" for i in range(0, len(body), 76))
        before = sum(map(len, self.segments().values()))
        sent = {}
        for i in range(10):
            who = "c%d@%s" % (i, "zeta.example" if i % 5 == 0 else "acme.example")
            sent[who] = points(8, "campaign %d" % i, body=body)
            self.assertEqual(self.milter.send(sent[who], [who])["reply"][0], "d")
        grown = sum(map(len, self.segments().values())) - before
        self.assertLess(grown, 2 * len(body) + 10 * 3000)
        self.assertGreater(grown, 2 * 60000)                         # one a customer: they share no key
        for who, data in sent.items():
            entry = self.entries(rcpt=who)[0]
            self.assertEqual(self.store.ask("show", raw=True, id=entry["id"])[1], data)
        self.assertEqual(len(self.entries(body=entry["body"])), 10)
        self.store.ask("rebuild")
        self.assertEqual(len(self.entries(body=entry["body"])), 10)
        self.assertEqual(self.store.ask("show", raw=True, id=entry["id"])[1], data)

    def test_damage(self):
        """Any octet of a stored record changed: shown as damaged, never released; also through a body that is shared."""
        body = "The same words for everyone, again and again. %d\r\n"
        self.hold(["d0@acme.example"], subject="damage 0", body="".join(body % i for i in range(40)))
        self.hold(["d1@acme.example"], subject="damage 1", body="".join(body % i for i in range(40)))
        first, second = (self.store.ask("show", id=self.entries(rcpt="d%d@acme.example" % i)[0]["id"]) for i in (0, 1))
        path = self.d("state/quarantine", first["segment"])
        self.assertEqual(first["segment"], second["segment"])
        with open(path, "r+b", buffering=0) as f:
            for at in range(first["offset"], second["offset"]):
                f.seek(at)
                octet = f.read(1)
                f.seek(at)
                f.write(bytes([octet[0] ^ (1 << (at % 8))]))
                for entry in (first, second):
                    shown, raw = self.store.ask("show", raw=True, id=entry["entries"][0]["id"])
                    self.assertTrue(shown["damaged"] and raw is None, "octet %d" % (at - first["offset"]))
                f.seek(at)
                f.write(octet)
            f.seek(first["offset"] + 200)
            octet = f.read(1)
            f.seek(first["offset"] + 200)
            f.write(bytes([octet[0] ^ 1]))
            for entry in (first, second):
                result = self.store.ask("change", op="release", ids=[entry["entries"][0]["id"]])["results"][0]
                self.assertEqual((result["state"], result["done"]), ("new", False), result)
                self.assertIn("damaged", result["reply"])
            f.seek(first["offset"] + 200)
            f.write(octet)
        self.assertEqual(self.sink.to("d0@acme.example") + self.sink.to("d1@acme.example"), [])

    def test_index_of_another_version(self):
        """An index that an older or newer policyd left behind is made anew from the segments."""
        self.hold(["version@acme.example"], subject="another version")
        self.store.ask("change", op="seen", ids=[self.entries(rcpt="version@acme.example")[0]["id"]])
        before = sorted((e["id"], e["n"], e["state"]) for e in self.entries(limit=1000))
        os.kill(self.pd.pids()["store"], signal.SIGSTOP)
        with sqlite3.connect(self.d("state/quarantine/index.sqlite")) as db:
            db.execute("PRAGMA user_version=1")
        os.kill(self.pd.pids()["store"], signal.SIGKILL)
        wait_until(self.pd.ready)
        self.store = Store(self.d("state/run/store.sock"))
        self.assertEqual(sorted((e["id"], e["n"], e["state"]) for e in self.entries(limit=1000)), before)

    def test_backup(self):
        """The keys into a file, sealed or not; without them nothing opens; back again, it does."""
        self.hold(["key@acme.example"], subject="needs its key")
        entry = self.entries(rcpt="key@acme.example")[0]
        secret = self.d.write("passphrase", "correct horse battery\n", 0o600)
        keys = self.d("state/quarantine/keys")
        plain, sealed = self.d("plain.json"), self.d("sealed.json")
        self.pd.ctl("backup", plain)
        self.pd.ctl("backup", sealed, "--passphrase-file", secret)
        self.assertEqual(os.stat(plain).st_mode & 0o777, 0o600)
        self.assertNotEqual(self.pd.ctl("backup", plain, check=False).returncode, 0)       # never over another file
        hexes = {k["key"] for k in json.load(open(plain))["keys"]}
        self.assertGreaterEqual(len(hexes), 1)
        self.assertFalse(any(h in open(sealed).read() for h in hexes))
        os.rename(keys, keys + ".lost")
        os.mkdir(keys, 0o700)
        os.kill(self.pd.pids()["store"], signal.SIGKILL)
        wait_until(self.pd.ready)
        self.store = Store(self.d("state/run/store.sock"))
        shown = self.store.ask("show", id=entry["id"])
        self.assertTrue(shown["damaged"])
        self.assertIn("policyctl restore", shown["why"])
        wrong = self.d.write("wrong", "incorrect horse\n", 0o600)
        self.assertEqual(self.pd.ctl("restore", sealed, "--passphrase-file", wrong, check=False).returncode, 1)
        self.assertEqual(self.pd.ctl("restore", sealed, check=False).returncode, 1)
        self.pd.ctl("restore", sealed, "--passphrase-file", secret)
        self.pd.ctl("reload")
        self.assertFalse(wait_until(lambda: not self.store.ask("show", id=entry["id"])["damaged"]) is None)
        again = self.pd.ctl("restore", plain)
        self.assertIn(b"0 of them were not here", again.stdout)


class ReleaseLink(unittest.TestCase):
    def test_the_sender_asks(self):
        """The rejection has a link; a GET of it, a scanner's POST and a wrong address ask for nothing; the sender's does."""
        d, sink = Dir(), Sink()
        self.addCleanup(d.close)
        self.addCleanup(sink.close)
        pd = Policyd(d, reinject=sink.port, review=free_port())
        self.addCleanup(pd.close)
        pd.set("domain:acme.example", customer="acme", tag="4", quarantine="6", discard="7", top_action="reject", keep_rejected="true", release_link="true")
        milter = Milter(("127.0.0.1", pd.milter_port))
        self.addCleanup(milter.close)
        kind, text = milter.send(points(8, "please read"), ["a@acme.example"])["reply"]
        path = re.search(r"http://[^/ ]+(/ask/[a-z0-9-]+)", text).group(1)
        held = pd.quarantine(rcpt="a@acme.example")[0]
        self.assertEqual((kind, path), ("y", "/ask/" + held["id"]))

        def state():
            return pd.quarantine(rcpt="a@acme.example")[0]["state"]
        page = Browser(pd.review).get(path)
        self.assertEqual(page.status, 200)
        self.assertNotIn("please read", page.text)
        answers = set()
        for where, address in ((path, ""), (path, "eve@elsewhere.example"), ("/ask/qaaaaaaaaaaaaaaa", "ann@sender.example")):
            answer = Browser(pd.review).post(where, {"address": address})
            answers.add((answer.status, re.sub(r"/ask/[a-z0-9]*|nonce-[^'\"]*", "", answer.text)))
        self.assertEqual((len(answers), state()), (1, "new"), answers)
        Browser(pd.review).post(path, {"address": "Ann@Sender.example"})
        self.assertEqual((state(), pd.quarantine(rcpt="a@acme.example")[0]["actor"]), ("requested", "ann@sender.example"))


if __name__ == "__main__":
    unittest.main()
