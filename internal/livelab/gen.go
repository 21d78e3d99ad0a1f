package livelab

// Made anew by scripts/generate-bpf, as the programs of package bpf are.

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -tags linux -target bpfel,bpfeb flood flood.c -- -O2 -mcpu=v3 -Wall -Werror -fno-strict-aliasing
