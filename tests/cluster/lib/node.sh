# shellcheck shell=bash disable=SC2034,SC2154
# The node: containerd, kubelet, kube-proxy; and beside it the image registry and the cluster's DNS server.

# Writes a file from config/ with its @NAMES@ filled in by the variables of lib/layout.sh.
configure() { # FILE
    local name script=()
    for name in dir tools cgroup node bridge node_address pod_subnet pause_image registry dns_ready default_runtime; do
        script+=(-e "s|@${name^^}@|${!name}|g")
    done
    sed "${script[@]}" "$cluster/config/$1" >"$dir/config/$1"
}

write_configuration() {
    local file
    for file in containerd.toml kubelet.yaml kube-proxy.yaml registry.yaml Corefile; do configure "$file"; done
    mkdir -p "$dir/config/cni" "$dir/config/registries/$registry"
    configure cni.conflist && mv "$dir/config/cni.conflist" "$dir/config/cni/10-perigee-test.conflist"
    configure hosts.toml && mv "$dir/config/hosts.toml" "$dir/config/registries/$registry/hosts.toml"
}

# A worker or shim that is running keeps its old file: the new one takes only the name.
install_binaries() { # FOLDER
    local binary
    for binary in containerd-shim-perigee-v1 perigee; do
        [ -x "$1/$binary" ] || die "$1 has no program $binary: --bin wants a folder with containerd-shim-perigee-v1 and perigee"
        install -m 0755 "$1/$binary" "$dir/bin/.$binary.new"
        mv "$dir/bin/.$binary.new" "$dir/bin/$binary"
    done
}

start_containerd() {
    start containerd env PATH="$dir/bin:$tools/bin:$PATH" "$tools/bin/containerd" --config "$dir/config/containerd.toml"
}

containerd_ready() { ctr version; }
ctr() { "$tools/bin/ctr" --address "$dir/containerd/containerd.sock" "$@"; }

import_images() {
    local archive
    for archive in "$tools"/images/*.tar; do ctr --namespace k8s.io images import "$archive" >/dev/null 2>>"$dir/logs/ctr.log"; done
}

start_kubelet() {
    start kubelet "$tools/bin/kubelet" --config "$dir/config/kubelet.yaml" --kubeconfig "$dir/pki/kubelet.kubeconfig" \
        --root-dir "$dir/kubelet" --cert-dir "$dir/pki" --hostname-override "$node" --node-ip "$node_address"
}

start_proxy() { start proxy "$tools/bin/kube-proxy" --config "$dir/config/kube-proxy.yaml"; }

# Without the variable it looks for a collector of traces.
start_registry() { start registry env OTEL_TRACES_EXPORTER=none "$tools/bin/registry" serve "$dir/config/registry.yaml"; }

start_dns() { start dns "$tools/bin/coredns" -conf "$dir/config/Corefile"; }
registry_answers() { curl --silent --fail --max-time 1 "http://$registry/v2/"; }

dns_answers() { curl --silent --fail --max-time 1 "http://$dns_ready/ready"; }

kubelet_healthy() { curl --silent --fail --max-time 1 http://127.0.0.1:10248/healthz; }

node_ready() {
    [ "$(kubectl get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}/{.spec.taints}')" = True/ ]
}

# Pods of the namespace `default` are refused until the controllers have made its service account.
service_account_ready() { kubectl get serviceaccount default -o name && kubectl get configmap kube-root-ca.crt -o name; }

# Services work from the host as from pods; this one shows that kube-proxy has done its first round.
service_ready() { curl --silent --fail --max-time 1 --cacert "$dir/pki/ca.crt" "https://$kubernetes_service/readyz"; }
