#!/usr/bin/env bash
# Takes the test cluster down and leaves nothing of it but the logs: down.sh [--dir DIR]
set -euo pipefail
# shellcheck source=lib/load.sh source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib/load.sh"

if [ "${1:-}" = --dir ]; then
    dir=$(realpath -m "${2:?--dir needs a folder}")
    shift 2
fi
[ $# = 0 ] || die "$1: unknown option (down.sh [--dir DIR])"
need_root down.sh
take_lock
if [ ! -d "$dir/pids" ]; then
    release_lock
    say "no cluster in $dir"
    exit
fi
remove_cluster
release_lock
say "the cluster is down after $SECONDS s; its logs are in $dir/logs"
