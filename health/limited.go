package health

import (
	"net"
	"sync"
)

// limited is a listener with a bound on its connections. One too many is closed
// at once: it waits for nobody, and nobody waits for it.
type limited struct {
	net.Listener
	free chan struct{} // as many as there may be connections
}

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case l.free <- struct{}{}:
			return &counted{Conn: c, free: l.free}, nil
		default:
			_ = c.Close() // its owner is told by that
		}
	}
}

// counted gives its place back when it is closed.
type counted struct {
	net.Conn
	once sync.Once
	free chan struct{}
}

func (c *counted) Close() error {
	c.once.Do(func() { <-c.free })
	return c.Conn.Close()
}
