"""Mails of one hostile shape each, in two sizes: twice the size may cost at most 2.3 times the work and the memory.

Work is the CPU time of message_parse alone, best of seven in one process; a pair that is over is measured again, for neighbours
on the machine make times grow, never shrink."""
import os
import random
import re
import subprocess

from tests.lib.procs import BUILD, TOP

from .lib import Table

FACTOR, TRIES = 2.3, 8
SLACK_US, SLACK_BYTES = 500, 256 * 1024      # what the clock and the arena's blocks cannot tell apart
HEAD = "From: a@sender.example\nSubject: x\nMIME-Version: 1.0\n"
MIXED = HEAD + "Content-Type: multipart/mixed; boundary=b\n\n"
B64 = "UEsDBBQAAAAIAAAAIQA8z1FoRAAAAEQAAAAMAAAAcUVhbGUzSW4uY29tWDVPIVAlQEFQWzRcUFpY\n"

SHAPES = {}


def shape(size):
    def add(f):
        SHAPES[f.__name__] = (size, f)
        return f
    return add


@shape(20000)
def parts_empty(n):
    return MIXED + "--b\n\n" * n + "--b--\n"


@shape(600)
def parts_small(n):
    return MIXED + "--b\nContent-Type: text/plain; name=a.txt\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n" * n + "--b--\n"


@shape(3000)
def multiparts_nested(n):
    return HEAD + "".join("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(n)) + "\nx\n"


@shape(3000)
def multiparts_of_one_boundary(n):
    return HEAD + "Content-Type: multipart/mixed; boundary=b\n\n--b\n" * n + "\nx\n"


@shape(3000)
def boundaries_are_prefixes(n):
    return HEAD + "".join("Content-Type: multipart/mixed; boundary=%s\n\n--%s\n" % ("b" * (i % 60 + 1), "b" * (i % 60 + 1)) for i in range(n)) + "\nx\n"


@shape(3000)
def messages_nested(n):
    return HEAD + "Content-Type: message/rfc822\n\n" * n + "x\n"


@shape(20000)
def headers(n):
    return HEAD + "".join("X-%d: some value\n" % i for i in range(n)) + "\nx\n"


@shape(200000)
def header_long(n):
    return HEAD + "X-Long: " + "word " * n + "\n\nx\n"


@shape(100000)
def header_folds(n):
    return HEAD + "X-Long: a\n" + " b\n" * n + "\nx\n"


@shape(20000)
def header_junk(n):
    return HEAD + "no header at all\nX-A: b\n" * n + "\nx\n"


@shape(20000)
def encoded_words(n):
    return HEAD + "Subject: " + "=?utf-8?B?aGVsbG8=?= " * n + "\n\nx\n"


@shape(20000)
def encoded_words_open(n):
    return HEAD + "Subject: " + "=?utf-8?B?aGVs " * n + "\n\nx\n"


@shape(20000)
def addresses(n):
    return "From: " + ", ".join("A <a%d@b.example>" % i for i in range(n)) + "\n\nx\n"


@shape(50000)
def comments_open(n):
    return "From: a" + "(" * n + "\nContent-Type: text/plain" + "(" * n + "\n\nx\n"


@shape(20000)
def params(n):
    return HEAD + "Content-Type: text/plain" + "".join("; a%d=b" % i for i in range(n)) + "\n\nx\n"


@shape(20000)
def continuations(n):
    return HEAD + "Content-Type: text/plain" + "".join("; name*%d=b" % i for i in reversed(range(n))) + "\n\nx\n"


@shape(300)
def params_in_parts(n):
    return MIXED + ("--b\nContent-Type: text/plain" + "".join("; name*%d*=%%41" % i for i in range(60)) + "\n\nx\n") * n + "--b--\n"


@shape(20000)
def quotes_open(n):
    return HEAD + "Content-Type: text/plain" + "; a=\"b" * n + "\n\nx\n"


@shape(40000)
def delimiters_near(n):
    return MIXED + "--b\n\n" + "--bb\n--b-\n-- b\n" * n + "--b--\n"


@shape(2000)
def dashes(n):
    return MIXED + ("-" * 999 + "\n") * n


@shape(20000)
def delimiters_foreign(n):
    return MIXED + "--b\n\nx\n--b--\n" + "".join("--c%d\nContent-Type: a/b\n\nx\n" % i for i in range(n))


@shape(10000)
def delimiters_foreign_with_files(n):
    return MIXED + "--b\n\nx\n--b--\n" + "".join("--c%d\nContent-Type: a/b\n\nPK\3\4%d\n" % (i, i) for i in range(n))


@shape(20000)
def base64_clean(n):
    return HEAD + "Content-Type: application/zip\nContent-Transfer-Encoding: base64\n\n" + B64 * n


@shape(10000)
def base64_junk(n):
    return HEAD + "Content-Type: application/zip\nContent-Transfer-Encoding: base64\n\n" + (B64[:30] + "#=!" + B64[30:]) * n


@shape(10000)
def base64_padded(n):
    return HEAD + "Content-Type: application/zip\nContent-Transfer-Encoding: base64\n\n" + "UEs=\nUA==\n" * n


@shape(10000)
def base64_undeclared(n):
    return HEAD + "Content-Type: application/zip\n\n" + B64 * n


@shape(5000)
def base64_in_segments(n):
    return MIXED + "".join("--c\nContent-Transfer-Encoding: base64\n\nUEsD#%d\n\n%s\n\n" % (i, B64) for i in range(n))


@shape(30000)
def quoted_broken(n):
    return HEAD + "Content-Type: application/zip\nContent-Transfer-Encoding: quoted-printable\n\n" + "=P=K= =\t=4=\n" * n


@shape(20000)
def uu_blocks(n):
    return HEAD + "\n" + "begin 644 a\n#0V%T\n`\nend\n" * n


@shape(20000)
def uu_begins(n):
    return HEAD + "\n" + "begin 644 a\n" * n


@shape(20000)
def uu_blocks_in_parts(n):
    return MIXED + "--b\n\nbegin 644 a\n#0V%T\n" * n


@shape(20000)
def yenc_blocks(n):
    return HEAD + "\n" + "=ybegin line=128 size=3 name=a\nabc\n=yend size=3\n" * n


@shape(20000)
def yenc_begins(n):
    return HEAD + "\n" + "=ybegin line=128 size=3 name=a\n" * n


@shape(20000)
def binhex_runs(n):
    return HEAD + "\n(This file must be converted with BinHex 4.0)\n:" + "\"8*`!#N!!" * n + ":\n"


@shape(200000)
def nul_bytes(n):
    return HEAD + "\n" + "\0" * n


@shape(100000)
def bare_cr(n):
    return MIXED + "--b\r\rx\r" * n


@shape(100000)
def blank_lines(n):
    return MIXED + "--b\n" + "\n \n" * n


@shape(20000)
def text(n):
    return HEAD + "\n" + "The quick brown fox jumps over the lazy dog.\n" * n


@shape(50000)
def random_bytes(n):
    r = random.Random(1)
    return MIXED + "".join(r.choice("\n\n--b=?:;\"()\\ \tAz0\0\r") for _ in range(n))


def measure(paths):
    """(microseconds of CPU, bytes of arena) of each."""
    out = subprocess.run([os.path.join(BUILD, "mailscan"), "-t"] + paths, stdout=subprocess.PIPE, check=True).stdout.decode()
    return [tuple(int(x) for x in re.match(r"\s*(\d+) us  \d+ bytes of mail  (\d+) of memory", line).groups()) for line in out.split("\n") if line]


def grows(once, twice):
    problems = []
    if twice[0] > FACTOR * once[0] and twice[0] - once[0] > SLACK_US:
        problems.append("%.1f times the work (%d, then %d us)" % (twice[0] / max(1, once[0]), once[0], twice[0]))
    if twice[1] > FACTOR * once[1] + SLACK_BYTES:
        problems.append("%.1f times the memory (%d, then %d bytes)" % (twice[1] / once[1], once[1], twice[1]))
    return problems


def run(only="", scale=1):
    folder = os.path.join(TOP, "build", "suites", "shapes")
    os.makedirs(folder, exist_ok=True)
    table = Table("shapes")
    for name, (size, f) in SHAPES.items():
        if not name.startswith(only):
            continue
        paths = [os.path.join(folder, "%s.%d" % (name, k)) for k in (1, 2)]
        for k, path in enumerate(paths, 1):
            with open(path, "w", encoding="latin-1", newline="") as out:
                out.write(f(int(size * scale) * k))
        best = [(1 << 60, 0)] * 2
        for _ in range(TRIES):
            best = [(min(b[0], m[0]), m[1]) for b, m in zip(best, measure(paths))]
            problems = grows(*best)
            if not problems:
                break
        table.add("%6d us %9d bytes" % (best[0][0], os.path.getsize(paths[0])) if only else "twice the size", name, problems)
    return [table]


def run_short(only=""):
    return run(only, scale=0.25)
