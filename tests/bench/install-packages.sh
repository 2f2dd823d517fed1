#!/usr/bin/env bash
# Installs what counting instructions needs from Debian: valgrind. Says nothing when it is there.
set -euo pipefail

! command -v valgrind >/dev/null || exit 0
echo "installing Debian's package valgrind"
if [ "$(id -u)" != 0 ]; then
    echo "error: that needs root: sudo apt-get install valgrind" >&2
    exit 1
fi
command -v apt-get >/dev/null || { echo "error: no apt-get here: install valgrind some other way" >&2; exit 1; }
export DEBIAN_FRONTEND=noninteractive
apt-get install --yes --no-install-recommends valgrind >/dev/null 2>&1 ||
    { apt-get update >/dev/null && apt-get install --yes --no-install-recommends valgrind >/dev/null; }
