"""data/mime-messages: messages of other projects with the parse that ships with them: mime4j (tree and decoded bodies), stalwart
(tree, text, bytes), mimekit (tree, types and sizes). Their trees and ours are brought to one shape and compared; every
difference must stand in differences.tsv with its reason, and every line there must still be met."""
import glob
import json
import os
import re
import sys

from .lib import DATA, Table, scan, unpack


class Node:
    """kind: multipart, message or leaf; body: bytes of a leaf, None where the expectation does not say."""

    def __init__(self, kind, children=(), body=None, text=None, mime_type=None, size=None, charset=""):
        self.kind, self.children, self.body, self.text, self.mime_type, self.size = kind, list(children), body, text, mime_type, size
        self.charset = charset

    def outline(self):
        return self.kind if not self.children else "%s(%s)" % (self.kind, " ".join(c.outline() for c in self.children))


def ours(facts):
    """The strict reading. What we find inside leaves (uuencoded files, mails in octet-streams) is ours alone, and left out."""
    parts = facts["parts"]

    def node(i):
        p = parts[i]
        inner = [k for k, q in enumerate(parts) if q["parent"] == i and q["reading"] == 0]
        kind = p["kind"] if p["kind"] in ("multipart", "message") else "leaf"
        return Node(kind, [node(k) for k in inner] if kind != "leaf" else [], bytes.fromhex(p["data"]), p.get("text"), p["type"], p["raw_size"], p["charset"])
    return node(0)


# --- what the other projects say

def mime4j(path):
    """NAME_decoded.xml: tags of the tree, the leaves' bodies in files beside it."""
    folder, stack = os.path.dirname(path), [[]]
    with open(path, encoding="latin-1") as f:
        text = f.read()
    for tag in re.findall(r"<(/?(?:message|multipart|body-part)|(?:text|binary)-body name=\"[^\"]+\"/)>", text):
        if tag in ("message", "multipart"):
            stack.append([])
        elif tag in ("/message", "/multipart"):
            children = stack.pop()
            # <message><multipart>..., <message><text-body/>: the outer tag is the mail itself, not a part
            stack[-1].append(Node("multipart", children) if tag == "/multipart" else Node("message", children))
        elif "-body" in tag:
            with open(os.path.join(folder, tag.split('"')[1]), "rb") as f:
                stack[-1].append(Node("leaf", body=f.read()))
    return stack[0][0].children[0]


def stalwart(path):
    with open(path) as f:
        whole = json.load(f)

    def entity(parts, i):
        body = parts[i]["body"]
        kind, value = next(iter(body.items()))
        if kind == "Multipart":
            return Node("multipart", [entity(parts, k) for k in value])
        if kind == "Message":
            return Node("message", [entity(value["parts"], 0)])
        if kind in ("Text", "Html"):
            return Node("leaf", text=value)
        return Node("leaf", body=bytes(value))
    return entity(whole["parts"], 0)


def mimekit(body):
    children = [mimekit(c) for c in body.get("children", [])]
    kind = "multipart" if body["mimeType"].startswith("multipart/") else "message" if body["mimeType"] == "message/rfc822" else "leaf"
    return Node(kind, children, mime_type=body["mimeType"], size=body["endOffset"] - body["headersEndOffset"])


# --- comparison

def plain(data):
    """Line ends are the transport's, and the last one the delimiter's."""
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip(b"\n")


def texts(have):
    """What stands for the text of a leaf: ours, or for HTML, whose text is what a reader sees of it, the page itself."""
    out = [plain(have.body)] + ([plain(have.text.encode())] if have.text is not None else [])
    try:
        out.append(plain(have.body.decode(have.charset or "utf-8", "replace").encode()))
    except LookupError:
        pass
    return out


def differences(want, have, at="1"):
    """(where, what) of each."""
    if want.kind != have.kind or len(want.children) != len(have.children):
        return [(at, "%s, we have %s" % (want.outline(), have.outline()))]
    found = []
    if want.kind == "leaf":
        if want.body is not None and plain(want.body) != plain(have.body):
            found.append((at, "other bytes"))
        if want.text is not None and plain(want.text.encode()) not in texts(have):
            found.append((at, "other text"))
    if want.mime_type and want.mime_type != have.mime_type:
        found.append((at, "type %s, we have %s" % (want.mime_type, have.mime_type)))
    if want.size is not None and abs(want.size - have.size) > 2:
        found.append((at, "size %d, we have %d" % (want.size, have.size)))
    for i, (w, h) in enumerate(zip(want.children, have.children), 1):
        found += differences(w, h, "%s.%d" % (at, i))
    return found


def expected(folder):
    """(name, path of the mail, tree)"""
    for path in sorted(glob.glob(os.path.join(folder, "mime4j", "*", "*_decoded.xml"))):
        mail = path[:-len("_decoded.xml")] + ".msg"
        yield os.path.relpath(mail, folder), mail, mime4j(path)
    for path in sorted(glob.glob(os.path.join(folder, "stalwart", "*", "*.json"))):
        if not path.endswith(".crlf.json"):
            yield os.path.relpath(path[:-5] + ".eml", folder), path[:-5] + ".eml", stalwart(path)
    for path in sorted(glob.glob(os.path.join(folder, "mimekit", "mbox", "*.unix-offsets.json"))):
        box = path.replace(".unix-offsets.json", ".mbox.txt")
        if not os.path.exists(box):
            continue
        with open(box, "rb") as f:
            data = f.read().replace(b"\r\n", b"\n")
        with open(path) as f:
            for i, m in enumerate(json.load(f)):
                mail = "%s.%d.eml" % (box, i)
                with open(mail, "wb") as f:
                    f.write(data[m["beginOffset"]:m["endOffset"]])
                yield os.path.relpath(mail, folder), mail, mimekit(m["body"])


def justified():
    with open(os.path.join(DATA, "mime-messages", "differences.tsv"), encoding="utf-8") as f:
        rows = [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("#")]
    return {(name, where): reason for name, where, reason in rows}


def compare(folder, reasons):
    table, met = Table("mime-messages"), set()
    wanted = list(expected(folder))
    for (name, _, tree), facts in zip(wanted, scan([w[1] for w in wanted], clamav=False, data=True)):
        problems = ["died by " + facts["died"]] if "died" in facts else []
        for where, what in [] if problems else differences(tree, ours(facts)):
            if (name, where) in reasons:
                met.add((name, where))
            else:
                problems.append("%s: %s" % (where, what))
        table.add(name.split("/")[0] + (" (%d differences listed)" % sum(1 for n, _ in reasons if n.startswith(name.split("/")[0]))), name, problems)
    table.add("listed", "differences.tsv", ["%s %s is no difference (any more)" % k for k in sorted(set(reasons) - met)])
    return table


def run(only=""):
    return [compare(unpack("mime-messages", "mails.tar.xz"), justified())]


if __name__ == "__main__":                   # python3 -m tests.suites.messages FOLDER: another folder of that layout, nothing justified
    sys.exit(1 if compare(sys.argv[1], {}).show() else 0)
