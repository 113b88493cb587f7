"""Who sent it: SPF, names, DKIM, DMARC, ARC, by a real DNS server; milter and policy server say the same."""
import socket
import time
import unittest

from tests.lib.mail import Client
from tests.lib.milter import Milter
from tests.lib.mta import Postfix
from tests.lib.nsd import Nsd
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, wait_until
from tests.lib.signed import EdKey, RsaKey, seal, sign
from tests.lib.sink import Sink
from tests.system.test_policy_port import request

MAIL = b"From: Ann <ann@good.example>\r\nTo: bob@test.example\r\nSubject: minutes\r\nMessage-ID: <1@good.example>\r\n" \
    b"Date: Wed, 25 Nov 2026 10:00:00 +0000\r\n\r\nThe minutes of our meeting are below.\r\n"

GOOD, OTHER, NAMELESS, WRONG = "192.0.2.10", "192.0.2.66", "192.0.2.77", "192.0.2.78"
LONG = " ".join("ip4:198.51.100.%d" % i for i in range(200))     # no room for it in one UDP answer


def strings(text):
    return " ".join('"%s"' % text[i:i + 200] for i in range(0, len(text), 200))


ZONES = {
    "good.example": '@ TXT "v=spf1 ip4:192.0.2.10 -all"\n@ MX 10 mail\nmail A 192.0.2.10\nmail TXT "v=spf1 a -all"\n'
                    '@ TXT "some-site-verification=abc"\n',
    "long.example": "@ TXT %s\n" % strings("v=spf1 %s ip4:192.0.2.10 -all" % LONG) +
                    "".join('@ TXT "filler %d %s"\n' % (i, "x" * 180) for i in range(10)),
    "alias.example": "@ MX 10 mail\nspf CNAME far.good2.example.\nloop CNAME loop2\nloop2 CNAME loop\n",
    "good2.example": 'far TXT "v=spf1 ip4:192.0.2.10 -all"\n',
    "loop.example": '@ TXT "v=spf1 include:loop.example -all"\n',
    "many.example": '@ TXT "v=spf1 %s -all"\n' % " ".join("a:n%d.many.example" % i for i in range(11)) +
                    "".join("n%d A 192.0.2.200\n" % i for i in range(11)),
    "void.example": '@ TXT "v=spf1 a:n1.void.example a:n2.void.example a:n3.void.example ip4:192.0.2.10 -all"\n',
    "2.0.192.in-addr.arpa": "10 PTR mail.good.example.\n66 PTR host.elsewhere.test.\n78 PTR mail.good.example.\n",
}


class Sender(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.dns = Nsd(cls.d, ZONES)
        cls.addClassCleanup(cls.dns.stop)
        cls.pd = Policyd(cls.d, resolver=cls.dns.port, settings='host_name = "mx.test.example"; trusted_relays = ( "198.51.100.1" );')
        cls.addClassCleanup(cls.pd.close)
        cls.pd.set("strict@test.example", spf_fail="reject")

    def send(self, sender="ann@good.example", client=GOOD, helo="mail.good.example", rcpt="bob@test.example", mail=MAIL):
        m = Milter(("127.0.0.1", self.pd.milter_port), client=(client, 4711), helo=helo)
        self.addCleanup(m.close)
        return m.send(mail, [rcpt], sender=sender)

    def symbols(self, **how):
        out = self.send(**how)
        status = [value for op, name, value in out["headers"] if name == "X-Spam-Status"]
        self.assertEqual(len(status), 1, out)
        return [t.split("=")[0] for t in "".join(status[0].split()).split("tests=[")[1].split("]")[0].split(",")]

    def ask(self, sender="ann@good.example", client=GOOD, helo="mail.good.example", rcpt="bob@test.example"):
        with socket.create_connection(("127.0.0.1", self.pd.policy_port), timeout=10) as s:
            s.sendall(request(rcpt, client=client, sender=sender, helo_name=helo))
            got = b""
            while not got.endswith(b"\n\n"):
                got += s.recv(4096)
        return got.decode().strip()

    def test_good_sender(self):
        found = self.symbols()
        for symbol in ("SPF_PASS", "SPF_HELO_PASS"):
            self.assertIn(symbol, found)
        self.assertFalse([s for s in found if s.startswith(("RDNS_", "HELO_", "SPF_FAIL"))], found)

    def test_names(self):
        self.assertIn("RDNS_NONE", self.symbols(client=NAMELESS))
        self.assertIn("RDNS_MISMATCH", self.symbols(client=WRONG))
        self.assertIn("RDNS_UNKNOWN", self.symbols(client=OTHER))        # nsd refuses what it has no zone for
        self.assertIn("HELO_IS_US", self.symbols(helo="MX.test.example"))
        self.assertIn("HELO_LITERAL_WRONG", self.symbols(helo="[192.0.2.1]"))
        self.assertNotIn("HELO_LITERAL_WRONG", self.symbols(helo="[192.0.2.10]"))
        self.assertIn("HELO_NOT_FQDN", self.symbols(helo="bad..name"))

    def test_null_sender(self):
        self.assertIn("SPF_PASS", self.symbols(sender=""))
        self.assertIn("SPF_FAIL", self.symbols(sender="", client=NAMELESS))

    def test_answers(self):
        for sender, want in (("a@nothing.good.example", "SPF_NONE"), ("a@long.example", "SPF_PASS"), ("a@spf.alias.example", "SPF_PASS"),
                             ("a@loop.alias.example", "SPF_UNKNOWN"), ("a@loop.example", "SPF_PERMERROR"), ("a@many.example", "SPF_PERMERROR"),
                             ("a@void.example", "SPF_PERMERROR"), ("a@refused.test", "SPF_UNKNOWN")):
            self.assertIn(want, self.symbols(sender=sender), sender)

    def test_both_protocols_refuse_alike(self):
        refusal = r"550 5\.7\.23 good\.example says that \[192\.0\.2\.66\] does not send its mail \(SPF\) \(ref [A-Z2-7]{14}\)"
        kind, text = self.send(client=OTHER, rcpt="strict@test.example")["rcpts"]["strict@test.example"]
        self.assertEqual(kind, "y")
        self.assertRegex(text, "^" + refusal)
        self.assertRegex(self.ask(client=OTHER, rcpt="strict@test.example"), "^action=" + refusal)
        self.assertEqual(self.ask(client=OTHER), "action=DUNNO")
        self.assertEqual(self.ask(rcpt="strict@test.example"), "action=DUNNO")
        self.assertEqual(self.send(rcpt="strict@test.example")["rcpts"]["strict@test.example"][0], "c")

    def test_asked_once(self):
        self.symbols()
        before = self.pd.json("stats")["dns_asked"]
        self.symbols()
        self.ask(rcpt="strict@test.example")
        self.assertEqual(self.pd.json("stats")["dns_asked"], before)

    def test_behind_a_relay(self):
        """The client before a trusted relay is meant, by the relay's own Received header."""
        for client, want in ((GOOD, "SPF_PASS"), (NAMELESS, "SPF_FAIL")):
            hop = b"Received: from mail.good.example (unknown [%s]) by mx2.test.example with ESMTP id 1; Wed, 25 Nov 2026 10:00:00 +0000\r\n" % client.encode()
            found = self.symbols(client="198.51.100.1", helo="mx2.test.example", mail=hop + MAIL)
            self.assertIn(want, found)
            self.assertIn("RELAYED", found)

    def test_counted_once(self):
        """The same session by the policy server and by the milter: one mail, one count, the same answer."""
        before = self.pd.json("stats")["spf_pass"]
        self.assertEqual(self.ask(rcpt="strict@test.example"), "action=DUNNO")
        self.assertEqual(self.send(rcpt="strict@test.example")["reply"][0], "a")
        self.assertEqual(self.pd.json("stats")["spf_pass"], before + 1)

    def test_own_users_are_not_asked_about(self):
        with socket.create_connection(("127.0.0.1", self.pd.policy_port), timeout=10) as s:
            s.sendall(request("strict@test.example", client=OTHER, sender="ann@good.example", sasl_username="ann"))
            self.assertEqual(s.recv(4096), b"action=DUNNO\n\n")

    def test_silent_resolver(self):
        d = Dir()
        self.addCleanup(d.close)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            pd = Policyd(d, resolver=silent.getsockname()[1], settings='host_name = "mx.test.example";')
            self.addCleanup(pd.close)
            pd.set("strict@test.example", spf_fail="reject")
            m = Milter(("127.0.0.1", pd.milter_port), client=(GOOD, 4711))
            start = time.monotonic()
            out = m.send(MAIL, ["bob@test.example"])
            took = time.monotonic() - start
            m.close()
            self.assertEqual(out["reply"][0], "a")
            self.assertIn("SPF_UNKNOWN", str(out["headers"]))
            self.assertLess(took, 5)
            start = time.monotonic()
            with socket.create_connection(("127.0.0.1", pd.policy_port), timeout=10) as s:
                s.sendall(request("strict@test.example", client=OTHER, sender="b@other.example"))
                self.assertEqual(s.recv(4096), b"action=DUNNO\n\n")
            self.assertLess(time.monotonic() - start, 0.5)


def results(mail):
    """Our Authentication-Results in a delivered mail, unfolded; the test fails when there is more than one."""
    head = mail.split(b"\r\n\r\n")[0].replace(b"\r\n\t", b" ").replace(b"\r\n ", b" ").split(b"\r\n")
    ours = [h.split(b":", 1)[1].strip().decode() for h in head if h.lower().startswith(b"authentication-results:") and b"mx.test.example" in h]
    assert len(ours) <= 1, ours
    return ours[0] if ours else ""


class Signed(unittest.TestCase):
    """Real Postfix, real DNS: mail signed by another's hand."""

    @classmethod
    def setUpClass(cls):
        cls.d = Dir()
        cls.addClassCleanup(cls.d.close)
        cls.rsa, cls.weak, cls.ed, cls.list_key = RsaKey(cls.d), RsaKey(cls.d, 512), EdKey(), RsaKey(cls.d, 1024)
        cls.dns = Nsd(cls.d, {
            "good.example": '@ TXT "v=spf1 ip4:192.0.2.10 -all"\n@ MX 10 mail\nmail A 192.0.2.10\n'
                            '_dmarc TXT "v=DMARC1; p=reject; sp=quarantine; np=reject"\nsub A 192.0.2.11\n'
                            'sel._domainkey TXT %s\ned._domainkey TXT %s\nweak._domainkey TXT %s\nrevoked._domainkey TXT "v=DKIM1; p="\n'
                            % (strings(cls.rsa.record), strings(cls.ed.record), strings(cls.weak.record)),
            "soft.example": '@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=quarantine"\n',
            "none.example": '@ TXT "v=spf1 -all"\n_dmarc TXT "v=DMARC1; p=none"\n',
            "lists.example": '@ TXT "v=spf1 ip4:192.0.2.50 -all"\narc._domainkey TXT %s\n' % strings(cls.list_key.record),
            "rogue.example": 'arc._domainkey TXT %s\n' % strings(cls.list_key.record),
            "2.0.192.in-addr.arpa": "10 PTR mail.good.example.\n",
        })
        cls.addClassCleanup(cls.dns.stop)
        cls.sink = Sink()
        cls.addClassCleanup(cls.sink.close)
        cls.pd = Policyd(cls.d, resolver=cls.dns.port, milter="unix:%s" % cls.d("milter.sock"),
                         settings='host_name = "mx.test.example"; auth = { trusted_sealers = ( "lists.example" ); };')
        cls.addClassCleanup(cls.pd.close)
        cls.pf = Postfix(cls.d, cls.sink.port, cls.pd.milter)
        cls.addClassCleanup(cls.pf.close)
        for name, how in (("reject", dict(dmarc_reject="reject")), ("open", dict(dmarc_reject="deliver", quarantine="off", discard="off"))):
            cls.pd.set("%s@test.example" % name, **how)
        cls.serial = 0

    def mail(self, sender="ann@good.example", extra=""):
        Signed.serial += 1
        return ("From: Ann <%s>\r\nTo: bob@test.example\r\nSubject: minutes\r\nMessage-ID: <%d@good.example>\r\n"
                "Date: Wed, 25 Nov 2026 10:00:00 +0000\r\n%s\r\nThe minutes of our meeting are below.\r\n" % (sender, self.serial, extra)).encode()

    def send(self, data, client=GOOD, sender="ann@good.example", rcpt="open@test.example", helo="mail.good.example"):
        """(the reply, our results, its symbols)"""
        c = Client(self.pf.port, client, helo)
        before = len(self.sink.mails)
        answers, reply = c.send(data, [rcpt], sender=sender)
        c.close()
        if reply is None or reply[0] != 250:
            return reply or answers[rcpt], "", ""
        wait_until(lambda: len(self.sink.mails) > before or self.pf.queue_empty(), 20)
        wait_until(lambda: len(self.sink.mails) > before, 20)
        got = self.sink.mails[-1][2]
        status = got.split(b"X-Spam-Status:")[1].split(b"tests=")[1].split(b"]")[0].decode() if b"X-Spam-Status:" in got else ""
        return reply, results(got), "".join(status.split())

    def test_signed_and_aligned(self):
        for key, selector in ((self.rsa, "sel"), (self.ed, "ed")):
            for canon in ("relaxed/relaxed", "simple/simple", "relaxed/simple", "simple/relaxed"):
                _, found, symbols = self.send(sign(self.mail(), key, "good.example", selector, canon=canon))
                for part in ("iprev=pass policy.iprev=192.0.2.10 (mail.good.example)", "spf=pass smtp.mailfrom=ann@good.example",
                             "header.d=good.example header.s=%s" % selector, "dmarc=pass (p=reject) header.from=good.example"):
                    self.assertIn(part, found)
                self.assertRegex(found, r"dkim=pass \((2048-bit key|ed25519)\)")
                for symbol in ("SPF_PASS", "DKIM_VALID", "DKIM_VALID_AU", "DMARC_PASS"):
                    self.assertIn(symbol + "=", symbols, canon)
        self.assertIn("auth=[iprev=pass spf=pass dkim=pass:good.example dmarc=pass]", self.pd.log())

    def test_always_allow_names_who_answers_for_it(self):
        """What is held says whom to allow: the list with who signs for it, else the author's domain; and that lets the next one in."""
        self.pd.set("held@test.example", tag="off", quarantine="-50", discard="off", dmarc_reject="deliver")
        listed, seen = self.mail("eve@soft.example", "List-Id: Dev <dev.lists.example>\r\n"), set()
        for data, key, domain, selector, want in ((listed, self.list_key, "lists.example", "arc", "list-id:dev.lists.example+dkim:lists.example"),
                                                  (self.mail(), self.rsa, "good.example", "sel", "domain:good.example")):
            data = sign(data, key, domain, selector)
            c = Client(self.pf.port, GOOD, "mail.good.example")
            c.send(data, ["held@test.example"], sender="bounce-4711@good.example")
            c.close()
            entry, = [e for e in self.pd.quarantine(rcpt="held@test.example") if e["id"] not in seen]
            seen.add(entry["id"])
            self.assertEqual(entry["allow"], want)
            self.pd.ctl("policy", "allow", "held@test.example", want)
            c = Client(self.pf.port, GOOD, "mail.good.example")
            before = len(self.sink.to("held@test.example"))
            c.send(data, ["held@test.example"], sender="bounce-4712@good.example")
            c.close()
            wait_until(lambda: len(self.sink.to("held@test.example")) == before + 1, 20)

    def test_broken(self):
        data = sign(self.mail(), self.rsa, "good.example").replace(b"minutes of our", b"seconds of our")
        _, found, symbols = self.send(data, client="192.0.2.66")
        self.assertIn("dkim=fail (body has changed, 2048-bit key)", found)
        self.assertIn("dmarc=fail (p=reject dis=reject) header.from=good.example", found)
        for symbol in ("SPF_FAIL", "DKIM_INVALID", "DMARC_REJECT"):
            self.assertIn(symbol + "=", symbols)

    def test_what_a_policy_does_with_it(self):
        forged = self.mail()
        reply, _, _ = self.send(forged, client="192.0.2.66", rcpt="reject@test.example")
        self.assertEqual(reply[0], 550)
        self.assertRegex(reply[1].decode(), r"^5\.7\.26 Message refused: it is not from good\.example, which asks for that \(DMARC\) \(ref [A-Z2-7]{14}\)$")
        before = len(self.sink.mails)
        c = Client(self.pf.port, "192.0.2.66")
        self.assertEqual(c.send(forged, ["bob@test.example"], sender="ann@good.example")[1][0], 250)
        c.close()
        held = self.pd.quarantine(rcpt="bob@test.example")
        self.assertEqual(len(held), 1)
        self.assertEqual(len(self.sink.mails), before)
        _, found, symbols = self.send(self.mail("ann@soft.example"), sender="ann@soft.example", rcpt="eve@test.example")
        self.assertIn("dmarc=fail (p=quarantine dis=quarantine)", found)
        self.assertIn(b"X-Spam-Flag: YES", self.sink.mails[-1][2])
        _, found, symbols = self.send(self.mail("ann@none.example"), sender="ann@none.example", rcpt="eve@test.example")
        self.assertIn("DMARC_NONE=", symbols)
        self.assertNotIn(b"X-Spam-Flag: YES", self.sink.mails[-1][2])

    def test_subdomains(self):
        _, found, symbols = self.send(self.mail("ann@sub.good.example"), sender="ann@sub.good.example", client="192.0.2.66")
        self.assertIn("dmarc=fail (p=quarantine dis=quarantine) header.from=sub.good.example", found)
        _, found, symbols = self.send(self.mail("ann@nowhere.good.example"), sender="x@nowhere.good.example", client="192.0.2.66")
        self.assertIn("dmarc=fail (p=reject dis=reject) header.from=nowhere.good.example", found)
        _, found, symbols = self.send(sign(self.mail("ann@sub.good.example"), self.rsa, "good.example"), sender="x@sub.good.example")
        self.assertIn("dmarc=pass", found)

    def test_two_authors(self):
        data = sign(self.mail("x@lists.example>, <ann@soft.example"), self.list_key, "lists.example", "arc")
        _, found, symbols = self.send(data, client="192.0.2.50", sender="x@lists.example")
        self.assertIn("dmarc=fail (p=quarantine dis=quarantine) header.from=soft.example", found)

    def test_keys(self):
        _, found, symbols = self.send(sign(self.mail(), self.weak, "good.example", "weak"), client="192.0.2.66")
        self.assertIn("dkim=policy (weak key, 512-bit key)", found)
        self.assertIn("DKIM_WEAK_KEY=", symbols)
        _, found, symbols = self.send(sign(self.mail(), self.rsa, "good.example", "revoked"), client="192.0.2.66")
        self.assertIn("dkim=permerror (key revoked)", found)
        _, found, symbols = self.send(sign(self.mail(), self.rsa, "good.example", "absent"), client="192.0.2.66")
        self.assertIn("dkim=permerror (no key)", found)
        _, found, symbols = self.send(sign(self.mail(), self.rsa, "refused.test"), client="192.0.2.66")
        self.assertIn("dkim=temperror", found)
        self.assertIn("DKIM_UNKNOWN=", symbols)

    def test_length(self):
        data = sign(self.mail(), self.rsa, "good.example", length=True) + b"And buy our pills.\r\n"
        _, found, symbols = self.send(data, client="192.0.2.66")
        self.assertIn("dkim=pass (2048-bit key, not all of the body)", found)
        self.assertIn("DKIM_PARTIAL=", symbols)
        _, found, symbols = self.send(sign(self.mail(), self.rsa, "good.example", length=True))
        self.assertIn("dkim=pass (2048-bit key) ", found)

    def forwarded(self, domain="lists.example", results_say="pass", break_it=False):
        """As a list sends it on: the subject tagged, so that the author's signature is broken; sealed."""
        data = sign(self.mail(), self.rsa, "good.example").replace(b"Subject: minutes", b"Subject: [list] minutes")
        data = b"Authentication-Results: %s; spf=pass smtp.mailfrom=good.example; dmarc=%s header.from=good.example\r\n" % (
            domain.encode(), results_say.encode()) + data
        data = seal(data, self.list_key, domain, domain)
        return data.replace(b"meeting are", b"meeting were") if break_it else data

    def test_forwarded(self):
        _, found, symbols = self.send(self.forwarded(), client="192.0.2.50", sender="x@lists.example", rcpt="eve@test.example")
        self.assertIn("dkim=fail", found)
        self.assertIn("dmarc=fail (p=reject dis=none) header.from=good.example", found)
        self.assertIn("arc=pass (i=1, trusted) header.d=lists.example", found)
        for symbol in ("ARC_VALID", "ARC_TRUSTED", "DMARC_FORWARDED"):
            self.assertIn(symbol + "=", symbols)
        self.assertNotIn("DMARC_REJECT", symbols)
        for how in (dict(domain="rogue.example"), dict(results_say="fail"), dict(break_it=True)):
            _, found, symbols = self.send(self.forwarded(**how), client="192.0.2.50", sender="x@lists.example")
            self.assertIn("dis=reject", found, how)
            self.assertIn("DMARC_REJECT=", symbols, how)

    def test_forged_results(self):
        for forged in ("Authentication-Results: mx.test.example; dmarc=pass header.from=good.example\r\n",
                       "Authentication-Results: mx.test.example; spf=pass\r\nAuthentication-Results: MX.test.example 1; dkim=pass\r\n",
                       "Authentication-Results:\r\n (a) mx.test.example\r\n ;\r\n dmarc=pass\r\n",
                       "AUTHENTICATION-results: \"mx.test.example\"; dmarc=pass\r\nauthentication-results : mx.test.example; arc=pass\r\n"):
            _, found, _ = self.send(self.mail(extra=forged), client="192.0.2.66")
            self.assertIn("dmarc=fail", found)
            self.assertNotIn("=pass", found)
        _, found, _ = self.send(self.mail(extra="Authentication-Results: other.example; dmarc=pass\r\n"), client="192.0.2.66")
        self.assertIn(b"other.example; dmarc=pass", self.sink.mails[-1][2])

    def test_many_signatures(self):
        one = sign(self.mail(), self.rsa, "good.example")
        top = one.split(b"From: Ann")[0]
        start = time.monotonic()
        _, found, _ = self.send(top * 300 + one[len(top):], client="192.0.2.66")
        self.assertLess(time.monotonic() - start, 8)
        self.assertEqual(found.count("dkim=pass"), 10)

    def test_explain(self):
        path = self.d.write("signed.eml", sign(self.mail(), self.rsa, "good.example"))
        said = self.pd.ctl("scan", path, "--explain", "--client", GOOD, "--helo", "mail.good.example", "--from", "ann@good.example").stdout.decode()
        for part in ("iprev=pass", "spf=pass", "dkim=pass (2048-bit key) header.d=good.example", "dmarc=pass (p=reject)", "DKIM_VALID_AU"):
            self.assertIn(part, said)
        said = self.pd.ctl("scan", path, "--explain").stdout.decode()
        self.assertNotIn("spf=", said)
        self.assertIn("dmarc=pass", said)


if __name__ == "__main__":
    unittest.main()
