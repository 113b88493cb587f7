"""Rules that ask DNS and Redis: by a real resolver's answers, a real Redis, out of a caged worker. They wait side by side; who is
silent costs the mail one wait, not one a rule; a customer's rules read his own keys and nobody else's."""
import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, RedisServer, rbldnsd

MAIL = b"From: a@firm.example\r\nTo: u@test.example\r\nSubject: quick\r\nMessage-ID: <1@firm.example>\r\n\r\nSee http://shop.dns.test/x\r\n"
ZONE = """shop A 192.0.2.7
shop TXT "owner=acme"
shop MX 10 mail.dns.test
shop.dbl A 127.0.1.2
refused.dbl A 127.255.255.254
"""
ASKING = """
rule { symbol = "LINK_LISTED", score = 3, group = "x", description = "d", needs = { "urls", "dns" }, when = function(msg)
  for _, link in ipairs(msg.links) do
    local code = dns.listed(link.host:sub(1, #link.host - #".dns.test"), "dbl.dns.test")
    if code then return link.host .. " is listed: " .. code end
  end
end }
rule { symbol = "RECORDS", score = 1, group = "x", description = "d", needs = { "dns" }, when = function(msg)
  local a, txt, mx, none = dns.a("shop.dns.test"), dns.txt("shop.dns.test"), dns.mx("shop.dns.test"), dns.a("nobody.dns.test")
  return a[1] .. " " .. txt[1] .. " " .. mx[1] .. " " .. #none .. " " .. #dns.a("no such name") .. " " .. #dns.aaaa("shop.dns.test")
end }
rule { symbol = "REFUSED", score = 1, group = "x", description = "d", needs = { "dns" }, when = function(msg)
  local code, why = dns.listed("refused", "dbl.dns.test") return tostring(code) .. " " .. tostring(why)
end }
rule { symbol = "SITE_KEYS", score = 1, group = "x", description = "d", needs = { "redis:ro" }, when = function(msg)
  return tostring(redis.get("k")) .. " " .. tostring(redis.hget("h", "f")) .. " " .. tostring(redis.has("s", "m")) .. " " ..
    tostring(redis.has("s", "other")) .. " " .. tostring(redis.get("none")) .. " " .. tostring(redis.get("{r:acme}k"))
end }
rule { symbol = "TOGETHER", score = 1, group = "x", description = "d", meta = "LINK_LISTED && RECORDS && SITE_KEYS" }
"""
CUSTOMER = """rule { symbol = "OWN_KEY", score = 1, group = "x", description = "d", needs = { "redis:ro" }, when = function(msg)
  return "reads " .. tostring(redis.get("k")) .. tostring(redis.get("}k")) .. tostring(redis.get("acme}k")) end }
"""
SILENT = "\n".join('rule { symbol = "S%02d", score = 1, group = "x", description = "d", needs = { "dns" }, when = function(msg)\n'
                   '  local a, why = dns.a("h%d.silent.test") return a == nil and why end }' % (i, i) for i in range(40))


def evidence(text, symbol):
    m = re.search(r"^ *[-\d.]+ +%s(?: +(.*))?$" % symbol, text, re.M)
    return m and (m.group(1) or "").strip()


class Asking(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.dns, port = rbldnsd(cls.d, "dns.test", ZONE, "generic")
        cls.addClassCleanup(cls.dns.stop)
        cls.redis = RedisServer(cls.d("redis.sock"), cls.d.path)
        cls.addClassCleanup(cls.redis.stop)
        cls.d.write("rules/a.lua", ASKING)
        cls.d.write("rules/customers/acme/a.lua", CUSTOMER)
        cls.d.write("rules/customers/beta/a.lua", CUSTOMER)
        cls.d.write("mail.eml", MAIL)
        cls.pd = Policyd(cls.d, resolver=port, sample_rules=False, policy=False, rules=(cls.d("rules"),),
                         settings='redis = { url = "unix://%s"; };' % cls.d("redis.sock"))
        cls.addClassCleanup(cls.pd.close)
        for key, value in (("{r:}k", "site"), ("{r:acme}k", "acme's"), ("{r:beta}k", "beta's")):
            cls.say("SET", key, value)
        cls.say("HSET", "{r:}h", "f", "field")
        cls.say("SADD", "{r:}s", "m")
        cls.pd.set("domain:acme.example", customer="acme")
        cls.pd.set("domain:beta.example", customer="beta")

    @classmethod
    def say(cls, *words):
        subprocess.run(["redis-cli", "-s", cls.d("redis.sock")] + list(words), check=True, stdout=subprocess.DEVNULL)

    def scan(self, *rcpts):
        args = [a for r in rcpts for a in ("--rcpt", r)]
        return self.pd.ctl("scan", self.d("mail.eml"), "--explain", *args, check=False).stdout.decode()

    def test_answers(self):
        said = self.scan("u@nobody.example")
        self.assertEqual(evidence(said, "LINK_LISTED"), "shop.dns.test is listed: 127.0.1.2", said)
        self.assertEqual(evidence(said, "RECORDS"), "192.0.2.7 owner=acme mail.dns.test 0 0 0")
        self.assertEqual(evidence(said, "REFUSED"), "nil unknown")
        self.assertEqual(evidence(said, "SITE_KEYS"), "site field true false nil nil")
        self.assertIsNotNone(evidence(said, "TOGETHER"))
        self.assertIn("REFUSED: no answer for refused.dbl.dns.test", said)
        self.assertIsNone(evidence(said, "OWN_KEY"))
        self.assertGreater(self.pd.json("stats")["worker_questions"], 5)

    def test_a_customers_own_keys(self):
        self.assertEqual(evidence(self.scan("u@acme.example"), "OWN_KEY"), "reads acme'snilnil")
        self.assertEqual(evidence(self.scan("u@beta.example"), "OWN_KEY"), "reads beta'snilnil")

    def test_silence_costs_one_wait(self):
        with contextlib.closing(Dir()) as d, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
            deaf.bind(("127.0.0.1", 0))
            d.write("rules/a.lua", SILENT)
            d.write("mail.eml", MAIL)
            pd = Policyd(d, resolver=deaf.getsockname()[1], sample_rules=False, policy=False, rules=(d("rules"),))
            try:
                start = time.monotonic()
                said = pd.ctl("scan", d("mail.eml"), "--explain", check=False).stdout.decode()
                took = time.monotonic() - start
                self.assertEqual(evidence(said, "S39"), "unknown", said)
                self.assertIn("no answer for h0.silent.test", said)
                self.assertGreater(took, 1.3)            # 40 rules, 1.5 s each, side by side
                self.assertLess(took, 4)
            finally:
                pd.close()


if __name__ == "__main__":
    unittest.main()
