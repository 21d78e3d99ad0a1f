// Package sinktest has records made by hand that show every field of the
// outputs, for the tests of the sinks.
package sinktest

import (
	"errors"
	"net/netip"
	"time"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// Names is a small sink.Names. Point 0 is the overflow.
type Names struct {
	Points     []packet.PointKey
	PointNames []string
	Interfaces []string
	Networks   []string
	Paths      []packet.Path
}

func (n *Names) Point(id packet.PointID) packet.PointKey { return n.Points[id] }
func (n *Names) PointName(id packet.PointID) string      { return n.PointNames[id] }
func (n *Names) InterfaceName(i uint32) string           { return n.Interfaces[i] }
func (n *Names) NetworkName(id packet.NetworkID) string  { return n.Networks[id] }
func (n *Names) Path(id packet.PathID) packet.Path       { return n.Paths[id] }

// Addr parses an address.
func Addr(s string) packet.Addr { return packet.AddrFrom(netip.MustParseAddr(s)) }

// Points, networks and paths of Sample.
const (
	OtherPoint packet.PointID = iota
	BarePoint
	VXLANPoint
	AWSPoint
	GooglePoint
	HostilePoint
)

// Hostile is an interface name that tries to break every output: JSON, CSV and
// terminals.
const Hostile = "e\"t\\h\n\x1b[31m,;\xff\u009b2J\u202e"

// Sample gives the names that go with Records and Capture.
func Sample() *Names {
	a, b := Addr("10.0.0.5"), Addr("10.0.9.9")
	return &Names{
		Points: []packet.PointKey{
			OtherPoint:   {},
			BarePoint:    {Interface: 0},
			VXLANPoint:   {Interface: 1, Kind: packet.VXLAN, ID: 4660, A: a, B: b},
			AWSPoint:     {Interface: 1, Kind: packet.Geneve, A: a, B: b, Cookies: packet.Cookies{Class: 0x0108, ID: [16]byte{7: 1, 15: 2}}},
			GooglePoint:  {Interface: 1, Kind: packet.Geneve, A: a, B: b, Cookies: packet.Cookies{Class: 0x0132, Net: 77, ID: [16]byte{15: 0xab}}},
			HostilePoint: {Interface: 2},
		},
		PointNames: []string{"other", "0", "vxlan 4660 10.0.0.5", "aws", "google", Hostile},
		Interfaces: []string{"0", "eth1", Hostile},
		Networks:   []string{"default", "shop"},
		Paths: []packet.Path{
			{},
			{Tunnels: [6]packet.Tunnel{packet.Geneve, packet.VXLAN}, NTunnels: 2, VLANs: [4]uint16{100, 200}, NVLANs: 2},
		},
	}
}

// Start is the time at which the first of the Records starts.
var Start = time.Date(2026, 11, 20, 10, 0, 0, 123456789, time.UTC).UnixNano()

// TCP is a plain closed TCP connection with everything measured.
func TCP() flow.Record {
	return flow.Record{
		Kind: flow.Connection, ID: 0x0123456789abcdef, Start: Start, End: Start + 1_234_567, Release: Start + 2e9,
		Point: VXLANPoint, Network: 1, Path: 1, OuterSwapped: true,
		Proto: packet.ProtoTCP, Version: 4,
		Ends:           [2]flow.Endpoint{{Addr: Addr("10.1.0.7"), Port: 51234, HasPort: true}, {Addr: Addr("10.1.0.9"), Port: 443, HasPort: true}},
		Direction:      flow.DirSYN,
		DirectionState: tcp.Measured,
		Outcome:        flow.Closed,
		EndReason:      flow.EndOfFlow,
		Sent:           [2]flow.Volume{{Packets: 12, Bytes: 3456, PayloadBytes: 2800}, {Packets: 10, Bytes: 9876, PayloadBytes: 9000}},
		Handshake: tcp.Handshake{
			State: tcp.Measured, RTT: 812_000, Client: 300_500, Server: 511_500, Setup: 812_000, Connect: 811_001, SYNs: 1, SYNACKs: 1,
		},
		HasHandshake: true,
		FINs:         [2]int64{1, 1},
		ECN:          struct{ Known, Negotiated bool }{true, false},
		Options: [2]tcp.Options{
			{Known: true, HasMSS: true, MSS: 1460, HasWScale: true, WScale: 7, SACK: true, Timestamps: true},
			{Known: true, HasMSS: true, MSS: 1400, SACK: false, Timestamps: true},
		},
		HasTCP: true, TCP: report(), Report: session.Report{Phases: phases()},
	}
}

// Records gives one record of every sort, with every outcome in it.
func Records() []flow.Record {
	refused := TCP()
	refused.Outcome, refused.Resets = flow.Refused, [2]int64{0, 1}
	refused.FINs = [2]int64{}
	refused.Handshake = tcp.Handshake{State: tcp.Unknown, RTT: tcp.Absent, Client: tcp.Absent, Server: 90_000, Setup: tcp.Absent, Connect: tcp.Absent, SYNs: 1}
	refused.Options[flow.Server] = tcp.Options{}
	refused.ECN.Known = false
	refused.TCP = tcp.Report{Response: tcp.Response{Min: tcp.Absent, Max: tcp.Absent}}
	refused.TCP.Sides[flow.Client].Retransmits.State = tcp.Measured
	refused.TCP.Sides[flow.Server].Retransmits.State = tcp.Measured

	repeated := TCP()
	repeated.Handshake = tcp.Handshake{
		State: tcp.Unknown, Reasons: tcp.SYNRetransmitted | tcp.OneSided, RTT: tcp.Absent, Client: tcp.Absent, Server: tcp.Absent,
		Setup: 1_003_000_250, Connect: tcp.Absent, SYNs: 2, SYNACKs: 1,
	}
	repeated.Outcome, repeated.ResetBy, repeated.ResetUnacked, repeated.RSTForeign = flow.Reset, flow.Client, true, true

	lateReset := TCP()
	lateReset.Outcome, lateReset.ResetBy, lateReset.ResetAfterFIN = flow.Reset, flow.Server, true

	unreachable := TCP()
	unreachable.Outcome = flow.Unreachable
	unreachable.Unreachable.OK, unreachable.Unreachable.Type, unreachable.Unreachable.Code, unreachable.Unreachable.By = true, 3, 1, Addr("10.1.0.1")

	silent := TCP()
	silent.Outcome, silent.EndReason = flow.Timeout, flow.EndIdleTimeout
	silent.TCP = oneSided()
	halfOpen := TCP()
	halfOpen.Outcome = flow.HalfOpenTimeout
	aborted := TCP()
	aborted.Outcome, aborted.EndReason = flow.AbortedTimeout, flow.EndIdleTimeout
	aborted.TCP = troubled()
	established := TCP()
	established.Outcome, established.EndReason = flow.Established, flow.EndForced

	midstream := TCP()
	midstream.Outcome, midstream.Direction, midstream.DirectionState = flow.OutcomeNone, flow.DirPort, tcp.Ambiguous
	midstream.Handshake = tcp.Handshake{RTT: tcp.Absent, Client: tcp.Absent, Server: tcp.Absent, Setup: tcp.Absent, Connect: tcp.Absent}
	midstream.Options = [2]tcp.Options{}
	midstream.EndReason = flow.EndLackOfResources
	midstream.MirrorDuplicates, midstream.TruncatedPackets, midstream.FragmentsIncomplete, midstream.Malformed, midstream.StrayPackets = 1, 2, 3, 4, 5
	midstream.Weight = 4
	midstream.CE = [2]int64{6, 7}
	midstream.TCP = troubled()

	udp := flow.Record{
		ID: 1, Start: Start, End: Start, Point: AWSPoint, Proto: packet.ProtoUDP, Version: 6,
		Ends:      [2]flow.Endpoint{{Addr: Addr("2001:db8::1"), Port: 5353, HasPort: true}, {Addr: Addr("ff02::fb"), Port: 5353, HasPort: true}},
		Direction: flow.DirOrder, DirectionState: tcp.Ambiguous, EndReason: flow.EndIdleTimeout,
		Sent: [2]flow.Volume{{Packets: 1, Bytes: 100, PayloadBytes: 52}, {}},
	}
	icmp := flow.Record{
		ID: 1 << 63, Start: Start, End: Start - 1, Point: GooglePoint, Proto: packet.ProtoICMP, Version: 4,
		ICMP:      struct{ Type, Code uint8 }{8, 0},
		Ends:      [2]flow.Endpoint{{Addr: Addr("10.1.0.7")}, {Addr: Addr("10.1.0.9")}},
		Direction: flow.DirApp, DirectionState: tcp.Measured, EndReason: flow.EndActiveTimeout,
		Sent: [2]flow.Volume{{Packets: 1, Bytes: 84, PayloadBytes: 56}, {Packets: 1, Bytes: 84, PayloadBytes: 56}},
	}
	ospf := flow.Record{
		Start: -1, End: 1, Point: HostilePoint, Proto: 89, Version: 4,
		Ends: [2]flow.Endpoint{{Addr: Addr("10.1.0.7")}, {Addr: Addr("224.0.0.5")}},
		Sent: [2]flow.Volume{{Packets: 1, Bytes: 64, PayloadBytes: 44}, {}},
	}
	unnamed := ospf
	unnamed.Proto, unnamed.Point = 253, OtherPoint
	return []flow.Record{TCP(), refused, repeated, lateReset, unreachable, silent, halfOpen, aborted, established, midstream, udp, icmp, ospf, unnamed}
}

// Interval gives the change of TCP over ten seconds.
func Interval() flow.Record {
	r := TCP()
	r.Kind, r.Phases = flow.Interval, nil
	r.IntervalStart = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC).UnixNano()
	r.IntervalEnd = r.IntervalStart + 10e9
	r.Sent[flow.Client].Bytes = -40
	before := troubled()
	r.TCP.Sides[flow.Client].Minus(&before.Sides[flow.Client])
	r.TCP.Sides[flow.Server].Minus(&tcp.Side{})
	r.TCP.Response.Minus(&tcp.Response{})
	r.Distributions = Distributions()
	return r
}

// Capture gives a capture object in which everything went wrong once.
func Capture() flow.Capture {
	c := flow.Capture{
		Packets: 100, Bytes: 123456, Decoded: 100,
		UnknownLinks:     map[string]uint64{"linktype_147": 3, "linktype_12\n": 1},
		MirrorDuplicates: 5, Truncated: 6, Malformed: 7, Stray: 8, CopiesForgotten: 9, ClockSteps: 1,
		Unread: 12, PayloadShed: 13, Connections: 14, Evicted: 2,
		First: Start, Last: Start + 60e9,
		Points: []flow.PointCapture{
			{ID: BarePoint, Packets: 10, Bytes: 1000, Recorded: 700},
			{ID: VXLANPoint, Packets: 60, Bytes: 90000, MirrorDuplicates: 5, Missed: 1 << 20, Recorded: 99 << 20, DupMirror: true, BothDirections: true,
				Skipped: &flow.MirrorSkipped{Instance: "i-0a1", Packets: 7, Bytes: -1, From: Start, To: Start + 600e9, Gap: 300e9}},
			{ID: AWSPoint, Packets: 1, Bytes: 1},
			{ID: OtherPoint, Packets: 2, Bytes: 2, Sequence: packet.MirrorSequence{Frames: 2, Lost: 17, Resets: 1}},
		},
		Losses: []flow.Loss{{Place: "ring_full", Frames: 21}, {Place: "nic_dropped"}},
		Step:   2, Sample: 8, Open: 77,
		MorePoints:  3,
		Prefiltered: []flow.Loss{{Place: "not_udp_port", Frames: 5}},
		Events:      []flow.Loss{{Place: "link_down", Frames: 1}},
		Inventory: []flow.Inventory{
			{Source: "aws/own/eu-central-1", Taken: Start, Age: 90e9, Interfaces: 2000, Instances: 1500, Unread: 1, Failures: 2, Error: "list in eu-central-1 by \"ec2\"", FromDisk: true},
			{Source: "kubernetes/prod"},
		},
		Errors: []error{errors.New("a \"b\".pcap: cut at octet 1234"), errors.New("c.pcap: no such file")},
	}
	for s := packet.Held + 1; s < packet.NumSkips; s++ {
		c.Skipped[s] = uint64(s)
		c.Decoded -= uint64(s)
	}
	return c
}

// Lend gives records as the pipeline does.
func Lend(records ...flow.Record) (lent []*flow.Record) {
	for i := range records {
		lent = append(lent, &records[i])
	}
	return lent
}
