# SPDX-License-Identifier: MIT
"""Python's own regression modules: one line a test, and the reasons of those that fail."""
import importlib
import sys
import unittest

import test.support

# As regrtest has them: none of the hour-long ones, and nothing of the order in which threads run.
test.support.use_resources = ()
test.support.verbose = False


class Lines(unittest.TestResult):
    def tell(self, test, what):
        print(what, test.id(), flush=True)

    def addSuccess(self, test):
        self.tell(test, "ok")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.tell(test, "skipped")

    def addExpectedFailure(self, test, err):
        self.tell(test, "ok, fails as expected")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell(test, "FAILED")

    def addError(self, test, err):
        super().addError(test, err)
        self.tell(test, "ERROR")

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.tell(subtest, "FAILED")


def run_tests(module, result):
    loader = unittest.defaultTestLoader
    if not hasattr(module, "test_main"):
        loader.loadTestsFromModule(module).run(result)
        return
    # One that chooses its tests itself, and makes some of them out of files: test_decimal.
    module.run_unittest = lambda *classes: [loader.loadTestsFromTestCase(c).run(result) for c in classes]
    module.run_doctest = lambda *args, **options: None
    module.test_main()


result = Lines()
for name in sys.argv[1:]:
    run_tests(importlib.import_module(f"test.{name}"), result)
for test, why in result.failures + result.errors:
    print(test.id(), why, sep="\n")
sys.exit(0 if result.wasSuccessful() else 1)
