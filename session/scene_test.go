package session

import (
	"net/netip"
	"testing"

	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// A scene plays the packets of one connection, without a flow table. The
// client sends in direction 0; the point lies 3 ms from the client and 10 ms
// from the server.
type scene struct {
	t    testing.TB
	st   *Store
	tcps *tcp.Store

	tcp   tcp.Conn
	open  tcp.Opening
	n     uint32
	ports [2]uint16
	seq   [2]uint32 // next of a direction
	acked [2]uint32 // what a direction acknowledges; 0: all
	first int64
	last  int64
	p     packet.Packet
	snap  int // octets of payload captured; 0: all

	unhurried bool   // no packet runs
	ran       [2]int // packets that did, and behind a handshake
	heard     int    // packets that Hear has taken
}

const (
	ms         = int64(1e6)
	sceneStart = int64(1_700_000_000e9)
	clientHalf = 6 * ms
	serverHalf = 20 * ms
)

func newScene(t testing.TB, memory int64) *scene {
	s := &scene{t: t, st: NewStore(memory), tcps: tcp.NewStore(tcp.DefaultConfig())}
	s.begin(443)
	return s
}

// begin makes another connection in the same stores.
func (s *scene) begin(port uint16) *scene {
	*s = scene{t: s.t, st: s.st, tcps: s.tcps, unhurried: s.unhurried, ports: [2]uint16{51234, port}, seq: [2]uint32{1000, 900_000_000}}
	s.tcp.Init()
	return s
}

// shake plays the handshake: SYN at 0, SYN-ACK and ACK.
func (s *scene) shake() *scene {
	s.packet(0, 0, packet.SYN, nil)
	s.packet(serverHalf, 1, packet.SYN|packet.ACK, nil)
	s.packet(serverHalf+clientHalf, 0, packet.ACK, nil)
	return s
}

// packet plays one packet at a time after the start.
func (s *scene) packet(at int64, dir int, flags uint16, data []byte) *scene {
	return s.put(at, dir, flags, s.seq[dir], data)
}

// put plays a packet at a place of its own.
func (s *scene) put(at int64, dir int, flags uint16, seq uint32, data []byte) *scene {
	ack := s.seq[1-dir]
	if s.acked[dir] != 0 {
		ack = s.acked[dir]
	}
	p := &s.p
	*p = packet.Packet{
		Time: sceneStart + at, Proto: packet.ProtoTCP, Version: 4, TTL: 64, IPLen: uint32(40 + len(data)), Payload: data, PayloadLen: uint32(len(data)),
		SrcPort: s.ports[dir], DstPort: s.ports[1-dir], TCP: packet.TCP{Seq: seq, Ack: ack, Flags: flags, Window: 65535, HeaderLen: 20},
	}
	if s.snap > 0 {
		p.Payload = data[:min(len(data), s.snap)]
	}
	n := uint32(len(data))
	if flags&(packet.SYN|packet.FIN) != 0 {
		n++
	}
	if end := seq + n; int32(end-s.seq[dir]) > 0 {
		s.seq[dir] = end
	}
	if s.first == 0 {
		s.first = p.Time
	}
	s.last = max(s.last, p.Time)
	g := s.tcp.Add(s.tcps, p, dir, &s.open, false)
	if s.n != 0 || g.End > g.Pos {
		c := s.conn()
		if !s.unhurried && flags&(packet.SYN|packet.FIN|packet.RST) == 0 && Runs(s.n) && s.st.Run(s.n, &s.tcp, s.tcps, p.Payload, &g, dir, c.Client) {
			s.ran[s.n&past/past]++
			return s
		}
		s.st.unhurried = s.unhurried
		if !s.unhurried && flags&(packet.SYN|packet.RST) == 0 {
			if n, ok := s.st.Hear(s.n, &s.tcp, s.tcps, p, &g, dir); ok {
				s.heard++
				s.n = n
				return s
			}
		}
		s.n = s.st.Segment(s.n, &c, p, &g, dir)
		if flags&packet.RST != 0 {
			s.st.Reset(s.n, &c, dir, p.Time)
		}
	}
	return s
}

var sceneAddrs = [2]packet.Addr{packet.AddrFrom(netip.MustParseAddr("10.0.0.7")), packet.AddrFrom(netip.MustParseAddr("10.0.0.9"))}

var sceneEnds = [2]*packet.Addr{&sceneAddrs[0], &sceneAddrs[1]}

func (s *scene) conn() Conn {
	client, _ := s.tcp.Client()
	if client < 0 {
		client = 0
	}
	return Conn{TCP: &s.tcp, Store: s.tcps, Client: client, Both: true, RecordsBoth: true, Last: s.last, Ends: sceneEnds, Ports: s.ports}
}

// client and server play data of a side, in segments of 1448 octets.
func (s *scene) client(at int64, data []byte) *scene { return s.say(at, 0, data, 1448) }
func (s *scene) server(at int64, data []byte) *scene { return s.say(at, 1, data, 1448) }

func (s *scene) say(at int64, dir int, data []byte, mss int) *scene {
	for len(data) > 0 {
		n := min(mss, len(data))
		s.packet(at, dir, packet.ACK, data[:n])
		data = data[n:]
	}
	return s
}

// end ends the connection and gives what was said.
func (s *scene) end() Report {
	c := s.conn()
	s.st.End(s.n, &c, true, s.last+1e9)
	server, _ := s.tcp.Half(1)
	f := Frame{Start: s.first, End: s.last, Setup: serverHalf + clientHalf, Server: server}
	r := s.st.Whole(s.n, &c, true, &f, nil)
	if sum := r.Phases.Sum(); sum != s.last-s.first {
		s.t.Errorf("phases add up to %d of %d: %+v", sum, s.last-s.first, *r.Phases)
	}
	s.st.Release(s.n)
	s.tcps.Release(&s.tcp)
	s.n = 0
	return r
}

// turns is what TCP makes of requests and responses.
func (s *scene) turns() tcp.Response {
	var r tcp.Report
	s.tcp.Report(s.tcps, &r, 0, true)
	return r.Response
}
