#!/usr/bin/env bash
# Installs the Debian packages that the test cluster needs beside what it builds; says nothing when all are there.
set -euo pipefail

# Package and the program that shows that it is there.
needed=(
    "runc runc"              # native containers and, first, the workers: with seccomp, which the Go module's build lacks
    "nftables nft"           # kube-proxy and port mappings
    "conntrack conntrack"    # kube-proxy forgets UDP connections with it
    "iproute2 ip"            # the bridge
    "gcc cc"                 # pause
    "libc6-dev /usr/include/stdio.h" # which gcc's package only recommends
    "busybox-static busybox" # a shell and tools for native containers
    "openssl openssl"        # certificates
    "curl curl"              # readiness checks
    "util-linux findmnt"     # mounts, locks, sessions
    "procps sysctl"          # kernel settings
    "ca-certificates update-ca-certificates" # Go's module downloads
)
exec "$(dirname "${BASH_SOURCE[0]}")/../install-debian.sh" "${needed[@]}"
