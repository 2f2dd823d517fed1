#!/usr/bin/env bash
# Gives the active Rust toolchain the targets that guests are compiled for. A target that works is left alone (0.3 s).
#
#   install-wasm-target.sh [wasm32-wasip1|wasm32-unknown-unknown]...      default: wasm32-wasip1
#
# It asks rustup first. Where rustup cannot fetch a target, it builds the standard library from Debian's rust-src of
# exactly the active rustc's version, the way rustc's own bootstrap does, with the crates that the library's Cargo.lock
# names, and takes WASI's C library from Debian too. Afterwards a plain `cargo build --target wasm32-wasip1` works, with
# no -Z flag and no RUSTC_BOOTSTRAP. The machine's apt configuration stays as it is; root is not needed.
#
# Environment:
#   WASM_TARGET_CACHE=DIR          where the two inputs are kept (3.5 MB and 1.2 MB); default: wasm-target below
#                                  ${PERIGEE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/perigee}
#   WASM_TARGET_RUSTUP=0           don't ask rustup
#   WASM_TARGET_RUSTUP_TIMEOUT=20  seconds that rustup may take per target
#   WASM_TARGET_JOBS=N             cargo jobs of the build; default: one per core
#   WASM_TARGET_SUITES="..."       Debian suites to search, in this order
#   WASM_TARGET_FORCE=1            install again even if the target works
set -euo pipefail

targets=("$@")
[ $# -gt 0 ] || targets=(wasm32-wasip1)
read -ra suites <<<"${WASM_TARGET_SUITES:-trixie-backports forky sid}"
jobs=${WASM_TARGET_JOBS:-$(nproc)}
cache=${WASM_TARGET_CACHE:-${PERIGEE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/perigee}/wasm-target}
wasi_libc_min='0.0~git20260101' # older ones lack the pthread stubs that std needs

started=$(date +%s%N)
say() { printf '[%6.1fs] %s\n' "$((($(date +%s%N) - started) / 100000000))e-1" "$*" >&2; }
die() { say "error: $*"; exit 1; }

for target in "${targets[@]}"; do
  case $target in
    wasm32-wasip1 | wasm32-unknown-unknown) ;;
    *) die "don't know the target $target: write wasm32-wasip1 or wasm32-unknown-unknown" ;;
  esac
done

# What the caller's shell says about compiling must not leak into this build.
unset APT_CONFIG RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CARGO_BUILD_TARGET CARGO_TARGET_DIR \
  CARGO_BUILD_TARGET_DIR RUSTC RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER CARGO_BUILD_RUSTC CARGO_BUILD_RUSTC_WRAPPER

command -v rustc >/dev/null || die "no rustc in PATH: install the toolchain that rust-toolchain.toml names"
sysroot=$(rustc --print sysroot) # of the toolchain that applies in this folder
rustc=$sysroot/bin/rustc
cargo=$sysroot/bin/cargo
host=$("$rustc" -vV | sed -n 's/^host: //p')
version=$("$rustc" -vV | sed -n 's/^release: //p')
commit=$("$rustc" -vV | sed -n 's/^commit-hash: //p')
rustlib=$sysroot/lib/rustlib
[ -w "$rustlib" ] || die "$rustlib is not writable: run as the user that owns the toolchain"
[ -x "$rustlib/$host/bin/rust-lld" ] || die "this toolchain has no rust-lld"

exec 9>"$rustlib/.wasm-target.lock" # one install at a time: several builds may ask at once
flock 9
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A target works if std, alloc, threads, files and time compile and link, with nothing left to be imported from `env`.
probe() {
  [ -d "$rustlib/$1/lib" ] || return 1
  cat >"$work/probe.rs" <<'RS'
use std::{collections::HashMap, fs, thread, time};
fn main() {
    let mut m: HashMap<String, f64> = HashMap::new();
    m.insert(format!("{:?}", std::env::args().next()), 2f64.sqrt());
    println!("{m:?} {:?}", fs::read("x").map_err(|e| e.kind()));
    thread::sleep(time::Duration::from_millis(1));
    let _ = thread::Builder::new().spawn(|| 1u128).map(|j| j.join());
}
RS
  "$rustc" --edition 2021 --target "$1" -O -C strip=symbols -o "$work/probe.wasm" "$work/probe.rs" \
    >"$work/probe.log" 2>&1 || return 1
  if grep -aqE 'pthread_|__cxa_' "$work/probe.wasm"; then
    echo "undefined functions were left as imports" >"$work/probe.log"
    return 1
  fi
}

with_rustup() {
  [ "${WASM_TARGET_RUSTUP:-1}" = 1 ] && command -v rustup >/dev/null || return 1
  local aside=$rustlib/.old-$1 # rustup refuses to overwrite files that it does not know
  rm -rf "$aside"
  [ ! -d "$rustlib/$1" ] || mv "$rustlib/$1" "$aside"
  if timeout "${WASM_TARGET_RUSTUP_TIMEOUT:-20}" \
    rustup target add --toolchain "$(basename "$sysroot")" "$1" >"$work/rustup.log" 2>&1; then
    rm -rf "$aside"
    return 0
  fi
  rm -rf "${rustlib:?}/$1"
  [ ! -d "$aside" ] || mv "$aside" "$rustlib/$1"
  return 1
}

# --- A private apt on the mirror that the machine's own apt uses. Signatures are checked as always. Suites are added
# one by one, until the wanted package is found.

# Without fetched lists and without root: apt is only asked what it would fetch.
debian_mirror() {
  mkdir -p "$work/no-lists/partial"
  apt-get -o Dir::State::Lists="$work/no-lists" update --print-uris 2>/dev/null |
    sed -n "s|^'\(.*/debian\)/dists/.*|\1|p" | head -n1
}

apt_start() {
  command -v apt-get >/dev/null || die "rustup cannot fetch the target, and without Debian's apt there is no other source"
  local uri
  uri=$(debian_mirror || true)
  [ -n "$uri" ] || die "this machine's apt names no Debian mirror"
  mkdir -p "$work"/apt/{lists/partial,cache/archives/partial,download}
  echo "$uri" >"$work/apt/mirror"
  cat >"$work/apt/apt.conf" <<CONF
Dir::State::Lists "$work/apt/lists";
Dir::Cache "$work/apt/cache";
Dir::Etc::SourceList "$work/apt/sources.list";
Dir::Etc::SourceParts "-";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
APT::Sandbox::User "root";
CONF
}

# Adds the next suite; fails when there is none left.
apt_add_suite() {
  [ ${#suites[@]} -gt 0 ] || return 1
  local suite=${suites[0]}
  suites=("${suites[@]:1}")
  [ -d "$work/apt" ] || apt_start
  export APT_CONFIG=$work/apt/apt.conf
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(cat "$work/apt/mirror") $suite main" \
    >>"$work/apt/sources.list"
  apt-get update -qq >"$work/apt/log" 2>&1 || {
    cat "$work/apt/log" >&2
    say "warning: apt-get update failed for $suite"
  }
}

# download PACKAGE PATTERN MINIMUM: the oldest version that matches both; sets $deb, or fails.
download() {
  local candidate found
  while :; do
    if [ -n "${APT_CONFIG:-}" ]; then
      for candidate in $(apt-cache madison "$1" 2>/dev/null | awk '{print $3}' | sort -uV); do
        [[ $candidate =~ $2 ]] || continue
        dpkg --compare-versions "$candidate" ge "$3" || continue
        (cd "$work/apt/download" && apt-get download -qq "$1=$candidate" >/dev/null) || return 1
        found=("$work/apt/download/$1"_*.deb)
        deb=${found[0]}
        return 0
      done
    fi
    apt_add_suite || return 1
  done
}

# --- The inputs

get_library() { # -> $work/library
  [ ! -d "$work/library" ] || return 0
  local kept=$cache/rust-library-$version.tar.xz deb=
  if [ -f "$kept" ]; then
    tar -C "$work" -xJf "$kept"
    say "library sources $version: from $cache"
  else
    download rust-src "^${version//./\\.}[+-]" 0 ||
      die "Debian (${WASM_TARGET_SUITES:-trixie-backports forky sid}) has no rust-src $version"
    dpkg-deb --fsys-tarfile "$deb" | tar -C "$work" -xf - --strip-components=4 \
      --exclude='*/library/vendor' --exclude='*/stdarch/intrinsics_data' "./usr/src/rustc-$version/library"
    tar -C "$work" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cJf "$kept.$$" library
    mv "$kept.$$" "$kept"
    say "library sources: $(basename "$deb")"
  fi
  [ -f "$work/library/sysroot/Cargo.toml" ] || die "the library's sources are not laid out as expected"
}

get_wasi_libc() { # -> $work/wasi-libc
  local kept=("$cache"/wasi-libc_*_all.deb) deb
  deb=${kept[-1]}
  if [ ! -f "$deb" ]; then
    download wasi-libc . "$wasi_libc_min" || die "Debian has no wasi-libc of $wasi_libc_min or later"
    cp "$deb" "$cache/"
  fi
  dpkg-deb -x "$deb" "$work/wasi-libc"
  say "wasi-libc: $(basename "$deb")"
}

# --- The build

# As rustc's bootstrap does it: the crate `sysroot` in the profile `dist`.
compile_std() {
  local target arguments=()
  for target in "$@"; do arguments+=(--target "$target"); done
  cd "$work/library/sysroot"
  export RUSTC=$rustc RUSTC_BOOTSTRAP=1 CARGO_INCREMENTAL=0
  export __CARGO_DEFAULT_LIB_METADATA=stablestd # keeps std's copies of crates apart from a guest's own
  RUSTFLAGS="-Zforce-unstable-if-unmarked --remap-path-prefix=$work/library=/rustc/$commit/library"
  export RUSTFLAGS="$RUSTFLAGS --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}/registry/src=/rust/deps"
  "$cargo" build -q -j"$jobs" --locked --profile dist --features panic-unwind,backtrace \
    --target-dir "$work/build" "${arguments[@]}" >"$work/build.log" 2>&1
}

# Puts a built target into the toolchain, all at once.
place() {
  local target=$1 new=$rustlib/.new-$1 libc
  rm -rf "$new"
  mkdir -p "$new/lib"
  cp "$work/build/$target/dist/deps/"*.rlib "$new/lib/"
  if [ "$target" = wasm32-wasip1 ]; then
    libc=$work/wasi-libc/usr/lib/wasm32-wasip1
    [ -d "$libc" ] || libc=$work/wasi-libc/usr/lib/wasm32-wasi
    mkdir "$new/lib/self-contained"
    cp "$libc"/crt1-command.o "$libc"/crt1-reactor.o "$libc"/libc.a "$new/lib/self-contained/"
  fi
  rm -rf "${rustlib:?}/$target"
  mv "$new" "$rustlib/$target"
}

from_source() {
  local target
  mkdir -p "$cache"
  get_library
  for target in "$@"; do
    [ "$target" != wasm32-wasip1 ] || get_wasi_libc
  done
  say "building std for $*: about two minutes on two cores"
  (compile_std "$@") || {
    cat "$work/build.log" >&2
    die "std did not build"
  }
  for target in "$@"; do place "$target"; done
}

missing=()
for target in "${targets[@]}"; do
  if [ "${WASM_TARGET_FORCE:-0}" != 1 ] && probe "$target"; then
    say "$target: works"
  elif with_rustup "$target" && probe "$target"; then
    say "$target: installed by rustup"
  else
    missing+=("$target")
  fi
done
if [ ${#missing[@]} -gt 0 ]; then
  [ ! -s "$work/rustup.log" ] || say "rustup: $(tail -n1 "$work/rustup.log")"
  from_source "${missing[@]}"
  for target in "${missing[@]}"; do
    probe "$target" || {
      cat "$work/probe.log" >&2
      die "$target is installed, but a program does not build"
    }
    say "$target: installed ($(du -sm "$rustlib/$target" | cut -f1) MB)"
  done
fi
