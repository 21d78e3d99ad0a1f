package truth

import (
	"encoding/json"
	"math"
	"sync/atomic"
	"testing"
)

// TestPhases: every TCP connection has phases, and no other flow. They add up
// to its duration to the nanosecond, and where none overlap those of the
// handshakes are the handshakes' durations.
func TestPhases(t *testing.T) {
	var added, tcp, tls atomic.Int64
	everywhere(t, func(t *testing.T, name, path string) {
		for _, c := range replay(t, path).connections {
			var r struct {
				Duration  *float64 `json:"duration_us"`
				Phases    map[string]any
				Handshake struct {
					Setup *float64 `json:"setup_us"`
				}
				TLS struct {
					Handshake struct {
						Total *float64 `json:"total_us"`
					}
				}
			}
			if err := json.Unmarshal(c.line, &r); err != nil {
				t.Fatal(err)
			}
			stream := pairOf(c.Client, c.Server)
			if (c.Protocol == "tcp") != (r.Phases != nil) {
				t.Errorf("%v %s: phases %v", c.Protocol, stream, r.Phases)
			}
			if r.Phases == nil || r.Duration == nil {
				continue
			}
			var sum int64
			for phase, d := range r.Phases {
				if us, ok := d.(float64); ok {
					sum += inNs(us)
					if us < 0 {
						t.Errorf("%s: %s is %v", stream, phase, us)
					}
				}
			}
			added.Add(1)
			if sum != inNs(*r.Duration) {
				t.Errorf("%s: phases add up to %d ns, want %d: %v", stream, sum, inNs(*r.Duration), r.Phases)
			}
			if r.Phases["overlap"] == true {
				continue
			}
			if d := r.Handshake.Setup; d != nil {
				tcp.Add(1)
				if got, _ := r.Phases["tcp_us"].(float64); got != *d {
					t.Errorf("%s: tcp_us is %v, and the handshake took %v", stream, got, *d)
				}
			}
			if d := r.TLS.Handshake.Total; d != nil {
				tls.Add(1)
				if got, _ := r.Phases["tls_us"].(float64); got != *d {
					t.Errorf("%s: tls_us is %v, and the handshake of TLS took %v", stream, got, *d)
				}
			}
		}
	})
	t.Logf("phases of %d connections, %d handshakes of TCP, %d of TLS", added.Load(), tcp.Load(), tls.Load())
	if added.Load() == 0 && !t.Failed() {
		t.Error("no connection had phases")
	}
}

// inNs makes whole nanoseconds of microseconds with three decimals.
func inNs(us float64) int64 { return int64(math.Round(us * 1000)) }
