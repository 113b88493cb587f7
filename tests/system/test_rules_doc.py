"""The tutorial does what it says; and the manual of rule files is true: every field and method that it promises is there, of the
type that it says, and there is none that it does not know."""
import base64
import contextlib
import io
import os
import re
import subprocess
import sys
import unittest
import zipfile

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
from tests.lib.policyd import Policyd
from tests.lib.procs import BUILD, TOP, Dir, rbldnsd

BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.M | re.S)


def same(wanted, got):
    """Line by line; "..." is any text, alone on a line any number of lines."""
    pattern = ""
    for line in wanted:
        pattern += "(?:.*\n)*?" if line == "..." else ".*".join(re.escape(piece) for piece in line.split("...")) + "\n"
    return re.fullmatch(pattern, got)


class Tutorial(unittest.TestCase):
    def test_every_block(self):
        with open(os.path.join(TOP, "docs/rules-tutorial.md")) as f:
            blocks = BLOCK.findall(f.read())
        self.assertGreater(len(blocks), 10)
        with contextlib.closing(Dir()) as d:
            os.makedirs(d("rules"))
            dns, port = rbldnsd(d, "dns.test", "evil.example.links A 127.0.0.2\n", "generic")
            p = Policyd(d, resolver=port, sample_rules=False, policy=False, rules=(d("rules"),))
            d.write("bin/policyctl", '#!/bin/sh\nexec "%s" -c "%s" "$@"\n' % (os.path.join(BUILD, "policyctl"), p.conf), 0o755)
            ran = 0
            try:
                for kind, name, text in blocks:
                    if name:
                        d.write(name, text)
                        continue
                    self.assertEqual(kind, "console")
                    for command, answer in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.M):
                        r = subprocess.run(command, shell=True, cwd=d.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
                                           env=dict(os.environ, PATH=d("bin") + ":" + os.environ["PATH"]))
                        got = r.stdout.decode() + ("exit %d\n" % r.returncode if r.returncode else "")
                        self.assertTrue(same(answer.splitlines(), got), "$ %s\n%s\ninstead of\n%s" % (command, got, answer))
                        ran += 1
            finally:
                p.close()
                dns.stop()
            self.assertGreater(ran, 12)


CLASSES = {"Message": "msg", "Link": "msg.links[1]", "Part": "msg.parts[2]", "Entry": "msg.entries[1]", "Address": 'msg:address("From")',
           "Hop": "msg:received()[1]"}
PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean"}


class Manual(unittest.TestCase):
    def ctl(self, *args):
        return subprocess.run([os.path.join(BUILD, "policyctl"), "rules"] + list(args), cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def test_forms(self):
        page = self.ctl("doc", "man").stdout
        formatted = subprocess.run(["man", "-l", "-"], input=page, stdout=subprocess.PIPE, stderr=subprocess.PIPE) if os.path.exists(
            "/usr/bin/man") else None
        for name in ("dns.listed", "msg:header", "needs", "in_map", "redis.get", "r:match"):
            self.assertIn("`%s" % name, self.ctl("doc").stdout.decode())
            if formatted:
                self.assertIn(name.encode(), formatted.stdout)
        self.assertEqual(self.ctl("doc", "pdf").returncode, 2)

    def test_it_is_true(self):
        meta = self.ctl("doc", "luals").stdout.decode()
        checks = []
        for name, said in re.findall(r"^---@class (\w+)\n((?:---@field .*\n)+)local", meta, re.M):
            fields = re.findall(r'^---@field \["(\w+)"\] (\S+)', said, re.M)
            checks.append("local o = %s" % CLASSES[name])
            for field, kind in fields:
                want = PLAIN.get(kind.rstrip("?"), "table")
                checks.append('  assert(type(o["%s"]) == "%s"%s, "%s.%s: " .. type(o["%s"]))' % (
                    field, want, ' or o["%s"] == nil' % field if kind.endswith("?") else "", name, field, field))
            if name != "Message":
                known = " ".join('["%s"] = true,' % f for f, _ in fields) + ('["local"] = true' if name == "Address" else "")
                checks.append('  local known = { %s } for k in pairs(o) do assert(known[k], "%s." .. k) end' % (known, name))
        self.assertGreater(len(checks), 60)
        for name in re.findall(r"^function Message:(\w+)", meta, re.M):
            checks.append('assert(type(msg["%s"]) == "function")' % name)
        for name in re.findall(r"^function ((?:dns|redis|maps|string)\.\w+)", meta, re.M):
            checks.append('assert(type(%s) == "function")' % name)
        for name in re.findall(r"^function Regex:(\w+)", meta, re.M):
            checks.append('assert(type(pattern["%s"]) == "function")' % name)
        for library in ("dns", "redis", "maps"):                 # and what is there is in it: pairs() shows a library's proxy empty
            self.assertRegex(meta, r"(?m)^function %s\.\w+" % library)
        with contextlib.closing(Dir()) as d:
            packed = io.BytesIO()
            with zipfile.ZipFile(packed, "w") as z:
                z.writestr("a.txt", "x")
            d.write("rules/tests/all.eml", "Received: from a.example (a.example [192.0.2.1])\n\tby mx.example (Postfix) with ESMTP id 4X\n\tfor <x@y.example>; "
                    "Tue, 24 Nov 2026 10:00:00 +0000\nFrom: Ann <ann@shop.example>\nSubject: x\nMIME-Version: 1.0\n"
                    "Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nhttp://evil.example/x\n--b\n"
                    "Content-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n\n%s--b--\n" % base64.encodebytes(packed.getvalue()).decode())
            d.write("rules/all.lua", 'local pattern = re("x")\nrule { symbol = "TRUE", score = 1, group = "x", description = "d", '
                    'needs = { "text", "urls", "files" }, tests = { { eml = "all.eml", hit = true } },\nwhen = function(msg)\n%s\nreturn true end }\n'
                    % "\n".join(self.scoped(checks)))
            r = self.ctl("test", d("rules"))
            self.assertEqual(r.returncode, 0, r.stdout.decode()[-1500:])

    @staticmethod
    def scoped(checks):
        out, open_ = [], False
        for c in checks:
            if c.startswith("local o"):
                out += ["end"] if open_ else []
                out.append("do " + c)
                open_ = True
            elif not c.startswith("  ") and open_:
                out.append("end")
                open_ = False
                out.append(c)
            else:
                out.append(c)
        return out + (["end"] if open_ else [])


if __name__ == "__main__":
    unittest.main()
