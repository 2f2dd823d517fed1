#!/usr/bin/env bash
# Installs packages from Debian; says nothing when all are there.
#
#   install-debian.sh "PACKAGE PROGRAM"...    the program, or a file by its path, shows that the package is there
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin

missing=()
for entry in "$@"; do
    command -v "${entry#* }" >/dev/null || [ -e "${entry#* }" ] || missing+=("${entry% *}")
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
