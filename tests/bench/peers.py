"""The peers, as Debian packs them, unpacked privately (make deps-bench), each with the configuration that lies here."""
import http.client
import json
import os
import time

from tests.lib.procs import TOP, Proc, RedisServer, free_port, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(TOP, "build", "peers")
ENV = dict(os.environ, LD_LIBRARY_PATH=":".join(os.path.join(PEERS, p) for p in ("usr/lib/rspamd", "usr/lib/x86_64-linux-gnu")))


def program(name):
    for place in ("usr/sbin", "usr/bin"):
        path = os.path.join(PEERS, place, name)
        if os.path.exists(path):
            return path
    return None


def configure(source, target, values):
    with open(os.path.join(HERE, source)) as f:
        text = f.read()
    for name, value in values.items():
        text = text.replace("@%s@" % name, str(value))
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(target, "w") as f:
        f.write(text)
    return target


def resolver(d, zone_port):
    port = free_port()
    conf = configure("unbound/unbound.conf", d("unbound/unbound.conf"), {"PORT": port, "DIR": d("unbound"), "ZONE_PORT": zone_port})
    return Proc([program("unbound"), "-d", "-c", conf], d("unbound/out"), ENV), port


class Clamd:
    def __init__(self, d, database, nocache):
        os.makedirs(d.path, exist_ok=True)
        self.socket = d("clamd.sock")
        conf = configure("clamav/clamd.conf", d("clamd.conf"), {"DIR": d.path, "DATABASE": database, "NOCACHE": "yes" if nocache else "no"})
        self.p = Proc([program("clamd"), "-c", conf], d("clamd.out"), ENV)
        wait_until(lambda: os.path.exists(self.socket), 120)
        self.pids = {"clamd": self.p.p.pid}

    def close(self):
        self.p.stop()


class ClamavMilter:
    name = "clamav-milter"

    def __init__(self, d, clamd):
        os.makedirs(d.path, exist_ok=True)
        conf = configure("clamav/clamav-milter.conf", d("clamav-milter.conf"), {"DIR": d.path, "CLAMD": clamd.socket})
        self.p = Proc([program("clamav-milter"), "-c", conf], d("clamav-milter.out"), ENV)
        self.socket = "unix:" + d("milter.sock")
        wait_until(lambda: os.path.exists(d("milter.sock")), 30)
        self.pids = dict(clamd.pids, **{"clamav-milter": self.p.p.pid})

    def close(self):
        self.p.stop()


class Rspamd:
    name = "rspamd"

    def __init__(self, d, dns, clamd=None, nocache=True, least=200):
        """least: lessons of each class before its Bayes speaks; 200 is its own default."""
        os.makedirs(d("db"), exist_ok=True)
        self.d, self.control = d, free_port()
        values = {"DIR": d.path, "DNS": dns, "CONTROL": self.control, "NOCACHE": "true" if nocache else "false",
                  "AV": "enabled = true;" if clamd else "enabled = false;", "CLAMD": clamd.socket if clamd else "", "LEAST": least}
        for name in os.listdir(os.path.join(HERE, "rspamd", "local.d")):
            configure("rspamd/local.d/" + name, d("local", "local.d", name), values)
        self.redis = RedisServer(d("redis.sock"), d.path)
        share, etc = os.path.join(PEERS, "usr/share/rspamd"), os.path.join(PEERS, "etc/rspamd")
        variables = {"CONFDIR": etc, "LOCAL_CONFDIR": d("local"), "DBDIR": d("db"), "RUNDIR": d.path, "LOGDIR": d.path, "SHAREDIR": share,
                     "RULESDIR": share + "/rules", "LUALIBDIR": share + "/lualib", "PLUGINSDIR": share + "/plugins", "WWWDIR": share + "/www"}
        args = [program("rspamd"), "-f", "-i", "-c", etc + "/rspamd.conf"]
        for name, value in variables.items():
            args += ["--var", "%s=%s" % (name, value)]
        self.p = Proc(args, d("rspamd.out"), ENV)
        self.socket = "unix:" + d("milter.sock")
        wait_until(lambda: self.alive() and os.path.exists(d("milter.sock")), 300)     # it compiles its patterns, on a busy machine for minutes
        time.sleep(3)
        self.pids = {"rspamd": self.p.p.pid, "redis": self.redis.p.pid}
        if clamd:
            self.pids.update(clamd.pids)

    def alive(self):
        if not self.p.alive():
            raise AssertionError("rspamd ended:\n" + self.p.text()[-2000:])
        return True

    def learn(self, label, paths):
        c = http.client.HTTPConnection("127.0.0.1", self.control, timeout=30)
        learned = 0
        for path in paths:
            with open(path, "rb") as f:
                data = f.read()
            c.request("POST", "/learn" + label, data, {"Learn-Type": "bulk", "Flags": "pass_all"})
            r = c.getresponse()
            r.read()
            learned += r.status == 200
        return learned

    def bayes(self, path):
        """What its Bayes alone says of a mail: -1 ham ... 1 spam."""
        c = http.client.HTTPConnection("127.0.0.1", self.control, timeout=30)
        with open(path, "rb") as f:
            c.request("POST", "/checkv2", f.read(), {"Settings": json.dumps({"symbols_enabled": ["BAYES_SPAM", "BAYES_HAM"]})})
        symbols = json.loads(c.getresponse().read()).get("symbols", {})
        for name, sign in (("BAYES_SPAM", 1), ("BAYES_HAM", -1)):
            if name in symbols:
                return sign * float(symbols[name]["options"][0].rstrip("%")) / 100
        return 0.0

    def close(self):
        self.p.stop()
        self.redis.stop()
