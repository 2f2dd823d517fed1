#!/usr/bin/env bash
# Kubernetes' own tests of a node, with Perigee as the runtime of every pod, or the one that PERIGEE_DEFAULT_RUNTIME names:
# see README.md.
#
#   run.sh --bin DIR [--focus REGEXP] [--procs N]
#     --bin    folder with containerd-shim-perigee-v1 and perigee
#     --focus  runs the specs whose text matches
#     --procs  specs at the same time (default: 24; they mostly wait)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PERIGEE_DEFAULT_RUNTIME=${PERIGEE_DEFAULT_RUNTIME:-perigee}
# shellcheck source=../cluster/lib/layout.sh source-path=SCRIPTDIR
source "$here/../cluster/lib/layout.sh"
known=$here/known.txt

binaries='' focus=. procs=24
while [ $# -gt 0 ]; do
    case $1 in
        --bin) binaries=${2:?--bin needs a folder} && shift 2 ;;
        --focus) focus=${2:?--focus needs an expression} && shift 2 ;;
        --procs) procs=${2:?--procs needs a number} && shift 2 ;;
        *) die "$1: unknown option (run.sh --bin DIR [--focus REGEXP] [--procs N])" ;;
    esac
done
[ -n "$binaries" ] || die "no --bin: a folder with containerd-shim-perigee-v1 and perigee is wanted"

built=$("$here/build.sh" | tail -n 1)
"$cluster/up.sh" --bin "$binaries"
grep -qx "default_runtime_name = \"$default_runtime\"" "$dir/config/containerd.toml" ||
    die "the cluster that is up has another default runtime: take it down first (tests/cluster/down.sh)"
# shellcheck source=/dev/null
source "$dir/env"

say "pushing the images of the specs to $registry"
images=$(ctr images import --local "$built/images.tar" 2>>"$dir/logs/ctr.log" | sed -nE "s|.*($registry/[^ ]+).*|\1|p")
for image in $images; do ctr images push --plain-http "$image" >/dev/null 2>>"$dir/logs/ctr.log"; done
printf '%s\n' "promoterE2eRegistry: $registry/e2e-test-images" "gcRegistry: $registry" >"$dir/config/test-images.yaml"

log=$dir/logs/node-conformance.log
report=$dir/logs/node-conformance.json
rm -f "$report"
say "running the specs; all that they say goes to $log"
progress() { while sleep 60 >/dev/null 2>&1; do say "    after $((SECONDS / 60)) min: $(grep -o • "$log" | wc -l) specs are done"; done; }
progress & ticker=$!
trap 'kill $ticker' EXIT
# What it says about success counts failures that are known: the report decides.
KUBE_TEST_REPO_LIST=$dir/config/test-images.yaml "$built/bin/ginkgo" --no-color --procs="$procs" --timeout=2h \
    --label-filter='(NodeConformance || Conformance) && !Serial' --focus="$focus" --skip="$("$built/bin/report" skip "$known")" \
    --output-dir="$dir/logs" --json-report="$(basename "$report")" "$built/bin/e2e.test" -- \
    --provider=skeleton --kubeconfig="$KUBECONFIG" --dns-domain=cluster.local --num-nodes=1 --disable-log-dump >"$log" 2>&1 || true
[ -f "$report" ] || { tail -n 20 "$log" && die "the specs did not come to an end"; }
"$built/bin/report" check "$known" "$report"
