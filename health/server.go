package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// Bounds on what a client can hold up.
const (
	headerTime = 5 * time.Second
	readTime   = 10 * time.Second
	writeTime  = 30 * time.Second // a handler that streams sets its own
	idleTime   = 60 * time.Second
	headerLen  = 16 << 10 // octets
	bodyLen    = 1 << 20
	goodbye    = 2 * time.Second // for requests that are under way when it ends
)

// Server are the listeners.
type Server struct {
	cfg   Config
	state State
	log   *slog.Logger
	guard *guard
	https []httpServer
	tcp   *tcpProbe // nil: none
}

type httpServer struct {
	server   *http.Server
	listener net.Listener
}

// Open opens the listeners that c names, so that it can be done with rights
// that are dropped before Serve. mount has a handler for each further pattern
// of http.ServeMux.
func Open(c Config, s State, mount map[string]http.Handler, log *slog.Logger) (_ *Server, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	h := &Server{cfg: c, state: s, log: log, guard: &guard{cfg: c}}
	defer func() {
		if err != nil {
			h.Close()
		}
	}()
	if c.Listen != "" {
		if err := h.Reload(); err != nil {
			return nil, err
		}
		mux := http.NewServeMux()
		h.answer(mux, !c.exposed())
		for pattern, handler := range mount {
			mux.Handle(pattern, h.guard.protect(http.MaxBytesHandler(handler, bodyLen)))
		}
		if err := h.add(c.Listen, mux, h.guard.listen); err != nil {
			return nil, fmt.Errorf("listen: %w", err)
		}
	}
	if c.ProbeHTTP != "" {
		mux := http.NewServeMux()
		h.answer(mux, false)
		if err := h.add(c.ProbeHTTP, mux, nil); err != nil {
			return nil, fmt.Errorf("probe_http: %w", err)
		}
	}
	if c.ProbeTCP != "" {
		if h.tcp, err = openTCPProbe(c.ProbeTCP, c.MaxConnections, s.Healthy, log); err != nil {
			return nil, fmt.Errorf("probe_tcp: %w", err)
		}
	}
	return h, nil
}

// answer adds the health answers. open ones say why.
func (h *Server) answer(mux *http.ServeMux, open bool) {
	for path, ask := range map[string]func() error{"/healthz": h.state.Healthy, "/readyz": h.state.Ready} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
			head := w.Header()
			head.Set("Content-Type", "text/plain; charset=utf-8")
			head.Set("Cache-Control", "no-store")
			head.Set("X-Content-Type-Options", "nosniff")
			switch err := ask(); {
			case err == nil:
				fmt.Fprintln(w, "ok")
			case open:
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprintln(w, err)
			default:
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprintln(w, "unavailable")
			}
		})
	}
}

// add opens one HTTP listener.
func (h *Server) add(address string, handler http.Handler, wrap func(net.Listener) net.Listener) error {
	l, err := listen(address)
	if err != nil {
		return err
	}
	l = &limited{Listener: l, free: make(chan struct{}, h.cfg.MaxConnections)}
	if wrap != nil {
		l = wrap(l)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // one request at a time in a connection, so that connections bound requests
	h.https = append(h.https, httpServer{listener: l, server: &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    headerLen,
		ErrorLog:          slog.NewLogLogger(h.log.Handler(), slog.LevelDebug), // what clients do wrong
	}})
	return nil
}

// listen makes a listener of plain TCP: a Multipath one would not come under
// Landlock, and nothing here would gain by it.
func listen(address string) (net.Listener, error) {
	var lc net.ListenConfig
	lc.SetMultipathTCP(false)
	return lc.Listen(context.Background(), "tcp", address)
}

// Addr is where one of the listeners is: "listen", "probe_http" or "probe_tcp";
// nil if it is not open. It tells the port when that was 0.
func (h *Server) Addr(field string) net.Addr {
	at := 0
	if h.cfg.Listen == "" {
		at = -1
	}
	switch {
	case field == "listen" && h.cfg.Listen != "":
		return h.https[0].listener.Addr()
	case field == "probe_http" && h.cfg.ProbeHTTP != "":
		return h.https[at+1].listener.Addr()
	case field == "probe_tcp" && h.tcp != nil:
		return h.tcp.listener.Addr()
	}
	return nil
}

// Reload reads token, certificate and key again. After an error the old ones
// hold.
func (h *Server) Reload() error {
	if h.cfg.Listen == "" {
		return nil
	}
	return h.guard.load()
}

// Serve answers until ctx ends, and closes the listeners. Requests that are
// under way then have two seconds. Its error is that of a listener that failed
// before; capture goes on without it.
func (h *Server) Serve(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range h.https {
		g.Go(func() error {
			if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		g.Go(func() error {
			<-ctx.Done()
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
			defer cancel()
			if err := s.server.Shutdown(end); err != nil {
				return s.server.Close()
			}
			return nil
		})
	}
	if h.tcp != nil {
		g.Go(func() error { h.tcp.serve(ctx); return nil })
	}
	return g.Wait()
}

// Close closes the listeners of a Server that does not Serve.
func (h *Server) Close() {
	var closers []io.Closer
	for _, s := range h.https {
		closers = append(closers, s.listener)
	}
	if h.tcp != nil {
		closers = append(closers, h.tcp.listener)
	}
	for _, c := range closers {
		_ = c.Close() // nothing was said yet
	}
}
