package session

import (
	"testing"
	"unsafe"

	"mirrorscope/dnsmeta"
	"mirrorscope/httpmeta"
	"mirrorscope/stream"
	"mirrorscope/tlsmeta"
	"mirrorscope/tlsmeta/quic"
)

// TestSizes guards what each flow of a protocol costs.
func TestSizes(t *testing.T) {
	for _, s := range []struct {
		name      string
		size, max uintptr
	}{
		{"Session", unsafe.Sizeof(Session{}), 128},
		{"reading", unsafe.Sizeof(reading{}), 192},
		{"sniff", unsafe.Sizeof(sniff{}), 512},
		{"stream.Stream", unsafe.Sizeof(stream.Stream{}), 64},
		{"tlsmeta.State", unsafe.Sizeof(tlsmeta.State{}), 112},
		{"tlsTalk", unsafe.Sizeof(tlsTalk{}), 128},
		{"tlsAside", unsafe.Sizeof(tlsAside{}), 168},
		{"toldOnce", unsafe.Sizeof(toldOnce{}), 320},
		{"work of tlsmeta.Conn", uintptr(tlsmeta.WorkOctets), 704},
		{"httpTalk", unsafe.Sizeof(httpTalk{}), 1416},
		{"httpmeta.Conn", unsafe.Sizeof(httpmeta.Conn{}), 536},
		{"dnsTalk", unsafe.Sizeof(dnsTalk{}), 248},
		{"dnsmeta.Conn", unsafe.Sizeof(dnsmeta.Conn{}), 240},
		{"quic.Conn", unsafe.Sizeof(quic.Conn{}), 672},
		{"tlsmeta.DTLS", unsafe.Sizeof(tlsmeta.DTLS{}), 1016},
	} {
		t.Logf("%-20s %4d octets", s.name, s.size)
		if s.size > s.max {
			t.Errorf("%s takes %d octets, want at most %d", s.name, s.size, s.max)
		}
	}
}
