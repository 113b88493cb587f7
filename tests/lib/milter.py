"""The MTA's side of the milter protocol (version 6), as Postfix speaks it: enough to hand over mails and read outcomes."""
import socket
import struct

ACTIONS = 0x1 | 0x10 | 0x4                   # ADDHDRS, CHGHDRS, DELRCPT
NO_REPLY = {b"C": 0x1000, b"H": 0x2000, b"M": 0x4000, b"L": 0x80, b"N": 0x40000, b"B": 0x80000}
STEPS = 0x1000 | 0x2000 | 0x4000 | 0x80 | 0x40000 | 0x80000 | 0x100 | 0x200 | 0x100000


class Milter:
    """One connection to a milter: (client address, port, HELO), then any number of mails."""

    def __init__(self, address, client=("198.51.100.7", 4711), helo="client.example", steps=STEPS):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.s = socket.socket(family, socket.SOCK_STREAM)
        self.s.settimeout(90)
        self.s.connect(address)
        self.packet(b"O", struct.pack("!III", 6, ACTIONS | 0x2 | 0x8 | 0x20 | 0x40 | 0x80 | 0x100, steps))
        kind, data = self.read()
        assert kind == b"O", kind
        self.steps = struct.unpack("!III", data[:12])[2]
        ip, port = client
        self.macro(b"C", j="mx.test.example", **{"{daemon_name}": "mx"})
        self.command(b"C", b"unknown\0" + (b"6" if ":" in ip else b"4") + struct.pack("!H", port) + ip.encode() + b"\0")
        self.command(b"H", helo.encode() + b"\0")

    def packet(self, kind, data=b""):
        self.s.sendall(struct.pack("!I", len(data) + 1) + kind + data)

    def macro(self, kind, **values):
        self.packet(b"D", kind + b"".join(k.encode() + b"\0" + v.encode() + b"\0" for k, v in values.items()))

    def read(self):
        head = self.exactly(4)
        body = self.exactly(struct.unpack("!I", head)[0])
        return body[:1], body[1:]

    def exactly(self, n):
        data = b""
        while len(data) < n:
            more = self.s.recv(n - len(data))
            if not more:
                raise ConnectionError("the milter closed the connection")
            data += more
        return data

    def command(self, kind, data=b""):
        """The reply to a step: (letter, text), ("c", "") where none is due."""
        self.packet(kind, data)
        if self.steps & NO_REPLY.get(kind, 0):
            return "c", ""
        while True:
            reply, text = self.read()
            if reply != b"p":
                return reply.decode(), text.rstrip(b"\0").decode("utf-8", "replace")

    def send(self, data, rcpts, sender="ann@sender.example", queue_id="4TEST", chunk=65535):
        """{rcpts: {rcpt: reply}, reply: (letter, text), deleted: [...], headers: [(op, name, value)], progress: n}"""
        out = {"rcpts": {}, "reply": None, "deleted": [], "headers": [], "progress": 0}
        self.command(b"M", b"<" + sender.encode() + b">\0")
        for r in rcpts:
            out["rcpts"][r] = self.command(b"R", b"<" + r.encode() + b">\0")
        if not any(letter == "c" for letter, _ in out["rcpts"].values()):
            self.packet(b"A")
            return out
        head, body = data.split(b"\r\n\r\n", 1)
        lines = []
        for line in head.split(b"\r\n"):
            if line[:1] in b" \t" and lines:
                lines[-1] += b"\n" + line
            else:
                lines.append(line)
        self.macro(b"L", i=queue_id)
        for line in lines:
            name, value = line.split(b":", 1)
            if not self.steps & 0x100000:
                value = value.lstrip(b" ")
            self.command(b"L", name + b"\0" + value + b"\0")
        self.command(b"N")
        for at in range(0, len(body), chunk):
            self.command(b"B", body[at:at + chunk])
        self.macro(b"E", i=queue_id)
        self.packet(b"E")
        while True:
            kind, text = self.read()
            if kind == b"p":
                out["progress"] += 1
            elif kind == b"-":
                out["deleted"].append(text.rstrip(b"\0").decode().strip("<>"))
            elif kind == b"h":
                name, value = text.split(b"\0")[:2]
                out["headers"].append(("add", name.decode(), value.decode().strip()))
            elif kind == b"i":
                name, value = text[4:].split(b"\0")[:2]
                out["headers"].append(("insert", name.decode(), value.decode().strip()))
            elif kind == b"m":
                name, value = text[4:].split(b"\0")[:2]
                out["headers"].append(("change" if value else "remove", name.decode(), value.decode().strip()))
            elif kind in b"acdrty":
                out["reply"] = (kind.decode(), text.rstrip(b"\0").decode("utf-8", "replace"))
                self.packet(b"A")
                return out

    def close(self):
        try:
            self.packet(b"Q")
        except OSError:
            pass
        self.s.close()
