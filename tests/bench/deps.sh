#!/bin/sh
# What `make bench` and `make eval` need beside `make deps`: the peers (rspamd, clamd, clamav-milter, bogofilter, CRM114) and a resolver, unpacked
# privately under build/peers with the libraries they miss, so that no service of this machine comes into being; and npm,
# from Debian, for the corpus. A peer that cannot be had is skipped by the bench, which says so.
set -eu
cd "$(dirname "$0")/../.."
peers="rspamd clamav-daemon clamav-milter unbound libluajit2-5.1-2 libhyperscan5 libsodium23 libunwind8 libprotobuf-c1
 libpython3.11 bogofilter-bdb bogofilter-common crm114 libgsl27 libgslcblas0 libtre5 libnghttp2-14 libcurl4 libncurses6 libtinfo6"

sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
if ! pkg-config --exists gmime-3.0; then         # a library, no service: `make bench-mail` links it
	echo "make deps-bench: installing libgmime-3.0-dev"
	$sudo apt-get update -qq
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove libgmime-3.0-dev >/dev/null
fi
[ "${1:-}" != mail ] || exit 0
if [ -z "${CORPUS:-}" ] && ! command -v npm >/dev/null; then
	echo "make deps-bench: installing npm"
	$sudo apt-get update -qq
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --no-remove npm >/dev/null
fi
mkdir -p build/peers/packages
for package in $peers; do
	[ -e "build/peers/packages/$package.done" ] && continue
	echo "make deps-bench: unpacking $package under build/peers"
	(cd build/peers/packages && rm -f "${package}"_*.deb && { apt-get download -qq "$package" 2>/dev/null || { $sudo apt-get update -qq && apt-get download -qq "$package" 2>/dev/null; }; }) || { echo "make deps-bench: $package cannot be downloaded; what needs it is skipped" >&2; continue; }
	dpkg -x build/peers/packages/"${package}"_*.deb build/peers
	touch "build/peers/packages/$package.done"
done
python3 -m tests.lib.corpus >/dev/null
