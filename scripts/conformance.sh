#!/usr/bin/env bash
# Judges bin/roost-bench echo-server over a real socket, by the case groups of the
# Autobahn suite (netpoll/netpolltest). Prints N passed, N failed.
set -euo pipefail
cd "$(dirname "$0")/.."

limit=$((16 << 20))
out=$(mktemp)
bin/roost-bench echo-server --listen 127.0.0.1:0 --message-bytes "$limit" >"$out" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; rm -f "$out"' EXIT

# The server prints its address once it listens.
for _ in $(seq 100); do
	address=$(sed -n 's/^echo server on //p' "$out")
	[ -z "$address" ] || break
	kill -0 "$server" 2>/dev/null || { echo "conformance: the echo server ended" >&2; exit 1; }
	sleep 0.1
done
[ -n "$address" ] || { echo "conformance: the echo server did not say where it listens" >&2; exit 1; }

CGO_ENABLED=0 go test -count=1 -v -timeout 15m -run '^TestConformanceSocket$' ./netpoll/netpolltest \
	-target "$address" -target-limit "$limit"
