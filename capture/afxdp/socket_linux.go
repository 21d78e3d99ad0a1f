package afxdp

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// socket is one AF_XDP socket with a UMEM of its own. It has a receive ring
// and no transmit ring, so that nothing can be sent through it.
type socket struct {
	fd   int
	rx   rxRing
	fill fillRing
	umem umem

	rxMem, fillMem []byte
	backlog        []byte // memory of one
}

// variant is one way to bind a socket.
type variant struct {
	zeroCopy bool
	frags    bool // frames over several buffers
	wakeup   bool
}

func (v variant) flags() uint16 {
	f := uint16(unix.XDP_COPY)
	if v.zeroCopy {
		f = unix.XDP_ZEROCOPY
	}
	if v.frags {
		f |= unix.XDP_USE_SG
	}
	if v.wakeup {
		f |= unix.XDP_USE_NEED_WAKEUP
	}
	return f
}

func (v variant) String() string {
	s := "copy mode"
	if v.zeroCopy {
		s = "zero copy"
	}
	if v.frags {
		s += " with several buffers a frame"
	}
	return s
}

// probeFrags is an error where the kernel has no frames over several buffers
// for AF_XDP. It asks for them on an interface that does not exist: a kernel
// that does not know the flag says so before it looks for the interface.
func probeFrags() error {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open an AF_XDP socket: %w", err)
	}
	err = unix.Bind(fd, &unix.SockaddrXDP{Flags: unix.XDP_USE_SG, Ifindex: 1<<31 - 1})
	if err := unix.Close(fd); err != nil {
		return fmt.Errorf("close an AF_XDP socket: %w", err)
	}
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return fmt.Errorf("AF_XDP takes frames of several buffers from kernel 6.6 on: %w (bind: %w)", errors.ErrUnsupported, err)
}

// openSocket makes a socket for one queue of an interface and binds it. All
// buffers are in the fill ring before the first frame can come. On an error
// nothing is left.
func openSocket(ifindex, queue int, cfg Config, v variant) (*socket, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open an AF_XDP socket: %w", err)
	}
	s := &socket{fd: fd}
	if err := s.setUp(ifindex, queue, cfg, v); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *socket) setUp(ifindex, queue int, cfg Config, v variant) error {
	var err error
	if s.backlog, err = mapBacklog(cfg.SpillBytes); err != nil {
		return err
	}
	if s.umem, err = newUMEM(cfg); err != nil {
		return err
	}
	if err := s.register(cfg); err != nil {
		return err
	}
	if err := s.mapRings(cfg); err != nil {
		return err
	}
	if cfg.BusyPollUS > 0 {
		if err := s.busyPoll(cfg); err != nil {
			return err
		}
	}
	s.fillAll(cfg)
	return s.bind(&unix.SockaddrXDP{Flags: v.flags(), Ifindex: uint32(ifindex), QueueID: uint32(queue)})
}

// bind binds the socket. A queue whose last socket was closed is free only a
// little later, when the kernel has worked it off: that is waited for.
func (s *socket) bind(to *unix.SockaddrXDP) error {
	const pause, most = 5 * time.Millisecond, 100
	for try := 1; ; try++ {
		err := unix.Bind(s.fd, to)
		switch {
		case err == nil:
			return nil
		case try == most || !errors.Is(err, unix.EBUSY):
			return explainBind(err)
		}
		time.Sleep(pause)
	}
}

// register hands the UMEM to the kernel and sets the sizes of the rings.
func (s *socket) register(cfg Config) error {
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&s.umem.mem[0]))), Len: uint64(len(s.umem.mem)), Size: uint32(cfg.FrameBytes)}
	if err := setsockopt(s.fd, unix.XDP_UMEM_REG, unsafe.Pointer(&reg), unsafe.Sizeof(reg)); err != nil {
		if errors.Is(err, unix.ENOBUFS) {
			return fmt.Errorf("register %d MiB of buffers: more than may be locked in memory (RLIMIT_MEMLOCK): CAP_IPC_LOCK lifts the limit: %w", len(s.umem.mem)>>20, err)
		}
		return fmt.Errorf("register %d MiB of buffers: %w", len(s.umem.mem)>>20, err)
	}
	for _, ring := range []struct {
		name      string
		opt, size int
	}{
		{"fill", unix.XDP_UMEM_FILL_RING, cfg.fillRing()},
		// For buffers that were sent. None ever is, but a UMEM must have the ring.
		{"completion", unix.XDP_UMEM_COMPLETION_RING, 2},
		{"receive", unix.XDP_RX_RING, cfg.rxRing()},
	} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_XDP, ring.opt, ring.size); err != nil {
			return fmt.Errorf("make a %s ring of %d slots: %w", ring.name, ring.size, err)
		}
	}
	return nil
}

// mapRings maps the receive and the fill ring.
func (s *socket) mapRings(cfg Config) error {
	var off unix.XDPMmapOffsets
	if _, err := getsockopt(s.fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&off), unsafe.Sizeof(off)); err != nil {
		return fmt.Errorf("ask for the layout of the rings: %w", err)
	}
	mmap := func(page int64, size int) ([]byte, error) {
		return unix.Mmap(s.fd, page, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	var err error
	if s.rxMem, err = mmap(unix.XDP_PGOFF_RX_RING, ringBytes(off.Rx, cfg.rxRing(), unsafe.Sizeof(unix.XDPDesc{}))); err != nil {
		return fmt.Errorf("map the receive ring: %w", err)
	}
	if s.fillMem, err = mmap(unix.XDP_UMEM_PGOFF_FILL_RING, ringBytes(off.Fr, cfg.fillRing(), unsafe.Sizeof(uint64(0)))); err != nil {
		return fmt.Errorf("map the fill ring: %w", err)
	}
	s.rx = rxRing{at(s.rxMem, off.Rx, cfg.rxRing()), slots[unix.XDPDesc](s.rxMem, off.Rx, cfg.rxRing())}
	s.fill = fillRing{at(s.fillMem, off.Fr, cfg.fillRing()), slots[uint64](s.fillMem, off.Fr, cfg.fillRing())}
	return nil
}

// fillAll gives the kernel every buffer.
func (s *socket) fillAll(cfg Config) {
	for i := range cfg.Frames {
		s.fill.addrs[i] = uint64(i * cfg.FrameBytes)
	}
	s.fill.producer.Store(uint32(cfg.Frames))
}

// busyPoll lets this socket's system calls run the driver, and keeps the
// interrupts away meanwhile (kernel 5.11).
func (s *socket) busyPoll(cfg Config) error {
	for _, o := range []struct {
		name       string
		opt, value int
	}{
		{"SO_PREFER_BUSY_POLL", unix.SO_PREFER_BUSY_POLL, 1},
		{"SO_BUSY_POLL", unix.SO_BUSY_POLL, cfg.BusyPollUS},
		{"SO_BUSY_POLL_BUDGET", unix.SO_BUSY_POLL_BUDGET, cfg.BusyPollBudget},
	} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, o.opt, o.value); err != nil {
			return fmt.Errorf("set %s to %d: %w", o.name, o.value, err)
		}
	}
	return nil
}

// statistics are the kernel's counters of the socket, all six since kernel 5.9.
func (s *socket) statistics() (unix.XDPStatistics, error) {
	var st unix.XDPStatistics
	n, err := getsockopt(s.fd, unix.XDP_STATISTICS, unsafe.Pointer(&st), unsafe.Sizeof(st))
	if err == nil && n < unsafe.Sizeof(st) {
		err = fmt.Errorf("the kernel has %d octets of %d: %w", n, unsafe.Sizeof(st), errors.ErrUnsupported)
	}
	return st, err
}

// wake runs the driver of a socket that waits for buffers, or that is polled.
func (s *socket) wake() {
	// It is all in the flag; the call gives no data. An error says that the
	// interface is down or gone, which Check finds out.
	_, _, _ = unix.Syscall6(unix.SYS_RECVFROM, uintptr(s.fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
}

func (s *socket) close() error {
	var errs []error
	for _, mem := range [][]byte{s.rxMem, s.fillMem, s.backlog} {
		if mem != nil {
			errs = append(errs, unix.Munmap(mem))
		}
	}
	errs = append(errs, unix.Close(s.fd), s.umem.close())
	return errors.Join(errs...)
}

// explainBind adds what the error numbers of bind mean.
func explainBind(err error) error {
	why := ""
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		why = "the driver does not do it"
	case errors.Is(err, unix.EBUSY):
		why = "the queue is in use by another AF_XDP socket"
	case errors.Is(err, unix.ENETDOWN):
		why = "the interface is down"
	case errors.Is(err, unix.EINVAL):
		why = "no such queue, or not known to this kernel"
	case errors.Is(err, unix.ENODEV):
		why = "no such interface"
	default:
		return fmt.Errorf("bind: %w", err)
	}
	return fmt.Errorf("bind: %s: %w", why, err)
}

func setsockopt(fd, opt int, p unsafe.Pointer, n uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(opt), uintptr(p), n, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func getsockopt(fd, opt int, p unsafe.Pointer, n uintptr) (uintptr, error) {
	size := uint32(n)
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(opt), uintptr(p), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return uintptr(size), nil
}
