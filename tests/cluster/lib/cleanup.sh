# shellcheck shell=bash disable=SC2034,SC2154
# Takes away everything that a cluster made, whether it runs, half runs, or was cut off by a crash. Each step copes with
# finding nothing. The order matters: who would restart something ends before it.

programs=(kubelet proxy dns scheduler controller-manager registry apiserver)

# While containerd lives it takes down what it knows, as on a real node: the shims unmount and remove their own. A shim
# that does not answer must not hold up the rest, which is done without it.
remove_containers() {
    local namespace ctr=(timeout 20 "$tools/bin/ctr" --address "$dir/containerd/containerd.sock")
    pid_of containerd >/dev/null || return 0
    for namespace in $("${ctr[@]}" namespaces list --quiet); do
        "${ctr[@]}" --namespace "$namespace" tasks list --quiet |
            xargs --no-run-if-empty --max-procs 8 --max-args 1 \
                "${ctr[@]}" --namespace "$namespace" tasks delete --force || true
        # ctr's own containers have their group at the top of each hierarchy; rmdir takes only an empty one.
        hierarchies | sed "s|\$|/$namespace|" | xargs --delimiter "\n" rmdir 2>/dev/null || true
    done
}

# Mounts below the folder, the deepest first: overlays of containers, their /dev/shm, network namespaces, volumes.
remove_mounts() {
    local mount
    findmnt --raw --noheadings --output TARGET | grep "^$dir/" | sort --reverse | while read -r mount; do
        umount "$mount" 2>/dev/null || umount --lazy "$mount"
    done || true
}

# What the programs write outside the folder, with no way to tell them otherwise.
remove_strays() {
    local device_plugins=/var/lib/kubelet/device-plugins
    rm -f /var/lib/cni/results/perigee-test-*
    rmdir /var/lib/cni/results /var/lib/cni 2>/dev/null || true
    find /var/log/containers -lname "$dir/*" -delete 2>/dev/null || true
    rmdir /var/log/containers 2>/dev/null || true
    ss --listening --unix --no-header | grep -qF "$device_plugins/kubelet.sock" || rm -f "$device_plugins/kubelet.sock"
    rmdir "$device_plugins" "${device_plugins%/*}" 2>/dev/null || true
    # runc's state of containers that `ctr run` started.
    find /run/containerd/runc -depth -type d -empty -delete 2>/dev/null || true
    rmdir /run/containerd 2>/dev/null || true
}

remove_cluster() {
    local program
    stop kubelet
    remove_containers >"$dir/logs/removed.log" 2>&1
    for program in "${programs[@]}"; do stop "$program"; done
    stop containerd
    stop etcd 1
    remove_cgroups
    remove_mounts
    remove_network
    remove_strays
    find "$dir" -mindepth 1 -maxdepth 1 ! -name logs -exec rm -rf --one-file-system {} +
}
