# A mail that its owner takes out of Junk, not to throw it away: he says it is none.
require ["vnd.dovecot.pipe", "copy", "imapsieve", "environment", "variables"];

if environment :matches "imap.mailbox" ["Trash", "Trash/*", "Deleted*"] { stop; }
if environment :matches "imap.user" "*" { set "user" "${1}"; }
pipe :copy "policyctl" ["-s", "/var/lib/policyd/run/report.sock", "report", "ham", "--for", "${user}"];
