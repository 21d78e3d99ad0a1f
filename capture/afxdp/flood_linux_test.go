package afxdp

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// flood is the fastest sender there is: the kernel runs an XDP program that
// sends a frame on, over and over, without a system call for each.
type flood struct {
	prog    *ebpf.Program
	ifindex int
}

// newFlood sends out of m1, all to one queue. The frames arrive where m2 has a native program.
func (l *lab) newFlood() *flood {
	const xdpTX = 3
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "flood", Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, xdpTX), asm.Return(),
	}})
	must(l.t, err)
	l.t.Cleanup(func() { prog.Close() })
	return &flood{prog, l.m1.Attrs().Index}
}

// send sends the frame n times.
func (f *flood) send(t testing.TB, frame []byte, n int) {
	t.Helper()
	const liveFrames = 1 << 1 // BPF_F_TEST_XDP_LIVE_FRAMES, kernel 5.18
	ctx := struct{ Data, DataEnd, DataMeta, Ingress, Queue, Egress uint32 }{DataEnd: uint32(len(frame)), Ingress: uint32(f.ifindex)}
	_, err := f.prog.Run(&ebpf.RunOptions{Data: frame, Context: ctx, Repeat: uint32(n), Flags: liveFrames, BatchSize: 64})
	must(t, err)
}
