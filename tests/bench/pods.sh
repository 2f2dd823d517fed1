#!/usr/bin/env bash
# shellcheck disable=SC2154
# How long a pod takes from its creation to Running, through kubelet, and what an idle one holds: a hello that stays, as a
# native program with runc and as Wasm with Perigee. Pods of the two take turns, so that whatever else the machine does
# meets both. Uses the test cluster, and leaves it up. Not part of `make test`: its figures are read by people.
#
#   pods.sh --bin DIR --xtask FILE [--runs N] [--idle N]
#     --bin    folder with containerd-shim-perigee-v1 and perigee
#     --xtask  the built xtask, which packs the images
#     --runs   pods of each runtime (default 30; 0 for none)
#     --idle   pods that idle at once, whose memory is summed up (default 50; 0 for none)
#
# One clock for all: a client that watches the API server notes when it hears of a pod, and when it hears that the pod is
# Running. The times of statuses have whole seconds. When its container ran, containerd's event says.
set -euo pipefail
# shellcheck source=../cluster/lib/load.sh source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../cluster/lib/load.sh"
# shellcheck source=lib.sh source-path=SCRIPTDIR
source "$cluster/../bench/lib.sh"

read_options 50 "$@"

"$cluster/up.sh" --bin "$bin" >&2
# shellcheck source=/dev/null
source "$dir/env"
namespace=bench-pods
kubectl=("$tools/bin/kubectl" --namespace "$namespace")
work=$(mktemp -d /tmp/perigee-pods-XXXXXX)
watchers=()
cleanup() {
    "${kubectl[@]}" delete namespace/$namespace runtimeclass/bench-{runc,perigee} --ignore-not-found >/dev/null || true
    [ ${#watchers[@]} = 0 ] || kill "${watchers[@]}" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

make_hellos "$work" "$xtask" perigee.test/hello-native:1 perigee.test/hello-wasm:1
for image in native wasm; do ctr --namespace k8s.io images import "$work/$image.tar" >/dev/null; done
"${kubectl[@]}" apply -f - >/dev/null <<YAML
{apiVersion: v1, kind: Namespace, metadata: {name: $namespace}}
---
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: bench-perigee}, handler: perigee}
---
{apiVersion: node.k8s.io/v1, kind: RuntimeClass, metadata: {name: bench-runc}, handler: runc}
YAML
poll 20 "${kubectl[@]}" get serviceaccount default >/dev/null 2>&1

declare -A image=([runc]=native [perigee]=wasm) program=([runc]=/hello [perigee]=/hello.wasm)
pod() { # RUNTIME NAME
    cat <<YAML
---
apiVersion: v1
kind: Pod
metadata: {name: $2}
spec:
  runtimeClassName: bench-$1
  terminationGracePeriodSeconds: 1
  automountServiceAccountToken: false
  containers:
    - name: hello
      image: perigee.test/hello-${image[$1]}:1
      imagePullPolicy: Never
      command: [${program[$1]}, idle]
YAML
}

# What the watching client hears. Each line: when, what (ADDED, MODIFIED, DELETED), the pod, its phase, its container.
stamp() { while read -r line; do printf '%s %s\n' "$EPOCHREALTIME" "$line"; done; }
start_watching() {
    local words='{.type} {.object.metadata.name} {.object.status.phase} {.object.status.containerStatuses[0].containerID}'
    "${kubectl[@]}" get pods --watch --output-watch-events -o "jsonpath=$words{\"\n\"}" > >(stamp >"$work/watch") & watchers+=("$!")
    "$tools/bin/ctr" --namespace k8s.io events >"$work/events" 2>/dev/null & watchers+=("$!")
    # Pods are made once it hears of one.
    pod runc first | "${kubectl[@]}" create -f - >/dev/null
    poll 60 heard ' first Running' || die "the client that watches does not hear of a pod"
    "${kubectl[@]}" delete pod first --now >/dev/null
}
heard() { grep -q "$1" "$work/watch"; }

once() { # RUNTIME NAME
    pod "$1" "$2" | "${kubectl[@]}" create -f - >/dev/null
    poll 60 heard " $2 Running" || { "${kubectl[@]}" describe pod "$2" >&2 && die "$2 does not run"; }
    "${kubectl[@]}" delete pod "$2" --wait=false >/dev/null
    poll 60 heard "DELETED $2 " || die "$2 does not go"
    sleep 0.5
}

# Containers and when they began to run, in seconds.
began() {
    local day time container
    sed -nE 's|^([^ ]+ [^ ]+) \+0000 UTC .*/tasks/start \{"container_id":"([^"]+)".*|\1 \2|p' "$work/events" |
        while read -r day time container; do printf '%s containerd://%s\n' "$(date -d "$day $time UTC" +%s.%N)" "$container"; done
}

# Milliseconds from a pod's creation until its container runs, and until it is known to be Running.
times() { # RUNTIME
    awk -v runtime="$1" -v out="$work/$1" '
        FNR == NR { began[$2] = $1; next }
        $3 !~ "^" runtime "-[1-9]" { next }
        $2 == "ADDED" { added[$3] = $1 }
        $4 == "Running" && !($3 in done) {
            done[$3] = 1
            printf "%.1f\n", ($1 - added[$3]) * 1000 >(out ".running")
            printf "%.1f\n", (began[$5] - added[$3]) * 1000 >(out ".began")
        }' <(began) "$work/watch"
}

if [ "$runs" -gt 0 ]; then
    start_watching
    echo "load before: $(load)"
    for run in $(seq 0 "$runs"); do # the first round only warms
        for runtime in runc perigee; do once "$runtime" "$runtime-$run"; done
    done
    echo "load after:  $(load)"
    printf '%-10s %26s %26s\n' "" "container runs, p50 / p90" "Running, p50 / p90, ms"
    for runtime in runc perigee; do
        times "$runtime"
        printf '%-10s         %s         %s\n' "$runtime" "$(percentiles "$work/$runtime.began")" "$(percentiles "$work/$runtime.running")"
    done
fi
[ "$idle" -gt 0 ] || exit 0

# As after a boot: what was written just now is in the page cache in large pieces, each of which the kernel maps as a whole.
forget_files() {
    sync
    find "$dir/bin" "$dir/containerd/root/io.containerd.snapshotter.v1.overlayfs" "$tools/bin/containerd-shim-runc-v2" -type f \
        -exec dd status=none count=0 iflag=nocache if={} \;
}

printf '%-10s %5s %12s %12s %12s %12s\n' "idle, KiB" pods "PSS, each" "of it shim" pause hello
for runtime in runc perigee; do
    for count in 1 "$idle"; do
        forget_files
        for number in $(seq "$count"); do pod "$runtime" "idle-$number"; done | "${kubectl[@]}" create -f - >/dev/null
        "${kubectl[@]}" wait pods --all --for=condition=Ready --timeout=240s >/dev/null
        sleep 5
        for shim in $(pgrep -f "containerd-shim-.*$dir/containerd/"); do pss "$shim"; done >"$work/pss"
        [ "$(grep -c ^pause "$work/pss")" = "$count" ] || die "these are not $count pods: $(cat "$work/pss")"
        printf '%-10s %5s %12s %12s %12s %12s\n' "$runtime" "$count" $(($(sum <"$work/pss") / count)) \
            $(($(grep ^containerd-shim "$work/pss" | sum) / count)) $(($(grep ^pause "$work/pss" | sum) / count)) \
            $(($(grep -vE '^(containerd-shim|pause) ' "$work/pss" | sum) / count))
        "${kubectl[@]}" delete pods --all --now >/dev/null
    done
done
