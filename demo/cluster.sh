#!/usr/bin/env bash
# Brings up the test cluster, installs Perigee with Helm, applies examples/counter-server, asks its Service, and leaves
# everything up to play with. Needs root.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
bin=$(cd "${1:?usage: cluster.sh FOLDER-WITH-THE-BINARIES}" && pwd)
modules=${CARGO_TARGET_DIR:-$root/target}/guests
registry=localhost:5757
# shellcheck source=demo/ask.sh
source "$here/ask.sh"

[ "$(id -u)" = 0 ] || { echo "this needs root: it starts containerd and a kubelet" >&2; exit 1; }
step() { printf '\n== %s\n' "$*"; }
show() { printf '$ %s\n' "$*"; "$@"; }

step "A Kubernetes of one node"
"$root/tests/cluster/up.sh" --bin "$bin"
# shellcheck source=/dev/null
source "${PERIGEE_CLUSTER_DIR:-/var/lib/perigee-test}/env"

# push NAME:TAG ARGS...: packs and pushes an image; ARGS are those of `cargo xtask image`.
push() {
  local name=$1 layout
  shift
  layout=$(mktemp -d)
  "$bin/xtask" image --output "$layout/image" --tag "${name#*:}" "$@"
  oras cp --no-tty --from-oci-layout "$layout/image:${name#*:}" --to-plain-http "$registry/$name" >/dev/null
  rm -rf "$layout"
  echo "pushed $registry/$name"
}

step "Images: the operator, and the example"
# The tag follows from the contents, so that a changed operator is rolled out on a cluster that is up already.
tag=$(sha256sum "$bin/perigee-operator" | cut -c1-12)
push "perigee/operator:$tag" "$bin/perigee-operator"
push "counter-server:0.1.0" "$modules/counter-server.wasm"

step "Perigee, with Helm"
show helm upgrade --install perigee "$root/charts/perigee" --namespace perigee-system --create-namespace \
  --set "image.repository=$registry/perigee/operator" --set-string "image.tag=$tag" --wait --timeout 2m

step "The app"
show kubectl apply -f "$root/examples/counter-server/app.yaml"
show kubectl wait actorapp/counter-server --for=condition=Available --timeout=60s
show kubectl get actorapps,pods,services
address=$(kubectl get service counter-server -o jsonpath='{.spec.clusterIP}')
until_it_answers "$address" 80
for path in / /; do
  printf '$ curl %s\n' "$address$path"
  ask "$address" 80 "$path"
done
show kubectl logs deployment/counter-server

step "It is left up"
cat <<END
source ${PERIGEE_CLUSTER_DIR:-/var/lib/perigee-test}/env    # KUBECONFIG and PATH
kubectl get pods --all-namespaces
make demo-down                          # takes it down
END
