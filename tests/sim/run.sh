#!/bin/sh
# The simulations with seeds that nothing was fitted to: run.sh BINARIES SEEDS. Each month that is not perfect is shown, then the sums.
# Fails if anybody is contained wrongly, if more than one stolen account of a hundred is not found in time, or if an attack is missed.
bin=$1
seeds=$2
bad=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for seed in $(seq 1001 $((1000 + seeds))); do
	"$bin/outbound" 1000 30 20 "$seed" >> "$out"
done
grep -E 'FALSE|NOT FOUND' "$out"
awk '/accounts,/ { for (i = 1; i <= NF; i++) if ($i == "of") { found += $(i - 1); stolen += $(i + 1); break } wrong += $(NF - 2); mails += $5; months++ }
     / found after/ && !/NOT/ { sub(/.*found after */, ""); n = $1 + 0; if (n > most) most = n; sum += n }
     END { printf "%d months of 1,000 accounts, %d messages: %d of %d stolen accounts found (after %.0f messages, %d at most), %d contained wrongly\n",
           months, mails, found, stolen, sum / found, most, wrong
           exit wrong > 0 || found < 0.99 * stolen }' "$out" || bad=1
for seed in 1 2 3; do
	"$bin/attack" "$seed" > "$out" || bad=1
	grep -E 'FALSE|LATE|MISSED' "$out"
	tail -1 "$out"
done
exit $bad
