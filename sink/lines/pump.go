package lines

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
	farewell   = 100 * time.Millisecond // for the goroutine to end when its work is given up

	// pieceLen is the most that is put out at once, octets, but for a longer line.
	pieceLen = 1 << 20
	// keepLen is what an emptied half of the queue keeps of its memory in any case. It
	// keeps more as long as one in so many is a quarter full: lines come in bursts.
	keepLen, patience = 1 << 20, 64
)

// target is what a pump writes to. All its methods are called by the pump's
// goroutine.
type target interface {
	// write puts whole lines out. n is how many octets it has put out for good,
	// also with an error; it is asked again with the rest.
	write(p []byte) (n int, err error)
	// idle is called when there is nothing to write. It gives the time by which
	// it wants to be called again, or zero.
	idle(now time.Time) (next time.Time, err error)
	reopen() error
	close() error
}

// pump is the queue and the goroutine behind it.
type pump struct {
	name   string // for errors
	out    target
	wake   chan struct{} // holds 1: there is something to write
	kick   chan struct{} // holds 1: Reopen or Close was called, which do not wait for the next try
	giveUp chan struct{} // closed when what is left is dropped
	done   chan struct{} // closed when the goroutine has ended

	mu      sync.Mutex
	filling []byte // guarded by mu, as everything below
	limit   int    // octets that filling may hold
	small   int    // batches in a row that were small for the memory there is
	again   bool   // reopen is wanted
	closing bool
	left    bool // nobody waits for the goroutine any more; it counts nothing
	stats   Stats
}

// newPump makes a pump with a queue of size octets and starts its goroutine.
func newPump(name string, out target, size int) *pump {
	p := &pump{
		name: name, out: out, limit: size / 2,
		wake: make(chan struct{}, 1), kick: make(chan struct{}, 1), giveUp: make(chan struct{}), done: make(chan struct{}),
	}
	p.stats.Limit = size
	return p
}

// Write implements Writer.
func (p *pump) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n := len(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	end := 0 // octets of a line end to add
	if b[n-1] != '\n' {
		end = 1
	}
	if p.closing {
		p.drop(Closed, b, end)
		return n, nil
	}
	if len(p.filling)+n+end > p.limit {
		why := QueueFull
		if p.stats.Failing != nil {
			why = WriteError
		}
		fits := bytes.LastIndexByte(b[:max(0, min(n, p.limit-len(p.filling)))], '\n') + 1
		p.drop(why, b[fits:], end)
		b, end = b[:fits], 0
		if fits == 0 {
			return n, nil
		}
	}
	p.grow(len(b) + end)
	p.filling = append(p.filling, b...)
	if end > 0 {
		p.filling = append(p.filling, '\n')
	}
	p.stats.Queued.add(b)
	p.stats.Queued.Lines += uint64(end)
	p.stats.Queued.Bytes += uint64(end)
	nudge(p.wake)
	return n, nil
}

func (p *pump) drop(why Reason, b []byte, end int) {
	d := &p.stats.Dropped[why]
	d.add(b)
	d.Lines += uint64(end)
	d.Bytes += uint64(end)
}

// grow makes room for n octets more, which are within the limit.
func (p *pump) grow(n int) {
	if need := len(p.filling) + n; need > cap(p.filling) {
		bigger := make([]byte, len(p.filling), min(max(2*cap(p.filling), need, 64<<10), p.limit))
		copy(bigger, p.filling)
		p.filling = bigger
	}
}

// nudge leaves a mark in a channel that holds one.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Reopen implements Writer.
func (p *pump) Reopen() {
	p.mu.Lock()
	p.again = true
	p.mu.Unlock()
	nudge(p.kick)
}

// Stats gives counts that belong together.
func (p *pump) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Close implements Writer. Only the first call does something.
func (p *pump) Close(ctx context.Context) error {
	p.mu.Lock()
	p.closing = true
	p.mu.Unlock()
	nudge(p.kick)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
	}
	err := p.abandon(context.Cause(ctx))
	select { // unless it is stuck in the system, it takes back half a line in no time
	case <-p.done:
	case <-time.After(farewell):
	}
	return err
}

// abandon counts what is left as dropped, and lets the goroutine end.
func (p *pump) abandon(cause error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		return nil
	}
	p.left = true
	close(p.giveUp)
	why := Closed
	if p.stats.Failing != nil {
		why, cause = WriteError, p.stats.Failing
	}
	lost := p.stats.Queued
	p.stats.Queued = Count{}
	if lost.Lines == 0 {
		return nil
	}
	p.stats.Dropped[why].Lines += lost.Lines
	p.stats.Dropped[why].Bytes += lost.Bytes
	return fmt.Errorf("%s: %d lines were left unwritten: %w", p.name, lost.Lines, cause)
}

// run is the goroutine. It ends after Close, when all is written or given up.
func (p *pump) run() {
	defer close(p.done)
	p.loop()
	if err := p.out.close(); err != nil {
		p.went(err)
	}
}

func (p *pump) loop() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var batch []byte
	for {
		p.reopen()
		var closing bool
		batch, closing = p.swap(batch)
		if len(batch) > 0 {
			if !p.put(timer, batch) {
				return
			}
			continue
		}
		if closing {
			return
		}
		next, err := p.out.idle(time.Now())
		p.outcome(err)
		var due <-chan time.Time
		if !next.IsZero() {
			timer.Reset(time.Until(next))
			due = timer.C
		}
		select {
		case <-p.wake:
		case <-p.kick:
		case <-due:
		}
	}
}

// reopen does what Reopen asked for.
func (p *pump) reopen() {
	p.mu.Lock()
	again := p.again
	p.again = false
	p.mu.Unlock()
	if again {
		p.outcome(p.out.reopen())
	}
}

// swap takes what has come, and gives the emptied half to be filled.
func (p *pump) swap(empty []byte) (batch []byte, closing bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.small++; len(p.filling) >= cap(empty)/4 {
		p.small = 0
	}
	if cap(empty) > keepLen && p.small >= patience {
		empty = nil
	}
	batch, p.filling = p.filling, empty[:0]
	return batch, p.closing
}

// put writes a batch, however long it takes. It gives false when that was given
// up.
func (p *pump) put(timer *time.Timer, batch []byte) bool {
	wait := firstRetry
	for len(batch) > 0 {
		select {
		case <-p.giveUp:
			return false
		default:
		}
		n, err := p.out.write(wholeLines(batch, pieceLen))
		p.wrote(batch[:n])
		batch = batch[n:]
		if p.outcome(err); err == nil {
			wait = firstRetry
			continue
		}
		timer.Reset(wait)
		wait = min(2*wait, lastRetry)
		select {
		case <-p.giveUp:
			return false
		case <-timer.C:
		case <-p.kick:
			wait = firstRetry
			p.reopen()
		}
	}
	return true
}

// wholeLines gives as many lines as fit into n octets, and at least one.
func wholeLines(b []byte, n int) []byte {
	if len(b) <= n {
		return b
	}
	if end := bytes.LastIndexByte(b[:n], '\n'); end >= 0 {
		return b[:end+1]
	}
	return b[:n+bytes.IndexByte(b[n:], '\n')+1]
}

// wrote moves lines from Queued to Written. The octets of a line's beginning
// count as written when they are, the line when its end is.
func (p *pump) wrote(b []byte) {
	if len(b) == 0 {
		return
	}
	var c Count
	c.add(b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left {
		return
	}
	p.stats.Written.Lines += c.Lines
	p.stats.Written.Bytes += c.Bytes
	p.stats.Queued.Lines -= c.Lines
	p.stats.Queued.Bytes -= c.Bytes
}

// outcome notes whether writing works.
func (p *pump) outcome(err error) {
	if err != nil {
		p.went(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.stats.Since = time.Time{}
	case p.stats.Failing == nil:
		p.stats.Since = time.Now()
	}
	p.stats.Failing = err
}

// went notes what went wrong, and stands in nobody's way.
func (p *pump) went(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.LastError, p.stats.LastErrorTime = err, time.Now()
	p.stats.Errors++
}

// note changes the counts of a File.
func (p *pump) note(change func(*FileStats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.stats.Files)
}
