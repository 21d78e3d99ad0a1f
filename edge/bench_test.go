package edge

import (
	"encoding/binary"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// plainTCP is what a request and a response over TCP give, with all that is
// measured of them.
func plainTCP() flow.Record {
	r := record(1, 0, second)
	r.HasTCP = true
	r.TCP.Response = tcp.Response{State: tcp.Measured, Turns: 1, Measured: 1, Min: 3_340_123, Max: 3_340_123}
	r.Distributions = &tcp.Distributions{Think: dist(3_340_123)}
	for i := range r.TCP.Sides {
		s := &r.TCP.Sides[i]
		s.Retransmits.State, s.Recorded, s.RTT.State = tcp.Measured, r.Sent[i].PayloadBytes+2, tcp.Measured
		r.Distributions.RTT[i] = dist(1_250_001+int64(i), 4_100_000)
		r.FINs[i] = 1
	}
	r.Phases = &session.Phases{TCP: 1_250_345, ClientIdle: 100_001, Server: 2_090_000, Network: 1_250_123, Transfer: 20_000, Close: 1_000_123}
	return r
}

// lonelySYN is a connection of a flood.
func lonelySYN() flow.Record {
	r := record(1, 0, 0)
	r.Outcome, r.EndReason, r.Handshake = flow.OutcomeNone, flow.EndIdleTimeout, tcp.Handshake{Reasons: tcp.OneSided, RTT: tcp.Absent, SYNs: 1}
	r.Sent = [2]flow.Volume{{Packets: 1, Bytes: 60}}
	r.HasTCP = true
	r.TCP.Sides[flow.Client].Retransmits.State = tcp.Measured
	r.TCP.Sides[flow.Client].Recorded = 1
	r.TCP.Response = tcp.Response{Min: tcp.Absent, Max: tcp.Absent}
	r.Phases = &session.Phases{}
	return r
}

func client(r *flow.Record, n int) {
	r.Ends[flow.Client].Addr = packet.Addr{10: 0xff, 11: 0xff, 12: 10}
	binary.BigEndian.PutUint32(r.Ends[flow.Client].Addr[12:], uint32(n)*2654435761)
}

func BenchmarkTable(b *testing.B) {
	for _, x := range []struct {
		name          string
		record        flow.Record
		conversations int // that records are of, in turn
	}{
		{"hit", plainTCP(), 1000},
		{"miss", plainTCP(), 1 << 30},
		{"half", plainTCP(), 90_000},
		{"flood", lonelySYN(), 1 << 30},
	} {
		b.Run(x.name, func(b *testing.B) {
			t := New(DefaultConfig())
			r := x.record
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				client(&r, i%x.conversations)
				r.Start = int64(i) * 1000
				r.End = r.Start + 5_000_000
				t.Add(&r)
			}
		})
	}
}
