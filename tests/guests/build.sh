#!/usr/bin/env bash
# Builds every guest program into ${CARGO_TARGET_DIR:-target}/guests/NAME.wasm; what is up to date is left alone.
#
#   build.sh          installs nothing: says what to run when a compiler is missing
#   build.sh --list   prints the names that it builds, one a line, without building
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target}
out=$CARGO_TARGET_DIR/guests

say() { printf 'guests: %s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# Packages with Rust guests: each binary is one guest.
rust_packages=("$here/rust" "$root"/examples/*/)

# The names of a package's binaries: those in src/bin, or the package's own.
rust_names() {
  if [ -d "$1/src/bin" ]; then
    basename -s .rs "$1"/src/bin/*.rs
  else
    sed -n 's/^name = "\(.*\)"$/\1/p' "$1/Cargo.toml" | head -n1
  fi
}
c_names() { basename -s .c "$here"/c/*.c | sed 's/^/c_/'; }
bad_names() { basename -s .c "$here"/bad/*.c; echo not_wasm; }

if [ "${1:-}" = --list ]; then
  { for package in "${rust_packages[@]}"; do rust_names "$package"; done; c_names; bad_names; } | sort
  exit 0
fi
diff <("${BASH_SOURCE[0]}" --list) <(awk '!/^#/ && NF {print $1}' "$here/guests.txt" | sort) >&2 ||
  die "guests.txt differs from the programs here (< here, > listed): bring them together"
[ $# -eq 0 ] || die "unknown argument $1: write --list or nothing"

"$here/install-packages.sh" --check 2>/dev/null ||
  die "clang or WASI's C library is missing: run tests/guests/install-packages.sh"
[ -d "$(cd "$root" && rustc --print sysroot)/lib/rustlib/wasm32-wasip1/lib" ] ||
  die "rustc has no target wasm32-wasip1: run tests/guests/install-wasm-target.sh"
mkdir -p "$out"

# Crates with C are compiled as the C programs are.
export CC_wasm32_wasip1=clang AR_wasm32_wasip1=llvm-ar CFLAGS_wasm32_wasip1=--target=wasm32-wasi

build_rust() {
  local name
  (cd "$1" && cargo build --quiet --locked --release --target wasm32-wasip1)
  for name in $(rust_names "$1"); do
    place "$CARGO_TARGET_DIR/wasm32-wasip1/release/$name.wasm" "$name"
  done
}

# build_c SOURCE NAME FLAG...
build_c() {
  local source=$1 name=$2
  shift 2
  if [ ! "$out/$name.wasm" -nt "$source" ] || [ ! "$out/$name.wasm" -nt "$here/build.sh" ]; then
    clang --target=wasm32-wasi -O2 -Wall -Wextra -Werror "$@" -o "$out/.$name.new" "$source"
    chmod 644 "$out/.$name.new"
    mv "$out/.$name.new" "$out/$name.wasm"
  fi
}

# All at once, and only when it differs: a guest that did not change is not compiled again by who uses it.
place() {
  cmp -s "$1" "$out/$2.wasm" && return
  install -m 644 "$1" "$out/.$2.new"
  mv "$out/.$2.new" "$out/$2.wasm"
}

for package in "${rust_packages[@]}"; do build_rust "$package"; done
for name in $(c_names); do
  flags=(-Wl,-z,stack-size=65536 -Wl,--stack-first)
  # Without a C library, and all of it in one page.
  [ "$name" != c_tiny ] || flags=(-nostdlib -Wl,--no-entry -Wl,-z,stack-size=8192)
  build_c "$here/c/${name#c_}.c" "$name" "${flags[@]}"
done
for source in "$here"/bad/*.c; do
  flags=(-nostdlib '-Wl,--no-entry')
  [ "$source" != "$here/bad/huge_memory.c" ] || flags+=('-Wl,--initial-memory=268435456')
  build_c "$source" "$(basename -s .c "$source")" "${flags[@]}"
done
place "$here/bad/not_wasm.txt" not_wasm
say "$("$here/build.sh" --list | wc -l) programs in $out"
