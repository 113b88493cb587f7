"""Processes of a test: started by us, ended by the pid we noted, on loopback ports that were free a moment ago."""
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("POLICYD_BUILD", os.path.join(TOP, "build", "testing"))
MTA = os.environ.get("POLICYD_MTA", os.path.join(TOP, "build", "mta"))
_given = set()


def free_port():
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        mine = "LANE" not in os.environ or port // 2 % 2 == int(os.environ["LANE"]) % 2     # tests/run.py: two files at once
        if mine and port not in _given and 10000 < port < 60000:
            _given.add(port)
            return port


def wait_until(what, seconds=20, step=0.05):
    """The first true value of what(); fails the test when there is none in time. A build with sanitizers gets four times as long."""
    seconds *= 4 if "/san" in BUILD else 1
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %d s in vain for %s" % (seconds, getattr(what, "__name__", what)))
        time.sleep(step)


def port_open(port):
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0


class Dir:
    """A temporary directory that other users may enter (Postfix, nobody)."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="pd-")
        os.chmod(self.path, 0o755)

    def __call__(self, *parts):
        return os.path.join(self.path, *parts)

    def write(self, name, text, mode=0o644):
        path = self(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        os.chmod(path, mode)
        return path

    def close(self):
        shutil.rmtree(self.path, ignore_errors=True)


class Proc:
    """One daemon in the foreground; its output goes to a file."""

    def __init__(self, args, log, env=None, executable=None):
        self.log = log
        self.out = open(log, "ab")
        self.p = subprocess.Popen(args, stdout=self.out, stderr=self.out, stdin=subprocess.DEVNULL, env=env, executable=executable)

    def alive(self):
        return self.p.poll() is None

    def stop(self, sig=signal.SIGTERM, seconds=20):
        if self.alive():
            self.p.send_signal(sig)
            try:
                self.p.wait(seconds)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        self.out.close()

    def text(self):
        with open(self.log, "rb") as f:
            return f.read().decode("utf-8", "replace")


class RedisServer(Proc):
    """A Redis of its own, on a unix socket and a port. Debian's redis-tools has the server under the name redis-check-rdb: the
    program looks at its own name."""

    def __init__(self, socket, directory, *more):
        self.port = free_port()
        super().__init__(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", socket, "--unixsocketperm", "777",
                          "--dir", directory, "--save", "", "--appendonly", "no"] + list(more), os.path.join(directory, "redis.log"),
                         executable=shutil.which("redis-server") or "/usr/bin/redis-check-rdb")
        wait_until(lambda: os.path.exists(socket), 20)


def rbldnsd(d, zone, text, kind="ip4set", more=()):
    """A DNS list with the given data; answers on the returned port. `kind` dnset: a list of names. more: (zone, text, kind) beside it."""
    port, args = free_port(), []
    for name, data, what in [(zone, text, kind)] + list(more):
        d.write("zone-" + name, "$SOA 600 ns.%s h.%s 0 600 300 86400 300\n%s" % (name, name, data))
        args.append("%s:%s:zone-%s" % (name, what, name))
    program = os.path.join(MTA, "rbldnsd/usr/sbin/rbldnsd")
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    p = Proc([program, "-n"] + user + ["-w", d.path, "-b", "127.0.0.1/%d" % port, "-t", "300", "-c", "5"] + args, d("rbldnsd-%s.log" % zone))
    time.sleep(0.3)
    return p, port


def free_user(*avoid):
    """An account that no daemon of this machine runs as: Postfix insists on having one to itself."""
    for name in ("news", "uucp", "games", "list", "lp"):
        try:
            if name not in avoid:
                return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise AssertionError("no spare system account")
