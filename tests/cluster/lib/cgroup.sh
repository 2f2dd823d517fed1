# shellcheck shell=bash disable=SC2034,SC2154
# The cluster's own branch of each cgroup hierarchy: /perigee-test/system holds the programs that the scripts start (and
# the shims, which containerd starts), /perigee-test/kubepods the pods. Whatever runs below it is ours to end.

hierarchies() { findmnt --raw --noheadings --output TARGET --types cgroup,cgroup2; }

# The hierarchy that tells which processes are ours. Membership of the memory hierarchy is left as it is found: the
# machine may account for its users there.
tracking_hierarchy() {
    if [ -d "$cgroup_mount/pids" ]; then printf '%s\n' "$cgroup_mount/pids"; else printf '%s\n' "$cgroup_mount"; fi
}

track() { printf '%s\n' "$1" >"$(tracking_hierarchy)/$cgroup/system/cgroup.procs"; }

make_cgroups() {
    local hierarchy file controller
    for hierarchy in $(hierarchies); do
        mkdir -p "$hierarchy/$cgroup"
        # A new cpuset (v1) is empty and takes no process until it has CPUs and memory nodes.
        for file in cpuset.cpus cpuset.mems; do
            [ ! -e "$hierarchy/cpuset.sched_load_balance" ] ||
                cat "$hierarchy/$file" >"$hierarchy/$cgroup/$file"
        done
        # On v2 a parent hands its controllers down one by one; one that cannot be handed down is left out.
        if [ -e "$hierarchy/cgroup.subtree_control" ]; then
            tr ' ' '\n' <"$hierarchy/cgroup.controllers" | while read -r controller; do
                { printf '+%s' "$controller" >"$hierarchy/cgroup.subtree_control" &&
                    printf '+%s' "$controller" >"$hierarchy/$cgroup/cgroup.subtree_control"; } 2>/dev/null || true
            done
        fi
    done
    mkdir -p "$(tracking_hierarchy)/$cgroup/system"
}

our_processes() {
    local root
    root="$(tracking_hierarchy)/$cgroup"
    [ ! -d "$root" ] || find "$root" -name cgroup.procs -exec cat {} + 2>/dev/null || true
}

no_process_left() {
    local left
    left=$(our_processes)
    [ -n "$left" ] || return 0
    # shellcheck disable=SC2086 # a list of numbers
    kill -KILL $left 2>/dev/null || true
    return 1
}

remove_cgroups() {
    local hierarchy
    poll 10 no_process_left || die "processes that cannot be killed: $(our_processes | tr '\n' ' ')"
    for hierarchy in $(hierarchies); do
        [ ! -d "$hierarchy/$cgroup" ] || find "$hierarchy/$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null ||
            poll 5 remove_branch "$hierarchy/$cgroup" || die "$hierarchy/$cgroup cannot be removed"
    done
}

# A killed process leaves its group a moment after it is gone.
remove_branch() { find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; [ ! -d "$1" ]; }
