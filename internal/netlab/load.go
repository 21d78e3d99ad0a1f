package netlab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// transfer sends so many octets from each side, both at once, and closes.
func transfer(fromClient, fromServer int) Load {
	return func(s *Session) error {
		c, err := s.Connect()
		if err != nil {
			return err
		}
		if err := c.both(fromClient, fromServer); err != nil {
			return err
		}
		active := FromClient
		if fromClient == 0 {
			active = FromServer
		}
		return s.Finish(c, active)
	}
}

// both sends and receives on both ends.
func (c *Conn) both(octets ...int) error {
	var g errgroup.Group
	for side, n := range octets {
		if n == 0 {
			continue
		}
		g.Go(func() error { return send(c.Ends[side], n) })
		g.Go(func() error { return receive(c.Ends[1-side], n) })
	}
	return g.Wait()
}

// payload is what is sent: no two nearby packets alike.
var payload = func() []byte {
	b := make([]byte, 1<<16)
	x := uint32(1)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}()

func send(w io.Writer, octets int) error {
	for octets > 0 {
		n, err := w.Write(payload[:min(octets, len(payload))])
		if err != nil {
			return err
		}
		octets -= n
	}
	return nil
}

func receive(r io.Reader, octets int) error {
	_, err := io.CopyN(io.Discard, r, int64(octets))
	return err
}

// turns is a client that asks and a server that thinks and answers.
type turns struct {
	count             int
	request, response int           // octets
	think             time.Duration // the server's, before it answers
	every2nd          time.Duration // the same for each second turn; 0: as think
	pause             time.Duration // the client's, before it asks again
}

func (t turns) load(s *Session) error {
	c, err := s.Connect()
	if err != nil {
		return err
	}
	for i := range t.count {
		if i > 0 {
			time.Sleep(t.pause)
		}
		turn := t
		if i%2 == 1 && t.every2nd > 0 {
			turn.think = t.every2nd
		}
		if err := c.turn(turn); err != nil {
			return fmt.Errorf("turn %d: %w", i+1, err)
		}
	}
	return s.Finish(c, FromClient)
}

// turn is one request and its response.
func (c *Conn) turn(t turns) error {
	var g errgroup.Group
	g.Go(func() error {
		if err := receive(c.Ends[FromServer], t.request); err != nil {
			return err
		}
		time.Sleep(t.think)
		return send(c.Ends[FromServer], t.response)
	})
	if err := send(c.Ends[FromClient], t.request); err != nil {
		return err
	}
	if err := receive(c.Ends[FromClient], t.response); err != nil {
		return err
	}
	return g.Wait()
}

// many runs one short exchange after the other, each on a connection of its own.
func many(count int, t turns) Load {
	return func(s *Session) error {
		for range count {
			c, err := s.Connect()
			if err != nil {
				return err
			}
			if err := c.turn(t); err != nil {
				return err
			}
			if err := s.Finish(c, FromClient); err != nil {
				return err
			}
		}
		return nil
	}
}

// slowReader sends octets to a server that reads nothing for a while.
func slowReader(octets int, pause time.Duration) Load {
	return func(s *Session) error {
		c, err := s.Connect()
		if err != nil {
			return err
		}
		var g errgroup.Group
		g.Go(func() error { return send(c.Ends[FromClient], octets) })
		time.Sleep(pause)
		if err := receive(c.Ends[FromServer], octets); err != nil {
			return err
		}
		if err := g.Wait(); err != nil {
			return err
		}
		return s.Finish(c, FromClient)
	}
}

// idle exchanges something, then nothing for a while, then closes.
func idle(pause time.Duration) Load {
	return func(s *Session) error {
		c, err := s.Connect()
		if err != nil {
			return err
		}
		if err := c.both(3000, 3000); err != nil {
			return err
		}
		time.Sleep(pause)
		return s.Finish(c, FromClient)
	}
}

// abort sends octets, then resets from the given side (SO_LINGER 0).
func abort(octets int, by Direction) Load {
	return func(s *Session) error {
		c, err := s.Connect()
		if err != nil {
			return err
		}
		if err := c.both(octets, octets); err != nil {
			return err
		}
		if err := s.Settle(c); err != nil {
			return err
		}
		if err := errors.Join(c.Ends[by].SetLinger(0), c.Ends[by].Close()); err != nil {
			return err
		}
		var one [1]byte
		if _, err := c.Ends[1-by].Read(one[:]); !errors.Is(err, unix.ECONNRESET) {
			return errors.Join(errors.New("the other end got no reset"), err)
		}
		info, err := readInfo(c.Ends[1-by])
		c.After[1-by] = info
		return err
	}
}

// refused connects where nobody listens.
func refused(s *Session) error {
	_, err := s.dial(s.port + 1)
	if !errors.Is(err, unix.ECONNREFUSED) {
		return errors.Join(errors.New("connect was not refused"), err)
	}
	return nil
}

// unanswered has one short exchange, then connects again and waits for an answer
// that the network does not let through, until the kernel gives up.
func unanswered(s *Session) error {
	if err := many(1, turns{request: 300, response: 1000})(s); err != nil {
		return err
	}
	_, err := s.dial(s.port)
	if !errors.Is(err, unix.ETIMEDOUT) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return errors.Join(errors.New("connect did not time out"), err)
	}
	return nil
}

// bursts sends pieces with pauses between them: each is the tail of a flight.
func bursts(count, octets int, pause time.Duration) Load {
	return func(s *Session) error {
		c, err := s.Connect()
		if err != nil {
			return err
		}
		var g errgroup.Group
		g.Go(func() error { return receive(c.Ends[FromServer], count*octets) })
		for i := range count {
			if i > 0 {
				time.Sleep(pause)
			}
			if err := send(c.Ends[FromClient], octets); err != nil {
				return err
			}
		}
		if err := g.Wait(); err != nil {
			return err
		}
		return s.Finish(c, FromClient)
	}
}

// eager sends a request as soon as connect returns, before the server's program
// knows of the connection. With Fast Open that is in the SYN, which connect
// leaves to the first write.
func eager(request, response int) Load {
	return func(s *Session) error {
		client, err := s.dial(s.port)
		if err != nil {
			return err
		}
		if err := send(client, request); err != nil {
			return err
		}
		server, err := s.accept()
		if err != nil {
			return err
		}
		c := s.pair(client, server)
		if err := receive(server, request); err != nil {
			return err
		}
		if err := c.both(0, response); err != nil {
			return err
		}
		return s.Finish(c, FromClient)
	}
}

// noFastOpen says why there is no TCP Fast Open.
func noFastOpen() string {
	if _, err := os.Stat("/proc/sys/net/ipv4/tcp_fastopen"); err != nil {
		return "the kernel has no TCP Fast Open"
	}
	return ""
}
