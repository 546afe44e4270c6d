# Every target works on a fresh clone with Go alone; what needs more says so.
# `make help` lists them.

SHELL      := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# The linter is pinned: a new version must not break an old commit.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Time for each fuzz target; make check gives each 3 s.
FUZZTIME ?= 60s

# Addresses of make run; both on loopback, because auth is none.
LISTEN   ?= 127.0.0.1:8080
INTERNAL ?= 127.0.0.1:8081

REVISION := $(shell git describe --always --dirty --abbrev=12 2>/dev/null)
LDFLAGS  := -s -w $(if $(REVISION),-X main.revision=$(REVISION))

# Each part of make check says when it begins: what it costs is seen in a log of CI.
SAY := printf '%s check: %s\n' "$$(date -u +%T)"

GO_DIRS := $(wildcard cmd netpoll session store bench)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## bin/roost and bin/roost-bench, static, no C compiler needed
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/roost ./cmd/roost
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/roost-bench ./cmd/roost-bench

.PHONY: run
run: build ## a node on loopback that believes everybody; it prints a line to paste
	exec bin/roost serve --auth none --listen $(LISTEN) --internal $(INTERNAL) --data ./data

# Packages tested at a time, one more than there are cores: those with servers of their own
# wait for most of their time (17 s of CPU in 53 s for five of them on two cores).
TEST_P ?= $(shell echo $$(($$(getconf _NPROCESSORS_ONLN) + 1)))

.PHONY: test
test: ## all tests
	CGO_ENABLED=0 go test -p $(TEST_P) -timeout 10m ./...
	cd bench/peers && CGO_ENABLED=0 go test -timeout 5m ./...

# The layers are held by a test of cmd/roost, which race runs.
.PHONY: check
check: format vet lint cross race invariants ## everything that must hold before a commit is merged
	scripts/fuzz.sh 3s
	@$(SAY) "all good"

.PHONY: format
format: ## fails when gofmt would change a file
	@$(SAY) "gofmt"
	@list=$$(gofmt -l $(GO_DIRS)); if [ -n "$$list" ]; then echo "not formatted, run gofmt -w:"; echo "$$list"; exit 1; fi

.PHONY: vet
vet: ## go vet, with and without the build tag invariants
	@$(SAY) "go vet"
	@CGO_ENABLED=0 go vet ./...
	@CGO_ENABLED=0 go vet -tags invariants $(TAGGED)

.PHONY: lint
lint: ## staticcheck, a pinned version from the Go proxy
	@$(SAY) "$(STATICCHECK)"
	@CGO_ENABLED=0 go run $(STATICCHECK) ./...

.PHONY: layers
layers: ## who imports whom, and the other rules of DESIGN.md over the sources
	@$(SAY) "layers"
	@CGO_ENABLED=0 go test -count=1 -run 'TestLayers' ./cmd/roost

.PHONY: cross
cross: ## compiles for the systems that roost is not run on
	@for os in darwin freebsd; do $(SAY) "GOOS=$$os go build"; CGO_ENABLED=0 GOOS=$$os go build ./...; done

.PHONY: race
race: ## all tests under the race detector and with the build tag invariants; needs a C compiler
	@TEST_P=$(TEST_P) scripts/race.sh

# The packages that the tag changes. make race has it too, for all others that use them.
TAGGED := ./netpoll/... ./session/peer

# Those tests of them of which make race, which has the tag, leaves cases out.
.PHONY: invariants
invariants: ## RFC 6455 cut at every place, with the build tag invariants: ownership is checked, borrowed buffers are poisoned
	@$(SAY) "tests with -tags invariants"
	@CGO_ENABLED=0 go test -timeout 10m -vet=off -short -tags invariants ./netpoll ./netpoll/netpolltest

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (60s)
	scripts/fuzz.sh $(FUZZTIME)

# A higher priority, where it is allowed, keeps who else is busy out of the figures. The
# real-time class would not do: it starves ksoftirqd, and packets wait.
BENCH_UNDER ?= nice -n -5

.PHONY: peers
peers: ## bin/peers: other people's WebSocket servers, and the floors, to compare with
	cd bench/peers && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o ../../bin/peers .

.PHONY: bench
bench: build peers ## every budget beside its floor, one core each for server and generator; under twenty minutes
	CGO_ENABLED=0 go test -c -o bin/route.test ./session/route
	CGO_ENABLED=0 go test -c -o bin/cluster.test ./cmd/roost/internal/cluster
	$(BENCH_UNDER) bin/roost-bench budget

.PHONY: bench-go
bench-go: ## Go's benchmarks of the hot paths
	go test -run '^$$' -bench . -benchmem ./netpoll/... ./session/... ./store/... ./cmd/roost/internal/cluster

.PHONY: bench-route-100m
bench-route-100m: ## the routing table with 100 million entries; 4 GB of memory, some minutes; make bench shows the result
	@mkdir -p bench/results
	go test -timeout 30m -run '^$$' -bench 'Lookup|Change|Held' -benchtime 2000000x ./session/route -args -entries 100000000 | tee bench/results/route-100m.txt

.PHONY: bench-idle
bench-idle: build ## bytes of memory for each idle connection, 2,000 then 18,000
	bin/roost-bench idle-slope --roost bin/roost

.PHONY: bench-crash
bench-crash: build ## kill -9 during connects, then what the store still knows
	bin/roost-bench crash --roost bin/roost

.PHONY: bench-promises
bench-promises: build ## kill -9 ten times while 100,000 messages are accepted that are to be kept
	bin/roost-bench promises --roost bin/roost

.PHONY: bench-mailbox
bench-mailbox: build ## a million messages that wait: restart, and a device that takes its own
	bin/roost-bench mailbox --roost bin/roost

.PHONY: bench-peers
bench-peers: build peers ## echo beside gws, nbio, gorilla, coder, gobwas, gnet and a bare poller
	bench/peers/compare.sh

.PHONY: conformance
conformance: build ## RFC 6455 by the groups of the Autobahn suite, over a real socket
	scripts/conformance.sh

.PHONY: cluster
cluster: build ## three nodes on this machine, with lines to paste
	exec scripts/cluster 3

.PHONY: sim-mutants
sim-mutants: ## every rule of replication and of the mailbox switched off once: the tests must catch each
	scripts/sim-mutants.sh

.PHONY: clean
clean: ## removes bin/
	rm -rf bin
