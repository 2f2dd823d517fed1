#!/usr/bin/env bash
# Installs what guests with C need from Debian: a clang that knows wasm32-wasi, its linker, its archiver (llvm-ar), and
# WASI's C library.
#
#   install-packages.sh           installs what is missing (needs root); does nothing when all is there
#   install-packages.sh --check   says what is missing and fails, without installing
#
# The runtime library (memcpy's 128-bit friends) is packaged per clang version: the one that fits the machine's `clang`
# is chosen, so nothing here names a version.
set -euo pipefail

say() { printf 'guest packages: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

case ${1:-} in
  '' | --check) ;;
  *) die "unknown argument $1: write --check or nothing" ;;
esac
command -v apt-get >/dev/null || die "this script knows Debian's packages only; elsewhere install clang, lld, \
llvm-ar, wasi-libc and compiler-rt for wasm32, then skip it"

installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

# clang is a metapackage (epoch:major.minor-...): its major version names the runtime library's package.
runtime_library() {
  local major
  major=$(apt-cache show --no-all-versions clang 2>/dev/null | sed -n 's/^Version: \([0-9]*:\)\?\([0-9]*\)\..*/\2/p')
  [ -n "$major" ] && echo "libclang-rt-$major-dev-wasm32"
}
list_missing() {
  local package
  for package in clang lld llvm wasi-libc "$(runtime_library || echo 'libclang-rt-*-dev-wasm32')"; do
    installed "$package" || echo "$package"
  done
}

mapfile -t missing < <(list_missing)
if [ ${#missing[@]} -eq 0 ]; then
  say "all there"
  exit 0
fi
[ "${1:-}" != --check ] || die "missing: ${missing[*]} (tests/guests/install-packages.sh installs them)"
[ "$(id -u)" = 0 ] || die "missing: ${missing[*]}; installing needs root: sudo $0"

if ! apt-get install --dry-run "${missing[@]}" >/dev/null 2>&1; then
  say "apt-get update, since apt does not know all of: ${missing[*]}"
  apt-get update -qq || die "apt-get update failed: see its messages above"
  mapfile -t missing < <(list_missing)
fi
say "installing ${missing[*]}"
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
  die "apt-get could not install them: see its messages above"
say "done: $(clang --version | head -n1)"
