# shellcheck shell=bash disable=SC2034,SC2154
# Where everything is: the one home of folders, addresses and names.

# These scripts.
cluster=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# The programs, built once: `build.sh` writes them, everything else only reads them.
cache="${PERIGEE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/perigee}/cluster"

# The running cluster. Not below /run, which many systems mount noexec; kept short, because the path of a Unix socket
# has at most 107 bytes.
dir="${PERIGEE_CLUSTER_DIR:-/var/lib/perigee-test}"

node=perigee-node
bridge=perigee0

# All traffic stays on loopback and on the bridge that up.sh makes.
node_address=10.213.0.1
pod_subnet=10.213.0.0/24
service_subnet=10.214.0.0/24
kubernetes_service=10.214.0.1
api_port=6443
etcd_port=23790
dns_ready=127.0.0.1:8181
registry=localhost:5757
pause_image=perigee.test/pause:1
probe_image=perigee.test/probe:1

# containerd's runtime of pods that name none: as in most clusters, or `perigee`, to hold it to what the node's own has to do.
default_runtime=${PERIGEE_DEFAULT_RUNTIME:-runc}

# Parent of every cgroup that the cluster makes, in each hierarchy of the host.
cgroup=perigee-test
cgroup_mount=/sys/fs/cgroup

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

need_root() {
    [ "$(id -u)" = 0 ] || die "$1 needs root: it makes cgroups, mounts and a bridge (try sudo --preserve-env)"
}
