//go:build linux

package livelab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/pcapgen"
)

// Flood is TCP connections that the kernel makes and sends as fast as one core
// can, or at a rate: the hosts have no part in them. All headers are right,
// checksums too; payload is zeros. Clients have addresses from 10.16.0.0 on,
// one for each flow, servers are 10.1.0.1 to 10.1.0.16, port 8080.
//
// A connection is a handshake, a request, data of the server with
// acknowledgments, and the end; then the flow's next connection begins, from
// another port.
type Flood struct {
	Frames  uint64
	Rate    int  // frames a second; 0: as fast as it goes
	Size    int  // of all frames, octets without FCS; 0: 64
	Flows   int  // that take turns, a packet each; 0: 1000
	Packets int  // of a connection, at least 8; 0: 100
	Stagger bool // flows are at different points of their connections: the first ones begin in the middle
	VNI     int  // put the frames into VXLAN, as Lab.VXLAN does; Size is that of the whole frame then; 0: bare

	// Stack delivers the frames to the network stack of cap0, behind native XDP:
	// the fastest way to a reader behind the stack, as AF_PACKET, or generic
	// XDP. Otherwise rs sends them, and cap0 gets them only with native XDP or
	// GRO. Either way all frames of a thread come in one queue.
	Stack bool
	CPU   int // the core on which they are made, plus 1; 0: any
	Batch int // frames that come at once, as a card gives them up at an interrupt; 0: 64, and less at a low rate

	// Meanwhile, if set, runs beside the sending, which ends when it returns.
	// sent tells how many frames were made so far.
	Meanwhile func(sent func() (uint64, error)) error
}

// Connections is how many connections all the frames make, if Stagger is not
// set; the last ones may not be complete.
func (f Flood) Connections() uint64 {
	f.defaults()
	rounds := f.Frames / uint64(f.Flows) // each flow has sent so many
	n := rounds / uint64(f.Packets) * uint64(f.Flows)
	if rounds%uint64(f.Packets) > 0 {
		return n + uint64(f.Flows)
	}
	return n + f.Frames%uint64(f.Flows)
}

func (f *Flood) defaults() {
	for _, n := range []struct {
		to *int
		is int
	}{{&f.Size, 64}, {&f.Flows, 1000}, {&f.Packets, 100}} {
		if *n.to == 0 {
			*n.to = n.is
		}
	}
}

const (
	headersLen   = 14 + 20 + 20     // Ethernet, IPv4, TCP
	vxlanLen     = 14 + 20 + 8 + 8  // Ethernet, IPv4, UDP, VXLAN
	mostLive     = 3400             // what the kernel has room for in a live frame
	liveFrames   = 1 << 1           // BPF_F_TEST_XDP_LIVE_FRAMES (linux/bpf.h)
	leastPackets = 8                //
	xdpPass      = 2                //
	xdpTX        = 3                //
	mostBatch    = 64               // frames between two flushes, the kernel's own measure
	batchTime    = time.Millisecond // of a batch at most, when there is a rate
	wholeCall    = 1 << 20          // frames made by a call at least: it idles some 20 ms
	callTime     = 2 * time.Second  // of a call about, when there is a rate
)

// Flood sends the frames, or as many as it can until ctx is done. They are
// counted exactly: each one sent has arrived at cap0 or is in Sent.Dropped.
// Nothing else may be sent to cap0 meanwhile.
func (l *Lab) Flood(ctx context.Context, f Flood) (Sent, error) {
	f.defaults()
	least, ip, port := headersLen+6, uint32(14), uint32(0) // 60 octets: Ethernet's least
	if f.VNI != 0 {
		least, ip, port = vxlanLen+headersLen, vxlanLen+14, 34
	}
	most := min(mostLive, l.MTU+MirrorRoom+14)
	if f.Size < least || f.Size > most || f.Packets < leastPackets || f.Flows < 1 {
		return Sent{}, fmt.Errorf("frames of %d octets (%d to %d), connections of %d packets (%d at least), %d flows", f.Size, least, most, f.Packets, leastPackets, f.Flows)
	}
	verdict, n, ifindex := uint32(xdpTX), l.Switch, l.mirrorIndex
	if f.Stack {
		verdict, n, ifindex = xdpPass, l.Sensor, l.captureIndex
	}
	var gap uint64
	if f.Rate > 0 {
		gap = uint64(time.Second) << 10 / uint64(f.Rate)
	}
	spec, err := loadFlood()
	if err != nil {
		return Sent{}, err
	}
	for name, value := range map[string]any{
		"ip_at": ip, "outer_port": port, "payload": uint32(f.Size) - ip - (headersLen - 14), "flows": uint32(f.Flows),
		"packets": uint32(f.Packets), "stagger": boolean(f.Stagger), "verdict": verdict, "total": f.Frames, "gap": gap,
	} {
		if err := spec.Variables[name].Set(value); err != nil {
			return Sent{}, fmt.Errorf("flood: set %s: %w", name, err)
		}
	}
	var program floodObjects
	if err := spec.LoadAndAssign(&program, nil); err != nil {
		return Sent{}, fmt.Errorf("flood: load: %w", err)
	}
	defer func() { _ = program.Close() }()
	before, err := l.Counters()
	if err != nil {
		return Sent{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stopping := context.AfterFunc(ctx, func() { _ = program.Stop.Set(uint32(1)) })
	defer stopping()
	aside := make(chan error, 1)
	if f.Meanwhile != nil {
		go func() {
			defer cancel()
			aside <- f.Meanwhile(func() (n uint64, err error) { return n, program.Sent.Get(&n) })
		}()
	} else {
		aside <- nil
	}
	start := time.Now()
	if err := n.Aside(func() error { return f.send(ctx, &program, template(f), ifindex) }); err != nil {
		return Sent{}, fmt.Errorf("flood: %w", err)
	}
	s := Sent{Took: time.Since(start)}
	if err := program.Sent.Get(&s.Frames); err != nil {
		return s, fmt.Errorf("flood: %w", err)
	}
	s.Octets = s.Frames * uint64(f.Size)
	if err := <-aside; err != nil {
		return s, err
	}
	if f.Stack {
		return s, nil
	}
	// cap0 may still be at the last ones.
	for limit := time.Now().Add(time.Second); ; time.Sleep(time.Millisecond) {
		after, err := l.Counters()
		if err != nil {
			return s, err
		}
		s.Dropped = after.Dropped - before.Dropped
		arrived := after.Received - before.Received
		switch {
		case arrived == s.Arrived():
			return s, nil
		case time.Now().After(limit):
			return s, fmt.Errorf("flood: of %d frames %d were dropped and %d arrived: does %s have native XDP or GRO?", s.Frames, s.Dropped, arrived, CaptureName)
		}
	}
}

func boolean(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}

// send runs on a thread in the namespace.
func (f *Flood) send(ctx context.Context, program *floodObjects, frame []byte, ifindex int) error {
	if f.CPU > 0 {
		var one unix.CPUSet
		one.Set(f.CPU - 1)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return fmt.Errorf("core %d: %w", f.CPU-1, err)
		}
		first()
	}
	batch, repeat := uint64(mostBatch), uint64(wholeCall)
	if f.Rate > 0 {
		batch = min(max(uint64(f.Rate)*uint64(batchTime)/uint64(time.Second), 1), batch)
		repeat = max(uint64(f.Rate)*uint64(callTime)/uint64(time.Second), 1)
	}
	if f.Batch > 0 {
		batch = min(uint64(f.Batch), mostBatch)
	}
	// struct xdp_md (linux/bpf.h)
	device := struct{ Data, DataEnd, DataMeta, Ingress, Queue, Egress uint32 }{DataEnd: uint32(len(frame)), Ingress: uint32(ifindex)}
	for last := f.Frames; ctx.Err() == nil; {
		var sent uint64
		if err := program.Sent.Get(&sent); err != nil {
			return err
		}
		if sent >= f.Frames {
			break
		}
		if sent == last {
			return fmt.Errorf("no frame is made after %d", sent)
		}
		last = sent
		_, err := program.Flood.Run(&ebpf.RunOptions{
			Data: frame, Context: device, Repeat: uint32(min(f.Frames-sent, repeat)), Flags: liveFrames, BatchSize: uint32(batch),
		})
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("run: %w", err)
		}
	}
	return nil
}

// template is a frame in which the program finds all that it does not write.
func template(f Flood) []byte {
	layers := []pcapgen.Layer{
		pcapgen.Ethernet{Dst: pcapgen.MAC{2, 0, 0, 0, 0, 0x12}, Src: pcapgen.MAC{2, 0, 0, 0, 0, 0x11}},
		pcapgen.IPv4{Src: netip.AddrFrom4([4]byte{10, 16}), Dst: netip.AddrFrom4([4]byte{10, 1, 0, 1})},
		pcapgen.TCP{},
	}
	room := f.Size - headersLen
	if f.VNI != 0 {
		layers = append([]pcapgen.Layer{
			pcapgen.Ethernet{Dst: pcapgen.MAC(captureMAC), Src: pcapgen.MAC(mirrorMAC)},
			pcapgen.IPv4{Src: MirrorAddr, Dst: CaptureAddr},
			pcapgen.UDP{SrcPort: 49152, DstPort: 4789, NoChecksum: true},
			pcapgen.VXLAN{VNI: uint32(f.VNI)},
		}, layers...)
		room -= vxlanLen
	}
	return pcapgen.Build(append(layers, pcapgen.Payload(make([]byte, room)))...)
}
