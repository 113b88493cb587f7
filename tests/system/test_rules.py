"""The newcomer's path, as README tells it: write a rule, be told what is wrong, fix it, test it, try it in shadow, look at a corpus,
promote it, see it in `scan --explain`. And: one hostile rule costs nobody else his time; it is switched off, said and counted."""
import base64
import contextlib
import http.server
import io
import os
import subprocess
import sys
import threading
import time
import unittest
import zlib

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from tests.lib.policyd import Policyd
from tests.lib.procs import BUILD, TOP, Dir, wait_until

RULE = """rule {
  symbol = "WIRE_TODAY", score = %s, group = "money", mode = "shadow",
  description = "Asks for a wire transfer today",
  %s = [[\\bwire (?:transfer )?(?:\\w+ )?today\\b]],
  tests = {
    { text = "Please wire it today, I am in a meeting.", hit = true, evidence = "[wire it today]" },
    { text = "We wired the new office last week.", hit = false },
  },
}
"""
MAIL = b"From: ceo@firm.example\r\nTo: u@test.example\r\nSubject: quick\r\nMessage-ID: <1@firm.example>\r\nDate: Mon, 1 Jan 2024 10:00:00 +0000\r\n\r\nPlease wire it today.\r\n"


def ctl(*args):
    return subprocess.run([os.path.join(BUILD, "policyctl")] + list(args), cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class NewcomersPath(unittest.TestCase):
    def test_from_typo_to_force(self):
        with contextlib.closing(Dir()) as d:
            rules = d("rules")
            os.makedirs(rules)
            path = os.path.join(rules, "mine.lua")

            def write(text):
                with open(path, "w") as f:
                    f.write(text)

            write(RULE % ("9", "bdy"))                                   # a typo: what, where, and what was meant
            r = ctl("rules", "check", rules)
            self.assertEqual(r.returncode, 1)
            self.assertIn("mine.lua:4:3: WIRE_TODAY: unknown field bdy; did you mean body?", r.stderr.decode())

            write((RULE % ("9", "body")).replace("\\w+ )?today", "\\w+ today"))
            r = ctl("rules", "check", rules)
            self.assertEqual(r.returncode, 1)
            self.assertRegex(r.stderr.decode(), r"mine\.lua:4:\d+: WIRE_TODAY: re: missing closing parenthesis")

            write((RULE % ("9", "body")).replace("wired the", "wire today the"))         # its own test says no
            r = ctl("rules", "test", rules)
            self.assertEqual(r.returncode, 1)
            self.assertIn("not ok 2 - WIRE_TODAY 2", r.stdout.decode())
            self.assertIn("found it where it must not", r.stdout.decode())

            write(RULE % ("9", "body"))
            self.assertEqual(ctl("rules", "check", rules).returncode, 0)
            r = ctl("rules", "test", rules)
            self.assertEqual((r.returncode, r.stdout.decode().splitlines()[-1]), (0, "2 passed, 0 failed"))
            self.assertIn("<testcase classname=\"money\" name=\"WIRE_TODAY 1\"", ctl("rules", "test", "--junit", rules).stdout.decode())

            d.write("c/1.eml", MAIL.decode())
            d.write("c/2.eml", MAIL.decode().replace("today", "tomorrow"))
            d.write("c/index", "spam 1.eml\nham 2.eml\n")
            r = ctl("rules", "corpus", "-r", rules, d("c/index"))
            self.assertRegex(r.stdout.decode(), r"WIRE_TODAY +9\.00 +0 +1 +0\.000 +100\.000 +1\.000")

            p = Policyd(d, settings='', sample_rules=False, policy=False, rules=(rules,))
            try:
                d.write("mail.eml", MAIL.decode())
                scan = p.ctl("scan", d("mail.eml"), "--explain").stdout.decode()     # in shadow: seen, and adds nothing
                self.assertRegex(scan, r" 0\.00 +WIRE_TODAY +Please \[wire it today\]\.")
                self.assertIn("in shadow: would add 9.00", scan)

                self.assertEqual(p.ctl("rules", "promote", "WIRE_TODY", check=False).returncode, 2)
                p.ctl("rules", "promote", "WIRE_TODAY", "--why", "the corpus says so")
                scan = p.ctl("scan", d("mail.eml"), "--explain", check=False).stdout.decode()
                self.assertRegex(scan, r" 9\.00 +WIRE_TODAY +Please \[wire it today\]\.")
                self.assertRegex(scan, r"without it <default> deliver instead of quarantine")
                self.assertIn("WIRE_TODAY                       on, by command", p.ctl("rules", "status").stdout.decode())

                p.ctl("rules", "demote", "WIRE_TODAY", "--why", "the boss complained")
                self.assertIn("in shadow", p.ctl("scan", d("mail.eml"), "--explain").stdout.decode())

                write(RULE % ("'a lot'", "body"))                            # a broken file never gets in force
                r = p.ctl("reload", check=False)
                self.assertEqual(r.returncode, 1)
                self.assertIn("score must be a number", r.stderr.decode())
                self.assertIn("in shadow: would add 9.00", p.ctl("scan", d("mail.eml"), "--explain").stdout.decode())
                write((RULE % ("8", "body")).replace("wired the", "wire today the"))         # nor one whose tests fail
                r = p.ctl("reload", check=False)
                self.assertEqual(r.returncode, 1)
                self.assertIn("WIRE_TODAY: test 2: found it where it must not", r.stderr.decode())
                write(RULE % ("8", "body"))
                p.ctl("reload")
                self.assertIn("in shadow: would add 8.00", p.ctl("scan", d("mail.eml"), "--explain").stdout.decode())
            finally:
                p.close()


CF = """# a small channel
header   LOCAL_SUBJ    Subject =~ /\\bcheap\\s+(?:pills|watches)\\b/i
header   LOCAL_NOMAILER X-Mailer !~ /Foo/
header   __HAS_REPLY   exists:Reply-To
body     LOCAL_BODY    /act now.{0,20}offer/i
rawbody  LOCAL_RAW     m{<blink>}i
uri      LOCAL_URI     /^https?:\\/\\/evil\\./
mimeheader LOCAL_MIME  Content-Type =~ /name="?x\\.bin/
meta     LOCAL_META    (LOCAL_SUBJ + LOCAL_BODY > 1) && !__HAS_REPLY && !NOT_THERE
replace_tag   A  [a4@]
body     LOCAL_TAG     /v<A>luable/i
replace_rules LOCAL_TAG
if (version < 3)
body     OLD           /x/
endif
ifplugin Mail::SpamAssassin::Plugin::NoSuch
else
describe LOCAL_BODY    Act now
endif
score    LOCAL_SUBJ    0.1 0.2 0.3 1.5
score    LOCAL_META    2
header   NEEDS_NET     eval:check_rbl('x', 'bl.example.')
header   NEEDS_MORE    eval:no_such_function()
"""
RSPAMD = """BLOCKED { type = "from"; filter = "email:domain"; map = ["evil.example"]; symbol = "FROM_EVIL"; score = 5.0; }
"MONEY" { re = "Subject=/\\\\bcheap\\\\b/i & /act now/i{sa_body}"; score = 2.5; description = "Money"; }
BOTH { expression = "FROM_EVIL & MONEY"; score = 4.0; }
ELSE { type = "asn"; map = "x"; symbol = "ASN_BAD"; }
"""
IMPORT_MAIL = """From: a@evil.example
Subject: cheap pills
MIME-Version: 1.0
Content-Type: text/html

<blink>Act now, this OFFER is v4luable</blink> <a href="http://evil.example/x">x</a>
"""


class Imports(unittest.TestCase):
    def hits(self, d, *args):
        os.makedirs(d("out"), exist_ok=True)
        r = ctl("rules", *args)
        self.assertEqual(r.returncode, 0, r.stderr.decode())
        self.assertEqual(ctl("rules", "check", d("out")).returncode, 0)
        d.write("c/1.eml", IMPORT_MAIL)
        d.write("c/index", "spam 1.eml\n")
        out = ctl("rules", "corpus", "-r", d("out"), "--hits", d("c/index")).stdout.decode()
        return set(out.split("\t")[1].split()), r.stderr.decode()

    def test_spamassassin(self):
        with contextlib.closing(Dir()) as d:
            d.write("in/local.cf", CF)
            hits, report = self.hits(d, "import-sa", "-o", d("out/sa.lua"), d("in"))
            self.assertLessEqual({"SA_LOCAL_" + n for n in ("SUBJ", "NOMAILER", "BODY", "RAW", "URI", "META", "TAG")}, hits)
            self.assertFalse(hits & {"SA_LOCAL_MIME", "SA_OLD"})
            self.assertIn("NEEDS_MORE: eval:no_such_function is not translated", report)
            self.assertIn("1 left to policyd's own network tests", report)
            with open(d("out/sa.lua")) as f:
                self.assertIn("symbol = [[SA_LOCAL_SUBJ]], score = 1.5", f.read())

    def test_rspamd(self):
        with contextlib.closing(Dir()) as d:
            d.write("in/a.conf", RSPAMD)
            hits, report = self.hits(d, "import-rspamd", "-o", d("out/r.lua"), d("in"))
            self.assertLessEqual({"RSPAMD_FROM_EVIL", "RSPAMD_MONEY", "RSPAMD_BOTH"}, hits)
            self.assertIn("ASN_BAD: type asn is not translated", report)


class Maps(unittest.TestCase):
    def test_a_changed_map_is_in_force_in_seconds(self):
        with contextlib.closing(Dir()) as d:
            os.makedirs(d("rules"))
            d.write("rules/a.lua", """map { name = "friends", type = "domains", file = "friends.map" }
rule { symbol = "FROM_FRIEND", score = -1, group = "x", description = "d", header = "From:domain", in_map = "friends" }
""")
            d.write("rules/friends.map", "other.example\n")
            p = Policyd(d, sample_rules=False, policy=False, rules=(d("rules"),))
            try:
                d.write("mail.eml", MAIL.decode())
                scan = lambda: p.ctl("scan", d("mail.eml"), "--explain").stdout.decode()
                self.assertNotIn("FROM_FRIEND", scan())
                d.write("rules/friends.map", "other.example\nfirm.example our own\n")
                wait_until(lambda: "firm.example in friends: firm.example our own" in scan(), 10)
                d.write("rules/friends.map", "no domain\n")         # a broken one changes nothing, and is said
                wait_until(lambda: "friends.map:1: \"no\" where a domain is expected" in p.log(), 10)
                self.assertIn("FROM_FRIEND", scan())
            finally:
                p.close()


class FetchedMaps(unittest.TestCase):
    def test_signed_cached_and_in_force(self):
        with contextlib.closing(Dir()) as d:
            os.makedirs(d("www"))
            subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", d("key.pem")], check=True)
            public = subprocess.run(["openssl", "pkey", "-in", d("key.pem"), "-pubout", "-outform", "DER"], stdout=subprocess.PIPE, check=True).stdout[-32:]

            def publish(text, sign=None):
                d.write("www/feed.map", text)
                d.write("signed", sign or text)
                subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", d("key.pem"), "-rawin", "-in", d("signed"), "-out", d("www/feed.map.sig")], check=True)

            asked = []

            class Serve(http.server.SimpleHTTPRequestHandler):
                def log_message(self, *args):
                    asked.append(args[1:])

                def send_head(self):
                    path = d("www", self.path.strip("/"))
                    with open(path, "rb") as f:
                        body = f.read()
                    tag = '"%08x"' % zlib.crc32(body)
                    known = self.headers.get("If-None-Match") == tag
                    self.send_response(304 if known else 200)
                    self.send_header("ETag", tag)
                    self.end_headers()
                    return io.BytesIO(b"" if known else body)

            server = http.server.HTTPServer(("127.0.0.1", 0), Serve)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            d.write("rules/a.lua", """map { name = "feed", type = "domains", url = "http://127.0.0.1:%d/feed.map", key = "%s" }
rule { symbol = "IN_FEED", score = 2, group = "x", description = "d", header = "From:domain", in_map = "feed" }
""" % (server.server_port, base64.b64encode(public).decode()))
            p = Policyd(d, sample_rules=False, policy=False, rules=(d("rules"),))
            try:
                d.write("mail.eml", MAIL.decode())
                scan = lambda: p.ctl("scan", d("mail.eml"), "--explain").stdout.decode()
                self.assertNotIn("IN_FEED", scan())                      # not fetched yet: said by check, and holds nothing
                publish("firm.example a known one\n")
                self.assertIn("feed: 1 entries", p.ctl("rules", "fetch-maps").stdout.decode())
                wait_until(lambda: "in feed: firm.example a known one" in scan(), 10)
                self.assertIn("feed: as it was", p.ctl("rules", "fetch-maps").stdout.decode())
                publish("other.example\n", sign="something else\n")      # not what was signed: thrown away
                r = p.ctl("rules", "fetch-maps", check=False)
                self.assertEqual(r.returncode, 1)
                self.assertIn("the signature is not that of its key", r.stderr.decode())
                publish("no domain\n")                                   # signed, and no list of domains
                self.assertIn("where a domain is expected", p.ctl("rules", "fetch-maps", check=False).stderr.decode())
                self.assertIn("IN_FEED", scan())
            finally:
                p.close()
                server.shutdown()


HOSTILE = """rule { symbol = "HOSTILE", score = 1, group = "x", description = "runs away on some mail", needs = { "text" },
  when = function(msg) if msg.subject == "bait" then while true do local s = msg.text:rep(100) end end end }
"""


class HostileRule(unittest.TestCase):
    def test_others_do_not_wait(self):
        with contextlib.closing(Dir()) as d:
            os.makedirs(d("rules"))
            d.write("rules/h.lua", HOSTILE)
            p = Policyd(d, settings="workers = { min = 2; max = 4; };", sample_rules=False, policy=False, rules=(d("rules"),))
            try:
                d.write("good.eml", MAIL.decode())
                d.write("bait.eml", MAIL.decode().replace("quick", "bait"))

                def others(count):
                    took = []
                    for _ in range(count):
                        start = time.monotonic()
                        p.ctl("scan", d("good.eml"))
                        took.append(time.monotonic() - start)
                    return sorted(took)[int(count * 0.99) - 1]

                others(10)
                alone = others(60)
                stop = threading.Event()

                def bait():
                    while not stop.is_set():
                        p.ctl("scan", d("bait.eml"), check=False)

                t = threading.Thread(target=bait)
                t.start()
                beside = others(60)
                stop.set()
                t.join()
                # the machine itself is shared: a margin, far below what one runaway rule takes (200 ms a mail)
                self.assertLess(beside, alone * 3 + 0.15, "p99 alone %.3f s, beside a hostile rule %.3f s" % (alone, beside))
                for _ in range(6):           # five failures within a minute, whichever workers they fell to
                    p.ctl("scan", d("bait.eml"), check=False)
                said = p.ctl("scan", d("bait.eml"), "--explain").stdout.decode()
                self.assertIn("switched off after failures: HOSTILE", said)
                self.assertRegex(p.log(), r"rule HOSTILE failed: .*stopped: over its")
                self.assertIn("it is off for 60 s", p.log())
                stats = p.json("stats")
                stats = stats.get("counters", stats)
                self.assertGreaterEqual(stats["rules_failed"], 5)
                self.assertGreaterEqual(stats["rules_switched_off"], 1)
                self.assertIn("switched off for a minute", p.ctl("doctor", check=False).stdout.decode())
            finally:
                p.close()


if __name__ == "__main__":
    unittest.main()
