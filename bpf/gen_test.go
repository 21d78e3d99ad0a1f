package bpf

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -tags linux -target bpfel,bpfeb -type found walkXDP walktest.c -- -O2 -mcpu=v3 -Wall -Werror -fno-strict-aliasing
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -cc clang-14 -strip llvm-strip-14 -tags linux -target bpfel,bpfeb -no-global-types walkSocket walktest.c -- -O2 -mcpu=v3 -Wall -Werror -fno-strict-aliasing -DWALK_SKB
