#!/bin/sh
# unpack.sh - SpamAssassin and the Perl modules it needs, by name from Debian, unpacked privately under build/peers.
set -eu
cd "$(dirname "$0")/../.."
peers=build/peers
packages="spamassassin libhtml-parser-perl libhtml-tagset-perl libnet-dns-perl libnetaddr-ip-perl libmail-dkim-perl libregexp-ipv6-perl
 libhttp-date-perl libtimedate-perl libsocket6-perl libio-string-perl libmailtools-perl libsys-hostname-long-perl
 libmail-authenticationresults-perl libcrypt-openssl-rsa-perl libcrypt-openssl-bignum-perl libcrypt-openssl-random-perl libclone-perl"
mkdir -p $peers/packages
for package in $packages; do
	[ -e "$peers/packages/$package.done" ] && continue
	echo "unpacking $package under $peers"
	(cd $peers/packages && rm -f "${package}"_*.deb && apt-get download -qq "$package") || { echo "$package cannot be downloaded" >&2; exit 1; }
	dpkg -x $peers/packages/"${package}"_*.deb $peers
	touch "$peers/packages/$package.done"
done
