"""Under SAN=1 every policyd of every test is checked for what the sanitizers said (Policyd.close); this says that they are heard."""
import unittest

from tests.lib.mail import mail
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import BUILD, Dir


@unittest.skipUnless("/san" in BUILD, "not a build with sanitizers")
class Sanitizers(unittest.TestCase):
    def test_heard_from_inside_the_cage(self):
        d = Dir()
        self.addCleanup(d.close)
        pd = Policyd(d)
        m = Milter(("127.0.0.1", pd.milter_port))
        m.send(mail("over the end", headers=["X-Policyd-Test-Overflow: yes"]), ["a@test.example"])
        m.close()
        with self.assertRaisesRegex(AssertionError, "heap-buffer-overflow"):
            pd.close()


if __name__ == "__main__":
    unittest.main()
