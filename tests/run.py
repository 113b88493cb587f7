#!/usr/bin/env python3
"""Runs the system tests named on the command line (default: all of tests/system/test_*.py; FILE:NAME is one test of
a file) and ends with one line "N passed, N failed". Each file is runnable alone as well.

With several files, two run side by side, for they mostly wait: each in a process of its own, with ports of its own
(LANE, tests/lib/procs.py); what a file says is printed when it has ended. LANES=1: one after the other."""
import concurrent.futures
import glob
import importlib.util
import os
import queue
import re
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))


def load(path):
    path, _, name = path.partition(":")
    spec = importlib.util.spec_from_file_location(os.path.basename(path)[:-3], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loader = unittest.TestLoader()
    if name:
        loader.getTestCaseNames = lambda cls: [n for n in (name,) if hasattr(cls, n)]
    return loader.loadTestsFromModule(module)


class Result(unittest.TextTestResult):
    def startTest(self, test):
        self.began = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.stream.writeln("      %.1f s" % (time.monotonic() - self.began))


LONG = ("web", "review", "faults", "content", "ledger", "doctor", "quarantine_faults", "variants")   # first, so that none is last alone


def weight(path):
    name = os.path.basename(path)[len("test_"):-len(".py")]
    return LONG.index(name) if name in LONG else len(LONG)


def side_by_side(paths, lanes):
    free = queue.Queue()
    for lane in range(lanes):
        free.put(lane)

    def one(path):
        lane = free.get()
        try:
            return subprocess.run([sys.executable, os.path.abspath(__file__), path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  env=dict(os.environ, LANE=str(lane))).stdout.decode("utf-8", "replace")
        finally:
            free.put(lane)

    total = [0, 0, 0]
    with concurrent.futures.ThreadPoolExecutor(lanes) as pool:
        for path, said in zip(paths, pool.map(one, paths)):
            print("== %s\n%s" % (os.path.basename(path), said), flush=True)
            counts = re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", said, re.M)
            if len(counts) != 1:                     # it did not come to its end
                counts = [(0, 1, 0)]
            total = [t + int(n) for t, n in zip(total, counts[0])]
    print("%d passed, %d failed, %d skipped" % tuple(total))
    return 1 if total[1] or total[0] == 0 else 0


def main():
    paths = sys.argv[1:] or sorted(glob.glob(os.path.join(HERE, "system", "test_*.py")), key=weight)
    lanes = int(os.environ.get("LANES", "2"))
    if len(paths) > 1 and lanes > 1:
        return side_by_side(paths, lanes)
    suite = unittest.TestSuite(load(p) for p in paths)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(suite)
    failed = len(result.failures) + len(result.errors)
    print("%d passed, %d failed, %d skipped" % (result.testsRun - failed - len(result.skipped), failed, len(result.skipped)))
    return 1 if failed or result.testsRun == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
