"""Runs the suites named on the command line (default: all that are quick enough for it) and prints one line per suite and class,
and what failed. SUITE:PREFIX runs the mails of hostile-open whose id begins so. Exit code 0: nothing failed."""
import sys

from . import evasion, hostile, messages, shapes, variants

SUITES = {
    "mime-evasion": evasion.run,
    "variants": variants.run,
    "hostile-open": hostile.run,
    "hostile-big": hostile.run_big,
    "mime-messages": messages.run,
    "shapes": shapes.run,
}


def main():
    failed = total = 0
    for arg in sys.argv[1:] or SUITES:
        name, _, only = arg.partition(":")
        if name not in SUITES:
            sys.exit("no suite \"%s\"; there are %s" % (name, ", ".join(SUITES)))
        for table in SUITES[name](only):
            failed += table.show()
            total += sum(a + b for a, b in table.classes.values())
    print("%d checked, %s" % (total, "%d problems" % failed if failed else "all pass"))
    return 1 if failed or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
