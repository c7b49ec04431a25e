#!/bin/sh
# images/iptables.sh ARCH DIRECTORY
# Puts Debian 12's iptables of both flavours, what they load, and nothing else (no shell, no package manager) into DIRECTORY
# as an image's root, for amd64 or arm64. Prints each package and its version. Needs apt and Debian's keyring, but no root:
# it installs nothing and leaves the machine's own package lists alone.
set -eu
arch=$1 root=$2
packages='iptables libc6 libip4tc2 libip6tc2 libmnl0 libnftnl11 libxtables12'
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fetched=$(mktemp -d)
trap 'rm -rf "$fetched"' EXIT
# Run by root, apt fetches as a user of its own.
chmod 777 "$fetched"
mkdir -p "$fetched/state/lists/partial" "$fetched/cache/archives/partial" "$fetched/all"
: >"$fetched/state/status"
cat >"$fetched/sources.list" <<SOURCES
deb [signed-by=$keyring] http://deb.debian.org/debian bookworm main
deb [signed-by=$keyring] http://deb.debian.org/debian-security bookworm-security main
SOURCES

# Knows this architecture and these sources only, whatever the machine's are.
apt() {
  apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o Dir::State="$fetched/state" \
    -o Dir::State::status="$fetched/state/status" -o Dir::Cache="$fetched/cache" \
    -o Dir::Etc::sourcelist="$fetched/sources.list" -o Dir::Etc::sourceparts=/dev/null "$@" >&2
}
cd "$fetched"
apt update
apt download $packages
for archive in *.deb; do
  dpkg-deb --extract "$archive" all
  dpkg-deb --show --showformat '${Package} ${Version}\n' "$archive"
done

rm -rf "$root"
mkdir -p "$root"
cd all
put() {
  for path in "$@"; do
    mkdir -p "$root/${path%/*}"
    cp --no-dereference --preserve=links,mode "$path" "$root/$path"
  done
}
put usr/sbin/xtables-legacy-multi usr/sbin/xtables-nft-multi
put usr/sbin/iptables-legacy usr/sbin/iptables-legacy-save usr/sbin/iptables-nft usr/sbin/iptables-nft-save
# Debian leaves the choice to its alternatives, which are not here.
ln -s xtables-nft-multi "$root/usr/sbin/iptables"
put usr/lib/*/xtables/libxt_*.so usr/lib/*/xtables/libipt_*.so
for library in libip4tc libip6tc libmnl libnftnl libxtables libc; do
  put $(find usr/lib lib -path '*-linux-gnu/*' -name "$library.so.*")
done
put $(find lib lib64 -name 'ld-linux-*.so.*' 2>/dev/null)
