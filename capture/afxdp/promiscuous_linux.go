package afxdp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// promiscuous has the interface take in frames for other hosts as well, for as
// long as the descriptor that it gives is open: a packet socket that is bound to
// no protocol, and so gets and sends nothing (packet(7), PACKET_MR_PROMISC).
func promiscuous(index int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("promiscuous: socket: %w", err)
	}
	m := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &m); err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("promiscuous: %w", err)
	}
	return fd, nil
}
