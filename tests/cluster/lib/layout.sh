# shellcheck shell=bash disable=SC2034,SC2154
# Where everything is: the one home of folders, addresses and names. Sourced by the scripts, which set `here` before.

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

# The folder of the built programs, named by everything that decides what they are.
tools_dir() { printf '%s/%s\n' "$cache" "$(inputs_key "$here")"; }

# A hash of all files below a folder (names and contents), of those that decide what is built.
inputs_key() {
    (cd "$1" && find . -type f \( -name go.mod -o -name go.sum -o -name '*.go' -o -name build.sh -o -name pack-image.sh \) \
        -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c1-16)
}
