"""An SMTP server that keeps every mail it takes: envelope, parameters, exact bytes. Answers can be scripted."""
import re
import socketserver
import sys
import threading

from .procs import free_port


PATH = re.compile(rb'<((?:"(?:\\.|[^"\\])*"|[^">])*)>')


def path(argument):
    """What stands between the angle brackets of MAIL FROM or RCPT TO."""
    return PATH.match(argument).group(1).decode()


class _Handler(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        sink = self.server.sink
        sender, rcpts = None, []
        self.say("220 sink")
        while True:
            line = self.rfile.readline()
            if not line:
                return
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.wfile.write(b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 0\r\n")
            elif verb == b"MAIL":
                sender, rcpts = line[10:].strip(), []
                self.say("250 ok")
            elif verb == b"RCPT":
                reply = sink.rcpt_reply(line)
                if reply.startswith("250"):
                    rcpts.append(line[8:].strip())
                self.say(reply)
            elif verb == b"DATA":
                if not rcpts:
                    self.say("554 5.5.1 no recipients")
                    continue
                self.say("354 go on")
                data = []
                while True:
                    line = self.rfile.readline()
                    if not line:
                        return
                    if line == b".\r\n":
                        break
                    data.append(line[1:] if line.startswith(b".") else line)
                reply = sink.data_reply()
                if reply.startswith("250"):
                    sink.keep(sender, rcpts, b"".join(data))
                self.say(reply)
                sender, rcpts = None, []
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 ok")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 200

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):       # the client was killed
            super().handle_error(request, client_address)


class Sink:
    def __init__(self):
        self.port = free_port()
        self.mails = []                      # (sender, [rcpt], bytes)
        self.lock = threading.Lock()
        self.count = 0
        self.rcpt_reply = lambda line: "250 ok"
        self.data_reply = lambda: "250 2.0.0 Ok: queued as SINK%06d" % self.count
        self.server = _Server(("127.0.0.1", self.port), _Handler)
        self.server.sink = self
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def keep(self, sender, rcpts, data):
        with self.lock:
            self.count += 1
            self.mails.append((path(sender), [path(r) for r in rcpts], data))

    def to(self, rcpt):
        with self.lock:
            return [m for m in self.mails if rcpt in m[1]]

    def close(self):
        self.server.shutdown()
        self.server.server_close()
