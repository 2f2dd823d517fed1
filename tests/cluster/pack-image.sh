#!/usr/bin/env bash
# Packs static programs into an OCI archive with one layer: pack-image.sh [--user USER] OUT.tar NAME:TAG PROGRAM [FILE...]
# All land in the image's root folder; the first one is the entrypoint. Same input, same bytes.
set -euo pipefail
# shellcheck source=lib/programs.sh source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib/programs.sh"
user=
if [ "${1:-}" = --user ]; then
    user=,'"User":"'${2:?--user needs a user}'"'
    shift 2
fi
[ $# -ge 3 ] || { echo "usage: $0 [--user USER] OUT.tar NAME:TAG PROGRAM [FILE...]" >&2; exit 2; }
out=$(realpath -m "$1") reference=$2
shift 2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/tmp" "$work/image/blobs/sha256"
install -m 0755 "$@" "$work/root/"
chmod 1777 "$work/root/tmp"

# Moves a file to its place by digest and prints its descriptor, open at the end for more fields.
blob() { # MEDIA-TYPE FILE
    local digest size
    digest=$(sha256sum "$2" | cut -d' ' -f1)
    size=$(stat -c %s "$2")
    mv "$2" "$work/image/blobs/sha256/$digest"
    printf '{"mediaType":"%s","digest":"sha256:%s","size":%s' "$1" "$digest" "$size"
}

case $(uname -m) in
    x86_64) architecture=amd64 ;;
    aarch64) architecture=arm64 ;;
    *) architecture=$(uname -m) ;;
esac

archive "$work/layer.tar" "$work/root"
layer=$(blob application/vnd.oci.image.layer.v1.tar "$work/layer.tar")
digest=$(grep -oE 'sha256:[0-9a-f]+' <<<"$layer")
printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/%s"]%s},"rootfs":{"type":"layers","diff_ids":["%s"]}}' \
    "$architecture" "$(basename "$1")" "$user" "$digest" >"$work/config.json"
config=$(blob application/vnd.oci.image.config.v1+json "$work/config.json")
printf '{"schemaVersion":2,"mediaType":"%s","config":%s},"layers":[%s}]}' \
    application/vnd.oci.image.manifest.v1+json "$config" "$layer" >"$work/manifest.json"
manifest=$(blob application/vnd.oci.image.manifest.v1+json "$work/manifest.json")

# containerd reads the whole name from its own annotation, other tools take the tag from OCI's.
printf '{"schemaVersion":2,"manifests":[%s,"annotations":{"io.containerd.image.name":"%s","%s":"%s"}}]}' \
    "$manifest" "$reference" org.opencontainers.image.ref.name "${reference##*:}" >"$work/image/index.json"
printf '{"imageLayoutVersion":"1.0.0"}' >"$work/image/oci-layout"
archive "$work/out.tar" "$work/image"
mv "$work/out.tar" "$out"
