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
