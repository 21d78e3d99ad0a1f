package pcapgen

import (
	"net/netip"
	"time"
)

// wire carries packets along a path past its taps.
type wire struct {
	delay time.Duration
	taps  []time.Duration
	fates []Fate
	sent  [2][numKinds]int // packets by kind, to find a Fate
}

func newWire(p Path, fates []Fate) wire {
	return wire{delay: p.Delay, taps: p.taps(), fates: fates}
}

// flight is one packet under way.
type flight struct {
	from     Side
	leaves   int64
	lost     int // part of the path where it is lost, -1: it arrives
	lateFrom int // part of the path from which on it is late
	late     time.Duration
}

// send decides a packet's fate. It counts the packet.
func (w *wire) send(from Side, kind PacketKind, leaves int64) flight {
	f := flight{from: from, leaves: leaves, lost: -1}
	n, all := w.sent[from][kind], w.sent[from][AnyPacket]
	if kind != AnyPacket {
		w.sent[from][kind]++
	}
	w.sent[from][AnyPacket]++
	for _, x := range w.fates {
		match := x.Kind == kind && (x.N == n || x.N == Every) || x.Kind == AnyPacket && (x.N == all || x.N == Every)
		switch {
		case x.From != from || !match:
		case x.Late == 0:
			f.lost = x.Where
		default:
			f.lateFrom, f.late = x.Where, x.Late
		}
	}
	return f
}

// far is the receiver of a side's packets, as the number of a tap.
func (w *wire) far(from Side) int {
	if from == Client {
		return len(w.taps)
	}
	return -1
}

// passes tells whether and when a packet comes past a tap, or to the far end.
func (w *wire) passes(f flight, tap int) (int64, bool) {
	dist := w.delay
	if tap >= 0 && tap < len(w.taps) {
		if dist = w.taps[tap]; f.from == Server {
			dist = w.delay - dist
		}
	}
	// Part p lies in front of tap p for the client, behind it for the server.
	through := func(p int) bool { return f.from == Client && p <= tap || f.from == Server && p > tap }
	if f.lost >= 0 && through(f.lost) {
		return 0, false
	}
	if f.late != 0 && through(f.lateFrom) {
		dist += f.late
	}
	return f.leaves + dist.Nanoseconds(), true
}

// hops is the number of taps that a side's packet passed before a tap: each
// stands behind one router.
func (w *wire) hops(from Side, tap int) uint8 {
	if from == Client {
		return uint8(tap)
	}
	return uint8(len(w.taps) - 1 - tap)
}

// ipLayer gives an IP header of the addresses' version.
func ipLayer(src, dst netip.Addr, ttl uint8, id uint16) Layer {
	if src.Is6() {
		return IPv6{Src: src, Dst: dst, HopLimit: ttl}
	}
	return IPv4{Src: src, Dst: dst, TTL: ttl, ID: id, DF: true}
}
