# Fulmen. `make` prints the targets; `make run` and `make test` are the two to know.

STATICCHECK  := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# All but ST1005, how an error's text begins and ends: clients get Redis's words.
CHECKS       := inherit,-ST1005
FUZZ_SECONDS := 30
CHAOS_ROUNDS := 60
CHAOS_FROM   := 1
# What is written while a replica stands still.
STOPPED_MB   := 2048
DIFF_COMMANDS := 1000000
# How often the power is cut under a server, for each appendfsync.
POWERCUTS := 4

.PHONY: help build run lint test race diff powercut crash chaos stopped big fuzz cover bench report clean ci

help: ## print the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/fulmen-server and bin/fulmen-check
	CGO_ENABLED=0 go build -o bin/ ./cmd/...

run: build ## build and run the server on port 6379
	bin/fulmen-server

lint: ## gofmt, go vet, staticcheck and the limits of internal/lint
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted with gofmt:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go vet -tags invariants ./...
	go run $(STATICCHECK) -checks $(CHECKS) ./...
	go test -count=1 ./internal/lint

test: ## install the oracle (redis-server), node and mkfs.ext4 if they are missing, and run all tests
	@.ci/tools redis-server redis-cli mkfs.ext4 node npm
	@.ci/npm bin/clients
	go test -timeout 30m -tags invariants ./...

race: ## run all tests under the race detector
	@.ci/tools gcc redis-server redis-cli mkfs.ext4
	CGO_ENABLED=1 go test -timeout 30m -race ./...

diff: ## compare a million random commands with redis-server
	@.ci/tools redis-server redis-cli
	go test -count=1 -timeout 60m -run '^TestDiff' -v \
		$$(go list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... \
			| awk '/[[ ]fulmen\/internal\/redistest[] ]/ { print $$1 }') \
		-commands $(DIFF_COMMANDS)

powercut: ## cut the power of an ext4 at every step of a save, and under a server that works (as root)
	@.ci/tools mkfs.ext4
	go test -count=1 -run '^TestPowerCut' -v ./persist/snapshot
	FULMEN_POWERCUTS=$(POWERCUTS) go test -count=1 -run '^TestPowerCut' -v ./internal/server

crash: powercut ## the same, and 20,000 states of the disk after crashes, and damage of every kind
	go test -count=1 -timeout 60m -run '^Test(CrashAt|ErrorsAt|LoadNotices|Damaged)' -v ./persist/snapshot
	go test -count=1 -timeout 60m -run '^(TestCrashStates|TestDamage)' -v ./persist/aof -states 20000

chaos: ## cut 500 links and kill 100 servers of replicas and primaries under load
	@.ci/tools redis-server
	go test -count=1 -timeout 60m -parallel 3 -run '^TestChaos$$' -v ./internal/chaos \
		-long -rounds $(CHAOS_ROUNDS) -from $(CHAOS_FROM)

stopped: ## write STOPPED_MB while a replica stands still: its primary's memory is bounded, and it goes on where it was
	FULMEN_STOPPED_MB=$(STOPPED_MB) go test -count=1 -timeout 60m -run '^TestStoppedReplica$$' -v ./internal/server

big: ## prove replay and walks with collections of a million elements
	go test -count=1 -timeout 60m -run 'BigCollections' -v ./internal/server -big 1000000

fuzz: ## run every fuzz target for FUZZ_SECONDS
	@.ci/fuzz $(FUZZ_SECONDS)

cover: ## test coverage, a line a package and the total
	go test -tags invariants -coverprofile coverage.out -coverpkg ./... ./... > /dev/null
	@go tool cover -func coverage.out | tail -n 1

bench: ## the packages' own benchmarks
	go test -run '^$$' -bench . -benchmem ./...

report: build ## measure against the peers on PATH and write BENCHMARKS.md
	go run ./benchmarks

clean: ## remove what was built
	rm -rf bin coverage.out

ci: ## all of the above that must hold: what .ci/run runs
	.ci/run
