#!/usr/bin/env python3
"""make bench-rules: what rules cost a mail, in the stage of rules alone. 100 and 10,000 patterns (made of the corpus's own kind of words,
a quarter with a class, a gap or a bound in them), 300 rules in Lua, the rules we ship, and all of it again by PCRE2 one by one."""
import os
import random
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CTL = os.path.join(os.environ.get("POLICYD_BUILD", os.path.join(TOP, "build")), "policyctl")
ROUNDS = int(os.environ.get("ROUNDS", "3"))


def words(seed, count):
    """Word-like strings: what fires in real mail does so rarely, as with real rules."""
    r = random.Random(seed)
    ends, middles = ["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z"], ["a", "e", "i", "o", "u", "ou", "ea"]
    return ["".join(r.choice(ends) + r.choice(middles) for _ in range(r.randint(2, 4))) + r.choice(ends) for _ in range(count)]


def patterns(count):
    w = words(1, 4 * count)
    for i in range(count):
        a, b, c = w[4 * i], w[4 * i + 1], w[4 * i + 2]
        yield ["%s %s" % (a, b), r"\b%s %s\b" % (a, b), "%s[ _-]%s" % (a, b), r"%s.{0,30}%s" % (a, b), r"\b(?:%s|%s) %sing\b" % (a, b, c),
               "%s%s" % (a, c), "%s, %s" % (a, b), r"%s\s+%s" % (a, b)][i % 8]


def pattern_rules(count):
    views = ["body", "body", "body", "subject", "uri"]
    return "\n".join('rule { symbol = "P%05d", score = 0.1, group = "bench", description = "d", %s = [[%s]] }' % (i, views[i % 5], p)
                     for i, p in enumerate(patterns(count)))


def lua_rules(count):
    """The commonest shapes of `when`: two headers compared, links walked, a text looked for, a header's form."""
    shapes = ['local f, r = msg:address("From"), msg:address("Reply-To") return f and r and f.domain ~= r.domain and r.domain == "x%d.example"',
              'local h = msg:header("X-Bench-%d") return h and h:find("yes") ~= nil',
              'local s = msg.subject return #s > 0 and s:starts("bench %d")',
              'for _, l in ipairs(msg.links) do if l.host == "h%d.example" then return l.host end end',
              'return msg.size > 100000000 + %d', 'return msg:found("GTUBE") ~= nil and msg.size == %d']
    return "\n".join('rule { symbol = "L%03d", score = 0.1, group = "bench", description = "d", needs = { "urls" }, when = function(msg) %s end }'
                     % (i, shapes[i % 6] % i) for i in range(count))


def bench(directory, index, *more):
    best = None
    for _ in range(ROUNDS):
        out = subprocess.run([CTL, "rules", "bench", "--quiet", "-r", directory, *more, index], cwd=TOP, stdout=subprocess.PIPE, check=True).stdout.decode()
        us, all_us = (float(x) for x in re.search(r"([\d.]+) us a mail in the stage of rules, ([\d.]+) us CPU all told", out).groups())
        best = (us, all_us) if best is None else (min(best[0], us), min(best[1], all_us))
    return best, out


def main():
    index = sys.argv[1]
    with tempfile.TemporaryDirectory() as d:
        sets = {"100 patterns": pattern_rules(100), "10,000 patterns": pattern_rules(10000), "300 rules in Lua": lua_rules(300)}
        for i, (name, text) in enumerate(sets.items()):
            os.mkdir("%s/%d" % (d, i))
            with open("%s/%d/a.lua" % (d, i), "w") as f:
                f.write(text)
            sets[name] = "%s/%d" % (d, i)
        sets["the shipped rules"] = os.path.join(TOP, "rules")
        took = {}
        for name, path in sets.items():
            took[name], out = bench(path, index)
            print("%-20s %8.1f us a mail in rules, %8.1f with parse and score   %s" % (name, *took[name], out.splitlines()[0]), flush=True)
        alone, _ = bench(sets["the shipped rules"], index, "--pcre")
        print("%-20s %8.1f us a mail in rules, %8.1f with parse and score   every pattern by PCRE2" % ("the shipped rules", *alone))
        many, few, lua = took["10,000 patterns"], took["100 patterns"], took["300 rules in Lua"][0]
        print("a mail with 10,000 patterns costs %.2f times one with 100 (bound 3); the patterns alone %.2f times, %.1f us more" % (
            many[1] / few[1], many[0] / few[0], many[0] - few[0]))
        print("300 rules in Lua: %.0f us a mail (bound 150)" % lua)
        return 0 if many[1] < 3 * few[1] and lua < 150 else 1


if __name__ == "__main__":
    sys.exit(main())
