#!/bin/sh
# What building and testing need, by Debian package name. Quick when all is there. Installs no service: Redis comes from
# redis-tools (redis-check-rdb is the server under another name), Postfix, Sendmail, Dovecot, rbldnsd and nsd are unpacked privately
# under build/mta and never installed, so no mail system of this machine is touched.
set -eu
cd "$(dirname "$0")/.."

want="gcc libc6-dev make pkg-config libmilter-dev libclamav-dev libpcre2-dev liblua5.4-dev libhiredis-dev libssl-dev openssl
 libc-ares-dev libevent-dev libconfig-dev libjansson-dev libpsl-dev libidn2-dev libunistring-dev libsqlite3-dev libzstd-dev
 libarchive-dev zlib1g-dev libseccomp-dev libvectorscan-dev libcmocka-dev redis-tools python3 m4 clang libclang-rt-14-dev
 libdb5.3 libicu72 libnsl2 libsasl2-2 libldap-2.5-0 liblockfile1 libwrap0 libevent-2.1-7 libfstrm0 libprotobuf-c1 libsystemd0 python3-dkim python3-authres python3-nacl
 libsodium23 libunwind8"
unpack="postfix:postfix sendmail-bin:sendmail sendmail-base:sendmail sendmail-cf:sendmail rbldnsd:rbldnsd nsd:nsd
  dovecot-core:dovecot dovecot-imapd:dovecot dovecot-sieve:dovecot"

# The review pages' tests: a browser, and what drives it from npm, pinned to what Debian 12's node can run.
want="$want chromium fonts-dejavu-core"
command -v npm >/dev/null || want="$want nodejs npm"
web="playwright-core@1.55.0 axe-core@4.10.3"

sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
missing=""
for p in $want; do
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null || true)" = installed ] || missing="$missing $p"
done
if [ -n "$missing" ]; then
	echo "make deps: installing$missing"
	$sudo apt-get update -qq
	# No package here has a service; should one ever come along with them, it is not started.
	policy=/usr/sbin/policy-rc.d
	made=""
	if [ ! -e $policy ]; then
		made=yes
		printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null
		$sudo chmod 755 $policy
	fi
	trap '[ -z "$made" ] || $sudo rm -f $policy' EXIT
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove $missing >/dev/null
fi

mkdir -p build/mta/packages
for pair in $unpack; do
	package=${pair%%:*} to=build/mta/${pair#*:}
	[ -e "build/mta/packages/$package.done" ] && continue
	echo "make deps: unpacking $package under $to"
	(cd build/mta/packages && rm -f "${package}"_*.deb && { apt-get download -qq "$package" 2>/dev/null || { $sudo apt-get update -qq && apt-get download -qq "$package" 2>/dev/null; }; })
	mkdir -p "$to"
	dpkg -x build/mta/packages/"${package}"_*.deb "$to"
	touch "build/mta/packages/$package.done"
done

if [ ! -d build/web-npm/node_modules/playwright-core ] || [ ! -d build/web-npm/node_modules/axe-core ]; then
	echo "make deps: npm install $web under build/web-npm"
	mkdir -p build/web-npm
	npm install --prefix build/web-npm --no-audit --no-fund --no-save --silent $web
fi
