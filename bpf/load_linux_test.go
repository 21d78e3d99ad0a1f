package bpf

import (
	"testing"

	"mirrorscope/internal/needs"
)

func TestLoad(t *testing.T) {
	needs.Root(t)
	p, err := Load(DefaultConfig(), ToSocket, 4)
	check(t, err)
	check(t, p.noFrags)
	check(t, p.Close())
	f, err := LoadFanout(4, Ports{})
	check(t, err)
	check(t, f.Close())
}
