package netlab

import (
	"slices"
	"time"
)

const ms = time.Millisecond

// Common paths: the lab's "data centre" and its "region", one way.
var (
	near = delays(200*time.Microsecond, 300*time.Microsecond)
	far  = delays(4*ms, 6*ms)
)

// tails drops the last segment of each of the first n bursts.
func tails(n, octets int) []Rule {
	var rules []Rule
	for i := range n {
		rules = append(rules, drop(octet(int64((i+1)*octets-1), 1)))
	}
	return rules
}

// noProbes turns tail loss probes off, where a probe that races a delayed
// acknowledgement would only blur what is shown.
var noProbes = map[string]string{"tcp_early_retrans": "0"}

// worse are the captures that every scenario with interesting data gets.
func worse() []Variant {
	return []Variant{
		doubled(), mirrored(), lossy("loss1", 0.01), lossy("loss5", 0.05), oneSided(FromClient), oneSided(FromServer),
		midstream(0.3), skewed(FromClient, 3*ms), snapped(96),
	}
}

// Scenarios are all scenarios, in the order of the accuracy page.
var Scenarios = slices.Concat(transportScenarios, tlsScenarios, opensslScenarios, webScenarios)

// transportScenarios are about TCP.
var transportScenarios = []Scenario{
	{
		Name: "clean", Shows: "A transfer through a network without faults",
		Sysctl: noProbes,
		Plan:   far, Load: transfer(300_000, 300_000),
		Variants: worse(), Want: Want{Outcomes: []string{"closed"}},
	},
	{
		Name: "clean-near", Shows: "A transfer within a data centre: the whole path takes a millisecond",
		Sysctl: noProbes,
		Plan:   near, Load: transfer(500_000, 0),
		Variants: worse(), Want: Want{Outcomes: []string{"closed"}},
	},
	{
		Name: "single-loss", Shows: "One segment lost on the way up, behind the middle tap",
		Sysctl: noProbes,
		Plan:   far.with(1, FromClient, drop(octet(60_000, 1))), Load: transfer(200_000, 0),
		Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{exactly(1)},
			Kernel: []Counter{{FromClient, "TCPFastRetrans", exactly(1)}}},
	},
	{
		Name: "single-loss-down", Shows: "One segment lost on the way down, between the middle and the client",
		Sysctl: noProbes,
		Plan:   far.with(0, FromServer, drop(octet(60_000, 1))), Load: transfer(0, 200_000),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{{}, exactly(1)},
			Kernel: []Counter{{FromServer, "TCPFastRetrans", exactly(1)}}},
	},
	{
		Name: "loss-before", Shows: "Segments lost before the middle tap: holes, and packets that fill them",
		Sysctl: noProbes,
		Plan:   far.with(0, FromClient, drop(octet(50_000, 1)), drop(octet(68_000, 1)), drop(octet(85_000, 1))),
		Load:   transfer(300_000, 0), Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{exactly(3)}},
	},
	{
		Name: "loss-after", Shows: "The same losses behind the middle tap",
		Sysctl: noProbes,
		Plan:   far.with(1, FromClient, drop(octet(50_000, 1)), drop(octet(68_000, 1)), drop(octet(85_000, 1))),
		Load:   transfer(300_000, 0), Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{exactly(3)}},
	},
	{
		Name: "burst-loss", Shows: "Eight segments in a row lost, half before and half behind the middle tap",
		Sysctl: noProbes,
		Plan:   far.with(0, FromClient, drop(nth(Data, 60, 61, 62, 63))).with(1, FromClient, drop(nth(Data, 60, 61, 62, 63))),
		Load:   transfer(300_000, 0), Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(8, 10)}},
	},
	{
		Name: "every-50th", Shows: "Each 50th segment lost, up before the middle tap and down behind it",
		Plan: far.with(0, FromClient, drop(every(Data, 50))).with(0, FromServer, drop(every(Data, 50))),
		Load: transfer(600_000, 600_000), Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(6, 30), between(6, 30)}},
	},
	{
		Name: "random-loss", Shows: "1 % of the segments and of the acknowledgements lost on each hop, both ways",
		Plan: far.with(0, FromClient, drop(chance(Data, 0.01)), drop(chance(ACK, 0.01))).
			with(1, FromClient, drop(chance(Data, 0.01)), drop(chance(ACK, 0.01))).
			with(0, FromServer, drop(chance(Data, 0.01)), drop(chance(ACK, 0.01))).
			with(1, FromServer, drop(chance(Data, 0.01)), drop(chance(ACK, 0.01))),
		Load: transfer(800_000, 800_000), Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(3, 80), between(3, 80)}},
	},
	{
		Name: "tail-loss", Shows: "The last segment of a flight lost: the kernel probes for it",
		Plan: far.with(1, FromClient, tails(6, 30_000)...), Load: bursts(7, 30_000, 300*ms),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{exactly(6)},
			Kernel: []Counter{{FromClient, "TCPLossProbes", exactly(6)}}},
	},
	{
		Name: "tail-loss-before", Shows: "The last segment of a flight lost before the middle tap: its repeat looks new",
		Plan: far.with(0, FromClient, tails(6, 30_000)...), Load: bursts(7, 30_000, 300*ms),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{exactly(6)},
			Kernel: []Counter{{FromClient, "TCPLossProbes", exactly(6)}}},
	},
	{
		Name: "rto", Shows: "A segment lost three times: timeouts that double, without probes",
		Sysctl: noProbes,
		Plan:   far.with(1, FromClient, drop(octet(2000, 3))), Load: transfer(2_001, 0),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{exactly(3)},
			Kernel: []Counter{{FromClient, "TCPTimeouts", exactly(3)}}},
	},
	{
		Name: "rto-recovery", Shows: "A whole flight lost: a timeout, then the rest one after the other",
		Sysctl: noProbes,
		Plan:   far.with(1, FromClient, drop(nth(Data, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20))), Load: bursts(2, 14_480, 100*ms),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(10, 12)},
			Kernel: []Counter{{FromClient, "TCPTimeouts", between(1, 2)}, {FromClient, "TCPSlowStartRetrans", between(7, 11)}}},
	},
	{
		Name: "lost-repeat", Shows: "A segment lost together with its first repeat",
		Plan: far.with(1, FromClient, drop(octet(60_000, 2))), Load: transfer(400_000, 0),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{exactly(2)},
			Kernel: []Counter{{FromClient, "TCPLostRetransmit", exactly(1)}}},
	},
	{
		Name: "lost-acks", Shows: "Half of the acknowledgements lost: later ones make up for them",
		Plan: far.with(1, FromServer, drop(every(ACK, 2))), Load: transfer(300_000, 0),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(0, 2)}},
	},
	{
		Name: "lost-last-ack", Shows: "All acknowledgements of a flight lost: what is sent again had arrived",
		Plan: far.with(0, FromServer, drop(func(p Packet) bool { return p.Kind == ACK && p.N >= 1 && p.N <= 2 })), Load: bursts(2, 1000, 600*ms),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(1, 3)},
			Kernel: []Counter{{FromClient, "TCPDSACKRecv", between(1, 3)}}},
	},
	{
		Name: "reordering", Shows: "Each 25th segment 3 ms late on the first hop: overtaken, not lost",
		Sysctl: noProbes,
		Plan:   far.with(0, FromClient, late(every(Data, 25), 3*ms)), Load: transfer(600_000, 0),
		Variants: worse(),
		Want:     Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(0, 12)}},
	},
	{
		Name: "late-original", Shows: "Segments so late that their repeat overtakes them: every repeat is needless",
		Sysctl: noProbes,
		Plan:   far.with(0, FromClient, late(octet(60_000, 1), 60*ms), late(octet(200_000, 1), 60*ms)), Load: transfer(400_000, 0),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(2, 6)},
			Kernel: []Counter{{FromClient, "TCPDSACKRecv", between(2, 6)}}},
	},
	{
		Name: "duplication", Shows: "The network delivers each 20th segment again 8 ms later",
		Sysctl: noProbes,
		Plan:   far.with(0, FromClient, twice(every(Data, 20), 8*ms)), Load: transfer(400_000, 0),
		Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(0, 2)},
			Kernel: []Counter{{FromServer, "TCPDSACKOldSent", between(5, 14)}}},
	},
	{
		Name: "bottleneck", Shows: "A bottleneck of 20 Mbit/s with a short queue: losses as in life",
		Plan: far.bottleneck(1, FromClient, 20_000_000, 20), Load: transfer(1_500_000, 0),
		Variants: worse(),
		Want:     Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(1, 200)}},
	},
	{
		Name: "queueing", Shows: "A bottleneck with a long queue: the round trip grows, nothing is lost",
		Sysctl: noProbes,
		Plan:   far.bottleneck(1, FromClient, 20_000_000, 0), Load: transfer(1_000_000, 0),
		Want: Want{Outcomes: []string{"closed"}},
	},
	{
		Name: "turns", Shows: "Requests and responses with time to think on both sides",
		Plan: far, Load: turns{count: 25, request: 400, response: 5792, think: 12 * ms, pause: 5 * ms}.load,
		Variants: worse(), Want: Want{Outcomes: []string{"closed"}, Turns: 25, Repeats: [2]Range{between(0, 2), between(0, 2)}},
	},
	{
		Name: "turns-loss", Shows: "The same, with a request lost behind the middle tap and a response lost before it",
		Plan: far.with(1, FromClient, drop(nth(Data, 5))).with(1, FromServer, drop(nth(Data, 34))),
		Load: turns{count: 15, request: 400, response: 5792, think: 12 * ms, pause: 5 * ms}.load,
		Want: Want{Outcomes: []string{"closed"}, Turns: 15, Repeats: [2]Range{between(1, 3), between(1, 4)}},
	},
	{
		Name: "delayed-ack", Shows: "A server that at times thinks for longer than its kernel waits with the acknowledgement",
		Plan: near, Load: turns{count: 20, request: 400, response: 500, think: 2 * ms, every2nd: 80 * ms, pause: 60 * ms}.load,
		Want: Want{Outcomes: []string{"closed"}, Turns: 20, Repeats: [2]Range{{}, between(0, 20)}, Kernel: []Counter{{FromServer, "DelayedACKs", between(5, 12)}}},
	},
	{
		Name: "slow-reader", Shows: "A server that does not read: its window closes and the client probes",
		Plan: far, Load: slowReader(200_000, 900*ms), Socket: Socket{Receive: [2]int{FromServer: 16384}},
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(0, 1)},
			Kernel: []Counter{{FromServer, "TCPToZeroWindowAdv", between(1, 100)}, {FromClient, "TCPWinProbe", between(1, 10)}}},
	},
	{
		Name: "keep-alive", Shows: "An idle connection kept alive every second",
		Plan: far, Load: idle(2500 * ms), Socket: Socket{KeepAlive: time.Second},
		Want: Want{Outcomes: []string{"closed"}, Kernel: []Counter{{FromClient, "TCPKeepAlive", exactly(2)}}},
	},
	{
		Name: "reset", Shows: "The client ends the connection with a reset",
		Plan: far, Load: abort(20_000, FromClient), Want: Want{Outcomes: []string{"reset"}},
	},
	{
		Name: "reset-by-server", Shows: "The server ends the connection with a reset",
		Plan: far, Load: abort(20_000, FromServer), Want: Want{Outcomes: []string{"reset"}},
	},
	{
		Name: "refused", Shows: "A port where nobody listens",
		Plan: far, Load: refused, Want: Want{Outcomes: []string{"refused"}},
	},
	{
		Name: "blackhole", Shows: "A server that answers once and never again",
		Sysctl: map[string]string{"tcp_syn_retries": "1", "tcp_syn_linear_timeouts": "0"},
		Plan:   far.with(1, FromClient, drop(func(p Packet) bool { return p.Kind == SYN && p.N > 1 })), Load: unanswered,
		Want: Want{Outcomes: []string{"closed", "timeout"}, Repeats: [2]Range{exactly(1)}, Kernel: []Counter{{FromClient, "TCPTimeouts", exactly(2)}}},
	},
	{
		Name: "lost-syn", Shows: "The first SYN lost behind the middle tap",
		Plan: far.with(1, FromClient, drop(first(SYN, 1))), Load: turns{count: 3, request: 200, response: 2000}.load,
		Want: Want{Outcomes: []string{"closed"}, Turns: 3, Repeats: [2]Range{exactly(1)}},
	},
	{
		Name: "lost-syn-before", Shows: "The first SYN lost before the middle tap",
		Plan: far.with(0, FromClient, drop(first(SYN, 1))), Load: turns{count: 3, request: 200, response: 2000}.load,
		Want: Want{Outcomes: []string{"closed"}, Turns: 3, Repeats: [2]Range{exactly(1)}},
	},
	{
		Name: "lost-synack", Shows: "The first SYN-ACK lost: its repeats still echo the first SYN's time stamp",
		Plan: far.with(0, FromServer, drop(first(SYNACK, 1))), Load: turns{count: 3, request: 200, response: 2000}.load,
		Want: Want{Outcomes: []string{"closed"}, Turns: 3, Repeats: [2]Range{between(0, 1), between(1, 3)}},
	},
	{
		Name: "lost-synack-before", Shows: "The first SYN-ACK lost between the server and the middle tap",
		Plan: far.with(1, FromServer, drop(first(SYNACK, 1))), Load: turns{count: 3, request: 200, response: 2000}.load,
		Want: Want{Outcomes: []string{"closed"}, Turns: 3, Repeats: [2]Range{between(0, 1), between(1, 3)}},
	},
	{
		Name: "lost-handshake-ack", Shows: "The ACK that ends the handshake lost: the first request ends it",
		Plan: far.with(1, FromClient, drop(nth(ACK, 1))), Load: eager(200, 2000), Want: Want{Outcomes: []string{"closed"}, Turns: 1},
	},
	{
		Name: "repeated-synack", Shows: "The same with nothing to send: the server repeats its SYN-ACK after the ACK was recorded",
		Plan: far.with(1, FromClient, drop(nth(ACK, 1))), Load: turns{count: 3, request: 200, response: 2000}.load,
		Want: Want{Outcomes: []string{"closed"}, Turns: 3, Repeats: [2]Range{{}, exactly(1)}},
	},
	{
		Name: "lost-fin", Shows: "The client's FIN lost and sent again",
		Plan: far.with(1, FromClient, drop(first(FIN, 1))), Load: turns{count: 2, request: 200, response: 2000}.load,
		Want: Want{Outcomes: []string{"closed"}, Turns: 2, Repeats: [2]Range{exactly(1)}},
	},
	{
		Name: "fast-open", Shows: "A request in the SYN (TCP Fast Open)",
		Sysctl: map[string]string{"tcp_fastopen": "1543"}, // client, server, both without a cookie
		Socket: Socket{FastOpen: true},
		Plan:   far, Load: eager(300, 5000), Want: Want{Outcomes: []string{"closed"}, Turns: 1, Kernel: []Counter{{FromServer, "TCPFastOpenPassive", exactly(1)}}},
		Unsupported: noFastOpen,
	},
	{
		Name: "no-timestamps", Shows: "Losses before and behind the middle tap, without the time stamp option",
		Sysctl: map[string]string{"tcp_timestamps": "0"},
		Plan:   far.with(0, FromClient, drop(every(Data, 60))).with(1, FromClient, drop(every(Data, 50))),
		Load:   transfer(500_000, 0), Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(8, 20)}},
	},
	{
		Name: "no-sack", Shows: "The same without selective acknowledgements",
		Sysctl: map[string]string{"tcp_sack": "0"},
		Plan:   far.with(0, FromClient, drop(every(Data, 60))).with(1, FromClient, drop(every(Data, 50))),
		Load:   transfer(300_000, 0), Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(4, 60)}},
	},
	{
		Name: "bare", Shows: "Neither time stamps nor selective acknowledgements nor window scaling",
		Sysctl: map[string]string{"tcp_sack": "0", "tcp_timestamps": "0", "tcp_window_scaling": "0"},
		Plan:   far.with(0, FromClient, drop(every(Data, 60))).with(1, FromClient, drop(every(Data, 50))),
		Load:   transfer(300_000, 0), Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(4, 60)}},
	},
	{
		Name: "ipv6", Shows: "Losses on both hops over IPv6, where packets have no identification",
		IPv6: true,
		Plan: far.with(0, FromClient, drop(every(Data, 60))).with(1, FromClient, drop(every(Data, 50))),
		Load: transfer(500_000, 20_000), Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(8, 20)}},
	},
	{
		Name: "small-segments", Shows: "Losses with segments of 500 octets",
		Socket: Socket{MSS: 500},
		Plan:   far.with(0, FromClient, drop(every(Data, 100))).with(1, FromClient, drop(every(Data, 110))),
		Load:   transfer(300_000, 0), Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{between(6, 20)}},
	},
	{
		Name: "wrap", Shows: "Losses while the sequence numbers pass 2^32",
		Sysctl: noProbes,
		Socket: Socket{FirstSeq: 1<<32 - 150_000},
		Plan:   far.with(0, FromClient, drop(octet(148_000, 1))).with(1, FromClient, drop(octet(149_999, 1)), drop(octet(200_000, 1))),
		Load:   transfer(400_000, 0), Variants: worse(),
		Want: Want{Outcomes: []string{"closed"}, Repeats: [2]Range{exactly(3)}},
	},
	{
		Name: "short-connections", Shows: "Ten short connections in a row",
		Plan: near, Load: many(10, turns{request: 300, response: 3000, think: 2 * ms}),
		Variants: []Variant{doubled(), lossy("loss5", 0.05), snapped(96)}, Want: Want{Outcomes: []string{"closed"}, Turns: 1},
	},
}
