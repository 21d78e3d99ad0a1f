package bpf

// The committed output needs clang 14 and llvm-strip of the same version to be
// made anew; `scripts/generate-bpf` does it and tells whether it differs.

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -tags linux -target bpfel,bpfeb fanout fanout.c -- -O2 -mcpu=v3 -Wall -Werror -fno-strict-aliasing
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -tags linux -target bpfel,bpfeb -type meta -type counter -type policy -type prefix_key -type prefix_rules -type vni_key prefilter prefilter.c -- -O2 -mcpu=v3 -Wall -Werror -fno-strict-aliasing
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -tags linux -target bpfel,bpfeb -no-global-types filter filter.c -- -O2 -mcpu=v3 -Wall -Werror -fno-strict-aliasing
