# shellcheck shell=bash source-path=SCRIPTDIR/.. disable=SC2034,SC2154
# Everything that up.sh, down.sh and restart.sh share. Sourced with `here` set; `tools` is where the built programs are.
source "$here/lib/layout.sh"
source "$here/lib/lock.sh"
source "$here/lib/process.sh"
source "$here/lib/cgroup.sh"
source "$here/lib/network.sh"
source "$here/lib/pki.sh"
source "$here/lib/control-plane.sh"
source "$here/lib/node.sh"
source "$here/lib/cleanup.sh"
tools=$(tools_dir)
