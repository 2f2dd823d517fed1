# shellcheck shell=bash disable=SC2034,SC2154
# One cluster per machine (the bridge, the cgroups and the ports have fixed names), and one script at a time. The lock
# file holds the folder of the cluster that owns them; it is outside that folder, which comes and goes.
lock_file=/run/lock/perigee-test-cluster

take_lock() {
    local owner
    exec 9<>"$lock_file"
    flock --nonblock 9 || { say "another script is at work on the cluster: waiting for it" >&2; flock 9; }
    read -r owner <"$lock_file" || owner=$dir
    [ "$owner" = "$dir" ] || [ ! -d "$owner/pids" ] || die "there is a cluster in $owner already: down.sh --dir $owner takes it down"
    printf '%s\n' "$dir" >"$lock_file"
}

release_lock() { : >"$lock_file"; }
