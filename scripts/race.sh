#!/usr/bin/env bash
# Runs all tests under the race detector (-short: every case, at fewer split points). It needs cgo, so a C compiler; without
# one this is an error where CI=true and is said plainly elsewhere, because
# nothing else of roost needs a compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v "${CC:-gcc}" >/dev/null; then
	echo "race: there is no C compiler (${CC:-gcc}), which the race detector needs: apt-get install gcc libc6-dev" >&2
	[ "${CI:-}" != true ] || exit 1
	echo "race: SKIPPED" >&2
	exit 0
fi
echo "check: tests under the race detector"
CGO_ENABLED=1 go test -timeout 20m -race -short ./...
