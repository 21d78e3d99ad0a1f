package privilege

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A packet socket can send as well as receive, and has no option that ends the
// one: it knows no shutdown(2), a filter is for what comes in, and the least
// SO_SNDBUF holds a frame. What the kernel does offer is a filter of system calls
// (seccomp(2)), which sees the number of a descriptor. So no data goes to these
// numbers, and no other number is made for what they stand for: not by dup(2),
// nor by a message to itself (unix(7), SCM_RIGHTS), pidfd_getfd(2), or the
// listener of another filter; and rings of io_uring(7) and aio(7), which no
// filter sees into, are not to be had.

// restricted is a system call with the argument that is a descriptor.
type restricted struct {
	call uintptr
	arg  int // where data goes, or the descriptor that is copied
	kind restriction
}

type restriction uint8

const (
	never   restriction = iota // with a packet socket
	noCopy                     // fcntl, by the operations that make another number
	noMove                     // dup2 and dup3, but from one packet socket's number to another's
	nowhere                    // not at all
)

// sending are the ways to send by a descriptor, or to get another number for it,
// on all architectures.
var sending = []restricted{
	{unix.SYS_WRITE, 0, never}, {unix.SYS_WRITEV, 0, never},
	{unix.SYS_PWRITE64, 0, never}, {unix.SYS_PWRITEV, 0, never}, {unix.SYS_PWRITEV2, 0, never},
	{unix.SYS_SENDTO, 0, never}, {unix.SYS_SENDFILE, 0, never}, {unix.SYS_SPLICE, 2, never},
	{unix.SYS_DUP, 0, never}, {unix.SYS_FCNTL, 0, noCopy}, {unix.SYS_DUP3, 0, noMove},
	{unix.SYS_SENDMSG, 0, nowhere}, {unix.SYS_SENDMMSG, 0, nowhere}, {unix.SYS_PIDFD_GETFD, 0, nowhere}, {unix.SYS_SECCOMP, 0, nowhere},
	{unix.SYS_IO_URING_SETUP, 0, nowhere}, {unix.SYS_IO_URING_ENTER, 0, nowhere}, {unix.SYS_IO_URING_REGISTER, 0, nowhere},
	{unix.SYS_IO_SETUP, 0, nowhere}, {unix.SYS_IO_SUBMIT, 0, nowhere},
}

// packetSockets gives the numbers of all packet sockets that are open, sorted.
func packetSockets() ([]int, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, fmt.Errorf("look for packet sockets: %w", err)
	}
	var list []int
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			return nil, fmt.Errorf("look for packet sockets: %w", err)
		}
		// All that is no socket, or was closed meanwhile, is an error here.
		if family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil && family == unix.AF_PACKET {
			list = append(list, fd)
		}
	}
	slices.Sort(list)
	return list, nil
}

// seal has packet sockets receive and nothing else, for all threads.
func seal(r *Report, wanted bool, sockets []int) error {
	switch {
	case len(sockets) == 0:
		return nil
	case !wanted:
		r.lacks(PacketSockets, "%d of them can still send", len(sockets))
		return nil
	case architecture == 0:
		r.lacks(PacketSockets, "%d of them can still send: their seal is for amd64 and arm64", len(sockets))
		return nil
	}
	program := filterOf(ranges(sockets))
	if len(program) > unix.BPF_MAXINSNS {
		return fmt.Errorf("seal %d packet sockets: the filter of system calls has %d instructions, and may have %d", len(sockets), len(program), unix.BPF_MAXINSNS)
	}
	prog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC|unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, uintptr(unsafe.Pointer(&prog)))
	switch {
	case errno == unix.ENOSYS || errno == unix.EINVAL || errno == unix.EPERM:
		// Not in this kernel, or something around the process forbids it.
		r.lacks(PacketSockets, "%d of them can still send: seccomp: %v", len(sockets), errno)
		return nil
	case errno != 0:
		return fmt.Errorf("seal packet sockets: seccomp: %w", errno)
	case thread != 0:
		return fmt.Errorf("seal packet sockets: thread %d has a filter of its own", thread)
	}
	// Nothing is sent by trying: a socket that is bound to no interface says so.
	for _, fd := range sockets {
		if _, err := unix.Write(fd, nil); !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("seal packet sockets: descriptor %d can still be written to: %w", fd, err)
		}
	}
	r.did(PacketSockets, "%d, which can only receive", len(sockets))
	return nil
}

// span is a range of descriptors, both ends included.
type span struct{ first, last uint32 }

// ranges gives the spans of sorted descriptors.
func ranges(sockets []int) []span {
	var list []span
	for _, fd := range sockets {
		if n := len(list); n > 0 && list[n-1].last+1 == uint32(fd) {
			list[n-1].last++
		} else {
			list = append(list, span{uint32(fd), uint32(fd)})
		}
	}
	return list
}

// Offsets in struct seccomp_data, octets. Of an argument the lower half counts:
// the kernel takes a descriptor for an int.
const (
	offsetCall = 0
	offsetArch = 4
	offsetArgs = 16
)

// Results of the filter. A call of another architecture is one that there is
// not.
const (
	allowed  = unix.SECCOMP_RET_ALLOW
	denied   = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	noSystem = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
)

// filterOf gives the filter for some descriptors.
func filterOf(sockets []span) []unix.SockFilter {
	p := []unix.SockFilter{
		load(offsetArch), jump(unix.BPF_JEQ, architecture, 1, 0), result(noSystem),
		load(offsetCall), jump(unix.BPF_JGE, foreignCalls, 0, 1), result(noSystem),
	}
	for _, c := range slices.Concat(sending, ownCalls) {
		body := c.body(sockets)
		p = append(p, jump(unix.BPF_JEQ, uint32(c.call), 1, 0), unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA, K: uint32(len(body))})
		p = append(p, body...)
	}
	return append(p, result(allowed))
}

// body is what the filter does with one system call. It ends with a result.
func (c restricted) body(sockets []span) (p []unix.SockFilter) {
	switch c.kind {
	case nowhere:
		return []unix.SockFilter{result(denied)}
	case noCopy:
		p = append(p, load(offsetOf(1)), jump(unix.BPF_JEQ, unix.F_DUPFD, 2, 0), jump(unix.BPF_JEQ, unix.F_DUPFD_CLOEXEC, 1, 0), result(allowed))
	case noMove:
		p = append(among(load(offsetOf(1)), sockets, allowed), p...)
	case never:
	}
	return append(append(p, among(load(offsetOf(c.arg)), sockets, denied)...), result(allowed))
}

// among ends with a result where what is loaded is one of the descriptors.
func among(what unix.SockFilter, sockets []span, then uint32) []unix.SockFilter {
	p := []unix.SockFilter{what}
	for _, s := range sockets {
		p = append(p, jump(unix.BPF_JGE, s.first, 0, 2), jump(unix.BPF_JGT, s.last, 1, 0), result(then))
	}
	return p
}

func offsetOf(arg int) uint32 { return offsetArgs + 8*uint32(arg) } // little endian, as both architectures are

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// jump goes on behind yes or no further instructions.
func jump(condition uint16, k uint32, yes, no uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | condition | unix.BPF_K, Jt: yes, Jf: no, K: k}
}

func result(k uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}
}
