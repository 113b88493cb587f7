"""Runs the suites named on the command line (default: all) and prints one line per suite and class, and what failed.

  python3 -m tests.suites.run [--short] [SUITE[:PREFIX]]...

--short leaves out what takes long and makes the rest smaller. SUITE:PREFIX runs the mails whose id begins so. Exit code 0:
nothing failed."""
import sys

from . import attachments, evasion, ham, hostile, messages, naming, shapes, variants

SUITES = {                                   # name: (all of it, the short form or None)
    "mime-evasion": (evasion.run, evasion.run),
    "variants": (variants.run, variants.run_short),
    "attachments": (attachments.run, attachments.run_short),
    "naming": (naming.run, naming.run),
    "hostile-open": (hostile.run, hostile.run),
    "hostile-big": (hostile.run_big, None),
    "mime-messages": (messages.run, messages.run),
    "shapes": (shapes.run, shapes.run_short),
    "ham": (ham.run, None),
}


def main():
    failed = total = 0
    names = [a for a in sys.argv[1:] if a != "--short"]
    short = len(names) < len(sys.argv) - 1
    for arg in names or SUITES:
        name, _, only = arg.partition(":")
        if name not in SUITES:
            sys.exit("no suite \"%s\"; there are %s" % (name, ", ".join(SUITES)))
        run = SUITES[name][1 if short else 0]
        for table in run(only) if run else []:
            failed += table.show()
            total += sum(a + b for a, b in table.classes.values())
            sys.stdout.flush()
    print("%d checked, %s" % (total, "%d problems" % failed if failed else "all pass" if total else "so nothing is shown"))
    return 1 if failed or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
