//go:build linux

package livelab

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/link"

	"mirrorscope/capture"
	"mirrorscope/packet"
)

// decoded is what package packet makes of frames.
type decoded struct {
	packets []packet.Packet // Payload is not valid
	names   packet.Names
	skipped int
	longest int // octets of a frame
}

func decode(t *testing.T, frames []capture.Frame) *decoded {
	t.Helper()
	var d decoded
	dec := packet.NewDecoder(packet.DefaultConfig(), &d.names)
	for i := range frames {
		f := &frames[i]
		var p packet.Packet
		if dec.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, &p) != packet.OK {
			d.skipped++
			continue
		}
		d.packets = append(d.packets, p)
		d.longest = max(d.longest, len(f.Data))
	}
	return &d
}

// recorded runs do and gives the frames that left for the sensor meanwhile.
func recorded(t *testing.T, l *Lab, do func()) []capture.Frame {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sent.pcap")
	r, err := l.Record(path)
	if err != nil {
		t.Fatal(err)
	}
	do()
	got, err := r.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if got.Lost != 0 || got.Dropped != 0 {
		t.Fatalf("the recording has losses: %+v", got)
	}
	frames, err := Frames(path)
	if err != nil {
		t.Fatal(err)
	}
	if uint64(len(frames)) != got.Frames || got.Frames == 0 {
		t.Fatalf("the file has %d frames of %d", len(frames), got.Frames)
	}
	return frames
}

// exchange is Lab.Run that ends the test on an error.
func exchange(t *testing.T, l *Lab, x Exchange) []Connection {
	t.Helper()
	all, err := l.Run(x)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// checkTruth compares the packets at one observation point with what the
// kernels of both ends know.
func checkTruth(t *testing.T, d *decoded, truth []Connection, point packet.PointID) {
	t.Helper()
	for _, c := range truth {
		client, server := packet.AddrFrom(c.Client.Addr()), packet.AddrFrom(c.Server.Addr())
		var segments [2]uint64
		var octets [2]uint64
		for i := range d.packets {
			p := &d.packets[i]
			if p.Point != point {
				continue
			}
			switch {
			case p.Src == client && p.SrcPort == c.Client.Port() && p.Dst == server && p.DstPort == c.Server.Port():
				segments[A]++
				octets[A] += uint64(p.PayloadLen)
			case p.Src == server && p.SrcPort == c.Server.Port() && p.Dst == client && p.DstPort == c.Client.Port():
				segments[B]++
				octets[B] += uint64(p.PayloadLen)
			}
		}
		for side := range segments {
			info := c.Closed[side]
			if segments[side] != c.Packets(Side(side)) || octets[side] != info.Bytes_sent {
				t.Errorf("%v, from %v: %d packets with %d octets of payload, and the kernel sent %d with %d",
					c.Client, Side(side), segments[side], octets[side], c.Packets(Side(side)), info.Bytes_sent)
			}
			if s := c.Settled[side]; s.Rtt == 0 || s.Min_rtt == 0 || s.Min_rtt > s.Rtt*8 || s.Unacked != 0 {
				t.Errorf("%v: settled %v with rtt %d µs, min_rtt %d µs, %d unacknowledged", c.Client, Side(side), s.Rtt, s.Min_rtt, s.Unacked)
			}
		}
		if c.Plain[A] > int64(octets[A]) || c.Plain[B] > int64(octets[B]) {
			t.Errorf("%v: the programs sent %v octets, and %v were seen", c.Client, c.Plain, octets)
		}
	}
}

// TestSPAN: every frame that passes the port comes to the sensor once, as it
// was.
func TestSPAN(t *testing.T) {
	l := New(t, Config{})
	m, err := l.SPAN(A)
	if err != nil {
		t.Fatal(err)
	}
	arrivals := filepath.Join(t.TempDir(), "arrived.pcap")
	at, err := l.RecordArrivals(arrivals)
	if err != nil {
		t.Fatal(err)
	}
	var truth []Connection
	frames := recorded(t, l, func() { truth = exchange(t, l, Exchange{Connections: 3, Turns: 4, Response: 20000}) })
	copies, err := m.Copies()
	if err != nil {
		t.Fatal(err)
	}
	counters, err := l.Counters()
	if err != nil {
		t.Fatal(err)
	}
	arrived, err := at.Stop()
	if err != nil {
		t.Fatal(err)
	}
	n := uint64(len(frames))
	if copies.FromHost+copies.ToHost != n || copies.FromHost == 0 || copies.ToHost == 0 || copies.Failed != 0 {
		t.Errorf("%d frames, and copies %+v", n, copies)
	}
	if counters != (Counters{Sent: n, Received: n}) || arrived.Frames != n || arrived.Lost != 0 {
		t.Errorf("%d frames, counters %+v, arrived %+v", n, counters, arrived)
	}
	d := decode(t, frames)
	if d.skipped != 0 || len(truth) != 3 || d.longest > 1514 {
		t.Errorf("%d frames are no packets, %d connections, the longest frame has %d octets", d.skipped, len(truth), d.longest)
	}
	checkTruth(t, d, truth, d.packets[0].Point)
	for _, c := range truth {
		if c.Plain != [2]int64{800, 80000} {
			t.Errorf("%v: %v octets", c.Client, c.Plain)
		}
	}
	other, err := Frames(arrivals)
	if err != nil {
		t.Fatal(err)
	}
	for i := range min(len(other), len(frames)) {
		if string(other[i].Data) != string(frames[i].Data) {
			t.Fatalf("frame %d arrived other than it was sent", i+1)
		}
	}
}

// TestVXLAN: with both ends mirrored, each packet comes twice, in the kernel's
// VXLAN under two VNIs, and TLS works over it.
func TestVXLAN(t *testing.T) {
	l := New(t, Config{MTU: 9001})
	for side, vni := range []int{7007, 8008} {
		if _, err := l.VXLAN(Side(side), vni); err != nil {
			t.Fatal(err)
		}
	}
	var truth []Connection
	frames := recorded(t, l, func() {
		truth = exchange(t, l, Exchange{Connections: 4, Parallel: 2, Response: 100000, TLS: tls.VersionTLS13})
	})
	d := decode(t, frames)
	if d.skipped != 0 || d.names.Points() != 2 {
		t.Fatalf("%d frames are no packets, %d observation points", d.skipped, d.names.Points())
	}
	if most := 9001 + 14 + 50; d.longest != most {
		t.Errorf("the longest frame has %d octets, want %d", d.longest, most)
	}
	vnis := map[uint32]bool{}
	for id := packet.PointID(1); id <= 2; id++ {
		p := d.names.Point(id)
		vnis[p.ID] = true
		if p.A.IP() != MirrorAddr || p.B.IP() != CaptureAddr {
			t.Errorf("point %+v", p)
		}
		checkTruth(t, d, truth, id)
	}
	if !vnis[7007] || !vnis[8008] {
		t.Errorf("VNIs %v", vnis)
	}
}

// TestMirrors: a port can be mirrored twice, a mirror ends, and generic XDP gets
// what it copies.
func TestMirrors(t *testing.T) {
	l := New(t, Config{})
	bare, err := l.SPAN(A)
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := l.VXLAN(A, 7)
	if err != nil {
		t.Fatal(err)
	}
	count := attach(t, l, link.XDPGenericMode, 0)
	exchange(t, l, Exchange{})
	x, err := bare.Copies()
	if err != nil {
		t.Fatal(err)
	}
	y, err := tunnel.Copies()
	if err != nil {
		t.Fatal(err)
	}
	if x != y || x.FromHost < 4 || x.ToHost < 4 || x.Failed != 0 || count() != 2*(x.FromHost+x.ToHost) {
		t.Errorf("copies %+v and %+v, and generic XDP got %d", x, y, count())
	}
	if err := bare.Close(); err != nil {
		t.Fatal(err)
	}
	before := count()
	exchange(t, l, Exchange{})
	z, err := tunnel.Copies()
	if err != nil {
		t.Fatal(err)
	}
	if more := z.FromHost + z.ToHost - y.FromHost - y.ToHost; count()-before != more || more < 8 {
		t.Errorf("one of two mirrors ended: it copied %d, and generic XDP got %d", more, count()-before)
	}
}

// TestDrop: packets are lost where they are to be, as many as are to be, and
// the kernels repeat exactly those.
func TestDrop(t *testing.T) {
	for _, tc := range []struct {
		place    Place
		from     Side
		atA, atB int // copies of a lost packet that pass each mirror before it is repeated
	}{
		{AtSender, A, 0, 0}, {Between, A, 1, 0}, {AtReceiver, A, 1, 1},
		{AtSender, B, 0, 0}, {Between, B, 0, 1}, {AtReceiver, B, 1, 1},
	} {
		l := New(t, Config{})
		for side := range 2 {
			if _, err := l.VXLAN(Side(side), 1+side); err != nil {
				t.Fatal(err)
			}
		}
		loss, err := l.Drop(Drop{From: tc.from, Place: tc.place, Every: 50})
		if err != nil {
			t.Fatal(err)
		}
		x := Exchange{Request: 400000, Response: 100}
		if tc.from == B {
			x.Request, x.Response = x.Response, x.Request
		}
		var truth []Connection
		frames := recorded(t, l, func() { truth = exchange(t, l, x) })
		passed, lost, err := loss.Counts()
		if err != nil {
			t.Fatal(err)
		}
		info := truth[0].Closed[tc.from]
		// On a machine under load a timer may repeat what was not lost; the
		// receiver tells that.
		if repeated := uint64(info.Total_retrans); lost != passed/50 || lost < 5 || repeated < lost || repeated > lost+uint64(info.Dsack_dups) {
			t.Errorf("%+v: %d of %d lost, %d repeated, %d of them in vain", tc, lost, passed, repeated, info.Dsack_dups)
		}
		d := decode(t, frames)
		src := packet.AddrFrom(HostAddrs[tc.from])
		var seen [2]int // packets of the sender, by mirror
		for i := range d.packets {
			if p := &d.packets[i]; p.Src == src {
				seen[d.names.Point(p.Point).ID-1]++
			}
		}
		for side, copies := range [2]int{tc.atA, tc.atB} {
			if want := int(truth[0].Packets(tc.from)) - (1-copies)*int(lost); seen[side] != want {
				t.Errorf("%+v: %d packets at %s, want %d of %d", tc, seen[side], Side(side), want, truth[0].Packets(tc.from))
			}
		}
	}
}

// TestOffloads: with offloads left on, a mirror sees what no wire carries.
func TestOffloads(t *testing.T) {
	l := New(t, Config{Offloads: true})
	if _, err := l.SPAN(B); err != nil {
		t.Fatal(err)
	}
	frames := recorded(t, l, func() { exchange(t, l, Exchange{Response: 300000}) })
	if d := decode(t, frames); d.skipped != 0 || d.longest < 10000 {
		t.Errorf("%d frames are no packets, the longest has %d octets", d.skipped, d.longest)
	}
}

// TestAbort: a client that resets.
func TestAbort(t *testing.T) {
	l := New(t, Config{})
	if _, err := l.SPAN(A); err != nil {
		t.Fatal(err)
	}
	var truth []Connection
	frames := recorded(t, l, func() { truth = exchange(t, l, Exchange{Abort: true}) })
	d := decode(t, frames)
	last := d.packets[len(d.packets)-1]
	if last.TCP.Flags&packet.RST == 0 || last.Src != packet.AddrFrom(HostAddrs[A]) || truth[0].Settled[A].Bytes_received != 2000 {
		t.Errorf("last packet from %v with flags %x", last.Src.IP(), last.TCP.Flags)
	}
}

// TestNothingOutside: a lab adds no device to this process's own network.
func TestNothingOutside(t *testing.T) {
	list := func() (names []string) {
		entries, err := os.ReadDir("/sys/class/net")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	before := list()
	l := New(t, Config{Queues: 4})
	err := l.Sensor.Do(func() error {
		if inside := list(); len(inside) != 2 {
			t.Errorf("the sensor's devices are %v", inside)
		}
		queues, err := filepath.Glob("/sys/class/net/" + CaptureName + "/queues/rx-*")
		if err != nil || len(queues) != 4 {
			t.Errorf("queues %v, %v", queues, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if after := list(); len(after) != len(before) {
		t.Errorf("devices %v, before %v", after, before)
	}
}
