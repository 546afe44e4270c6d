#!/usr/bin/env bash
# What make bench-peers runs: our echo server beside every other and the floor, in
# turn, servers on one core and the generator on the other. It prints a table for each
# load and writes bench/results/peers-*.json. About eight minutes.
#
#   ROUNDS_FEW=15 ROUNDS_MANY=5 bench/peers/compare.sh     more rounds on a noisy machine
set -uo pipefail
cd "$(dirname "$0")/../.."

bench=${BENCH:-bin/roost-bench}
peers=${PEERS:-bin/peers}
targets=(--target "roost=$bench echo-server --listen {listen}")
for name in poller raw gnet gws gorilla gobwas coder nbio; do
	targets+=(--target "$name=$peers $name --listen {listen}")
done

worst=0
# compare CONNECTIONS BYTES ROUNDS DURATION
compare() {
	"$bench" compare echo --server-cpu 0 --generator-cpu 1 "${targets[@]}" \
		--connections "$1" --size "$2" --rounds "$3" --duration "$4" \
		--json "bench/results/peers-$1-$2.json"
	local code=$?
	if ((code > worst)); then worst=$code; fi
}

compare 200 20 "${ROUNDS_FEW:-9}" 700ms
compare 200 1024 "${ROUNDS_FEW:-9}" 700ms
compare 10000 20 "${ROUNDS_MANY:-5}" 2s
compare 10000 1024 "${ROUNDS_MANY:-5}" 2s
exit "$worst"
