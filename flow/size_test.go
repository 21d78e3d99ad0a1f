package flow

import (
	"testing"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// What one flow costs is a promise to those who size machines.
func TestSizes(t *testing.T) {
	for _, s := range []struct {
		name      string
		got, most uintptr
	}{
		{"Flow", unsafe.Sizeof(Flow{}), 616},
		{"tcp.Conn", unsafe.Sizeof(tcp.Conn{}), 320},
		{"tcp.Opening", unsafe.Sizeof(tcp.Opening{}), 80},
		{"embryo", unsafe.Sizeof(embryo{}), 64},
		{"youth", unsafe.Sizeof(youth{}), 64},
		{"seenCopy", unsafe.Sizeof(seenCopy{}), 24},
		{"pair of IPv4, known", unsafe.Sizeof(knownEntry[pair4, pairSeen]{}), 32},
		{"lesson4", unsafe.Sizeof(lesson4{}), 20},
		{"packet.Packet", unsafe.Sizeof(packet.Packet{}), 256},
		{"Lone", unsafe.Sizeof(Lone{}), 64},
		{"snapshot", unsafe.Sizeof(snapshot{}), 848},
	} {
		t.Logf("%-19s %4d octets", s.name, s.got)
		if s.got > s.most {
			t.Errorf("%s takes %d octets, want at most %d", s.name, s.got, s.most)
		}
	}
}

// The same fields of all tables lie in different sets of a cache.
func TestTablesApart(t *testing.T) {
	list := NewTables(Config{}, NewLearned(Config{}), new(packet.Names))
	places := make(map[uintptr]bool)
	for _, table := range list {
		places[uintptr(unsafe.Pointer(table))%page/stagger] = true
	}
	if len(list) != Partitions || len(places) != Partitions {
		t.Errorf("%d tables at %d places of a page", len(list), len(places))
	}
}

// The reckoned addresses of values, links and seeds are theirs.
func TestAddresses(t *testing.T) {
	flows, embryos := store[Flow]{chunks: []*chunk[Flow]{new(chunk[Flow]), new(chunk[Flow])}}, store[embryo]{chunks: []*chunk[embryo]{new(chunk[embryo]), new(chunk[embryo])}}
	for n := range uint32(2 * chunkLen) {
		f, e, i := flows.chunks[n/chunkLen], embryos.chunks[n/chunkLen], n%chunkLen
		if flows.at(n) != &f.values[i] || flows.link(n) != &f.links[i] || embryos.at(n) != &e.values[i] || embryos.link(n) != &e.links[i] {
			t.Fatalf("value %d or its link lies elsewhere", n)
		}
	}
	r := row{seeds: new([rowLen]seed)}
	for i := range uint32(rowLen) {
		if r.at(i) != &r.seeds[i] {
			t.Fatalf("seed %d lies elsewhere", i)
		}
	}
}
