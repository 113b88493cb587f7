"""data/mime-evasion: mails that hide an archive with EICAR, or a file name, by odd MIME. Each says in X-Payload-Id by which
trick, and how valid it is: 3 plain, 2 standard but rare, 1 doubtful, 0 broken yet read by some client.

None may pass as clean, nine tenths are to be found by signature, and what is valid(3) or valid(2) is not to be called ambiguous."""
import glob
import os
import re

from .lib import Table, ambiguous, scan, unpack

BY_SIGNATURE = 0.89


def payload(path):
    with open(path, "rb") as f:
        data = f.read()
    trick, valid = re.search(rb"X-Payload-Id: (\S+) valid\((\d)\)", data).groups()
    return trick.decode("latin-1"), int(valid)


def content(folder):
    table, found = Table("mime-evasion"), 0
    paths = sorted(glob.glob(os.path.join(folder, "hide-content.d", "*.eml")))
    for path, facts in zip(paths, scan(paths)):
        trick, valid = payload(path)
        problems = ["died by " + facts["died"]] if "died" in facts else []
        if not problems and facts["outcome"] == "deliver":
            problems.append("passes as clean")
        if not problems and valid >= 2 and ambiguous(facts):
            problems.append("valid(%d), yet %s" % (valid, " ".join(ambiguous(facts))))
        found += not problems and "virus" in facts["classes"]
        table.add("content valid(%d)" % valid, "%s %s" % (os.path.basename(path), trick), problems)
    share = found / max(1, len(paths))
    table.add("by signature %d of %d" % (found, len(paths)), "signature", [] if share >= BY_SIGNATURE else ["only %.1f %%" % (100 * share)])
    return table


def names(folder):
    """Each has a text, meant to be called *.txt, and an archive, meant to be called *.zip; the decoy is *.png."""
    table = Table("mime-evasion")
    paths = sorted(glob.glob(os.path.join(folder, "hide-filename.d", "*.eml")))
    for path, facts in zip(paths, scan(paths, clamav=False)):
        trick, valid = payload(path)
        problems = ["died by " + facts["died"]] if "died" in facts else []
        have = sorted(p["name"] for p in facts.get("parts", []) if p["name"])
        meant = ["png", "png"] if trick.endswith(".png") else ["txt", "zip"]
        right = sorted(n.rpartition(".")[2] for n in have) == meant
        if not problems and not right and not ambiguous(facts):
            problems.append("%s, and no finding" % have)
        if not problems and valid >= 2 and (ambiguous(facts) or not right):
            problems.append("valid(%d), yet %s %s" % (valid, have, " ".join(ambiguous(facts))))
        table.add("name valid(%d)" % valid, "%s %s" % (os.path.basename(path), trick), problems)
    return table


def run(only=""):
    folder = unpack("mime-evasion", "mails.tar.xz")
    return [content(folder), names(folder)]
