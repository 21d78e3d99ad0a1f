package flow

import (
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
	"unsafe"

	"mirrorscope/dnsmeta"
	"mirrorscope/packet"
)

// openings plays what may befall the opening of a connection: SYNs of all
// kinds, repeats, copies, answers, errors about them, other clocks, silence.
func openings(t *testing.T, seed uint64, n int, change func(*Config), set func(*Table)) *scene {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := newScene(t, change)
	set(s.table)
	var latest []packet.Packet
	for range n {
		switch rng.IntN(12) {
		case 0:
			s.now += rng.Int64N(40e9)
		default:
			s.now += rng.Int64N(50e6)
		}
		p := s.tcp(cli, srv, "S", rng.Uint32(), 0, "")
		p.Src[15], p.Dst[15] = byte(rng.IntN(4)), byte(4+rng.IntN(2))
		p.SrcPort, p.DstPort = uint16(1000+rng.IntN(8)), uint16(rng.IntN(3))
		p.TTL, p.TOS, p.IPID, p.Path, p.Position = uint8(rng.IntN(256)), uint8(rng.IntN(256)), uint16(rng.IntN(3)), packet.PathID(rng.Uint32()), rng.Uint32()
		p.Point, p.Network = packet.PointID(1+rng.IntN(2)), packet.NetworkID(1+rng.IntN(2))
		c := &p.TCP
		c.Window, c.Has = uint16(rng.Uint32()), packet.TCPOptions(rng.IntN(16))
		c.HeaderLen = uint8(20 + 4*rng.IntN(10))
		p.IPLen = 20 + uint32(c.HeaderLen)
		if c.Has&packet.HasMSS != 0 {
			c.MSS = uint16(rng.Uint32())
		}
		if c.Has&packet.HasWScale != 0 {
			c.WScale = uint8(rng.Uint32())
		}
		if c.Has&packet.HasTimestamps != 0 {
			c.TSval = rng.Uint32()
		}
		if rng.IntN(4) == 0 {
			c.Flags |= packet.ECE | packet.CWR
		}
		switch rng.IntN(20) {
		case 0:
			c.TSecr = 1
		case 1:
			c.Ack = 1
		case 2:
			p.Payload, p.PayloadLen, p.IPLen = []byte("hello"), 5, p.IPLen+5
		case 3:
			p.Version, p.Src[0], p.Dst[0] = 6, 32, 32
		case 4:
			p.Flags |= packet.Truncated | packet.OptionsUnknown
		case 5:
			p.Flags |= packet.OuterSwapped
		case 6:
			p.Flags |= packet.HeaderCut
		case 7:
			p.Weight = 7
		case 8:
			c.Flags |= packet.FIN
		}
		if len(latest) > 0 && rng.IntN(2) == 0 { // about one that was there
			q := latest[rng.IntN(len(latest))]
			switch rng.IntN(8) {
			case 0, 1: // again
				p = q
				p.IPID++
			case 2: // a copy
				p = q
				p.Position++
			case 3: // answered
				p = q
				p.Src, p.Dst, p.SrcPort, p.DstPort = q.Dst, q.Src, q.DstPort, q.SrcPort
				p.TCP.Flags, p.TCP.Seq, p.TCP.Ack = packet.SYN|packet.ACK, rng.Uint32(), q.TCP.Seq+1
			case 4: // refused
				p = q
				p.Src, p.Dst, p.SrcPort, p.DstPort = q.Dst, q.Src, q.DstPort, q.SrcPort
				p.TCP.Flags, p.TCP.Seq, p.TCP.Ack = packet.RST|packet.ACK, 0, q.TCP.Seq+1
			case 5:
				e := packet.Packet{Time: s.now, Now: max(s.now, s.table.now), Src: packet.Addr{1}, Point: q.Point, Network: q.Network, Proto: packet.ProtoICMP, ICMPType: 3, ICMPCode: 1}
				s.barrier(e.Now - e.Now%1e9)
				s.table.Quote(&e, &packet.Quote{Src: q.Src, Dst: q.Dst, SrcPort: q.SrcPort, DstPort: q.DstPort, Proto: q.Proto, Seq: q.TCP.Seq, HasSeq: true})
				continue
			case 6:
				s.table.Lost(&q)
				continue
			case 7: // on it goes
				p = q
				p.TCP.Flags, p.TCP.Seq, p.TCP.Ack = packet.ACK, q.TCP.Seq+1, rng.Uint32()
			}
			p.Hash = 0
		}
		if latest = append(latest, p); len(latest) > 8 {
			latest = latest[1:]
		}
		p.Time = s.now
		if rng.IntN(10) == 0 {
			p.Time -= rng.Int64N(6e9)
		}
		s.put(p)
		if rng.IntN(30) == 0 {
			s.collect()
		}
	}
	return s
}

// Records are the same whether flows begin as embryos or not, and whether some of their
// ends have names.
func TestEmbryosAlike(t *testing.T) {
	for seed := range uint64(12) {
		for _, interval := range []time.Duration{0, 10 * time.Second} {
			change := func(c *Config) { c.Interval = interval }
			named := func(t *Table) {
				for i := range seed % 4 {
					host := packet.Addr{10: 255, 11: 255, 12: 10, 15: byte(2 * (i + 1))} // a client, a server, none
					t.learned.names.Learn(&dnsmeta.Answer{Addr: host, Name: "name", TTL: 1000, At: sceneStart + int64(i)*20e9}, 1)
				}
			}
			were := 0
			small := openings(t, seed, 1500, change, named)
			were = int(small.table.flows.embryos.n) + len(small.table.flows.seeds.rows)
			small.end()
			full := openings(t, seed, 1500, change, func(t *Table) {
				named(t)
				t.fullGrown = true
			})
			full.end()
			if were == 0 {
				t.Fatalf("no embryos with intervals of %v", interval)
			}
			if len(small.recs) != len(full.recs) {
				t.Fatalf("seed %d: %d records, want %d", seed, len(small.recs), len(full.recs))
			}
			for i := range full.recs {
				small.recs[i].serial, full.recs[i].serial = 0, 0 // that of an interval depends on when it is told
				if !reflect.DeepEqual(small.recs[i], full.recs[i]) {
					t.Fatalf("seed %d: record %d is\n%+v, want\n%+v", seed, i, small.recs[i], full.recs[i])
				}
			}
			if n := small.table.flows.all(); n != 0 || small.table.index.used != 0 {
				t.Fatalf("seed %d: %d flows and embryos are left, %d in the index", seed, n, small.table.index.used)
			}
		}
	}
}

// A flood takes its room and no more, each SYN has its record, and what leaves
// for lack of room leaves in order.
func TestEmbryoFlood(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Memory = minMemory })
	room := int(int64(s.table.maxFlows)*s.table.perFlow/rowOctets) * rowLen
	n := 3 * room
	for i := range n {
		p := s.tcp(cli, srv, "S", uint32(i), 0, "")
		binary.BigEndian.PutUint32(p.Src[12:], uint32(i))
		s.at(time.Duration(i) * time.Microsecond).add(p)
		if live := s.table.flows.all(); live > room {
			t.Fatalf("%d seeds, there is room for %d", live, room)
		}
	}
	s.take()
	for i := range s.recs {
		r := &s.recs[i]
		if got := binary.BigEndian.Uint32(r.Ends[Client].Addr[12:]); r.EndReason != EndLackOfResources || got != uint32(i) {
			t.Fatalf("record %d is of SYN %d, %v", i, got, r.EndReason)
		}
	}
	if evicted := len(s.recs); evicted < n-room || evicted >= n-room+rowLen {
		t.Errorf("%d left, want %d and those of their row", evicted, n-room)
	}
	// One that was answered is worth more than those that were not.
	p := s.tcp(srv, cli, "SA", 7, uint32(n), "")
	binary.BigEndian.PutUint32(p.Dst[12:], uint32(n-1))
	s.add(p)
	if octets := s.table.flows.youths.Octets(); octets != 104 || s.table.full(-s.table.perFlow) {
		t.Errorf("%d octets of youths, full %v", octets, s.table.full(-s.table.perFlow))
	}
	p.IPID++
	s.add(p) // it comes again
	if live := s.table.flows.live; live != 1 || s.table.full(0) {
		t.Errorf("%d flows, full %v", live, s.table.full(0))
	}
	if got := len(s.end()); got != n {
		t.Errorf("%d records, want %d", got, n)
	}
}

// What fits comes back as it was.
func TestEmbryoPacket(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	s := newScene(t, nil)
	fits := 0
	for range 10_000 {
		p := s.tcp(cli, srv, "S", rng.Uint32(), 0, "")
		c := &p.TCP
		p.Payload, p.Time, p.Now, c.Checksum = nil, int64(rng.Uint64()), int64(rng.Uint64()), 0
		if rng.IntN(2) == 0 {
			p.Now = p.Time + rng.Int64N(1<<33)
		}
		p.IPLen, p.Flags, c.Flags = uint32(rng.IntN(300)), packet.Flags(rng.IntN(1<<9)), c.Flags|uint16(rng.IntN(1<<9))&^(packet.ACK|packet.RST|packet.FIN)
		p.TOS, p.TTL, c.WScale, c.HeaderLen = uint8(rng.Uint32()), uint8(rng.Uint32()), uint8(rng.Uint32()), uint8(rng.IntN(64))
		c.MSS, c.Window, p.IPID, c.TSval, c.Has = uint16(rng.Uint32()), uint16(rng.Uint32()), uint16(rng.Uint32()), rng.Uint32(), packet.TCPOptions(rng.IntN(16))
		if !conceives(&p) {
			continue
		}
		var e embryo
		soil(&e)
		e.set(&p)
		fits++
		slot := rng.IntN(wheelSlots)
		e.setSlot(slot)
		q := s.tcp(srv, cli, "R", 1, 2, "before") // what the memory was used for
		q.Kind, q.Weight, q.DF, q.Hash, q.TCP.SACK[3].Left, q.TCP.NumSACK = 1, 2, true, 3, 4, 5
		e.syn(&q)
		if !reflect.DeepEqual(p, q) || e.slot() != slot {
			t.Fatalf("%+v, was %+v", q, p)
		}
		want, _ := keyOf(&p)
		if e.key() != want {
			t.Fatalf("key %+v, want %+v", e.key(), want)
		}
	}
	if fits < 50 {
		t.Errorf("%d of 10000 fit", fits)
	}
}

// The key of an embryo has its ends in order, whoever is the client; its hash is that of its
// key, and it knows which side sends.
func TestEmbryoKey(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 44))
	s := newSecret()
	for range 10_000 {
		small := func() uint32 { return r.Uint32() >> (r.IntN(4) * 8) }
		e := embryo{
			hosts: uint64(small()) | uint64(small())<<32, ports: uint32(r.IntN(3)) | uint32(r.IntN(3))<<16, where: uint64(small()>>16) | uint64(small()>>16)<<32,
		}
		if r.IntN(4) == 0 {
			e.hosts = uint64(e.src()) | uint64(e.src())<<32
		}
		e.place = upper(e.src(), e.dst(), e.srcPort(), e.dstPort()) | 13<<slotBits
		e.setSlot(r.IntN(wheelSlots))
		want := Key{Proto: packet.ProtoTCP, Point: e.point(), Network: e.network()}
		src, dst := address(e.src()), address(e.dst())
		dir := uint8(want.setEnds(&src, &dst, e.srcPort(), e.dstPort()))
		if key := e.key(); key != want {
			t.Fatalf("%+v: key %+v, want %+v", e, key, want)
		}
		if got, want := e.hash(&s), s.hash(&want); got != want {
			t.Fatalf("%+v: hash %x, want %x", e, got, want)
		}
		four := e.four()
		if client, server := e.side(&four, dir), e.side(&four, dir^1); client != 0 || server != 1 {
			t.Fatalf("%+v: sides %d and %d", e, client, server)
		}
		for i, p := range []*uint64{&four.hosts, &four.hosts, &four.ends, &four.ends, &four.where, &four.where} {
			*p ^= 1 << (i % 2 * 20)
			if side := e.side(&four, dir); side != other {
				t.Fatalf("%+v: side %d of %+v", e, side, four)
			}
			*p ^= 1 << (i % 2 * 20)
		}
	}
}

// soil makes v, which has no pointers, what memory that was used before may be.
func soil[T any](v *T) {
	b := unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
	for i := range b {
		b[i] = 0xa5
	}
}
