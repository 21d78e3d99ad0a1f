package netlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// defaults are the settings of every host: what a Linux server has, and nothing
// remembered between connections.
var defaults = map[string]string{"tcp_no_metrics_save": "1"}

// congestion is the congestion control of all sockets: one that reacts to loss
// and does not pace. It is set by socket because a namespace takes only what
// the machine allows to everyone.
const congestion = "cubic"

// Socket are options of the sockets of a scenario.
type Socket struct {
	MSS       int           // TCP_MAXSEG of both ends
	Receive   [2]int        // SO_RCVBUF, by Direction
	FastOpen  bool          // TCP_FASTOPEN_CONNECT, TCP_FASTOPEN
	FirstSeq  uint32        // the client's initial sequence number; 0: the kernel's
	KeepAlive time.Duration // the client's TCP_KEEPIDLE and TCP_KEEPINTVL; 0: none
	Delay     bool          // leave Nagle's algorithm on
}

// Load is what the hosts do in a scenario.
type Load func(*Session) error

// Session is a running scenario.
type Session struct {
	net    *network
	limit  time.Time
	socket Socket
	addrs  [2]netip.Addr
	listen net.Listener
	conns  []*Conn
	open   []io.Closer // everything to close at the end
	before [2]map[string]int64
	after  [2]map[string]int64

	port   uint16
	dir    string     // for files of the programs that the load runs
	keys   keyWriter  // TLS secrets of both ends
	clocks []*watched // by connection
}

// keyWriter gathers a key log. It may be used by several goroutines.
type keyWriter struct {
	mu   sync.Mutex
	text []byte
}

func (k *keyWriter) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.text = append(k.text, b...)
	return len(b), nil
}

func (k *keyWriter) String() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return string(k.text)
}

// watched are the two ends of a connection whose programs keep time.
type watched struct {
	client netip.AddrPort
	ends   [2]*clocked
}

// watch notes when the ends of a connection are read and written.
func (s *Session) watch(c *Conn) [2]*clocked {
	w := &watched{client: c.Ends[FromClient].LocalAddr().(*net.TCPAddr).AddrPort()}
	for side, end := range c.Ends {
		w.ends[side] = &clocked{Conn: end, now: s.net.now}
	}
	s.clocks = append(s.clocks, w)
	return w.ends
}

const defaultPort = 8080

// run makes the listener, runs the load and reads the counters.
func (s *Session) run(sc Scenario) (err error) {
	limit := sc.Limit
	if limit == 0 {
		limit = 20 * time.Second
	}
	s.limit, s.socket, s.addrs, s.port = time.Now().Add(limit), sc.Socket, addr4, defaultPort
	if sc.Port != 0 {
		s.port = sc.Port
	}
	if s.dir, err = os.MkdirTemp("", "netlab"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(s.dir) }()
	if sc.IPv6 {
		s.addrs = addr6
	}
	server := s.net.hosts[FromServer]
	err = server.do(func() error {
		config := net.ListenConfig{Control: s.control(FromServer), KeepAlive: -1}
		config.SetMultipathTCP(false)
		var err error
		s.listen, err = config.Listen(context.Background(), "tcp", netip.AddrPortFrom(s.addrs[FromServer], s.port).String())
		return err
	})
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.open = append(s.open, s.listen)
	defer func() {
		for _, c := range s.open {
			_ = c.Close() // the load may have closed it
		}
	}()
	if s.before, err = s.counters(); err != nil {
		return err
	}
	if err := sc.Load(s); err != nil {
		return fmt.Errorf("load: %w", err)
	}
	s.after, err = s.counters()
	return err
}

func (s *Session) counters() (c [2]map[string]int64, err error) {
	for side, h := range s.net.hosts {
		if c[side], err = h.counters(); err != nil {
			return c, err
		}
	}
	return c, nil
}

// Constants of linux/tcp.h that x/sys/unix does not name.
const (
	tcpFastOpenConnect = 30
	tcpSendQueue       = 2
)

// control sets the options of a socket before it connects or listens.
func (s *Session) control(side Direction) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		set := func(fd uintptr, level, name, value int) {
			if failed == nil {
				failed = unix.SetsockoptInt(int(fd), level, name, value)
			}
		}
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptString(int(fd), unix.SOL_TCP, unix.TCP_CONGESTION, congestion)
			if n := s.socket.Receive[side]; n > 0 {
				set(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, n)
			}
			if s.socket.MSS > 0 {
				set(fd, unix.SOL_TCP, unix.TCP_MAXSEG, s.socket.MSS)
			}
			if s.socket.FastOpen && side == FromServer {
				set(fd, unix.SOL_TCP, unix.TCP_FASTOPEN, 16)
			}
			if side == FromServer {
				return
			}
			if s.socket.FastOpen {
				set(fd, unix.SOL_TCP, tcpFastOpenConnect, 1)
			}
			if s.socket.FirstSeq != 0 {
				// A closed socket in repair mode takes its next sequence
				// number from us and keeps it when it connects.
				set(fd, unix.SOL_TCP, unix.TCP_REPAIR, 1)
				set(fd, unix.SOL_TCP, unix.TCP_REPAIR_QUEUE, tcpSendQueue)
				set(fd, unix.SOL_TCP, unix.TCP_QUEUE_SEQ, int(s.socket.FirstSeq))
				set(fd, unix.SOL_TCP, unix.TCP_REPAIR, 0)
			}
		})
		return errors.Join(err, failed)
	}
}

// Conn is one connection with both of its ends.
type Conn struct {
	Ends   [2]*net.TCPConn // by Direction
	Before [2]*TCPInfo     // all acknowledged, not closed yet
	After  [2]*TCPInfo     // closed
}

// dial connects the client's end alone.
func (s *Session) dial(to uint16) (*net.TCPConn, error) {
	d := net.Dialer{Control: s.control(FromClient), Deadline: s.limit, KeepAlive: -1}
	if idle := s.socket.KeepAlive; idle > 0 {
		d.KeepAliveConfig = net.KeepAliveConfig{Enable: true, Idle: idle, Interval: idle, Count: 5}
	}
	d.SetMultipathTCP(false)
	var c net.Conn
	err := s.net.hosts[FromClient].do(func() error {
		var err error
		c, err = d.Dial("tcp", netip.AddrPortFrom(s.addrs[FromServer], to).String())
		return err
	})
	if err != nil {
		return nil, err
	}
	t := c.(*net.TCPConn)
	s.open = append(s.open, t)
	return t, errors.Join(t.SetDeadline(s.limit), t.SetNoDelay(!s.socket.Delay))
}

// accept takes the server's end of a connection.
func (s *Session) accept() (*net.TCPConn, error) {
	l := s.listen.(*net.TCPListener)
	if err := l.SetDeadline(s.limit); err != nil {
		return nil, err
	}
	t, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	s.open = append(s.open, t)
	return t, errors.Join(t.SetDeadline(s.limit), t.SetNoDelay(!s.socket.Delay))
}

// Connect opens a connection.
func (s *Session) Connect() (*Conn, error) {
	client, err := s.dial(s.port)
	if err != nil {
		return nil, err
	}
	server, err := s.accept()
	if err != nil {
		return nil, err
	}
	return s.pair(client, server), nil
}

// pair notes both ends of a connection.
func (s *Session) pair(client, server *net.TCPConn) *Conn {
	c := &Conn{Ends: [2]*net.TCPConn{client, server}}
	s.conns = append(s.conns, c)
	return c
}

// Settle waits until everything sent is acknowledged and reads what both
// kernels know of the connection.
func (s *Session) Settle(c *Conn) error {
	return s.until("acknowledged", func() (bool, error) {
		for side, end := range c.Ends {
			info, err := readInfo(end)
			if err != nil {
				return false, err
			}
			if info.Unacked != 0 || info.NotSent != 0 {
				return false, nil
			}
			c.Before[side] = info
		}
		return true, nil
	})
}

const tcpClose = 7 // TCP_CLOSE: also what a socket shows whose connection is in TIME_WAIT

// Finish settles, closes in order, the given side first, and reads what the
// kernels know in the end: repeats of FINs are in it.
func (s *Session) Finish(c *Conn, active Direction) error {
	if err := s.Settle(c); err != nil {
		return err
	}
	var one [1]byte
	if err := c.Ends[active].CloseWrite(); err != nil {
		return err
	}
	if n, err := c.Ends[1-active].Read(one[:]); n != 0 || err == nil {
		return errors.Join(fmt.Errorf("%s read %d octets where the stream should end", 1-active, n), err)
	}
	if err := c.Ends[1-active].CloseWrite(); err != nil {
		return err
	}
	return s.Closed(c)
}

// part is Finish where the ends may still have something to read, or have closed
// their own side already.
func (s *Session) part(c *Conn, active Direction) error {
	if err := s.Settle(c); err != nil {
		return err
	}
	for _, side := range []Direction{active, 1 - active} {
		if err := c.Ends[side].CloseWrite(); err != nil && !errors.Is(err, unix.ENOTCONN) {
			return err
		}
		if _, err := io.Copy(io.Discard, c.Ends[1-side]); err != nil {
			return err
		}
	}
	return s.Closed(c)
}

// Closed waits until both kernels have closed the connection and reads what
// they know of it.
func (s *Session) Closed(c *Conn) error {
	return s.until("closed", func() (bool, error) {
		for side, end := range c.Ends {
			info, err := readInfo(end)
			if err != nil {
				return false, err
			}
			if info.State != tcpClose {
				return false, nil
			}
			c.After[side] = info
		}
		return true, nil
	})
}

// until polls a condition to the end of the scenario.
func (s *Session) until(what string, ok func() (bool, error)) error {
	for {
		done, err := ok()
		if err != nil || done {
			return err
		}
		if time.Now().After(s.limit) {
			return fmt.Errorf("not %s in time: %w", what, os.ErrDeadlineExceeded)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
