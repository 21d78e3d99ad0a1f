package afpacket

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
)

// socket is one packet socket and its ring, before it is bound to an interface.
type socket struct {
	fd   int
	ring []byte // mapped; nil where there is none yet
}

// newSocket opens a packet socket that receives nothing so far. It is the only
// step that needs a privilege, CAP_NET_RAW.
//
// Only Ethernet frames come with their link header. For all others the kernel
// gives the packet behind it (SOCK_DGRAM), since some kinds of tunnel have a
// header to give and others none.
func newSocket(link capture.LinkType) (int, error) {
	kind := unix.SOCK_RAW
	if link != capture.LinkEthernet {
		kind = unix.SOCK_DGRAM
	}
	fd, err := unix.Socket(unix.AF_PACKET, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("open a packet socket (needs CAP_NET_RAW): %w", err)
	}
	return fd, nil
}

// setUp gives the socket its ring, with the gate closed.
func (c *Capture) setUp(fd int) (socket, error) {
	s := socket{fd: fd}
	if err := shutGate(fd); err != nil {
		return s, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V3); err != nil {
		return s, fmt.Errorf("set PACKET_VERSION 3: %w", err)
	}
	if !c.cfg.Outgoing && !c.kernelOutgoing {
		// Since kernel 4.20. Where it is unknown, and in the fan-outs of kernel 6.1,
		// Next sorts them out.
		err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1)
		if err != nil && !errors.Is(err, unix.ENOPROTOOPT) {
			return s, fmt.Errorf("set PACKET_IGNORE_OUTGOING: %w", err)
		}
	}
	if c.hardware {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_TIMESTAMP, unix.SOF_TIMESTAMPING_RAW_HARDWARE); err != nil {
			return s, fmt.Errorf("set PACKET_TIMESTAMP: %w", err)
		}
	}
	req := unix.TpacketReq3{
		Block_size:     uint32(c.cfg.BlockBytes),
		Block_nr:       uint32(c.cfg.Blocks),
		Frame_size:     frameUnit,
		Frame_nr:       uint32(c.cfg.ringBytes() / frameUnit),
		Retire_blk_tov: uint32(c.cfg.BlockTimeoutMS),
	}
	if err := unix.SetsockoptTpacketReq3(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return s, fmt.Errorf("get a ring of %d blocks of %d octets: %w", c.cfg.Blocks, c.cfg.BlockBytes, err)
	}
	ring, err := unix.Mmap(fd, 0, c.cfg.ringBytes(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return s, fmt.Errorf("map a ring of %d octets: %w", c.cfg.ringBytes(), err)
	}
	s.ring = ring
	return s, nil
}

// frameUnit is the size of a frame that the kernel checks the ring's size with.
// Frames of TPACKET_V3 take the room they need.
const frameUnit = 2048

// close gives everything back.
func (s *socket) close() error {
	var errs []error
	if s.ring != nil {
		errs = append(errs, unix.Munmap(s.ring))
		s.ring = nil
	}
	if s.fd >= 0 {
		errs = append(errs, unix.Close(s.fd))
		s.fd = -1
	}
	return errors.Join(errs...)
}

// shutGate lets no further frame into the ring. What is there stays.
//
// Binding to no protocol would not do: the kernel takes 0 for the protocol that
// was bound before, and refuses it altogether in a fan-out.
func shutGate(fd int) error { return setGate(fd, 0) }

// openGate lets frames in: what a filter program says of each, or snap octets,
// all where snap is 0.
func openGate(fd, snap, filter int) error {
	if filter >= 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, filter); err != nil {
			return fmt.Errorf("attach the filter program: %w", err)
		}
		return nil
	}
	if snap == 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0); err != nil {
			return fmt.Errorf("open the socket's filter: %w", err)
		}
		return nil
	}
	return setGate(fd, uint32(snap))
}

// setGate has the socket take n octets of each frame. A filter takes the place
// of the one before it between two frames.
func setGate(fd int, n uint32) error {
	code := [1]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: n}}
	prog := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog); err != nil {
		return fmt.Errorf("set the socket's filter to %d octets: %w", n, err)
	}
	return nil
}

// bind has the socket receive from the interface, gate permitting.
func bind(fd, index int) error {
	sa := unix.SockaddrLinklayer{Protocol: swap16(unix.ETH_P_ALL), Ifindex: index}
	if err := unix.Bind(fd, &sa); err != nil {
		return fmt.Errorf("bind to interface %d: %w", index, err)
	}
	return nil
}

// swap16 gives v in network order.
func swap16(v uint16) uint16 {
	var b [2]byte
	b[0], b[1] = byte(v>>8), byte(v)
	return native.Uint16(b[:])
}

// promiscuous lasts as long as the socket and the interface.
func promiscuous(fd, index int) error {
	mreq := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
		return fmt.Errorf("set promiscuous mode: %w", err)
	}
	return nil
}

// boundTo gives the interface that the socket is bound to, -1 after that has
// vanished.
func boundTo(fd int) (int, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return 0, fmt.Errorf("ask for the socket's interface: %w", err)
	}
	ll, ok := sa.(*unix.SockaddrLinklayer)
	if !ok {
		return 0, fmt.Errorf("a packet socket has an address of type %T", sa)
	}
	return ll.Ifindex, nil
}

// wentDown tells whether the interface has gone down since the last call.
// Until then poll(2) reports an error on the socket without waiting.
func wentDown(fd int) (bool, error) {
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return false, fmt.Errorf("ask for the socket's error: %w", err)
	case errno == 0:
		return false, nil
	case unix.Errno(errno) == unix.ENETDOWN:
		return true, nil
	}
	return false, fmt.Errorf("receive: %w", unix.Errno(errno))
}

// field is a u32 in a block that the kernel and the process both use. Blocks
// begin on a page.
func field(block []byte, offset int) *uint32 {
	return (*uint32)(unsafe.Pointer(&block[offset]))
}

// isUser tells whether a block has been handed over: then everything that the
// kernel wrote into it before is there to be read.
func isUser(block []byte) bool {
	return atomic.LoadUint32(field(block, blockStatus))&blockUser != 0
}

// handBack gives a block to the kernel. The count of its frames becomes 0
// before that, so that from then on it is of frames to come.
func handBack(block []byte) {
	atomic.StoreUint32(field(block, blockFrames), 0)
	atomic.StoreUint32(field(block, blockStatus), blockKernel)
}

// filling gives the number of frames in a block that the kernel fills.
func filling(block []byte) uint32 { return atomic.LoadUint32(field(block, blockFrames)) }

// openedAt is when the kernel began to fill a block, ns since the Unix epoch.
// The kernel may begin with it just now, and writes two words.
func openedAt(block []byte) int64 {
	for s := atomic.LoadUint32(field(block, blockOpenedS)); ; {
		ns := atomic.LoadUint32(field(block, blockOpenedNS))
		again := atomic.LoadUint32(field(block, blockOpenedS))
		if again == s {
			return int64(s)*1e9 + int64(ns)
		}
		s = again
	}
}
