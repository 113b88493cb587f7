"""Policies out of a table of the site's own, by Postfix' socketmap and tcp_table protocols: found by mailbox, extension and domain,
cached, negatively cached, stale while the table is away; what it says wrongly is not taken."""
import collections
import re
import socket
import socketserver
import threading
import time
import unittest

from tests.lib.mail import points
from tests.lib.milter import Milter
from tests.lib.policyd import Policyd
from tests.lib.procs import Dir, free_port, wait_until


class Table:
    """Speaks one of the two protocols; `data` key -> text, `asked` counts."""

    def __init__(self, kind):
        self.kind, self.port, self.data, self.asked, self.mute, self.temp = kind, free_port(), {}, collections.Counter(), False, False
        self.server = None
        self.start()

    def start(self):
        table = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                table.open.append(self.request)
                data = b""
                while True:
                    try:
                        more = self.request.recv(4096)
                    except OSError:
                        return
                    if not more:
                        return
                    data += more
                    while True:
                        m = re.match(rb"(\d+):", data) if table.kind == "socketmap" else re.match(rb"get (.*)\n", data)
                        if not m:
                            break
                        if table.kind == "socketmap":
                            n = int(m.group(1))
                            if len(data) < m.end() + n + 1:
                                break
                            text, data = data[m.end():m.end() + n].decode(), data[m.end() + n + 1:]
                            name, key = text.split(" ", 1)
                            assert name == "policy"
                        else:
                            key, data = re.sub("%(..)", lambda x: chr(int(x.group(1), 16)), m.group(1).decode()), data[m.end():]
                        table.answer(self.request, key)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = daemon_threads = True

        self.open = []
        self.server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, sock, key):
        self.asked[key] += 1
        if self.mute:
            return
        value = self.data.get(key)
        if self.kind == "socketmap":
            text = "TEMP later" if self.temp else "NOTFOUND " if value is None else "OK " + value
            sock.sendall(b"%d:%s," % (len(text.encode()), text.encode()))
        else:
            sock.sendall(b"400 later\n" if self.temp else b"500 no\n" if value is None else b"200 " + re.sub(
                rb"[^!-$&-~]", lambda m: b"%%%02x" % m.group(0)[0], value.encode()) + b"\n")

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        for s in self.open:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


class Source(unittest.TestCase):
    def check(self, kind):
        d = Dir()
        self.addCleanup(d.close)
        t = Table(kind)
        self.addCleanup(lambda: t.stop())
        pd = Policyd(d, settings='policy_source = { socket = "inet:%d@127.0.0.1";%s timeout_ms = 1000; fresh_s = 2; absent_s = 2; stale_s = 20; };' % (
            t.port, ' map = "policy";' if kind == "socketmap" else ""))
        self.addCleanup(pd.close)
        t.data = {"bob@table.example": "tag=1 quarantine=off discard=off subject_tag='[Bob 100%] '", "@table.example": "filter=no",
                  '"odd one"@table.example': "quarantine=5 tag=2", "bad@table.example": "tag=9 quarantine=3", "worse@table.example": "no policy",
                  "own@table.example": "tag=1 quarantine=2"}
        pd.set("own@table.example", quarantine="off", discard="off", tag="3")

        def fate(rcpt, n):
            m = Milter(("127.0.0.1", pd.milter_port))
            got = m.send(points(5, "source %d" % n), [rcpt])
            m.close()
            self.assertIn(got["reply"][0], "acd", got)
            subject = [v for op, name, v in got["headers"] if name == "Subject"]
            return got["reply"][0], subject[0] if subject else "", ("add", "X-Spam-Flag", "YES") in got["headers"]

        self.assertEqual(fate("bob@table.example", 1), ("a", "[Bob 100%] source 1", True))
        self.assertEqual(fate("Bob+lists@TABLE.example", 2), ("a", "[Bob 100%] source 2", True))
        self.assertEqual(fate("who@table.example", 3), ("a", "", False))
        self.assertEqual(fate('"odd one"@table.example', 4)[0], "d")
        self.assertEqual(fate("who@nowhere.example", 5), ("a", "", True))            # the default: tag at 4
        self.assertEqual(fate("bad@table.example", 6), ("a", "", True))              # unordered thresholds: as if it had said nothing
        self.assertEqual(fate("worse@table.example", 7), ("a", "", False))           # not to be read: the next key counts
        self.assertEqual(fate("own@table.example", 8), ("a", "", True))              # a record of his own is nearer
        self.assertIn("must be below", pd.log())
        self.assertGreaterEqual(pd.json("stats")["policy_source_bad_values"], 2)
        asked = t.asked["bob@table.example"], t.asked["who@nowhere.example"]
        for n in range(5):
            fate("bob@table.example", 10 + n)
            fate("who@nowhere.example", 20 + n)
        self.assertLessEqual(t.asked["bob@table.example"] - asked[0], 1)
        self.assertLessEqual(t.asked["who@nowhere.example"] - asked[1], 1)

        t.data["bob@table.example"] = "tag=off quarantine=off discard=off"
        wait_until(lambda: fate("bob@table.example", 30) == ("a", "", False), 6, 0.3)        # a new answer within fresh_s
        t.stop()
        time.sleep(2.2)
        self.assertEqual(fate("bob@table.example", 31), ("a", "", False))            # away: what it said last
        self.assertEqual(fate("new@table.example", 32), ("a", "", False))            # by its domain's
        self.assertEqual(fate("new@other.example", 33), ("a", "", True))
        self.assertGreater(pd.json("stats")["policy_source_stale"], 0)
        self.assertRegex(pd.ctl("doctor", check=False).stdout.decode(), r"FAIL +policy source .*does not answer")
        t.data["bob@table.example"] = "tag=1 quarantine=off discard=off"
        t.start()
        wait_until(lambda: fate("bob@table.example", 34)[2], 6, 0.3)
        t.temp = True
        time.sleep(2.2)
        self.assertTrue(fate("bob@table.example", 35)[2])                            # it cannot tell: the last answer
        t.temp, t.mute = False, True
        time.sleep(2.2)
        start = time.monotonic()
        self.assertTrue(fate("bob@table.example", 36)[2])                            # silent: not longer than the deadline
        self.assertLess(time.monotonic() - start, 5)
        with socket.create_connection(("127.0.0.1", pd.policy_port)) as s:           # the policy port takes the same way
            s.sendall(b"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient=x@table.example\nsender=a@b.example\nclient_address=192.0.2.1\n\n")
            self.assertTrue(s.recv(100).startswith(b"action=DUNNO"))

    def test_socketmap(self):
        self.check("socketmap")

    def test_tcp_table(self):
        self.check("tcp")


if __name__ == "__main__":
    unittest.main()
