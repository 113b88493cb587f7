#!/bin/sh
# make test-import: Debian's SpamAssassin rules translated, and their hits beside SpamAssassin's own, on every Nth mail of the open
# corpus (EVERY=1 for all of it: about a quarter of an hour). SpamAssassin is unpacked privately under build/peers; no network.
set -eu
cd "$(dirname "$0")/../.."
peers=build/peers ctl=${POLICYD_BUILD:-build}/policyctl out=build/import every=${EVERY:-8}
mkdir -p $out
sh tests/import/unpack.sh
sa=$PWD/$peers
"$ctl" rules import-sa -o $out/sa.lua.new "$sa/usr/share/spamassassin" 2>$out/report || { cat $out/report; exit 1; }
rm -rf $out/rules && mkdir $out/rules && mv $out/sa.lua.new $out/rules/sa.lua
head -1 $out/report
"$ctl" rules check $out/rules 2>/dev/null
awk -v n="$every" 'NR % n == 1 || n == 1' "$1" >$out/index
cut -d' ' -f2- $out/index >$out/paths
if [ ! -e $out/theirs ] || [ $out/paths -nt $out/theirs ]; then
	perl -T "-I$sa/usr/share/perl5" "-I$sa/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || echo x86_64-linux-gnu)/perl5/$(perl -e 'printf "%vd", $^V' | cut -d. -f1,2)" \
		tests/import/sa-hits.pl "$sa/usr/share/spamassassin" "$sa/etc/spamassassin" <$out/paths >$out/theirs 2>$out/sa.log
fi
"$ctl" rules corpus -r $out/rules --hits $out/index >$out/ours 2>$out/ours.log
python3 tests/import/agreement.py $out/theirs $out/ours
