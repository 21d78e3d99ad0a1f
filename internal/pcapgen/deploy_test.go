package pcapgen

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"mirrorscope/internal/needs"
)

// TestDeployFile compares the committed file with what Deploy gives.
func TestDeployFile(t *testing.T) {
	frames, _ := Deploy(shopSeed)
	var want bytes.Buffer
	w := NewPcapWriter(&want, PcapConfig{Link: LinkEthernet, Nano: true})
	for _, f := range frames {
		if err := w.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(needs.Repository(t), "testdata", "pcaps", "deploy.pcap")
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what Deploy(%d) gives; go test ./internal/pcapgen -run Deploy -update writes it anew", path, shopSeed)
	}
}
