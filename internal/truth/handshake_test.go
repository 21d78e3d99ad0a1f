package truth

import (
	"fmt"
	"math"
	"testing"
)

// TestHandshake compares, for every TCP stream, how many SYN and SYN-ACK were
// seen; where there is one of each, and the ACK, also the handshake's round
// trip and both its halves, to the microsecond. Where both ends are told apart
// by a SYN or a SYN-ACK, the client must be the same.
func TestHandshake(t *testing.T) {
	var syns, timed, roles counts
	each(t, func(t *testing.T, name, path string) {
		tr := load(t, name)
		records := map[pair][]connection{}
		for _, c := range replay(t, path).connections {
			if c.Protocol == "tcp" {
				p := pairOf(c.Client, c.Server)
				records[p] = append(records[p], c)
			}
		}
		streams := map[pair][]stream{}
		for _, s := range tr.streams() {
			p := pairOf(s.client(), s.server())
			streams[p] = append(streams[p], s)
		}
		for p, ss := range streams {
			cs := records[p]
			var wantSYN, wantSYNACK, gotSYN, gotSYNACK int
			for _, s := range ss {
				if s.Handshake != nil {
					wantSYN += len(s.Handshake.SYNTimes)
					wantSYNACK += len(s.Handshake.SYNACKTimes)
				}
			}
			for _, c := range cs {
				if c.Handshake != nil {
					gotSYN += c.Handshake.SYNPackets
					gotSYNACK += c.Handshake.SYNACKPackets
				}
			}
			equal := gotSYN == wantSYN && gotSYNACK == wantSYNACK
			syns.add(len(ss), equal, truthIsWrong("syn", name, p.String()))
			accepted(t, "syn", name, p.String(), equal, func() string {
				return fmt.Sprintf("got %d SYN and %d SYN-ACK, want %d and %d", gotSYN, gotSYNACK, wantSYN, wantSYNACK)
			})

			// Times and roles of single packets can be compared only where
			// there is one record for one stream.
			if len(ss) != 1 || len(cs) != 1 || ss[0].Simultan {
				continue
			}
			s, c := ss[0], cs[0]
			if s.ClientBy != "first-packet" {
				equal := c.Client == s.client()
				roles.add(1, equal, truthIsWrong("client", name, p.String()))
				accepted(t, "client", name, p.String(), equal, func() string {
					return fmt.Sprintf("got client %s by %s, want %s by %s", c.Client, c.Direction.Source, s.client(), s.ClientBy)
				})
			}
			h := s.Handshake
			if h == nil || len(h.SYNTimes) != 1 || len(h.SYNACKTimes) != 1 || h.ACKTime == nil || h.SYNTimes[0] > h.SYNACKTimes[0] {
				continue
			}
			server := float64(h.SYNACKTimes[0]-h.SYNTimes[0]) / 1e3
			client := float64(*h.ACKTime-h.SYNACKTimes[0]) / 1e3
			equal = c.Handshake != nil && near(c.Handshake.ServerUs, server) && near(c.Handshake.ClientUs, client) && near(c.Handshake.RTTus, server+client)
			timed.add(1, equal, truthIsWrong("handshake", name, p.String()))
			accepted(t, "handshake", name, p.String(), equal, func() string {
				if c.Handshake == nil {
					return "got no handshake"
				}
				return fmt.Sprintf("got %s %v: server %s client %s rtt %s, want server %.3f client %.3f rtt %.3f", c.Handshake.State, c.Handshake.Reasons,
					us(c.Handshake.ServerUs), us(c.Handshake.ClientUs), us(c.Handshake.RTTus), server, client, server+client)
			})
		}
	})
	unused(t, "syn", "client", "handshake")
	t.Logf("SYN and SYN-ACK counts: %s", &syns)
	t.Logf("client: %s", &roles)
	t.Logf("handshake times: %s", &timed)
	if timed.total == 0 && !t.Failed() {
		t.Error("no handshake was compared")
	}
}

// near tells whether a duration in µs is there and right to 1 µs.
func near(got *float64, want float64) bool { return got != nil && math.Abs(*got-want) <= 1 }

func us(d *float64) string {
	if d == nil {
		return "absent"
	}
	return fmt.Sprintf("%.3f", *d)
}
