package netlab

import (
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Call is one call of an end's program on its connection. Times are ns since the
// Unix epoch, of the clock of the taps.
type Call struct {
	Write      bool  `json:"write"` // else read
	Begin, End int64 //
	Octets     int   `json:"octets"`
	From       int64 `json:"from"` // position of the first octet in the stream
}

// EndTruth is what the program at one end of a connection knows by its own clock.
type EndTruth struct {
	Handshake [2]int64     `json:"handshake"` // TLS handshake called and returned; 0: none, or not by crypto/tls
	Failed    string       `json:"failed,omitempty"`
	Thoughts  []ThinkTruth `json:"thoughts,omitempty"` // of a server, by request in the order in which they were complete
	Calls     []Call       `json:"calls"`
}

// ThinkTruth is one request at the server's program.
type ThinkTruth struct {
	Path    string        `json:"path"`
	Planned time.Duration `json:"planned_ns"`
	Began   int64         `json:"began"` // the last octet of the request was read
	Done    int64         `json:"done"`  // the first octet of the response was written
}

// clocked is a connection that notes when it was read and written.
type clocked struct {
	net.Conn
	now func() int64

	mu      sync.Mutex
	end     EndTruth
	read    int64 // octets
	written int64 // octets

	gatherNext bool // gather what follows the next write
	hold       bool // collect what is written until release
	held       []byte
}

func (c *clocked) Read(b []byte) (int, error) {
	call := Call{Begin: c.now()}
	n, err := c.Conn.Read(b)
	call.End, call.Octets = c.now(), n
	c.mu.Lock()
	defer c.mu.Unlock()
	call.From = c.read
	c.read += int64(n)
	c.end.Calls = append(c.end.Calls, call)
	return n, err
}

func (c *clocked) Write(b []byte) (int, error) {
	c.mu.Lock()
	if c.hold {
		c.held = append(c.held, b...)
		c.mu.Unlock()
		return len(b), nil
	}
	c.mu.Unlock()
	return c.write(b)
}

func (c *clocked) write(b []byte) (int, error) {
	call := Call{Write: true, Begin: c.now()}
	n, err := c.Conn.Write(b)
	call.End, call.Octets = c.now(), n
	c.mu.Lock()
	defer c.mu.Unlock()
	call.From = c.written
	c.written += int64(n)
	c.end.Calls = append(c.end.Calls, call)
	c.hold, c.gatherNext = c.hold || c.gatherNext, false
	return n, err
}

// release sends what was gathered with one call.
func (c *clocked) release() error {
	c.mu.Lock()
	b := c.held
	c.hold, c.held = false, nil
	c.mu.Unlock()
	_, err := c.write(b)
	return err
}

// Close ends what this side sends and leaves the socket open, so that its
// kernel's account can be read when both sides are done.
func (c *clocked) Close() error {
	if err := c.Conn.(*net.TCPConn).CloseWrite(); !errors.Is(err, unix.ENOTCONN) {
		return err
	}
	return nil // it was reset
}

func (c *clocked) truth() EndTruth {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end
}

// think notes one request.
func (c *clocked) think(t ThinkTruth) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end.Thoughts = append(c.end.Thoughts, t)
}

// busy is the time that a program did not wait for the other side, from its first octet
// or from having read so much to the write of an octet. It waits in a read, and from the
// beginning of the write before that: what it does then, or does not do because another
// process has the processor, delays nothing. ok is false where it wrote no such octet.
func (e *EndTruth) busy(read, written int64) (ns int64, ok bool) {
	var first, last int64
	for _, c := range e.Calls {
		if first == 0 && (read == 0 && c.Write || read > 0 && !c.Write && c.From+int64(c.Octets) >= read) {
			first = c.End
			if c.Write {
				first = c.Begin
			}
		}
		if c.Write && c.From <= written && written < c.From+int64(c.Octets) {
			last = c.Begin
		}
	}
	if first == 0 || last < first {
		return 0, false
	}
	ns = last - first
	answered := int64(0) // begin of the write that was the call before; 0: that was a read
	for _, c := range e.Calls {
		if c.Write {
			answered = c.Begin
			continue
		}
		if c.Begin >= first && c.End <= last {
			waits := c.Begin
			if answered >= first {
				waits = answered
			}
			ns -= c.End - waits
		}
		answered = 0
	}
	return ns, true
}

// took is the client's handshake, from its first octet to the call that sent or got
// the last.
func (e *EndTruth) took() (ns int64, ok bool) {
	var calls []Call
	for _, c := range e.Calls {
		if c.Begin >= e.Handshake[0] && c.End <= e.Handshake[1] {
			calls = append(calls, c)
		}
	}
	if e.Failed != "" || len(calls) < 2 || !calls[0].Write {
		return 0, false
	}
	last := calls[len(calls)-1]
	end := last.End
	if last.Write {
		end = last.Begin
	}
	return end - calls[0].Begin, true
}
