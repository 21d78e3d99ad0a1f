package afpacket

import (
	"fmt"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
)

// tally is what the reader counts by itself, frame by frame.
type tally struct {
	frames, bytes  uint64 // given out; octets on the wire
	malformed      uint64 // in a block whose lengths contradict each other
	outgoing       uint64 // sorted out by Next, where the kernel does not
	cut            uint64 // given out in part: larger than a block
	late           uint64 // given out with a time before the horizon
	softwareStamps uint64 // given out without the hardware stamp that was asked for
}

// counts are what Stats tells. They are guarded by Ring.mu.
type counts struct {
	tally // as of the last block given back, or the last Check

	received uint64 // by the kernel for this ring, dropped ones included
	dropped  uint64
	frozen   uint64 // times that the kernel found no free block
	unread   uint64 // in the ring when it was closed

	linkDown, linkUp            uint64
	interfaceGone, interfaceNew uint64
	interfaceRenamed            uint64
}

// publish shows the reader's counts to the others.
func (r *Ring) publish() {
	r.mu.Lock()
	r.counts.tally = r.tally
	r.mu.Unlock()
}

// countKernel adds what the kernel has counted since the last call: reading
// resets it. Ring.mu is held.
func (r *Ring) countKernel() error {
	s, err := unix.GetsockoptTpacketStatsV3(r.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return fmt.Errorf("read PACKET_STATISTICS: %w", err)
	}
	r.counts.received += uint64(s.Packets)
	r.counts.dropped += uint64(s.Drops)
	r.counts.frozen += uint64(s.Freeze_q_cnt)
	return nil
}

// Received is the number of frames that the kernel has had for this ring so
// far: given out, waiting in it, or lost.
func (r *Ring) Received() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ask()
	return r.counts.received
}

// ask is countKernel where that can still be done. Counts of a closed ring are
// those at its end.
func (r *Ring) ask() {
	if r.sock.ring != nil {
		_ = r.countKernel() // the socket is there: it cannot fail, and Check would tell
	}
}

// Stats are counts since Open. Frames and Bytes are up to date when Next has
// given none, after Check and after Close, and lag by up to a block otherwise.
//
// Losses:
//   - ring_full: the kernel found no room
//   - ring_malformed: the kernel's block could not be understood
//   - ring_unread: was in the ring when it was closed
//
// Events:
//   - ring_frozen: times that all blocks were waiting to be read
//   - link_down, link_up: of the interface, as far as Check saw it
//   - interface_gone, interface_back: the interface vanished, and the ring was bound to the new one of that name
//   - interface_renamed: it was given another name, which ends the capture; counted once for all rings
//   - late_frames: given out with a time before the Horizon
//   - long_frames_cut: given out in part, since larger than a block
//   - software_stamps: frames without the hardware stamp that was asked for
//   - outgoing_skipped: frames of this machine, where the kernel does not keep them out
func (r *Ring) Stats() capture.Stats {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ask()
	c := &r.counts
	return capture.Stats{
		Frames: c.frames,
		Bytes:  c.bytes,
		Losses: []capture.Loss{
			{Place: "ring_full", Frames: c.dropped},
			{Place: "ring_malformed", Frames: c.malformed},
			{Place: "ring_unread", Frames: c.unread},
		},
		Events: []capture.Loss{
			{Place: "ring_frozen", Frames: c.frozen},
			{Place: "link_down", Frames: c.linkDown},
			{Place: "link_up", Frames: c.linkUp},
			{Place: "interface_gone", Frames: c.interfaceGone},
			{Place: "interface_back", Frames: c.interfaceNew},
			{Place: "interface_renamed", Frames: c.interfaceRenamed},
			{Place: "late_frames", Frames: c.late},
			{Place: "long_frames_cut", Frames: c.cut},
			{Place: "software_stamps", Frames: c.softwareStamps},
			{Place: "outgoing_skipped", Frames: c.outgoing},
		},
	}
}

// waiting is the number of frames that are in the ring. Ring.mu is held, and
// what the reader has counted must be published.
func (c *counts) waiting() uint64 {
	out := c.dropped + c.frames + c.malformed + c.outgoing + c.unread
	return c.received - min(c.received, out)
}
