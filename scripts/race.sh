#!/usr/bin/env bash
# Runs all tests under the race detector (-short: every case, at fewer split points), and
# with the build tag invariants: who uses a connection outside its event panics, and borrowed
# bytes are overwritten when their time is over, which the detector sees whoever still reads
# them. It needs cgo, so a C compiler; without one this is an error where CI=true, and
# elsewhere the tests run with the tag alone, because nothing else of roost needs a compiler.
# go vet is make vet's.
set -euo pipefail
cd "$(dirname "$0")/.."
p=${TEST_P:-$(($(getconf _NPROCESSORS_ONLN) + 1))} # as make test, and for its reason

if ! command -v "${CC:-gcc}" >/dev/null; then
	echo "race: there is no C compiler (${CC:-gcc}), which the race detector needs: apt-get install gcc libc6-dev" >&2
	[ "${CI:-}" != true ] || exit 1
	echo "race: SKIPPED, with -tags invariants alone" >&2
	CGO_ENABLED=0 exec go test -p "$p" -timeout 20m -vet=off -short -tags invariants "${@:-./...}"
fi
printf '%s check: tests under the race detector, with -tags invariants\n' "$(date -u +%T)"
CGO_ENABLED=1 go test -p "$p" -timeout 20m -vet=off -race -short -tags invariants "${@:-./...}"
