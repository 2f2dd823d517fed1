#!/usr/bin/env bash
# Builds the specs, what runs them and their images from pinned Go modules into the cache of the test cluster, once.
# Prints the folder at the end: bin/ and images.tar.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../cluster/lib/layout.sh source-path=SCRIPTDIR
source "$here/../cluster/lib/layout.sh"
# shellcheck source=../cluster/lib/programs.sh source-path=SCRIPTDIR
source "$cluster/lib/programs.sh"
tools=$(tools_dir)

# The names that Kubernetes' tests have for their images, and what is said in them beside the PATH. All have the same
# files: every program that one of them needs.
images=(
    'e2e-test-images/agnhost:2.66.1 ,"Entrypoint":["/agnhost"],"Cmd":["pause"]'
    'e2e-test-images/agnhost:2.55 ,"Entrypoint":["/agnhost"],"Cmd":["pause"]'
    'e2e-test-images/busybox:1.37.0-2 ,"Cmd":["sh"]'
    'e2e-test-images/busybox:1.36.1-1 ,"Cmd":["sh"]'
    'e2e-test-images/glibc-dns-testing:2.1.1 ,"Cmd":["sh"]'
    'e2e-test-images/ipc-utils:1.4 ,"Cmd":["sh"]'
    'e2e-test-images/kitten:1.8 '
    'e2e-test-images/nonewprivs:1.4 ,"Cmd":["nnp"]'
    'e2e-test-images/nonroot:1.5 ,"Cmd":["sh"],"User":"1234"'
    'pause:3.10.2 ,"Entrypoint":["/pause"],"User":"65535:65535"'
)

# A program of this machine with its libraries.
add() { # PROGRAM DESTINATION
    local library
    install -D -m 0755 "$(command -v "$1")" "$files/$2"
    ldd "$(command -v "$1")" | { grep -oE '/[^ ]+' || true; } | while read -r library; do
        install -D -m 0755 "$library" "$files$library"
    done
}

make_files() {
    local applet certificates
    mkdir -p "$files"/{bin,dev,etc,home,proc,root,run,sys,tmp,uploads,usr/local/bin,var/run}
    chmod 1777 "$files/tmp"
    install -m 0755 "$(command -v busybox)" "$files/bin/busybox"
    for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$files/bin/$applet"; done
    rm "$files"/bin/{hostname,nc,sh}
    # As `sh`, because busybox's own hands on no variable whose name has a dash in it, which some specs want.
    add bash bin/bash
    ln -s bash "$files/bin/sh"
    add curl usr/bin/curl
    add nc.openbsd bin/nc
    add hostname bin/hostname
    install -m 0755 "$1/bin/agnhost" "$tools/images/pause" "$files/"
    ln -s agnhost "$files/agnhost-2"
    install -m 6755 "$1/bin/nonewprivs" "$files/usr/local/bin/nnp"
    certificates=$(cd "$here/go" && go list -mod=readonly -f '{{.Dir}}' k8s.io/kubernetes/test/images/agnhost/porter)
    install -m 0644 "$certificates"/localhost.* "$files/"
    echo '{"image":"kitten.jpg"}' >"$files/data.json"
    echo 'NAME="Alpine Linux"' >"$files/etc/os-release"
    printf '%s\n' root:x:0:0:root:/root:/bin/sh nobody:x:65534:65534:nobody:/home:/bin/false \
        user-defined-in-image:x:1000:1000::/home:/bin/sh >"$files/etc/passwd"
    printf '%s\n' root:x:0: nogroup:x:65534: user-defined-in-image:x:1000: \
        group-defined-in-image:x:50000:user-defined-in-image >"$files/etc/group"
}

# All images as one archive in the format of `docker save`, in which they can share their layer.
pack_images() { # OUT.tar
    local image name work=$building/images digest manifest=
    mkdir "$work"
    archive "$work/layer.tar" "$files"
    digest=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
    for image in "${images[@]}"; do
        name=${image%% *}
        printf '{"architecture":"%s","os":"linux","config":{"Env":["PATH=%s"]%s},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
            "$(go env GOARCH)" /usr/local/bin:/usr/bin:/bin "${image#* }" "$digest" >"$work/${name//[\/:]/-}.json"
        manifest+=,$(printf '{"Config":"%s.json","RepoTags":["%s/%s"],"Layers":["layer.tar"]}' "${name//[\/:]/-}" "$registry" "$name")
    done
    echo "[${manifest#,}]" >"$work/manifest.json"
    archive "$1" "$work"
}

# The specs compare the cluster's version with their own.
build() { # FOLDER
    local stamp
    stamp=$(kubernetes_stamp "$here/go")
    mkdir "$1/bin"
    compile "$here/go" "$1/bin/" tool "$stamp"
    compile "$here/go" "$1/bin/" ./report
    say "        what runs them, and the programs of their images: done; now the tests themselves"
    compile "$here/go" "$1/bin/e2e.test" . "$stamp" "test -c"
    files=$building/files
    make_files "$1"
    pack_images "$1/images.tar"
    rm "$1/bin/agnhost" "$1/bin/nonewprivs"
}

# Everything that decides what is built.
inputs() {
    sources "$here"
    cat "$here/build.sh"
    recipe compile
    recipe kubernetes_stamp
    recipe archive
    key_of pause go/kubernetes
}

built=$cache/node-conformance-$(inputs | key)
if [ ! -d "$built" ]; then
    [ -x "$tools/images/pause" ] || die "$tools is missing: tests/cluster/build.sh builds it"
    "$here/../install-debian.sh" "busybox-static busybox" "curl curl" "hostname hostname" "netcat-openbsd nc.openbsd" >&2
    begin_build >&2
    # Perhaps while this one waited.
    [ -d "$built" ] || build_part "$built" "Kubernetes' node tests $(version_of "$here/go" k8s.io/kubernetes)" 10 build >&2
fi
say "$built"
