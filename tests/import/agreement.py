#!/usr/bin/env python3
"""agreement.py THEIRS OURS [PREFIX]: per rule, do the imported rules hit the mails that SpamAssassin's own hit? Both files have
"PATH<TAB>RULE RULE ..." lines. Prints the rules below F1 0.95, then the share of those that theirs hits ten times or more that reach it."""
import sys


def read(path, prefix=""):
    hits, mails = {}, set()
    for line in open(path, errors="replace"):
        if "\t" not in line:
            continue
        mail, rules = line.rstrip("\n").split("\t", 1)
        mails.add(mail)
        for rule in set(rules.split()):
            if prefix:
                hidden = "__" if rule.startswith("__") else ""
                bare = rule[len(hidden):]
                if not bare.startswith(prefix):
                    continue
                rule = hidden + bare[len(prefix):]
            hits.setdefault(rule.upper(), set()).add(mail)
    return hits, mails


def main():
    theirs, mails = read(sys.argv[1])
    ours, seen = read(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "SA_")
    common = mails & seen
    rows = []
    for rule, hit in theirs.items():
        hit &= common
        if len(hit) < 10:
            continue
        got = ours.get(rule, set()) & common
        both = len(hit & got)
        rows.append((2.0 * both / (len(hit) + len(got)), rule, len(hit), len(got), both, sorted(hit - got)[:1], sorted(got - hit)[:1]))
    rows.sort()
    for f1, rule, t, o, both, missed, extra in rows:
        if f1 < 0.95:
            print("%.3f %-36s theirs %5d ours %5d both %5d%s%s" % (f1, rule, t, o, both, "  missed " + missed[0] if missed else "",
                                                              "  extra " + extra[0] if extra else ""))
    good = sum(1 for r in rows if r[0] >= 0.95)
    visible = [r for r in rows if not r[1].startswith("__")]
    print("%d mails; %d rules that SpamAssassin hits ten times or more: %d (%.1f %%) agree with F1 >= 0.95; of the %d that are shown: %.1f %%" % (
        len(common), len(rows), good, 100.0 * good / max(1, len(rows)), len(visible),
        100.0 * sum(1 for r in visible if r[0] >= 0.95) / max(1, len(visible))))
    return 0 if rows and good >= 0.9 * len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
