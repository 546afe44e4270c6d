#!/bin/sh
# Shows that the simulator catches every rule of DESIGN.md decision 3, 5, 6 and 7 that is
# switched off by its build tag. SEEDS is how many seeds each may take, 50 by default.
set -u
cd "$(dirname "$0")/.."
failed=0
for rule in forget reset swap reassert tombstone version onehop merge look keep hold ask; do
	if out=$(go test -vet=off -tags "mutant_$rule" ./session/sim -run TestSeeds -seeds "${SEEDS:-50}" 2>&1); then
		echo "mutant_$rule: NOT caught"
		failed=1
	elif seed=$(echo "$out" | grep -m1 'replay:'); then
		echo "mutant_$rule: caught, $(echo "$seed" | sed 's/.*\(seed [0-9]*\) (replay.*/\1/'): $(echo "$out" | grep -A1 -m1 'replay:' | tail -1 | cut -c1-120 | sed 's/^ *//')"
	else
		echo "mutant_$rule: does not run:"
		echo "$out" | head -5
		failed=1
	fi
done
for rule in look keep conditional; do
	if out=$(go test -vet=off -tags "mutant_$rule" ./session/mailbox -run TestInterleavings 2>&1); then
		echo "mutant_$rule: NOT caught"
		failed=1
	elif scenario=$(echo "$out" | grep -m1 -- '--- FAIL: TestInterleavings/'); then
		echo "mutant_$rule: caught, ${scenario##*TestInterleavings/}: $(echo "$out" | grep -m1 'interleave_test.go' | sed 's/^ *//' | cut -c1-120)"
	else
		echo "mutant_$rule: does not run:"
		echo "$out" | head -5
		failed=1
	fi
done
exit $failed
