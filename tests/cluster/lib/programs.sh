# shellcheck shell=bash disable=SC2034,SC2154
# How the programs are built, and where they go in the cache: a folder there is named by a key of everything that decides
# what is in it, and appears when it is complete.
#
#   <cache>/parts/<component>-<key>   one component's output: a killed build goes on from there
#   <cache>/<key>/{bin,cni,images}    those of all components, as hard links

# Name, the minutes that a cold build takes on two cores, its folder, and the module whose version is the component's. The
# long one is last: a mistake in another shows early.
components=(
    "pause 1 go/kubernetes k8s.io/kubernetes"
    "probe 1 probe -"
    "etcd 1 go/etcd go.etcd.io/etcd/server/v3"
    "cni 1 go/cni github.com/containernetworking/plugins"
    "containerd 2 go/containerd github.com/containerd/containerd/v2"
    "registry 2 go/registry github.com/distribution/distribution/v3"
    "oras 1 go/oras oras.land/oras"
    "coredns 2 go/coredns github.com/coredns/coredns"
    "helm 3 go/helm helm.sh/helm/v4"
    "kubernetes 9 go/kubernetes k8s.io/kubernetes"
)

# --- How each one is built.

build_component() { # NAME SOURCE OUTPUT-FOLDER
    mkdir "$3"/{bin,cni,images}
    "build_$1" "$2" "$3"
}

# Kubernetes' own, as its build/pause/Makefile has it.
build_pause() { # SOURCE OUTPUT-FOLDER
    local source
    GOFLAGS='' go -C "$1" mod download k8s.io/kubernetes
    source=$(GOFLAGS='' go -C "$1" list -mod=readonly -m -f '{{.Dir}}' k8s.io/kubernetes)/build/pause
    cc -Os -Wall -Werror -static -s "-DVERSION=v$(sed -n 's/^TAG ?= //p' "$source/Makefile")" \
        -o "$2/images/pause" "$source/linux/pause.c"
    "$cluster/pack-image.sh" --user 65535:65535 "$2/images/pause.tar" perigee.test/pause:1 "$2/images/pause"
}

build_probe() {
    compile "$1" "$2/images/probe" .
    "$cluster/pack-image.sh" "$2/images/probe.tar" perigee.test/probe:1 "$2/images/probe"
}

build_etcd() { compile "$1" "$2/bin/etcd" go.etcd.io/etcd/server/v3; }
build_cni() { compile "$1" "$2/cni/" tool; }
build_containerd() { compile "$1" "$2/bin/" tool; }
build_registry() { compile "$1" "$2/bin/registry" .; }
build_oras() { compile "$1" "$2/bin/" tool; }
build_coredns() { compile "$1" "$2/bin/coredns" .; }
build_helm() { compile "$1" "$2/bin/" tool; }
build_kubernetes() { compile "$1" "$2/bin/" tool "$(kubernetes_stamp "$1")"; }

# --- What they have in common with one another, and with tests/node-conformance.

compile() { # FOLDER OUTPUT PACKAGE [LINKER FLAGS [COMMAND OF GO]]
    # shellcheck disable=SC2086 # `test -c` are two words
    CGO_ENABLED=0 GOFLAGS='' nice go -C "$1" ${5:-build} -mod=readonly -trimpath -buildvcs=false -ldflags "-s -w ${4:-}" -o "$2" "$3"
}

version_of() { # FOLDER MODULE
    sed -nE "s|^(require)?[[:space:]]*$2 (v[^ ]+).*|\2|p" "$1/go.mod"
}

# Kubernetes learns its version from the linker; without it the kubelet reports v0.0.0.
kubernetes_stamp() { # FOLDER
    local version package
    version=$(version_of "$1" k8s.io/kubernetes)
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        printf -- '-X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s ' \
            "$package" "$version" "$package" "$package" "$(cut -d. -f2 <<<"$version")"
    done
}

# Same files, same bytes.
archive() { # OUT.tar FOLDER
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -cf "$1" -C "$2" .
}

# --- Keys.

# A change of what builds one component leaves the others as they are.
key_of() { # NAME FOLDER
    { sources "$cluster/$2" && recipe "build_$1"; } | key
}

key() { sha256sum | cut -c1-16; }

# Names and contents of the files below a folder that decide what Go makes of it.
sources() { # FOLDER
    (cd "$1" && find . -type f \( -name go.mod -o -name go.sum -o -name '*.go' \) -print0 | LC_ALL=C sort -z | xargs -0 sha256sum)
}

# The text of a function, and of what it uses.
recipe() { # FUNCTION
    local text used
    text=$(declare -f "$1")
    printf '%s\n' "$text"
    for used in compile version_of kubernetes_stamp; do
        [[ $text != *"$used "* ]] || [ "$1" = "$used" ] || recipe "$used"
    done
    [[ $text != *pack-image.sh* ]] || { cat "$cluster/pack-image.sh" && declare -f archive; }
}

# The folder of all built programs.
tools_dir() {
    local component name folder
    printf '%s/%s\n' "$cache" "$(for component in "${components[@]}"; do
        read -r name _ folder _ <<<"$component"
        printf '%s-%s\n' "$name" "$(key_of "$name" "$folder")"
    done | key)"
}

# --- Building.

# Makes the folder `building`. One build is at work at a time; what a killed one left is removed.
begin_build() {
    command -v go >/dev/null || die "go is missing: the programs are built from Go modules (Go 1.26.7 or newer)"
    mkdir -p "$cache/parts"
    exec 9>"$cache/lock"
    flock --nonblock 9 || { say "another build is running: waiting for it"; flock 9; }
    ticker=
    rm -rf "$cache"/building.*
    building=$(mktemp -d "$cache/building.XXXXXX")
    trap 'rm -rf "$building"; [ -z "$ticker" ] || kill "$ticker" 2>/dev/null || true' EXIT
}

# Runs a command with one more argument, the folder that it fills, and then gives that folder its place in the cache.
build_part() { # FOLDER WHAT MINUTES COMMAND...
    local folder=$1 what=$2 start=$SECONDS
    say "$what ... $3 min cold"
    shift 3
    mkdir "$building/part"
    tick "$what" 9>&- & ticker=$!
    "$@" "$building/part"
    kill "$ticker"
    wait "$ticker" 2>/dev/null || true
    ticker=
    mv -T "$building/part" "$folder"
    say "        done in $((SECONDS - start)) s"
}

# A line every half minute, so that nobody takes nine minutes of silence for a hang. Ends with the script.
tick() { # WHAT
    local start=$SECONDS
    while sleep 30 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do say "        $1: $((SECONDS - start)) s"; done
}
