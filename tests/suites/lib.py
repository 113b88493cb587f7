"""What the suites share: their mails unpacked, the facts of a scan of each, and the table that is printed."""
import json
import os
import subprocess
import tarfile

from tests.lib.procs import BUILD, TOP

DATA = os.path.join(TOP, "tests", "suites", "data")
DATABASE = os.path.join(DATA, "hostile-open")                # clamav-test.hdb, .ndb: EICAR, alone or anywhere in a file


def unpack(*path):
    """A committed archive, unpacked beside the build; where."""
    archive = os.path.join(DATA, *path)
    to = os.path.join(TOP, "build", "suites", *path)[:-len(".tar.xz")]
    stamp = os.path.join(to, ".unpacked")
    if not os.path.exists(stamp) or os.path.getmtime(stamp) < os.path.getmtime(archive):
        os.makedirs(to, exist_ok=True)
        with tarfile.open(archive) as tar:
            tar.extractall(to)
        open(stamp, "w").close()
    return to


def scan(files, clamav=True, database=DATABASE, data=False):
    """facts.h's account of every file, as a dictionary each, in order."""
    args = [os.path.join(BUILD, "mailscan"), "-j"] + (["-d", database] if clamav else []) + (["-b"] if data else [])
    out = subprocess.run(args, input="".join(f + "\n" for f in files).encode(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    facts = [json.loads(line) for line in out.decode("utf-8", "replace").split("\n") if line]
    assert [f["file"] for f in facts] == list(files), "mailscan lost a mail"
    return facts


AMBIGUOUS = ("MIME_AMBIGUOUS_BOUNDARY", "MIME_AMBIGUOUS_TYPE", "MIME_AMBIGUOUS_ENCODING", "MIME_AMBIGUOUS_NAME", "MIME_OTHER_READING",
             "ARCHIVE_AMBIGUOUS")


def ambiguous(facts):
    return sorted(s for s in facts["symbols"] if s in AMBIGUOUS)


class Table:
    """One line per suite and class: how many pass, how many fail, and below it what failed and why."""

    def __init__(self, suite):
        self.suite = suite
        self.classes, self.failures = {}, []

    def add(self, cls, name, problems):
        good, bad = self.classes.get(cls, (0, 0))
        self.classes[cls] = (good, bad + 1) if problems else (good + 1, bad)
        self.failures += ["%s: %s" % (name, p) for p in problems]

    def show(self):
        for cls, (good, bad) in self.classes.items():
            print("%-16s %-28s %5d pass %4d fail" % (self.suite, cls, good, bad))
        for line in self.failures:
            print("    " + line)
        return len(self.failures)
