#!/bin/sh
# run.sh BUILD SECONDS TARGET... - each target under libFuzzer for that long (MIME, HTML and attachments six times as long
# from a minute up), two at a time or as many as there are cores. Starts from tests/fuzz/corpus/TARGET.tar.gz and what
# earlier runs left in build/fuzz/corpus. Prints a line per target; exit 1 and the input's path when one finds something.
set -eu
cd "$(dirname "$0")/../.."
build=$1 seconds=$2
shift 2
mkdir -p "$build/findings"

if [ "${FUZZ_ONE:-}" ]; then
	target=$1 work=$build/corpus/$1 log=$build/$1.log
	mkdir -p "$work"
	[ ! -e "tests/fuzz/corpus/$target.tar.gz" ] || tar -xzf "tests/fuzz/corpus/$target.tar.gz" -C "$work"
	case $target in
	fuzz_message|fuzz_html|fuzz_attachment) [ "$seconds" -lt 60 ] || seconds=$((seconds * 6)) ;;
	esac
	# Past 5 s an input of 64 KB is a hang; past 2 GB of memory in use a bomb. (liblzma asks for the dictionary that a
	# header names, up to 4 GB, and touches what the data fills of it.)
	if "$build/$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -malloc_limit_mb=8192 -max_len=65536 -print_final_stats=1 \
	    -dict=tests/fuzz/mail.dict -artifact_prefix="$build/findings/$target-" "$work" >"$log" 2>&1; then
		awk -v t="$target" '/cov: [0-9]+ ft:/ { for (i = 1; i < NF; i++) { if ($i == "cov:") c = $(i + 1); if ($i == "ft:") f = $(i + 1) } }
			/number_of_executed_units/ { n = $2 } /peak_rss_mb/ { r = $2 }
			END { printf "%-18s %9d runs, %6d edges, %6d features, %4d MB\n", t, n, c, f, r }' "$log"
		exit 0
	fi
	echo "$target: FOUND SOMETHING; $log"
	grep -E 'ERROR|SUMMARY|broken promise|runtime error|Test unit written' "$log" || tail -20 "$log"
	exit 1
fi
echo "$@" | tr ' ' '\n' | FUZZ_ONE=yes xargs -P "$(nproc)" -n 1 sh tests/fuzz/run.sh "$build" "$seconds"
