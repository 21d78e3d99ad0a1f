package afxdp

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"

	"mirrorscope/bpf"
)

// bare is the least XDP program that does what a socket needs: it puts the
// stamp ahead of the frame, trims, and redirects. It judges nothing, and so is
// the floor that the filter's costs are measured from.
type bare struct {
	trim     int  // octets of the frame that are kept, 0: all
	frags    bool // frames of several buffers (kernel 5.18)
	noNative bool // refuse to be attached natively
}

type bareProgram struct {
	bare
	prog    *ebpf.Program
	sockets *ebpf.Map
	link    link.Link
}

func newBare(t testing.TB, b bare) *bareProgram {
	t.Helper()
	sockets, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 64})
	must(t, err)
	const (
		getBuffLen = asm.FnXdpGetBuffLen
		flagFrags  = 1 << 5 // BPF_F_XDP_HAS_FRAGS
		xdpDrop    = 1
	)
	insns := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.FnKtimeGetNs.Call(),
		asm.Mov.Reg(asm.R7, asm.R0),
	}
	if b.frags {
		insns = append(insns, asm.Mov.Reg(asm.R1, asm.R6), getBuffLen.Call(), asm.Mov.Reg(asm.R8, asm.R0))
	} else {
		insns = append(insns,
			asm.LoadMem(asm.R8, asm.R6, 4, asm.Word), // data_end
			asm.LoadMem(asm.R1, asm.R6, 0, asm.Word), // data
			asm.Sub.Reg(asm.R8, asm.R1))
	}
	if b.trim > 0 {
		insns = append(insns,
			asm.JLE.Imm(asm.R8, int32(b.trim), "stamp"),
			asm.Mov.Imm(asm.R2, int32(b.trim)),
			asm.Sub.Reg(asm.R2, asm.R8),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.FnXdpAdjustTail.Call(),
			asm.JNE.Imm(asm.R0, 0, "drop"))
	}
	insns = append(insns,
		asm.Mov.Reg(asm.R1, asm.R6).WithSymbol("stamp"),
		asm.Mov.Imm(asm.R2, -bpf.MetaLen),
		asm.FnXdpAdjustHead.Call(),
		asm.JNE.Imm(asm.R0, 0, "drop"),
		asm.LoadMem(asm.R2, asm.R6, 0, asm.Word),
		asm.LoadMem(asm.R3, asm.R6, 4, asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, bpf.MetaLen),
		asm.JGT.Reg(asm.R4, asm.R3, "drop"),
		asm.StoreMem(asm.R2, 0, asm.R7, asm.DWord),
		asm.StoreMem(asm.R2, 8, asm.R8, asm.Word),
		asm.StoreImm(asm.R2, 12, 1, asm.Word),
		asm.LoadMapPtr(asm.R1, sockets.FD()),
		asm.LoadMem(asm.R2, asm.R6, 16, asm.Word), // rx_queue_index
		asm.Mov.Imm(asm.R3, xdpDrop),
		asm.FnRedirectMap.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("drop"),
		asm.Return(),
	)
	spec := &ebpf.ProgramSpec{Name: "bare", Type: ebpf.XDP, License: "GPL", Instructions: insns}
	if b.frags {
		spec.Flags = flagFrags
	}
	prog, err := ebpf.NewProgram(spec)
	must(t, err)
	return &bareProgram{bare: b, prog: prog, sockets: sockets}
}

func (b *bareProgram) Attach(ifindex int, mode bpf.AttachMode) (err error) {
	flags := link.XDPDriverMode
	switch {
	case mode == bpf.AttachGeneric:
		flags = link.XDPGenericMode
	case b.noNative || b.frags != (mode == bpf.AttachFrags):
		return ebpf.ErrNotSupported
	}
	b.link, err = link.AttachXDP(link.XDPOptions{Program: b.prog, Interface: ifindex, Flags: flags})
	return err
}

func (b *bareProgram) SetSocket(queue, fd int) error {
	if fd < 0 {
		return b.sockets.Delete(uint32(queue))
	}
	return b.sockets.Put(uint32(queue), uint32(fd))
}

func (b *bareProgram) Close() error {
	if b.link != nil {
		if err := b.link.Close(); err != nil {
			return err
		}
	}
	b.prog.Close()
	return b.sockets.Close()
}
