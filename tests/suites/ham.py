"""Honest mail: ambiguity may be found in less than one of a thousand. The public SpamAssassin corpus (tests/lib/corpus.py), or
CORPUS=INDEX with lines "ham PATH"."""
import os

from tests.lib.corpus import index, installed

from .lib import Table, ambiguous, scan

SHARE = 0.001


def run(only=""):
    table = Table("ham")
    if not installed():
        print("%-16s not run: there is no corpus; make deps-bench installs it, or set CORPUS=INDEX" % "ham")
        return [table]
    with open(index(), encoding="utf-8", errors="surrogateescape") as f:
        paths = [line.split(" ", 1)[1].rstrip("\n") for line in f if line.startswith("ham ")]
    paths = [p if os.path.isabs(p) else os.path.join(os.path.dirname(index()), p) for p in paths]
    facts = scan(paths, clamav=False)
    died = [(f["file"], f["died"]) for f in facts if "died" in f]
    found = [(f["file"], ambiguous(f)) for f in facts if "died" not in f and ambiguous(f)]
    table.add("%d mails, %d ambiguous" % (len(paths), len(found)), "ham",
              ["%s died by %s" % d for d in died] + (["%s %s" % (f, " ".join(n)) for f, n in found] if len(found) >= SHARE * len(paths) else []))
    return [table]
