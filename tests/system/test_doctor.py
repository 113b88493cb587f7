"""policyctl doctor: what is wrong is provoked for real, and each fault has its line, its level, and what to do."""
import glob
import json
import os
import resource
import signal
import subprocess
import time
import unittest

from tests.lib.mail import mail, points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import BUILD, Dir, RedisServer, free_port, rbldnsd, wait_until
from tests.lib.sink import Sink


class Doctor(unittest.TestCase):
    def setUp(self):
        self.d = Dir()
        self.addCleanup(self.d.close)

    def policyd(self, **more):
        pd = Policyd(self.d, **more)
        self.addCleanup(pd.close)
        return pd

    def ask(self, pd, *args):
        r = pd.ctl("--json", "doctor", *args, check=False)
        lines = json.loads(r.stdout)
        worst = max(("OK", "WARN", "FAIL").index(line["level"]) for line in lines)
        self.assertEqual(r.returncode, worst)
        return lines

    def assertSays(self, pd, level, name, text, *args):
        lines = self.ask(pd, *args)
        if not any(line["level"] == level and line["name"] == name and text in line["text"] for line in lines):
            self.fail("no line %s %s \"%s\" in:\n%s" % (level, name, text, "\n".join("%(level)s %(name)s %(text)s" % x for x in lines)))

    def silence(self, pd, kind, sig=signal.SIGSTOP):
        pid = pd.pids()[kind]
        os.kill(pid, sig)
        if sig == signal.SIGSTOP:
            self.addCleanup(lambda: os.path.exists("/proc/%d" % pid) and os.kill(pid, signal.SIGCONT))

    def test_all_well(self):
        """Nothing but OK: lists answer, the database is fresh, releases have a listener, an MTA has connected, much is learnt."""
        dns, port = rbldnsd(self.d, "bl.test", ":127.0.0.2:x\n127.0.0.2\n203.0.113.0/24\n")
        self.addCleanup(dns.stop)
        sink = Sink()
        self.addCleanup(sink.close)
        pd = self.policyd(zones=['{ zone = "bl.test"; points = 6.0; }'], resolver=port, reinject=sink.port)
        Milter(("127.0.0.1", pd.milter_port)).close()
        for label in ("spam", "ham"):
            for i in range(25):
                self.d.write("m/%s%d" % (label, i), mail("%s number %d" % (label, i), body="%s %s%d and words\r\n" % (label, label, i)))
            pd.ctl("learn", label, *sorted(glob.glob(self.d("m/%s*" % label))))
        wait_until(lambda: pd.model()["in_order"])
        bad = [line for line in self.ask(pd) if line["level"] != "OK" and line["name"] != "cage"]    # that is the kernel's
        self.assertEqual(bad, [])

    def test_what_is_not_set(self):
        pd = self.policyd(clamav='engine = "off";')
        self.assertSays(pd, "WARN", "dnsbl", "no DNS list is set")
        self.assertSays(pd, "WARN", "clamav", "is off")
        self.assertSays(pd, "WARN", "release", "deliver.reinject is not set")
        self.assertSays(pd, "WARN", "model", "it has learnt 0 spam and 0 ham")
        self.assertSays(pd, "WARN", "milter", "no MTA has connected yet")

    def test_files_and_settings(self):
        rules = self.d("own-rules")
        os.mkdir(rules)
        pd = self.policyd(settings="", reinject=free_port(), milter="unix:" + self.d("m.sock"))
        self.assertSays(pd, "FAIL", "release", "Connection refused")
        os.chmod(self.d("m.sock"), 0o700)
        self.assertSays(pd, "WARN", "milter", "only its owner may write there")
        os.unlink(self.d("m.sock"))
        self.assertSays(pd, "FAIL", "milter", "somebody removed it")
        os.chmod(self.d("state"), 0o777)
        self.assertSays(pd, "FAIL", "state", "others can write there")
        os.chmod(self.d("state"), 0o711)
        text = open(pd.conf).read()
        self.d.write("policyd.conf", text.replace('rules = (', 'rules = ( "%s", ' % rules))
        pd.ctl("reload")
        os.rmdir(rules)
        self.assertSays(pd, "FAIL", "rules", "own-rules: No such file or directory")
        self.d.write("policyd.conf", text.replace("rules = (", "ruels = ("))
        self.assertNotEqual(pd.ctl("reload", check=False).returncode, 0)
        self.assertSays(pd, "FAIL", "settings", "ruels")
        self.assertSays(pd, "WARN", "reload", "1 reloads were refused")
        self.d.write("policyd.conf", text)

    def test_not_running(self):
        pd = self.policyd()
        pd.p.stop()
        self.assertSays(pd, "FAIL", "policyd", "is not running")

    def test_few_files(self):
        pd = self.policyd()
        resource.prlimit(pd.p.p.pid, resource.RLIMIT_NOFILE, (512, 512))
        self.assertSays(pd, "WARN", "files", "policyd may open only 512 files")

    def test_dns(self):
        """A list that refuses us, one that lists everything; then nobody answers at all."""
        dns, port = rbldnsd(self.d, "refuses.test", ":127.255.255.254:refused\n0.0.0.0/0\n")
        self.addCleanup(dns.stop)
        pd = self.policyd(zones=['{ zone = "refuses.test"; points = 6.0; }'], resolver=port, settings="")
        wait_until(lambda: any(line["level"] == "FAIL" and "refuses.test is switched off" in line["text"] for line in self.ask(pd)))
        dns.stop()

    def test_no_resolver(self):
        pd = self.policyd(zones=['{ zone = "silent.test"; points = 6.0; }'], resolver=free_port())
        for i in range(25):
            m = Milter(("127.0.0.1", pd.milter_port), client=("198.51.100.%d" % i, 99))
            m.send(mail("no dns"), ["a@test.example"])
            m.close()
        self.assertSays(pd, "FAIL", "dns", "most questions fail")

    def test_clamav(self):
        pd = self.policyd(settings="", clamav='engine = "clamd"; socket = "%s";' % self.d("no-clamd.sock"))
        self.assertSays(pd, "FAIL", "clamav", "is clamd running?")

    def test_virus_database(self):
        os.makedirs(self.d("db"))
        pd = self.policyd(clamav='engine = "libclamav"; database = "%s";' % self.d("db"))
        self.assertSays(pd, "FAIL", "clamav", "no virus database is loaded")
        old = self.d.write("db/old.hdb", "44d88612fea8a8f36de82e1278abb02f:68:Eicar\n")
        then = time.time() - 10 * 86400
        os.utime(old, (then, then))
        os.utime(self.d("db"), (then, then))
        pd.ctl("reload")
        self.assertSays(pd, "WARN", "clamav", "the virus database is 10 days old")

    def test_redis(self):
        """No append-only file, a policy that throws out, a replica, none at all."""
        os.mkdir(self.d("r"))
        redis = RedisServer(self.d("r/sock"), self.d("r"), "--maxmemory-policy", "allkeys-lru")
        self.addCleanup(redis.stop)
        pd = self.policyd(settings='redis = { url = "redis://127.0.0.1:%d/3"; };' % redis.port)
        self.assertSays(pd, "WARN", "redis", "append-only file is off")
        self.assertSays(pd, "WARN", "redis", "maxmemory-policy is not noeviction")
        subprocess.run(["redis-cli", "-p", str(redis.port), "replicaof", "127.0.0.1", "1"], check=True, stdout=subprocess.DEVNULL)
        self.assertSays(pd, "FAIL", "redis", "is a replica")
        redis.stop()
        wait_until(lambda: any(line["name"] == "redis" and line["level"] == "FAIL" and "the broker is not connected" in line["text"] for line in self.ask(pd)))
        self.assertSays(pd, "FAIL", "redis", "no answer")

    def test_redis_password(self):
        os.mkdir(self.d("r"))
        redis = RedisServer(self.d("r/sock"), self.d("r"), "--requirepass", "sesame")
        self.addCleanup(redis.stop)
        pd = self.policyd(settings='redis = { url = "redis://:wrong@127.0.0.1:%d/0"; };' % redis.port)
        self.assertSays(pd, "FAIL", "redis", "WRONGPASS")
        self.assertNotIn("wrong@", pd.log())

    def test_processes(self):
        """One that was killed, and three that have gone silent."""
        pd = self.policyd()
        self.silence(pd, "deliver", signal.SIGKILL)
        wait_until(lambda: pd.json("status") and all(p["ready"] for p in pd.json("status")["processes"]))
        self.assertSays(pd, "WARN", "deliver", "has been started again 1 times")
        self.silence(pd, "store")
        self.assertSays(pd, "FAIL", "quarantine", "the store does not answer")
        self.silence(pd, "trainer")
        self.assertSays(pd, "FAIL", "model", "the trainer does not answer")

    def test_damaged_segment(self):
        pd = self.policyd()
        m = Milter(("127.0.0.1", pd.milter_port))
        m.send(points(8, "hold"), ["a@test.example"])
        m.send(points(8, "hold"), ["b@test.example"])
        m.close()
        segment = [f for f in glob.glob(self.d("state/**/*"), recursive=True) if f.endswith(".seg")][0]
        with open(segment, "r+b") as f:
            f.seek(200)
            octet = f.read(1)
            f.seek(200)
            f.write(bytes([octet[0] ^ 0x55]))
        pd.ctl("quarantine", "rebuild", check=False)
        self.assertSays(pd, "FAIL", "quarantine", "damaged records")

    def test_hostile_mail_and_bad_rules(self):
        self.d.write("bad-rules/bad.lua", 'rule { symbol = "BROKEN", score = 1, description = "fails", group = "test",\n'
                     '  when = function(msg) if msg.subject == "a broken rule" then error("no") end end }\n')
        pd = self.policyd()
        text = open(pd.conf).read()
        self.d.write("policyd.conf", text.replace('rules = (', 'rules = ( "%s", ' % self.d("bad-rules")))
        pd.ctl("reload")
        m = Milter(("127.0.0.1", pd.milter_port))
        m.send(mail("poison", headers=["X-Policyd-Test-Crash: yes"]), ["a@test.example"])
        m.send(mail("a broken rule"), ["a@test.example"])
        m.close()
        self.assertSays(pd, "WARN", "workers", "1 mails ended two workers")
        self.assertSays(pd, "WARN", "rules", "failures of rules")

    def test_postfix(self):
        pd = self.policyd()
        self.assertSays(pd, "FAIL", "postfix", "No such file", "--postfix", self.d("nowhere"))
        self.d.write("pf/main.cf", "default_process_limit = 5000\nmilter_default_action = accept\nmilter_content_timeout = 20s\n")
        self.assertSays(pd, "WARN", "postfix", "5000 smtpd processes", "--postfix", self.d("pf"))
        self.assertSays(pd, "WARN", "postfix", "smtpd_milters is not set", "--postfix", self.d("pf"))
        self.assertSays(pd, "FAIL", "postfix", "milter_default_action = accept", "--postfix", self.d("pf"))
        self.assertSays(pd, "WARN", "postfix", "milter_content_timeout = 20s is shorter", "--postfix", self.d("pf"))


if __name__ == "__main__":
    unittest.main()
