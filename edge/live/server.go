package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Version of what a Server says. Fields may be added without a new one.
const Version = 1

// Hello is the first line that a Server says to a client.
type Hello struct {
	Type    string `json:"type"`    // "hello"
	Version int    `json:"version"` // of the lines
	Sensor  string `json:"sensor"`  // version of the program
}

// Bounds of a Server.
const (
	maxClients   = 16
	maxBehind    = 2                // Tops that may wait for a client
	writeTimeout = 10 * time.Second // for one line
)

// Server shows each Top to whoever connects to a Unix socket: a Hello, then a line
// of JSON for each Top, the latest at once. Its clients have nothing to say: one
// that does, or that does not keep up, is left.
//
// Publish may be called by any goroutine and never waits.
type Server struct {
	path    string
	info    os.FileInfo // of the socket that is ours
	l       net.Listener
	hello   []byte
	latest  atomic.Pointer[Top]
	changed chan struct{}

	mu      sync.Mutex
	clients map[*client]struct{}
	line    []byte // of lineOf
	lineOf  *Top

	connected, left, refused atomic.Uint64
}

// client is one that is connected. Its goroutine ends when lines closes.
type client struct {
	conn  net.Conn
	lines chan []byte
	told  *Top // the latest in lines
}

// ServerCounts are numbers of clients.
type ServerCounts struct {
	Now       int    // connected
	Connected uint64 // so far
	Left      uint64 // … that did not keep up
	Refused   uint64 // … because there were too many
}

// Listen makes the socket, readable and writable for its owner alone, and its
// folder where it is missing. A socket that nobody listens on any more is
// replaced. sensor is the version of the program.
func Listen(path, sensor string) (*Server, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		return nil, errors.Join(fmt.Errorf("socket %s: another sensor listens there", path), conn.Close())
	}
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() != os.ModeSocket {
		return nil, fmt.Errorf("socket %s: there is a file of that name that is no socket", path)
	}
	// It gets its permissions before it gets its name.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".top")
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	defer os.RemoveAll(dir) //nolint:errcheck // an empty folder may stay
	hidden := filepath.Join(dir, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: hidden, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("socket %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false)
	info, err := give(hidden, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("socket: %w", err), l.Close())
	}
	hello, err := json.Marshal(Hello{Type: "hello", Version: Version, Sensor: sensor})
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Server{path: path, info: info, l: l, hello: append(hello, '\n'), changed: make(chan struct{}, 1), clients: map[*client]struct{}{}}, nil
}

// give gives a socket its permissions, then its name.
func give(hidden, path string) (os.FileInfo, error) {
	if err := os.Chmod(hidden, 0o600); err != nil {
		return nil, err
	}
	if err := os.Rename(hidden, path); err != nil {
		return nil, err
	}
	return os.Lstat(path)
}

// Publish shows a Top.
func (s *Server) Publish(t *Top) {
	s.latest.Store(t)
	select {
	case s.changed <- struct{}{}:
	default: // it will look anyway
	}
}

// Latest is the Top that was published last, nil before the first.
func (s *Server) Latest() *Top { return s.latest.Load() }

// Serve serves until the context is done, then removes the socket.
func (s *Server) Serve(ctx context.Context) error {
	var all sync.WaitGroup
	accepting := make(chan error, 1)
	go func() { accepting <- s.accept(&all) }()
	var err error
	for done := false; !done; {
		select {
		case <-s.changed:
			err = s.tell()
			done = err != nil
		case err = <-accepting:
			accepting <- nil
			done = true
		case <-ctx.Done():
			done = true
		}
	}
	err = errors.Join(err, s.Close(), <-accepting)
	s.mu.Lock()
	for c := range s.clients {
		s.drop(c)
		_ = c.conn.Close() // ends a write that waits
	}
	s.mu.Unlock()
	all.Wait()
	return err
}

// Close ends the listening and removes the socket, if it is still ours. Serve does
// so by itself.
func (s *Server) Close() error {
	err := s.l.Close()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	if info, e := os.Lstat(s.path); e == nil && os.SameFile(info, s.info) {
		if e := os.Remove(s.path); e != nil && !errors.Is(e, os.ErrPermission) { // the next Listen replaces it
			err = errors.Join(err, e)
		}
	}
	return err
}

// accept takes clients until the socket closes.
func (s *Server) accept(all *sync.WaitGroup) error {
	for {
		conn, err := s.l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			time.Sleep(100 * time.Millisecond)
			continue
		case err != nil:
			return fmt.Errorf("socket %s: %w", s.path, err)
		}
		c := &client{conn: conn, lines: make(chan []byte, maxBehind+1)}
		s.mu.Lock()
		if len(s.clients) >= maxClients {
			s.refused.Add(1)
			s.mu.Unlock()
			_ = conn.Close() // it was never served
			continue
		}
		s.connected.Add(1)
		s.clients[c] = struct{}{}
		c.lines <- s.hello
		if err := s.encode(); err != nil {
			s.mu.Unlock()
			return err
		}
		if s.line != nil {
			c.lines <- s.line
			c.told = s.lineOf
		}
		s.mu.Unlock()
		all.Go(func() { s.write(c) })
		all.Go(func() { s.listen(c) })
	}
}

// listen waits until a client goes, or says something.
func (s *Server) listen(c *client) {
	_, _ = c.conn.Read(make([]byte, 1)) // whatever comes, it is the end
	s.leave(c)
}

func (s *Server) leave(c *client) {
	_ = c.conn.Close() // nothing can be done about an error
	s.mu.Lock()
	s.drop(c)
	s.mu.Unlock()
}

// write gives a client its lines.
func (s *Server) write(c *client) {
	for line := range c.lines {
		err := c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		if err == nil {
			_, err = c.conn.Write(line)
		}
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				s.left.Add(1)
			}
			break
		}
	}
	s.leave(c)
}

// drop forgets a client; the lock is held.
func (s *Server) drop(c *client) {
	if _, ok := s.clients[c]; ok {
		delete(s.clients, c)
		close(c.lines)
	}
}

// tell gives the latest Top to all clients.
func (s *Server) tell() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.clients) == 0 {
		return nil
	}
	if err := s.encode(); err != nil {
		return err
	}
	for c := range s.clients {
		if c.told == s.lineOf {
			continue
		}
		select {
		case c.lines <- s.line:
			c.told = s.lineOf
		default:
			s.left.Add(1)
			s.drop(c)
			_ = c.conn.Close() // it does not read
		}
	}
	return nil
}

// encode makes the line of the latest Top; the lock is held.
func (s *Server) encode() error {
	t := s.latest.Load()
	if t == s.lineOf {
		return nil
	}
	var b bytes.Buffer
	if err := t.Encode(&b); err != nil {
		return err
	}
	s.line, s.lineOf = b.Bytes(), t
	return nil
}

// Counts tells about clients.
func (s *Server) Counts() ServerCounts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ServerCounts{Now: len(s.clients), Connected: s.connected.Load(), Left: s.left.Load(), Refused: s.refused.Load()}
}
