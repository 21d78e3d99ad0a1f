package health

import (
	"context"
	"io"
	"log/slog"
	"net"
	"time"
)

const (
	// gateTime is how soon the port follows the state.
	gateTime = 100 * time.Millisecond
	// probeTime is how long a probe may stay connected.
	probeTime = 2 * time.Second
	probeLen  = 4 << 10 // octets of it that are read
)

// tcpProbe accepts connections while capture runs. While it does not, the port
// stays bound, so that no right is needed to open it again, but nobody listens:
// the system refuses connections, as a load balancer expects of a dead target.
type tcpProbe struct {
	listener net.Listener
	socket   *net.TCPListener // the same, without its bound
	healthy  func() error
	log      *slog.Logger
}

func openTCPProbe(address string, connections int, healthy func() error, log *slog.Logger) (*tcpProbe, error) {
	l, err := listen(address)
	if err != nil {
		return nil, err
	}
	p := &tcpProbe{socket: l.(*net.TCPListener), healthy: healthy, log: log}
	p.listener = &limited{Listener: l, free: make(chan struct{}, connections)}
	if err := shut(p.socket); err != nil { // until serve knows better
		_ = l.Close()
		return nil, err
	}
	return p, nil
}

// serve follows the state until ctx ends.
func (p *tcpProbe) serve(ctx context.Context) {
	defer func() { _ = p.listener.Close() }()
	go p.accept(ctx)
	tick := time.NewTicker(gateTime)
	defer tick.Stop()
	open := false
	var failed error
	for {
		if healthy := p.healthy() == nil; healthy != open {
			err := p.set(healthy)
			if err == nil {
				open = healthy
			} else if failed == nil {
				p.log.Warn("the port for TCP health checks cannot follow the state of the capture", "error", err)
			}
			failed = err
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *tcpProbe) set(open bool) error {
	if open {
		return reopen(p.socket)
	}
	return shut(p.socket)
}

// accept takes connections; while nobody listens, that is an error.
func (p *tcpProbe) accept(ctx context.Context) {
	for ctx.Err() == nil {
		c, err := p.listener.Accept()
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(gateTime / 2):
			}
			continue
		}
		go func() {
			defer func() { _ = c.Close() }()
			_ = c.SetDeadline(time.Now().Add(probeTime))
			_, _ = io.CopyN(io.Discard, c, probeLen) // until the other side has seen enough
		}()
	}
}
