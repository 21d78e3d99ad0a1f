package bpf_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"mirrorscope/bpf"
	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/flow"
	"mirrorscope/internal/needs"
	"mirrorscope/packet"
	"mirrorscope/pipeline"
	"mirrorscope/sink/jsonl"
)

// source is a Source of frames in memory.
type source struct {
	frames []capture.Frame
	names  []string
}

func (s *source) Next(f *capture.Frame) error {
	if len(s.frames) == 0 {
		return io.EOF
	}
	*f, s.frames = s.frames[0], s.frames[1:]
	return nil
}

func (s *source) Interfaces() []string { return s.names }
func (s *source) Errors() []error      { return nil }
func (s *source) Close() error         { return nil }

// read gives the frames of a capture, owned.
func read(t *testing.T, path string) (s source) {
	t.Helper()
	r, err := pcapfile.Open(pcapfile.Config{Paths: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for {
		var f capture.Frame
		if err := r.Next(&f); errors.Is(err, io.EOF) {
			s.names = slices.Clone(r.Interfaces())
			return s
		} else if err != nil {
			t.Fatal(err)
		}
		f.Data = bytes.Clone(f.Data)
		s.frames = append(s.frames, f)
	}
}

// records replays frames and gives the connection records by id.
func records(t *testing.T, s source) map[string]map[string]any {
	t.Helper()
	cfg := pipeline.Config{Shards: 1, Decode: packet.DefaultConfig(), Flow: flow.DefaultConfig(), Names: new(packet.Names)}
	var out bytes.Buffer
	w := jsonl.New(&out, cfg.Names)
	if _, err := pipeline.Run(context.Background(), &s, cfg, w.Write); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]any{}
	for line := range bytes.Lines(out.Bytes()) {
		var r map[string]any
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		if r["type"] == "connection" {
			all[fmt.Sprint(r["id"])] = r
		}
	}
	return all
}

// trimmed gives the frames as the pre-filter hands them on.
func trimmed(t *testing.T, p *bpf.Prefilter, s source) (out source, before, after int) {
	t.Helper()
	out.names = s.names
	for _, f := range s.frames {
		before += len(f.Data)
		if f.Link == capture.LinkEthernet && len(f.Data) >= 14 && len(f.Data) <= 3400 { // what a test run takes
			to := make([]byte, len(f.Data)+512)
			o := ebpf.RunOptions{Data: f.Data, DataOut: to}
			action, err := p.Program().Run(&o)
			if err != nil {
				t.Fatalf("%v of %d octets", err, len(f.Data))
			}
			if action != 2 {
				t.Fatalf("action %d", action)
			}
			if !bytes.HasPrefix(f.Data, o.DataOut) {
				t.Fatalf("%x\nbecame\n%x", f.Data, o.DataOut)
			}
			f.Data = o.DataOut
		}
		after += len(f.Data)
		out.frames = append(out.frames, f)
	}
	return out, before, after
}

// TestTrimming measures what trimming takes away: every capture is replayed
// whole and as the pre-filter trims it, and the records are compared. With the
// default heads, nothing but the number of truncated packets differs. Without
// heads much does, which shows that the captures ask for them.
func TestTrimming(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	files := []string{filepath.Join(needs.Repository(t), "testdata", "pcaps", "shop.pcap")}
	err := filepath.WalkDir(filepath.Join(needs.Captures(t), "dev"), func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		head uint32
	}{
		{"heads", bpf.DefaultConfig().TrimHead},
		{"no heads", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := bpf.DefaultConfig()
			cfg.Trim, cfg.TrimHead = 64, c.head
			p, err := bpf.LoadPlaces(cfg, 1<<13)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Close()
			var connections, octets, kept int
			differing := map[string]int{} // fields of connection records
			for _, path := range files {
				whole := read(t, path)
				if err := p.Forget(); err != nil {
					t.Fatal(err)
				}
				cut, before, after := trimmed(t, p, whole)
				octets, kept = octets+before, kept+after
				want, got := records(t, whole), records(t, cut)
				connections += len(want)
				if len(want) != len(got) {
					t.Errorf("%s: %d connections, %d untrimmed", filepath.Base(path), len(got), len(want))
				}
				for id, w := range want {
					for _, field := range differences(w, got[id]) {
						differing[field]++
						if c.head > 0 {
							t.Errorf("%s: %s %v, untrimmed %v", filepath.Base(path), field, got[id][field], w[field])
						}
					}
				}
			}
			t.Logf("%d of %d octets kept; of %d connections differ in %v", kept, octets, connections, differing)
			if c.head == 0 && differing["tls"] == 0 {
				t.Error("trimming without heads loses nothing: the captures are too short to tell")
			}
		})
	}
}

// differences names the fields in which two records differ, truncated packets
// apart.
func differences(a, b map[string]any) (fields []string) {
	for _, r := range []map[string]any{a, b} {
		if c, ok := r["capture"].(map[string]any); ok {
			delete(c, "truncated_packets")
		}
	}
	for k := range a {
		if !reflect.DeepEqual(a[k], b[k]) {
			fields = append(fields, k)
		}
	}
	slices.Sort(fields)
	return fields
}
