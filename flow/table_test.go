package flow

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"mirrorscope/packet"
)

// A packet that comes after the timeout starts a new flow by itself, and the
// record says the same whether a sweep or that packet ended it.
func TestTimeouts(t *testing.T) {
	clock := func(s *scene) packet.Packet { return s.udp(host{"10.9.9.9", 1}, host{"10.9.9.8", 2}, "clock") }
	for _, tt := range []struct {
		name    string
		first   func(s *scene) packet.Packet
		timeout time.Duration
	}{
		{"udp", func(s *scene) packet.Packet { return s.udp(cli, srv, "x") }, 60 * time.Second},
		{"dns", func(s *scene) packet.Packet { return s.udp(cli, host{"10.0.0.9", 53}, "x") }, 10 * time.Second},
		{"other", func(s *scene) packet.Packet { return s.ip(cli, srv, packet.ProtoESP, 10) }, 30 * time.Second},
		{"tcp", func(s *scene) packet.Packet { return s.tcp(cli, srv, "PA", 1, 1, "x") }, 15 * time.Minute},
		{"half-open", func(s *scene) packet.Packet { return s.tcp(cli, srv, "S", 1, 0, "") }, 30 * time.Second},
	} {
		for _, swept := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s swept=%v", tt.name, swept), func(t *testing.T) {
				s := newScene(t, nil)
				s.at(ms(300)).add(tt.first(s))
				last := ms(300) + tt.timeout - 1 // just in time
				s.at(last).add(tt.first(s))
				if swept {
					s.at(last + tt.timeout + 1500*time.Millisecond).add(clock(s))
				}
				s.at(last + tt.timeout + 1500*time.Millisecond + 1).add(tt.first(s))
				var ours []Record
				for _, r := range s.end() {
					if r.Ends[Server].Port != 2 && r.Ends[Client].Port != 2 {
						ours = append(ours, r)
					}
				}
				if len(ours) != 2 {
					t.Fatalf("%d records, want 2", len(ours))
				}
				r := ours[0]
				if n := r.Sent[0].Packets + r.Sent[1].Packets; n != 2 || r.EndReason != EndIdleTimeout {
					t.Errorf("%d packets, %v, want 2, idle_timeout", n, r.EndReason)
				}
				if want := sceneStart + int64(last+tt.timeout); r.Release != want {
					t.Errorf("released %d ns off", r.Release-want)
				}
			})
		}
	}
}

// When memory is short, half-open flows leave first, then the longest silent.
func TestEviction(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Memory = minMemory })
	const row = 8 // flows that have to leave for a row of seeds
	room := s.table.maxFlows
	for i := range room - 1 - row {
		p := s.udp(host{"10.1.0.1", uint16(20000 + i)}, host{"10.0.0.9", 9999}, "x")
		s.at(time.Duration(i) * time.Microsecond).add(p)
	}
	s.at(ms(900)).add(s.tcp(cli, srv, "S", 1, 0, ""))
	s.at(ms(2901)).add(s.udp(host{"10.1.0.1", 20000}, host{"10.0.0.9", 9999}, "the first is active again"))
	var gone []string
	for i := range row + 3 {
		s.at(ms(2950 + i)).add(s.udp(host{"10.2.0.1", uint16(30000 + i)}, host{"10.0.0.9", 9999}, "x"))
		s.take()
		for _, r := range s.recs[len(gone):] {
			if r.EndReason != EndLackOfResources || r.Release != s.now {
				t.Errorf("%v at %d, want lack_of_resources at %d", r.EndReason, r.Release, s.now)
			}
			gone = append(gone, fmt.Sprint(r.Ends[Client].Port))
		}
	}
	want := fmt.Sprint([]string{fmt.Sprint(cli.port), "20001", "20002"})
	if fmt.Sprint(gone) != want {
		t.Errorf("left in order %v, want %v", gone, want)
	}
	if s.table.flows.live != room {
		t.Errorf("%d flows, want %d", s.table.flows.live, room)
	}
}

// A packet of a known flow costs no allocation.
func TestAddAllocs(t *testing.T) {
	s := newScene(t, nil)
	s.open(0, cli, srv, 100, 900)
	seq := uint32(101)
	p := s.tcp(cli, srv, "PA", seq, 901, "hello")
	p.Hash = packet.SymmetricHash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto, p.Kind)
	now := s.now + 1e6
	n := testing.AllocsPerRun(5000, func() {
		p.Time, p.Now = now, now
		p.TCP.Seq = seq
		p.IPID++
		seq += 5
		now += 1000
		s.table.Add(&p)
	})
	if n != 0 {
		t.Errorf("%v allocations a packet, want 0", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, flows := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprintf("flows=%d", flows), func(b *testing.B) {
			cfg := DefaultConfig()
			cfg.Memory = 16 << 30
			l := NewLearned(cfg)
			table := NewTable(cfg, l, new(packet.Names))
			s := &scene{t: b, table: table, learned: l, now: sceneStart, second: -1}
			packets := make([]packet.Packet, flows)
			for i := range packets {
				p := s.tcp(host{fmt.Sprintf("10.%d.%d.7", i>>8&255, i&255), uint16(1024 + i>>16)}, srv, "PA", 101, 901, "hello")
				p.Hash = packet.SymmetricHash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto, p.Kind)
				packets[i] = p
			}
			now := int64(sceneStart)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				p := &packets[i%flows]
				now += 1000
				p.Time, p.Now = now, now
				p.TCP.Seq += 5
				p.IPID++
				table.Add(p)
			}
		})
	}
}

// Records that leave within a second leave in the same order, and say the same,
// as those that wait for its end.
func TestCollect(t *testing.T) {
	play := func(every int) []Record {
		s := newScene(t, func(c *Config) { c.Memory = minMemory })
		for i := range 5000 {
			s.at(time.Duration(i) * 700 * time.Microsecond)
			s.add(s.udp(host{"10.1.0.1", uint16(20000 + i%3000)}, host{"10.0.0.9", 53}, "x"))
			if i%7 == 0 {
				s.add(s.tcp(host{"10.1.0.2", uint16(20000 + i)}, srv, "S", 1, 0, "")).add(s.tcp(srv, host{"10.1.0.2", uint16(20000 + i)}, "RA", 0, 2, ""))
			}
			if every > 0 && i%every == 0 {
				s.collect()
			}
		}
		recs := s.end()
		for i := range recs {
			recs[i].serial = 0
		}
		return recs
	}
	want := play(0)
	for _, every := range []int{1, 10, 333} {
		got := play(every)
		if len(got) != len(want) {
			t.Fatalf("every %d packets: %d records, want %d", every, len(got), len(want))
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("every %d packets: record %d is %+v, want %+v", every, i, got[i], want[i])
			}
		}
	}
}

// What ends at one moment keeps its order although it was collected in between.
func TestCollectTies(t *testing.T) {
	s := newScene(t, nil)
	early, late := host{"10.1.0.1", 40001}, host{"10.1.0.2", 40002}
	s.at(ms(1)).add(s.tcp(early, srv, "S", 100, 0, ""))
	s.at(ms(2)).add(s.tcp(late, srv, "S", 100, 0, ""))
	s.at(ms(9)).add(s.tcp(late, srv, "S", 90_000, 0, "")) // begins another connection
	s.collect()
	s.at(ms(9)).add(s.tcp(early, srv, "S", 90_000, 0, ""))
	recs := s.end()
	if len(recs) != 4 || recs[0].Ends[Client].Port != early.port || recs[1].Ends[Client].Port != late.port {
		t.Errorf("%d records, of ports %d, %d, …; want 4, %d, %d", len(recs), recs[0].Ends[Client].Port, recs[1].Ends[Client].Port, early.port, late.port)
	}
}
