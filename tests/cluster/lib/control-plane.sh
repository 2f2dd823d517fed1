# shellcheck shell=bash disable=SC2034,SC2154
# etcd, the API server, the controllers, the scheduler: everything that is one per cluster.

kubectl() { "$tools/bin/kubectl" --kubeconfig "$dir/pki/admin.kubeconfig" --cache-dir "$dir/cache" "$@"; }

# Nothing in a test cluster is worth waiting for the disk.
start_etcd() {
    start etcd "$tools/bin/etcd" --name "$node" --data-dir "$dir/etcd" --unsafe-no-fsync --log-level warn \
        --listen-client-urls "http://127.0.0.1:$etcd_port" --advertise-client-urls "http://127.0.0.1:$etcd_port" \
        --listen-peer-urls "http://127.0.0.1:$((etcd_port + 1))" \
        --initial-advertise-peer-urls "http://127.0.0.1:$((etcd_port + 1))" \
        --initial-cluster "$node=http://127.0.0.1:$((etcd_port + 1))"
}

# It listens on the bridge only, and writes that address into the endpoints of the Service `kubernetes`.
start_apiserver() {
    start apiserver "$tools/bin/kube-apiserver" --etcd-servers "http://127.0.0.1:$etcd_port" \
        --bind-address "$node_address" --advertise-address "$node_address" --secure-port "$api_port" \
        --service-cluster-ip-range "$service_subnet" --authorization-mode Node,RBAC \
        --enable-admission-plugins NodeRestriction --allow-privileged \
        --client-ca-file "$dir/pki/ca.crt" \
        --tls-cert-file "$dir/pki/apiserver.crt" --tls-private-key-file "$dir/pki/apiserver.key" \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$dir/pki/service-account.key" \
        --service-account-signing-key-file "$dir/pki/service-account.key" \
        --kubelet-client-certificate "$dir/pki/admin.crt" --kubelet-client-key "$dir/pki/admin.key" \
        --kubelet-certificate-authority "$dir/pki/ca.crt" --kubelet-preferred-address-types InternalIP
}

start_controller_manager() {
    start controller-manager "$tools/bin/kube-controller-manager" --kubeconfig "$dir/pki/controller-manager.kubeconfig" \
        --bind-address 127.0.0.1 --leader-elect=false --root-ca-file "$dir/pki/ca.crt" --use-service-account-credentials \
        --service-account-private-key-file "$dir/pki/service-account.key"
}

start_scheduler() {
    start scheduler "$tools/bin/kube-scheduler" --kubeconfig "$dir/pki/scheduler.kubeconfig" \
        --bind-address 127.0.0.1 --leader-elect=false
}

apiserver_ready() {
    curl --silent --fail --max-time 2 --cacert "$dir/pki/ca.crt" --cert "$dir/pki/admin.crt" --key "$dir/pki/admin.key" \
        "https://$node_address:$api_port/readyz"
}
