#!/usr/bin/env bash
# Brings the test cluster up: one node with its control plane, all on this machine. See README.md.
#
#   up.sh [--dir DIR] [--bin DIR]
#     --dir   folder of all state (default: $PERIGEE_CLUSTER_DIR or /var/lib/perigee-test)
#     --bin   folder with containerd-shim-perigee-v1 and perigee, to be installed; also on a cluster that is up
set -euo pipefail
# shellcheck source=lib/load.sh source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib/load.sh"

make_folders() {
    [ ${#dir} -le 36 ] || die "$dir: too long; the sockets of the shims are below it, and a socket's path has a limit"
    rm -rf "$dir/logs"
    mkdir -p "$dir"/{bin,config,containerd,kubelet/volume-plugins,logs,pids,pod-logs,registry,s}
    ln -s "$tools/bin" "$dir/tools"
    ln -s "$tools/images" "$dir/images"
    cat >"$dir/env" <<ENV
export PERIGEE_CLUSTER_DIR=$dir
export KUBECONFIG=$dir/pki/admin.kubeconfig
export CONTAINERD_ADDRESS=$dir/containerd/containerd.sock
export CONTAINERD_NAMESPACE=k8s.io
export PERIGEE_REGISTRY=$registry
export KUBECACHEDIR=$dir/cache
export HELM_CACHE_HOME=$dir/cache HELM_CONFIG_HOME=$dir/cache HELM_DATA_HOME=$dir/cache
export PATH=$dir/tools:$dir/bin:\$PATH
ENV
}

# Whatever needs no API server starts beside it; the rest would only take the processor from it.
start_all() {
    start_etcd
    start_apiserver
    start_registry
    start_containerd
    await "containerd answers" 20 containerd containerd_ready
    import_images
    await "the API server is ready" 60 apiserver apiserver_ready
    start_kubelet
    start_controller_manager
    start_scheduler
    start_proxy
    start_dns
    await "the registry answers" 20 registry registry_answers
    await "Services answer" 30 proxy service_ready
    await "DNS answers" 30 dns dns_answers
    await "there are service accounts" 30 controller-manager service_account_ready
    await "the node is ready" 30 kubelet node_ready
}

is_up() {
    local program
    for program in "${programs[@]}" containerd etcd; do pid_of "$program" >/dev/null || return 1; done
    apiserver_ready >/dev/null 2>&1
}

bring_up() {
    # A failure leaves the logs and nothing else.
    trap 'say "taking down what was started; the logs stay in $dir/logs" && remove_cluster && release_lock' EXIT
    make_folders
    make_network
    make_cgroups
    make_pki
    write_configuration
    [ -z "$binaries" ] || install_binaries "$binaries"
    start_all
    trap - EXIT
}

binaries=
while [ $# -gt 0 ]; do
    case $1 in
        --dir) dir=$(realpath -m "${2:?--dir needs a folder}") && shift 2 ;;
        --bin) binaries=$(realpath -m "${2:?--bin needs a folder}") && shift 2 ;;
        *) die "$1: unknown option (up.sh [--dir DIR] [--bin DIR])" ;;
    esac
done
need_root up.sh
"$cluster/install-packages.sh"
[ -d "$tools" ] || "$cluster/build.sh"
take_lock

if is_up; then
    [ -z "$binaries" ] || install_binaries "$binaries"
    say "the cluster is up already, in $dir"
else
    if [ -d "$dir/pids" ]; then
        say "cleaning what an earlier cluster left in $dir"
        remove_cluster
    fi
    bring_up
    say "the cluster is up after $SECONDS s; to use it:"
fi
say "  source $dir/env"
say "  kubectl get nodes"
