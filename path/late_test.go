package path

import (
	"reflect"
	"testing"

	"mirrorscope/packet"
)

// A SYN that got lost behind the first point is found though it is told late, also
// when it is older than the window: what comes of it is what Packet finds.
func TestLate(t *testing.T) {
	type syn struct {
		shot
		flags uint16
	}
	for _, again := range []int64{100 * 1e6, 1e9, 3e9, 9e9} { // ns from the SYN to its repeat
		rest := []syn{
			{shot{again, 0, 1, 0}, packet.SYN}, {shot{again + 1e6, 1, 1, 0}, packet.SYN},
			{shot{again + 2e6, 1, 7, 1}, packet.SYN | packet.ACK}, {shot{again + 3e6, 0, 7, 1}, packet.SYN | packet.ACK},
			{shot{again + 4e6, 0, 2, 0}, packet.ACK}, {shot{again + 5e6, 1, 2, 0}, packet.ACK},
		}
		packetOf := func(s syn) packet.Packet {
			p := s.packet()
			p.Now, p.PayloadLen, p.TCP.Flags, p.TCP.Ack = s.at, 0, s.flags, 0
			if s.flags&packet.ACK != 0 {
				p.TCP.Ack = 11 // of the SYN, whose number is 10
				if s.dir == 0 {
					p.TCP.Seq, p.TCP.Ack = 11, 71
				}
			}
			return p
		}
		run := func(late bool) []Connection {
			m := NewMatcher(DefaultConfig())
			first := packetOf(syn{shot{0, 0, 1, 0}, packet.SYN})
			first.IPID = 9
			if late {
				m.Late(0, &first, 0, again)
				m.Told()
			} else {
				m.Packet(0, &first, 0)
			}
			for _, s := range rest {
				p := packetOf(s)
				m.Packet(uint32(s.point), &p, s.dir)
			}
			return finish(m, 2)
		}
		got, want := run(true), run(false)
		if len(want) != 1 || want[0].Segments[0].Loss[0].Lost+want[0].Segments[0].Loss[0].Unlocated == 0 {
			t.Fatalf("the SYN that was lost is not found: %+v", want)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d ms: told late, it is\n%+v, want\n%+v", again/1e6, got, want)
		}
	}
}
