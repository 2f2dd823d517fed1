#!/usr/bin/env bash
# Installs what the virtual machine needs from Debian; says nothing when all is there.
set -euo pipefail

# Package and the program that shows that it is there.
needed=(
    "qemu-system-x86 qemu-system-x86_64" # the machine
    "mmdebstrap mmdebstrap"              # its root file system
    "busybox-static busybox"             # its first process, until systemd is in its place
    "cpio cpio"                          # the archive that the kernel unpacks for that one
)
exec "$(dirname "${BASH_SOURCE[0]}")/../install-debian.sh" "${needed[@]}"
