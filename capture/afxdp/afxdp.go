// Package afxdp reads an interface through AF_XDP sockets, one for each receive
// queue, behind an XDP program that judges, stamps and trims the frames.
//
// The kernel writes each frame into memory that is shared with the sensor (the
// UMEM), and from there it is lent to the caller without a copy. Frames beyond
// one buffer are put together in memory of the ring. There is no transmit ring:
// nothing can be sent through these sockets. VLAN tags that the interface takes
// off (rx-vlan-offload) are not seen.
//
// What AF_PACKET gives for free has to be kept here: the interface must stay
// up. When it goes down or away, Check ends the ring with an error that wraps
// capture.ErrRestart.
//
// A frame's time is the CLOCK_MONOTONIC that the program read when the frame
// arrived, plus the difference to the wall clock, which is the same until the
// wall clock is set. That difference is measured to about ± 0.5 µs, and a set
// clock is followed at the next Check, about each 100 ms: frames in between
// have the old time.
//
// Needs CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF and CAP_IPC_LOCK until Open
// returns, and none afterwards. Linux 5.15; 6.6 for frames of several buffers.
//
// Documentation/networking/af_xdp.rst of the kernel; net/xdp/xsk.c for what the
// counters mean.
package afxdp

import "mirrorscope/bpf"

// Program is the XDP program in front of the sockets. It puts bpf.MetaLen
// octets ahead of each frame. *bpf.Prefilter is one.
type Program interface {
	Attach(ifindex int, mode bpf.AttachMode) error
	// SetSocket has the frames of a queue delivered to the AF_XDP socket fd, or
	// to none where fd is negative.
	SetSocket(queue, fd int) error
	Close() error
}
