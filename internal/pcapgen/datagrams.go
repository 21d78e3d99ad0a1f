package pcapgen

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Datagrams is the script of a UDP conversation: requests and responses, as in
// Conn. Of its Fates, packets count as DataPacket.
type Datagrams struct {
	Client, Server netip.AddrPort
	Start          int64 // of the first request, before its Pause
	Path           Path
	IPID           [2]uint16
	Turns          []Turn
	Refused        bool // each request is answered by ICMP port unreachable
	MTU            int  // longer packets are sent in fragments; 0: never
	Fates          []Fate
}

// Record plays the script.
func (d Datagrams) Record() Recording {
	x := newExchange("udp", d.Client.String(), d.Server.String(), d.Path, d.Fates, d.Start)
	for _, t := range d.Turns {
		x.now += t.Pause.Nanoseconds()
		if len(t.Request) > 0 {
			d.send(x, Client, t.Request)
		}
		switch {
		case len(t.Request) > 0 && !x.arrived:
		case d.Refused:
			d.refuse(x, t.Request)
		case len(t.Response) > 0:
			x.now += t.Think.Nanoseconds()
			d.send(x, Server, t.Response)
		}
	}
	return x.recording()
}

// send sends a datagram; x.now becomes the time of its arrival.
func (d *Datagrams) send(x *exchange, from Side, data []byte) {
	src, dst := d.Client, d.Server
	if from == Server {
		src, dst = dst, src
	}
	x.send(from, len(data), d.MTU, func(ttl uint8) []byte {
		ip := ipLayer(src.Addr(), dst.Addr(), ttl, d.IPID[from])
		if ip4, ok := ip.(IPv4); ok && d.MTU > 0 {
			ip4.DF = false
			ip = ip4
		}
		return Build(ip, UDP{SrcPort: src.Port(), DstPort: dst.Port()}, Payload(data))
	})
	d.IPID[from]++
}

func (d *Datagrams) refuse(x *exchange, data []byte) {
	ip := IPv4{Src: d.Client.Addr(), Dst: d.Server.Addr(), ID: d.IPID[Client] - 1, DF: true}
	quoted := Build(ip, UDP{SrcPort: d.Client.Port(), DstPort: d.Server.Port()}, Payload(data))
	x.sendError(func(ttl uint8) []byte {
		return Build(IPv4{Src: d.Server.Addr(), Dst: d.Client.Addr(), TTL: ttl, ID: d.IPID[Server]}, ICMP{Type: Unreachable, Code: PortUnreachable}, Quote(quoted))
	})
	d.IPID[Server]++
}

// Pings is the script of ICMP echo requests and their replies.
type Pings struct {
	Client, Server netip.Addr
	Start          int64
	Path           Path
	ID             uint16
	Count          int
	Interval       time.Duration
	Size           int // octets of data
	Fates          []Fate
}

// Record plays the script.
func (p Pings) Record() Recording {
	x := newExchange("icmp", p.Client.String(), p.Server.String(), p.Path, p.Fates, p.Start)
	if p.Client.Is6() {
		for i := range x.truths {
			x.truths[i].Protocol = "icmp6"
		}
	}
	for i := range p.Count {
		x.now = p.Start + int64(i)*p.Interval.Nanoseconds()
		p.send(x, Client, uint16(i+1))
		if x.arrived {
			p.send(x, Server, uint16(i+1))
		}
	}
	return x.recording()
}

func (p *Pings) send(x *exchange, from Side, seq uint16) {
	src, dst, typ4, typ6 := p.Client, p.Server, uint8(EchoRequest), uint8(EchoRequest6)
	if from == Server {
		src, dst, typ4, typ6 = dst, src, EchoReply, EchoReply6
	}
	x.send(from, p.Size, 0, func(ttl uint8) []byte {
		var icmp Layer = ICMP{Type: typ4, ID: p.ID, Seq: seq}
		if src.Is6() {
			icmp = ICMPv6{Type: typ6, ID: p.ID, Seq: seq}
		}
		return Build(ipLayer(src, dst, ttl, seq), icmp, Payload(make([]byte, p.Size)))
	})
}

// exchange records packets that no protocol machine stands behind.
type exchange struct {
	wire
	now     int64
	arrived bool // the packet sent last
	rec     []Recorded
	truths  []Truth
}

func newExchange(protocol, client, server string, p Path, fates []Fate, start int64) *exchange {
	x := &exchange{wire: newWire(p, fates), now: start}
	for range x.taps {
		x.truths = append(x.truths, Truth{Protocol: protocol, Client: client, Server: server})
	}
	return x
}

// send sends the packet that build makes for a TTL, in fragments where it is
// longer than mtu. A packet counts in the truth when all of it is recorded, at
// the time of its last fragment.
func (x *exchange) send(from Side, payload, mtu int, build func(ttl uint8) []byte) {
	whole := build(64)
	n := len(cut(whole, mtu))
	last := make([]int64, len(x.taps))
	complete := make([]int, len(x.taps))
	x.arrived = true
	leaves := x.now
	for i := range n {
		f := x.wire.send(from, DataPacket, leaves)
		leaves += int64(len(whole)/n) * nsPerOctet
		for tap := range x.taps {
			if t, ok := x.passes(f, tap); ok {
				part := cut(build(64-x.hops(from, tap)), mtu)[i]
				x.rec = append(x.rec, Recorded{t, tap, from, part})
				last[tap] = max(last[tap], t)
				complete[tap]++
			}
		}
		t, ok := x.passes(f, x.far(from))
		x.now = max(x.now, t)
		x.arrived = x.arrived && ok
	}
	for tap, k := range complete {
		if k == n {
			x.truths[tap].count(last[tap], from, len(whole), payload)
		}
	}
}

// sendError sends an ICMP error to the client.
func (x *exchange) sendError(build func(ttl uint8) []byte) {
	f := x.wire.send(Server, AnyPacket, x.now)
	for tap := range x.taps {
		if t, ok := x.passes(f, tap); ok {
			x.rec = append(x.rec, Recorded{t, tap, Server, build(64 - x.hops(Server, tap))})
			x.truths[tap].ICMPErrors++
		}
	}
	x.now, _ = x.passes(f, x.far(Server))
}

func (x *exchange) recording() Recording {
	slices.SortStableFunc(x.rec, func(a, b Recorded) int { return int(a.Time - b.Time) })
	return Recording{x.rec, x.truths}
}

// cut gives the fragments of a packet, alone where mtu is 0.
func cut(packet []byte, mtu int) [][]byte {
	switch {
	case mtu == 0:
		return [][]byte{packet}
	case packet[0]>>4 == 6:
		return Fragment6(packet, mtu, uint32(len(packet)))
	case packet[0]>>4 == 4:
		return Fragment4(packet, mtu)
	}
	panic(fmt.Sprintf("pcapgen: IP version %d", packet[0]>>4))
}
