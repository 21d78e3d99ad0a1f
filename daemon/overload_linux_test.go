package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"syscall"
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
			// However fast the sensor is, it falls behind while it may not run.
			held := func(func() (uint64, error)) error {
				for range 60 {
					for _, signal := range []os.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
						if err := s.Signal(signal); err != nil {
							return err
						}
						time.Sleep(75 * time.Millisecond)
					}
					if out := s.Stdout(); bytes.Contains(out, []byte(`"overload_step":2,`)) || bytes.Contains(out, []byte(`"overload_step":3,`)) {
						return nil
					}
				}
				return errors.New("no overload in 60 rings that ran full")
			}
			flood(livelab.Flood{Frames: 1 << 40, Rate: 200_000, Packets: 10, Meanwhile: held})
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
