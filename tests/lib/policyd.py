"""policyd itself, with settings of its own, and policyctl to talk to it. `keep` stands in for a service manager."""
import json
import os
import re
import subprocess
import threading
import time

from .procs import BUILD, TOP, Proc, free_port, wait_until

EICAR_MD5 = "44d88612fea8a8f36de82e1278abb02f:68:Eicar-Test-Signature\n"


class Policyd:
    def __init__(self, d, settings="", zones=(), resolver=None, reinject=None, milter=None, keep=False, policy=True, sample_rules=True,
                 clamav=None, listen=None, ports=None, lmtp=None, review=None, rules=(), memory=False):
        """zones: libconfig text of DNS lists; resolver: its port; review: the port of the review pages; rules: directories, not ours.
        memory: what earlier mails were like counts (reputation, campaigns); most tests want each mail to stand alone."""
        self.d = d
        self.milter_port, self.policy_port = ports or (free_port(), free_port())
        self.milter = milter or "inet:%d@127.0.0.1" % self.milter_port
        if clamav is None:
            clamav = 'engine = "libclamav"; database = "%s/clamdb";' % d.path
            os.makedirs(d("clamdb"), exist_ok=True)
            if not os.listdir(d("clamdb")):
                d.write("clamdb/test.hdb", EICAR_MD5)
        self.conf = d("policyd.conf")
        if listen is None:
            listen = 'listen = { milter = ( { socket = "%s"; context = "mx"; mode = 0x1b6; } );%s%s };' % (
                self.milter, ' policy = "inet:%d@127.0.0.1";' % self.policy_port if policy else "",
                ' review = "http://127.0.0.1:%d";' % review if review else "")
        self.review = "http://127.0.0.1:%d" % review if review else None
        d.write("policyd.conf", """state = "{d}/state";
{listen}
dns = {{ {servers} timeout_ms = 1500; }};
dnsbl = ( {zones} );
clamav = {{ {clamav} }};
{deliver}
rules = ( {rules} );
lua_dir = "{top}/lua";
web_dir = "{top}/quarantine/web";
own_networks = ();
{memory}
{settings}
""".format(d=d.path, listen=listen, clamav=clamav, servers="servers = ( \"127.0.0.1:%d\" );" % resolver if resolver else "servers = ( \"127.0.0.1:9\" );",
           zones=", ".join(zones), deliver="deliver = { reinject = \"127.0.0.1:%d\";%s };" % (
               reinject, " lmtp = \"inet:%d@127.0.0.1\"; domain = \"variant.internal\";" % lmtp if lmtp else "") if reinject else "", top=TOP, settings=settings, memory="" if memory else "reputation = false; campaigns = false;",
           rules=", ".join('"%s"' % r for r in (list(rules) or [TOP + "/rules"]) + ([TOP + "/tests/system/rules"] if sample_rules else []))))
        self.stopping = False
        self.p = None
        try:
            self.start()
        except BaseException:                # the test has no hold of it yet: nobody else would end it
            self.close()
            raise
        if keep:
            threading.Thread(target=self._keep, daemon=True).start()

    def start(self):
        self.run()
        wait_until(self.ready, 180)

    def run(self):
        env = dict(os.environ, ASAN_OPTIONS="verify_asan_link_order=0:handle_segv=0:handle_abort=0:detect_leaks=0")    # the tests' own crashes are no finding
        self.p = Proc([os.path.join(BUILD, "policyd"), "-c", self.conf], self.d("policyd.log"), env)

    def _keep(self):
        while not self.stopping:
            if not self.p.alive() and not self.stopping:
                self.run()
            time.sleep(0.05)

    def ready(self):
        if not self.p.alive():
            raise AssertionError("policyd ended:\n" + self.log()[-2000:])
        r = self.ctl("--json", "status", check=False)
        if r.returncode != 0:
            return False
        processes = json.loads(r.stdout)["processes"]
        return all(p["ready"] for p in processes) and processes

    def ctl(self, *args, check=True, data=None, timeout=120):
        r = subprocess.run([os.path.join(BUILD, "policyctl"), "-c", self.conf] + list(args), input=data,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
        if check and r.returncode != 0:
            raise AssertionError("policyctl %s: %d\n%s%s" % (" ".join(args), r.returncode, r.stdout.decode(), r.stderr.decode()))
        return r

    def json(self, *args):
        return json.loads(self.ctl("--json", *args).stdout)

    def set(self, key, **fields):
        self.ctl("policy", "set", key, *["%s=%s" % f for f in fields.items()])

    def policy_status(self):
        return self.json("policy", "status")

    def route_up(self):
        return self.json("stats")["variant_route_up_now"] == 1

    def quarantine(self, **filters):
        args = ["quarantine", "list", "--limit", "1000"]
        for name, value in filters.items():
            args += ["--" + name, value]
        return self.json(*args)["entries"]

    def model(self):
        return self.json("model")

    def pids(self):
        return {p["name"]: p["pid"] for p in self.json("status")["processes"]}

    def log(self):
        return self.p.text()

    def close(self):
        self.stopping = True
        if self.p is None:
            return
        self.p.stop()
        found = re.search(r"(ERROR: AddressSanitizer|runtime error:).*(\n.*){0,30}", self.log())
        if found:
            raise AssertionError("a sanitizer has spoken:\n" + found.group(0))
