#!/usr/bin/python3
"""Signs mails by dkimpy (Debian's python3-dkim): another's hand than ours. JSON in, JSON out; see tests/lib/signed.py."""
import base64
import json
import sys

import dkim
import nacl.signing

job = json.load(sys.stdin)
mail = base64.b64decode(job["mail"])
key = job["key"].encode()
how = {k: v.encode() if isinstance(v, str) else v for k, v in job.get("how", {}).items()}
if job["what"] == "ed25519":                        # a key: seed and public half
    seed = base64.b64decode(job["key"])
    out = base64.b64encode(bytes(nacl.signing.SigningKey(seed).verify_key)).decode()
elif job["what"] == "dkim":
    headers = how.pop("include_headers", None)
    canon = how.pop("canon", b"relaxed/relaxed").split(b"/")
    out = dkim.sign(mail, job["selector"].encode(), job["domain"].encode(), key, canonicalize=tuple(canon),
                    include_headers=[h.encode() for h in headers] if headers else None, **how).decode()
else:
    out = b"".join(dkim.arc_sign(mail, job["selector"].encode(), job["domain"].encode(), key, job["authserv"].encode())).decode()
json.dump(out, sys.stdout)
