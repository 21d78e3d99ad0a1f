package afpacket

import (
	"errors"
	"fmt"
)

// Stop lets no further frame into the ring. What it holds can still be read:
// everything that came before Stop has been given out when Next gives none and
// then Horizon(now) is later than the time of Stop, which takes up to the block
// timeout.
//
// To stop a whole Capture, stop all its rings before the first is closed: the
// others would get a closed one's frames.
func (r *Ring) Stop() error {
	c := r.capture
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.state == closed {
		return nil
	}
	c.stopped = true // also for an interface that comes back
	r.shut = true
	return shutGate(r.fd)
}

// Close ends the ring, and takes the counts for the last time: what is still in
// it is lost, as ring_unread. Frames that Next has lent are not to be touched any
// more. The gates of all other rings of the Capture are shut, since they would
// get this one's frames; what they hold can still be read.
func (r *Ring) Close() error {
	c := r.capture
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.state == closed {
		return nil
	}
	err := c.stop()
	r.state = closed
	r.mu.Lock()
	err = errors.Join(err, r.countKernel())
	r.counts.tally = r.tally
	r.counts.unread = r.counts.waiting()
	err = errors.Join(err, r.sock.close())
	r.mu.Unlock()
	if c.open--; c.open == 0 {
		c.release()
	}
	if err != nil {
		return fmt.Errorf("end the capture on %s: %w", c.name, err)
	}
	return nil
}
