#!/bin/sh
# coverage.sh - after COV=1 fuzz-replay: the share of lines of each parser that the committed inputs reach (gcov).
set -eu
cd "$(dirname "$0")/../.."
files="$(ls policyd/mail/*.c) policyd/scan/received.c policyd/scan/scanned.c policyd/broker/delegate.c policyd/net/clamd.c
 policyd/store/redis_url.c policyd/config.c policyd/wire.c policyd/base/ipc.c quarantine/store/record.c quarantine/store/segment.c quarantine/store/backup.c
 quarantine/store/list.c quarantine/store/list_filter.c quarantine/review/peer_seal.c policyd/auth/*.c"
for f in $files; do
	[ -e "$f" ] && [ -e "build/cov/obj/${f%.c}.gcno" ] || continue
	gcov -n -o "build/cov/obj/${f%.c}.gcno" "$f" 2>/dev/null |
		awk -v f="$f" '$0 ~ "^File .*" f { on = 1 } on && /^Lines executed/ { split($2, a, ":"); n = $NF; print f, a[2] + 0, n; exit }'
done | awk '{ printf "%-32s %6.1f %% of %4d lines\n", $1, $2, $3; hit += $2 * $3; all += $3 }
	END { if (!all) exit 1; printf "%-32s %6.1f %% of %4d lines\n", "all", hit / all, all }'
