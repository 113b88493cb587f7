#!/usr/bin/python3
"""Makes dkim-samples.json: mails signed by dkimpy, some of them changed afterwards, and what a verifier must say of each.
The keys are thrown away. Arguments: MimeKit's UnitTests/TestData/dkim, for mails that others have signed."""
import base64
import json
import os
import subprocess
import sys

import dkim
import nacl.signing

given = sys.argv[1]
seed = os.urandom(32)
keys = {}
txt = {"ed._domainkey.good.example": "v=DKIM1; k=ed25519; p=" + base64.b64encode(bytes(nacl.signing.SigningKey(seed).verify_key)).decode()}
for name, bits in (("rsa", 2048), ("small", 1024), ("weak", 768), ("huge", 4608)):
    keys[name] = subprocess.run(["openssl", "genrsa", "-traditional", str(bits)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    der = subprocess.run(["openssl", "rsa", "-pubout", "-outform", "DER"], input=keys[name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    p = base64.b64encode(der).decode()
    txt[name + "._domainkey.good.example"] = "v=DKIM1; k=rsa; p=" + p
    if name == "rsa":
        raw = subprocess.run(["openssl", "rsa", "-RSAPublicKey_out", "-outform", "DER"], input=keys[name], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        for other, record in (("pkcs1", "p=" + base64.b64encode(raw).decode()), ("bare", "p=" + p), ("revoked", "v=DKIM1; p="), ("sha1only", "h=sha1; p=" + p),
                              ("edkind", "k=ed25519; p=" + p), ("strict", "t=s; p=" + p), ("other", "s=tlsrpt; p=" + p), ("email", "s=email; p=" + p),
                              ("version", "v=DKIM2; p=" + p), ("twice", "p=" + p + "; p=" + p), ("blanks", " v = DKIM1 ; p = " + " ".join(p[i:i + 60] for i in range(0, len(p), 60)) + " ;"),
                              ("junk", "p=!!!!"), ("notkey", "p=aGVsbG8=")):
            txt[other + "._domainkey.good.example"] = record
txt["many._domainkey.good.example"] = ["some other text", txt["rsa._domainkey.good.example"]]
txt["silent._domainkey.good.example"] = False
for other in ("pkcs1", "bare", "revoked", "sha1only", "edkind", "strict", "other", "email", "version", "twice", "blanks", "junk", "notkey", "many", "silent", "absent"):
    keys[other] = keys["rsa"]
keys["ed"] = base64.b64encode(seed)

BODY = b"Hello,  dear\treader. \r\n\r\nSee you  \r\n  soon.\r\n\r\n\r\n"
HEAD = b"From: Ann <ann@good.example>\r\nTo: bob@c.example,\r\n\teve@c.example\r\nSubject:  many   blanks  here \r\nDate: Wed, 25 Nov 2026 10:00:00 +0000\r\n" \
    b"Message-ID: <1@good.example>\r\nX-Trace: one\r\nX-Trace: two\r\n"
cases = []


def add(name, want, key="rsa", mail=HEAD + b"\r\n" + BODY, canon="relaxed/relaxed", change=None, **how):
    how.setdefault("signature_algorithm", b"ed25519-sha256" if key == "ed" else b"rsa-sha256")
    signature = dkim.sign(mail, key.encode(), b"good.example", keys[key], canonicalize=tuple(canon.encode().split(b"/")), **how)
    data = signature + mail
    if change:
        data = change(data)
    cases.append({"name": name, "want": [want], "mail": data.decode("latin-1")})


def sub(a, b):
    def change(data):
        assert a in data, a
        return data.replace(a, b, 1)
    return change


for key in ("rsa", "small", "ed"):
    for canon in ("relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"):
        add("%s %s" % (key, canon), "pass", key, canon=canon)
        add("%s %s, no body" % (key, canon), "pass", key, canon=canon, mail=HEAD + b"\r\n")
        add("%s %s, changed" % (key, canon), "fail", key, canon=canon, change=sub(b"soon", b"late"))
        add("%s %s, header changed" % (key, canon), "fail", key, canon=canon, change=sub(b"Subject:  many", b"Subject:  few"))
add("blanks, relaxed", "pass", change=sub(b"Hello,  dear\treader. \r\n", b"Hello, dear reader.\r\n"))
add("blanks, simple", "fail", canon="relaxed/simple", change=sub(b"Hello,  dear\treader. \r\n", b"Hello, dear reader.\r\n"))
add("header blanks and case, relaxed", "pass", change=sub(b"Subject:  many   blanks  here ", b"SUBJECT: many blanks\r\n here"))
add("header blanks, simple", "fail", canon="simple/simple", change=sub(b"Subject:  many   blanks  here ", b"Subject: many blanks here"))
add("empty lines at the end", "pass", canon="simple/simple", change=lambda d: d + b"\r\n\r\n\r\n")
add("line feeds only", "pass", change=lambda d: d.replace(b"\r\n", b"\n"))
add("line feeds only, simple", "pass", canon="simple/simple", change=lambda d: d.replace(b"\r\n", b"\n"))
add("no line end at the end", "pass", mail=HEAD + b"\r\nshort\r\n", change=lambda d: d[:-2])
add("length, all of it", "pass", length=True)
add("length, more behind", "pass", length=True, change=lambda d: d + b"Buy!\r\n")
add("length, cut", "permerror", length=True, change=lambda d: d[:-30])
add("a second Subject above", "pass", include_headers=[b"from", b"subject"], change=lambda d: b"Subject: other\r\n" + d)
add("a second Subject above, signed against", "fail", include_headers=[b"from", b"subject", b"subject"], change=lambda d: b"Subject: other\r\n" + d)
add("both Received, from below", "pass", include_headers=[b"from", b"x-trace", b"x-trace"])
add("both Received, swapped", "fail", include_headers=[b"from", b"x-trace", b"x-trace"], change=lambda d: d.replace(b"X-Trace: one\r\nX-Trace: two", b"Received: two\r\nReceived: one"))
add("a header that is not there", "pass", include_headers=[b"from", b"x-none"])
add("a header that was not there", "fail", include_headers=[b"from", b"x-none"], change=lambda d: b"X-None: 1\r\n" + d)
add("From is not signed", "permerror", change=lambda d: d.replace(b"from", b"x-from"))
for key, want in (("weak", "policy"), ("huge", "policy"), ("pkcs1", "pass"), ("bare", "pass"), ("revoked", "permerror"), ("sha1only", "permerror"),
                  ("edkind", "permerror"), ("strict", "pass"), ("other", "permerror"), ("email", "pass"), ("version", "permerror"), ("twice", "permerror"),
                  ("blanks", "pass"), ("junk", "permerror"), ("notkey", "permerror"), ("many", "pass"), ("silent", "temperror"), ("absent", "permerror")):
    add("key " + key, want, key)
add("i= below d=, where the key forbids it", "permerror", "strict", identity=b"@sub.good.example")
add("i= below d=", "pass", identity=b"ann@sub.good.example")
add("i= elsewhere", "permerror", change=sub(b"i=@good.example", b"i=@evil.example"))
add("i= that ends alike", "permerror", change=sub(b"i=@good.example", b"i=@notgood.example"))
add("sha1", "policy", change=sub(b"a=rsa-sha256", b"a=rsa-sha1"))
add("unknown a=", "permerror", change=sub(b"a=rsa-sha256", b"a=rsa-md5"))
add("v=2", "permerror", change=sub(b"v=1;", b"v=2;"))
add("no v=", "permerror", change=sub(b"v=1; ", b""))
add("expired", "permerror", change=sub(b"q=dns/txt;", b"x=1000000000;"))
add("q= unknown", "permerror", change=sub(b"q=dns/txt;", b"q=http;"))
add("a tag twice", "permerror", change=sub(b"v=1;", b"v=1; v=1;"))
add("not tags", "permerror", change=sub(b"v=1;", b"nonsense;"))
add("no b=", "permerror", change=sub(b" b=", b" z="))
add("b= is no base64", "permerror", change=sub(b" b=", b" b=***"))
add("d= is one label", "permerror", change=sub(b"d=good.example", b"d=example"))
add("d= with a slash", "permerror", change=sub(b"d=good.example", b"d=good/../example.com"))
add("c= unknown", "permerror", change=sub(b"c=relaxed/relaxed", b"c=nowsp"))
add("l= is no number", "permerror", change=sub(b"q=dns/txt;", b"l=-1;"))
add("l= is enormous", "permerror", change=sub(b"q=dns/txt;", b"l=99999999999999999999999999;"))
add("s= is empty", "permerror", change=sub(b"s=rsa;", b"s=;"))


def read(name):
    with open(os.path.join(given, name), "rb") as f:
        return f.read().decode("latin-1")


def pem(name):
    return "v=DKIM1; p=" + "".join(read(name).split("-----")[2].split())


txt["20120113._domainkey.gmail.com"] = pem("gmail.pub")
txt["brisbane._domainkey.football.example.com"] = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
txt["test._domainkey.football.example.com"] = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bd" \
    "OKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
cases.append({"name": "RFC 8463, appendix A", "want": ["pass", "pass"], "mail": read("rfc8463-example.msg")})
cases.append({"name": "MimeKit: gmail.msg", "want": ["pass"], "mail": read("gmail.msg")})
cases.append({"name": "MimeKit: multipart-no-end-boundary.msg", "want": ["pass"], "mail": read("multipart-no-end-boundary.msg")})
json.dump({"txt": txt, "cases": cases}, sys.stdout, indent=1)
print()
