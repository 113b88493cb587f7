"""data/hostile-open: small and big hostile mails, each with what must be found in it (its README has the language of the
expectations). Symbols stand in one table here; `safe:` items go through a running daemon and look at what it left behind."""
import glob
import os
import re
import subprocess

from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir

from .lib import DATA, Table, ambiguous, scan, unpack

# The names of the expectations, and the symbols of ours that say the same.
FINDS = {
    "from-ambiguous": ["FROM_AMBIGUOUS"], "from-missing": ["FROM_MISSING"], "display-spoof": ["FROM_DISPLAY_SPOOF"],
    "confusable-name": ["FROM_CONFUSABLE_NAME", "ATTACHMENT_CONFUSABLE_NAME"], "mixed-script": ["TEXT_MIXED_SCRIPT"],
    "homograph": ["URL_HOMOGRAPH", "FROM_HOMOGRAPH"], "bidi-text": ["TEXT_BIDI"], "bidi-name": ["ATTACHMENT_BIDI_NAME"],
    "control-char": ["MIME_CONTROL_CHAR", "MIME_NUL"], "hidden-text": ["HTML_HIDDEN_TEXT"], "obfuscated-text": ["TEXT_OBFUSCATED"],
    "image-only": ["HTML_IMAGE_ONLY"], "polyglot": ["ATTACHMENT_POLYGLOT"], "partial": ["MIME_PARTIAL"], "binhex": ["MIME_BINHEX"],
    "encrypted-archive": ["ARCHIVE_ENCRYPTED"], "archive-bomb": ["ARCHIVE_BOMB"], "macro": ["OFFICE_MACRO"],
    "doc-external": ["OFFICE_EXTERNAL_TEMPLATE"], "onenote": ["ATTACHMENT_ONENOTE"], "rtf-object": ["RTF_OBJECT"],
    "html-smuggling": ["HTML_SMUGGLING"], "double-ext": ["ATTACHMENT_DOUBLE_EXT"], "dkim-l": ["DKIM_BODY_LENGTH"],
}


class Daemon:
    """policyd with Redis and a milter client, started when the first `safe:` item asks for it."""

    def __init__(self):
        self.pd = None

    def start(self):
        self.d = Dir()
        self.pd = Policyd(self.d)
        self.redis("SET", "sentinel", "there")
        self.pd.set("mailbox:held@test.example", tag="-1000", quarantine="-999")

    def redis(self, *args):
        return subprocess.run(["redis-cli", "-s", self.socket()] + list(args), stdout=subprocess.PIPE, check=True).stdout.decode()

    def socket(self):
        return glob.glob(self.d("state", "**", "*redis*.sock"), recursive=True)[0]

    def pass_through(self, path):
        """Sends the mail to one who gets it and one whose mail is held; what the milter answered, what the log gained."""
        if self.pd is None:
            self.start()
        before = len(self.pd.log())
        with open(path, "rb") as f:
            data = f.read()
        m = Milter(("127.0.0.1", self.pd.milter_port))
        reply = m.send(data, ["bob@test.example"])
        m.send(data, ["held@test.example"])
        m.close()
        return reply, self.pd.log()[before:]

    def close(self):
        if self.pd:
            self.pd.close()
            self.d.close()


def safe_log(daemon, reply, log):
    for line in log.rstrip("\n").split("\n"):
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", line):
            return "control characters in the log: %r" % line
        if not re.match(r"\w{3} [ \d]\d \d\d:\d\d:\d\d policyd[/\w]*\[\d+\]: ", line):
            return "a log line that begins like none of ours: %r" % line


def safe_path(daemon, reply, log):
    left = glob.glob("/tmp/hostile*") + glob.glob("/etc/cron.d/hostile*") + glob.glob(daemon.d("**", "hostile*"), recursive=True)
    return "files by names of the mail: %s" % left if left else None


def safe_redis(daemon, reply, log):
    if daemon.redis("GET", "sentinel").strip() != "there":
        return "the database was emptied"
    odd = [k for k in daemon.redis("--scan").split("\n") if k and k != "sentinel" and not re.match(r"[\w{}:@.+*/-]+$", k)]
    return "keys with letters of the mail: %s" % odd if odd else None


def safe_header(daemon, reply, log):
    for op, name, value in reply["headers"]:
        if re.search(r"[\r\n]", value) and not re.fullmatch(r"([^\r\n]|\r?\n[ \t])*", value) or name.lower() == "bcc":
            return "header %s: %r" % (name, value)


def safe_lua(daemon, reply, log):
    return "a rule failed: " + log if "RULE_FAILED" in log else safe_path(daemon, reply, log)


def safe_listing(daemon, reply, log):
    """What the pages are made of is JSON, parsed strictly here; on a terminal nothing of the mail may act."""
    if not any(e["recipient"] == "held@test.example" for e in daemon.pd.quarantine()):
        return "the held copy is not listed"
    for line in daemon.pd.ctl("quarantine", "list", "--limit", "1000").stdout.decode().split("\n"):
        if re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", line):
            return "control characters in a listing: %r" % line


SAFE = {"log": safe_log, "path": safe_path, "redis": safe_redis, "header": safe_header, "lua": safe_lua, "web": safe_listing,
        "csv": safe_listing, "json": safe_listing}


def holds(item, facts, row, path, daemon):
    """None, or why this alternative does not hold."""
    kind, _, what = item.partition(":")
    symbols, outcome = facts["symbols"], facts["outcome"]
    if kind == "survive":
        return None                          # the bounds are checked for every mail
    if kind == "virus":
        return None if "virus" in facts["classes"] else "no virus found"
    if kind == "ambiguous":
        if not ambiguous(facts):
            return "no finding of ambiguity"
        return "ambiguous, yet delivered as clean" if outcome == "deliver" else None
    if kind == "unscannable":
        return None if "unscannable" in facts["classes"] else "not unscannable"
    if kind == "find":
        return None if any(s in symbols for s in FINDS[what]) else "no finding " + what
    if kind == "rule":      # the subject is text that is seen, too
        return None if what in facts["text"] or what in facts["subject"] else "\"%s\" is not in the visible text" % what
    if kind == "norule":
        return "\"%s\" is in the visible text" % what if what in facts["text"] else None
    if kind == "url":
        hosts = facts["hosts"]
        return None if any(h == what or h.endswith("." + what) for h in hosts) else "no link to %s among %s" % (what, sorted(set(hosts))[:5])
    if kind == "ext":
        names = [p["name"] for p in facts["parts"]] + facts["entries"]
        return None if any(n.lower().endswith("." + what) for n in names) else "no name in .%s among %s" % (what, [n[-60:] for n in names if n][:5])
    if kind == "from":
        return None if facts["from_domain"] == what else "the author is of \"%s\"" % facts["from_domain"]
    if kind == "strip":
        return None if what.lower() in [n.lower() for n in facts["forged"]] else "%s is not removed" % what
    if kind == "safe":
        problem = SAFE[what](daemon, *daemon.pass_through(path))
        return problem and "safe:%s: %s" % (what, problem)
    if kind == "clean":
        return None if not symbols and outcome == "deliver" else "not clean: %s %s" % (outcome, " ".join(symbols))
    return "no such item: " + item


def check(row, facts, path, daemon):
    if "died" in facts:
        return ["died by " + facts["died"]]
    problems = []
    if facts["ms"] > float(row["max_ms"]):
        problems.append("%.0f ms, %s allowed" % (facts["ms"], row["max_ms"]))
    if facts["mb"] > float(row["max_mb"]):
        problems.append("%.0f MB, %s allowed" % (facts["mb"], row["max_mb"]))
    for item in row["expect"].split(";"):
        if item.startswith("opt:"):
            continue                         # counts only where the product has it
        whys = [holds(alternative, facts, row, path, daemon) for alternative in item.split("|")]
        if None not in whys:
            problems.append("%s: %s" % (item, ", ".join(whys)))
    return problems


def rows(tsv):
    with open(tsv, encoding="utf-8") as f:
        lines = [line.rstrip("\n").split("\t") for line in f]
    return [dict(zip(lines[0], line)) for line in lines[1:]]


def run_folder(suite, tsv, folder, only=""):
    table, daemon = Table(suite), Daemon()
    wanted = [r for r in rows(tsv) if r["id"].startswith(only)]
    paths = [os.path.join(folder, r["file"]) for r in wanted]
    try:
        for row, path, facts in zip(wanted, paths, scan(paths)):
            table.add(row["class"], row["id"], check(row, facts, path, daemon))
    finally:
        daemon.close()
    return table


def run(only=""):
    return [run_folder("hostile-open", os.path.join(DATA, "hostile-open", "expectations.tsv"), unpack("hostile-open", "mails.tar.xz"), only)]


def run_big(only=""):
    return [run_folder("hostile-big", os.path.join(DATA, "hostile-open", "expectations-big.tsv"), unpack("hostile-open", "big.tar.xz"), only)]
