#!/bin/sh
# The simulations with other seeds: run.sh BINARIES SEEDS. Ends with sums, and fails if one month failed.
bin=$1
seeds=$2
bad=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT
for seed in $(seq 1001 $((1000 + seeds))); do
	"$bin/outbound" 1000 30 20 "$seed" >> "$out" || bad=$((bad + 1))
done
grep -E 'FALSE|NOT FOUND' "$out"
awk '/accounts,/ { for (i = 1; i <= NF; i++) if ($i == "of") { found += $(i - 1); stolen += $(i + 1); break } wrong += $(NF - 2); mails += $5; months++ }
     / found after/ && !/NOT/ { sub(/.*found after */, ""); n = $1 + 0; if (n > most) most = n; sum += n }
     END { printf "%d months of 1,000 accounts, %d messages: %d of %d stolen accounts found (after %.0f messages, %d at most), %d contained wrongly\n",
           months, mails, found, stolen, sum / found, most, wrong }' "$out"
for seed in 1 2 3; do
	"$bin/attack" "$seed" || bad=$((bad + 1))
done
exit $((bad > 0))
