#!/usr/bin/env python3
"""Runs the system tests named on the command line (default: all of tests/system/test_*.py; FILE:NAME is one test of
a file) and ends with one line "N passed, N failed". Each file is runnable alone as well."""
import glob
import importlib.util
import os
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


def main():
    paths = sys.argv[1:] or sorted(glob.glob(os.path.join(HERE, "system", "test_*.py")))
    suite = unittest.TestSuite(load(p) for p in paths)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result).run(suite)
    failed = len(result.failures) + len(result.errors)
    print("%d passed, %d failed, %d skipped" % (result.testsRun - failed - len(result.skipped), failed, len(result.skipped)))
    return 1 if failed or result.testsRun == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
