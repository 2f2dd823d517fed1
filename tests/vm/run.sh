#!/usr/bin/env bash
# Runs a command in a virtual machine with systemd and cgroup version 2 alone, in the present folder and with the present
# environment. Its output is this one's, and so is its exit code. The machine sees the work tree and the folder of what is
# built, under their own paths; whatever it writes is gone with it. It has no network.
#
#   run.sh COMMAND...      PERIGEE_VM_SHARE=DIR:DIR... for more folders
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# A machine that hangs is ended.
seconds=${PERIGEE_VM_SECONDS:-3600}
[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

"$here/install-packages.sh" >&2
machine=$("$here/build.sh")
job=$(mktemp -d)
trap 'rm -rf "$job"' EXIT

repository=$(cd "$here/../.." && pwd)
IFS=: read -ra shares <<<"$repository:${CARGO_TARGET_DIR:-$repository/target}${PERIGEE_VM_SHARE:+:$PERIGEE_VM_SHARE}"
arguments=()
for number in "${!shares[@]}"; do
    arguments+=(-virtfs "local,path=${shares[number]},mount_tag=share$number,security_model=none,readonly=on,multidevs=remap")
done
printf '%s\n' "${shares[@]}" >"$job/shares"
{
    export -p
    # Folders of this machine, of which that one has others.
    printf 'unset TMPDIR HOME\n'
    printf 'cd %q\n' "$PWD"
    printf 'PATH=%q\n' "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    printf '%q ' "$@"
} >"$job/command"

# /dev/kvm alone tells too little: without the processor's help, KVM boots only kernels that are made for that.
if [ -w /dev/kvm ] && { [ -d /sys/module/kvm_intel ] || [ -d /sys/module/kvm_amd ]; }; then
    arguments+=(-accel kvm -cpu host)
else
    echo "no hardware KVM: the virtual machine's processors are emulated, and everything takes ten times as long" >&2
    arguments+=(-accel "tcg,thread=multi" -cpu max)
fi
# The kernel's console is a file: only what the command prints is printed.
timeout --foreground "$seconds" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -nic none \
    -machine q35 -smp "$(nproc)" -m "${PERIGEE_VM_MEMORY:-4G}" \
    -kernel "$machine/vmlinux" -initrd "$machine/initrd" \
    -append "console=ttyS1 quiet panic=-1 systemd.unified_cgroup_hierarchy=1 systemd.show_status=no systemd.unit=job.service" \
    -chardev stdio,id=output,signal=off -serial chardev:output -serial "file:$job/console" \
    -virtfs "local,path=$machine/root,mount_tag=root,security_model=none,readonly=on,multidevs=remap" \
    -virtfs "local,path=$job,mount_tag=job,security_model=none" \
    "${arguments[@]}" </dev/null || true
if [ ! -s "$job/status" ]; then
    echo "error: the virtual machine ended, or was ended after $seconds s, before the command did; its console says at the end:" >&2
    tail -n 30 "$job/console" >&2
    exit 1
fi
exit "$(cat "$job/status")"
