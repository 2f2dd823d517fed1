# shellcheck shell=bash disable=SC2034,SC2154
# Starts and stops the cluster's programs. Each one's pid is recorded with its start time and the boot it belongs to, so
# that a number which the kernel has given to somebody else meanwhile is never signalled.

# The kernel counts a process's start time in ticks since boot: field 22, the 20th behind the name's closing bracket.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
boot_id() { cat /proc/sys/kernel/random/boot_id; }

start() { # NAME COMMAND...
    local name=$1
    shift
    # The new session outlives the caller's shell; descriptor 9 is the lock, which must not live on in it.
    (track "$BASHPID" && exec setsid "$@") </dev/null >>"$dir/logs/$name.log" 2>&1 9>&- &
    printf '%s %s %s\n' "$!" "$(start_time $!)" "$(boot_id)" >"$dir/pids/$name"
}

# Prints a program's pid if it is still the one that was recorded.
pid_of() { # NAME
    local pid started boot
    read -r pid started boot 2>/dev/null <"$dir/pids/$1" || return 1
    [ "$boot" = "$(boot_id)" ] && [ "$(start_time "$pid")" = "$started" ] && printf '%s\n' "$pid"
}

stop() { # NAME [SECONDS UNTIL IT IS KILLED]
    local pid
    if pid=$(pid_of "$1"); then
        kill -TERM "$pid" 2>/dev/null || true
        poll "${2:-5}" ended "$1" || kill -KILL "$pid" 2>/dev/null || true
        poll 5 ended "$1" || die "$1 (process $pid) does not end"
    fi
    rm -f "$dir/pids/$1"
}

# A zombie has ended: its parent may be a shell that is still busy.
ended() {
    local pid
    pid=$(pid_of "$1") || return 0
    grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}

poll() { # SECONDS COMMAND...: true as soon as the command is
    local end=$(($(date +%s%3N) + $1 * 1000))
    shift
    until "$@"; do
        [ "$(date +%s%3N)" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# Waits for a command to be true. When it is not, or the program that would make it so has ended, shows that one's log.
await() { # WHAT SECONDS PROGRAM COMMAND...
    local what=$1 seconds=$2 program=$3
    shift 3
    poll "$seconds" settled "$program" "$@" >/dev/null 2>&1 || true
    "$@" >/dev/null 2>&1 && return
    say "--- end of $dir/logs/$program.log"
    tail -n 20 "$dir/logs/$program.log"
    die "no sign that $what (waited up to $seconds s)"
}

settled() { # PROGRAM COMMAND...
    pid_of "$1" >/dev/null || return 0
    shift
    "$@"
}
