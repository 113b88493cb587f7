# A mail that its owner puts into Junk: he says it is spam. For Dovecot's imapsieve; see policyd's README, "Reports of users".
require ["vnd.dovecot.pipe", "copy", "imapsieve", "environment", "variables"];

if environment :matches "imap.user" "*" { set "user" "${1}"; }
pipe :copy "policyctl" ["-s", "/var/lib/policyd/run/report.sock", "report", "spam", "--for", "${user}"];
