"""Stolen accounts: found, contained alone, told, released; attacks: an alarm by mail, webhook and command."""
import http.server
import json
import os
import re
import struct
import subprocess
import threading
import time
import unittest

from tests.lib.mail import mail, points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port, wait_until
from tests.lib.sink import Sink
from tests.system.test_limits import Asker


class Hook(http.server.BaseHTTPRequestHandler):
    got = []

    def do_POST(self):
        Hook.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *args):
        pass


class Outbound(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        port = free_port()
        cls.hook = http.server.ThreadingHTTPServer(("127.0.0.1", port), Hook)
        cls.addClassCleanup(cls.hook.server_close)
        threading.Thread(target=cls.hook.serve_forever, daemon=True).start()
        cls.addClassCleanup(cls.hook.shutdown)
        cls.d.write("page", "#!/bin/sh\n{ echo \"$# $1\"; cat; } >> %s\n" % cls.d("paged/by"), 0o755)
        os.makedirs(cls.d("paged"))
        os.chmod(cls.d("paged"), 0o777)
        cls.pd = Policyd(cls.d, clamav='engine = "off";', reinject=cls.sink.port, settings="""alarms = { mail = "noc@isp.example"; webhook = "http://127.0.0.1:%d/hook";
  command = ( "%s", "a; touch /tmp/never $(id)" ); least = 100; };""" % (port, cls.d("page")))
        cls.addClassCleanup(cls.pd.close)
        cls.pd.set("customer:acme", outbound="deliver", tag="4", quarantine="7", discard="15")
        cls.pd.set("domain:shop.example", customer="acme")

    def send(self, login, data, rcpts, client=("198.51.100.7", 4711), m=None):
        own = m or Milter(("127.0.0.1", self.pd.milter_port), client=client)
        if login:
            own.macro(b"M", **{"{auth_authen}": login})
        got = own.send(data, rcpts, sender=login)
        if m is None:
            own.close()
        return got

    def contained(self):
        return {c["account"]: c for c in self.pd.json("outbound", "list")["contained"]}

    def steal(self, login, most=200):
        """Spam to strangers until the account is contained; how many mails that took."""
        m = Milter(("127.0.0.1", self.pd.milter_port))
        try:
            for n in range(most):
                self.send(login, points(8, "win a prize"), ["x%d@away.example" % n], m=m)
                if n % 5 == 4 and login in self.contained():
                    return n + 1
        finally:
            m.close()
        self.fail("%s was not found in %d mails" % (login, most))

    def test_held_and_told(self):
        before = len(Hook.got)
        self.assertLess(self.steal("ann@shop.example"), 100)
        got = self.send("ann@shop.example", mail("now held"), ["one@away.example"])
        self.assertEqual(got["reply"][0], "d")
        self.assertEqual([e["sender"] for e in self.pd.quarantine(customer="acme") if e["recipient"] == "one@away.example"], ["ann@shop.example"])
        self.assertEqual(self.send("bob@shop.example", mail("a colleague"), ["two@away.example"])["reply"][0], "a")
        wait_until(lambda: len(Hook.got) > before)
        hook = [h for h in Hook.got if h.get("account") == "ann@shop.example"][0]
        self.assertEqual((hook["action"], hook["customer"], hook["alarm"]), ("quarantine", "acme", "account ann@shop.example is contained (quarantine)"))
        self.assertRegex(hook["why"], r"volume \d.*content [1-3]")
        paged = wait_until(lambda: os.path.exists(self.d("paged/by")) and "ann@shop" in open(self.d("paged/by")).read() and open(self.d("paged/by")).read())
        self.assertIn("1 a; touch /tmp/never $(id)\n{", paged)
        alarm = wait_until(lambda: [m for m in self.sink.to("noc@isp.example") if b"account ann@shop.example is contained" in m[2]])
        self.assertRegex(alarm[0][2].decode(), r"Auto-Submitted: auto-generated")
        wait_until(lambda: self.pd.json("stats")["accounts_contained_now"] == 1)
        self.assertIn("1 account is contained", self.pd.ctl("doctor", check=False).stdout.decode())
        self.assertIn("released", self.pd.ctl("outbound", "release", "ann@shop.example", "--note", "new password").stdout.decode())
        self.assertEqual(self.send("ann@shop.example", mail("free again"), ["three@away.example"])["reply"][0], "a")
        entries = [(e["action"], e["note"]) for e in self.pd.json("audit", "list")["entries"] if e["target"] == "ann@shop.example"]
        self.assertEqual([e[0] for e in entries], ["release", "contain"])
        self.assertEqual(entries[0][1], "new password")
        self.assertEqual(self.pd.ctl("outbound", "release", "ann@shop.example", check=False).returncode, 2)

    def test_other_actions(self):
        self.pd.set("eve@shop.example", contain="reject", contain_hours="1")
        self.steal("eve@shop.example")
        until = self.contained()["eve@shop.example"]["until"]
        self.assertAlmostEqual(until, time.time() + 3600, delta=60)
        a = Asker(self.pd.policy_port)
        self.assertRegex(a.ask("r@away.example", "eve@shop.example"), r"^550 5\.7\.1 Account eve@shop\.example is blocked")
        self.pd.ctl("outbound", "contain", "dan@shop.example", "defer", "--hours", "0", "--note", "a call")
        got = [a.ask("r%d@away.example" % n, "dan@shop.example", instance=str(n)) for n in range(12)]
        self.assertEqual([g == "DUNNO" for g in got], [True] * 10 + [False] * 2)
        self.assertRegex(got[-1], r"^451 4\.7\.1 .*dan@shop\.example, which somebody else seems to use")
        a.close()
        self.pd.set("fay@shop.example", bulk_sender="true")
        m = Milter(("127.0.0.1", self.pd.milter_port))
        for n in range(60):
            self.send("fay@shop.example", points(8, "a newsletter"), ["y%d@away.example" % n], m=m)
        m.close()
        self.assertNotIn("fay@shop.example", self.contained())
        for bad in (["contain", "x@y.example", "tag"], ["contain", "x@y.example", "defer", "--hours", "99999"], ["release"]):
            self.assertEqual(self.pd.ctl("outbound", *bad, check=False).returncode, 2, bad)

    def test_yields_to_time(self):
        self.pd.ctl("outbound", "contain", "gus@shop.example", "reject", "--hours", "1")
        self.assertIn("gus@shop.example", self.contained())
        key = ["redis-cli", "-s", self.d("state/run/redis.sock")]
        one = json.loads(subprocess.check_output(key + ["HGET", "{o:contained}", "gus@shop.example"]))
        one["until"] = int(time.time()) + 1
        subprocess.check_call(key + ["HSET", "{o:contained}", "gus@shop.example", json.dumps(one)], stdout=subprocess.DEVNULL)
        subprocess.check_call(key + ["INCR", "{o:contained}v"], stdout=subprocess.DEVNULL)
        wait_until(lambda: "gus@shop.example" not in self.contained(), 10)
        self.assertIn("its time is over", self.pd.log())

    def test_zz_attack(self):
        """A week is known, then a subject nobody has seen floods in."""
        self.pd.p.stop()
        path = self.d("state/departures")
        with open(path, "r+b") as f:
            f.seek(8)
            since, day = struct.unpack("<qI", f.read(12))
            f.seek(8)
            f.write(struct.pack("<qI", int(time.time()) - 8 * 86400, day or int(time.time() // 86400)))
        self.pd.start()
        before = len(Hook.got)
        m = Milter(("127.0.0.1", self.pd.milter_port), client=("192.0.2.5", 1))
        start = time.monotonic()
        for n in range(24):
            m.send(mail("Your parcel %d is waiting" % n), ["u%d@shop.example" % k for k in range(5)], sender="p%d@parcels.example" % n)
        m.close()
        wait_until(lambda: {"network", "sender domain", "subject"} <= {h.get("kind") for h in Hook.got[before:]})
        self.assertLess(time.monotonic() - start, 60)
        subject = [h for h in Hook.got[before:] if h.get("kind") == "subject"][0]
        self.assertRegex(subject["name"], r"^Your parcel \d+ is waiting$")
        self.assertTrue(subject["never_seen_before"])
        self.assertEqual(subject["example"]["client"], "192.0.2.5")
        kinds = [h.get("kind") for h in Hook.got[before:]]
        self.assertEqual(len(kinds), len(set(kinds)))        # each once


if __name__ == "__main__":
    unittest.main()
