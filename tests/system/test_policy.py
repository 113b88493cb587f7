"""Policies by policyctl, with a real Redis: levels, lists, bulk import and export, history and rollback, other filters' dumps, a
second node, a start without Redis."""
import json
import os
import re
import time
import unittest

from tests.lib.mail import mail, points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))


class Policies(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.pd = Policyd(cls.d, policy=False)
        cls.addClassCleanup(cls.pd.close)

    def values(self, key):
        return self.pd.json("policy", "get", key)["values"]

    def outcome(self, data, rcpt, **more):
        self.d.write("m.eml", data)
        args = [a for k, v in more.items() for a in ("--" + k, v)]
        return self.pd.json("scan", self.d("m.eml"), "--rcpt", rcpt, *args)["recipients"][0]["outcome"]

    def test_explain(self):
        self.pd.set("tier:gold", **{"max.retention_days": "60"})
        self.pd.set("customer:acme", tier="gold", tag="3.5", locked="virus")
        self.pd.set("domain:shop.example", customer="acme", subject_tag="[SPAM] ")
        self.pd.set("bob@shop.example", quarantine="off", retention_days="30")
        r = {f["field"]: f for f in self.pd.json("policy", "explain", "Bob+x@SHOP.example")["fields"]}
        self.assertEqual([(r[f]["value"], r[f]["level"]) for f in ("tag", "quarantine", "subject_tag", "discard", "retention_days")],
                         [("3.5", "customer"), ("off", "mailbox"), ("[SPAM] ", "domain"), ("15", "default"), ("30", "mailbox")])
        self.assertEqual(r["tag"]["record"], "customer:acme")
        self.assertTrue(r["tag"]["change"]["who"])
        self.assertAlmostEqual(r["tag"]["change"]["time_ms"] / 1000, time.time(), delta=60)
        out = self.pd.ctl("policy", "set", "bob@shop.example", "virus=deliver", check=False)
        self.assertEqual(out.returncode, 2)
        self.assertIn("virus=deliver: it is locked at customer:acme", out.stderr.decode())
        self.assertIn("from customer (customer:acme), set 20", self.pd.ctl("policy", "explain", "bob@shop.example").stdout.decode())

    def test_lists(self):
        self.pd.set("lists@test.example", tag="off", quarantine="6", discard="off")
        held, clean = points(8, "held"), mail("clean")
        self.assertEqual(self.outcome(held, "lists@test.example"), "quarantine")
        self.pd.ctl("policy", "allow", "lists@test.example", "from:ann@sender.example", "--comment", "a friend")
        self.assertEqual(self.outcome(held, "lists@test.example"), "quarantine")     # anybody can write that name
        self.pd.ctl("policy", "allow", "lists@test.example", "from:ann@sender.example", "--force")
        self.assertEqual(self.outcome(held, "lists@test.example"), "deliver")
        self.pd.ctl("policy", "allow", "lists@test.example", "from:ann@sender.example", "--force", "--until", "2020-01-01")
        self.assertEqual(self.outcome(held, "lists@test.example"), "quarantine")
        self.pd.ctl("policy", "block", "lists@test.example", "domain:sender.example")
        self.assertEqual(self.outcome(clean, "lists@test.example"), "reject")
        self.pd.ctl("policy", "unlist", "lists@test.example", "domain:sender.example")
        self.assertEqual(self.outcome(clean, "lists@test.example"), "deliver")
        self.assertNotIn("block", self.values("lists@test.example"))

    def test_import_is_whole_by_customer(self):
        self.d.write("i.jsonl", "\n".join(json.dumps(r) for r in (
            {"key": "a@one.example", "values": {"tag": 2}}, {"key": "domain:one.example", "values": {"customer": "one"}},
            {"key": "domain:two.example", "values": {"customer": "two"}}, {"key": "b@two.example", "values": {"tag": 9}},
            {"key": "customer:one", "values": {"quarantine": 8}}, {"key": "c@two.example", "values": {"tag": 2}})))
        out = self.pd.ctl("policy", "import", self.d("i.jsonl"), check=False)
        self.assertEqual(out.returncode, 2, out.stderr)
        self.assertRegex(out.stderr.decode(), r"i\.jsonl:4: b@two\.example: tag=9 must be below quarantine=7; of this customer nothing is changed \((3|6) records\)")
        self.assertEqual(self.values("c@two.example"), {})
        self.d.write("i.csv", "key,tag,subject_tag\na@csv.example,2,\"[a, \"\"b\"\"] \"\nb@csv.example,,\n")
        self.pd.ctl("policy", "import", self.d("i.csv"))
        self.assertEqual(self.values("a@csv.example"), {"tag": "2", "subject_tag": "[a, \"b\"] "})
        for bad, says in (("key,tag\nnobody,2,3\n", "i.csv:2: 3 cells; expected 2"), ("name\n", "expected key as the first column")):
            self.d.write("i.csv", bad)
            out = self.pd.ctl("policy", "import", self.d("i.csv"), check=False)
            self.assertEqual(out.returncode, 2)
            self.assertIn(says, out.stderr.decode())

    def test_export_and_diff(self):
        self.pd.set("customer:exp", tag="2")
        self.pd.set("domain:exp.example", customer="exp", delimiters="+-", catch_all="x@exp.example")
        self.pd.ctl("policy", "block", "x@exp.example", "ip:192.0.2.0/24", "--comment", "noise")
        out = self.pd.ctl("policy", "export", "--customer", "exp").stdout
        self.assertEqual(len(out.splitlines()), 3)
        self.d.write("e.jsonl", out)
        self.assertIn("3 records, 0 would change", self.pd.ctl("policy", "diff", self.d("e.jsonl")).stderr.decode())
        self.d.write("e.jsonl", out.replace(b'"tag":"2"', b'"tag":"2.5"'))
        r = self.pd.ctl("policy", "diff", self.d("e.jsonl"))
        self.assertIn('customer:exp\n  - tag="2"\n  + tag="2.5"\n', r.stdout.decode())
        self.assertEqual(self.values("customer:exp"), {"tag": "2"})

    def test_history_and_rollback(self):
        self.pd.set("customer:hist", tag="2")
        self.pd.set("domain:hist.example", customer="hist")
        self.pd.set("a@hist.example", tag="1")
        time.sleep(1.1)
        then = time.strftime("%Y-%m-%dT%H:%M:%S")
        time.sleep(1.1)
        self.pd.set("customer:hist", tag="3")
        self.pd.set("a@hist.example", tag="2", discard="off")
        self.pd.set("b@hist.example", tag="1")
        self.pd.ctl("policy", "unset", "domain:hist.example", "customer") if False else None
        h = self.pd.json("policy", "history", "a@hist.example")["entries"]
        self.assertEqual([c for e in h for c in e["changes"] if c[0] == "mailbox:a@hist.example"][0][1:], ['{"tag":"1"}', '{"tag":"2","discard":"off"}'])
        self.assertTrue(h[0]["who"])
        self.pd.ctl("policy", "rollback", "customer:hist", then)
        self.assertEqual((self.values("customer:hist"), self.values("a@hist.example"), self.values("b@hist.example")), ({"tag": "2"}, {"tag": "1"}, {}))
        self.assertIn("rollback to", self.pd.ctl("policy", "history", "customer:hist").stdout.decode())

    def test_simulate(self):
        """Recent mail's recorded scores under another policy, and one mail scanned under it; nothing is changed by either."""
        self.pd.set("customer:sim", tag="3", quarantine="6", discard="off")
        self.pd.set("domain:sim.example", customer="sim")
        self.pd.set("a@sim.example", tag="off")
        m = Milter(("127.0.0.1", self.pd.milter_port))
        for n in (0, 2, 5, 8):
            m.send(points(n, "sim %d" % n), ["a@sim.example", "b@sim.example"])
        m.close()
        wait_until(lambda: self.pd.json("policy", "simulate", "customer:sim", "tag=1.5")["recipients"] == 8)
        r = self.pd.json("policy", "simulate", "customer:sim", "quarantine=4.5")
        self.assertEqual({(o["from"], o["to"]): o["count"] for o in r["outcomes"]},
                         {("deliver", "deliver"): 4, ("deliver", "quarantine"): 1, ("tag", "quarantine"): 1, ("quarantine", "quarantine"): 2})
        self.assertEqual((r["changed"], r["customer"], r["not_simulated"]), (2, "sim", []))
        self.assertEqual(sorted(e["recipient"] for e in r["examples"]), ["a@sim.example", "b@sim.example"])
        r = self.pd.json("policy", "simulate", "b@sim.example", "discard=8", "dnsbl=off")
        self.assertEqual([(e["recipient"], e["from"], e["to"]) for e in r["examples"]], [("b@sim.example", "quarantine", "discard")])
        self.assertEqual(r["not_simulated"], ["dnsbl"])
        self.assertEqual(self.values("customer:sim"), {"tag": "3", "quarantine": "6", "discard": "off"})
        for args, says in ((["customer:sim", "tag=8"], "tag=8 must be below quarantine=6"), (["customer:sim", "tga=8"], 'did you mean "tag"'),
                           (["tier:t", "tag=2"], "name one with --customer"), (["customer:sim"], "expected policy simulate KEY")):
            out = self.pd.ctl("policy", "simulate", *args, check=False)
            self.assertEqual(out.returncode, 2)
            self.assertIn(says, out.stderr.decode())
        self.d.write("sim.eml", points(5, "one"))
        out = self.pd.ctl("policy", "simulate", "customer:sim", "quarantine=4.5", "--mail", self.d("sim.eml"), "--rcpt", "b@sim.example").stdout.decode()
        self.assertRegex(out, r"now: +tag +5\.\d\d points\nchanged: +quarantine +5\.\d\d points")
        self.assertEqual(self.outcome(points(5, "again"), "b@sim.example"), "tag")

    def test_canary(self):
        """A stable share of the mailboxes has another policy: a report of what fared otherwise, promotion, and an end by itself."""
        self.pd.set("customer:can", tag="3", quarantine="10", discard="off")
        self.pd.set("domain:can.example", customer="can")
        names = ["u%d@can.example" % n for n in range(40)]
        for n in names[:4]:
            self.pd.set(n, retention_days="9")
        tag = lambda: {n: [f["value"] for f in self.pd.json("policy", "explain", n)["fields"] if f["field"] == "quarantine"][0] for n in names}
        for bad, says in ((["tag=11"], "tag=11 must be below quarantine=10"), (["tga=1"], 'did you mean "tag"'), (["tag=1", "--share", "0"], "percents: of the mailboxes, 1 to 99")):
            out = self.pd.ctl("policy", "canary", "customer:can", *bad, check=False)
            self.assertEqual(out.returncode, 2)
            self.assertIn(says, out.stderr.decode())
        self.pd.ctl("policy", "canary", "customer:can", "quarantine=7", "--share", "30", "--most", "10")
        drawn = tag()
        inside = sorted(n for n, v in drawn.items() if v == "7")
        self.assertEqual({v for n, v in drawn.items() if n not in inside}, {"10"})
        self.assertTrue(4 <= len(inside) <= 20, inside)
        self.assertEqual(drawn, tag())
        self.assertEqual(self.pd.json("policy", "explain", inside[0].replace("@", "+x@"))["canary"], "customer:can")
        m = Milter(("127.0.0.1", self.pd.milter_port))
        for n in range(3):
            m.send(points(0, "fine %d" % n), names)
        wait_until(lambda: self.pd.json("policy", "canary", "customer:can")["counts"].get("seen") == 3 * len(inside))
        m.send(points(8, "held"), [inside[0]] + [n for n in names if n not in inside][:2])
        wait_until(lambda: self.pd.json("policy", "canary", "customer:can")["counts"].get("tag>quarantine") == 1)
        r = self.pd.json("policy", "canary", "customer:can")
        self.assertTrue(r["in_force"] and len(r["changes"]) == 1 and r["counts"]["held"] == 1, r)
        self.assertEqual(sorted(n for n, v in tag().items() if v == "7"), inside)
        # More than a tenth of their mail held: it ends by itself, and the history says why.
        m.send(points(8, "held more"), inside)
        m.send(points(8, "held yet more"), inside)
        m.close()
        wait_until(lambda: not self.pd.json("policy", "canary", "customer:can")["in_force"])
        self.assertEqual(set(tag().values()), {"10"})
        self.assertEqual(self.values("customer:can"), {"tag": "3", "quarantine": "10", "discard": "off"})
        self.assertRegex(self.pd.ctl("policy", "history", "customer:can").stdout.decode(), r"by policyd: canary ended: it held \d+ of \d+ mails that would")
        self.assertEqual(self.pd.json("stats")["policy_canaries_ended"], 1)
        self.pd.ctl("policy", "canary", "customer:can", "quarantine=9.5")
        self.pd.ctl("policy", "canary", "customer:can", "promote")
        self.assertEqual(self.values("customer:can"), {"tag": "3", "quarantine": "9.5", "discard": "off"})
        self.assertEqual(set(tag().values()), {"9.5"})

    def foreign(self, name, *args):
        out = self.pd.ctl("policy", "import", os.path.join(HERE, "policies", name), *args, check=False)
        self.assertEqual(out.returncode, 0, out.stderr)
        return out.stderr.decode()

    def test_from_amavis(self):
        said = self.foreign("amavis-mysql.sql", "--format", "amavis")
        self.assertEqual(self.values("domain:shop.example")["tag"], "4.5")
        self.assertEqual(self.values("domain:shop.example")["discard"], "12")
        self.assertEqual(list(self.values("domain:shop.example")["block"]), ["domain:spam.example"])
        bob = self.values("bob@shop.example")
        self.assertEqual({k: bob[k] for k in ("tag", "quarantine", "discard", "folder", "subject_tag", "banned", "unscannable")},
                         {"tag": "3.25", "quarantine": "6.9", "discard": "20", "folder": "spam", "subject_tag": "[Bob's] ", "banned": "deliver", "unscannable": "deliver"})
        self.assertEqual((list(bob["allow"]), list(bob["block"])), (["from:ann@friend.example"], ["domain:letters.example"]))
        self.assertEqual(self.values("domain:*.dept.example"), self.values("domain:dept.example"))
        self.assertEqual(self.values("all@shop.example"), {"tag": "off", "quarantine": "off", "discard": "off", "virus": "deliver", "subject_tag": ""})
        for line in ('"@.": what holds for all', "message_size_limit=65536", "bad_header_lover=Y", "spam_tag_level=2", '"lost@shop.example" has policy 9',
                     '"sales@"', "all@shop.example: a score"):
            self.assertRegex(said, r"not translated: \S+:\d+: .*" + re.escape(line))
        self.foreign("amavis-postgres.sql", "--format", "amavis")
        self.assertEqual((self.values("eve@pg.example"), self.values("domain:pg.example")), ({"tag": "5.5", "discard": "11"}, {"discard": "9.5"}))

    def test_from_spamassassin(self):
        said = self.foreign("user_prefs", "--format", "spamassassin", "--key", "sa@prefs.example")
        v = self.values("sa@prefs.example")
        self.assertEqual((v["tag"], v["subject_tag"], sorted(v["allow"]), list(v["block"])),
                         ("3.5", "*****SPAM***** ", ["domain:letters.example", "from:ann@friend.example"], ["domain:spam.example"]))
        for line in ("score URIBL_DBL_SPAM 0", "ok_languages en", "bad?guy@x.example"):
            self.assertIn(line, said)

    def test_from_rspamd(self):
        self.pd.ctl("policy", "unset", "domain:shop.example", check=False)
        for m in "bob", "eve", "all":
            self.pd.ctl("policy", "unset", m + "@shop.example", check=False)
        said = self.foreign("settings.conf", "--format", "rspamd")
        self.assertEqual(self.values("domain:shop.example"), {"tag": "5.5", "discard": "14.5", "top_action": "reject", "subject_tag": "[JUNK] "})
        self.assertEqual(self.values("bob@shop.example"), {"tag": "3", "quarantine": "7"})
        self.assertEqual(self.values("all@shop.example"), {"filter": "false"})
        for line in ("settings shop: action greylist", "settings shop: apply groups_disabled", "settings partner: condition from", "a pattern"):
            self.assertIn(line, said)

    def test_from_proxmox(self):
        self.pd.ctl("policy", "unset", "bob@shop.example", check=False)
        said = self.foreign("userprefs.sql", "--format", "proxmox")
        bob = self.values("bob@shop.example")
        self.assertEqual((sorted(bob["allow"]), list(bob["block"])), (["domain:letters.example", "from:ann@friend.example"], ["domain:spam.example"]))
        self.assertIn("userprefs of eve@shop.example: LANG", said)

    def test_broken_imports(self):
        """A file that is cut short or wrong anywhere: file, line, what stands there, what was expected; nothing of it is imported."""
        cases = (
            ("rspamd", "shop {\n  rcpt = \"@broken.example\";\n  apply { actions { reject = 12; } }\n", r"f:4: the file ends; expected }"),
            ("rspamd", "shop { rcpt = \"@broken.example\"; apply { actions { reject = twelve; } } }\n", r'f:1: discard="twelve": expected a number of points'),
            ("rspamd", "shop { rcpt = [ \"@broken.example\"; apply { actions { reject = 12; } } }\n", r"f:1: expected \]"),
            ("rspamd", "shop { rcpt = \"@broken.example; }\n", r"f:\d: the file ends in a text"),
            ("rspamd", "shop { rcpt = \"@broken.example\"; apply { actions { reject = 12; } } } }\n", r"f:1: } without {"),
            ("amavis", "CREATE TABLE policy (id int, spam_tag2_level float);\nINSERT INTO policy VALUES\n(1,2.5),\n(2,'x);\n", r"f:5: INSERT INTO policy: 2 values; expected 2"),
            ("amavis", "CREATE TABLE policy (id int, spam_tag2_level float);\nINSERT INTO policy VALUES\n(1,2.5),\n(2,3,4);\n", r"f:4: INSERT INTO policy: 3 values; expected 2"),
            ("amavis", "CREATE TABLE policy (id int, spam_tag2_level float);\nINSERT INTO policy VALUES (1,'much');\nCREATE TABLE users (id int, policy_id int, email varchar(255));\n"
                       "INSERT INTO users VALUES (1,1,'a@broken.example');\n", r'f:2: tag="much": expected a number of points'),
            ("proxmox", "COPY userprefs (pmail, name, data) FROM stdin;\na@broken.example\tWL\tx@y.example\nb@broken.example\tWL\n\\.\n", r"f:3: COPY userprefs: a row of 2 cells or more; expected 3"),
            ("proxmox", "COPY userprefs (pmail, name, data) FROM stdin;\na@broken.example\tWL\tx@y.example\n", r"f:\d: COPY userprefs: the file ends"),
            ("proxmox", "COPY userprefs (pmail, name, data) FROM stdin;\n\na@broken.example\tWL\tx@y.example\n\\.\n", r"f:2: COPY userprefs: a row of 1 cells"),
            ("csv", "key,tag\na@broken.example,2\nb@broken.example\n", r"f:3: 1 cells; expected 2"),
            ("csv", "key,tag\na@broken.example,2\nb@broken.example,two\n", r'f:3: .*tag: "two" is not'),
            ("csv", "key,tga\na@broken.example,2\n", r'f:2: .*unknown field "tga"; did you mean "tag"'),
            ("jsonl", '{"key":"a@broken.example","values":{"tag":2}}\n{"key":"b@broken.example","values":{"tag":2}\n', r"f:2: no JSON: "),
            ("jsonl", '{"key":"a@broken.example","values":{"tag":2}}\n{"key":"b@broken.example","values":[]}\n', r"f:2: expected \{"),
            ("jsonl", '{"key":"a@broken.example","values":{"tag":2}}\n{"key":"b@brok en.example","values":{}}\n', r'f:2: "b@brok en.example": expected mailbox:'),
            ("jsonl", '{"key":"a@broken.example","values":{"tag":2}}\n{"key":"b@broken.example","values":{"tag":2,"alias_of":"c@broken.example d"}}\n', r"f:2: .*alias_of"),
            ("jsonl", b'{"key":"a@broken.example","values":{"tag":2}}\n{"key":"b@broken.example\x00","values":{"tag":2}}\n', r"f:2: no JSON: "),
            ("jsonl", b'{"key":"a@broken.example","values":{"subject_tag":"\xff\xfe"}}\n', r"f:1: no JSON: "),
        )
        for form, text, says in cases:
            with self.subTest(form=form, text=text):
                self.d.write("f", text)
                out = self.pd.ctl("policy", "import", self.d("f"), "--format", form, check=False)
                self.assertEqual(out.returncode, 2, out.stderr)
                self.assertRegex(out.stderr.decode(), says)
                self.assertEqual([r["key"] for r in self.pd.json("policy", "list", "mailbox:a@broken")["records"]], [])
                self.assertEqual([r["key"] for r in self.pd.json("policy", "list", "domain:broken")["records"]], [])
        # What a level above has locked or bounded, by every door.
        self.pd.set("tier:fence", **{"max.retention_days": "10", "min.virus": "quarantine", "locked": "own_model"})
        self.pd.set("customer:fence", tier="fence")
        self.pd.set("domain:fence.example", customer="fence")
        for values, says in (({"retention_days": 11}, "retention_days=11: at most 10 by tier:fence"), ({"virus": "tag"}, "virus=tag: at least quarantine by tier:fence"),
                             ({"own_model": True}, "own_model=true: it is locked at tier:fence")):
            for key in "customer:fence", "domain:fence.example", "a@fence.example":
                self.d.write("f", json.dumps({"key": key, "values": dict(values, **{"tier": "fence"} if key[0] == "c" else {"customer": "fence"} if key[0] == "d" else {})}) + "\n")
                for args in (["import", self.d("f")], ["import", self.d("f"), "--merge"], ["import", self.d("f"), "--dry-run"],
                             ["set", key] + ["%s=%s" % (k, str(v).lower()) for k, v in values.items()],
                             ["simulate", key] + ["%s=%s" % (k, str(v).lower()) for k, v in values.items()]):
                    out = self.pd.ctl("policy", *args, check=False)
                    self.assertEqual(out.returncode, 2, (args, out.stderr))
                    self.assertIn(says, out.stderr.decode())
            out = self.pd.ctl("policy", "canary", "customer:fence", *["%s=%s" % (k, str(v).lower()) for k, v in values.items()], check=False)
            self.assertIn(says, out.stderr.decode())
        self.assertEqual(self.values("customer:fence"), {"tier": "fence"})

    def test_second_node_and_no_redis(self):
        d = Dir()
        self.addCleanup(d.close)
        two = Policyd(d, policy=False, settings='redis = { url = "unix://%s"; };' % self.d("state/run/redis.sock"))
        self.addCleanup(lambda: two.p.alive() and two.close())
        self.pd.set("a@nodes.example", tag="1.5")
        start = time.monotonic()
        wait_until(lambda: two.json("policy", "get", "a@nodes.example")["values"].get("tag") == "1.5", 5, 0.01)
        self.assertLess(time.monotonic() - start, 1.0)
        two.set("a@nodes.example", tag="1.25")
        wait_until(lambda: self.values("a@nodes.example").get("tag") == "1.25", 5, 0.01)
        two.ctl("policy", "unset", "a@nodes.example")
        wait_until(lambda: self.values("a@nodes.example") == {}, 5, 0.01)
        records = two.policy_status()["records"]
        two.close()
        alone = Policyd(d, policy=False, settings='redis = { url = "redis://127.0.0.1:%d/0"; };' % free_port())
        self.addCleanup(alone.close)
        self.assertEqual(alone.policy_status()["records"], records)
        out = alone.ctl("policy", "set", "a@nodes.example", "tag=1", check=False)
        self.assertEqual(out.returncode, 1)
        self.assertIn("Redis is not reachable", out.stderr.decode())


if __name__ == "__main__":
    unittest.main()
