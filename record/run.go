package record

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"mirrorscope/capture"
	"mirrorscope/packet"
)

// writeEvery is how long a packet waits to be written, at most.
const writeEvery = 200 * time.Millisecond

// Run writes until ctx is done, and then what is left. Open must have been called.
// What Take is given afterwards is dropped.
func (r *Ring) Run(ctx context.Context) {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			r.mu.Lock()
			r.ended = true
			r.mu.Unlock()
			r.write()
			r.files.finish()
			r.files.tell()
			r.files.close()
			return
		case <-r.kick:
		case <-tick.C:
		}
		r.write()
	}
}

// write takes what the queue holds, and removes what is too old.
func (r *Ring) write() {
	r.mu.Lock()
	full := r.filling
	r.filling, r.empty = r.empty, nil
	r.files.faces = append(r.files.faces[:0], r.faces...)
	r.mu.Unlock()
	r.room.Broadcast()

	r.files.write(full)
	r.files.age(r.clock.Load())

	r.mu.Lock()
	r.empty = full[:0]
	r.mu.Unlock()
}

// lookEvery is after how many frames Capture looks whether it is to end.
const lookEvery = 1024

// Capture reads a source to its end, or until ctx is done, and gives the Ring
// everything that it gives. Of a live source it gives on the clock.
func Capture(ctx context.Context, src capture.Source, r *Ring) error {
	d := packet.NewDecoder(r.o.Decode, new(packet.Names))
	var f capture.Frame
	var p packet.Packet
	for n := 0; ; n++ {
		if n%lookEvery == 0 && ctx.Err() != nil {
			return nil
		}
		err := src.Next(&f)
		switch {
		case errors.Is(err, capture.ErrIdle):
			r.Clock(f.Time)
			n = -1 // look at once
			continue
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("capture: %w", err)
		}
		switch d.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, &p) {
		case packet.OK:
			r.Take(&f, &p)
		case packet.Held:
			r.Held(&f)
		default:
			r.Clock(f.Time)
		}
	}
}
