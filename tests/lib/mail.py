"""Mails to send, and a client that says what the server answered."""
import smtplib

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*" + "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
EICAR = "X5O!P%@AP[4\\PZX54(P^)7CC)7}" + "$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_serial = [0]


def mail(subject="lunch", body="Shall we have lunch tomorrow at noon?\r\n", headers=(), sender="ann@sender.example"):
    _serial[0] += 1
    lines = ["From: Ann <%s>" % sender, "To: Bob <bob@test.example>", "Subject: " + subject,
             "Date: Tue, 24 Nov 2026 10:00:00 +0000", "Message-ID: <%d.%s@sender.example>" % (_serial[0], subject.encode().hex()[:20]),
             "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8"] + list(headers)
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def eicar():
    import base64
    _serial[0] += 1
    body = base64.b64encode(EICAR.encode()).decode()
    return ("From: Ann <ann@sender.example>\r\nTo: bob@test.example\r\nSubject: a file\r\nDate: Tue, 24 Nov 2026 10:00:00 +0000\r\n"
            "Message-ID: <v%d@sender.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n"
            "--bb\r\nContent-Type: text/plain\r\n\r\nSee the file.\r\n--bb\r\nContent-Type: application/octet-stream; name=test.bin\r\n"
            "Content-Transfer-Encoding: base64\r\n\r\n%s\r\n--bb--\r\n" % (_serial[0], body)).encode()


def points(n, subject="points", **more):
    """A mail of about n points, by the rules of tests/system/rules/points.lua."""
    return mail(subject, headers=["X-Test-Points: %g" % n], **more)


class Client:
    """One SMTP session; `xclient` makes the server believe in another address."""

    def __init__(self, port, client=None, helo="client.example"):
        self.s = smtplib.SMTP("127.0.0.1", port, timeout=120)
        self.s.ehlo(helo)
        if client:
            self.s.docmd("XCLIENT", "ADDR=%s NAME=[UNAVAILABLE]" % client)
            self.s.ehlo(helo)

    def send(self, data, rcpts, sender="ann@sender.example", options=()):
        """({rcpt: (code, text)}, (code, text) after the data or None)"""
        self.s.rset()
        code, text = self.s.mail(sender, options)
        answers = {}
        if code != 250:
            return {r: (code, text) for r in rcpts}, None
        for r in rcpts:
            answers[r] = self.s.rcpt(r)
        if not any(c == 250 for c, _ in answers.values()):
            return answers, None
        return answers, self.s.data(data)

    def close(self):
        try:
            self.s.quit()
        except (smtplib.SMTPException, OSError):
            pass
