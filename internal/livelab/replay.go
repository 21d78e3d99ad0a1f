//go:build linux

package livelab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
)

// Frames reads the frames of capture files.
func Frames(paths ...string) ([]capture.Frame, error) {
	r, err := pcapfile.Open(pcapfile.Config{Paths: paths})
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	var all []capture.Frame
	for {
		var f capture.Frame
		if err := r.Next(&f); errors.Is(err, io.EOF) {
			return all, errors.Join(r.Errors()...)
		} else if err != nil {
			return all, err
		}
		f.Data = bytes.Clone(f.Data)
		all = append(all, f)
	}
}

// Pace is how fast frames are sent. The zero value is as fast as one core
// sends them one by one, some 300,000 a second.
type Pace struct {
	// AsRecorded keeps the time between frames as it was in the capture. Frames
	// with earlier times than the one before follow at once.
	AsRecorded bool
	// Gap is the time from one frame to the next; 0: none.
	Gap time.Duration
}

// Sent is what became of frames sent into cap0.
type Sent struct {
	Frames  uint64        // that left
	Octets  uint64        // of those
	Dropped uint64        // of those, by a device: there was no room in cap0's queue
	Took    time.Duration //
}

// Arrived is what cap0 got.
func (s Sent) Arrived() uint64 { return s.Frames - s.Dropped }

// Replay sends frames out of rs in their order, so that they come in at cap0.
// With several queues a frame's flow decides which it takes. The error tells
// of the first frame that cannot be sent: it is not Ethernet, was cut by a snap
// length, or is too large for the link; none is sent then. Nothing else may be
// sent to cap0 meanwhile.
func (l *Lab) Replay(frames []capture.Frame, pace Pace) (Sent, error) {
	most := l.MTU + MirrorRoom + ethernetLen
	for i := range frames {
		f := &frames[i]
		limit := most
		if len(f.Data) > ethernetLen && f.Data[12] == 0x81 && f.Data[13] == 0 { // 802.1Q: the tag is beyond the MTU
			limit += 4
		}
		switch {
		case f.Link != capture.LinkEthernet:
			return Sent{}, fmt.Errorf("frame %d is %v, not ethernet", i+1, f.Link)
		case f.WireLen > len(f.Data):
			return Sent{}, fmt.Errorf("frame %d is cut: %d of %d octets", i+1, len(f.Data), f.WireLen)
		case len(f.Data) < ethernetLen || len(f.Data) > limit:
			return Sent{}, fmt.Errorf("frame %d has %d octets, and the link carries %d to %d", i+1, len(f.Data), ethernetLen, limit)
		}
	}
	before, err := l.Counters()
	if err != nil {
		return Sent{}, err
	}
	var s Sent
	err = l.Switch.Aside(func() error { return l.send(frames, pace, &s) })
	if err != nil {
		return s, fmt.Errorf("send from %s: %w", mirrorName, err)
	}
	after, err := l.Counters()
	if err != nil {
		return s, err
	}
	s.Dropped = after.Dropped - before.Dropped
	if n := after.Sent - before.Sent + s.Dropped; n != s.Frames {
		return s, fmt.Errorf("%d frames were sent from %s, and it counted %d", s.Frames, mirrorName, n)
	}
	return s, nil
}

const (
	ethernetLen = 14
	yieldEvery  = 64 // frames
)

// send runs on a thread in the switch.
func (l *Lab) send(frames []capture.Frame, pace Pace, s *Sent) error {
	// Protocol 0: the socket receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: l.mirrorIndex}); err != nil {
		return err
	}
	// On one core: frames sent from two could overtake each other.
	var cores, first unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cores); err != nil {
		return err
	}
	for core := 0; first.Count() == 0; core++ {
		if cores.IsSet(core) {
			first.Set(core)
		}
	}
	if err := unix.SchedSetaffinity(0, &first); err != nil {
		return fmt.Errorf("keep to one core: %w", err)
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) // else 50 µs late
	start := time.Now()
	var due time.Duration // of the frame, since start
	for i := range frames {
		switch {
		case pace.Gap > 0:
			due = time.Duration(i) * pace.Gap
		case pace.AsRecorded:
			due = max(due, time.Duration(frames[i].Time-frames[0].Time))
		}
		if wait := due - time.Since(start); wait > 0 {
			t := unix.NsecToTimespec(int64(wait))
			_ = unix.Nanosleep(&t, nil) // a signal may end it early, which does no harm
		}
		for {
			_, err := unix.SendmsgN(fd, frames[i].Data, nil, nil, 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			// ENOBUFS: there was no room, and the device has counted it.
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				return fmt.Errorf("frame %d: %w", i+1, err)
			}
			break
		}
		s.Frames++
		s.Octets += uint64(len(frames[i].Data))
		if s.Frames%yieldEvery == 0 {
			// The kernel may have left what is sent to a thread of its own on
			// this core, and has room for a thousand.
			_, _, _ = unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
		}
	}
	s.Took = time.Since(start)
	return nil
}
