package privilege

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// waysToSend are all that trySending tries by a packet socket, and waysThatStay
// what it does besides.
var (
	waysToSend = []string{
		"write", "write from a new thread", "writev", "sendto", "sendmsg", "splice", "sendfile", "pwrite", "dup", "dup2", "dup3",
		"another number", "message to itself", "pidfd_getfd", "io_uring", "aio", "filter with a listener",
	}
	waysThatStay = []string{"write to another", "copy another", "keep its flags", "move to another packet socket"}
)

// trySending tries to send by a packet socket that is bound to an interface, and
// to get another number for it.
func trySending(try func(string, error), socket, index int) {
	frame := make([]byte, 60)
	frame[12], frame[13] = 0x88, 0xb5 // for experiments, IEEE 802
	to := &unix.SockaddrLinklayer{Ifindex: index, Halen: 6}
	copied := func(name string, fd int, err error) {
		if err == nil {
			err = unix.Close(fd)
		}
		try(name, err)
	}
	write := func() error { _, err := unix.Write(socket, frame); return err }
	try("write", write())
	thread := make(chan error)
	go func() { runtime.LockOSThread(); thread <- write() }()
	try("write from a new thread", <-thread)
	_, err := unix.Writev(socket, [][]byte{frame})
	try("writev", err)
	_, err = unix.Pwrite(socket, frame, 0)
	if errors.Is(err, unix.ESPIPE) { // a socket has no place in it
		err = nil
	}
	try("pwrite", err)
	try("sendto", unix.Sendto(socket, frame, 0, to))
	try("sendmsg", unix.Sendmsg(socket, frame, nil, to, 0))

	var pipe [2]int
	must(unix.Pipe(pipe[:]))
	_, err = unix.Write(pipe[1], frame)
	try("write to another", err)
	_, err = unix.Splice(pipe[0], nil, socket, nil, len(frame), 0)
	try("splice", err)
	file, err := unix.MemfdCreate("frame", 0)
	must(err)
	_, err = unix.Write(file, frame)
	must(err)
	_, err = unix.Seek(file, 0, unix.SEEK_SET)
	must(err)
	_, err = unix.Sendfile(socket, file, nil, len(frame))
	try("sendfile", err)

	fd, err := unix.Dup(socket)
	copied("dup", fd, err)
	free, err := unix.Dup(file)
	try("copy another", err)
	try("dup2", dup2(socket, free))
	try("dup3", unix.Dup3(socket, free, 0))
	fd, err = unix.FcntlInt(uintptr(socket), unix.F_DUPFD_CLOEXEC, 0)
	copied("another number", fd, err)
	_, err = unix.FcntlInt(uintptr(socket), unix.F_GETFL, 0)
	try("keep its flags", err)
	try("move to another packet socket", asError(dup3Self(socket)))
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	must(err)
	try("message to itself", unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(socket), nil, 0))
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	must(err)
	fd, err = unix.PidfdGetfd(self, socket, 0)
	copied("pidfd_getfd", fd, err)

	var params [120]byte // struct io_uring_params
	n, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params)), 0)
	copied("io_uring", int(n), asError(errno))
	var context uintptr
	_, _, errno = unix.Syscall(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&context)), 0)
	try("aio", asError(errno))
	all := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}
	listening := make(chan struct{})
	go func() { // its thread ends with the filter
		runtime.LockOSThread()
		n, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER,
			uintptr(unsafe.Pointer(&unix.SockFprog{Len: 1, Filter: &all})))
		copied("filter with a listener", int(n), asError(errno))
		close(listening)
	}()
	<-listening
}

// dup2 is the old call, where there is one: the Go runtime takes the other.
func dup2(from, to int) error {
	for _, c := range ownCalls {
		_, _, errno := unix.RawSyscall(c.call, uintptr(from), uintptr(to), 0)
		return asError(errno)
	}
	return unix.Dup3(from, to, 0)
}

// dup3Self asks for a copy under the same number, which dup3 refuses by itself:
// so it was asked.
func dup3Self(socket int) unix.Errno {
	_, _, errno := unix.RawSyscall(unix.SYS_DUP3, uintptr(socket), uintptr(socket), 0)
	if errno == unix.EINVAL {
		return 0
	}
	return errno
}

func asError(errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}

func TestRanges(t *testing.T) {
	for want, sockets := range map[string][]int{
		"[]": nil, "[{3 3}]": {3}, "[{3 5} {7 7} {9 10}]": {3, 4, 5, 7, 9, 10},
	} {
		if got := fmt.Sprint(ranges(sockets)); got != want {
			t.Errorf("%v: %s, want %s", sockets, got, want)
		}
	}
}

// The filter is run as the kernel runs it: each call of each kind, with
// descriptors at the edges of several spans.
func TestFilter(t *testing.T) {
	if architecture == 0 {
		t.Skip("no seal for this architecture")
	}
	sockets := []int{3, 4, 9, 20, 21, 22}
	p := filterOf(ranges(sockets))
	if len(p) > 400 {
		t.Errorf("%d instructions", len(p))
	}
	verdict := func(arch, call uint32, args ...uint32) uint32 {
		var words [16]uint32 // struct seccomp_data
		words[0], words[1] = call, arch
		for i, a := range args {
			words[4+2*i], words[5+2*i] = a, 0xdead // the upper half means nothing
		}
		return run(t, p, words)
	}
	for fd := range uint32(30) {
		is := slices.Contains(sockets, int(fd))
		want := func(denies bool) uint32 {
			if denies {
				return denied
			}
			return allowed
		}
		for _, c := range slices.Concat(sending, ownCalls) {
			call := uint32(c.call)
			switch c.kind {
			case never:
				args := []uint32{100, 100, 100}
				args[c.arg] = fd
				if got := verdict(architecture, call, args...); got != want(is) {
					t.Errorf("call %d with %d: %x", call, fd, got)
				}
			case noCopy:
				for op, copies := range map[uint32]bool{unix.F_DUPFD: true, unix.F_DUPFD_CLOEXEC: true, unix.F_GETFL: false, unix.F_SETFD: false} {
					if got := verdict(architecture, call, fd, op); got != want(is && copies) {
						t.Errorf("fcntl of %d, operation %d: %x", fd, op, got)
					}
				}
			case noMove:
				for to := range uint32(30) {
					if got := verdict(architecture, call, fd, to); got != want(is && !slices.Contains(sockets, int(to))) {
						t.Errorf("call %d from %d to %d: %x", call, fd, to, got)
					}
				}
			case nowhere:
				if got := verdict(architecture, call, fd); got != denied {
					t.Errorf("call %d with %d: %x", call, fd, got)
				}
			}
		}
		if got := verdict(architecture, unix.SYS_READ, fd); got != allowed {
			t.Errorf("read from %d: %x", fd, got)
		}
	}
	if got := verdict(architecture+1, unix.SYS_READ, 0); got != noSystem {
		t.Errorf("another architecture: %x", got)
	}
}

// run is the kernel's interpreter, as far as the filter needs it.
func run(t *testing.T, p []unix.SockFilter, words [16]uint32) uint32 {
	t.Helper()
	var a uint32
	for at := 0; at < len(p); at++ {
		i := p[at]
		yes := false
		switch i.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = words[i.K/4]
			continue
		case unix.BPF_RET | unix.BPF_K:
			return i.K
		case unix.BPF_JMP | unix.BPF_JA:
			at += int(i.K)
			continue
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			yes = a == i.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			yes = a >= i.K
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			yes = a > i.K
		default:
			t.Fatalf("instruction %d: %+v", at, i)
		}
		if yes {
			at += int(i.Jt)
		} else {
			at += int(i.Jf)
		}
	}
	t.Fatal("it runs off the end")
	return 0
}
