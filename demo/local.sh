#!/usr/bin/env bash
# Runs examples/counter-server with the given `perigee`, sends it requests, shows the answers, stops it.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
perigee=${1:?usage: local.sh PERIGEE}
modules=${CARGO_TARGET_DIR:-$root/target}/guests
# shellcheck source=demo/ask.sh
source "$here/ask.sh"

log=$(mktemp)
show() { printf '\n$ %s\n' "$*"; }
show "perigee run --modules target/guests examples/counter-server/app.yaml"
"$perigee" run --modules "$modules" "$root/examples/counter-server/app.yaml" >"$log" 2>&1 &
pid=$!
stop() {
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  rm -f "$log"
}
trap stop EXIT

if ! until_it_answers 127.0.0.1 8080 "$pid"; then
  echo "the server did not answer; its log:" >&2
  cat "$log" >&2
  exit 1
fi
for path in / / /crash /healthz; do
  show "curl localhost:8080$path"
  ask 127.0.0.1 8080 "$path" || echo "(no answer: the request's actor died, and nobody else)"
done
printf '\nIts log:\n'
sed 's/^/  /' "$log"
