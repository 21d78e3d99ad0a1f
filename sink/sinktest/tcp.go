package sinktest

import (
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/tcp"
)

// report is that of a connection with a round trip of 0.8 ms, five requests
// and, from the client, three repeats.
func report() (r tcp.Report) {
	c, s := &r.Sides[flow.Client], &r.Sides[flow.Server]
	c.RTT = tcp.RTT{State: tcp.Measured, Min: 290_100, Quantiles: tcp.Quantiles{P50: 310_000, P90: 380_000.4, P99: 900_000}, Clean: 40, Maybe: 3}
	s.RTT = tcp.RTT{State: tcp.Measured, Min: 480_000, Quantiles: tcp.Quantiles{P50: 500_000, P90: 520_000, P99: 600_000.6}, Clean: 12, Maybe: 1, Stamps: true}
	c.Retransmits = tcp.Retransmits{
		State: tcp.Measured, Packets: 3, Segments: 3, Bytes: 4344, SpuriousPackets: 1, SpuriousBytes: 1448, LostBefore: 1, LostAfter: 1,
		ByClass: [tcp.NumClasses]int64{tcp.ClassFast: 1, tcp.ClassRTO: 1, tcp.ClassTLP: 1},
	}
	s.Retransmits.State = tcp.Measured
	s.OutOfOrder.Packets, s.OutOfOrder.MaxExtent, s.OutOfOrder.MaxLate = 2, 3, 410_000
	c.KeepAlives = 1
	c.Recorded, s.Recorded = 2800, 9000
	r.Response = tcp.Response{
		State: tcp.Measured, Turns: 5, Measured: 5, Min: 900_000, Max: 1_300_000, Quantiles: tcp.Quantiles{P50: 1_000_000, P90: 1_200_000, P99: 1_300_000},
	}
	return r
}

// troubled is a report in which everything happened, and of which much is not
// certain.
func troubled() (r tcp.Report) {
	for i := range r.Sides {
		s, n := &r.Sides[i], int64(i+1)
		s.RTT = tcp.RTT{
			State: tcp.Bounded, Reasons: tcp.Offload, Min: 1000 * n, Quantiles: tcp.Quantiles{P50: 2000 * float64(n), P90: 3000, P99: 4000}, Maybe: 5 * n,
		}
		x := &s.Retransmits
		*x = tcp.Retransmits{
			State: tcp.Ambiguous, Reasons: tcp.CaptureLoss | tcp.Offload, Segments: 90 * n, Bytes: 1100 * n, SpuriousPackets: 11 * n, SpuriousBytes: 999 * n,
			LostBefore: 22 * n, LostAfter: 13 * n, Unlocated: 20 * n, Inferred: 4 * n, DSACKUnmatched: 6 * n,
		}
		for c := range x.ByClass {
			x.ByClass[c] = n * int64(c+1)
			x.Packets += x.ByClass[c]
		}
		s.OutOfOrder.Packets, s.OutOfOrder.MaxExtent, s.OutOfOrder.MaxLate = 7*n, 8*n, 9_001*n
		s.NetworkDuplicates, s.KeepAlives = 10*n, 11*n
		s.ZeroWindow.Episodes, s.ZeroWindow.Probes, s.ZeroWindow.Time = 12*n, 13*n, 14_000_015*n
		s.WindowFull, s.Missed, s.Recorded, s.Strays = 16_000*n, 1700*n, 1800*n, 19*n
	}
	r.Response = tcp.Response{
		State: tcp.Bounded, Reasons: tcp.RequestLost | tcp.ResponseLost, Turns: 9, Measured: 2, Max: 1, Quantiles: tcp.Quantiles{P50: 0.4, P90: 0.5, P99: 1},
	}
	return r
}

// oneSided is a report of a connection whose server's packets were not
// recorded.
func oneSided() (r tcp.Report) {
	c, s := &r.Sides[flow.Client], &r.Sides[flow.Server]
	c.RTT.Reasons, s.RTT.Reasons = tcp.OneSided, tcp.OneSided
	c.Retransmits.State, c.Retransmits.Reasons = tcp.Bounded, tcp.OneSided
	s.Retransmits.Reasons = tcp.OneSided
	c.Recorded = 2800
	r.Response = tcp.Response{Reasons: tcp.OneSided, Min: tcp.Absent, Max: tcp.Absent}
	return r
}

// Distributions gives those that go with a plain connection.
func Distributions() *tcp.Distributions {
	return &tcp.Distributions{
		RTT:     [2]*histogram.Histogram{dist(290_100, 310_000, 310_000, 380_000, 900_000), dist(480_000, 500_000, 600_000)},
		Delayed: [2]*histogram.Histogram{dist(40_000_000), nil},
		Think:   dist(0, 900_000, 1_000_000, 1_200_000, 1_300_000),
	}
}

// Samples are what Distributions is made of.
func Samples() (s tcp.Samples) {
	for what, all := range [tcp.NumTimed][]int64{
		{900_000, 290_100, 310_000, 380_000, 310_000}, {40_000_000}, {500_000, 600_000, 480_000}, {}, {1_300_000, 0, 1_200_000, 900_000, 1_000_000},
	} {
		for _, ns := range all {
			s.Add(tcp.Timed(what), ns)
		}
	}
	return s
}

func dist(values ...int64) *histogram.Histogram {
	var h histogram.Histogram
	for _, v := range values {
		h.Add(v)
	}
	return &h
}
