# Two commands: `make dev` runs everything on this machine, `make test` checks
# everything. Both install what they need of the system, where they may.

.PHONY: dev test lint fuzz generate

# make dev ARGS='--reset --access-token-ttl 5s'
#
# Built and then exec'd: `go run` would die of a SIGTERM and leave the server
# running.
dev:
	@scripts/need go postgresql
	@go build -buildvcs=false -o bin/scaling-mcp ./cmd/scaling-mcp
	@exec bin/scaling-mcp dev $(ARGS)

# With CI=true a test that finds something missing fails, and is not skipped.
test:
	@scripts/need go cc postgresql redis-server chromium npm
	@$(MAKE) --no-print-directory lint
	@go run ./cmd/scaling-test

# What needs no server: vet (of what the tests compile anyway, with -race), and that generated files, formatting and go.mod are
# as their tools would have them.
lint:
	go vet -race ./...
	scripts/check

# make fuzz FUZZTIME=10m TARGETS=FuzzToken
FUZZTIME ?= 20s
fuzz:
	@scripts/need go cc postgresql
	scripts/fuzz $(FUZZTIME) $(TARGETS)

generate:
	go tool templ generate
