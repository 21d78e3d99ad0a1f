package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
	"mirrorscope/packet"
)

// Outcomes of parsing, as enum outcome in walk.h.
const (
	parsed = iota
	truncated
	notIP
	badIP
	tooDeep
	fragment
	unreadTunnel
	unreachable
)

// walker runs the parser of the C programs over single frames.
type walker struct {
	program *ebpf.Program
	result  *ebpf.Map
	socket  bool
}

// newWalkers loads the parser as XDP and as a socket program have it.
func newWalkers(t testing.TB) []*walker {
	t.Helper()
	needs.Root(t)
	var xdp walkXDPObjects
	check(t, loadWalkXDPObjects(&xdp, nil))
	t.Cleanup(func() { xdp.Close() })
	check(t, setPorts(xdp.PortKinds, Ports{}))
	var socket walkSocketObjects
	check(t, loadWalkSocketObjects(&socket, nil))
	t.Cleanup(func() { socket.Close() })
	check(t, setPorts(socket.PortKinds, Ports{}))
	return []*walker{{xdp.WalkTest, xdp.Result, false}, {socket.WalkTest, socket.Result, true}}
}

// check ends the test on an error, with the verifier's log if there is one.
func check(t testing.TB, err error) {
	t.Helper()
	var refused *ebpf.VerifierError
	if errors.As(err, &refused) {
		t.Fatalf("%+v", refused)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// maxRun is the longest frame that a test run takes: one page, less the room
// around it.
const maxRun = 3400

// run parses one frame of 14 to maxRun octets. A test run gives the stack no
// frame that ends inside the first IP header; the result is nil for those.
func (w *walker) run(t testing.TB, frame []byte) *walkXDPFound {
	t.Helper()
	_, err := w.program.Run(&ebpf.RunOptions{Data: frame})
	if w.socket && len(frame) < 14+40 && errors.Is(err, unix.EINVAL) {
		return nil
	}
	if err != nil {
		t.Fatalf("%v of %d octets", err, len(frame))
	}
	f := new(walkXDPFound)
	check(t, w.result.Lookup(uint32(0), f))
	return f
}

// oracle is package packet's reading of the same frames.
type oracle struct {
	decoder *packet.Decoder
	names   *packet.Names
	time    int64
}

func newOracle() *oracle {
	o := &oracle{names: new(packet.Names)}
	o.decoder = packet.NewDecoder(packet.DefaultConfig(), o.names)
	return o
}

// agree compares the two readings of a frame and tells where they contradict
// each other, or how C's reading ended.
func (o *oracle) agree(f *walkXDPFound, frame []byte, socket bool) (outcome uint8, contradiction string) {
	if f == nil {
		return truncated, ""
	}
	o.time += 1000
	var p packet.Packet
	skip := o.decoder.Decode(frame, 1, 0, len(frame), o.time, &p)
	w := &f.Walk
	if w.Outcome == unreadTunnel || socket && binary.BigEndian.Uint16(frame[12:]) < 0x600 { // the stack has taken the length away
		return w.Outcome, ""
	}
	if skip == packet.OK && p.Flags&packet.Reassembled == 0 {
		if w.Outcome != parsed {
			return w.Outcome, fmt.Sprintf("a packet of protocol %d, and outcome %d", p.Proto, w.Outcome)
		}
		return parsed, o.samePacket(f, &p)
	}
	var want uint8
	switch skip {
	case packet.OK, packet.Held, packet.FragmentIncomplete, packet.FragmentOverlap, packet.FragmentDuplicate:
		want = fragment
	case packet.BadIP:
		want = badIP
		if w.Outcome == fragment { // one that contradicts itself
			want = fragment
		}
	case packet.SkipTruncated:
		want = truncated
	case packet.NotIP:
		want = notIP
	case packet.TooDeep:
		want = tooDeep
		if socket { // which has one header less to read
			want = w.Outcome
		}
	default:
		return w.Outcome, fmt.Sprintf("skip %v, and outcome %d", skip, w.Outcome)
	}
	if w.Outcome != want {
		return w.Outcome, fmt.Sprintf("skip %v, and outcome %d", skip, w.Outcome)
	}
	return w.Outcome, ""
}

func (o *oracle) samePacket(f *walkXDPFound, p *packet.Packet) string {
	w := &f.Walk
	point := o.names.Point(p.Point)
	from := point.A
	if p.Flags&packet.OuterSwapped != 0 {
		from = point.B
	}
	var tunnel uint8
	switch point.Kind {
	case packet.NoTunnel:
		from = addrOf(w.Outer.Hi, w.Outer.Lo)
	case packet.VXLAN:
		tunnel = 1
	case packet.Geneve:
		tunnel = 2
	case packet.ERSPAN1, packet.ERSPAN2, packet.ERSPAN3:
		tunnel = 3
	}
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"source", addrOf(w.Src.Hi, w.Src.Lo), p.Src},
		{"destination", addrOf(w.Dst.Hi, w.Dst.Lo), p.Dst},
		{"ports", [2]uint16{w.Sport, w.Dport}, [2]uint16{p.SrcPort, p.DstPort}},
		{"protocol", w.Proto, p.Proto},
		{"version", w.Version, p.Version},
		{"kind", w.Kind, p.Kind},
		{"hash", f.Hash, p.Hash},
		{"tunnel", w.Tunnel, tunnel},
		{"id", w.Id, point.ID},
		{"outer source", addrOf(w.Outer.Hi, w.Outer.Lo), from},
	} {
		if c.got != c.want {
			return fmt.Sprintf("%s %v, want %v", c.what, c.got, c.want)
		}
	}
	return ""
}

// addrOf gives an address as it stands in the program's memory.
func addrOf(hi, lo uint64) (a packet.Addr) {
	binary.NativeEndian.PutUint64(a[:8], hi)
	binary.NativeEndian.PutUint64(a[8:], lo)
	return a
}

// The stamp is what the Go side says.
func TestMetaSize(t *testing.T) {
	if unsafe.Sizeof(Meta{}) != MetaLen {
		t.Errorf("Meta has %d octets, MetaLen is %d", unsafe.Sizeof(Meta{}), MetaLen)
	}
}
