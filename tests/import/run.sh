#!/bin/sh
# make test-import: Debian's SpamAssassin rules translated, and their hits beside SpamAssassin's own, on every Nth mail of the open
# corpus (EVERY=1 for all of it: about a quarter of an hour). SpamAssassin is unpacked privately under build/peers; no network.
set -eu
cd "$(dirname "$0")/../.."
peers=build/peers ctl=${POLICYD_BUILD:-build}/policyctl out=build/import every=${EVERY:-8}
packages="spamassassin libhtml-parser-perl libhtml-tagset-perl libnet-dns-perl libnetaddr-ip-perl libmail-dkim-perl libregexp-ipv6-perl
 libhttp-date-perl libtimedate-perl libsocket6-perl libio-string-perl libmailtools-perl libsys-hostname-long-perl
 libmail-authenticationresults-perl libcrypt-openssl-rsa-perl libcrypt-openssl-bignum-perl libcrypt-openssl-random-perl libclone-perl"
mkdir -p $peers/packages $out
for package in $packages; do
	[ -e "$peers/packages/$package.done" ] && continue
	echo "make test-import: unpacking $package under $peers"
	(cd $peers/packages && rm -f "${package}"_*.deb && apt-get download -qq "$package") || { echo "$package cannot be downloaded" >&2; exit 1; }
	dpkg -x $peers/packages/"${package}"_*.deb $peers
	touch "$peers/packages/$package.done"
done
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
