# shellcheck shell=bash source-path=SCRIPTDIR/.. disable=SC2034,SC2154
# Everything that up.sh, down.sh and restart.sh share; `tools` is where the built programs are.
lib=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=lib/layout.sh
source "$lib/layout.sh"
source "$cluster/lib/programs.sh"
source "$cluster/lib/lock.sh"
source "$cluster/lib/process.sh"
source "$cluster/lib/cgroup.sh"
source "$cluster/lib/network.sh"
source "$cluster/lib/pki.sh"
source "$cluster/lib/control-plane.sh"
source "$cluster/lib/node.sh"
source "$cluster/lib/cleanup.sh"
tools=$(tools_dir)
