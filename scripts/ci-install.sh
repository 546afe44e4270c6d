#!/usr/bin/env bash
# Installs what the tests need beyond Go and Node.js: a C compiler for the race
# detector, Chromium for the browser test, iproute2 for the tests that need a
# network of their own, redis-server for mailboxes in Redis, and the npm packages
# that the tests pin.
#
# For CI and for a developer's Debian or Ubuntu; run as root, or where sudo asks
# nothing. What is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'install: %s\n' "$*"; }

missing=()
want() { # want COMMAND PACKAGE...
	local command=$1
	shift
	command -v "$command" >/dev/null || missing+=("$@")
}
want gcc gcc libc6-dev
want chromium chromium
want ip iproute2
want make make
want node nodejs
want npm npm
want redis-server redis-server

if [ ${#missing[@]} -gt 0 ]; then
	say "apt-get install ${missing[*]}"
	root=()
	[ "$(id -u)" = 0 ] || root=(sudo -n)
	export DEBIAN_FRONTEND=noninteractive
	"${root[@]}" apt-get update -q </dev/null
	"${root[@]}" apt-get install -q -y --no-install-recommends "${missing[@]}" </dev/null
else
	say "compiler, Chromium, ip, make, node, npm and redis-server are there"
fi

# Each folder with a lock file is a test's own; nothing is installed globally.
git ls-files -z --cached --others --exclude-standard -- '*package-lock.json' | while IFS= read -r -d '' lock; do
	folder=$(dirname "$lock")
	say "npm ci in $folder"
	(cd "$folder" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error </dev/null)
done

say "go mod download"
go mod download
