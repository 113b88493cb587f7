#!/usr/bin/env python3
"""Mutation run over the decision core: each mutant is one change of decide.c or settle.c (a comparison, a constant, an
operator, a dropped statement); its own test must fail. What does not compile is no mutant. Fails below 95 % killed.

usage: mutants.py ENGINE.a [-v]     (make mutants)"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILES = ["policyd/scan/decide.c", "policyd/scan/settle.c"]
TEST = "tests/unit/scan/test_settle.c"
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-I.", "-O0", "-w"] + SANITIZE
LEAST = 95.0

SWAPS = [(r" >= ", [" > ", " < "]), (r" > ", [" >= ", " < "]), (r" < ", [" <= ", " > "]), (r" == ", [" != "]), (r" != ", [" == "]),
         (r" && ", [" || "]), (r" \|\| ", [" && "]), (r" \|= ", [" = ", " &= "]), (r" &= ", [" = ", " |= "]), (r" \+= ", [" = ", " -= "]),
         (r" \+ ", [" - "]), (r" - ", [" + "]), (r" & ", [" | "]), (r"\+\+", ["--"]),
         (r"\btrue\b", ["false"]), (r"\bfalse\b", ["true"]), (r"(?<![\w.])0(?![\w.])", ["1"]), (r"(?<![\w.])1(?![\w.])", ["0", "2"]), (r"-1\b", ["1"]),
         (r"\bOUT_DELIVER\b", ["OUT_TAG"]), (r"\bOUT_TAG\b", ["OUT_DELIVER"]), (r"\bOUT_QUARANTINE\b", ["OUT_DISCARD"]),
         (r"\bOUT_DISCARD\b", ["OUT_QUARANTINE"]), (r"\bOUT_REJECT\b", ["OUT_DISCARD"]), (r"\bOUT_DEFER\b", ["OUT_REJECT"]),
         (r"\bREPLY_(DEFER|REJECT|DISCARD)\b", ["REPLY_ACCEPT"]), (r"\bREPLY_ACCEPT\b", ["REPLY_DISCARD"]),
         (r"\bLISTED_ALLOW\b", ["LISTED_BLOCK"]), (r"\bLISTED_BLOCK\b", ["LISTED_ALLOW"]),
         (r"\bif \((.*)\)$", [r"if (!(\1))", r"if (1)", r"if (0)"]), (r"(?<=[ (])!(?=\w)", [""])]


def mutants(text):
    """(line number, what, the whole text changed)"""
    lines, comment = text.split("\n"), False
    for n, line in enumerate(lines):
        code = re.sub(r"/\*.*?\*/", lambda m: " " * len(m.group(0)), line)
        if comment:
            comment = "*/" not in line
            continue
        if "/*" in code:
            comment, code = True, code[:code.index("/*")]
        if not line.startswith("\t") or not code.strip():
            continue

        def changed(new):
            return "\n".join(lines[:n] + [new] + lines[n + 1:])

        for pattern, news in SWAPS:
            for m in re.finditer(pattern, code):
                for new in news:
                    yield n + 1, "%s -> %s" % (m.group(0).strip(), m.expand(new).strip() if "\\" in new else new.strip()), changed(
                        line[:m.start()] + (m.expand(new) if "\\" in new else new) + line[m.end():])
        statement = code.strip()
        if statement.endswith(";") and re.match(r"[*\w][\w\->.\[\]*() ]*( [|&+\-]?= |\()|\w.*\+\+;", statement) and not statement.startswith(("return", "struct ", "size_t ", "for ", "const ", "static ", "uint32_t ", "bool ", "int ", "enum ")):
            yield n + 1, "dropped: " + statement, changed(re.match(r"\s*", line).group(0) + ";")
        if statement == "continue;" or statement == "break;":
            yield n + 1, "dropped: " + statement, changed(";")


def build(cc, source, out):
    return subprocess.run([cc] + FLAGS + ["-c", "-o", out, source], cwd=TOP, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def main():
    engine, verbose = sys.argv[1], "-v" in sys.argv
    cc = os.environ.get("CC", "gcc").split()[-1]
    with tempfile.TemporaryDirectory() as d:
        objects = {}
        for f in FILES + [TEST]:
            objects[f] = os.path.join(d, os.path.basename(f) + ".o")
            assert build(cc, f, objects[f]), f

        def run(objs, name):
            program = os.path.join(d, name)
            if subprocess.run([cc, "-o", program] + SANITIZE + objs + [engine, "-lcmocka", "-lm"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
                return None
            try:
                return subprocess.run([program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20).returncode == 0
            except subprocess.TimeoutExpired:
                return False
            finally:
                os.unlink(program)

        assert run(list(objects.values()), "whole"), "the test fails without a mutant"
        work = [(f, n, what, text) for f in FILES for n, what, text in mutants(open(os.path.join(TOP, f)).read())]

        def one(job):
            number, (f, n, what, text) = job
            source, obj = os.path.join(d, "m%d.c" % number), os.path.join(d, "m%d.o" % number)
            with open(source, "w") as out:
                out.write(text)
            if not build(cc, source, obj):
                return None
            lives = run([obj if k == f else v for k, v in objects.items()], "m%d" % number)
            os.unlink(obj)
            return lives

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            results = list(pool.map(one, enumerate(work)))
    tried = [(w, r) for w, r in zip(work, results) if r is not None]
    alive = [w for w, r in tried if r]
    for f, n, what, _ in alive:
        print("survived  %s:%d  %s" % (f, n, what))
    share = 100.0 * (len(tried) - len(alive)) / len(tried)
    print("%d mutants of %s: %d killed, %d survived: %.1f %%" % (len(tried), " and ".join(FILES), len(tried) - len(alive), len(alive), share))
    if verbose:
        print("%d changes did not compile" % (len(work) - len(tried)))
    return 0 if share >= LEAST else 1


if __name__ == "__main__":
    sys.exit(main())
