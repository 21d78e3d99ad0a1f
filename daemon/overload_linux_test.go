package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"mirrorscope/internal/livelab"
)

// More than can be measured costs payload, then connections, all of it counted;
// when it is over everything is measured again.
func TestOverload(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			l := livelab.New(t, livelab.Config{})
			config := "[capture.afpacket]\nblocks = 8\nblock_bytes = 131072\n[capture.afxdp]\nframes = 512\n" +
				"[measure]\ninterval = \"1s\"\nshards = 1\n[overload]\nhigh = 0.25\ncalm = \"1s\"\nsteps = 3\n[output]\nintervals = false\n"
			s := start(t, l, "--mode", mode, "--config", file(t, "sensor.toml", config))
			var arrived uint64
			flood := func(f livelab.Flood) {
				t.Helper()
				f.Stack = mode == "afpacket"
				sent, err := l.Flood(context.Background(), f)
				if err != nil {
					t.Fatal(err)
				}
				arrived += sent.Frames
			}
			frames := uint64(300_000)
			if mode == "afxdp" {
				frames = 1_000_000 // they come faster
			}
			flood(livelab.Flood{Frames: frames, Packets: 10})
			for range 300 { // until it has gone all the way back
				at := s.Stdout()
				if i := bytes.LastIndex(at, []byte(`{"type":"capture","at":`)); i >= 0 && bytes.Contains(at[i:], []byte(`"overload_step":0,`)) &&
					bytes.Contains(at, []byte(`"overload_step":1,`)) {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			flood(livelab.Flood{Frames: 2000, Rate: 1000})
			out := s.end(t)

			c := captureOf(t, out)
			if got := c.sum(); got != arrived {
				t.Errorf("%d frames were sent, %d are accounted for: %+v", arrived, got, c)
			}
			if c.Shed == 0 || c.Skipped["unsampled"] == 0 {
				t.Errorf("payload of %d frames left out, %d not sampled: there was no overload", c.Shed, c.Skipped["unsampled"])
			}
			if c.Step != 0 || c.Sample != 1 {
				t.Errorf("it ends at step %d, with one of %d connections", c.Step, c.Sample)
			}
			weights := map[int]bool{}
			for line := range bytes.Lines(out) {
				var r struct {
					Type    string `json:"type"`
					Capture struct {
						Weight int `json:"sample_weight"`
					} `json:"capture"`
				}
				if json.Unmarshal(line, &r) == nil && r.Type == "connection" {
					weights[r.Capture.Weight] = true
				}
			}
			if !weights[0] || !weights[2] && !weights[4] {
				t.Errorf("connections stand for %v others", weights)
			}
		})
	}
}
