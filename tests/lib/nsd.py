"""A real authoritative DNS server (Debian's nsd, unpacked by make deps) on a loopback port."""
import os
import socket
import time

from .procs import MTA, Proc, free_port, free_user


def reverse(ip):
    return ".".join(reversed(ip.split("."))) + ".in-addr.arpa."


class Nsd(Proc):
    """zones: {"shop.example": "@ TXT \\"...\\"\\nmail A 192.0.2.1\\n", ...}. What it has no zone for it refuses, as REFUSED.
    tcp=False: a server whose TCP is out of reach."""

    def __init__(self, d, zones, tcp=True):
        self.port, self.d, self.zones = free_port(), d, dict(zones)
        os.makedirs(d("nsd"), exist_ok=True)
        os.chmod(d("nsd"), 0o777)
        for zone in zones:
            self.write(zone)
        # nsd insists on giving up root
        d.write("nsd/nsd.conf", """server:
  ip-address: 127.0.0.1@%d
  username: "%s"
  zonesdir: "%s"
  zonelistfile: "%s"
  database: ""
  pidfile: ""
  xfrdfile: "%s"
  logfile: "%s"
  server-count: 1
  tcp-count: %d
  rrl-ratelimit: 0
  zonefiles-check: yes
remote-control:
  control-enable: no
%s""" % (self.port, free_user() if os.geteuid() == 0 else "", d("nsd"), d("nsd/zone.list"), d("nsd/xfrd.state"), d("nsd/log"), 100 if tcp else 0,
         "".join("zone:\n  name: \"%s\"\n  zonefile: \"%s.zone\"\n" % (z, z) for z in zones)))
        super().__init__([os.path.join(MTA, "nsd/usr/sbin/nsd"), "-d", "-c", d("nsd/nsd.conf")], d("nsd.log"))
        self.wait()

    def write(self, zone):
        self.d.write("nsd/%s.zone" % zone, "$ORIGIN %s.\n$TTL 300\n@ SOA ns h 1 3600 600 86400 30\n@ NS ns\nns A 127.0.0.1\n%s\n" % (zone, self.zones[zone]))

    def wait(self):
        """Until it answers something."""
        name = next(iter(self.zones))
        packet = b"\0\7\0\0\0\1\0\0\0\0\0\0" + b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0\0\6\0\1"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.1)
            for _ in range(100):
                s.sendto(packet, ("127.0.0.1", self.port))
                try:
                    if s.recv(512):
                        return
                except OSError:
                    time.sleep(0.05)
                if not self.alive():
                    break
        raise AssertionError("nsd: " + self.text() + open(self.d("nsd/log")).read() if os.path.exists(self.d("nsd/log")) else self.text())


