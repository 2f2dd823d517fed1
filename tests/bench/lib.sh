# shellcheck shell=bash disable=SC2034
# What the measurements of starts share: the same hello for runc and for Perigee, and how times and memory are told.

# The options of both scripts, into bin, xtask, runs and idle. Without what has to be there: how it is used, as its head says.
read_options() { # IDLE-BY-DEFAULT ARGUMENTS...
    bin='' xtask='' runs=30 idle=$1
    shift
    while [ $# -gt 0 ]; do
        case $1 in
            --bin) bin=$(realpath "${2:?}") && shift 2 ;;
            --xtask) xtask=$(realpath "${2:?}") && shift 2 ;;
            --runs) runs=${2:?} && shift 2 ;;
            --idle) idle=${2:?} && shift 2 ;;
            *) echo "$1: unknown option" >&2 && exit 2 ;;
        esac
    done
    if [ -z "$bin" ] || [ -z "$xtask" ]; then sed -n '/^# shellcheck/d; 2,/^set /s/^# \{0,1\}//p' "$0" >&2 && exit 2; fi
}

# A program that says hello and, with the argument `idle`, stays; native and for Wasm, each as an OCI archive of its name.
make_hellos() { # FOLDER XTASK NATIVE-IMAGE WASM-IMAGE
    cat >"$1/hello.rs" <<'RUST'
fn main() {
    println!("hello");
    if std::env::args().nth(1).as_deref() == Some("idle") {
        std::thread::sleep(std::time::Duration::from_secs(3600));
    }
}
RUST
    rustc --edition 2024 -O -C target-feature=+crt-static -C strip=symbols -o "$1/hello" "$1/hello.rs"
    rustc --edition 2024 -O --target wasm32-wasip1 -C strip=symbols -o "$1/hello.wasm" "$1/hello.rs"
    "$2" image --output "$1/native.tar" --tag "$3" "$1/hello"
    "$2" image --output "$1/wasm.tar" --tag "$4" "$1/hello.wasm"
}

# The median and the 90th percentile of a file's numbers.
percentiles() { # FILE
    sort -n "$1" | awk '{ a[NR] = $1 } END { printf " %8.1f %8.1f", a[int((NR + 1) / 2)], a[int(NR * 0.9 + 0.5)] }'
}

load() { cut -d' ' -f1-3 /proc/loadavg; }

# Name and proportional memory in KiB of a process and of what it started, one line each.
pss() { # PID
    local children child
    printf '%s %s\n' "$(cat "/proc/$1/comm")" "$(awk '/^Pss:/ { print $2 }' "/proc/$1/smaps_rollup")"
    children=$(cat "/proc/$1/task/"*/children 2>/dev/null) || true
    for child in $children; do pss "$child"; done
}

sum() { awk '{ total += $2 } END { print total + 0 }'; }
