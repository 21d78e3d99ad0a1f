package afpacket

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/pcapgen"
)

// giant is a TCP segment of n octets in all, for an interface that cuts it up
// later: what a tap on a host sees.
func giant(n int) []byte {
	payload := make(pcapgen.Payload, n-14-40-20)
	for i := range payload {
		payload[i] = byte(i >> 8)
	}
	return pcapgen.Build(ether, ip6, pcapgen.TCP{SrcPort: 1, DstPort: 2, Flags: pcapgen.ACK}, payload)
}

// sendGiant sends a frame with a virtio_net_hdr in front, which asks for
// segmentation.
func (s *sender) sendGiant(frame []byte) {
	s.t.Helper()
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		s.t.Fatal(err)
	}
	h := make([]byte, 10)
	h[0], h[1] = 1, 4                              // VIRTIO_NET_HDR_F_NEEDS_CSUM, VIRTIO_NET_HDR_GSO_TCPV6
	binary.NativeEndian.PutUint16(h[2:], 14+40+20) // hdr_len
	binary.NativeEndian.PutUint16(h[4:], 1440)     // gso_size
	binary.NativeEndian.PutUint16(h[6:], 14+40)    // csum_start
	binary.NativeEndian.PutUint16(h[8:], 16)       // csum_offset
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 4<<20); err != nil {
		s.t.Fatal(err)
	}
	s.send(append(h, frame...))
}

// Frames of 64 KiB and more are whole as long as they fit into a block, and are
// cut, and counted, beyond.
func TestGiants(t *testing.T) {
	l := newLab(t)
	l.pair(func(v *netlink.Veth) { v.GSOMaxSize, v.MTU = 400_000, 1500 })
	c := l.open("cap0", small(), -1)
	tx := l.sender("tx0")
	const room = minBlockBytes - blockHeaderLen - 82
	for _, n := range []int{1514, 20_000, 65_535, 65_536 + 14, 120_000, room, room + 1, 300_000} {
		if n > 66_000 && !kernel(t, 6, 12) {
			continue // a packet socket sends none as large, there
		}
		want := giant(n)
		tx.sendGiant(want)
		g := frames(t, c, 1)[0]
		if g.WireLen != n || !bytes.Equal(g.Data, want[:min(n, room)]) {
			t.Errorf("a frame of %d octets is given out as %d of %d", n, len(g.Data), g.WireLen)
		}
	}
	if n := count(t, c, "long_frames_cut"); n != 2 && kernel(t, 6, 12) {
		t.Errorf("long_frames_cut %d, want 2", n)
	}
	quiet(t, c, "long_frames_cut")
}
