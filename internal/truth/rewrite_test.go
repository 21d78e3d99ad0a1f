package truth

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/internal/pcapgen"
)

// frames reads a capture of Ethernet frames from one interface. ok is false
// for any other: most rewrites below know no other link header.
func frames(t testing.TB, path string) (fs []pcapgen.Frame, ok bool) {
	t.Helper()
	fs, link, ok := framesOf(t, path)
	return fs, ok && (link == capture.LinkEthernet || len(fs) == 0)
}

// framesOf reads a capture of one interface, whatever its link type. ok is
// false for any other.
func framesOf(t testing.TB, path string) (fs []pcapgen.Frame, link capture.LinkType, ok bool) {
	t.Helper()
	src, err := pcapfile.Open(pcapfile.Config{Paths: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	for {
		var f capture.Frame
		if err := src.Next(&f); errors.Is(err, io.EOF) {
			return fs, link, true
		} else if err != nil {
			t.Fatal(err)
		}
		if fs == nil {
			link = f.Link
		}
		if f.Link != link || f.Interface != 0 {
			return nil, 0, false
		}
		fs = append(fs, pcapgen.Frame{Time: f.Time, Data: slices.Clone(f.Data), WireLen: f.WireLen})
	}
}

// write makes a capture file out of Ethernet frames and gives its path.
func write(t testing.TB, fs []pcapgen.Frame) string {
	t.Helper()
	return writeAs(t, capture.LinkEthernet, fs)
}

func writeAs(t testing.TB, link capture.LinkType, fs []pcapgen.Frame) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rewritten.pcap")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := pcapgen.NewPcapWriter(f, pcapgen.PcapConfig{Link: uint32(link), Nano: true})
	for _, fr := range fs {
		if err := w.Write(fr); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// doubled gives every frame twice: the copy comes half a millisecond later,
// from behind the next router. The originals keep their order, which need not
// be that of their times.
func doubled(fs []pcapgen.Frame) []pcapgen.Frame {
	const late = 500_000 // ns
	var out, waiting []pcapgen.Frame
	for _, f := range fs {
		for len(waiting) > 0 && waiting[0].Time <= f.Time {
			out, waiting = append(out, waiting[0]), waiting[1:]
		}
		c := f
		c.Time += late
		c.Data = slices.Clone(f.Data)
		hop(c.Data)
		out, waiting = append(out, f), append(waiting, c)
	}
	return append(out, waiting...)
}

// hop changes a frame as a router does: new MAC addresses, one off the TTL.
func hop(frame []byte) {
	ip, version := network(frame)
	if len(frame) >= 12 {
		copy(frame, []byte{0x02, 0, 0, 0, 0x77, 1, 0x02, 0, 0, 0, 0x77, 2})
	}
	switch {
	case version == 4 && len(frame) >= ip+12 && frame[ip+8] > 1:
		frame[ip+8]--
		// One less in the high octet of the word that holds the TTL is 0x0100
		// more in the checksum (RFC 1624).
		sum := uint32(binary.BigEndian.Uint16(frame[ip+10:])) + 0x0100
		binary.BigEndian.PutUint16(frame[ip+10:], uint16(sum+sum>>16))
	case version == 6 && len(frame) >= ip+8 && frame[ip+7] > 1:
		frame[ip+7]--
	}
}

// network finds the IP header of an Ethernet frame behind its VLAN tags
// and Cisco metadata.
func network(frame []byte) (at, version int) {
	for at = 12; len(frame) >= at+2; at += 4 {
		switch binary.BigEndian.Uint16(frame[at:]) {
		case 0x8100, 0x88a8, 0x9100:
			continue
		case 0x8909: // Cisco metadata: 6 octets and the next type
			at += 4
			continue
		case 0x0800:
			return at + 2, 4
		case 0x86dd:
			return at + 2, 6
		}
		break
	}
	return 0, 0
}

// swapped gives the mirror image: what one end sent, the other now sends.
// Checksums hold, because a sum does not know the order of its terms.
func swapped(fs []pcapgen.Frame) []pcapgen.Frame {
	var out []pcapgen.Frame
	for _, f := range fs {
		f.Data = slices.Clone(f.Data)
		if ip, version := network(f.Data); version != 0 {
			swapBytes(f.Data, 0, 6, 6)
			swapIP(f.Data[ip:])
		}
		out = append(out, f)
	}
	return out
}

// swapIP exchanges the addresses and ports of an IP packet, and of the packet
// that an ICMP error quotes.
func swapIP(p []byte) {
	if len(p) < 1 {
		return
	}
	var proto byte
	var l4 int
	switch p[0] >> 4 {
	case 4:
		if len(p) < 20 {
			return
		}
		swapBytes(p, 12, 16, 4)
		proto, l4 = p[9], int(p[0]&0xf)*4
		if binary.BigEndian.Uint16(p[6:])&0x1fff != 0 {
			return // not the first fragment: no transport header
		}
	case 6:
		if len(p) < 40 {
			return
		}
		swapBytes(p, 8, 24, 16)
		proto, l4 = p[6], 40
		for proto == 0 || proto == 43 || proto == 44 || proto == 60 {
			if len(p) < l4+8 {
				return
			}
			size := 8 + 8*int(p[l4+1])
			if proto == 44 {
				if binary.BigEndian.Uint16(p[l4+2:])>>3 != 0 {
					return
				}
				size = 8
			}
			proto = p[l4]
			l4 += size
		}
	}
	if len(p) < l4+4 {
		return
	}
	switch proto {
	case 6, 17, 132, 136:
		swapBytes(p, l4, l4+2, 2)
	case 1:
		if typ := p[l4]; (typ == 3 || typ == 4 || typ == 5 || typ == 11 || typ == 12) && len(p) > l4+8 {
			swapIP(p[l4+8:])
		}
	case 58:
		if p[l4] < 128 && len(p) > l4+8 {
			swapIP(p[l4+8:])
		}
	}
}

// swapBytes exchanges p[a:a+n] and p[b:b+n] where both were captured.
func swapBytes(p []byte, a, b, n int) {
	if len(p) < max(a, b)+n {
		return
	}
	for i := range n {
		p[a+i], p[b+i] = p[b+i], p[a+i]
	}
}

// snapped cuts every frame as a snap length does.
func snapped(fs []pcapgen.Frame, length int) []pcapgen.Frame {
	var out []pcapgen.Frame
	for _, f := range fs {
		f.Data = f.Data[:min(len(f.Data), length)]
		out = append(out, f)
	}
	return out
}

// wrapped puts every frame into a tunnel, as a mirror session sends it. What
// the snap length cut stays cut; frames that fit no outer packet are nil.
func wrapped(fs []pcapgen.Frame, tunnel string) []pcapgen.Frame {
	mirror, target := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")
	var out []pcapgen.Frame
	for i, f := range fs {
		var layers []pcapgen.Layer
		var header int // octets of everything behind the outer IP header
		switch tunnel {
		case "vxlan":
			layers, header = []pcapgen.Layer{pcapgen.VXLAN{VNI: 77}}, 8+8
		case "geneve":
			layers, header = []pcapgen.Layer{pcapgen.Geneve{VNI: 77, Protocol: 0x6558}}, 8+8
		case "erspan2":
			layers, header = []pcapgen.Layer{pcapgen.ERSPAN2{Session: 77, Seq: uint32(i)}}, 8+8
		}
		if 20+header+f.WireLen > 0xffff {
			return nil
		}
		ipLen := uint16(20 + header + f.WireLen)
		udpLen := uint16(header + f.WireLen)
		ip := pcapgen.IPv4{Src: mirror, Dst: target, ID: uint16(i), Length: &ipLen}
		all := []pcapgen.Layer{pcapgen.Ethernet{Dst: pcapgen.MAC{2, 0, 0, 0, 0, 9}, Src: pcapgen.MAC{2, 0, 0, 0, 0, 8}}, ip}
		if tunnel != "erspan2" {
			all = append(all, pcapgen.UDP{SrcPort: 40000, Length: &udpLen, NoChecksum: true})
		}
		all = append(append(all, layers...), pcapgen.Payload(f.Data))
		data := pcapgen.Build(all...)
		out = append(out, pcapgen.Frame{Time: f.Time, Data: data, WireLen: len(data) + f.WireLen - len(f.Data)})
	}
	return out
}

// TestRewrites checks the rewrites themselves, on frames whose checksums show
// a slip.
func TestRewrites(t *testing.T) {
	a, b := pcapgen.IP("192.0.2.1"), pcapgen.IP("192.0.2.2")
	a6, b6 := pcapgen.IP("2001:db8::1"), pcapgen.IP("2001:db8::2")
	eth := pcapgen.Ethernet{Dst: pcapgen.MAC{2, 1}, Src: pcapgen.MAC{2, 2}}
	quoted := pcapgen.Build(pcapgen.IPv4{Src: b, Dst: a}, pcapgen.UDP{SrcPort: 9, DstPort: 53})
	quotedBack := pcapgen.Build(pcapgen.IPv4{Src: a, Dst: b}, pcapgen.UDP{SrcPort: 53, DstPort: 9})
	for _, tc := range []struct {
		name          string
		packet, image []pcapgen.Layer // behind the Ethernet header
	}{
		{"IPv4", []pcapgen.Layer{pcapgen.IPv4{Src: a, Dst: b}, pcapgen.TCP{SrcPort: 1, DstPort: 2}},
			[]pcapgen.Layer{pcapgen.IPv4{Src: b, Dst: a}, pcapgen.TCP{SrcPort: 2, DstPort: 1}}},
		{"VLAN, IPv6", []pcapgen.Layer{pcapgen.VLAN{ID: 5}, pcapgen.IPv6{Src: a6, Dst: b6}, pcapgen.HopByHop{}, pcapgen.UDP{SrcPort: 1, DstPort: 2}},
			[]pcapgen.Layer{pcapgen.VLAN{ID: 5}, pcapgen.IPv6{Src: b6, Dst: a6}, pcapgen.HopByHop{}, pcapgen.UDP{SrcPort: 2, DstPort: 1}}},
		{"ICMP error", []pcapgen.Layer{pcapgen.IPv4{Src: a, Dst: b}, pcapgen.ICMP{Type: 3, Code: 3}, pcapgen.Payload(quoted)},
			[]pcapgen.Layer{pcapgen.IPv4{Src: b, Dst: a}, pcapgen.ICMP{Type: 3, Code: 3}, pcapgen.Payload(quotedBack)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			frame := pcapgen.Build(append([]pcapgen.Layer{eth}, tc.packet...)...)
			image := pcapgen.Build(append([]pcapgen.Layer{pcapgen.Ethernet{Dst: eth.Src, Src: eth.Dst}}, tc.image...)...)
			got := swapped([]pcapgen.Frame{{Data: frame}})[0].Data
			if !bytes.Equal(got, image) {
				t.Errorf("swapped\n% x\nwant\n% x", got, image)
			}
			copied := doubled([]pcapgen.Frame{{Data: frame}})
			if ip, version := network(copied[1].Data); version == 4 {
				var sum uint32
				for i := ip; i < ip+20; i += 2 {
					sum += uint32(binary.BigEndian.Uint16(copied[1].Data[i:]))
				}
				if sum = sum&0xffff + sum>>16; sum != 0xffff {
					t.Errorf("the copy's IP checksum is off: %#x", sum)
				}
			}
			if bytes.Equal(copied[0].Data, copied[1].Data) || copied[1].Time-copied[0].Time != 500_000 {
				t.Error("the copy is not one from behind a router")
			}
		})
	}
}
