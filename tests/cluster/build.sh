#!/usr/bin/env bash
# Builds the programs of the test cluster from pinned Go modules into a cache folder outside the work tree, once: see
# lib/programs.sh. Prints that folder at the end; `build.sh --path` prints it without building.
set -euo pipefail
# shellcheck source=lib/layout.sh source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib/layout.sh"
# shellcheck source=lib/programs.sh source-path=SCRIPTDIR
source "$cluster/lib/programs.sh"

take_component() { # POSITION NAME MINUTES FOLDER MODULE
    local name=$2 part position="[$1/${#components[@]}]"
    part=$cache/parts/$name-$(key_of "$name" "$4")
    if [ -d "$part" ]; then
        say "$position $name: built before"
    else
        build_part "$part" "$position $name $(version_of "$cluster/$4" "$5")" "$3" build_component "$name" "$cluster/$4"
    fi
    mkdir -p "$building/all" && cp -al "$part/." "$building/all/"
}

build_all() {
    local index=0 component
    for component in "${components[@]}"; do
        # shellcheck disable=SC2086 # four words
        take_component $((++index)) $component
    done
    mv -T "$building/all" "$tools"
}

tools=$(tools_dir)
if [ "${1:-}" != --path ] && [ ! -d "$tools" ]; then
    begin_build
    [ -d "$tools" ] || build_all
fi
say "$tools"
