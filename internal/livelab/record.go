//go:build linux

package livelab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"mirrorscope/internal/pcapgen"
)

// Recorded is what a Recording holds.
type Recorded struct {
	Frames uint64
	Octets uint64
	// Lost are frames that passed and are not in it, for lack of room: by the
	// recorder's socket.
	Lost uint64
	// Dropped are frames in the recording that cap0's queue had no room for.
	Dropped uint64
}

// Recording writes frames to a pcap file with nanoseconds.
type Recording struct {
	lab    *Lab
	fd     int
	keep   func(kind uint8) bool
	file   *os.File
	out    *pcapgen.PcapWriter
	before Counters
	got    Recorded
	stop   atomic.Bool
	done   chan error
	once   sync.Once
	err    error
}

// Record begins to record the frames that leave rs for cap0: what was mirrored
// and what Replay sends. A reader of cap0 gets the same ones, whatever the kind
// of reader, a few microseconds later. Frames of Flood are not seen.
func (l *Lab) Record(path string) (*Recording, error) {
	return l.record(path, l.Switch, l.mirrorIndex, func(kind uint8) bool { return kind == unix.PACKET_OUTGOING })
}

// RecordArrivals begins to record the frames that come in at cap0, as tcpdump
// there would: behind native XDP, which leaves nothing of what it redirects.
func (l *Lab) RecordArrivals(path string) (*Recording, error) {
	return l.record(path, l.Sensor, l.captureIndex, func(kind uint8) bool { return kind != unix.PACKET_OUTGOING })
}

func (l *Lab) record(path string, n *Namespace, ifindex int, keep func(uint8) bool) (*Recording, error) {
	r := &Recording{lab: l, fd: -1, keep: keep, done: make(chan error, 1)}
	var err error
	if r.before, err = l.Counters(); err != nil {
		return nil, err
	}
	if r.file, err = os.Create(path); err != nil {
		return nil, err
	}
	r.out = pcapgen.NewPcapWriter(r.file, pcapgen.PcapConfig{Link: pcapgen.LinkEthernet, Nano: true})
	if err := n.Do(func() (err error) { r.fd, err = recordingSocket(ifindex); return err }); err != nil {
		return nil, errors.Join(fmt.Errorf("record at %s: %w", n.name, err), r.file.Close())
	}
	go func() { r.done <- r.run() }()
	l.atClose(func() error { _, err := r.Stop(); return err })
	return r, nil
}

// recordingSocket opens a packet socket with time stamps and VLAN tags.
func recordingSocket(ifindex int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	const room = 64 << 20 // octets that may wait for the recorder
	for _, step := range []func() error{
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, room) },
		func() error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) },
		func() error { return unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1) },
		func() error {
			return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_ALL), Ifindex: ifindex})
		},
	} {
		if err := step(); err != nil {
			return -1, errors.Join(err, unix.Close(fd))
		}
	}
	return fd, nil
}

// networkOrder gives v as a field that the kernel reads in network byte order.
func networkOrder(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// Stop ends the recording when all that has passed by now is written. A second
// call gives the same again.
func (r *Recording) Stop() (Recorded, error) {
	r.once.Do(func() {
		r.stop.Store(true)
		r.err = <-r.done
		if stats, err := unix.GetsockoptTpacketStats(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err != nil {
			r.err = errors.Join(r.err, err)
		} else {
			r.got.Lost = uint64(stats.Drops)
		}
		after, err := r.lab.Counters()
		r.got.Dropped = after.Dropped - r.before.Dropped
		r.err = errors.Join(r.err, err, unix.Close(r.fd), r.out.Flush(), r.file.Close())
		if r.err != nil {
			r.err = fmt.Errorf("recording %s: %w", r.file.Name(), r.err)
		}
	})
	return r.got, r.err
}

// run writes until it is to stop and nothing is left.
func (r *Recording) run() error {
	frame, control := make([]byte, 4+1<<16), make([]byte, 256)
	for {
		stopping := r.stop.Load()
		// Four octets are left for a VLAN tag.
		n, oobn, _, from, err := unix.Recvmsg(r.fd, frame[4:], control, unix.MSG_TRUNC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			if stopping {
				return nil
			}
			poll := []unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
			if _, err := unix.Poll(poll, 10); err != nil && !errors.Is(err, unix.EINTR) {
				return fmt.Errorf("poll: %w", err)
			}
			continue
		case err != nil:
			return fmt.Errorf("receive: %w", err)
		}
		link, ok := from.(*unix.SockaddrLinklayer)
		if !ok || !r.keep(link.Pkttype) {
			continue
		}
		if n > len(frame)-4 {
			return fmt.Errorf("a frame of %d octets", n)
		}
		f := pcapgen.Frame{Data: frame[4 : 4+n]}
		if err := readControl(control[:oobn], frame[:4+n], &f); err != nil {
			return err
		}
		if err := r.out.Write(f); err != nil {
			return err
		}
		r.got.Frames++
		r.got.Octets += uint64(len(f.Data))
	}
}

// readControl takes the time stamp, and puts a VLAN tag back that the kernel
// took out. The frame begins at octet 4 of room.
func readControl(control, room []byte, f *pcapgen.Frame) error {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return fmt.Errorf("control message: %w", err)
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16:
			f.Time = int64(binary.NativeEndian.Uint64(m.Data))*1e9 + int64(binary.NativeEndian.Uint64(m.Data[8:]))
		case m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= int(unsafe.Sizeof(auxdata{})):
			a := (*auxdata)(unsafe.Pointer(&m.Data[0]))
			if a.status&unix.TP_STATUS_VLAN_VALID == 0 {
				continue
			}
			tpid := uint16(0x8100)
			if a.status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
				tpid = a.tpid
			}
			copy(room, room[4:4+12]) // the addresses, to the front
			binary.BigEndian.PutUint16(room[12:], tpid)
			binary.BigEndian.PutUint16(room[14:], a.tci)
			f.Data = room
		}
	}
	if f.Time == 0 {
		return errors.New("a frame without time stamp")
	}
	return nil
}

// auxdata is struct tpacket_auxdata (linux/if_packet.h).
type auxdata struct {
	status, length, snaplen uint32
	mac, net, tci, tpid     uint16
}
