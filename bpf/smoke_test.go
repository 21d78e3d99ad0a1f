package bpf

import (
	"errors"
	"github.com/cilium/ebpf"
	"testing"

	"mirrorscope/internal/needs"
)

func TestLoad(t *testing.T) {
	needs.Root(t)
	p, err := Load(DefaultConfig(), ToSocket, 4)
	if err != nil {
		verr(t, err)
	}
	t.Log(p.noFrags)
	p.Close()
	f, err := LoadFanout(4, Ports{})
	if err != nil {
		verr(t, err)
	}
	f.Close()
}

func verr(t *testing.T, err error) {
	var ve *ebpf.VerifierError
	if errors.As(err, &ve) {
		t.Fatalf("%+v", ve)
	}
	t.Fatal(err)
}
