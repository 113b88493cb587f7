"""File names hidden in Content-Type and Content-Disposition, made here: every order, gap, doubling and quoting of a decoy and the
real name. The kind of the real file (its extension) is found, or the name is called ambiguous; what RFC 2231 has is neither missed
nor called so."""
import itertools
import os
import random

from tests.lib.procs import TOP

from .lib import Table, ambiguous, scan
from .variants import word


def params(r, key, stem, ext):
    """(label, legal, text of the parameters) for a file stem.ext; the decoy is a picture."""
    whole, decoy = "%s.%s" % (stem, ext), "%s.png" % word(r, 4)
    quoted = {"plain": whole, "quoted": '"%s"' % whole, "blank": '"my %s"' % whole, "semicolon": '"my;%s"' % whole}
    for label, value in quoted.items():
        yield label, True, "%s=%s" % (key, value)
    hexed = "".join("%%%02x" % b for b in whole.encode())
    for charset, value in (("utf-8", hexed), ("us-ascii", whole), ("utf-16be", "".join("%%%02x" % b for b in whole.encode("utf-16-be")))):
        yield "extended " + charset, True, "%s*=%s''%s" % (key, charset, value)
    pieces = [(0, stem + "."), (1, ext[:1]), (2, ext[1:])]
    for star in ("", "*"):
        for order in itertools.permutations(pieces):
            text = "; ".join("%s*%d%s=%s%s" % (key, n, star, "utf-8''" if star and n == 0 else "", v) for n, v in order)
            yield "pieces%s %s" % (star, "".join(str(n) for n, _ in order)), list(order) == pieces, text
            yield "pieces%s %s beside a plain one" % (star, "".join(str(n) for n, _ in order)), False, \
                "; ".join(r.sample([text, "%s=%s" % (key, decoy)], 2))
        for numbers in ((1, 2), (0, 2), (2, 1), (1, 0), (0, 0), (1, 1), (3, 7), ("00", "01"), ("x", "y")):
            text = "; ".join("%s*%s%s=%s" % (key, n, star, v) for n, v in zip(numbers, (stem + ".", ext)))
            yield "pieces%s numbered %s" % (star, numbers), False, text
            yield "pieces%s numbered %s beside a plain one" % (star, numbers), False, "; ".join(r.sample([text, "%s=%s" % (key, decoy)], 2))
    for both in itertools.permutations(["%s=%s" % (key, decoy), "%s=%s" % (key, whole)]):
        yield "twice", False, "; ".join(both)
    for both in itertools.permutations(["%s=%s" % (key, decoy), "%s*=utf-8''%s" % (key, hexed)]):
        yield "extended beside plain", True, "; ".join(both)
    for gap in ("(x)", "(;%s=%s)" % (key, decoy), "\t", "\n ", " (\\)) "):
        yield "gap %r" % gap, False, "%s%s=%s" % (key, gap, whole)
        yield "gap %r behind" % gap, False, "%s=%s%s" % (key, gap, whole)
    yield "semicolon outside", False, "%s=%s;.%s" % (key, stem, ext)
    yield "escaped semicolon", False, "%s=%s\\;.%s" % (key, stem, ext)
    yield "quotes in the middle", False, '%s="%s".%s' % (key, stem, ext)
    yield "quotes at the end", False, '%s=%s."%s"' % (key, stem, ext)
    yield "decoy in quotes, more behind", False, '%s="%s".%s' % (key, decoy, ext)
    yield "no end of quotes", False, '%s="%s' % (key, whole)
    yield "escaped quote", False, '%s="%s\\".%s"' % (key, stem, ext)
    yield "apostrophes", False, "%s='%s'" % (key, whole)
    for kind in ("?Q?" + whole, "?B?" + __import__("base64").b64encode(whole.encode()).decode()):
        yield "encoded word", False, "%s==?utf-8%s?=" % (key, kind)
        yield "encoded word in quotes", False, '%s="=?utf-8%s?="' % (key, kind)


def mails(r, ext):
    for key, other in (("filename", "name"), ("name", "filename")):
        for label, legal, text in params(r, key, word(r, 4), ext):
            header = "Content-Disposition: attachment; %s" % text if key == "filename" else "Content-Type: application/octet-stream; %s" % text
            yield "%s: %s" % (key, label), legal, header
        whole, decoy = "%s.%s" % (word(r, 4), ext), word(r, 4) + ".png"
        cd, ct = "Content-Disposition: attachment; filename=%s", "Content-Type: application/octet-stream; name=%s"
        for first, second in ((decoy, whole), (whole, decoy)):
            yield "two names", False, "\n".join(r.sample([cd % first, ct % second], 2))
            yield "two dispositions", False, "\n".join([cd % first, cd % second])
            yield "two types", False, "\n".join([ct % first, ct % second])
            yield "%s in the other header" % key, False, "\n".join([cd % first, "Content-Type: application/octet-stream; filename=%s" % second])


def run(only=""):
    r = random.Random(3)
    folder = os.path.join(TOP, "build", "suites", "naming")
    os.makedirs(folder, exist_ok=True)
    table, cases, paths = Table("naming"), [], []
    for ext in ("zip", "exe", "docm"):
        for label, legal, header in mails(r, ext):
            cases.append((label, legal, header, ext))
            paths.append(os.path.join(folder, "%04d.eml" % len(cases)))
            boundary = word(r)
            text = "From: a@sender.example\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=%s\n\n--%s\n\nhello\n--%s\n%s\n\nhello\n--%s--\n" % (
                boundary, boundary, boundary, header, boundary)
            with open(paths[-1], "w", newline="\r\n" if r.random() < 0.5 else "\n") as f:
                f.write(text)
    for (label, legal, header, ext), path, facts in zip(cases, paths, scan(paths, clamav=False)):
        problems = ["died by " + facts["died"]] if "died" in facts else []
        names = [p["name"] for p in facts.get("parts", []) if p["name"]]
        right = any(n.lower().endswith("." + ext) for n in names)
        if not problems and not right and not ambiguous(facts):
            problems.append("%s, and no finding: %r" % (names, header))
        if not problems and legal and (ambiguous(facts) or not right):
            problems.append("legal, yet %s %s: %r" % (names, " ".join(ambiguous(facts)), header))
        table.add("legal" if legal else "hidden", "%s %s" % (os.path.basename(path), label), problems)
    return [table]
