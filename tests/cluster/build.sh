#!/usr/bin/env bash
# Builds the programs of the test cluster from pinned Go modules into a cache folder outside the work tree, once.
# Prints that folder at the end; `build.sh --path` prints it without building.
#
#   <cache>/parts/<component>-<key>   one component's output, published when it is complete: a killed build goes on from there
#   <cache>/<key>/{bin,cni,images}    all of them, as hard links: exists only when it is complete
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/layout.sh source-path=SCRIPTDIR
source "$here/lib/layout.sh"

# Name, the minutes that a cold build takes on two cores, and the module whose version is the component's. The long one
# is last: a mistake in another shows early.
components=(
    "pause 1 -"
    "probe 1 -"
    "etcd 1 go.etcd.io/etcd/server/v3"
    "cni 1 github.com/containernetworking/plugins"
    "containerd 2 github.com/containerd/containerd/v2"
    "registry 2 github.com/distribution/distribution/v3"
    "oras 1 oras.land/oras"
    "coredns 2 github.com/coredns/coredns"
    "helm 3 helm.sh/helm/v4"
    "kubernetes 9 k8s.io/kubernetes"
)

version_of() { # NAME MODULE
    [ "$2" = - ] || sed -nE "s|^(require)?[[:space:]]*$2 (v[^ ]+).*|\2|p" "$here/go/$1/go.mod"
}

# Kubernetes learns its version from the linker; without it the kubelet reports v0.0.0.
kubernetes_stamp() {
    local version=$1 package
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        printf -- '-X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s ' \
            "$package" "$version" "$package" "$package" "$(cut -d. -f2 <<<"$version")"
    done
}

compile() { # FOLDER OUTPUT PACKAGE [LINKER FLAGS]
    CGO_ENABLED=0 GOFLAGS='' nice go build -C "$1" -mod=readonly -trimpath -buildvcs=false \
        -ldflags "-s -w ${4:-}" -o "$2" "$3"
}

compile_component() { # NAME OUTPUT-FOLDER
    local name=$1 out=$2
    mkdir -p "$out/bin" "$out/cni" "$out/images"
    case $name in
        pause | probe)
            compile "$here/$name" "$out/images/$name" .
            "$here/pack-image.sh" "$out/images/$name.tar" "perigee.test/$name:1" "$out/images/$name" ;;
        etcd) compile "$here/go/etcd" "$out/bin/etcd" go.etcd.io/etcd/server/v3 ;;
        registry | coredns) compile "$here/go/$name" "$out/bin/$name" . ;;
        cni) compile "$here/go/cni" "$out/cni/" tool ;;
        kubernetes) compile "$here/go/kubernetes" "$out/bin/" tool "$(kubernetes_stamp "$(version_of kubernetes k8s.io/kubernetes)")" ;;
        *) compile "$here/go/$name" "$out/bin/" tool ;;
    esac
}

# A line every half minute, so that nobody takes nine minutes of silence for a hang. Ends with this script.
tick() { # NAME
    local start=$SECONDS
    while sleep 30 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do say "        $1: $((SECONDS - start)) s"; done
}

build_component() { # POSITION NAME MINUTES MODULE
    local name=$2 source=$here/go/$2 position="[$1/${#components[@]}]" part start=$SECONDS
    [ -d "$source" ] || source=$here/$name
    part=$cache/parts/$name-$(cat <(inputs_key "$source") "$here/build.sh" "$here/pack-image.sh" | sha256sum | cut -c1-16)
    if [ -d "$part" ]; then
        say "$position $name: built before"
    else
        say "$position $name $(version_of "$name" "$4") ... $3 min cold"
        tick "$name" 9>&- & ticker=$!
        compile_component "$name" "$building/part"
        kill "$ticker"
        wait "$ticker" 2>/dev/null || true
        ticker=
        mv -T "$building/part" "$part"
        say "        done in $((SECONDS - start)) s"
    fi
    mkdir -p "$building/all" && cp -al "$part/." "$building/all/"
}

build_all() {
    local index=0 component
    for component in "${components[@]}"; do
        # shellcheck disable=SC2086 # three words
        build_component $((++index)) $component
    done
    mv -T "$building/all" "$tools"
}

tools=$(tools_dir)
if [ "${1:-}" = --path ]; then
    say "$tools"
    exit
fi
if [ ! -d "$tools" ]; then
    command -v go >/dev/null || die "go is missing: the cluster is built from Go modules (Go 1.26.7 or newer)"
    mkdir -p "$cache/parts"
    exec 9>"$cache/lock"
    flock --nonblock 9 || { say "another build is running: waiting for it"; flock 9; }
    ticker=
    rm -rf "$cache"/building.*
    building=$(mktemp -d "$cache/building.XXXXXX")
    trap 'rm -rf "$building"; [ -z "$ticker" ] || kill "$ticker" 2>/dev/null || true' EXIT
    [ -d "$tools" ] || build_all
fi
say "$tools"
