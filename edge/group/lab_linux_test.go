package group

import (
	"slices"
	"testing"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/internal/netlab"
)

// What the kernel's own TCP did in the lab adds up, too: at each tap, and at all
// three together, where each connection counts once.
func TestLab(t *testing.T) {
	netlab.Needs(t)
	some := []string{"turns-loss", "random-loss", "slow-reader", "reset-by-server", "refused", "lost-syn", "short-connections", "late-original", "tls13", "http1"}
	ran := 0
	for _, s := range netlab.Scenarios {
		if testing.Short() && !slices.Contains(some[:4], s.Name) || s.Rare || !testing.Short() && !slices.Contains(some, s.Name) {
			continue
		}
		ran++
		t.Run(s.Name, func(t *testing.T) {
			r := netlab.Run(t, s)
			points := map[string]string{}
			for _, tap := range []string{"client", "middle", "server"} {
				points[r.Taps[tap]] = tap
				sumsHold(t, pcapfile.Config{Paths: []string{r.Taps[tap]}})
			}
			all := pcapfile.Config{Points: points}
			sumsHold(t, all)
			x := run(t, all, 0, 2)
			joined := int64(0)
			for _, e := range x.events {
				if e.p != nil {
					joined++
				}
			}
			w := group(t, x, config(0, "protocol"))[0]
			if n := sum(total([]*Window{w}))["ended"]; n < int64(len(r.Truth.Connections)) || joined > n || s.Name == "short-connections" && joined != n {
				t.Errorf("%d connections, the lab made %d, %d of them at several taps", n, len(r.Truth.Connections), joined)
			}
		})
	}
	if ran < 4 {
		t.Errorf("%d scenarios", ran)
	}
}
