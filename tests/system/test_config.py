"""Broken settings: each has one mistake, and is told with file, line, the value and what was expected; exit code 2."""
import os
import subprocess
import unittest

from tests.lib.procs import BUILD, TOP, Dir

HEAD = 'rules = ( "%s/rules" );\nlua_dir = "%s/lua";\n' % (TOP, TOP)      # the mistake stands in line 3

BROKEN = [
    # settings, what must be said
    ('stat = "/tmp/x";', 'unknown setting "stat"; did you mean "state"?'),
    ('listen = { milters = (); };', 'unknown setting "listen.milters"; did you mean "milter"?'),
    ('dnsbls = ();', 'did you mean "dnsbl"?'),
    ('wrokers = { min = 2; };', 'did you mean "workers"?'),
    ('workers = { mim = 2; };', 'unknown setting "workers.mim"; did you mean "min"?'),
    ('policy = { tga = 4.0; };', 'did you mean "tag"?'),
    ('dnsbl = ( { zonee = "a.example"; } );', 'did you mean "zone"?'),
    ('listen = { milter = ( { sockets = "inet:8890@127.0.0.1"; } ); };', 'did you mean "socket"?'),
    ('state = 5;', "state is a number; expected a text"),
    ('state = true;', "state is true or false; expected a text"),
    ('state = "relative";', 'state is "relative"; expected an absolute path'),
    ('state = "/%s";' % ("x" * 300), "is too long; expected at most 255 bytes"),
    ('state = "/a"; state = "/b";', 'duplicate setting name, at "state"'),
    ('state = "/a', 'syntax error, at "state"'),
    ('= 5;', "syntax error"),
    ('workers = { min = 2;', "syntax error"),
    ('workers = 5;', "workers is a number; expected a group"),
    ('workers = ( 5 );', "workers is a list; expected a group"),
    ('workers = { min = "2"; };', "min is a text; expected a whole number"),
    ('workers = { min = 2.5; };', "min is a decimal number; expected a whole number"),
    ('workers = { min = 0; };', "min is 0; expected 1 to 64"),
    ('workers = { min = -1; };', "min is -1; expected 1 to 64"),
    ('workers = { max = 65; };', "max is 65; expected 1 to 64"),
    ('workers = { min = 10; max = 2; };', "workers.min is 10 and workers.max 2; expected min <= max"),
    ('limits = { message_bytes = 10; };', "message_bytes is 10; expected 65536 to"),
    ('limits = { scan_timeout_ms = 290000; };', "message_timeout_ms is 60000 and scan_timeout_ms 290000"),
    ('log = { json = 1; };', "json is a number; expected true or false"),
    ('log = { target = "file"; };', 'target is "file"; expected one of "stderr", "syslog"'),
    ('poison = "ignore";', 'poison is "ignore"; expected one of'),
    ('clamav = { engine = "clamdd"; };', 'engine is "clamdd"; expected one of "off", "libclamav", "clamd"'),
    ('clamav = { engine = 1; };', "engine is a number; expected one of"),
    ('clamav = { database = "/nonexistent/db"; };', "database: /nonexistent/db: No such file or directory"),
    ('clamav = { timeout_ms = 1; };', "timeout_ms is 1; expected 100 to 300000"),
    ('clamav = { max_age_days = 0; };', "max_age_days is 0; expected 1 to 365"),
    ('rules = ( "/nonexistent/rules" );', "duplicate setting name"),
    ('score = "/nonexistent/score.lua";', "score: /nonexistent/score.lua: No such file or directory"),
    ('user = "no-such-user";', 'there is no user "no-such-user" on this system'),
    ('worker_user = "no-such-user";', 'there is no user "no-such-user" on this system'),
    ('control = { group = "no-such-group"; };', 'there is no group "no-such-group" on this system'),
    ('host_name = "mail server";', '"mail server" is no domain name'),
    ('host_name = "a..example";', '"a..example" is no domain name'),
    ('listen = { milter = "inet:8890@127.0.0.1"; };', "milter is a text; expected a list"),
    ('listen = { milter = ( "inet:8890@127.0.0.1" ); };', "an element of listen.milter is a text; expected a group"),
    ('listen = { milter = ( { context = "mx"; } ); };', "a milter listener without a socket"),
    ('listen = { milter = ( { socket = "unix:relative.sock"; } ); };', '"unix:relative.sock" is no listener'),
    ('listen = { milter = ( { socket = "unix:/%s"; } ); };' % ("x" * 120), "is too long for a socket; expected at most 107 bytes"),
    ('listen = { milter = ( { socket = "inet:99999@127.0.0.1"; } ); };', '"inet:99999@127.0.0.1" is no listener'),
    ('listen = { milter = ( { socket = "inet:8890"; } ); };', '"inet:8890" is no listener'),
    ('listen = { milter = ( { socket = "8890"; } ); };', '"8890" is no listener; expected "unix:/path"'),
    ('listen = { milter = ( { socket = "unix:/a.sock"; group = "no-such-group"; } ); };', 'there is no group "no-such-group"'),
    ('listen = { milter = ( { socket = "unix:/a.sock"; mode = "0660"; } ); };', "mode is a text; expected a number"),
    ('listen = { milter = ( { socket = "unix:/a.sock"; }, { socket = "unix:/a.sock"; } ); };', "is another listener's socket already"),
    ('listen = { policy = "8891"; };', '"8891" is no listener'),
    ('listen = { policy_mode = 1000000; };', "policy_mode is 1000000; expected 0 to 511"),
    ('redis = { url = "http://127.0.0.1/"; };', 'no place of a Redis; expected "redis://'),
    ('redis = { url = "redis://127.0.0.1:77777/0"; };', "no place of a Redis"),
    ('redis = { url = "redis://127.0.0.1:6379/x"; };', "no place of a Redis"),
    ('redis = { command_ms = 1; };', "command_ms is 1; expected 10 to 10000"),
    ('dns = { servers = ( "resolver" ); };', '"resolver" is no resolver; expected "127.0.0.1:53"'),
    ('dns = { servers = ( "127.0.0.1:99999" ); };', '"127.0.0.1:99999" is no resolver'),
    ('dns = { servers = ( 53 ); };', '"a number" is no resolver'),
    ('dns = { servers = ( "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5" ); };', "servers has 5 elements; expected at most 4"),
    ('dns = { timeout_ms = 20000; };', "timeout_ms is 20000; expected 50 to 10000"),
    ('dnsbl = { zone = "a.example"; };', "dnsbl is a group { ... }; expected a list"),
    ('dnsbl = ( "zen.example" );', "an element of dnsbl is a text; expected a group"),
    ('dnsbl = ( { points = 2.0; } );', "a DNS list without a zone"),
    ('dnsbl = ( { zone = "bad zone"; } );', '"bad zone" is no domain name'),
    ('dnsbl = ( { zone = "a.example"; points = "2"; } );', "points is a text; expected a number"),
    ('dnsbl = ( { zone = "a.example"; ipv6 = 1; } );', "ipv6 is a number; expected true or false"),
    ('dnsbl = ( { zone = "a.example"; codes = "127.0.0.2"; } );', "codes is a text; expected a list"),
    ('dnsbl = ( { zone = "a.example"; codes = ( "127.0.0.9-2" ); } );', '"127.0.0.9-2" is no answer code'),
    ('dnsbl = ( { zone = "a.example"; codes = ( "10.0.0.1" ); } );', '"10.0.0.1" is no answer code'),
    ('dnsbl = ( { zone = "a.example"; codes = ( "127.0.0.2=x" ); } );', '"127.0.0.2=x" is no answer code'),
    ('dnsbl = ( { zone = "a.example"; refused = ( "0.0.0.0/0" ); } );', '"0.0.0.0/0" is no answer code'),
    ('dnsbl = ( { zone = "bl.a.example"; }, { zone = "bl.b.example"; } );', 'a second DNS list called "BL"'),
    ('own_networks = ( "10.0.0.0/33" );', '"10.0.0.0/33" is no network'),
    ('own_networks = "10.0.0.0/8";', "own_networks is a text; expected a list"),
    ('trusted_relays = ( "mx2.example" );', '"mx2.example" is no network; expected "192.0.2.0/24"'),
    ('deliver = { reinject = "127.0.0.1"; };', '"127.0.0.1" is no server; expected "127.0.0.1:10026"'),
    ('deliver = { reinject = "127.0.0.1:0"; };', '"127.0.0.1:0" is no server'),
    ('policy = { tag = "x"; };', 'policy.tag: "x" is not good; expected a number of points'),
    ('policy = { tag = 8.0; quarantine = 7.0; };', "tag=8 must be below quarantine=7"),
    ('policy = { virus = "shred"; };', "policy.virus"),
    ('policy = { dnsbl = "maybe"; };', "policy.dnsbl"),
    ('policy = { filter = "perhaps"; };', "policy.filter"),
    ('policy = { subject_tag = "%s"; };' % ("x" * 200), "policy.subject_tag"),
    ('policy = { dmarc_reject = "shred"; };', "policy.dmarc_reject"),
    ('policy = { spf_fail = "quarantine"; };', "policy.spf_fail"),
    ('auth = { chek = true; };', 'unknown setting "auth.chek"; did you mean "check"?'),
    ('auth = { check = 1; };', "check is a number; expected true or false"),
    ('auth = { results = ( "spf", "dkmi" ); };', '"dkmi" is no method of auth.results; expected auth, iprev, spf, dkim, dmarc, arc'),
    ('auth = { results = "spf"; };', "results is a text; expected a list"),
    ('auth = { trusted_sealers = ( "bad domain" ); };', '"bad domain" is no domain name'),
    ('policy = ( 5 );', "policy is a list; expected a group"),
    ('listen = { review = "127.0.0.1:8892"; };', '"127.0.0.1:8892" is no web server'),
    ('listen = { review = "https://127.0.0.1:8892"; };', "review.certificate and review.key are needed"),
    ('review = { certificate = "/nonexistent.pem"; };', "certificate: /nonexistent.pem: No such file or directory"),
    ('@include "nothere.conf"', "cannot open include file"),
]


class Config(unittest.TestCase):
    def setUp(self):
        self.d = Dir()
        self.addCleanup(self.d.close)

    def check(self, path):
        r = subprocess.run([os.path.join(BUILD, "policyd"), "-t", "-c", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20)
        return r.returncode, r.stdout.decode()

    def test_each_mistake_is_told(self):
        for text, want in BROKEN:
            with self.subTest(text):
                path = self.d.write("broken.conf", HEAD + text + "\n")
                code, said = self.check(path)
                self.assertEqual(code, 2, said)
                self.assertIn(want, said)
                self.assertRegex(said, r"^%s:[34]: " % path)      # line 4: where the parser noticed that an end is missing
                self.assertEqual(said.count("\n"), 1)

    def test_in_an_included_file(self):
        inner = self.d.write("more.conf", '\n\nstat = "/x";\n')
        code, said = self.check(self.d.write("outer.conf", HEAD + '@include "%s"\n' % inner))
        self.assertEqual(code, 2)
        self.assertIn("%s:3: unknown setting" % inner, said)

    def test_no_such_file(self):
        code, said = self.check(self.d("none.conf"))
        self.assertEqual((code, said), (2, "%s: No such file or directory\n" % self.d("none.conf")))

    def test_unreadable_rules(self):
        code, said = self.check(self.d.write("broken.conf", '\nrules = ( "/nonexistent/rules" );\n'))
        self.assertEqual(code, 2)
        self.assertIn("broken.conf:2: rules: /nonexistent/rules: No such file or directory", said)

    def test_a_password_is_not_repeated(self):
        for text in ('redis = { url = "redis://:hunter2@127.0.0.1:77777/0"; };', 'redis = { url = "redis://:hunter2@h"; url = "x"; };',
                     'redis = { url = "redis://:hunter2@h'):
            code, said = self.check(self.d.write("broken.conf", HEAD + text + "\n"))
            self.assertEqual(code, 2)
            self.assertNotIn("hunter2", said)

    def test_a_good_one(self):
        self.assertEqual(self.check(self.d.write("good.conf", HEAD))[0], 0)


if __name__ == "__main__":
    unittest.main()
