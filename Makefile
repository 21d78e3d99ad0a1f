# Mirrorscope. `make help` lists the targets.

# Go alone makes the binary: no C compiler, no C library, no path of this
# machine in it. VCS stamping is off so that a source archive builds the same.
GO       ?= go
GOBUILD   = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false
FUZZTIME ?= 30s
BENCH    ?= .

.DEFAULT_GOAL := help
.PHONY: help demo build test check bench fuzz lab docs clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

demo: build ## build, then replay the demo capture
	@echo
	bin/sensor replay testdata/pcaps/shop.pcap

build: ## build the static binary bin/sensor
	$(GOBUILD) -o bin/sensor ./cmd/sensor

test: ## vet and test everything; names what is skipped and why
	@scripts/test-deps
	$(GO) vet ./...
	@$(GO) run -buildvcs=false ./internal/testreport $(GO) -count=1 ./...

check: ## format, vet, linters, static build, race detector
	@scripts/check $(GO)

bench: ## run every benchmark (BENCH=regexp narrows)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@scripts/fuzz $(GO) $(FUZZTIME)

lab: ## as root: kernel TCP through planned faults; rewrite docs/explanation/accuracy.md
	@scripts/test-deps
	$(GO) run -buildvcs=false ./internal/netlab/cmd/lab -o docs/explanation/accuracy.md

docs: ## refresh the sample output in README.md and the generated pages
	$(GO) test . ./cmd/sensor -run '^(TestDocs|TestReference)' -update

clean: ## remove what was built
	rm -rf bin
