// Package afpacket captures from a network interface through the kernel's
// packet sockets: rings of blocks that the kernel fills and the process reads
// in place (AF_PACKET, TPACKET_V3). It works on any Ethernet or IP interface,
// at any MTU, and sends nothing.
//
//	           ┌─ eBPF fan-out: symmetric hash of the innermost addresses ─┐
//	interface ─┤                                                          │
//	           ├─► Ring 0  [block][block][block]…  ─► Next                 │
//	           └─► Ring n  [block][block][block]…  ─► Next                 │
//
// A block is the process's from when it is full, or Config.BlockTimeoutMS after
// its first frame, until the Next behind its last frame. Frames are lent out of
// the block; a VLAN tag that the kernel has taken out is put back in place, so
// that the frame is as it was on the wire.
//
// What is counted: every frame that the kernel has seen for a Ring was given
// out, is still in the ring, or is in one of the Losses:
//
//	Received = Frames + Losses + outgoing_skipped + what waits in the ring
//
// The interface may go down, up, vanish, and come back under its name: the same
// Rings go on, without any privilege, and count it (Check). Software stamps are
// taken by the kernel as it copies the frame, or before that when something
// else on the machine has asked for stamps on arrival.
//
// Sources: packet(7), Documentation/networking/packet_mmap.rst,
// Documentation/networking/timestamping.rst, linux/if_packet.h.
package afpacket

import "mirrorscope/capture"

// Facts is what Open has settled, for reports.
type Facts struct {
	Link      capture.LinkType
	Rings     int
	RingBytes int    // memory of all rings
	Stamps    string // "hardware" or "software"
	StampsWhy string // why it is that one
}

// Programs are descriptors of eBPF programs that work for a Capture. Each may be
// closed after Open; -1 is none.
type Programs struct {
	// Fanout picks a ring for each frame (PACKET_FANOUT_EBPF). It is not used
	// with one ring.
	Fanout int
	// Filter says how many octets of a frame a ring takes, 0 for none
	// (SO_ATTACH_BPF). What it leaves out is in no count of the ring. It does not
	// go with Config.SnapBytes.
	Filter int
}

// NoPrograms is a Capture of everything by one ring.
func NoPrograms() Programs { return Programs{Fanout: -1, Filter: -1} }
