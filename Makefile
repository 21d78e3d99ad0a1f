# Mirrorscope. `make help` lists the targets.

# Go alone makes the binary: no C compiler, no C library, no path of this
# machine in it. VCS stamping is off so that a source archive builds the same.
# Without grpcnotrace, gRPC brings pages of its own with templates, which can call
# any method by its name: the linker would keep all that there are, 60 MB of them.
GO       ?= go
GOBUILD   = CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -tags=grpcnotrace
FUZZTIME ?= 30s
BENCH    ?=
MICRO    ?= .

.DEFAULT_GOAL := help
VERSION  ?= 0.0.0
SOAK     ?=
RATES    ?=

.PHONY: help demo build test check bench microbench benchstat fuzz lab rates soak test-kernels test-packages generate profile packages image docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: build ## build, then replay the demo capture
	@echo
	bin/sensor replay testdata/pcaps/shop.pcap

build: ## build the static binary bin/sensor
	$(GOBUILD) -o bin/sensor ./cmd/sensor

# As the binary is built, so that tests which build it compile nothing again: of the
# clouds' clients alone that takes minutes. Vet has looked at everything before, with
# more analyzers than go test has.
test: export CGO_ENABLED = 0
test: export GOFLAGS = -trimpath -buildvcs=false -tags=grpcnotrace
test: ## vet and test everything; names what is skipped and why
	@scripts/test-deps
	$(GO) vet ./...
	@$(GO) run -buildvcs=false ./internal/testreport $(GO) -vet=off -count=1 ./...

check: ## format, vet, linters, static build, race detector
	@scripts/check $(GO)

bench: ## what replay costs beside other programs; rewrite docs/reference/performance.md (30 min; BENCH="-scale 0.1 -only W1" prints a quick look)
	@scripts/bench-deps
	$(GO) run -buildvcs=false ./internal/perf/cmd/perf $(or $(BENCH),-o docs/reference/performance.md)

microbench: ## every Go benchmark (MICRO=regexp narrows)
	$(GO) test -run '^$$' -bench '$(MICRO)' -benchmem ./...

benchstat: ## the benchmarks of each stage against the baseline (BASELINE=new keeps it anew)
	@scripts/benchstat $(GO) $(BASELINE)

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@scripts/fuzz $(GO) $(FUZZTIME)

lab: ## as root: kernel TCP through planned faults; rewrite docs/explanation/accuracy.md
	@scripts/test-deps
	$(GO) run -buildvcs=false ./internal/netlab/cmd/lab -o docs/explanation/accuracy.md

rates: ## as root, on an idle machine: frames a second on one core, beside tcpdump and a bare reader (20 min); RATES="-rate 100000": CPU time of a frame
	@scripts/test-deps
	$(GO) run -buildvcs=false ./internal/livelab/cmd/rates $(RATES)

soak: ## as root: ten minutes at a constant rate (SOAK="-mode afxdp -rate 200000"): memory, losses
	$(GO) run -buildvcs=false ./internal/livelab/cmd/soak $(SOAK)

test-kernels: ## as root on Debian: what talks to the kernel, on kernels 6.1 and 6.12 in QEMU
	@scripts/test-kernels $(GO)

generate: ## make the BPF objects anew; fails where they differ from the committed ones
	@scripts/generate-bpf $(GO)

profile: ## measure what the release is optimised by: rewrite cmd/sensor/release.pgo
	@scripts/profile $(GO)

packages: ## deb and rpm for amd64 and arm64 in bin/packages (VERSION=1.2.3)
	@scripts/packages $(GO) $(VERSION) bin/packages

test-packages: ## as root on Debian: the packages, on systems made by debootstrap (3 min)
	@scripts/test-packages $(GO)

image: ## the tree of a container image in bin/image
	@scripts/image $(GO) $(VERSION) bin/image

docs: ## refresh the sample output in README.md and the generated pages
	$(GO) test . ./cmd/sensor ./sink/prom ./daemon ./enrich -run '^(TestDocs|TestReference|TestDefaultConfig)' -update

clean: ## remove what was built
	rm -rf bin
