# shellcheck shell=bash
# Functions to source: asking an HTTP server with nothing but bash.

# ask HOST PORT PATH: prints the body; fails when there is no answer.
ask() {
  local connection answer
  exec {connection}<>"/dev/tcp/$1/$2" || return 1
  printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$3" "$1" >&"$connection"
  answer=$(timeout 10 cat <&"$connection" | tr -d '\r')
  exec {connection}>&-
  [ -n "$answer" ] || return 1
  sed '1,/^$/d' <<<"$answer"
}

# until_it_answers HOST PORT [PID]: waits up to 30 s, as long as the process lives.
until_it_answers() {
  local attempt
  for attempt in $(seq 300); do
    if (ask "$1" "$2" /healthz) >/dev/null 2>&1; then return 0; fi
    if [ -n "${3:-}" ] && ! kill -0 "$3" 2>/dev/null; then return 1; fi
    sleep 0.1
  done
  echo "no answer after $attempt attempts" >&2
  return 1
}
