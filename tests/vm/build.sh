#!/usr/bin/env bash
# Makes the virtual machine of Debian packages: a folder with its root file system, kernel and initrd. Once, in the cache;
# each part is named by a key of what decides what is in it. Prints the folder.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${PERIGEE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/perigee}/vm

suite=bookworm
packages=(
    linux-image-amd64         # not the one for clouds, which has no 9p
    systemd systemd-sysv dbus # the init, and the bus over which it makes scopes for containers
    runc                      # native containers
    kmod mount procps iproute2
)
# Nobody reads manuals in it.
unread=(/usr/share/doc/\* /usr/share/man/\* /usr/share/locale/\* /usr/share/info/\*)

make_root() { # FOLDER
    local options=(--variant=minbase "--include=$(IFS=, && printf '%s' "${packages[*]}")" '--aptopt=APT::Install-Recommends "false"')
    options+=("${unread[@]/#/--dpkgopt=path-exclude=}")
    mmdebstrap --quiet "${options[@]}" "$suite" "$1/root"
    printf 'perigee-vm\n' >"$1/root/etc/hostname"
    : >"$1/root/etc/machine-id"
    unpack_kernel "$1"/root/boot/vmlinuz-* >"$1/vmlinux"
}

# Emulated, the kernel would take most of a minute to unpack itself.
unpack_kernel() { # VMLINUZ
    local start
    start=$(LC_ALL=C grep --only-matching --text --byte-offset --perl-regexp '\xfd7zXZ\x00' "$1" | LC_ALL=C sed -n '1s/:.*//p')
    # Behind the archive there is more.
    xz --decompress --stdout --single-stream < <(tail -c "+$((start + 1))" "$1")
}

# What is in memory until the root file system is mounted, and what is put into that one then.
make_initrd() { # FOLDER ROOT
    local kernel module
    kernel=$(basename "$2"/lib/modules/*)
    mkdir -p "$1/tree/modules"
    # In the order in which they are to be loaded, each once.
    for module in virtio_pci 9pnet_virtio 9p overlay; do
        chroot "$2" modprobe --set-version "$kernel" --show-depends "$module"
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r module; do
        cp "$2$module" "$1/tree/modules/"
        basename "$module" >>"$1/tree/list"
    done
    cp "$(command -v busybox)" "$here"/guest/* "$1/tree/"
    (cd "$1/tree" && find . | cpio --quiet --create --format newc | gzip) >"$1/initrd"
    rm -rf "$1/tree"
}

key() { sha256sum | cut -c1-16; }

make_part() { # PLACE FUNCTION ARGUMENTS...
    local place=$1 building
    shift
    [ ! -d "$place" ] || return 0
    [ "$(id -u)" = 0 ] || { echo "error: making the virtual machine needs root" >&2; exit 1; }
    building=$(mktemp -d "$cache/building.XXXXXX")
    chmod 755 "$building"
    "$1" "$building" "${@:2}" >&2
    mv -T "$building" "$place"
}

mkdir -p "$cache"
# One at a time; what a killed one left is removed.
exec 9>"$cache/lock"
flock 9
rm -rf "$cache"/building.*
root=$cache/root-$({ printf '%s\n' "$suite" "${packages[@]}" && declare -f make_root unpack_kernel; } | key)
[ -d "$root" ] || echo "making the virtual machine's root file system, once: 2 min" >&2
make_part "$root" make_root
initrd=$cache/initrd-$({ cat "$here"/guest/* && declare -f make_initrd && basename "$root"; } | key)
make_part "$initrd" make_initrd "$root/root"
ln -sfn "$root/root" "$initrd/root"
ln -sfn "$root/vmlinux" "$initrd/vmlinux"
printf '%s\n' "$initrd"
