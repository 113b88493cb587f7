"""Lists of names: links, From, Reply-To, MAIL FROM, HELO and reverse name asked in a real rbldnsd, and in copies of its files."""
import os
import re
import subprocess
import time
import unittest

from tests.lib.mail import mail
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import BUILD, Dir, rbldnsd, wait_until

ZONE = """:127.0.0.2:listed $
test
.spam.example
exact.example
*.below.example
!good.spam.example
*.good.spam.example
:127.0.0.4:phish $
phish.example
www.host.example
both.example :12:two bits
mixed.example :4:
mixed.example :8:
7.113.0.203
evil.co.uk
"""
OFTEN = "big.example\n.bigger.example\n"


class Names(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        dns, cls.dns_port = rbldnsd(cls.d, "uri.test", ZONE, kind="dnset")
        cls.addClassCleanup(dns.stop)
        cls.d.write("copy", ZONE)
        cls.d.write("excluded", OFTEN + ".excluded.example\n")
        os.utime(cls.d("copy"), (1, 1))
        every = '"links", "from", "reply_to", "sender", "helo", "rdns"'
        zones = ['{ zone = "uri.test"; type = "domain"; points = 2.5; ask = ( %s ); }' % every,
                 '{ zone = "uri.test"; name = "bits"; type = "domain"; codes = ( "127.0.0.0/24&4=3:PHISH", "127.0.0.0/24&8=1.5:GREY" ); }',
                 '{ zone = "uri.test"; name = "full"; type = "domain"; points = 1.0; full = true; addresses = true; }',
                 '{ zone = "copy.test"; name = "copy"; type = "domain"; points = 1.0; full = true; addresses = true; ask = ( %s ); local = "%s"; }' % (every, cls.d("copy"))]
        cls.pd = Policyd(cls.d, zones=zones, resolver=cls.dns_port, settings='names_excluded = "%s";' % cls.d("excluded"))
        cls.addClassCleanup(cls.pd.close)
        cls.pd.set("mailbox:bob@test.example", dnsbl="score", quarantine="off", discard="off")
        cls.pd.set("mailbox:off@test.example", dnsbl="off", quarantine="off", discard="off", tag="-50")

    def symbols(self, body="Hello.\r\n", rcpt="bob@test.example", sender="ann@sender.example", headers=(), helo="client.example", **more):
        """{symbol: points} of a mail to bob by the milter, as its header says."""
        m = Milter(("127.0.0.1", self.pd.milter_port), helo=helo)
        self.addCleanup(m.close)
        out = m.send(mail("names", body=body, headers=headers, **more), [rcpt], sender=sender)
        status = [v for _, n, v in out["headers"] if n == "X-Spam-Status"][0]
        return {k: float(v) for k, v in re.findall(r"\b(URIBL_\w+)=(-?[\d.]+)", status)}

    def scan(self, data, *more):
        self.d.write("scan.eml", data)
        return self.pd.json("scan", self.d("scan.eml"), "--rcpt", "bob@test.example", *more)

    def test_link(self):
        """A registrable domain for one list, the whole host for another; a whole name is not listed by its parent."""
        self.assertEqual(self.symbols("See http://www.spam.example/x\r\n"), {"URIBL_URI": 2.5, "URIBL_FULL": 1.0, "URIBL_COPY": 1.0})
        self.assertEqual(self.symbols("See http://www.exact.example/x\r\n"), {"URIBL_URI": 2.5})
        self.assertEqual(self.symbols("See http://www.host.example/x\r\n"), {"URIBL_FULL": 1.0, "URIBL_COPY": 1.0})
        self.assertEqual(self.symbols("See http://www.evil.co.uk/x and http://co.uk/ too\r\n"), {"URIBL_URI": 2.5, "URIBL_BITS_PHISH": 3.0})
        self.assertEqual(self.symbols("See http://other.example/x\r\n"), {})

    def test_codes_are_symbols(self):
        found = self.symbols("http://phish.example/ http://nothing.example/\r\n")
        self.assertEqual(found, {"URIBL_URI": 2.5, "URIBL_BITS_PHISH": 3.0, "URIBL_FULL": 1.0, "URIBL_COPY": 1.0})
        for host in ("both", "mixed"):
            found = self.symbols("http://%s.example/\r\n" % host)
            self.assertEqual({k: v for k, v in found.items() if "BITS" in k}, {"URIBL_BITS_PHISH": 3.0, "URIBL_BITS_GREY": 1.5})

    def test_places(self):
        self.assertEqual(self.symbols(sender="x@mail.spam.example"), {"URIBL_URI_SENDER": 2.5, "URIBL_COPY_SENDER": 1.0, "URIBL_FULL_SENDER": 1.0})
        self.assertIn("URIBL_URI_HELO", self.symbols(helo="mx.spam.example"))
        self.assertEqual(self.symbols(helo="[203.0.113.7]"), {})
        self.assertIn("URIBL_URI_REPLY", self.symbols(headers=["Reply-To: x@spam.example"]))
        found = self.scan(mail("from").replace(b"ann@sender.example", b"ann@spam.example"))
        self.assertIn("URIBL_URI_FROM", [s["name"] for s in found["symbols"]])
        twice = self.symbols("http://spam.example/\r\n", sender="x@spam.example")        # one name in two places: two findings
        self.assertEqual({twice["URIBL_URI"], twice["URIBL_URI_SENDER"]}, {2.5})

    def test_addresses(self):
        """Links to an address are asked only where the list wants them, octets reversed."""
        self.assertEqual(self.symbols("http://203.0.113.7/x http://3405803783/\r\n"), {"URIBL_FULL": 1.0})

    def test_a_list_is_found_once_with_all_its_names(self):
        found = self.scan(mail("many", body="http://a.spam.example/ http://b.spam.example/ http://exact.example/\r\n"))
        symbol = [s for s in found["symbols"] if s["name"] == "URIBL_URI"][0]
        self.assertEqual(symbol["points"], 2.5)
        self.assertIn("spam.example 127.0.0.2, exact.example 127.0.0.2", symbol["evidence"])

    def test_who_switched_lists_off(self):
        m = Milter(("127.0.0.1", self.pd.milter_port))
        self.addCleanup(m.close)
        with_it = m.send(mail("off", body="http://phish.example/\r\n"), ["off@test.example"])["headers"]
        without = m.send(mail("off", body="http://fine.example/\r\n"), ["off@test.example"])["headers"]
        points = [re.search(r"score=(-?[\d.]+)", v).group(1) for hs in (with_it, without) for _, n, v in hs if n == "X-Spam-Status"]
        self.assertEqual(points[0], points[1])

    def test_excluded_names_are_not_asked(self):
        before = self.pd.json("stats")["names_asked"]
        self.assertEqual(self.symbols("http://big.example/ http://www.bigger.example/ http://x.excluded.example/\r\n", sender="ann@big.example",
                                      helo="mx.bigger.example", headers=["X-N: 1"]).keys() - {"URIBL_OVER"}, set())
        asked = self.pd.json("stats")["names_asked"] - before
        self.assertEqual(asked, 3)                       # sender.example of From, by three lists in DNS

    def test_at_most_64_names(self):
        """Names that are excluded take nobody's place; what lies beyond 64 is told, and a local copy hears of it anyway."""
        padding = "".join("http://p%d.excluded.example/ http://q%d.bigger.example/\r\n" % (i, i) for i in range(100))
        found = self.symbols(padding + "http://spam.example/\r\n", headers=["X-N: 2"])
        self.assertEqual(found.get("URIBL_URI"), 2.5)
        self.assertNotIn("URIBL_OVER", found)
        before = self.pd.json("stats")["names_asked"]
        junk = "".join("http://junk%d.example/\r\n" % i for i in range(100))
        found = self.symbols(junk + "http://both.example/\r\n", headers=["X-N: 3"])
        self.assertNotIn("URIBL_URI", found)
        self.assertEqual((found["URIBL_OVER"], found["URIBL_COPY"]), (0.0, 1.0))
        self.assertLessEqual(self.pd.json("stats")["names_asked"] - before, 3 * 64)

    def test_a_copy_says_what_rbldnsd_says(self):
        """Every name of the zone, below it and above it: the file read by us, and by rbldnsd over DNS."""
        names = ["spam.example", "a.spam.example", "a.b.spam.example", "good.spam.example", "x.good.spam.example", "exact.example",
                 "x.exact.example", "below.example", "a.below.example", "a.b.below.example", "phish.example", "www.host.example",
                 "host.example", "both.example", "mixed.example", "evil.co.uk", "x.evil.co.uk", "SPAM.example", "xspam.example"]
        found = self.scan(mail("agree", body="".join("http://%s/\r\n" % n for n in names)))
        evidence = {s["name"]: s["evidence"] for s in found["symbols"]}
        self.assertTrue(evidence["URIBL_FULL"])
        for i in range(0, len(names), 3):                # evidence has room for a few
            found = self.scan(mail("agree %d" % i, body="".join("http://%s/\r\n" % n for n in names[i:i + 3])))
            evidence = {s["name"]: s["evidence"] for s in found["symbols"]}
            self.assertEqual(evidence.get("URIBL_FULL"), evidence.get("URIBL_COPY"), names[i:i + 3])

    def test_zz_a_copy_is_read_anew(self):
        self.assertNotIn("URIBL_COPY", self.symbols("http://fresh.example/\r\n"))
        self.d.write("copy.new", ZONE + "fresh.example\n")
        os.rename(self.d("copy.new"), self.d("copy"))
        wait_until(lambda: self.symbols("http://fresh.example/\r\n").get("URIBL_COPY") == 1.0)
        os.unlink(self.d("copy"))                        # what was read stays in force, and that is said
        wait_until(lambda: "what was read before stays" in self.pd.log())
        self.assertIn("URIBL_COPY", self.symbols("http://fresh.example/\r\n"))
        subprocess.run(["gzip", "-c"], input=(ZONE + "zipped.example\n").encode(), stdout=open(self.d("copy.new"), "wb"), check=True)
        os.chmod(self.d("copy.new"), 0o644)
        os.rename(self.d("copy.new"), self.d("copy"))
        wait_until(lambda: "URIBL_COPY" in self.symbols("http://zipped.example/\r\n"))

    def test_a_large_copy_keeps_nobody_waiting(self):
        """A million names: read beside the mail, which goes on meanwhile."""
        with open(self.d("copy.new"), "w") as f:
            f.write(ZONE)
            f.writelines(".n%d.large.example\n" % i for i in range(1000000))
        os.chmod(self.d("copy.new"), 0o644)
        os.rename(self.d("copy.new"), self.d("copy"))
        slowest, end = 0, time.monotonic() + 60
        while "URIBL_COPY" not in self.symbols("http://x.n999999.large.example/\r\n"):
            self.assertLess(time.monotonic(), end)
            began = time.monotonic()
            self.pd.ctl("--json", "stats")
            slowest = max(slowest, time.monotonic() - began)
        self.assertLess(slowest, 2)


class Health(unittest.TestCase):
    def test_health(self):
        """A list that lists the world, one without its test name, one with a test name of its own, one that refuses us, one that is silent."""
        d = Dir()
        self.addCleanup(d.close)
        dns, port = rbldnsd(d, "own.test", "point.example\nspam.example\n", "dnset", more=[
            ("world.test", ".example\ntest\ninvalid\n", "dnset"), ("none.test", "spam.example\n", "dnset"),
            ("refuses.test", "test\n.example :127.255.255.254:public resolver\n", "dnset")])
        self.addCleanup(dns.stop)
        pd = Policyd(d, resolver=port, zones=['{ zone = "%s.test"; type = "domain"; points = 1.0; %s }' % z for z in (
            ("own", 'test = "point.example";'), ("world", ""), ("none", ""), ("refuses", ""), ("silent", "probe = false;"))])
        self.addCleanup(pd.close)

        def found():
            d.write("x.eml", mail("x", body="http://spam.example/\r\n"))
            return {s["name"]: (s["points"], s["evidence"]) for s in pd.json("scan", d("x.eml"))["symbols"] if s["name"].startswith("URIBL_")}

        for text in ('world.test is switched off: it lists the name "invalid"', "none.test is switched off: it does not list its test name"):
            wait_until(lambda: text in pd.log())
        first = found()
        self.assertEqual(first.pop("URIBL_REFUSES_UNKNOWN")[0], 0)
        self.assertEqual(first, {"URIBL_OWN": (1.0, "spam.example 127.0.0.2"), "URIBL_SILENT_UNKNOWN": (0, "no answer about 2 names")})
        wait_until(lambda: "it refuses our queries" in pd.log())
        self.assertEqual(set(found()), {"URIBL_OWN", "URIBL_SILENT_UNKNOWN"})
        self.assertEqual(pd.log().count("it refuses our queries"), 1)
        self.assertEqual(pd.json("stats")["dnsbl_sick_now"], 3)
        self.assertIn("world.test is switched off", pd.ctl("doctor", check=False).stdout.decode())

    def test_settings(self):
        d = Dir()
        self.addCleanup(d.close)
        for text, want in (('zone = "a.test"; type = "names";', 'type is "names"; expected "address" or "domain"'),
                           ('zone = "a.test"; ask = ( "links" );', 'ask is said of a list of addresses; expected it in one with type = "domain"'),
                           ('zone = "a.test"; type = "domain"; ipv6 = false;', 'ipv6 is said of a list of names'),
                           ('zone = "a.test"; type = "domain"; ask = ( "link" );', '"link" is nothing that a list of names is asked about'),
                           ('zone = "a.test"; type = "domain"; local = "/nowhere/x";', "local: /nowhere/x: No such file or directory"),
                           ('zone = "a.test"; type = "domain"; codes = ( "127.0.0.0/24&x=1:A" );', "is no answer code")):
            d.write("bad.conf", 'state = "%s";\ndnsbl = ( { %s } );\n' % (d.path, text))
            r = subprocess.run([os.path.join(BUILD, "policyd"), "-c", d("bad.conf"), "-t"],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertNotEqual(r.returncode, 0, text)
            self.assertIn(want, r.stdout.decode(), text)
            self.assertIn("bad.conf:2:", r.stdout.decode())


if __name__ == "__main__":
    unittest.main()
