#!/usr/bin/env bash
# shellcheck disable=SC2154
# How long a container takes from nothing to its end, by runtime, and what an idle one holds: `ctr run --rm` of a hello.
# Runs of the runtimes take turns, so that whatever else the machine does meets all of them. Needs root, the programs of
# tests/cluster/build.sh, and rustc. Not part of `make test`: its figures are read by people.
#
#   start.sh --bin DIR --xtask FILE [--runs N] [--idle N]
#     --bin    folder with containerd-shim-perigee-v1 and perigee
#     --xtask  the built xtask, which packs the images
#     --runs   of each runtime (default 30)
#     --idle   containers that idle at once, whose memory is summed up (default 10; 0 for none)
set -euo pipefail
# shellcheck source=../cluster/lib/load.sh source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/../cluster/lib/load.sh"
# shellcheck source=lib.sh source-path=SCRIPTDIR
source "$cluster/../bench/lib.sh"

read_options 10 "$@"

# Without containerd's warning about version 1 of cgroups.
quietly() { "$@" 2> >(grep -v DEPRECATION >&2); }

work=$(mktemp -d /tmp/perigee-start-XXXXXX)
pid=
cleanup() {
    [ -z "$pid" ] || { kill "$pid" && wait "$pid"; } 2>/dev/null || true
    { grep -o "${work}[^ ]*" /proc/mounts || true; } | sort -r | while read -r mount; do umount -l "$mount" || true; done
    rm -rf "$work"
}
trap cleanup EXIT

mkdir "$work/bin"
cp "$bin/containerd-shim-perigee-v1" "$bin/perigee" "$work/bin/"
make_hellos "$work" "$xtask" bench/native:1 bench/wasm:1
cat >"$work/config.toml" <<TOML
version = 3
root = "$work/root"
state = "$work/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"]
[grpc]
address = "$work/containerd.sock"
[ttrpc]
address = "$work/containerd.sock.ttrpc"
TOML
PATH="$work/bin:$tools/bin:$PATH" "$tools/bin/containerd" --config "$work/config.toml" >"$work/log" 2>&1 &
pid=$!
ctr=(quietly "$tools/bin/ctr" --address "$work/containerd.sock")
for _ in $(seq 100); do "${ctr[@]}" version >/dev/null 2>&1 && break; sleep 0.1; done
for image in native wasm; do "${ctr[@]}" images import "$work/$image.tar" >/dev/null; done
native=$("${ctr[@]}" images ls -q | grep native) wasm=$("${ctr[@]}" images ls -q | grep wasm)

# A mount that the shim's own launcher leaves to runc.
runcs=--mount=type=tmpfs,src=tmpfs,dst=/scratch,options=tmpcopyup
# Milliseconds of one run; it fails when the output is missing.
once() { # RUNTIME IMAGE ID OPTION...
    local before after output
    before=$(date +%s%N)
    output=$("${ctr[@]}" run --rm --runtime "$1" "${@:4}" "$2" "$3" 2>>"$work/errors") || { cat "$work/errors" >&2; return 1; }
    after=$(date +%s%N)
    [ "$output" = hello ] || echo "lost output: '$output'" >>"$work/lost"
    awk -v ns=$((after - before)) 'BEGIN { printf "%.2f\n", ns / 1e6 }'
}

echo "load before: $(load)"
for run in $(seq 0 "$runs"); do
    # The first round only warms.
    for case in "runc.v2-native io.containerd.runc.v2 $native" "perigee-native io.containerd.perigee.v1 $native" \
        "perigee-wasm io.containerd.perigee.v1 $wasm" "perigee-by-runc io.containerd.perigee.v1 $wasm $runcs"; do
        read -r name runtime image option <<<"$case"
        took=$(once "$runtime" "$image" "$name-$run" ${option:+"$option"})
        [ "$run" = 0 ] || echo "$took" >>"$work/$name.ms"
        sleep 0.3
    done
done
echo "load after:  $(load)"
printf '%-16s %8s %8s\n' "ctr run --rm, ms" p50 p90
for name in runc.v2-native perigee-native perigee-wasm perigee-by-runc; do
    printf '%-16s%s\n' "$name" "$(percentiles "$work/$name.ms")"
done
[ ! -e "$work/lost" ] || echo "runs whose output ctr lost: $(wc -l <"$work/lost")"
[ "$idle" -gt 0 ] || exit 0

printf '%-16s %12s %12s %12s\n' "idle, KiB PSS" "1 container" "$idle, each" "of it shim"
for case in "runc.v2-native io.containerd.runc.v2 $native /hello" "perigee-wasm io.containerd.perigee.v1 $wasm /hello.wasm"; do
    read -r name runtime image program <<<"$case"
    line=()
    for count in 1 "$idle"; do
        for number in $(seq "$count"); do
            "${ctr[@]}" run -d --runtime "$runtime" "$image" "idle-$number" "$program" idle >/dev/null
        done
        sleep 3
        for shim in $(pgrep -f "$work/.*containerd-shim|containerd-shim.*$work"); do pss "$shim"; done >"$work/pss"
        line+=($(($(sum <"$work/pss") / count)))
        for number in $(seq "$count"); do
            "${ctr[@]}" task kill -s KILL "idle-$number" >/dev/null
            for _ in $(seq 50); do "${ctr[@]}" task rm "idle-$number" >/dev/null 2>&1 && break; sleep 0.1; done
            "${ctr[@]}" containers rm "idle-$number" >/dev/null
        done
    done
    printf '%-16s %12s %12s %12s\n' "$name" "${line[@]}" $(($(grep '^containerd-shim' "$work/pss" | sum) / idle))
done
