package afpacket

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// fanout is what the rings of one interface share the frames by. A socket
// cannot leave its group, and while it is in one it cannot be bound anew.
type fanout struct {
	program int // descriptor of the eBPF program; -1 with one ring
	want    int // number of the group; 0 for one that is free
	flags   int
	group   int // number in use
}

// join adds a bound socket to the group, the first of which makes it.
//
// With PACKET_FANOUT_EBPF and no program yet, all frames go to the first
// socket. Gates must be shut until every socket has joined.
func (f *fanout) join(fd int, first bool) error {
	group, flags := f.group, f.flags
	if first {
		group = f.want
		if group == 0 {
			flags |= unix.PACKET_FANOUT_FLAG_UNIQUEID
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, group|(unix.PACKET_FANOUT_EBPF|flags)<<16); err != nil {
		return fmt.Errorf("join fan-out group %d: %w", group, err)
	}
	if !first {
		return nil
	}
	number, err := unix.GetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT)
	if err != nil {
		return fmt.Errorf("ask for the fan-out group: %w", err)
	}
	f.group = number & 0xffff
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT_DATA, f.program); err != nil {
		return fmt.Errorf("set the program of fan-out group %d: %w", f.group, err)
	}
	return nil
}
