//go:build linux

package livelab

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Exchange is what the hosts say to each other: clients on host A ask, servers
// on host B answer.
type Exchange struct {
	Connections int           // 0: 1
	Parallel    int           // connections at a time; 0: 1
	Turns       int           // requests on each connection, with a response each; 0: 1
	Request     int           // octets; 0: 200
	Response    int           // octets; 0: 2000
	Think       time.Duration // the server's, before it answers
	Port        uint16        // of the server, the first of Parallel ones; 0: 8080
	TLS         uint16        // version, as tls.VersionTLS13; 0: in the clear
	Congestion  string        // control of both ends; "": cubic, whose answer to a loss is the textbook's
	Abort       bool          // the client ends with a reset instead of a FIN
	Limit       time.Duration // of all; 0: 20 s
}

func (x *Exchange) defaults() {
	for _, n := range []struct {
		to *int
		is int
	}{{&x.Connections, 1}, {&x.Parallel, 1}, {&x.Turns, 1}, {&x.Request, 200}, {&x.Response, 2000}} {
		if *n.to == 0 {
			*n.to = n.is
		}
	}
	if x.Port == 0 {
		x.Port = 8080
	}
	if x.Congestion == "" {
		x.Congestion = "cubic"
	}
	if x.Limit == 0 {
		x.Limit = 20 * time.Second
	}
}

// Connection is the truth about one TCP connection.
type Connection struct {
	Client, Server netip.AddrPort
	// Settled is what the kernels of both ends know, by Side, when all was
	// acknowledged and nothing closed yet: round-trip times are those of now.
	Settled [2]unix.TCPInfo
	// Closed is the same when both ends have closed: its counts are final, with
	// FINs and their repeats. It is zero of a client that has aborted.
	Closed [2]unix.TCPInfo
	// Plain are the octets that the programs exchanged, by sender. Under TLS
	// the kernels' counts are larger.
	Plain [2]int64
}

// Packets is how many TCP packets a side has sent by the final count of its
// kernel, which leaves a server's SYN-ACK out.
func (c *Connection) Packets(side Side) uint64 {
	return uint64(c.Closed[side].Segs_out) + uint64(side)
}

// Run has the hosts talk and gives the truth about every connection, in the
// order in which they were opened. All are closed when it returns.
func (l *Lab) Run(x Exchange) ([]Connection, error) {
	x.defaults()
	s := session{lab: l, Exchange: x, deadline: time.Now().Add(x.Limit)}
	if x.TLS != 0 {
		if err := s.secure(); err != nil {
			return nil, fmt.Errorf("exchange: %w", err)
		}
	}
	all := make([]Connection, x.Connections)
	var workers errgroup.Group
	next := make(chan int)
	for w := range min(x.Parallel, x.Connections) {
		// Each has a port of its own, so that it accepts what it has dialled.
		port := x.Port + uint16(w)
		workers.Go(func() error { return s.serve(port, next, all) })
	}
	stop := make(chan error, 1)
	go func() { stop <- workers.Wait() }()
	for i := range x.Connections {
		select {
		case next <- i:
		case err := <-stop: // no worker is left
			return nil, fmt.Errorf("exchange: %w", err)
		}
	}
	close(next)
	if err := <-stop; err != nil {
		return nil, fmt.Errorf("exchange: %w", err)
	}
	return all, nil
}

// session is a running Exchange.
type session struct {
	Exchange
	lab            *Lab
	deadline       time.Time
	client, server *tls.Config // nil: in the clear
}

// serve makes connections to one port, one after the other.
func (s *session) serve(port uint16, next <-chan int, all []Connection) error {
	config := net.ListenConfig{Control: s.control}
	config.SetMultipathTCP(false)
	to := netip.AddrPortFrom(HostAddrs[B], port)
	var l *net.TCPListener
	err := s.lab.Hosts[B].Do(func() error {
		made, err := config.Listen(context.Background(), "tcp", to.String())
		if err != nil {
			return err
		}
		l = made.(*net.TCPListener)
		return nil
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer func() { _ = l.Close() }()
	if err := l.SetDeadline(s.deadline); err != nil {
		return err
	}
	for i := range next {
		if all[i], err = s.connection(l, to); err != nil {
			return fmt.Errorf("connection %d: %w", i+1, err)
		}
	}
	return nil
}

// connection makes one connection, uses it and closes it.
func (s *session) connection(l *net.TCPListener, to netip.AddrPort) (c Connection, err error) {
	dialer := net.Dialer{Control: s.control, Deadline: s.deadline, KeepAlive: -1}
	dialer.SetMultipathTCP(false)
	var ends [2]*net.TCPConn
	err = s.lab.Hosts[A].Do(func() error {
		made, err := dialer.Dial("tcp", to.String())
		if err != nil {
			return err
		}
		ends[A] = made.(*net.TCPConn)
		return nil
	})
	if err != nil {
		return c, err
	}
	defer func() { _ = ends[A].Close() }()
	if ends[B], err = l.AcceptTCP(); err != nil {
		return c, err
	}
	defer func() { _ = ends[B].Close() }()
	for _, end := range ends {
		if err := end.SetDeadline(s.deadline); err != nil {
			return c, err
		}
	}
	c.Client, c.Server = ends[A].LocalAddr().(*net.TCPAddr).AddrPort(), to

	if err := s.talk(ends, &c); err != nil {
		return c, err
	}
	if c.Settled, err = s.await(ends, "acknowledged", func(i *unix.TCPInfo) bool { return i.Unacked == 0 && i.Notsent_bytes == 0 }); err != nil {
		return c, err
	}
	return c, s.end(ends, &c)
}

// talk is all turns of a connection.
func (s *session) talk(ends [2]*net.TCPConn, c *Connection) error {
	client, server := net.Conn(ends[A]), net.Conn(ends[B])
	if s.client != nil {
		client, server = tls.Client(client, s.client), tls.Server(server, s.server)
	}
	var g errgroup.Group
	g.Go(func() error {
		for range s.Turns {
			if _, err := io.CopyN(io.Discard, server, int64(s.Request)); err != nil {
				return fmt.Errorf("read request: %w", err)
			}
			time.Sleep(s.Think)
			if err := send(server, s.Response); err != nil {
				return fmt.Errorf("write response: %w", err)
			}
			c.Plain[B] += int64(s.Response)
		}
		return nil
	})
	g.Go(func() error {
		for range s.Turns {
			if err := send(client, s.Request); err != nil {
				return fmt.Errorf("write request: %w", err)
			}
			if _, err := io.CopyN(io.Discard, client, int64(s.Response)); err != nil {
				return fmt.Errorf("read response: %w", err)
			}
			c.Plain[A] += int64(s.Request)
		}
		return nil
	})
	return g.Wait()
}

// end closes both ends, the client's first, and reads what the kernels know in
// the end.
func (s *session) end(ends [2]*net.TCPConn, c *Connection) (err error) {
	if s.Abort {
		if err := errors.Join(ends[A].SetLinger(0), ends[A].Close()); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, ends[B]); !errors.Is(err, unix.ECONNRESET) {
			return errors.Join(errors.New("the server got no reset"), err)
		}
		c.Closed[B], err = tcpInfo(ends[B])
		return err
	}
	for side, end := range ends {
		if err := end.CloseWrite(); err != nil {
			return err
		}
		// Behind the last turn there may be tickets of TLS.
		if _, err := io.Copy(io.Discard, ends[1-side]); err != nil {
			return err
		}
	}
	const tcpClose = 7 // also what a socket shows whose connection is in TIME_WAIT
	c.Closed, err = s.await(ends, "closed", func(i *unix.TCPInfo) bool { return i.State == tcpClose })
	return err
}

// await polls both ends.
func (s *session) await(ends [2]*net.TCPConn, what string, ok func(*unix.TCPInfo) bool) (infos [2]unix.TCPInfo, err error) {
	for {
		all := true
		for side, end := range ends {
			if infos[side], err = tcpInfo(end); err != nil {
				return infos, err
			}
			all = all && ok(&infos[side])
		}
		if all {
			return infos, nil
		}
		if time.Now().After(s.deadline) {
			return infos, fmt.Errorf("not %s in time: %w", what, os.ErrDeadlineExceeded)
		}
		time.Sleep(time.Millisecond)
	}
}

// control sets the options of a socket before it connects or listens.
func (s *session) control(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = unix.SetsockoptString(int(fd), unix.SOL_TCP, unix.TCP_CONGESTION, s.Congestion)
	})
	return errors.Join(err, failed)
}

func tcpInfo(c *net.TCPConn) (info unix.TCPInfo, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return info, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		var got *unix.TCPInfo
		if got, failed = unix.GetsockoptTCPInfo(int(fd), unix.SOL_TCP, unix.TCP_INFO); failed == nil {
			info = *got
		}
	})
	return info, errors.Join(err, failed)
}

// send writes octets of which no two nearby packets are alike.
func send(w io.Writer, octets int) error {
	source := rand.NewChaCha8([32]byte{})
	_, err := io.CopyN(w, source, int64(octets))
	return err
}
