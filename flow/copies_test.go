package flow

import (
	"testing"
	"time"

	"mirrorscope/packet"
)

// What is a mirror copy, and what is a packet that is only alike. Every case
// sends one packet of an open connection, and its like after some time.
func TestCopies(t *testing.T) {
	data := func(s *scene) packet.Packet { return s.tcp(cli, srv, "PA", 101, 901, "hello") }
	ack := func(s *scene) packet.Packet { return s.tcp(cli, srv, "A", 101, 901, "") }
	noID := func(make func(*scene) packet.Packet) func(*scene) packet.Packet {
		return func(s *scene) packet.Packet { p := make(s); p.IPID = 0; return p }
	}
	hop := func(p *packet.Packet) { p.TTL -= 1; p.Position = 78 }
	mac := func(p *packet.Packet) { p.Position = 78 }
	none := func(p *packet.Packet) {}
	partial := func(p *packet.Packet) { p.TCP.Checksum, _ = p.PartialChecksum() }
	datagram := func(s *scene) packet.Packet { return s.udp(cli, srv, "ping") }
	undone := func(p *packet.Packet) { // the sum of its pseudo-header, as it leaves its host
		sum := uint32(packet.ProtoUDP) + 8 + p.PayloadLen
		for i := 12; i < 16; i += 2 {
			sum += uint32(p.Src[i])<<8 + uint32(p.Src[i+1]) + uint32(p.Dst[i])<<8 + uint32(p.Dst[i+1])
		}
		p.Checksum = uint16(sum>>16 + sum)
	}
	completed := func(p *packet.Packet) { undone(p); p.Checksum = p.Completed() }
	first := func(make func(*scene) packet.Packet, change func(*packet.Packet)) func(*scene) packet.Packet {
		return func(s *scene) packet.Packet { p := make(s); change(&p); return p }
	}
	tests := []struct {
		name   string
		first  func(*scene) packet.Packet
		change func(*packet.Packet)
		after  time.Duration
		want   bool
	}{
		{"same bytes at once", data, none, 10 * time.Microsecond, true},
		{"same bytes, later than any mirror", data, none, 20 * time.Millisecond, false},
		{"another hop", data, hop, 2 * time.Millisecond, true},
		{"another hop, a changing ID, within a second", data, hop, 600 * time.Millisecond, true},
		{"another hop, too late", data, hop, 1100 * time.Millisecond, false},
		{"another link", data, mac, 50 * time.Millisecond, true},
		{"another link, too late", data, mac, 150 * time.Millisecond, false},
		{"TTL too far off for a hop, same link", data, func(p *packet.Packet) { p.TTL -= 9 }, 50 * time.Millisecond, false},
		{"other IP ID: sent again", data, func(p *packet.Packet) { p.IPID++ }, time.Microsecond, false},
		{"other timestamp: sent again", data, func(p *packet.Packet) { p.TCP.TSval = 9 }, time.Microsecond, false},
		{"other checksum", data, func(p *packet.Packet) { p.TCP.Checksum = 7 }, time.Microsecond, false},
		{"checksum not computed", data, partial, time.Microsecond, true},
		{"checksum not computed before", first(data, partial), func(p *packet.Packet) { p.TCP.Checksum = 7 }, time.Microsecond, true},
		{"checksum of 0", data, func(p *packet.Packet) { p.TCP.Checksum = 0 }, time.Microsecond, true},
		{"checksum of 0 before", first(data, func(p *packet.Packet) { p.TCP.Checksum = 0 }), func(p *packet.Packet) { p.TCP.Checksum = 7 }, time.Microsecond, true},
		{"DSCP and ECN may change on the way", data, func(p *packet.Packet) { p.TTL--; p.TOS = 3 }, time.Millisecond, true},
		{"no ID, same payload", noID(data), none, time.Microsecond, true},
		{"no ID, other payload", noID(data), func(p *packet.Packet) { p.Payload = []byte("HELLO") }, time.Microsecond, false},
		{"bare ACKs without ID and timestamps repeat", noID(ack), none, time.Microsecond, false},
		{"bare ACK with an ID", ack, none, time.Microsecond, true},
		{"bare ACK without ID from another hop", noID(ack), hop, time.Millisecond, true},
		{"datagram without ID may be repeated by its host", noID(datagram), none, time.Microsecond, false},
		{"datagram with an ID", datagram, none, time.Microsecond, true},
		{"datagram of another checksum", datagram, func(p *packet.Packet) { p.Checksum++ }, time.Microsecond, false},
		{"datagram, checksum not computed", first(datagram, completed), undone, time.Microsecond, true},
		{"datagram, checksum not computed before", first(datagram, undone), completed, time.Microsecond, true},
		{"datagram, checksum not computed, of another payload", first(datagram, undone), func(p *packet.Packet) { completed(p); p.Checksum++ }, time.Microsecond, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, nil)
			for i := range uint32(3) { // the host's IDs are seen to change
				s.at(ms(int(i))).add(s.tcp(cli, srv, "A", 101, 901, ""))
				s.at(ms(int(i))).add(s.udp(cli, srv, string(rune('a'+i))))
			}
			p := tt.first(s)
			s.at(time.Second).add(p)
			tt.change(&p)
			s.at(time.Second + tt.after).add(p)
			var copies, packets int64
			for _, r := range s.end() {
				copies += r.MirrorDuplicates
				packets += r.Sent[0].Packets + r.Sent[1].Packets
			}
			if (copies == 1) != tt.want || copies+packets != 8 {
				t.Errorf("%d copies and %d packets, want a copy: %v", copies, packets, tt.want)
			}
		})
	}
}

// Half the round trip bounds the age of a byte-equal copy when it is short.
func TestCopyWithinHalfRTT(t *testing.T) {
	s := newScene(t, nil)
	s.open(0, cli, srv, 100, 900) // 11 ms
	at := func(us int) time.Duration { return 20*time.Millisecond + time.Duration(us)*time.Microsecond }
	s.at(at(0)).add(s.tcp(cli, srv, "PA", 101, 901, "question"))
	s.at(at(200)).add(s.tcp(srv, cli, "PA", 901, 109, "answer"))
	s.at(at(300)).add(s.tcp(cli, srv, "A", 109, 907, ""))
	if rtt := s.table.flows.at(0).tcp.MinRTT(); rtt != 300_000 {
		t.Fatalf("round trip %d ns, want 300 µs", rtt)
	}
	p := s.tcp(srv, cli, "PA", 907, 109, "more")
	s.at(at(1000)).add(p)
	s.at(at(1100)).add(p) // a mirror's
	s.at(at(1300)).add(p) // 200 µs on: the network's
	r := s.one()
	if r.MirrorDuplicates != 1 || r.Sent[Server].Packets != 4 {
		t.Errorf("%d copies, %d packets of the server, want 1 and 4", r.MirrorDuplicates, r.Sent[Server].Packets)
	}
}

// At a point that doubles most packets every repeat within the window is a
// copy, whatever it lacks.
func TestPointThatDoubles(t *testing.T) {
	s := newScene(t, nil)
	for i := range 30 {
		p := s.tcp(cli, srv, "PA", uint32(101+i), 901, "x")
		s.at(ms(i)).add(p).add(p)
	}
	ack := s.tcp(srv, cli, "A", 901, 131, "")
	ack.IPID = 0
	s.at(1200 * time.Millisecond).add(ack)
	s.at(1250 * time.Millisecond).add(ack)
	r := s.one()
	if r.MirrorDuplicates != 31 || r.Sent[Client].Packets != 30 || r.Sent[Server].Packets != 1 {
		t.Errorf("%d copies, packets %d and %d, want 31, 30 and 1", r.MirrorDuplicates, r.Sent[Client].Packets, r.Sent[Server].Packets)
	}
	if c := s.learned.Points()[0]; !c.DupMirror || c.MirrorDuplicates != 31 || c.Packets != 62 {
		t.Errorf("point %+v", c)
	}
}

// The handshake is timed at one place of the path even when another's copy of
// a packet is recorded first.
func TestHandshakeAtOnePlace(t *testing.T) {
	s := newScene(t, nil)
	far := func(p packet.Packet) packet.Packet { p.TTL--; p.Position = 99; return p }
	syn := s.tcp(cli, srv, "S", 100, 0, "")
	s.at(ms(0)).add(syn)
	s.at(ms(3)).add(far(syn))
	synack := s.tcp(srv, cli, "SA", 900, 101, "")
	s.at(ms(10)).add(synack)
	s.at(ms(13)).add(far(synack))
	ack := s.tcp(cli, srv, "A", 101, 901, "")
	s.at(ms(11)).add(far(ack)) // overtakes
	s.at(ms(12)).add(ack)
	h := s.one().Handshake
	if h.Server != 10e6 || h.Client != 2e6 {
		t.Errorf("halves %d and %d ns, want 10 and 2 ms", h.Server, h.Client)
	}
}

// A copy that comes after more packets than the table holds is not found; that
// is counted.
func TestCopiesForgotten(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Memory = minMemory })
	for i := range uint32(60_000) {
		p := s.tcp(cli, srv, "PA", 101+i, 901, "x")
		p.Time = sceneStart + int64(i)
		s.put(p)
	}
	if n := s.table.Counts().CopiesForgotten; n == 0 {
		t.Error("60,000 packets within 60 µs in a table of 16 MiB / 64 / 8, and none was forgotten")
	}
	if got := s.table.copies.octets(); got > minMemory/Partitions/8 {
		t.Errorf("the table takes %d octets", got)
	}
}
