package truth

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"mirrorscope/internal/pcapgen"
)

// TestMissed: where a capture that loses packets tells that it missed octets of
// a connection, that makes nothing else wrong: no request counts as aborted and
// no handshake as given up, or as anything else that it was not.
func TestMissed(t *testing.T) {
	var connections atomic.Int64
	everywhere(t, func(t *testing.T, name, path string) {
		fs, link, ok := framesOf(t, path)
		if !ok || len(fs) == 0 {
			return
		}
		type place struct {
			pair
			point string
		}
		whole := map[place][]map[string]any{}
		for _, c := range replay(t, writeAs(t, link, fs)).connections {
			p := place{pairOf(c.Client, c.Server), c.ObservationPoint.Name}
			whole[p] = append(whole[p], decode(t, c.line))
		}
		for _, nth := range []int{7, 11} {
			for _, c := range replay(t, writeAs(t, link, holed(fs, nth))).connections {
				var r struct {
					Capture struct {
						Missed sides[int64] `json:"missed_bytes"`
					}
				}
				if err := json.Unmarshal(c.line, &r); err != nil {
					t.Fatal(err)
				}
				p := place{pairOf(c.Client, c.Server), c.ObservationPoint.Name}
				if c.Protocol != "tcp" || r.Capture.Missed.Client+r.Capture.Missed.Server == 0 || len(whole[p]) != 1 {
					continue // what was lost behind the last packet cannot be told
				}
				connections.Add(1)
				var s snap
				cut := decode(t, c.line)
				for _, group := range []string{"tls", "http"} {
					if cut[group] != nil {
						s.compare(group, untimed(cut[group]), untimed(whole[p][0][group]))
					}
				}
				accepted(t, "missed", name, fmt.Sprintf("%d %s", nth, p.pair), s.faults == nil, func() string { return strings.Join(s.faults, "\n") })
			}
		}
	})
	unused(t, "missed")
	t.Logf("%d connections of which packets were missed", connections.Load())
	if connections.Load() == 0 && !t.Failed() {
		t.Error("no connection missed packets")
	}
}

// holed leaves out every nth frame.
func holed(fs []pcapgen.Frame, nth int) []pcapgen.Frame {
	var out []pcapgen.Frame
	for i, f := range fs {
		if i%nth != nth-1 {
			out = append(out, f)
		}
	}
	return out
}

// untimed takes durations out of a group: the smallest round trip, which is in
// all of them, may have been in what is lost.
func untimed(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, sub := range v {
			if k != "handshake" && k != "response" {
				out[k] = untimed(sub)
			}
		}
		return out
	case []any:
		var out []any
		for _, sub := range v {
			out = append(out, untimed(sub))
		}
		return out
	}
	return v
}
