package record

import (
	"bytes"
	"slices"
	"testing"

	"mirrorscope/capture"
	gen "mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// FuzzTake gives a Ring any frame, alone and between others: what is kept begins the
// frame and gives the same packet, and nothing of it breaks the file.
func FuzzTake(f *testing.F) {
	inner := innermost()
	for _, w := range wrappings {
		for _, name := range []string{"tcp4", "ack", "unreachable6", "bad length"} {
			f.Add(gen.Build(append(slices.Clone(w.layers), inner[name]...)...), uint16(w.link), uint16(0))
		}
	}
	whole := gen.Build(ip6, gen.DestinationOptions{}, gen.TCP{SrcPort: 1000, DstPort: 443, Flags: gen.ACK}, payloadOf(300))
	for _, p := range slices.Concat(gen.Fragment4(gen.Build(ip4, gen.UDP{SrcPort: 5, DstPort: 4789}, payloadOf(300)), 200), gen.Fragment6(whole, 200, 7)) {
		f.Add(gen.Build(ether, gen.Packet(p)), uint16(capture.LinkEthernet), uint16(100))
	}
	f.Fuzz(func(t *testing.T, data []byte, link, more uint16) {
		frame := capture.Frame{Data: data, Time: begin, WireLen: len(data) + int(more), Link: capture.LinkType(link)}
		d := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
		x := newCutter(packet.DefaultConfig())
		before := slices.Clone(data)
		var p packet.Packet
		switch d.Decode(data, link, 0, frame.WireLen, frame.Time, &p) {
		case packet.OK:
			if p.Flags&packet.Reassembled != 0 {
				break
			}
			n := x.headers(&frame, &p)
			if n < 0 || n > len(data) {
				t.Fatalf("%d of %d octets", n, len(data))
			}
			at, ok := within(data, p.Payload)
			if ok && p.Kind != packet.ICMPOther && p.Proto != packet.ProtoGRE && n > at {
				t.Errorf("%d octets are kept, the payload begins at %d", n, at)
			}
			if !ok && n > 0 && n < maxHeaders {
				var q packet.Packet
				if s := x.decode(&frame, n, &q); s != packet.OK || !same(&p, &q) {
					t.Errorf("%d octets give %v %+v, all %+v", n, s, q, p)
				}
			}
		case packet.Held:
			if n, _, ok := x.fragment(&frame); ok && n > len(data) {
				t.Fatalf("%d of %d octets of a fragment", n, len(data))
			}
		}
		if !bytes.Equal(data, before) {
			t.Fatal("the frame was changed")
		}
		c := DefaultConfig()
		c.Queue = minQueue
		r, err := New(c, Options{Decode: packet.DefaultConfig()})
		if err != nil {
			t.Fatal(err)
		}
		if s := d.Decode(data, link, 0, frame.WireLen, frame.Time, &p); s == packet.OK {
			r.Take(&frame, &p)
		}
		r.Held(&frame)
	})
}
