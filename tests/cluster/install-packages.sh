#!/usr/bin/env bash
# Installs the Debian packages that the test cluster needs beside what it builds; says nothing when all are there.
set -euo pipefail

# Package and the program that shows that it is there.
needed=(
    "runc runc"              # native containers and, first, the workers: with seccomp, which the Go module's build lacks
    "nftables nft"           # kube-proxy and port mappings
    "conntrack conntrack"    # kube-proxy forgets UDP connections with it
    "iproute2 ip"            # the bridge
    "busybox-static busybox" # a shell and tools for native containers
    "openssl openssl"        # certificates
    "curl curl"              # readiness checks
    "util-linux findmnt"     # mounts, locks, sessions
    "procps sysctl"          # kernel settings
    "ca-certificates update-ca-certificates" # Go's module downloads
)
PATH=$PATH:/usr/sbin:/sbin

missing=()
for entry in "${needed[@]}"; do
    command -v "${entry#* }" >/dev/null || missing+=("${entry% *}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing Debian packages: ${missing[*]}"
if [ "$(id -u)" != 0 ]; then
    echo "error: that needs root: sudo apt-get install ${missing[*]}" >&2
    exit 1
fi
command -v apt-get >/dev/null || { echo "error: no apt-get here: install these some other way" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get install --yes --no-install-recommends "${missing[@]}" >/dev/null 2>&1 ||
    { apt-get update >/dev/null && apt-get install --yes --no-install-recommends "${missing[@]}" >/dev/null; }
