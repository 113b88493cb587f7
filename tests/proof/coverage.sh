#!/bin/sh
# Branch coverage of the decision core (policyd/scan/decide.c, settle.c) by its own test. Fails below 100 %.
set -eu
cd "$(dirname "$0")/../.."
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
top=$(pwd)
for f in decide settle; do
	${CC:-gcc} -std=c11 -D_GNU_SOURCE -I. -O0 --coverage -c -o "$dir/$f.o" "policyd/scan/$f.c"
done
${CC:-gcc} -std=c11 -D_GNU_SOURCE -I. -O0 -c -o "$dir/test.o" tests/unit/scan/test_settle.c
${CC:-gcc} --coverage -o "$dir/test" "$dir/test.o" "$dir/decide.o" "$dir/settle.o" "$1" -lcmocka -lm
"$dir/test" >/dev/null 2>"$dir/said" || { cat "$dir/said"; exit 1; }
cd "$dir"
bad=0
for f in decide settle; do
	gcov -b -c -s "$top" -o "$dir" "$dir/$f.o" >"$f.txt" 2>/dev/null
	taken=$(sed -n "/File.*$f.c'/,/^\$/s/^Taken at least once:\([0-9.]*\)% of \([0-9]*\)/\1 \2/p" "$f.txt" | head -1)
	lines=$(sed -n "/File.*$f.c'/,/^\$/s/^Lines executed:\([0-9.]*\)% of \([0-9]*\)/\1 \2/p" "$f.txt" | head -1)
	echo "policyd/scan/$f.c: branches ${taken% *} % of ${taken#* }, lines ${lines% *} % of ${lines#* }"
	[ "${taken% *}" = 100.00 ] || { bad=1; grep -A1 -E 'branch +[0-9]+ (taken 0|never)' "$f.c.gcov" | head -40; }
done
exit $bad
