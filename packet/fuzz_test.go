package packet

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"

	gen "mirrorscope/internal/pcapgen"
)

// fuzzLinks are the link types, those the decoder reads and one that it does
// not.
var fuzzLinks = []uint16{linkEthernet, linkRaw, linkNull, linkLoop, linkPPP, linkPPPHDLC, linkSLL, linkSLL2, linkNFLOG, linkIPv4, linkIPv6, 147}

// inside tells whether p is a part of b.
func inside(p, b []byte) bool {
	at, from := uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return at >= from && at+uintptr(len(p)) <= from+uintptr(len(b))
}

// checkPacket tells what holds for every packet that Decode gives.
func checkPacket(t *testing.T, d *Decoder, data []byte, p *Packet) {
	t.Helper()
	fail := func(what string) { t.Errorf("%s\n%+v", what, *p) }
	if p.Version != 4 && p.Version != 6 {
		fail("version")
	}
	if p.PayloadLen > p.IPLen || len(p.Payload) > int(p.PayloadLen) && p.Flags&HeaderCut == 0 {
		fail("lengths")
	}
	if p.IPLen > maxFrame {
		fail("ip length")
	}
	if len(p.Payload) > 0 && !inside(p.Payload, data) && !inside(p.Payload, d.frags.whole) {
		fail("payload is neither of the frame nor of the fragment table")
	}
	if p.Flags&(Truncated|HeaderCut|BadHeader) == 0 && len(p.Payload) != int(p.PayloadLen) {
		fail("payload is missing without a reason")
	}
	if p.Hash != SymmetricHash(&p.Dst, &p.Src, p.DstPort, p.SrcPort, p.Proto, p.Kind) {
		fail("hash")
	}
	if (p.Position != 0) != (p.Flags&HasMAC != 0) {
		fail("position")
	}
	if p.Point == 0 || p.Network == 0 || p.Path == 0 {
		fail("id 0")
	}
	if p.Proto != ProtoTCP && p.TCP != (TCP{}) || p.TCP.NumSACK > 4 || p.TCP.HeaderLen > 60 {
		fail("TCP header")
	}
	if p.Flags&(LengthUnknown|Reassembled) == 0 && p.IPLen > maxIPv4+ipv6Header && p.Version == 4 {
		fail("IPv4 packet longer than its length field")
	}
	var q Quote
	if ParseQuote(p, &q) && q.Version != p.Version {
		fail("quote")
	}
}

func FuzzDecode(f *testing.F) {
	inner := [][]byte{
		gen.Build(ip4, segment, data), gen.Build(ip6, gen.HopByHop{}, segment), gen.Build(ip4, gen.ICMP{Type: 3}, gen.Payload(gen.Build(ip4, segment))),
		gen.Build(ip6, gen.ICMPv6{Type: 1}, gen.Payload(gen.Build(ip6, gen.DestinationOptions{}, segment))),
		gen.Fragment4(gen.Build(ip4free, segment, gen.Payload(make([]byte, 90))), 60)[0], gen.Fragment6(gen.Build(ip6, segment, gen.Payload(make([]byte, 90))), 100, 1)[0],
		gen.Build(ip4, gen.TCP{Flags: SYN, Options: gen.TCPOptions{MSS: 1, WScale: new(uint8(1)), SACKPermitted: true, FastOpen: []byte("cookie01")}}),
	}
	for _, w := range wrappings {
		for _, p := range inner {
			for i, link := range fuzzLinks {
				if link == w.link {
					f.Add(uint8(i), 0, gen.Build(append(w.layers[:len(w.layers):len(w.layers)], gen.Packet(p))...))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, linkIndex uint8, extra int, frame []byte) {
		link := fuzzLinks[int(linkIndex)%len(fuzzLinks)]
		before := bytes.Clone(frame)
		wire := len(frame) + extra
		decode := func() (Skip, Packet, *Decoder) {
			d := NewDecoder(DefaultConfig(), new(Names))
			var p Packet
			skip := d.Decode(frame, link, 5, wire, 77, &p)
			if skip == OK {
				checkPacket(t, d, frame, &p)
			}
			return skip, p, d
		}
		skip, p, d := decode()
		again, q, _ := decode()
		if skip != again || skip == OK && (!equalPackets(&p, &q) || !bytes.Equal(p.Payload, q.Payload)) {
			t.Errorf("decoded twice: %v %+v\n%v %+v", skip, p, again, q)
		}
		if !bytes.Equal(frame, before) {
			t.Error("Decode wrote to the frame")
		}
		if skip >= NumSkips || skip == FragmentIncomplete || skip == Filtered || skip == FragmentDuplicate {
			t.Errorf("skip %v of a single frame", skip)
		}
		d.Flush()
		if n := d.Settled[FragmentIncomplete]; n != map[bool]uint64{true: 1}[skip == Held] {
			t.Errorf("skip %v, %d settled", skip, n)
		}
	})
}

// FuzzFragments cuts a packet into fragments at random, delivers them in
// random order with copies among them and other packets between, and wants the
// packet back. Then it throws hostile fragments at the same table.
func FuzzFragments(f *testing.F) {
	f.Add(uint64(1), uint16(1000), []byte{})
	f.Add(uint64(2), uint16(3), []byte{1, 2, 3, 4, 5, 6, 7, 8})
	f.Add(uint64(3), uint16(60000), bytes.Repeat([]byte{0x20, 1, 8, 0}, 50))
	f.Fuzz(func(t *testing.T, seed uint64, size uint16, hostile []byte) {
		r := rand.New(rand.NewPCG(seed, uint64(size)))
		payload := make(gen.Payload, int(size)%61000)
		for i := range payload {
			payload[i] = byte(r.Uint32())
		}
		cfg := DefaultConfig()
		cfg.Fragments.Packets, cfg.Fragments.PerPoint, cfg.Fragments.Octets = 32, 32, 2*maxIPv4
		feed := newFeed(t, cfg)
		feed.now = 1

		var packet []byte
		var parts [][]byte
		head, version6 := 20, r.IntN(2) == 1
		if version6 {
			packet, head = gen.Build(ip6, segment, payload), 40
		} else {
			packet = gen.Build(ip4free, segment, payload)
		}
		want := decodeRaw(packet)
		body := packet[head:]
		for at := 0; at < len(body); {
			n := min(8*(1+r.IntN(1+len(body)/8)), len(body)-at)
			if at == 0 && n == len(body) {
				n = 16 // at least two
			}
			more := at+n < len(body)
			if version6 {
				parts = append(parts, gen.Build(ip6, gen.IPv6Fragment{ID: 7, Offset: uint16(at), More: more, Next: new(uint8(ProtoTCP))}, gen.Payload(body[at:at+n])))
			} else {
				ip := ip4free
				ip.Offset, ip.MF, ip.Protocol = uint16(at), more, ProtoTCP
				parts = append(parts, gen.Build(ip, gen.Payload(body[at:at+n])))
			}
			at += n
		}
		var whole int
		deliver := func(p []byte) {
			skip := feed.add(p)
			switch {
			case skip == OK:
				whole++
				want.Packet.Flags |= Reassembled
				samePacket(t, feed.last, want)
			case skip != Held && skip != FragmentDuplicate:
				t.Fatalf("skip %v", skip)
			}
		}
		for _, i := range r.Perm(len(parts)) {
			deliver(parts[i])
			for r.IntN(3) == 0 {
				deliver(parts[i])
			}
		}
		if whole != 1 {
			t.Errorf("%d packets from %d fragments", whole, len(parts))
		}

		for i := 0; i+4 <= len(hostile); i += 4 {
			ip := gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, ID: uint16(hostile[i] & 7), Offset: uint16(hostile[i+1]) << 3 << (hostile[i] & 0x30 >> 3),
				MF: hostile[i]&8 != 0, Protocol: ProtoUDP}
			b := gen.Build(ip, gen.Payload(make([]byte, int(hostile[i+2])<<(hostile[i]>>6))))
			binary.BigEndian.PutUint16(b[2:], uint16(len(b)+int(int8(hostile[i+3]))))
			feed.now += int64(hostile[i+3]) * int64(20*time.Millisecond)
			feed.cut(b, max(20, len(b)-int(hostile[i+1]&0xf)))
			if tab := &feed.d.frags; tab.n > 32 || len(tab.entries) != tab.n || tab.octets > 2*maxIPv4+2*65536+16*2*maxParts {
				t.Fatalf("%d packets, %d octets", tab.n, tab.octets)
			}
		}
		feed.balance()
	})
}
