package afpacket

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
	"mirrorscope/internal/pcapgen"
)

var (
	ether = pcapgen.Ethernet{Src: pcapgen.MAC{2, 0, 0, 0, 0, 1}, Dst: pcapgen.MAC{2, 0, 0, 0, 0, 2}}
	ip4   = pcapgen.IPv4{Src: pcapgen.IP("10.1.0.7"), Dst: pcapgen.IP("10.1.0.9")}
	ip6   = pcapgen.IPv6{Src: pcapgen.IP("fd00::7"), Dst: pcapgen.IP("fd00::9")}
)

// numbered is a frame of n octets in all that holds a number.
func numbered(n int, number uint32) []byte {
	payload := make([]byte, n-14-20-8)
	for i := range payload {
		payload[i] = byte(i + int(number))
	}
	binary.BigEndian.PutUint32(payload, number)
	return pcapgen.Build(ether, ip4, pcapgen.UDP{SrcPort: 4000, DstPort: 4001}, pcapgen.Payload(payload))
}

// numberOf is the number in such a frame.
func numberOf(f []byte) uint32 { return binary.BigEndian.Uint32(f[14+20+8:]) }

func TestFrames(t *testing.T) {
	l := newLab(t)
	l.pair()
	c := l.open("cap0", small(), -1)
	tx := l.sender("tx0")
	var want [][]byte
	sizes := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		n := 60 + sizes.IntN(1514-60+1)
		if i%100 == 7 {
			n = 14 + 9001 // the MTU
		}
		want = append(want, numbered(n, uint32(i)))
	}
	before := time.Now().UnixNano()
	var all []got
	for batch := range slices.Chunk(want, 250) {
		for _, f := range batch {
			tx.send(f)
		}
		all = append(all, frames(t, c, len(batch))...)
	}
	after := time.Now().UnixNano()
	var octets uint64
	for i, g := range all {
		if !bytes.Equal(g.Data, want[i]) {
			t.Fatalf("frame %d is\n%x\nwant\n%x", i, g.Data, want[i])
		}
		if g.WireLen != len(want[i]) || g.Link != capture.LinkEthernet || cap(g.Frame.Data) < len(want[i]) {
			t.Fatalf("frame %d: %d octets on the wire, link %s; want %d, ethernet", i, g.WireLen, g.Link, len(want[i]))
		}
		if g.Time < before || g.Time > after || i > 0 && g.Time < all[i-1].Time {
			t.Fatalf("frame %d is stamped %d, want from %d to %d, not before frame %d at %d", i, g.Time, before, after, i-1, all[max(i-1, 0)].Time)
		}
		octets += uint64(len(want[i]))
	}
	if n := rest(t, c); n != 0 {
		t.Errorf("%d more frames than were sent", n)
	}
	s := c.Rings()[0].Stats()
	if s.Frames != 3000 || s.Bytes != octets || received(c) != 3000 {
		t.Errorf("%d frames of %d octets given out, %d received; want 3000 of %d", s.Frames, s.Bytes, received(c), octets)
	}
	quiet(t, c)
	if f := c.Facts(); f.Link != capture.LinkEthernet || f.Rings != 1 || f.RingBytes != 8<<20 || f.Stamps != "software" || f.StampsWhy == "" {
		t.Errorf("facts %+v", f)
	}
}

// The kernel takes the outermost tag of 802.1Q and 802.1ad out of a frame that
// it receives, and leaves all others.
func TestVLAN(t *testing.T) {
	l := newLab(t)
	l.pair()
	udp := pcapgen.UDP{SrcPort: 1, DstPort: 2}
	for _, tc := range []struct {
		name   string
		layers []pcapgen.Layer
	}{
		{"none", []pcapgen.Layer{ether, ip4, udp}},
		{"802.1Q", []pcapgen.Layer{ether, pcapgen.VLAN{ID: 5, Priority: 6, DEI: true}, ip4, udp}},
		{"priority tag", []pcapgen.Layer{ether, pcapgen.VLAN{ID: 0, Priority: 7}, ip4, udp}},
		{"802.1ad", []pcapgen.Layer{ether, pcapgen.VLAN{ID: 4094, TPID: 0x88a8}, ip6, udp}},
		{"QinQ", []pcapgen.Layer{ether, pcapgen.VLAN{ID: 100, TPID: 0x88a8}, pcapgen.VLAN{ID: 200, Priority: 3}, ip4, udp}},
		{"two of 802.1Q", []pcapgen.Layer{ether, pcapgen.VLAN{ID: 100}, pcapgen.VLAN{ID: 200}, ip6, udp}},
		{"three", []pcapgen.Layer{ether, pcapgen.VLAN{ID: 1, TPID: 0x88a8}, pcapgen.VLAN{ID: 2, TPID: 0x88a8}, pcapgen.VLAN{ID: 3}, ip4, udp}},
		{"9100", []pcapgen.Layer{ether, pcapgen.VLAN{ID: 8, TPID: 0x9100}, pcapgen.VLAN{ID: 9}, ip4, udp}},
		{"LLC", []pcapgen.Layer{ether, pcapgen.VLAN{ID: 7}, pcapgen.LLC{DSAP: 0x42, SSAP: 0x42, Control: 3}, pcapgen.Payload(make([]byte, 35))}},
		{"whole MTU", []pcapgen.Layer{ether, pcapgen.VLAN{ID: 6}, ip4, udp, pcapgen.Payload(make([]byte, 9001-28))}},
	} {
		for _, snap := range []int{0, minSnap} {
			t.Run(fmt.Sprintf("%s, snap %d", tc.name, snap), func(t *testing.T) {
				l.t = t
				cfg := small()
				cfg.SnapBytes = snap
				c := l.open("cap0", cfg, -1)
				want := pcapgen.Build(append(tc.layers, pcapgen.Payload("some octets, and then some more to fill the frame up"))...)
				if tc.name == "whole MTU" {
					want = want[:14+4+9001]
				}
				l.sender("tx0").send(want)
				g := frames(t, c, 1)[0]
				if g.WireLen != len(want) {
					t.Errorf("%d octets on the wire, want %d", g.WireLen, len(want))
				}
				if snap != 0 {
					want = want[:min(len(want), snap)]
				}
				if !bytes.Equal(g.Data, want) {
					t.Errorf("frame\n%x\nwant\n%x", g.Data, want)
				}
				quiet(t, c)
			})
		}
	}
}

// TestSnap also shows that a frame cut by the snap length is not called cut by
// the block.
func TestSnap(t *testing.T) {
	l := newLab(t)
	l.pair()
	cfg := small()
	cfg.SnapBytes = 200
	c := l.open("cap0", cfg, -1)
	tx := l.sender("tx0")
	for i, n := range []int{60, 199, 200, 201, 9015} {
		want := numbered(n, uint32(i))
		tx.send(want)
		g := frames(t, c, 1)[0]
		if !bytes.Equal(g.Data, want[:min(n, 200)]) || g.WireLen != n {
			t.Errorf("of %d octets %d are there, %d are said", n, len(g.Data), g.WireLen)
		}
	}
	quiet(t, c)
}

func TestOutgoing(t *testing.T) {
	l := newLab(t)
	l.pair()
	cap0, tx := l.sender("cap0"), l.sender("tx0")
	program := fanoutProgram(t)
	for _, tc := range []struct {
		name      string
		outgoing  bool
		oldKernel bool
		want      int // frames given out
		skipped   uint64
		received  uint64
	}{
		{"kept out by the kernel", false, false, 1, 0, 1},
		{"kept out by Next", false, true, 1, 2, 3},
		{"taken", true, false, 3, 0, 3},
	} {
		for _, rings := range []int{1, 2} {
			if rings > 1 && !tc.oldKernel && !kernel(t, 6, 12) {
				continue // may know no PACKET_FANOUT_FLAG_IGNORE_OUTGOING
			}
			t.Run(fmt.Sprintf("%s, %d rings", tc.name, rings), func(t *testing.T) {
				cfg := small()
				cfg.Outgoing, cfg.Rings = tc.outgoing, rings
				c := &Capture{name: "cap0", cfg: cfg, control: -1, filter: -1, fanout: fanout{program: -1}, kernelOutgoing: tc.oldKernel}
				l.t = t
				l.do(func() error { return c.start(Programs{Fanout: program, Filter: -1}) })
				defer c.Close()
				cap0.send(numbered(60, 1))
				cap0.send(numbered(60, 2))
				tx.send(numbered(60, 3))
				if n := rest(t, c); n != tc.want {
					t.Errorf("%d frames, want %d", n, tc.want)
				}
				if n := count(t, c, "outgoing_skipped"); n != tc.skipped {
					t.Errorf("outgoing_skipped %d, want %d", n, tc.skipped)
				}
				if n := received(c); n != tc.received {
					t.Errorf("received %d, want %d", n, tc.received)
				}
				quiet(t, c, "outgoing_skipped")
			})
		}
	}
}

// TestPromiscuous sends to another host's address. The packet socket sees it
// either way; what must differ is the mode of the interface.
func TestPromiscuous(t *testing.T) {
	l := newLab(t)
	l.pair()
	mode := func() (n int) {
		l.do(func() error {
			link, err := linkOf("cap0")
			n = link.Attrs().Promisc
			return err
		})
		return n
	}
	for _, on := range []bool{false, true} {
		cfg := small()
		cfg.Promiscuous = on
		c := l.open("cap0", cfg, -1)
		if got := mode() > 0; got != on {
			t.Errorf("promiscuous is %v, want %v", got, on)
		}
		c.Close()
		if mode() != 0 {
			t.Error("promiscuous mode outlives the capture")
		}
	}
}

// Nothing leaves the interface, whatever comes in.
func TestSilent(t *testing.T) {
	l := newLab(t)
	l.pair()
	c := l.open("cap0", small(), -1)
	tx := l.sender("tx0")
	for i := range 100 {
		tx.send(numbered(60, uint32(i)))
	}
	frames(t, c, 100)
	c.Close()
	l.do(func() error {
		link, err := linkOf("cap0")
		if err == nil && link.Attrs().Statistics.TxPackets != 0 {
			t.Errorf("%d frames sent", link.Attrs().Statistics.TxPackets)
		}
		return err
	})
}

func TestOpenErrors(t *testing.T) {
	l := newLab(t)
	l.pair()
	for _, tc := range []struct {
		name    string
		ifname  string
		change  func(*Config)
		want    string
		wrapped error
	}{
		{"no such interface", "cap7", func(*Config) {}, "capture on cap7: look up the interface: no such device", unix.ENODEV},
		{"name too long", "abcdefghijklmnopq", func(*Config) {}, "name of the interface", nil},
		{"bad configuration", "cap0", func(c *Config) { c.Blocks = 1 }, "blocks 1: want", nil},
		{"no program", "cap0", func(c *Config) { c.Rings = 2 }, "2 rings need a fan-out program", nil},
		{"no hardware stamps", "cap0", func(c *Config) { c.Timestamps = "hardware" }, "hardware time stamps: the card has none", errNoStamps},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := small()
			tc.change(&cfg)
			var err error
			l.do(func() error { _, err = Open(tc.ifname, cfg, NoPrograms()); return nil })
			if err == nil || !strings.Contains(err.Error(), tc.want) || tc.wrapped != nil && !errors.Is(err, tc.wrapped) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

// Descriptors must not be left open by a capture, whole or failed.
func TestDescriptors(t *testing.T) {
	l := newLab(t)
	l.pair()
	program := fanoutProgram(t)
	before := descriptors(t)
	for _, cfg := range []Config{
		{Rings: 3, BlockBytes: minBlockBytes, Blocks: 2, BlockTimeoutMS: 1, Timestamps: "auto"},
		{Rings: 3, BlockBytes: minBlockBytes, Blocks: 2, BlockTimeoutMS: 1, Timestamps: "hardware"},
		{Rings: 1, BlockBytes: minBlockBytes, Blocks: 2, BlockTimeoutMS: 1, Timestamps: "auto"},
	} {
		l.do(func() error {
			c, err := Open("cap0", cfg, Programs{Fanout: program, Filter: -1})
			if (err == nil) == (cfg.Timestamps == "hardware") {
				return fmt.Errorf("unexpected: %v", err)
			}
			if err == nil {
				for _, r := range c.Rings() { // as a source does that knows rings only
					err = errors.Join(err, r.Close(), r.Close(), r.Check(0))
				}
			}
			if cfg.Timestamps == "hardware" {
				return nil
			}
			return err
		})
		if n := descriptors(t); n != before {
			t.Errorf("%d rings, %s: %d descriptors, %d before", cfg.Rings, cfg.Timestamps, n, before)
		}
	}
}
