#!/usr/bin/env bash
# Installs what counting instructions needs from Debian: valgrind. Says nothing when it is there.
set -euo pipefail

exec "$(dirname "${BASH_SOURCE[0]}")/../install-debian.sh" "valgrind valgrind"
