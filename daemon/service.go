package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mirrorscope/edge/live"
	"mirrorscope/flow"
	"mirrorscope/health"
	"mirrorscope/privilege"
	"mirrorscope/record"
	"mirrorscope/sink"
	"mirrorscope/sink/lines"
	"mirrorscope/sink/prom"
)

// services are what others ask while the sensor runs: health, metrics, top; and
// the ring of headers.
type services struct {
	d      *daemon
	health *health.Server
	top    *live.Server
	ring   *record.Ring
	tally  prom.Tally
	latest atomic.Pointer[flow.Capture] // of the latest interval
	topped atomic.Pointer[live.Top]     // likewise
	lag    atomic.Int64                 // ns from the end of that to its records
	reload atomic.Pointer[prom.Reload]

	troubles  troubles
	silent    sync.Once // the log was told that the service manager is not
	ringFails bool      // the log was told; of the collector

	started time.Time
	running atomic.Bool // packets are taken
}

// stuck is how long the reader may not come by before it counts as hung.
const stuck = 5 * time.Second

// listen opens what needs privileges, or must not be reached for afterwards.
func (d *daemon) listen() (err error) {
	s := &services{d: d, started: time.Now(), troubles: troubles{log: d.log, losing: map[string]uint64{}, last: map[string]uint64{}}}
	d.services = s
	cfg := &d.cfg
	mount := map[string]http.Handler{}
	if cfg.Health.Listen != "" {
		if mount["/metrics"], err = prom.New(cfg.Metrics, s.snapshot, d.log); err != nil {
			return err
		}
	}
	if s.health, err = health.Open(cfg.Health, health.State{Healthy: s.healthy, Ready: s.ready}, mount, d.log); err != nil {
		return err
	}
	if cfg.Top.Socket != "" {
		// The user that the process becomes must be able to connect to it, and to
		// remove it at the end.
		dir, err := filepath.Abs(filepath.Dir(cfg.Top.Socket))
		if err == nil {
			err = privilege.MakeDirectories(cfg.Privilege, dir)
		}
		if err == nil {
			err = privilege.As(cfg.Privilege, func() (err error) {
				s.top, err = live.Listen(cfg.Top.Socket, d.o.Version)
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("top.socket: %w", err)
		}
	}
	if cfg.Record.Directory != "" {
		decode, _ := cfg.decode() // was checked
		s.ring, err = record.New(cfg.Record, record.Options{Decode: decode, Interfaces: d.src.Interfaces, Sensor: "mirrorscope " + d.o.Version})
	}
	return err
}

func (s *services) healthy() error {
	switch quiet := time.Since(time.Unix(0, s.d.src.Beat())); {
	case !s.running.Load():
		return errors.New("capture does not run")
	case quiet > stuck:
		return fmt.Errorf("capture has not moved for %v", quiet.Round(time.Second))
	}
	if down := s.d.src.Down(); len(down) == len(s.d.cfg.Capture.Interfaces) {
		return fmt.Errorf("nothing can be received: down: %s", strings.Join(down, ", "))
	}
	return nil
}

func (s *services) ready() error {
	if s.d.src.Beat() <= s.started.UnixNano() {
		return errors.New("capture has not begun")
	}
	return s.healthy()
}

// serve runs the services until ctx is done. None of them ends the capture.
func (s *services) serve(ctx context.Context, g *errgroup.Group) {
	run := func(name string, f func(context.Context) error) {
		g.Go(func() error {
			if err := f(ctx); err != nil {
				s.d.log.Error("a service has ended; capture goes on", "service", name, "error", err)
			}
			return nil
		})
	}
	run("health", s.health.Serve)
	run("watchdog", func(ctx context.Context) error {
		return health.Watchdog(ctx, func() uint64 { return uint64(s.d.src.Beat()) })
	})
	if s.top != nil {
		run("top", s.top.Serve)
	}
	if n := s.d.naming; n != nil {
		run("names", func(ctx context.Context) error { n.keep(ctx); return nil })
	}
	if s.ring != nil {
		run("record", func(ctx context.Context) error { s.ring.Run(ctx); return nil })
	}
}

// close closes what does not serve yet.
func (s *services) close() {
	if s.health != nil {
		s.health.Close()
	}
	if s.top != nil {
		_ = s.top.Close()
	}
}

// unasked tells whether nobody can see anything of what is measured.
func (s *services) unasked() bool {
	return s.top == nil && s.ring == nil && s.d.cfg.Health.Listen == "" && s.d.o.Top == nil
}

// readWrite are the folders that the services write to.
func (s *services) readWrite() (dirs []string) {
	if s.top != nil {
		dirs = append(dirs, filepath.Dir(s.d.cfg.Top.Socket))
	}
	if s.ring != nil {
		dirs = append(dirs, s.d.cfg.Record.Directory)
	}
	return dirs
}

// newTop makes the table of what conversations do now, or nil where nobody can
// ask for it.
func (s *services) newTop() *live.Table {
	cfg := &s.d.cfg
	if s.d.o.Top == nil && !cfg.wantsTop() {
		return nil
	}
	c := within(cfg.live(), s.d.pipe.Flow.Memory)
	return live.New(c, s.d.names, func(proto uint8) string { return string(sink.AppendProtocol(nil, proto)) })
}

// observe takes the state of the capture at the end of an interval.
func (s *services) observe(top *live.Top, c *flow.Capture) {
	s.status(c)
	s.troubles.look(c)
	s.watchRing()
	s.lag.Store(time.Now().UnixNano() - c.At)
	s.latest.Store(c)
	if s.top != nil && top != nil {
		s.top.Publish(top)
	}
	if top != nil {
		s.topped.Store(top)
		if f := s.d.o.Top; f != nil {
			f(top)
		}
	}
}

// status is a line for `systemctl status`.
func (s *services) status(c *flow.Capture) {
	lost := uint64(0)
	for _, l := range c.Losses {
		lost += l.Frames
	}
	line := fmt.Sprintf("capturing on %s: %d packets, %d lost, %d connections open", strings.Join(s.d.cfg.Capture.Interfaces, ", "), c.Packets, lost, c.Open)
	if c.Step > 0 {
		line += fmt.Sprintf("; overloaded, step %d", c.Step)
	}
	if err := health.NotifyStatus(line); err != nil {
		s.silent.Do(func() { s.d.log.Warn("service manager", "error", err) })
	}
}

// lost is what the ring of headers could not take, or write.
func (s *services) lost() []flow.Loss {
	if s.ring == nil {
		return nil
	}
	st := s.ring.Stats()
	return []flow.Loss{{Place: "record_dropped", Frames: st.Dropped}, {Place: "record_unwritten", Frames: st.Unwritten}}
}

// watchRing tells the log when the ring begins to fail, and when it works again.
func (s *services) watchRing() {
	if s.ring == nil {
		return
	}
	st := s.ring.Stats()
	switch failing := st.Failing != nil; {
	case failing && !s.ringFails:
		s.d.log.Error("headers cannot be written; what finds no room in the queue is dropped and counted", "error", st.Failing)
	case !failing && s.ringFails:
		s.d.log.Info("headers are written again", "unwritten", st.Unwritten, "dropped", st.Dropped)
	}
	s.ringFails = st.Failing != nil
}

// snapshot is what /metrics shows.
func (s *services) snapshot() *prom.Snapshot {
	d := s.d
	snap := &prom.Snapshot{
		Version: d.o.Version, Started: s.started, Interfaces: d.src.describe(), Rings: d.src.rings(),
		Totals: s.tally.Totals(), Memory: prom.Known(d.pipe.Flow.Memory), Top: s.topped.Load(), Reload: s.reload.Load(),
		Names: d.naming.describe(time.Now()),
	}
	for i := range d.out.writers {
		snap.Outputs = append(snap.Outputs, d.out.writers[i].describe())
	}
	if c := s.latest.Load(); c != nil {
		snap.Capture = c
		snap.Degradation, snap.Sampled, snap.Open, snap.TableFill = prom.Known(c.Step), prom.Known(c.Sample), prom.Known(c.Open), prom.Known(c.TableFill)
		snap.MemoryUsed = prom.Known(c.Memory)
		snap.IntervalLag = prom.Known(float64(s.lag.Load()) / 1e9)
	}
	return snap
}

func (w *named) describe() prom.Output {
	st := w.Stats()
	o := prom.Output{
		Name: w.name, Written: prom.Lines{Lines: st.Written.Lines, Bytes: st.Written.Bytes},
		Queued: int(st.Queued.Bytes), Queue: st.Limit, Failing: st.Failing != nil,
	}
	for r, n := range st.Dropped {
		o.Dropped = append(o.Dropped, prom.Dropped{Reason: lines.Reason(r).String(), Lines: prom.Lines{Lines: n.Lines, Bytes: n.Bytes}})
	}
	return o
}
