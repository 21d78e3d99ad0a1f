package tcp

import (
	"encoding/binary"
	"testing"

	"mirrorscope/packet"
)

// FuzzConn gives the engine packets that follow no protocol. 12 octets make
// one: direction and flags, how far its numbers lie from those of the packet
// before, length, window, time, timestamps and SACK blocks. Whatever comes, nothing
// panics, what is counted sums up, the lists stay within their bounds and the
// store gets all back.
func FuzzConn(f *testing.F) {
	for _, k := range []kind{planClean, planLoss, planLossReordered, planSlowReader, planMissed} {
		for seed := range uint64(3) {
			f.Add(encode(draw(k, seed).run().records))
		}
	}
	f.Add([]byte{0xff, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10})
	f.Fuzz(func(t *testing.T, b []byte) {
		st := NewStore(DefaultConfig())
		var c Conn
		c.Init()
		var o Opening
		now := epoch
		var r Report
		for i := 0; len(b) >= fuzzPacket && i < 4096; i++ {
			p, dir, alike, without := decodeFuzz(&c, b[:fuzzPacket], &now)
			b = b[fuzzPacket:]
			op := &o
			if without {
				op = nil
			}
			client := dir
			if i%7 == 3 {
				client = -1
			}
			c.follow(st, &p, dir, client, op, alike)
			bounded(t, &c, st)
			if i%64 == 63 {
				c.Report(st, &r, 0, false)
				sound(t, &r)
				var few Samples
				if x := c.CloseInterval(st, &few, 0); x != nil && few.Len() > 0 {
					t.Errorf("both %d samples and distributions", few.Len())
				}
			}
		}
		c.Report(st, &r, 1, true)
		sound(t, &r)
		c.Report(st, &r, 0, true)
		sound(t, &r)
		o.Result(st, &c)
		o.Release(st)
		st.Release(&c)
		if n := st.inUse(); n != 0 {
			t.Errorf("%d values in use after Release", n)
		}
	})
}

const fuzzPacket = 12

// decodeFuzz makes a packet of 12 octets. Numbers are near those in use, or
// else nothing but strays would come out.
func decodeFuzz(c *Conn, b []byte, now *int64) (p packet.Packet, dir int, alike, without bool) {
	dir = int(b[0] & 1)
	alike, without = b[0]&2 != 0, b[0]&4 != 0
	d, r := &c.Dirs[dir], &c.Dirs[1-dir]
	step := int64(b[7]) * int64(b[7]) * 5000 // up to 0.3 s
	if b[0]&8 != 0 {
		step = -step / 4
	}
	*now += step
	near := func(base int64, lo, hi byte) uint32 {
		v := int16(binary.LittleEndian.Uint16([]byte{lo, hi}))
		n := uint32(base) + uint32(int32(v))
		if hi == 0x7f {
			n += uint32(lo) << 24 // far away
		}
		return n
	}
	p = packet.Packet{Time: *now, Now: *now, Proto: packet.ProtoTCP, Version: 4, TTL: 64, Position: 1, IPID: uint16(b[8]), PayloadLen: uint32(b[6]) * 100}
	if b[0]&16 != 0 {
		p.PayloadLen = uint32(b[6] & 1)
	}
	if b[0]&32 != 0 {
		p.Version = 6
	}
	k := &p.TCP
	k.Flags = uint16(b[1])
	if b[1]&0x10 == 0 && b[9]&3 != 0 {
		k.Flags |= packet.ACK // most have it
	}
	k.Seq, k.Ack = near(d.hi, b[2], b[3]), near(r.hi, b[4], b[5])
	k.Window = uint16(b[9]>>2) << 8
	if b[10]&1 != 0 {
		k.Has |= packet.HasTimestamps
		k.TSval, k.TSecr = uint32(*now/1e6)+uint32(b[10]>>4), uint32(*now/1e6)-uint32(b[11])
	}
	if k.Flags&packet.SYN != 0 {
		k.Has |= packet.HasMSS | packet.HasWScale | packet.HasSACKPermitted
		k.MSS, k.WScale = uint16(b[11])*8, b[10]>>4
	}
	k.NumSACK = b[10] >> 1 & 3
	for i := range k.NumSACK {
		left := k.Ack + uint32(b[11])*uint32(i+1)*64 - uint32(b[10]>>4)*1000
		k.SACK[i] = packet.SACK{Left: left, Right: left + uint32(b[6]-3)*100}
		k.Has |= packet.HasSACK
	}
	return p, dir, alike, without
}

// encode makes fuzz input that resembles a capture.
func encode(recs []record) []byte {
	var out []byte
	var hi [2]int64
	last := epoch
	for i := range recs {
		p, w := &recs[i].Packet, recs[i].w
		b := make([]byte, fuzzPacket)
		b[0] = byte(w.from)
		b[1] = byte(p.TCP.Flags)
		binary.LittleEndian.PutUint16(b[2:], uint16(int16(w.lo-hi[w.from])))
		binary.LittleEndian.PutUint16(b[4:], uint16(int16(w.ack-hi[1-w.from])))
		b[6] = byte(p.PayloadLen / 100)
		for b[7] < 255 && int64(b[7])*int64(b[7])*5000 < p.Time-last {
			b[7]++
		}
		b[8], b[9] = byte(p.IPID), byte(min(p.TCP.Window>>8, 63))<<2|1
		b[10] = p.TCP.NumSACK << 1
		last = p.Time
		hi[w.from] = max(hi[w.from], w.hi)
		out = append(out, b...)
	}
	return out
}

// bounded checks the lists that a hostile sender would like to grow.
func bounded(t *testing.T, c *Conn, st *Store) {
	t.Helper()
	for i := range c.Dirs {
		d := &c.Dirs[i]
		if d.flight != 0 && st.flight(d.flight).n > maxSegs {
			t.Fatalf("direction %d: %d segments in flight", i, st.flight(d.flight).n)
		}
		tr := st.troubleIf(d)
		if tr == nil {
			continue
		}
		if len(tr.holes) > maxHoles || len(tr.sacked) > maxSacked || len(tr.repeats) > maxRepeats {
			t.Fatalf("direction %d: %d holes, %d blocks, %d repeats", i, len(tr.holes), len(tr.sacked), len(tr.repeats))
		}
		for j, h := range tr.holes {
			if h.lo >= h.hi || j > 0 && h.lo < tr.holes[j-1].hi || h.hi > d.hi {
				t.Fatalf("direction %d, end %d: hole %d of %d is [%d,%d)", i, d.hi, j, len(tr.holes), h.lo, h.hi)
			}
		}
		for j, s := range tr.sacked {
			if s.lo >= s.hi || j > 0 && s.lo <= tr.sacked[j-1].hi {
				t.Fatalf("direction %d: block %d is [%d,%d)", i, j, s.lo, s.hi)
			}
		}
	}
}

// sound checks a report: parts sum up, and nothing is negative.
func sound(t *testing.T, r *Report) {
	t.Helper()
	for i := range r.Sides {
		s := &r.Sides[i]
		x := &s.Retransmits
		classes := int64(0)
		for _, n := range x.ByClass {
			classes += n
		}
		if classes != x.Packets || x.SpuriousPackets+x.LostBefore+x.LostAfter+x.Unlocated != x.Packets || x.SpuriousBytes > x.Bytes || x.Segments < x.Packets {
			t.Fatalf("side %d does not sum up: %+v", i, *x)
		}
		for _, n := range []int64{
			x.Packets, x.Segments, x.Bytes, x.SpuriousPackets, x.SpuriousBytes, x.LostBefore, x.LostAfter, x.Unlocated, x.Inferred, x.DSACKUnmatched,
			s.OutOfOrder.Packets, s.OutOfOrder.MaxExtent, s.OutOfOrder.MaxLate, s.NetworkDuplicates, s.KeepAlives, s.ZeroWindow.Episodes, s.ZeroWindow.Probes,
			s.ZeroWindow.Time, s.WindowFull, s.Missed, s.Recorded, s.Strays, s.RTT.Min, s.RTT.Clean, s.RTT.Maybe,
		} {
			if n < 0 {
				t.Fatalf("side %d has a negative count: %+v", i, *s)
			}
		}
		if s.RTT.State != Unknown && (s.RTT.Min <= 0 || s.RTT.P50 < 0) {
			t.Fatalf("side %d: %+v", i, s.RTT)
		}
	}
	if p := &r.Response; p.Measured > p.Turns || p.Measured > 0 && (p.Min < 0 || p.Max < p.Min) {
		t.Fatalf("%+v", *p)
	}
}
