"""Postfix and Sendmail as Debian packs them, unpacked privately (make deps) and run on loopback as this test's own."""
import glob
import os
import shutil
import subprocess
import time

from .procs import MTA, Proc, free_port, free_user, port_open, wait_until

DAEMONS = """{port} inet n - {chroot} - 200 smtpd
{plain}
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - {chroot} - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
showq unix n - n - - showq
"""


class Postfix:
    """Two listeners: `port` asks the milter, `plain` (for releases) does not. All mail goes to the sink."""

    PLAIN = """127.0.0.1:10026 inet n - n - 200 smtpd
  -o smtpd_milters= -o smtpd_recipient_restrictions=permit_mynetworks,reject -o smtpd_authorized_xforward_hosts=127.0.0.0/8"""

    VARIANT = """policyd-variant unix - - n - 20 lmtp
  -o lmtp_send_xforward_command=yes"""

    def __init__(self, d, sink_port, milter, extra="", policy=None, chroot=False, plain=PLAIN, lmtp=None):
        """plain: the master.cf lines of the listener without milters; its port is replaced by one that is free.
        lmtp: the port of the stage for variants; variant.internal goes there."""
        self.d, root = d, os.path.join(MTA, "postfix")
        self.root = root
        self.port, self.plain = free_port(), free_port()
        self.env = dict(os.environ, LD_LIBRARY_PATH=os.path.join(root, "usr/lib/postfix"))
        owner = self.owner = free_user()
        for sub in ("etc", "spool", "data", "log"):
            os.makedirs(d("pf", sub), exist_ok=True)
            os.chmod(d("pf", sub), 0o755)
        os.chmod(d("pf"), 0o755)
        shutil.chown(d("pf/data"), owner)
        restrictions = "reject_unauth_destination"
        if policy:
            restrictions = "reject_unauth_destination,check_policy_service { %s, timeout=10s, default_action=DUNNO }" % policy
        if lmtp:
            plain += "\n" + self.VARIANT
            extra += "\ntransport_maps = inline:{ { variant.internal = policyd-variant:inet:127.0.0.1:%d } }\n" % lmtp
        main = """compatibility_level = 3.6
queue_directory = {d}/spool
data_directory = {d}/data
daemon_directory = {r}/usr/lib/postfix/sbin
command_directory = {r}/usr/sbin
meta_directory = {d}/etc
shlib_directory = {r}/usr/lib/postfix
sendmail_path = {r}/usr/sbin/sendmail
newaliases_path = {r}/usr/sbin/sendmail
mailq_path = {r}/usr/sbin/sendmail
manpage_directory = {r}/usr/share/man
html_directory = no
readme_directory = no
sample_directory = no
mail_owner = {owner}
setgid_group = {group}
maillog_file = {d}/log/mail.log
maillog_file_prefixes = {d}
import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C LD_LIBRARY_PATH POSTLOG_SERVICE POSTLOG_HOSTNAME
export_environment = TZ MAIL_CONFIG LANG LD_LIBRARY_PATH
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mx.test.example
mydestination =
mynetworks = 127.0.0.0/8
smtpd_relay_restrictions = permit_mynetworks,reject_unauth_destination
smtpd_recipient_restrictions = {restrictions}
relay_domains = test.example, shop.example, other.example, unknown.example
relay_transport = smtp:[127.0.0.1]:{sink}
default_transport = error:none
alias_maps =
alias_database =
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtp_send_xforward_command = no
smtputf8_enable = yes
strict_smtputf8 = no
smtpd_milters = {milter}
milter_default_action = tempfail
{extra}
""".format(d=d("pf"), r=root, owner=owner, group=free_user(owner), sink=sink_port, milter=milter, restrictions=restrictions, extra=extra)
        d.write("pf/etc/main.cf", main)
        d.write("pf/etc/master.cf", DAEMONS.format(port="127.0.0.1:%d" % self.port, chroot="y" if chroot else "n",
                                                     plain=plain.replace("127.0.0.1:10026", "127.0.0.1:%d" % self.plain)))
        for name in ("postfix-files", "dynamicmaps.cf", "postfix-script", "post-install"):
            found = glob.glob(os.path.join(root, "*", name)) + glob.glob(os.path.join(root, "usr/share/postfix", name)) + \
                glob.glob(os.path.join(root, "usr/lib/postfix", name)) + glob.glob(os.path.join(root, "usr/lib/postfix/sbin", name)) + \
                glob.glob(os.path.join(root, "etc/postfix", name))
            if found and name.endswith((".cf", "files")):
                with open(found[0], "rb") as f:
                    d.write("pf/etc/" + name, f.read())
        self.command("start")
        wait_until(lambda: port_open(self.port) and port_open(self.plain), 20)

    def command(self, what):
        return subprocess.run([os.path.join(self.root, "usr/sbin/postfix"), "-c", self.d("pf/etc"), what], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def flush(self):
        """All that was deferred, now."""
        subprocess.run([os.path.join(self.root, "usr/sbin/postqueue"), "-c", self.d("pf/etc"), "-f"], env=self.env,
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def queue(self):
        return subprocess.run([os.path.join(self.root, "usr/sbin/postqueue"), "-c", self.d("pf/etc"), "-p"], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()

    def queue_empty(self):
        return "Mail queue is empty" in self.queue()

    def log(self):
        with open(self.d("pf/log/mail.log"), "rb") as f:
            return f.read().decode("utf-8", "replace")

    def close(self):
        self.command("stop")


class Sendmail:
    """One listener with INPUT_MAIL_FILTER; in its own UTS namespace for a host name with a dot."""

    # As in the README; the ports are replaced by free ones.
    VARIANT = """DAEMON_OPTIONS(`Name=plain, Family=inet, Addr=127.0.0.1, Port=10026, InputMailFilters=')dnl
MAILER_DEFINITIONS
Mpolicyd, P=[IPC], F=mDFMuXz8, S=EnvFromSMTP/HdrFromSMTP, R=EnvToSMTP, E=\\r\\n, L=2040, T=DNS/RFC822/SMTP, A=TCP 127.0.0.1 8893
LOCAL_RULE_0
R$* < @ variant.internal . > $*	$#policyd $@ 127.0.0.1 $: $1 < @ variant.internal > $2
R$* < @ variant.internal > $*	$#policyd $@ 127.0.0.1 $: $1 < @ variant.internal > $2
"""

    def __init__(self, d, sink_port, milter_port, lmtp=None):
        """lmtp: the port of the stage for variants; `plain` is then a listener without the milter."""
        self.port, self.plain = free_port(), free_port()
        variant = self.VARIANT.replace("10026", str(self.plain)).replace("8893", str(lmtp)) if lmtp else ""
        root = os.path.join(MTA, "sendmail")
        cf = os.path.join(root, "usr/share/sendmail/cf")
        for sub in ("q", "etc"):
            os.makedirs(d("sm", sub), exist_ok=True)
        d.write("sm/etc/service.switch", "hosts files\n")
        d.write("sm/sm.mc", """OSTYPE(`linux')dnl
define(`QUEUE_DIR', `{d}/q')dnl
define(`STATUS_FILE', `{d}/etc/status')dnl
define(`confPID_FILE', `{d}/etc/pid')dnl
define(`HELP_FILE', `{d}/etc/help')dnl
define(`confSERVICE_SWITCH_FILE', `{d}/etc/service.switch')dnl
define(`confQUEUE_LA', `1000')dnl
define(`confREFUSE_LA', `1000')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`accept_unresolvable_domains')dnl
FEATURE(`nocanonify')dnl
FEATURE(`promiscuous_relay')dnl
DAEMON_OPTIONS(`Name=MTA, Family=inet, Addr=127.0.0.1, Port={port}')dnl
define(`SMART_HOST', `esmtp:[127.0.0.1]')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {sink}')dnl
INPUT_MAIL_FILTER(`policyd', `S=inet:{milter}@127.0.0.1, F=T, T=C:5s;S:10s;R:10s;E:60s')dnl
MAILER(`smtp')dnl
{variant}""".format(d=d("sm"), port=self.port, sink=sink_port, milter=milter_port, variant=variant))
        with open(d("sm/sm.cf"), "wb") as out:
            subprocess.check_call(["m4", "-D_CF_DIR_=%s/" % cf, cf + "/m4/cf.m4", d("sm/sm.mc")], stdout=out, cwd=cf + "/cf",
                                  stderr=subprocess.DEVNULL)
        self.p = Proc(["unshare", "--uts", "sh", "-c", "hostname sm.test.example; exec \"$0\" -bD -C\"$1\"",
                       os.path.join(root, "usr/libexec/sendmail/sendmail"), d("sm/sm.cf")], d("sm/log"))
        wait_until(lambda: port_open(self.port) and (lmtp is None or port_open(self.plain)), 60)

    def close(self):
        self.p.stop()
