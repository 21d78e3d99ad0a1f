package packet

import (
	"encoding/binary"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"testing"
	"unsafe"

	gen "mirrorscope/internal/pcapgen"
)

// twins decode the same frames, one by Decode, one by the general loop alone.
type twins struct {
	quick, general *Decoder
	settings       Config
	straight       int // frames that fast took
	usual, inside  int // and that Usual and UsualInside did
}

func newTwins(cfg Config) *twins {
	return &twins{quick: NewDecoder(cfg, new(Names)), general: NewDecoder(cfg, new(Names)), settings: cfg}
}

// Packets that lie in a row begin with cache lines, and what is in the third or before that is all
// that most have.
func TestPacketLayout(t *testing.T) {
	var p Packet
	if size, sack := unsafe.Sizeof(p), unsafe.Offsetof(p.TCP)+unsafe.Offsetof(p.TCP.SACK); size%64 != 0 || sack > 3*64 {
		t.Errorf("%d octets, SACK from octet %d on", size, sack)
	}
}

// compare fails unless both give the same verdict, and the same packet in every
// bit, over whatever was in its memory before.
func (w *twins) compare(t *testing.T, data []byte, link uint16, iface uint32, wireLen int, time int64) {
	t.Helper()
	var p, q Packet
	at, end := unsafe.Offsetof(p.Payload), unsafe.Offsetof(p.TCP)+unsafe.Sizeof(p.TCP)
	for i := range end {
		if i < at || i >= at+unsafe.Sizeof(p.Payload) { // which must be a slice
			*(*byte)(unsafe.Add(unsafe.Pointer(&p), i)) = 0xa5
		}
	}
	p.DF = true       // a bool is 0 or 1
	p.TCP.NumSACK = 1 // as few as can be, where SACK is not zero
	p.Payload = []byte("what was here before")
	var took Packet
	n := min(wireLen, maxFrame)
	if n < len(data) || wireLen > maxFrame {
		n = len(data)
	}
	if link == linkEthernet && w.quick.frags.oldest == nil && NewDecoder(w.settings, new(Names)).fast(data, n, iface, time, &took) {
		w.straight++
	}
	got := w.quick.Decode(data, link, iface, wireLen, time, &p)
	if w.general.frags.oldest != nil {
		w.general.expire(time)
	}
	want := w.general.general(data, link, iface, wireLen, time, &q)
	if got != want {
		t.Fatalf("verdict %q, the general loop's is %q\n%x", got, want, data)
	}
	if got != OK {
		return
	}
	if q.Flags&Reassembled == 0 && unsafe.SliceData(p.Payload) != unsafe.SliceData(q.Payload) {
		t.Fatalf("payload at another place\n%x", data)
	}
	if !reflect.DeepEqual(p, q) {
		t.Fatalf("packet\n%+v\nthe general loop's is\n%+v\n%x", p, q, data)
	}
	if link != linkEthernet || w.quick.frags.oldest != nil {
		return
	}
	usual, inside := w.quick.Usual(data, iface, n, time, &took), false
	if !usual {
		inside = w.quick.UsualInside(data, iface, n, time, &took)
	}
	if (usual || inside) && !reflect.DeepEqual(took, q) {
		t.Fatalf("usual packet\n%+v\nthe general loop's is\n%+v\n%x", took, q, data)
	}
	if usual {
		w.usual++
	}
	if inside {
		w.inside++
	}
}

// balance fails unless both have counted the same and given the same ids.
func (w *twins) balance(t *testing.T) {
	t.Helper()
	check(t, "declined", w.quick.Declined, w.general.Declined)
	check(t, "settled", w.quick.Settled, w.general.Settled)
	a, b := w.quick.names, w.general.names
	if !reflect.DeepEqual(a.points, b.points) || !reflect.DeepEqual(a.networks, b.networks) || !reflect.DeepEqual(a.paths, b.paths) {
		t.Errorf("ids\n%+v\nthe general loop's\n%+v", a, b)
	}
}

// fastConfigs are those by which ids differ.
func fastConfigs() []Config {
	tags, mapped, tight, merged := DefaultConfig(), DefaultConfig(), DefaultConfig(), DefaultConfig()
	tags.VLANInKey = true
	mapped.Networks = map[uint32]string{42: "blue", 43: "blue"}
	mapped.VXLANPorts = []uint16{4790, 443}
	tight.MaxPoints, tight.MaxPaths = 2, 2
	merged.Merge = func(k PointKey) PointKey { return PointKey{Interface: k.Interface} }
	return []Config{DefaultConfig(), tags, mapped, tight, merged}
}

// fastFrames are frames of the kinds that fast reads, and some beside them.
func fastFrames() (frames [][]byte) {
	tag := gen.VLAN{ID: 100}
	segments := [][]gen.Layer{
		{segment, data},
		{gen.TCP{SrcPort: 1, DstPort: 2, Flags: ACK}},
		{gen.TCP{SrcPort: 1, DstPort: 2, Flags: SYN, Options: gen.TCPOptions{MSS: 1460, WScale: new(uint8(7)), SACKPermitted: true, Timestamps: &gen.Timestamps{Val: 9}}}},
		{gen.UDP{SrcPort: 1000, DstPort: 53}, data},
		{gen.UDP{SrcPort: gtpuPort, DstPort: 1000}, data},
		{gen.UDP{SrcPort: 40000, DstPort: vxlanPort}, data},
		{gen.ICMP{Type: 8}, data},
	}
	for _, s := range segments {
		for _, inner := range [][]gen.Layer{
			{ether, ip4}, {ether, tag, ip4}, {ether, tag, gen.VLAN{ID: 7}, ip4}, {ether, gen.VLAN{ID: 7, TPID: 0x88a8}, ip4}, {ether, ip6},
		} {
			inner = join(inner, s)
			frames = append(frames, gen.Build(inner...))
			back := gen.IPv4{Src: outer4.Dst, Dst: outer4.Src, ID: 1, TTL: 8}
			frames = append(frames, gen.Build(join([]gen.Layer{ether2, back, udp, gen.VXLAN{VNI: 99}}, inner)...))
			for _, vni := range []uint32{0, 42, 99} {
				frames = append(frames, gen.Build(join([]gen.Layer{ether2, outer4, udp, gen.VXLAN{VNI: vni}}, inner)...),
					gen.Build(join([]gen.Layer{ether2, tag, outer4, udp, gen.VXLAN{VNI: vni}}, inner)...),
					gen.Build(join([]gen.Layer{ether2, outer4, udp, gen.VXLAN{VNI: vni}, ether, outer4, udp, gen.VXLAN{VNI: 5}}, inner)...))
			}
		}
	}
	return frames
}

// The straight way gives what the general loop gives: on frames of every kind,
// each cut at every octet and with every octet of its headers changed.
func TestFastIsGeneral(t *testing.T) {
	for _, cfg := range fastConfigs() {
		r := rand.New(rand.NewPCG(1, 2))
		straight, usual, inside := 0, 0, 0
		for i, f := range fastFrames() {
			w := newTwins(cfg) // what others left of fragments would keep this one from going straight
			w.compare(t, f, linkEthernet, uint32(i%3), len(f), 7)
			for n := range len(f) + 1 {
				w.compare(t, f[:n:n], linkEthernet, uint32(i%3), len(f), 7)
				w.compare(t, f[:n:n], linkEthernet, 0, n, 7)
			}
			longer := append(f[:len(f):len(f)], make([]byte, 6)...) // padding
			w.compare(t, longer, linkEthernet, 0, len(longer), 7)
			w.compare(t, f, linkEthernet, 0, maxIPv4+20, 7)
			for at := range min(len(f), 130) {
				was := f[at]
				for _, b := range []byte{0, 1, was ^ 1, was + 1, was ^ 0x20, 0xff, byte(r.Uint32())} {
					f[at] = b
					w.compare(t, f, linkEthernet, 0, len(f), 7)
				}
				f[at] = was
			}
			w.balance(t)
			straight, usual, inside = straight+w.straight, usual+w.usual, inside+w.inside
		}
		if straight < 1000 || !cfg.VLANInKey && (usual < 300 || len(cfg.Networks) == 0 && inside < 300) {
			t.Errorf("%+v: %d frames went straight, %d were usual, %d so in VXLAN", cfg, straight, usual, inside)
		}
	}
}

// … and on every real capture.
func TestFastOnCaptures(t *testing.T) {
	dir := capturesDir(t)
	for _, name := range captureFiles(t, dir) {
		frames := readCapture(t, filepath.Join(dir, name))
		for _, cfg := range fastConfigs() {
			w := newTwins(cfg)
			for i := range frames {
				f := &frames[i]
				w.compare(t, f.data, f.link, f.iface, f.wireLen, f.time)
			}
			w.balance(t)
		}
	}
}

// FuzzFast changes frames of the usual kinds in some places.
func FuzzFast(f *testing.F) {
	frames := fastFrames()
	for i := range frames {
		f.Add(uint16(i), uint8(i), uint16(200), int16(0), []byte{})
		f.Add(uint16(i), uint8(i), uint16(200), int16(40), []byte{0, 12, 8, 0, 14, 0x46})
	}
	configs := fastConfigs()
	f.Fuzz(func(t *testing.T, kind uint16, config uint8, cut uint16, extra int16, changes []byte) {
		w := newTwins(configs[int(config)%len(configs)])
		frame := append([]byte(nil), frames[int(kind)%len(frames)]...)
		for ; len(changes) >= 3; changes = changes[3:] {
			frame[int(binary.BigEndian.Uint16(changes))%len(frame)] = changes[2]
		}
		frame = frame[:min(int(cut), len(frame))]
		for range 2 { // the second time, ids are known
			w.compare(t, frame, linkEthernet, 3, len(frame)+int(extra), 7)
		}
		w.balance(t)
	})
}
