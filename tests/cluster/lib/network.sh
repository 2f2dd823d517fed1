# shellcheck shell=bash disable=SC2034,SC2154
# The bridge that node and pods share, and what keeps their traffic on this machine. The node's address is on the bridge:
# the API server and the kubelet are reached there from the host and from pods alike.

# Kernel settings that the cluster changes (the kubelet insists on some): kept, to be put back by down.sh.
settings=(net.ipv4.ip_forward vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
    net.ipv4.conf.all.route_localnet)

make_network() {
    sysctl "${settings[@]}" 2>/dev/null | sed 's/ = /=/' >"$dir/sysctl.before"
    sysctl --quiet --write net.ipv4.ip_forward=1
    # With a fixed address of its own: else it takes the lowest of its ports', and changes under the pods' feet.
    ip link add "$bridge" address 02:70:65:72:69:67 type bridge
    ip address add "$node_address/24" dev "$bridge"
    ip link set "$bridge" up
    # Traffic of the host to a Service is rewritten by kube-proxy's rules. Without them it must not leave by the default route.
    ip route add "$service_subnet" dev "$bridge"
    nft -f - <<RULES
table inet perigee_test {
    chain forward {
        type filter hook forward priority filter;
        iifname "$bridge" oifname != "$bridge" reject comment "pods talk to nobody outside this machine"
    }
}
RULES
}

remove_network() {
    local table
    ip link delete "$bridge" 2>/dev/null || true
    for table in "inet perigee_test" "ip kube-proxy" "ip6 kube-proxy" "ip cni_hostport" "ip6 cni_hostport"; do
        # shellcheck disable=SC2086 # family and name
        nft delete table $table 2>/dev/null || true
    done
    [ ! -s "$dir/sysctl.before" ] || sysctl --quiet --load "$dir/sysctl.before"
    rm -f "$dir/sysctl.before"
}
