#!/usr/bin/env bash
# Tests the cluster's scripts: cycles.sh [N] brings it up, runs a pod and takes it down N times (3), and compares what the
# machine has before and after. In every second cycle all programs are killed first, as by a crash.
set -euo pipefail
# shellcheck source=lib/load.sh source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib/load.sh"

# Everything that a cluster makes on a machine, sorted so that two of them can be compared.
snapshot() {
    echo "--- links and routes" && ip -brief link | awk '{print $1}' && ip route
    echo "--- network namespaces" && ip netns list
    echo "--- mounts" && findmnt --raw --noheadings --output TARGET
    echo "--- control groups" && hierarchies | while read -r hierarchy; do find "$hierarchy" -maxdepth 2 -type d; done | grep -v /process_api
    echo "--- nftables" && nft list tables
    echo "--- settings" && sysctl "${settings[@]}"
    echo "--- processes" && { pgrep -fa "$dir|$tools" | grep -v cycles.sh || true; }
    echo "--- files"
    find /run/containerd /var/lib/cni /var/log/containers /var/log/pods /var/lib/kubelet 2>/dev/null || true
}

run_pod() {
    kubectl run cycle --image="$probe_image" --restart=Never -- sleep >/dev/null
    poll 30 pod_runs || { kubectl describe pod cycle; die "the pod does not run"; }
}
pod_runs() { [ "$(kubectl get pod cycle -o 'jsonpath={.status.phase}')" = Running ]; }

crash() {
    local program
    for program in "${programs[@]}" containerd etcd; do kill -KILL "$(pid_of "$program")"; done
}

need_root cycles.sh
before=$(mktemp)
trap 'rm -f "$before"' EXIT
"$cluster/down.sh" >/dev/null
snapshot >"$before"
for ((cycle = 1; cycle <= ${1:-3}; cycle++)); do
    "$cluster/up.sh" | grep -v "^  "
    run_pod
    if ((cycle % 2 == 0)); then
        crash
        "$cluster/up.sh" | grep -v "^  "
        run_pod
    fi
    "$cluster/down.sh"
    diff "$before" <(snapshot) || die "cycle $cycle left something behind"
done
