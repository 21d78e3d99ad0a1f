package nic

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/pcapgen"
)

// Addresses of cap0 and of whoever sends to it.
const (
	capAddr4, peerAddr4 = "10.99.0.2", "10.99.0.1"
	capAddr6, peerAddr6 = "fd99::2", "fd99::1"
)

// each is how many frames of a kind are sent.
const each = 20

// provocations are frames that make an ordinary interface answer, by kind.
func (l *lab) provocations() map[string][]byte {
	l.t.Helper()
	dst, src := pcapgen.MAC(l.mac(l.sensor, capName)), pcapgen.MAC(l.mac(l.peer, peerName))
	ether := pcapgen.Ethernet{Dst: dst, Src: src}
	v4 := pcapgen.IPv4{Src: pcapgen.IP(peerAddr4), Dst: pcapgen.IP(capAddr4)}
	target := pcapgen.IP(capAddr6)
	solicited := netip.MustParseAddr("ff02::1:ff00:2")
	return map[string][]byte{
		"ARP request": pcapgen.Build(pcapgen.Ethernet{Dst: pcapgen.MAC{255, 255, 255, 255, 255, 255}, Src: src, Pad: true},
			pcapgen.ARP{SenderMAC: src, Sender: v4.Src, Target: v4.Dst}),
		"ICMP echo": pcapgen.Build(ether, v4, pcapgen.ICMP{Type: pcapgen.EchoRequest, ID: 7, Seq: 1}, pcapgen.Payload("hello")),
		"TCP SYN":   pcapgen.Build(ether, v4, pcapgen.TCP{SrcPort: 40000, DstPort: 443, Seq: 1, Flags: pcapgen.SYN, Window: 1000}),
		"UDP to 4789": pcapgen.Build(ether, v4, pcapgen.UDP{SrcPort: 50000, DstPort: 4789, NoChecksum: true},
			pcapgen.VXLAN{VNI: 7}, pcapgen.Ethernet{}, pcapgen.IPv4{Src: pcapgen.IP("192.0.2.1"), Dst: pcapgen.IP("192.0.2.2")}, pcapgen.UDP{SrcPort: 1, DstPort: 2}),
		"neighbour solicitation": pcapgen.Build(
			pcapgen.Ethernet{Dst: multicast6(solicited), Src: src},
			pcapgen.IPv6{Src: pcapgen.IP(peerAddr6), Dst: solicited, HopLimit: 255},
			pcapgen.ICMPv6{Type: 135}, pcapgen.Payload(slices.Concat(target.AsSlice(), []byte{1, 1}, src[:]))),
		"MLD query": mldQuery(src),
	}
}

func multicast6(a netip.Addr) pcapgen.MAC {
	b := a.As16()
	return pcapgen.MAC{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// mldQuery asks who listens to what (RFC 2710), with the router alert option
// that it must have.
func mldQuery(src pcapgen.MAC) []byte {
	all := netip.MustParseAddr("ff02::1")
	from := netip.MustParseAddr("fe80::1")
	message := make([]byte, 24)
	message[0] = 130
	binary.BigEndian.PutUint16(message[4:], 10) // answer within 10 ms
	sum := uint32(58 + len(message))
	for _, part := range [][]byte{from.AsSlice(), all.AsSlice(), message} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(message[2:], ^uint16(sum))
	hopByHop := uint8(0)
	alert := []byte{58, 0, 5, 2, 0, 0, 1, 0}
	return pcapgen.Build(pcapgen.Ethernet{Dst: multicast6(all), Src: src},
		pcapgen.IPv6{Src: from, Dst: all, HopLimit: 1, Next: &hopByHop}, pcapgen.Payload(slices.Concat(alert, message)))
}

// addressed gives cap0 addresses of both families and switches IPv6 on, as an
// operator who knows no better may have it, and lets the kernel answer as
// often as it is asked.
func (l *lab) addressed() {
	l.t.Helper()
	for name, value := range map[string]string{
		"ipv6/conf/cap0/disable_ipv6":              "0",
		"ipv6/conf/cap0/accept_dad":                "0",
		"ipv6/conf/cap0/keep_addr_on_down":         "1",
		"ipv6/conf/cap0/router_solicitations":      "2",
		"ipv4/icmp_ratelimit":                      "0",
		"ipv4/icmp_msgs_per_sec":                   "100000",
		"ipv4/icmp_msgs_burst":                     "100000",
		"ipv6/icmp/ratelimit":                      "0",
		"ipv6/conf/cap0/router_solicitation_delay": "0",
	} {
		l.in(l.sensor, func() error {
			err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
			if errors.Is(err, os.ErrNotExist) {
				return nil // not in this namespace on every kernel
			}
			return err
		})
	}
	l.address(capAddr4 + "/24")
	l.address(capAddr6 + "/64")
	l.neighbours()
}

// address gives cap0 an address without a question whether another has it.
func (l *lab) address(prefix string) {
	l.t.Helper()
	l.in(l.sensor, func() error {
		dev, err := netlink.LinkByName(capName)
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		return netlink.AddrAdd(dev, addr)
	})
}

// neighbours lets the answers go out without a question before them.
func (l *lab) neighbours() {
	l.t.Helper()
	mac := l.mac(l.peer, peerName)
	l.in(l.sensor, func() error {
		dev, err := netlink.LinkByName(capName)
		if err != nil {
			return err
		}
		for _, a := range []string{peerAddr4, peerAddr6} {
			n := &netlink.Neigh{LinkIndex: dev.Attrs().Index, State: netlink.NUD_PERMANENT, IP: net.ParseIP(a), HardwareAddr: mac}
			if err := netlink.NeighSet(n); err != nil && !strings.Contains(a, ":") { // IPv6 may be off
				return err
			}
		}
		return nil
	})
}

// provoke sends the frames and tells how many came back, by the link's counter
// and by a reader at the other end, and how many the sensor's reader got. The
// interface is also taken down and up, which makes IPv6 speak.
func (l *lab) provoke(reader int) (counted, seen int, got map[string]int) {
	l.t.Helper()
	frames := l.provocations()
	// What the interface sends of itself until here does not count at either end.
	l.up(false)
	time.Sleep(20 * time.Millisecond) // the peer may have a frame in its backlog
	back := l.packetSocket(l.peer, peerName)
	before := l.statistics(l.sensor, capName).TxPackets
	l.up(true)
	l.neighbours()
	eventually(l.t, "the link is up and its addresses are in use", l.ready)
	var all [][]byte
	for range each {
		for _, f := range frames {
			all = append(all, f)
		}
	}
	l.send(l.peer, peerName, all...)
	got = map[string]int{}
	start := time.Now() // MLD reports come within 10 ms, solicitations at once
	own := l.mac(l.peer, peerName)
	buf := make([]byte, 2048)
	// A frame may be under way at the end: the two numbers have a moment to agree.
	for counted = -1; time.Since(start) < 300*time.Millisecond || counted != seen && time.Since(start) < time.Second; counted = int(l.statistics(l.sensor, capName).TxPackets - before) {
		if reader >= 0 {
			for {
				n, from, err := unix.Recvfrom(reader, buf, 0)
				if err != nil {
					break
				}
				if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
					continue
				}
				for kind, f := range frames {
					if string(f) == string(buf[:n]) {
						got[kind]++
					}
				}
			}
		}
		for {
			n, from, err := unix.Recvfrom(back, buf, 0)
			if err != nil {
				break
			}
			if from.(*unix.SockaddrLinklayer).Pkttype != unix.PACKET_OUTGOING && n >= 12 && string(buf[6:12]) != string(own) {
				seen++
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	return counted, seen, got
}

// ready tells whether cap0 has a carrier and, with IPv6, addresses that are no
// longer tentative.
func (l *lab) ready() bool {
	f := l.inspect()
	if !f.Carrier || !f.IPv6 {
		return f.Carrier
	}
	found := false
	l.in(l.sensor, func() error {
		dev, err := netlink.LinkByName(capName)
		if err != nil {
			return err
		}
		list, err := netlink.AddrList(dev, netlink.FAMILY_V6)
		for _, a := range list {
			if a.Flags&unix.IFA_F_TENTATIVE != 0 {
				found = false
				return err
			}
			found = true
		}
		return err
	})
	return found
}

// wantAll: the reader got every frame that was sent.
func (l *lab) wantAll(got map[string]int) {
	l.t.Helper()
	for kind := range l.provocations() {
		if got[kind] != each {
			l.t.Errorf("the reader got %d of %d: %s", got[kind], each, kind)
		}
	}
}

// TestSilent is the table of what makes an interface send: without a guard it
// does, so that the test can fail, and with one it never does, while a reader
// gets everything.
func TestSilent(t *testing.T) {
	for _, tc := range []struct {
		name   string
		set    func(l *lab)
		least  int // frames that come back at least
		silent bool
	}{
		// 4 kinds of IPv4, neighbour solicitations and MLD.
		{name: "address and IPv6", set: (*lab).addressed, least: 5 * each},
		{name: "no IPv4 address, IPv6 on", set: func(l *lab) {
			l.addressed()
			l.run(l.sensor, "", "ip", "addr", "flush", "dev", capName)
		}, least: 1},
		{name: "address, ARP off", set: func(l *lab) {
			l.address(capAddr4 + "/24")
			l.run(l.sensor, "", "ip", "link", "set", capName, "arp", "off")
			l.run(l.sensor, "", "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0")
		}, least: 3 * each},
		{name: "no address, IPv6 off", set: func(*lab) {}, silent: true},
		{name: "guard, address and IPv6", set: func(l *lab) {
			l.addressed()
			l.guard(DefaultGuardConfig())
		}, silent: true},
		{name: "guard by script, IPv6 on", set: func(l *lab) {
			l.addressed()
			l.run(l.sensor, GuardScript(capName, DefaultGuardConfig(), true), "nft", "-f", "-")
		}, silent: true},
		{name: "XDP that passes nothing, IPv6 off", set: func(l *lab) {
			l.addressed()
			l.run(l.sensor, "", "sysctl", "-qw", "net.ipv6.conf.cap0.disable_ipv6=1")
			l.attach(l.sensor, capName, xdpDrop, link.XDPDriverMode)
		}, silent: true},
		{name: "settings of Plan", set: func(l *lab) {
			l.addressed()
			l.in(l.sensor, func() error {
				f, err := Inspect(capName)
				if err != nil {
					return err
				}
				_, err = Apply(Plan(f, Use{Mirror: MirrorPort}))
				return err
			})
		}, silent: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			tc.set(l)
			reader := l.packetSocket(l.sensor, capName)
			l.promiscuous(reader)
			counted, seen, got := l.provoke(reader)
			t.Logf("%d frames sent, %d seen by the other end", counted, seen)
			if counted != seen {
				t.Errorf("%d frames sent by its counter, the other end saw %d", counted, seen)
			}
			if tc.silent && counted != 0 {
				t.Errorf("%d frames sent, want none", counted)
			}
			if !tc.silent && counted < tc.least {
				t.Errorf("%d frames sent, want at least %d: the test would not see them", counted, tc.least)
			}
			if !strings.HasPrefix(tc.name, "XDP") { // XDP is before the reader
				l.wantAll(got)
			}
		})
	}
}

func (l *lab) promiscuous(fd int) {
	l.t.Helper()
	f := l.inspect()
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &unix.PacketMreq{Ifindex: int32(f.Index), Type: unix.PACKET_MR_PROMISC}); err != nil {
		l.t.Fatal(err)
	}
}
