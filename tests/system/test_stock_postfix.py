"""What README.md tells people to paste, pasted into a Postfix whose smtpd is chrooted as Debian's is."""
import grp
import os
import pwd
import re
import unittest

from tests.lib.mail import Client, mail, points
from tests.lib.mta import Postfix
from tests.lib.policyd import Policyd
from tests.lib.procs import TOP, Dir, free_port, rbldnsd, wait_until
from tests.lib.sink import Sink


def section(title):
    with open(os.path.join(TOP, "README.md"), encoding="utf-8") as f:
        text = f.read()
    return re.search(r"^## %s\n(.*?)^## " % re.escape(title), text, re.S | re.M).group(1)


def block(text, begins):
    """The indented block whose first line begins so."""
    found = re.search(r"(?:^    %s.*\n)(?:^    .*\n)*" % re.escape(begins), text, re.M).group(0)
    return "".join(line[4:] + "\n" for line in found.splitlines())


class StockPostfix(unittest.TestCase):
    def test_pasted_from_the_readme(self):
        text = section("Plugging in Postfix")
        conf, main, plain = block(text, "listen ="), block(text, "smtpd_milters"), block(text, "127.0.0.1:10026 inet")
        policy = block(text, "check_policy_service").strip()
        self.assertIn("milter_default_action = tempfail", main)
        self.assertIn(" y ", plain.splitlines()[0])                  # chrooted, as Debian's master.cf has it

        d, sink = Dir(), Sink()
        self.addCleanup(d.close)
        self.addCleanup(sink.close)
        dns, dns_port = rbldnsd(d, "bl.test", ":127.0.0.2:Listed $\n127.0.0.2\n203.0.113.0/24\n")
        self.addCleanup(dns.stop)
        policy_port = free_port()
        pf = Postfix(d, sink.port, "", chroot=True, plain=plain, policy=policy.replace("8891", str(policy_port))[len("check_policy_service"):].strip(" {}").split(",")[0],
                     extra=re.sub(r"\s+#.*", "", main, flags=re.M))
        self.addCleanup(pf.close)
        group = grp.getgrgid(pwd.getpwnam(pf.owner).pw_gid).gr_name
        spool = d("pf/spool")
        os.mkdir(os.path.join(spool, "policyd"), 0o750)              # install -d -o policyd -g postfix -m 750
        os.chown(os.path.join(spool, "policyd"), 0, grp.getgrnam(group).gr_gid)
        listen, deliver = conf.split("deliver =", 1)
        listen = listen.replace("/var/spool/postfix", spool).replace('group = "postfix"', 'group = "%s"' % group).replace("8891", str(policy_port))
        pd = Policyd(d, listen=listen, zones=['{ zone = "bl.test"; points = 6.0; }'], resolver=dns_port, reinject=pf.plain)
        self.addCleanup(pd.close)
        self.assertIn("127.0.0.1:10026", deliver)

        c = Client(pf.port, "198.51.100.7")
        self.assertEqual(c.send(mail("through the chroot"), ["a@test.example"])[1][0], 250)
        self.assertEqual(c.send(points(8, "held"), ["b@test.example"])[1][0], 250)
        c.close()
        wait_until(lambda: sink.to("a@test.example"))
        self.assertIn(b"X-Spam-Status: No", sink.to("a@test.example")[0][2])
        entry = pd.quarantine(rcpt="b@test.example")[0]
        pd.ctl("quarantine", "release", entry["id"])
        wait_until(lambda: sink.to("b@test.example"))

        listed = Client(pf.port, "203.0.113.9")
        answers, _ = listed.send(mail("listed"), ["a@test.example"])
        listed.close()
        self.assertEqual(answers["a@test.example"][0], 550)

        pd.p.stop()
        c = Client(pf.port, "198.51.100.7")
        self.assertEqual(c.s.mail("x@sender.example")[0], 451)       # tempfail, never unscanned
        c.close()


if __name__ == "__main__":
    unittest.main()
