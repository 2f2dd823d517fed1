# shellcheck shell=bash disable=SC2034,SC2154
# Keys, certificates and kubeconfigs, new for every cluster: one CA, one certificate per program. The API server takes a
# client's user from the certificate's CN and the groups from its Os; Kubernetes ships roles for the names used here.

certificate() { # NAME SUBJECT [SUBJECT-ALTERNATIVE-NAMES]
    local extra=()
    [ $# -lt 3 ] || extra=(-addext "subjectAltName=$3")
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -CA "$dir/pki/ca.crt" -CAkey "$dir/pki/ca.key" \
        -subj "$2" -addext basicConstraints=critical,CA:FALSE "${extra[@]}" -keyout "$dir/pki/$1.key" -out "$dir/pki/$1.crt" 2>/dev/null
}

kubeconfig() { # NAME SUBJECT
    certificate "$1" "$2"
    cat >"$dir/pki/$1.kubeconfig" <<CONFIG
apiVersion: v1
kind: Config
clusters: [{name: perigee-test, cluster: {server: "https://$node_address:$api_port", certificate-authority: $dir/pki/ca.crt}}]
users: [{name: $1, user: {client-certificate: $dir/pki/$1.crt, client-key: $dir/pki/$1.key}}]
contexts: [{name: perigee-test, context: {cluster: perigee-test, user: $1}}]
current-context: perigee-test
CONFIG
}

make_pki() {
    (umask 077 && mkdir -p "$dir/pki")
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=perigee-test \
        -keyout "$dir/pki/ca.key" -out "$dir/pki/ca.crt" 2>/dev/null
    openssl ecparam -name prime256v1 -genkey -noout -out "$dir/pki/service-account.key"
    certificate apiserver /CN=kube-apiserver "IP:$node_address,IP:$kubernetes_service,DNS:kubernetes.default.svc,DNS:kubernetes.default"
    certificate kubelet-server "/CN=$node" "IP:$node_address,DNS:$node"
    kubeconfig admin /O=system:masters/CN=admin
    kubeconfig controller-manager /CN=system:kube-controller-manager
    kubeconfig scheduler /CN=system:kube-scheduler
    kubeconfig proxy /CN=system:kube-proxy
    kubeconfig kubelet "/O=system:nodes/CN=system:node:$node"
}
