#!/usr/bin/env bash
# Runs every fuzz target of the module, or of the named packages, for the given time each.
#
#   scripts/fuzz.sh [TIME [PACKAGE ...]]      60s when nothing is said
#
# The targets are found, not listed, so a new one is run from its first day. Each package's
# test binary is built once for all of its targets, and only what a target is about counts
# coverage: `go test -fuzz` would compile every library below it once more, most of Kafka's
# and Pebble's clients for a parser of YAML.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:-60s}
packages=("${@:2}")
[ ${#packages[@]} -gt 0 ] || packages=(./...)
export CGO_ENABLED=0

# Whose branches guide the search: ours, and the parsers that only ours stand on. What
# others import as well would have all of those compiled once more.
counted=()
for those in github.com/roostpush/roost/... github.com/gobwas/... go.yaml.in/...; do
	counted+=("-gcflags=$those=-d=libfuzzer") # what -fuzz passes to the compiler for all packages (cmd/go, fuzzInstrumentFlags)
done

files='{{$p := .}}{{range .TestGoFiles}}{{$p.ImportPath}} {{$p.Dir}} {{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$p.ImportPath}} {{$p.Dir}} {{.}}{{"\n"}}{{end}}'
targets=$(go list -f "$files" "${packages[@]}" | sort -u | while read -r package dir file; do
	[ -n "$package" ] || continue
	sed -nE "s|^func (Fuzz[A-Za-z0-9_]*)\([a-z]+ \*testing\.F\).*|$package $dir \1|p" "$dir/$file"
done)
if [ -z "$targets" ]; then
	echo "fuzz: no targets" >&2
	exit 1
fi
count=$(wc -l <<<"$targets")
printf '%s fuzz: %d targets\n' "$(date -u +%T)" "$count"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
cache=$(go env GOCACHE)/fuzz # where go test keeps what it found

# The workers of a target may miss its deadline on a busy machine, and Go calls
# that a failure. It left no input that fails, so it is tried
# again; a finding has such an input and ends the run.
run() { # PACKAGE DIR NAME
	mkdir -p "$cache/$1"
	if (cd "$2" && "$work/test" -test.run '^$' -test.fuzz "^$3\$" -test.fuzztime "$time" -test.fuzzminimizetime 20x -test.fuzzcachedir "$cache/$1" </dev/null) >"$log" 2>&1; then
		return 0
	fi
	if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input written' "$log"; then
		return 2
	fi
	return 1
}

n=0
built=
while read -r package dir name; do
	if [ "$package" != "$built" ]; then
		go test -c -vet=off -ldflags='-s -w' "${counted[@]}" -o "$work/test" "$package" </dev/null
		built=$package
	fi
	n=$((n + 1))
	printf 'fuzz %d/%d: %s %s for %s' "$n" "$count" "$package" "$name" "$time"
	status=0
	run "$package" "$dir" "$name" || status=$?
	if [ "$status" = 2 ]; then
		printf ', again'
		status=0
		run "$package" "$dir" "$name" || status=$?
	fi
	if [ "$status" != 0 ]; then
		printf ': FAILED\n'
		cat "$log"
		exit 1
	fi
	# A binary without counters would search blindly.
	if ! grep -q 'baseline coverage' "$log"; then
		printf ': its binary does not count coverage\n'
		cat "$log"
		exit 1
	fi
	execs=$(grep -o 'execs: [0-9]*' "$log" | tail -1 || true)
	printf ': %s\n' "${execs:-its corpus only, the time was too short for more}"
done <<<"$targets"
