#!/usr/bin/env bash
# Runs every fuzz target of the module for the given time each.
#
#   scripts/fuzz.sh [TIME]      60s when nothing is said
#
# The targets are found, not listed, so a new one is run from its first day.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-60s}
export CGO_ENABLED=0

# `go test -list` prints the targets of a package and then "ok  PACKAGE TIME".
if ! list=$(go test -list '^Fuzz' ./...); then
	echo "$list" >&2
	exit 1
fi
targets=$(awk '/^Fuzz/ { names = names " " $1 } /^ok/ { n = split(names, t, " "); for (i = 1; i <= n; i++) print $2, t[i]; names = "" }' <<<"$list")
if [ -z "$targets" ]; then
	echo "fuzz: no targets" >&2
	exit 1
fi
count=$(wc -l <<<"$targets")
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# The workers of a target may miss its deadline on a busy machine, and Go calls
# that a failure. It left no input that fails, so it is tried
# again; a finding has such an input and ends the run.
run() {
	if go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 20x "$1" >"$log" 2>&1; then
		return 0
	fi
	if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
		return 2
	fi
	return 1
}

n=0
while read -r package name; do
	n=$((n + 1))
	printf 'fuzz %d/%d: %s %s for %s' "$n" "$count" "$package" "$name" "$time"
	status=0
	run "$package" "$name" || status=$?
	if [ "$status" = 2 ]; then
		printf ', again'
		status=0
		run "$package" "$name" || status=$?
	fi
	if [ "$status" != 0 ]; then
		printf ': FAILED\n'
		cat "$log"
		exit 1
	fi
	execs=$(grep -o 'execs: [0-9]*' "$log" | tail -1 || true)
	printf ': %s\n' "${execs:-its corpus only, the time was too short for more}"
done <<<"$targets"
