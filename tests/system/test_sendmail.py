"""Sendmail with INPUT_MAIL_FILTER: one clean, one tagged, one quarantined mail."""
import unittest

from tests.lib.mail import Client, mail, points
from tests.lib.mta import Sendmail
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, wait_until
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


if __name__ == "__main__":
    unittest.main()
