"""Sendmail with INPUT_MAIL_FILTER: one clean, one tagged, one quarantined mail."""
import unittest

from tests.lib.mail import Client, mail, points
from tests.lib.mta import Sendmail
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port, wait_until
from tests.lib.sink import Sink


class SendmailFlow(unittest.TestCase):
    def test_clean_tagged_quarantined(self):
        d = Dir()
        self.addCleanup(d.close)
        sink = Sink()
        self.addCleanup(sink.close)
        pd = Policyd(d)
        self.addCleanup(pd.close)
        sm = Sendmail(d, sink.port, pd.milter_port)
        self.addCleanup(sm.close)
        c = Client(sm.port)
        self.assertEqual(c.send(mail("clean"), ["clean@test.example"])[1][0], 250)
        self.assertEqual(c.send(points(5, "tag"), ["tag@test.example"])[1][0], 250)
        self.assertEqual(c.send(points(8, "hold"), ["hold@test.example", "Hold.Two@test.example"])[1][0], 250)
        c.close()
        wait_until(lambda: sink.to("clean@test.example") and sink.to("tag@test.example"), 30)
        self.assertIn(b"X-Spam-Status: No", sink.to("clean@test.example")[0][2])
        self.assertIn(b"X-Spam-Flag: YES", sink.to("tag@test.example")[0][2])
        self.assertEqual(sorted(e["recipient"] for e in pd.quarantine()), ["hold.two@test.example", "hold@test.example"])
        self.assertEqual(len(sink.mails), 2)

    def test_variants(self):
        """Two tagged and two clean ones, one quoted: the biggest group stays, the others come by token, LMTP mailer and listener."""
        d = Dir()
        self.addCleanup(d.close)
        sink = Sink()
        self.addCleanup(sink.close)
        lmtp, milter = free_port(), free_port()
        sm = Sendmail(d, sink.port, milter, lmtp=lmtp)
        self.addCleanup(sm.close)
        pd = Policyd(d, milter="inet:%d@127.0.0.1" % milter, reinject=sm.plain, lmtp=lmtp, policy=False)
        self.addCleanup(pd.close)
        wait_until(pd.route_up, 40)
        for rcpt, tag in (("a@test.example", "[A] "), ("b@test.example", "[B] "), ('"odd one"@test.example', "[ODD] ")):
            pd.set("mailbox:" + rcpt, tag="3", subject_tag=tag, quarantine="off", discard="off")
        for rcpt in "c@test.example", "d@test.example":
            pd.set(rcpt, tag="off", quarantine="off", discard="off")
        rcpts = ["a@test.example", "b@test.example", "c@test.example", "d@test.example", '"odd one"@test.example']
        c = Client(sm.port)
        self.assertEqual(c.send(points(5, "variants"), rcpts)[1][0], 250)
        c.close()
        wait_until(lambda: all(sink.to(r) for r in rcpts), 60)
        subject = {r: [m[2].split(b"Subject: ")[1].split(b"\r\n")[0] for m in sink.to(r)] for r in rcpts}
        self.assertEqual(subject, {"a@test.example": [b"[A] variants"], "b@test.example": [b"[B] variants"], "c@test.example": [b"variants"],
                                   "d@test.example": [b"variants"], '"odd one"@test.example': [b"[ODD] variants"]})
        self.assertFalse([m for m in sink.mails if any("variant.internal" in r for r in m[1])])
        self.assertNotIn(b"X-Spam-Flag", sink.to("c@test.example")[0][2])
        self.assertEqual(pd.json("stats")["variant_fallbacks"], 0)
        answers, _ = Client(sm.port).send(points(5, "no"), ["x@variant.internal"])
        self.assertEqual(answers["x@variant.internal"][0], 550)


if __name__ == "__main__":
    unittest.main()
