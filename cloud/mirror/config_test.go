package mirror

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file of which only a part would be read is no desired state.
func TestLoadTooLong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mirror.toml")
	const state = "name = \"long\"\n[select]\ninstances = \"*\"\n[[targets]]\nid = \"tmt-0123456789abcdef0\"\n"
	const more = "[[targets]]\nid = \"tmt-0123456789abcdef1\"\n"
	fill := func(octets int) string { return "#" + strings.Repeat("-", octets-2) + "\n" }
	for _, c := range []struct {
		text    string
		targets int // 0: refused
	}{
		{state + fill(maxConfig-len(state)-len(more)) + more, 2},
		{state + fill(maxConfig-len(state)) + more, 0},
	} {
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Load(path)
		if c.targets == 0 && (err == nil || !strings.Contains(err.Error(), "longer than")) || c.targets > 0 && err != nil || len(got.Targets) != c.targets {
			t.Errorf("%d octets: %d targets, error %v; want %d", len(c.text), len(got.Targets), err, c.targets)
		}
	}
}
