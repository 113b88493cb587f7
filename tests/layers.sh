#!/bin/sh
# Which folder may include which: base <- net <- store; base <- mail <- model; all <- scan <- lua; process kinds use
# what they need and speak to each other by packets (policyd/wire.h) only.
cd "$(dirname "$0")/.." || exit 1
bad=0
allow() {       # allow FOLDER ALLOWED...: includes of ours in FOLDER outside ALLOWED are errors
	folder=$1
	shift
	pattern=$(printf '%s|' "$folder" "$@")
	hits=$(grep -nE '^#include "' "$folder"/*.[ch] | grep -vE "\"(${pattern%|})/" | grep -vE '"policyd/(config|child|wire)\.h"')
	if [ -n "$hits" ]; then
		echo "layers: $folder may use only: $*"
		echo "$hits"
		bad=1
	fi
}
allow policyd/base
allow policyd/mail policyd/base
allow policyd/model policyd/base policyd/mail policyd/scan
allow policyd/net policyd/base policyd/scan
allow policyd/limit policyd/base policyd/scan
allow policyd/store policyd/base policyd/net policyd/scan policyd/limit
allow policyd/auth policyd/base policyd/mail policyd/scan
allow policyd/scan policyd/base policyd/mail policyd/model policyd/auth
allow lua policyd/base policyd/mail policyd/model policyd/scan
allow policyd/worker policyd/base policyd/net policyd/mail policyd/model policyd/auth policyd/scan lua
allow policyd/broker policyd/base policyd/net policyd/store policyd/auth policyd/scan policyd/worker policyd/limit
allow policyd/trainer policyd/base policyd/store policyd/mail policyd/model
allow policyd/deliver policyd/base policyd/net policyd/scan
allow milter policyd/base policyd/scan policyd/broker
allow quarantine/review policyd/base policyd/net policyd/scan
allow quarantine/store policyd/base policyd/net policyd/store policyd/mail
# libraries stay behind their one wrapping file
for pair in 'ares.h:policyd/net/dns.c' 'sqlite3.h:quarantine/store/sql.c' 'clamav.h:policyd/worker/antivirus.c' 'seccomp.h:policyd/worker/cage.c' 'hs.h:lua/patterns.c' 'pcre2.h:lua/regex.c'; do
	others=$(grep -lE "#include <${pair%%:*}>" -r policyd lua milter quarantine | grep -v "^${pair#*:}$")
	[ -z "$others" ] || { echo "layers: <${pair%%:*}> belongs in ${pair#*:} only: $others"; bad=1; }
done
[ $bad = 0 ] && echo "layers: includes keep their direction"
exit $bad
