"""Mails made here, by the thousand and always the same ones: every trick of a list, alone and two at a time, with other boundaries,
other junk, other orders each time. None that hides a virus may pass as clean; plain ones must not be called ambiguous.

A trick works on a plan of the mail (class Plan) before it is written out, so that tricks combine."""
import base64
import binascii
import io
import os
import quopri
import random
import zipfile

from tests.lib.mail import EICAR
from tests.lib.procs import TOP

from .lib import Table, ambiguous, scan

TOKEN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
JUNK = "!#$%&*:;<>?@[]^_`{|}~-.,'\"\\()"


def word(r, n=8):
    return "".join(r.choice(TOKEN) for _ in range(n))


def payload(r):
    """A zip with the test virus; every time other bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if r.random() < 0.5 else zipfile.ZIP_STORED) as z:
        z.writestr(zipfile.ZipInfo(word(r) + ".com"), EICAR)
        z.comment = word(r).encode()
    return out.getvalue()


def wrap(text, n):
    return "\n".join(text[i:i + n] for i in range(0, len(text), n))


def uu_lines(data):
    return [binascii.b2a_uu(data[i:i + 45]).decode("latin-1").rstrip("\n") for i in range(0, len(data), 45)]


def yenc(data, name):
    out, line = [], ""
    for b in data:
        c = (b + 42) % 256
        line += "=" + chr((c + 64) % 256) if c in (0, 10, 13, 61) else chr(c)
        if len(line) >= 128:
            out.append(line)
            line = ""
    return "=ybegin line=128 size=%d name=%s\n%s\n=yend size=%d" % (len(data), name, "\n".join(out + [line]), len(data))


def binhex(data, name):
    letters = "!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr"

    def crc(block):
        return binascii.crc_hqx(block + b"\0\0", 0).to_bytes(2, "big")
    head = bytes([len(name)]) + name.encode() + b"\0BINAxxxx" + b"\0\0" + len(data).to_bytes(4, "big") + b"\0\0\0\0"
    packed = (head + crc(head) + data + crc(data) + b"\0\0").replace(b"\x90", b"\x90\0")
    bits = "".join(format(b, "08b") for b in packed)
    bits += "0" * (-len(bits) % 6)
    text = ":" + "".join(letters[int(bits[i:i + 6], 2)] for i in range(0, len(bits), 6)) + ":"
    return "(This file must be converted with BinHex 4.0)\n\n" + wrap(text, 64)


class Plan:
    def __init__(self, r):
        self.r = r
        self.boundary = "=_" + word(r, r.randint(6, 20)) if r.random() < 0.3 else word(r, r.randint(6, 20))
        self.use = self.boundary             # what the body's delimiters have
        self.type = None                     # the whole Content-Type header, if a trick wrote it
        self.more_head = []                  # headers of the mail after it
        self.data = payload(r)
        self.encoding = ["Content-Transfer-Encoding: base64"]
        self.body = wrap(base64.b64encode(self.data).decode(), 76)
        self.part_type = "Content-Type: application/octet-stream; name=%s.zip" % word(r)
        self.gap = "\n\n"                    # between the part's headers and its body
        self.before = self.after = ""        # preamble, epilogue
        self.final = True
        self.line_end = "\n"                 # "\r\n" in one of two mails
        self.delimiter_tail = ""
        self.rewrite = None                  # of the whole text in the end

    def quoted(self):
        return '"%s"' % self.boundary

    def text(self):
        head = ["From: Ann <ann@sender.example>", "To: bob@test.example", "Subject: " + word(self.r), "Date: Tue, 24 Nov 2026 10:00:00 +0000",
                "Message-ID: <%s@sender.example>" % word(self.r), "MIME-Version: 1.0",
                self.type or "Content-Type: multipart/mixed; boundary=" + self.quoted()] + self.more_head
        d = "--" + self.use
        file_part = "\n".join([self.part_type] + self.encoding) + self.gap + self.body
        text = "\n".join(head) + "\n\n" + self.before + d + self.delimiter_tail + "\nContent-Type: text/plain\n\nSee the file, " + word(self.r) + ".\n" + \
            d + self.delimiter_tail + "\n" + file_part + "\n" + (d + "--\n" if self.final else "") + self.after
        if self.rewrite:
            text = self.rewrite(text)
        data = text.encode("latin-1")
        return data.replace(b"\n", b"\r\n") if self.line_end == "\r\n" else data


TRICKS = {}                                  # name: (group, function); two of one group do not meet


def trick(group):
    def add(f):
        TRICKS[f.__name__] = (group, f)
        return f
    return add


# --- how the boundary is declared

@trick("boundary")
def two_boundaries(p):
    good, bad = p.boundary, word(p.r)
    pair = [good, bad] if p.r.random() < 0.5 else [bad, good]
    p.type = "Content-Type: multipart/mixed; boundary=%s; boundary=%s" % tuple(pair)


@trick("boundary")
def two_types(p):
    kinds = ["multipart/mixed; boundary=" + p.quoted(), p.r.choice(["text/plain", "text/html", "multipart/mixed; boundary=" + word(p.r), "application/x"])]
    if p.r.random() < 0.5:
        kinds.reverse()
    p.type = "\n".join("Content-Type: " + k for k in kinds)


@trick("boundary")
def continued(p):
    cut = p.r.randint(1, len(p.boundary) - 1)
    pieces = [("0", p.boundary[:cut]), ("1", p.boundary[cut:])]
    star = p.r.choice(["", "*"])
    if p.r.random() < 0.5:
        pieces.reverse()
    if p.r.random() < 0.4:
        pieces.insert(p.r.randint(0, 2), ("", word(p.r)))
    p.type = "Content-Type: multipart/mixed; " + "; ".join(
        "boundary%s%s=%s%s" % ("*" + n if n else "", star if n else "", "us-ascii''" if n == "0" and star else "", v) for n, v in pieces)
    if "=_" in p.boundary or p.r.random() < 0.3:
        p.boundary = p.use = word(p.r)
        p.type = "Content-Type: multipart/mixed; boundary*1=%s; boundary*2=%s" % (p.boundary[:3], p.boundary[3:])


@trick("boundary")
def extended(p):
    charset = p.r.choice(["utf-8", "us-ascii", "utf-16be", "x-none", ""])
    text = p.boundary.encode("utf-16-be" if charset == "utf-16be" else "ascii")
    value = "".join("%%%02x" % b for b in text)
    p.type = "Content-Type: multipart/mixed; boundary*=%s''%s" % (charset, value)
    p.use = p.r.choice([p.boundary, value, "%s''%s" % (charset, value)])


@trick("boundary")
def encoded_word(p):
    p.type = "Content-Type: multipart/mixed; boundary=\"=?utf-8?%s?=\"" % p.r.choice(
        ["B?" + base64.b64encode(p.boundary.encode()).decode(), "Q?" + "".join("=%02X" % ord(c) for c in p.boundary)])
    if p.r.random() < 0.3:
        p.use = p.type.split('"')[1]


@trick("boundary")
def comment(p):
    c = "(%s)" % p.r.choice(["", word(p.r), "boundary=" + word(p.r), "; boundary=" + word(p.r) + ";", "a(b)c"])
    places = ["Content-Type", ":", " multipart", "/", "mixed", ";", " boundary", "=", p.boundary.strip("=_") or "b"]
    p.use = p.boundary = places[-1]
    for at in sorted(p.r.sample(range(1, len(places) + 1), p.r.randint(1, 3)), reverse=True):
        places.insert(at, c)
    p.type = "".join(places)
    p.use += p.r.choice(["", "", c]) if p.type.endswith(c) else ""


@trick("boundary")
def quotes(p):
    b = p.boundary
    half = len(b) // 2
    p.type = "Content-Type: multipart/mixed; boundary=" + p.r.choice(
        ['"%s' % b, "%s\"" % b, "'%s'" % b, '"%s"%s' % (b[:half], b[half:]), '%s"%s"' % (b[:half], b[half:]), '"%s\\%s"' % (b[:half], b[half:]),
         "%s\\%s" % (b[:half], b[half:]), '"%s";' % b, '""%s' % b, '"%s" junk' % b, '`%s`' % b])
    p.use = p.r.choice([b, b, b[:half], b[half:], "'%s'" % b, '"%s"' % b, p.type.split("boundary=")[1]])


@trick("boundary")
def odd_equals(p):
    gap = p.r.choice([" ", "\t", "\n ", "\n\t", "\r", "\x0b", "\\", "\0", "\xa0", "="])
    p.type = "Content-Type: multipart/mixed; boundary" + p.r.choice([gap + "=", "=" + gap, gap + "=" + gap]) + p.quoted()


@trick("boundary")
def odd_name(p):
    name = p.r.choice(["bound", "\\boundary", "boundary\\", "xboundary", "boundar", "\"boundary\"", "bo(x)undary", "BOUNDARY", "boundary*0*", "boundary**",
                       "x; boundary", "x=\"; boundary", "x=y boundary", ",boundary", "boundary:boundary", "b\xf6undary", "boundary "])
    p.type = "Content-Type: multipart/mixed; %s=%s" % (name, p.boundary)


@trick("boundary")
def blanks(p):
    b = p.boundary
    inside = b[:3] + " " + b[3:]
    value, use = p.r.choice([('"%s "' % b, b + " "), ('" %s"' % b, " " + b), ('"%s"' % inside, inside), (inside, inside), (inside, inside[:3]), ("'%s '" % b, b + " "),
                             ('"%s "' % b, b), ('" %s"' % b, b), (b, b + " "), ('"%s\n %s"' % (b[:3], b[3:]), b), ('"%s\n %s"' % (b[:3], b[3:]), b[:3])])
    p.type, p.use = "Content-Type: multipart/mixed; boundary=" + value, use


@trick("boundary")
def odd_type(p):
    p.type = "Content-Type: %s; boundary=%s" % (p.r.choice(
        ["multipart", "multipart/", "multipart /mixed", "multi\\part/mixed", "\"multipart/mixed\"", "multipart/mixed/x", "x-multipart/mixed", "ultipart/mixed",
         "multipart/=?utf-8?Q?mixed?=", "=?utf-8?Q?multipart/mixed?=", "MULTIPART/x-foo", "multipart/mixed,", "/mixed", "", "mixed", "multi part/mixed"]), p.quoted())


@trick("boundary")
def odd_header(p):
    p.type = p.r.choice(["Content-Type multipart/mixed; boundary=%s", "Content-Type:: multipart/mixed; boundary=%s", "Content-Type :multipart/mixed; boundary=%s",
                         " Content-Type: multipart/mixed; boundary=%s", "\tContent-Type: multipart/mixed; boundary=%s", "Content_Type: multipart/mixed; boundary=%s",
                         "Content Type: multipart/mixed; boundary=%s", "Content-type\xa0: multipart/mixed; boundary=%s", "\x0bContent-Type: multipart/mixed; boundary=%s",
                         "Content-\n Type: multipart/mixed; boundary=%s", "X: y\rContent-Type: multipart/mixed; boundary=%s", "junk line\nContent-Type: multipart/mixed; boundary=%s",
                         "Content-Type:\n multipart/mixed; boundary=%s", "Content-Type:\n \n multipart/mixed; boundary=%s", "Content-Type:\nmultipart/mixed; boundary=%s",
                         "X-A: b\n \n\nContent-Type: multipart/mixed; boundary=%s", "Content-Type: multipart/mixed\n ;boundary=%s", "X-A: y\n\rContent-Type: multipart/mixed; boundary=%s"]) % p.quoted()


@trick("boundary")
def no_boundary(p):
    p.type = p.r.choice(["Content-Type: multipart/mixed", "Content-Type: multipart/mixed; charset=x", "X-Nothing: x", "Content-Type: text/plain",
                         "Content-Type: multipart/mixed; boundary=", "Content-Type: multipart/mixed; boundary=\"\""])


@trick("boundary")
def prefix(p):
    p.type = "Content-Type: multipart/mixed; boundary=" + p.boundary
    p.use = p.r.choice([p.boundary + word(p.r, 2), p.boundary[:-2], p.boundary + " ", p.boundary + "--", p.boundary.swapcase(), "-" + p.boundary])


# --- how the file's encoding is declared

@trick("encoding")
def odd_encoding_header(p):
    n, v = "Content-Transfer-Encoding", "base64"
    p.encoding = p.r.choice([
        ["%s %s" % (n, v)], ["%s:: %s" % (n, v)], ["%s : %s" % (n, v)], [" %s: %s" % (n, v)], ["\t%s: %s" % (n, v)], ["%s:\n %s" % (n, v)], ["%s:\n\t%s" % (n, v)],
        ["\x0b%s: %s" % (n, v)], ["%s:\r%s" % (n, v)], ["X: y\r%s: %s" % (n, v)], ["\r%s: %s" % (n, v)], ["Content-Transfer-\n Encoding: " + v], ["junk", "%s: %s" % (n, v)],
        ["%s: (x) %s" % (n, v)], ["%s: %s (x)" % (n, v)], ["%s(x): %s" % (n, v)], ["Content-Transfer(x)-Encoding: " + v], ["%s: ba(x)se64" % n], ["%s:\n (x)\n %s" % (n, v)]])


@trick("encoding")
def odd_encoding_value(p):
    v = p.r.choice(["BASE64", "bAsE64", "\"base64\"", "'base64'", "base-64", "base 64", "x-base64", "base64;", "base64; x=y", "base64,", ",base64", "base64 junk", "junk base64",
                    "=?utf-8?Q?base64?=", "=?us-ascii?B?YmFzZTY0?=", "base64\0", "base\n 64", "64", "b", "ba\\se64", "base64/quoted-printable", "\xa0base64", "base64\xa0",
                    "x-unknown", "binary", "7bit", "8bit", "base64x"])
    p.encoding = ["Content-Transfer-Encoding: " + v]


@trick("encoding")
def two_encodings(p):
    values = ["base64", p.r.choice(["7bit", "quoted-printable", "", "x-junk", "8bit", "binary"])]
    if p.r.random() < 0.5:
        values.reverse()
    p.encoding = ["Content-Transfer-Encoding: " + v for v in values]
    if p.r.random() < 0.3:
        p.encoding.insert(1, "X-Between: x")


@trick("encoding")
def no_encoding(p):
    p.encoding = p.r.choice([[], ["Content-Encoding: base64"], ["Transfer-Encoding: base64"], ["X-Content-Transfer-Encoding: base64"], ["Encoding: base64"]])


@trick("gap")
def odd_gap(p):
    p.gap = p.r.choice(["\n \n", "\n\t\n", "\n\x0b\n", "\n\r\n", "\n\r\r\n", "\n", "\n  \n\n", "\n\n\n\n", "\n\njunk line\n\n", "\n\n \n", "\n--\n", "\n.\n", "\n\0\n"])


# --- how the file's body is written

def chunks(text, n):
    return [text[i:i + n] for i in range(0, len(text), n)]


@trick("body")
def odd_lines(p):
    n = p.r.choice([4, 8, 76, 1000000, 60, 3, 5, 7, 77])
    between = p.r.choice(["\n", " \n", "\t\n", "\r", "\n\n", " ", "\t", "\x0b", "\x0c", "\n \n", "\r\r"])
    p.body = between.join(chunks(base64.b64encode(p.data).decode(), n))


@trick("body")
def junk_letters(p):
    text = list(base64.b64encode(p.data).decode())
    j = p.r.choice(JUNK)
    for _ in range(p.r.randint(1, 12)):
        text.insert(p.r.randint(0, len(text) - 2), j)
    p.body = wrap("".join(text), 76)


@trick("body")
def junk_lines(p):
    lines = wrap(base64.b64encode(p.data).decode(), 60).split("\n")
    junk = p.r.choice(["# %s", "%s:", "begin-base64 644 %s", "X-Header: %s", "-- %s", "=%s=", "%s, %s; %s", "____%s____", "(%s)", "\"%s\""])
    junk = junk.replace("%s", word(p.r, p.r.choice([1, 2, 3, 4, 5, 6, 7, 8])))
    for _ in range(p.r.randint(1, 2)):
        lines.insert(p.r.choice([0, 0, 1, len(lines) // 2]), junk)
    p.body = "\n".join(lines)


@trick("body")
def junk_line_ends(p):
    lines = wrap(base64.b64encode(p.data).decode(), 60).split("\n")
    junk = p.r.choice(["#" + word(p.r), ":" + word(p.r, 4), " " + word(p.r, 4) + "!", "(x)", "=", "==", "===", "====", "="])
    p.body = "\n".join(line + junk for line in lines)


@trick("body")
def padded_pieces(p):
    n = p.r.choice([1, 2, 4, 5, 7, 10, 20, 40])
    between = p.r.choice(["\n", "", " ", "\n\n"])
    p.body = between.join(base64.b64encode(p.data[i:i + n]).decode() for i in range(0, len(p.data), n))


@trick("body")
def odd_padding(p):
    text = base64.b64encode(p.data + b"\0" * p.r.randint(0, 2)).decode()
    how = p.r.randint(0, 5)
    if how == 0:
        p.body = wrap(text.rstrip("="), 76)
    elif how == 1:
        p.body = wrap(text + "=" * p.r.randint(1, 5), 76)
    elif how == 2:
        p.body = wrap(text, 76) + "\n" + word(p.r, 16)
    elif how == 3:
        at = p.r.randint(1, len(text) // 4 - 1) * 4
        p.body = wrap(text[:at] + "====" + text[at:], 76)
    elif how == 4:
        p.body = "=" + wrap(text, 76)
    else:
        p.body = "\n".join("=" + line for line in chunks(text, 60))


@trick("body")
def quoted_printable(p):
    p.encoding = ["Content-Transfer-Encoding: " + p.r.choice(["quoted-printable", "Quoted-Printable", "quoted-printable (x)", "quoted-printable;", "x-qp", "qp"])]
    how = p.r.randint(0, 5)
    if how == 0:
        p.body = quopri.encodestring(p.data, quotetabs=True).decode("latin-1").rstrip("\n")
    else:
        hexed = [("=%02X" if how != 1 else "=%02x") % b for b in p.data]
        stop = p.r.choice(["=\n", "= \n", "=\t\n", "=\r"]) if how in (2, 3) else "=\n"
        if how == 4:
            junk = p.r.choice(["=", "=X", "=-"])
            for _ in range(p.r.randint(1, 5)):
                hexed.insert(p.r.randint(0, len(hexed)), junk)
        p.body = stop.join("".join(hexed[i:i + 20]) for i in range(0, len(hexed), 20)) + "="


@trick("body")
def uuencoded(p):
    name = p.r.choice(["x-uuencode", "uuencode", "x-uue", "uue", "x-uu", "uu", "x-uucode", "7bit", None])
    p.encoding = ["Content-Transfer-Encoding: " + name] if name else []
    lines = uu_lines(p.data)
    begin = p.r.random() < 0.7 or not name or name == "7bit"
    p.body = "\n".join((["begin 644 %s.zip" % word(p.r)] if begin else []) + lines + p.r.choice([["`", "end"], [" ", "end"], ["end"], []]))


@trick("body")
def yencoded(p):
    p.encoding = [e for e in [p.r.choice(["Content-Transfer-Encoding: x-yencode", "Content-Transfer-Encoding: 8bit", ""])] if e]
    p.body = yenc(p.data, "a.zip")


@trick("body")
def binhexed(p):
    p.part_type, p.encoding = p.r.choice([
        ("Content-Type: application/mac-binhex40; name=a.hqx", []), ("Content-Type: application/octet-stream; name=a.zip", ["Content-Transfer-Encoding: x-binhex40"]),
        ("Content-Type: application/octet-stream; name=a.zip", ["Content-Transfer-Encoding: mac-binhex40"])])
    p.body = binhex(p.data, "a.zip")


@trick("body")
def encoded_twice(p):
    inner = "Content-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n\n" + p.body
    p.part_type = "Content-Type: " + p.r.choice(["message/rfc822", "message/global", "message/news", "message/partial; number=1; total=1; id=x", "application/octet-stream; name=x.eml"])
    p.body = wrap(base64.b64encode(inner.encode()).decode(), 76)


# --- where the file stands

@trick("place")
def in_preamble(p):
    p.before = "--%s\n%s\n%s\n\n%s\n" % (p.r.choice([p.use, word(p.r), ""]), p.part_type, p.encoding[0] if p.encoding else "X: y", p.body)
    p.data, p.body = b"", "aGVsbG8="
    p.encoding = ["Content-Transfer-Encoding: base64"]


@trick("place")
def in_epilogue(p):
    p.after = "\n--%s\n%s\n%s\n\n%s\n--%s--\n" % (p.r.choice([p.use, word(p.r)]), p.part_type, p.encoding[0] if p.encoding else "X: y", p.body, p.use)
    p.data, p.body = b"", "aGVsbG8="
    p.encoding = ["Content-Transfer-Encoding: base64"]


@trick("place")
def uu_outside(p):
    block = "begin 644 a.zip\n" + "\n".join(uu_lines(p.data)) + "\n`\nend\n"
    if p.r.random() < 0.5:
        p.before = block
    else:
        p.after = block
    p.body, p.encoding = "aGVsbG8=", ["Content-Transfer-Encoding: base64"]


@trick("place")
def no_end(p):
    p.final = False


@trick("place")
def inner_multipart(p):
    inner = p.r.choice([p.use, p.use + "x", p.use[:-1], p.use + "--", word(p.r)])
    part = "\n".join([p.part_type] + p.encoding) + p.gap + p.body
    p.part_type, p.encoding, p.gap = "Content-Type: multipart/mixed; boundary=\"%s\"" % inner, [], "\n\n"
    p.body = "--%s\nContent-Type: text/plain\n\nx\n--%s\n%s\n--%s--" % (inner, inner, part, inner)


@trick("place")
def forwarded(p):
    part = "\n".join([p.part_type] + p.encoding) + p.gap + p.body
    p.part_type, p.encoding, p.gap, p.body = "Content-Type: message/rfc822", [], "\n\n", "Subject: x\nMIME-Version: 1.0\n" + part


# --- line ends

@trick("lines")
def bare_cr_delimiters(p):
    d = "--" + p.use

    def rewrite(text):
        return text.replace("\n" + d, p.r.choice(["\r", "\r\n\r", "\r\r"]) + d) if p.r.random() < 0.5 else text.replace(d + "\n", d + "\r")
    p.rewrite = rewrite


@trick("lines")
def nul_bytes(p):
    p.part_type = p.part_type.replace("; ", ";\0 ", 1)


@trick("lines")
def delimiter_tails(p):
    p.delimiter_tail = p.r.choice([" ", "\t", "  \t ", "\x0b", " junk", "\r", "\0", "-"])


# --- rare, and legal: nobody may call it ambiguous

def legal(p):
    r, b64 = p.r, base64.b64encode(p.data).decode()
    odd = r.choice(["=_'()+,-./:=?", "----=_Part_", "x", "0" * 69 + "1", "--", "a b c"])
    body = [
        lambda: setattr(p, "body", wrap(b64, r.choice([1, 2, 3, 4, 5, 7, 8, 75, 76, 998]))),
        lambda: setattr(p, "body", wrap(b64, 76) + "\n\n\n"),
        lambda: setattr(p, "encoding", [r.choice(["CONTENT-TRANSFER-ENCODING: BASE64", "content-transfer-encoding:base64", "Content-Transfer-Encoding:\n base64",
                                                  "Content-Transfer-Encoding: \tbase64 "])]),
        lambda: (setattr(p, "encoding", ["Content-Transfer-Encoding: quoted-printable"]),
                 setattr(p, "body", "=\n".join("=%02X" % b for b in p.data) + "=")),
        lambda: (setattr(p, "encoding", ["Content-Transfer-Encoding: quoted-printable"]),
                 setattr(p, "body", quopri.encodestring(p.data, quotetabs=r.random() < 0.5).decode("latin-1").rstrip("\n") + "=")),
        lambda: forwarded(p),
    ]
    head = [
        lambda: setattr(p, "type", r.choice(["Content-Type: multipart/mixed;\n boundary=%s", "Content-Type:\n multipart/mixed;\n\tboundary=%s", "content-type: MULTIPART/Mixed; BOUNDARY=%s",
                                             "Content-Type: multipart/mixed; charset=utf-8; boundary=%s", "Content-Type: multipart/mixed; boundary=%s; type=x",
                                             "Content-Type: multipart/mixed ; boundary=%s", "Content-Type: multipart/x-unknown; boundary=%s;"]) % p.quoted()),
        lambda: (setattr(p, "boundary", odd), setattr(p, "use", odd)),
        lambda: setattr(p, "delimiter_tail", r.choice([" ", "\t", "  \t "])),
        lambda: setattr(p, "before", "This is a multi-part message in MIME format.\n"),
        lambda: setattr(p, "after", "\n"),
        lambda: setattr(p, "part_type", "Content-Type: application/zip; " + r.choice(
            ["name*=utf-8''%E2%82%AC.zip", "name*0=a; name*1=.zip", "name*0*=utf-8''a; name*1*=.zip", "name=a.png; name*=utf-8''a.zip", "name=\"a;b (1).zip\"", "name=\"=?utf-8?Q?a.zip?=\""])),
    ]
    r.choice(head)()
    r.choice(body)()


def make(r, names):
    p = Plan(r)
    for name in names:
        TRICKS[name][1](p)
    p.line_end = "\r\n" if r.random() < 0.5 else "\n"
    return p.text()


def mails(each, pairs, seed=1):
    """(name, bytes): plain ones, each trick `each` times, and `pairs` pairs."""
    r = random.Random(seed)
    for i in range(10):
        yield "plain %d" % i, make(r, [])
    for i in range(10 * each):
        p = Plan(r)
        legal(p)
        p.line_end = r.choice(["\n", "\r\n"])
        yield "legal %d" % i, p.text()
    for name in TRICKS:
        for i in range(each):
            yield "%s %d" % (name, i), make(r, [name])
    for i in range(pairs):
        first, second = r.sample(list(TRICKS), 2)
        if TRICKS[first][0] != TRICKS[second][0]:
            yield "%s+%s %d" % (first, second, i), make(r, sorted((first, second), key=lambda n: n in ("in_preamble", "in_epilogue", "inner_multipart", "forwarded")))


def run(only="", each=12, pairs=600, seed=1):
    folder = os.path.join(TOP, "build", "suites", "variants")
    os.makedirs(folder, exist_ok=True)
    table, names, paths = Table("variants"), [], []
    for i, (name, data) in enumerate(mails(each, pairs, seed)):
        names.append(name)
        paths.append(os.path.join(folder, "%05d.eml" % i))
        with open(paths[-1], "wb") as f:
            f.write(data)
    found = 0
    for name, path, facts in zip(names, paths, scan(paths)):
        problems = ["died by " + facts["died"]] if "died" in facts else []
        if not problems and facts["outcome"] == "deliver":
            problems.append("passes as clean (%s)" % path)
        if not problems and name.split()[0] in ("plain", "legal") and ambiguous(facts):
            problems.append("called " + " ".join(ambiguous(facts)))
        found += not problems and "virus" in facts["classes"]
        table.add("two tricks" if "+" in name else TRICKS.get(name.split()[0], name.split())[0], name, problems)
    table.add("by signature %d of %d" % (found, len(paths)), "signature", [] if found >= 0.89 * len(paths) else ["only %d" % found])
    return [table]


def run_short(only=""):
    return run(each=4, pairs=100)
