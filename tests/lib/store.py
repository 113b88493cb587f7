"""The store's socket, asked as our own processes ask it (policyd/base/ipc.h, quarantine/store/requests.h)."""
import array
import json
import os
import socket
import struct

W_REQUEST, W_REPLY = 20, 21


class Store:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self.id = 0

    def close(self):
        self.sock.close()

    def ask(self, cmd, raw=False, **fields):
        """The answer; with raw=True also the bytes that came beside it (None: none)."""
        self.id += 1
        text = json.dumps(dict(fields, cmd="quarantine." + cmd, **({"raw": True} if raw else {}))).encode()
        body = struct.pack("=I", len(text)) + text
        self.sock.sendall(struct.pack("=IIQ", W_REQUEST, self.id, len(body)) + body)
        data, control, _, _ = self.sock.recvmsg(1 << 20, socket.CMSG_SPACE(16))
        if len(data) < 16:
            raise ConnectionError("the store closed the connection")
        kind, number, length = struct.unpack_from("=IIQ", data)
        assert (kind, number) == (W_REPLY, self.id), (kind, number)
        fds = array.array("i")
        for _, _, value in control:
            fds.frombytes(value[:len(value) - len(value) % fds.itemsize])
        fds = list(fds)
        body = data[16:]
        if length >> 63 or len(body) < (length & 0xffffffff):        # a large body travels as the last descriptor
            with os.fdopen(fds.pop(), "rb") as f:
                f.seek(0)
                body = f.read()
        reply = json.loads(body[4:4 + struct.unpack_from("=I", body)[0]])
        mail = None
        for fd in fds:
            with os.fdopen(fd, "rb") as f:
                f.seek(0)
                mail = f.read()
        return (reply, mail) if raw else reply
