#!/usr/bin/env bash
# Stops one program of the running cluster and starts it again, as a node's service manager would:
# restart.sh containerd|kubelet|proxy|dns|registry|etcd|apiserver|controller-manager|scheduler [--kill]
# With --kill it ends without warning.
set -euo pipefail
# shellcheck source=lib/load.sh source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/lib/load.sh"

program=${1:?which program?}
function=start_${program//-/_}
declare -F "$function" >/dev/null || die "$program: no such program"
need_root restart.sh
take_lock
pid=$(pid_of "$program") || die "$program does not run in $dir"
[ "${2:-}" != --kill ] || kill -KILL "$pid"
stop "$program" 10
"$function"
case $program in
    apiserver) await "the API server is ready" 60 apiserver apiserver_ready ;;
    containerd) await "containerd answers" 20 containerd containerd_ready ;;
    dns) await "DNS answers" 30 dns dns_answers ;;
    kubelet) await "the kubelet is healthy" 30 kubelet kubelet_healthy ;;
    registry) await "the registry answers" 20 registry registry_answers ;;
esac
