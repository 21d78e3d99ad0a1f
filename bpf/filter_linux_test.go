package bpf

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
	gen "mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// TestFilterOnSocket sends frames over a veth to an AF_PACKET socket that has
// the filter, and wants those that it takes, cut as told, with their lengths.
func TestFilterOnSocket(t *testing.T) {
	needs.Root(t)
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and the namespace with it
	home, err := netns.Get()
	check(t, err)
	defer home.Close()
	space, err := netns.New()
	check(t, err)
	defer space.Close()
	defer func() { check(t, netns.Set(home)) }()
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "cap0", MTU: 2000}, PeerName: "far0"}))
	socket := func(name string, filter int) (fd int) {
		l, err := netlink.LinkByName(name)
		check(t, err)
		check(t, netlink.LinkSetUp(l))
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		check(t, err)
		t.Cleanup(func() { unix.Close(fd) })
		if filter >= 0 {
			check(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, filter))
			check(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
		}
		all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
		check(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Attrs().Index}))
		return fd
	}
	cfg := DefaultConfig()
	cfg.Shared, cfg.Trim, cfg.TrimHead = true, 40, 0
	cfg.Rules = []Rule{{Action: Deny, Port: []PortRange{{22, 22}}}}
	f, err := LoadFilter(cfg, 14)
	check(t, err)
	defer f.Close()
	check(t, f.SetOwn([]netip.Addr{gen.IP("192.0.2.9")}))
	to, from := socket("cap0", f.FD()), socket("far0", -1)
	check(t, unix.SetsockoptTimeval(to, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))

	tcp := func(port uint16, n int) []gen.Layer {
		return []gen.Layer{ip4, gen.TCP{SrcPort: 5000, DstPort: port, Flags: packet.ACK}, gen.Payload(bytes.Repeat([]byte{7}, n))}
	}
	vxlan := []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 1}, ether}
	tagged := []gen.Layer{ether, gen.VLAN{ID: 5}, gen.VLAN{ID: 6}, outer4, udp, gen.VXLAN{VNI: 1}, ether}
	own := gen.Build(ether, gen.IPv4{Src: gen.IP("192.0.2.1"), Dst: gen.IP("192.0.2.9")}, gen.TCP{SrcPort: 9, DstPort: 8080})
	last := gen.Build(gen.Ethernet{Type: 0x88cc}, gen.Payload("neither IP nor cut"))
	// Seven octets where LLC and SNAP are eight: no more of them is there.
	short := append(gen.Build(gen.Ethernet{Type: 7}), 0xaa, 0xaa, 3, 0, 0, 0, 8)
	sent := [][]byte{
		gen.Build(append(vxlan, tcp(80, 1000)...)...), own, gen.Build(append(vxlan, tcp(22, 1000)...)...),
		gen.Build(append(vxlan, tcp(80, 50)...)...), gen.Build(append(tagged, tcp(80, 1000)...)...), short, last,
	}
	for _, frame := range sent {
		_, err := unix.Write(from, frame)
		check(t, err)
	}
	without := func(frame []byte) []byte { // the outermost tag, which the kernel takes out
		return append(append([]byte(nil), frame[:12]...), frame[16:]...)
	}
	for i, want := range []struct {
		frame []byte
		cut   int
	}{{sent[0], 1000 - 40}, {sent[3], 0}, {without(sent[4]), 1000 - 40}, {short, 0}, {last, 0}} {
		got := make([]byte, 4096)
		n, _, err := unix.Recvfrom(to, got, 0)
		check(t, err)
		if cut := want.frame[:len(want.frame)-want.cut]; !bytes.Equal(got[:n], cut) {
			t.Errorf("frame %d: %d octets\n%x\nwant %d\n%x", i, n, got[:n], len(cut), cut)
		}
	}
	c, err := f.Counters()
	check(t, err)
	for name, n := range map[string]uint64{"socket": 5, "own": 1, "denied_by_rule": 1} {
		got := named(t, c.Verdicts, name)
		if name == "own" && got.Packets > n {
			got.Packets = n // IPv6 of the far end speaks as well
		}
		if got.Packets != n {
			t.Errorf("%+v, want %d", got, n)
		}
	}
	if n := named(t, c.Outcomes, "unreachable").Packets; n != 0 {
		t.Errorf("%d frames were unreachable: the link header counts as what is behind it", n)
	}
	if c.Trimmed != (Counter{"trimmed", 2, 2 * (1000 - 40)}) {
		t.Errorf("%+v", c.Trimmed)
	}
}
