"""Keys and signed mails for tests. The signer is dkimpy, run by Debian's python3."""
import base64
import json
import os
import subprocess

SIGNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "signer.py")


def signer(**job):
    job.setdefault("mail", b"")
    job["mail"] = base64.b64encode(job["mail"]).decode()
    done = subprocess.run(["/usr/bin/python3", SIGNER], input=json.dumps(job).encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise AssertionError(done.stderr.decode())
    return json.loads(done.stdout)


class RsaKey:
    def __init__(self, d, bits=2048):
        path = d("key-%d.pem" % bits)
        subprocess.run(["openssl", "genrsa", "-traditional", "-out", path, str(bits)], check=True, stderr=subprocess.DEVNULL)
        with open(path) as f:
            self.private = f.read()
        public = subprocess.run(["openssl", "rsa", "-in", path, "-pubout", "-outform", "DER"], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.record = "v=DKIM1; k=rsa; p=" + base64.b64encode(public.stdout).decode()
        self.algorithm = "rsa-sha256"


class EdKey:
    def __init__(self):
        self.private = base64.b64encode(os.urandom(32)).decode()
        self.record = "v=DKIM1; k=ed25519; p=" + signer(what="ed25519", key=self.private)
        self.algorithm = "ed25519-sha256"


def sign(mail, key, domain, selector="sel", **how):
    """The mail with a DKIM-Signature on top."""
    how.setdefault("signature_algorithm", key.algorithm)
    return signer(what="dkim", mail=mail, key=key.private, domain=domain, selector=selector, how=how).encode() + mail


def seal(mail, key, domain, authserv, selector="arc"):
    """The mail with an ARC set on top, made of the Authentication-Results of `authserv` in it."""
    return signer(what="arc", mail=mail, key=key.private, domain=domain, selector=selector, authserv=authserv).encode() + mail
