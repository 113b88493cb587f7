"""Dovecot as Debian packs it, unpacked privately (make deps), on loopback: IMAP, its Sieve at moves between folders, and its
sign-in for Postfix. Every user's password is "secret"; Dovecot's settings for policyd are those of etc/dovecot."""
import grp
import os
import pwd
import shutil

from .procs import MTA, TOP, Proc, free_port, port_open, wait_until

SETTINGS = """base_dir = {d}/run
state_dir = {d}/state
auth_mechanisms = plain
log_path = {d}/log
protocols = imap
ssl = no
disable_plaintext_auth = no
default_login_user = nobody
default_internal_user = {owner}
default_internal_group = {group}
first_valid_uid = 1
mail_location = maildir:~/Maildir
passdb {{
  driver = static
  args = password=secret
}}
userdb {{
  driver = static
  args = uid={owner} gid={group} home={d}/mail/%u
}}
namespace inbox {{
  inbox = yes
  mailbox Junk {{
    auto = create
    special_use = \\Junk
  }}
  mailbox Trash {{
    auto = create
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service auth {{
  unix_listener {d}/auth {{
    mode = 0666
  }}
}}
"""


class Dovecot:
    def __init__(self, d, owner, report_socket, policyctl):
        self.d, root = d, os.path.join(MTA, "dovecot")
        self.port, self.owner = free_port(), owner
        self.group = grp.getgrgid(pwd.getpwnam(self.owner).pw_gid).gr_name
        for sub in ("run", "state", "mail", "bin", "sieve"):
            os.makedirs(d("dc", sub), exist_ok=True)
            os.chmod(d("dc", sub), 0o755)
        os.chmod(d("dc"), 0o755)
        for sub in ("mail", "sieve"):                # the scripts are compiled beside themselves
            shutil.chown(d("dc", sub), self.owner)
        os.symlink(policyctl, d("dc/bin/policyctl"))
        for name in ("report-spam.sieve", "report-ham.sieve"):
            with open(os.path.join(TOP, "etc/dovecot", name)) as f:
                d.write("dc/sieve/" + name, f.read().replace("/var/lib/policyd/run/report.sock", report_socket))
        with open(os.path.join(TOP, "etc/dovecot/90-policyd.conf")) as f:
            ours = f.read().replace("/etc/dovecot/policyd-bin", d("dc/bin")).replace("/usr/local/share/policyd/dovecot", d("dc/sieve"))
        d.write("dc/dovecot.conf", SETTINGS.format(d=d("dc"), owner=self.owner, group=self.group, port=self.port) + ours)
        self.auth = d("dc/auth")
        # It looks for its parts where Debian has them: a view of /usr of its own, with them in it.
        self.p = Proc(["unshare", "--mount", "sh", "-c", "mount -t overlay overlay -o lowerdir=%s/usr:/usr /usr && exec /usr/sbin/dovecot -F -c %s" % (
            root, d("dc/dovecot.conf"))], d("dc/out"))
        wait_until(lambda: port_open(self.port), 20)

    def log(self):
        with open(self.d("dc/log"), "rb") as f:
            return f.read().decode("utf-8", "replace")

    def close(self):
        self.p.stop()
