package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mirrorscope/capture"
	"mirrorscope/edge/live"
	"mirrorscope/enrich"
	"mirrorscope/filter"
	"mirrorscope/flow"
	"mirrorscope/health"
	"mirrorscope/packet"
	"mirrorscope/pipeline"
	"mirrorscope/privilege"
	"mirrorscope/sink/lines"
	"mirrorscope/sink/prom"
)

// Options are what a run is given beside its configuration.
type Options struct {
	Config Config
	Path   string // of the configuration, read again on Reload; empty: there is none
	Memory int64  // octets for connections where the configuration leaves it open; see PlanMemory
	Stdout io.Writer
	Log    *slog.Logger

	Version string // of the program

	// Top, if set, is given what conversations did in the window, at the end of
	// each interval. It must not wait.
	Top    func(*live.Top)
	Reload <-chan struct{} // read Path again, and open files anew
}

// drainWait bounds how long outputs may take to write what they have when the
// sensor ends.
const drainWait = 10 * time.Second

// Run captures until ctx is done. Then, and when the capture ends by itself,
// everything that was received is measured and written. The error wraps
// capture.ErrRestart when only a new start can help.
func Run(ctx context.Context, o Options) error {
	d, err := start(&o)
	if err != nil {
		return err
	}
	return d.run(ctx)
}

// daemon is a running sensor.
type daemon struct {
	o      *Options
	cfg    Config
	log    *slog.Logger
	src    *source
	out    *output
	names  *packet.Names
	naming *naming // nil: addresses have no names

	services  *services
	inventory *inventory // nil: no cloud is read
	sample    atomic.Uint32
	pipe      pipeline.Config
}

// start opens everything, and then gives up the privileges that this took.
func start(o *Options) (*daemon, error) {
	d := &daemon{o: o, cfg: o.Config, log: o.Log, names: new(packet.Names)}
	cfg := &d.cfg
	d.sample.Store(cfg.Filter.Sample)
	var err error
	if d.naming, err = newNaming(&cfg.Tags, cfg.Cloud.Directory, cfg.Cloud.Sources(), d.log); err != nil {
		return nil, err
	}
	if err := d.pipeline(); err != nil {
		return nil, err
	}
	err = d.rehearse()
	if err != nil {
		return nil, err
	}
	if d.src, err = open(cfg, d.log); err != nil {
		return nil, err
	}
	if err = d.listen(); err == nil {
		err = d.drop()
	}
	// Files belong to the user that the process has become.
	if err == nil {
		d.out, err = openOutput(cfg.Output, d.names, o.Stdout)
	}
	var namer *enrich.Namer // of the collector, as all that asks it
	if d.naming != nil || cfg.wantsGroups() {
		namer = d.naming.namer(&cfg.Tags, d.names)
	}
	if err == nil && d.naming != nil {
		d.out.encoder.Name(namer)
	}
	if err == nil && d.services.ring != nil {
		err = d.services.ring.Open()
	}
	if err == nil {
		d.inventory, err = d.openInventory(d.naming.took)
	}
	if err == nil && d.inventory != nil {
		d.naming.states = d.inventory.keeper.States
	}
	if err != nil {
		d.services.close()
		if d.out != nil {
			err = errors.Join(err, d.out.close(context.Background()))
		}
		err = errors.Join(err, d.src.Close())
		d.src.unguard()
		return nil, err
	}
	d.out.top, d.out.observe = d.services.newTop(), d.services.observe
	if cfg.wantsGroups() {
		d.out.groups = newGroups(cfg.groups(d.pipe.Flow.Memory), namer)
	}
	if cfg.Health.Listen != "" {
		d.out.tally = d.services.tally.Add
	}
	d.out.more = d.services.lost
	d.out.fill = d.src.Fill
	if len(d.out.writers) == 0 && d.services.unasked() {
		d.log.Warn("nothing is written, and nobody can ask: give --stdout, or set output.file.directory, top.socket or health.listen")
	}
	d.out.account = func(c *flow.Capture) {
		d.src.account(c)
		d.inventory.account(c)
	}
	return d, nil
}

// pipeline works out what the pipeline is to do.
func (d *daemon) pipeline() error {
	cfg := &d.cfg
	decode, err := cfg.decode()
	if err != nil {
		return err
	}
	memory := int64(cfg.Measure.Memory)
	if memory == 0 {
		memory = d.o.Memory
	}
	decode.MaxPoints = maxPointsOf(memory)
	d.pipe = pipeline.Config{
		Shards: cfg.Measure.Shards, Decode: decode, Flow: cfg.flow(memory), Names: d.names,
		Sample: d.sample.Load, Overload: cfg.Overload,
		HealthEvery: time.Duration(cfg.Measure.Interval),
	}
	if d.o.Top == nil && !cfg.wantsIntervals() {
		d.pipe.Flow.Interval = 0
	}
	if d.naming != nil {
		d.pipe.Decode.NetworkOf, d.pipe.Decode.NetworkChanges = d.naming.resolver.NetworkOf, d.naming.resolver.Changes
	}
	if cfg.Measure.Match != "" {
		e, err := filter.Parse(cfg.Measure.Match)
		if err != nil {
			return fmt.Errorf("measure.match: %w", err)
		}
		d.pipe.Match = e.Match
	}
	return nil
}

// drop gives up what is not needed any more.
func (d *daemon) drop() error {
	needs := privilege.Needs{BPF: d.src.readable(), ReadWrite: d.services.readWrite()}
	if dir := d.cfg.Output.File.Directory; dir != "" {
		needs.ReadWrite = append(needs.ReadWrite, dir)
	}
	if dir := d.cfg.Cloud.Directory; dir != "" && len(d.cfg.Cloud.Sources()) > 0 {
		needs.ReadWrite = append(needs.ReadWrite, dir) // of inventories, and of the histories of names
	}
	for i, dir := range needs.ReadWrite {
		whole, err := filepath.Abs(dir)
		if err != nil {
			return fmt.Errorf("privileges: %w", err)
		}
		needs.ReadWrite[i] = whole
	}
	// A spare socket that takes the place of another leaves its number free, and a
	// file that got it could not be written to.
	needs.Silent = true
	// Counters of cards, and what the metrics tell of the process.
	needs.ReadOnly = []string{"/sys/class/net", "/sys/devices", "/proc"}
	if len(d.cfg.Cloud.Sources()) > 0 {
		reach := d.cfg.Cloud.reach()
		needs.ReadOnly = append(needs.ReadOnly, reach.Files...)
		needs.ConnectTCP = reach.Ports
	}
	files := append([]string{d.o.Path, d.cfg.Health.TokenFile, d.cfg.Health.CertFile, d.cfg.Health.KeyFile}, d.naming.readOnly()...)
	for _, file := range files {
		if file == "" {
			continue
		}
		whole, err := filepath.Abs(file)
		if err != nil {
			return fmt.Errorf("privileges: %w", err)
		}
		needs.ReadOnly = append(needs.ReadOnly, whole)
	}
	report, err := privilege.Drop(d.cfg.Privilege, needs)
	for _, s := range report.Missing() {
		level := slog.LevelWarn
		if s.Name == privilege.BoundingSet {
			level = slog.LevelInfo // the service manager keeps it small, and nothing is left to use it with
		}
		d.log.Log(context.Background(), level, "privileges", "step", fmt.Sprint(s))
	}
	if err != nil {
		return fmt.Errorf("privileges: %w", err)
	}
	d.log.Info("privileges", "dropped", strings.ReplaceAll(strings.TrimSpace(report.String()), "\n", "; "))
	return nil
}

// run captures and measures until the capture ends.
func (d *daemon) run(ctx context.Context) error {
	d.pipe.Paths = d.out.path
	d.pipe.Health = d.out.health
	if d.services.ring != nil {
		d.pipe.Tap = d.services.ring
	}
	ended := make(chan struct{})
	var gone error // why the run ends by itself
	var g errgroup.Group
	serving, stop := context.WithCancel(context.Background())
	defer stop()
	d.services.serve(serving, &g)
	if d.inventory != nil {
		d.inventory.keeper.Load() // before the first packet: what is on disk is at hand
		g.Go(func() error { return d.inventory.run(serving) })
	}
	d.services.running.Store(true)
	g.Go(func() error {
		look := time.NewTicker(time.Second)
		defer look.Stop()
		links := links{log: d.log}
		links.look(d.src.Down())
		for {
			select {
			case <-look.C:
				d.out.watch(d.log)
				d.src.refresh()
				d.naming.look()
				links.look(d.src.Down())
				if d.out.pointless() && d.services.unasked() {
					gone = errors.New("standard output: nobody reads it any more, and there is no other output")
					d.src.Stop()
				}
			case <-ctx.Done():
				d.log.Info("ending: what was received is measured and written")
				d.notify(health.NotifyStopping("writing what was received"))
				d.out.patient.Store(true)
				d.src.Stop()
				return nil
			case <-d.o.Reload:
				d.reload()
			case <-ended:
				return nil
			}
		}
	})

	d.log.Info("ready", "interfaces", strings.Join(d.cfg.Capture.Interfaces, ", "))
	d.notify(health.NotifyReady("capturing on " + strings.Join(d.cfg.Capture.Interfaces, ", ")))

	// The pipeline ends with its source, so that nothing that was received is
	// lost, and not with ctx.
	c, err := pipeline.Run(context.Background(), d.src, d.pipe, d.out.records)
	d.services.running.Store(false)
	close(ended)
	stop()
	d.out.patient.Store(true)
	waited := g.Wait() // before gone is read
	err = errors.Join(err, waited, gone)
	if err != nil {
		c.Errors = append(c.Errors, err)
	}
	d.out.capture(&c)
	d.summary(&c)
	flush, cancel := context.WithTimeout(context.Background(), drainWait)
	defer cancel()
	return errors.Join(err, d.out.close(flush), d.src.Close())
}

// notify tells the log that the service manager could not be told.
func (d *daemon) notify(err error) {
	if err != nil {
		d.log.Warn("service manager", "error", err)
	}
}

// summary tells the log what became of the frames.
func (d *daemon) summary(c *flow.Capture) {
	args := []any{"packets", c.Packets, "bytes", c.Bytes, "decoded", c.Decoded, "connections", c.Connections}
	for _, l := range c.Losses {
		if l.Frames > 0 {
			args = append(args, "lost_"+l.Place, l.Frames)
		}
	}
	for _, w := range d.out.writers {
		for reason, n := range w.Stats().Dropped {
			if n.Lines > 0 {
				args = append(args, w.name+"_lines_dropped_"+lines.Reason(reason).String(), n.Lines)
			}
		}
	}
	d.log.Info("ended", args...)
}

// reload reads the configuration again, changes the filter, and opens files
// anew. What is wrong with it leaves everything as it is.
func (d *daemon) reload() {
	d.notify(health.NotifyReloading())
	worked := d.reread()
	d.services.reload.Store(&prom.Reload{Worked: worked, At: time.Now()})
	status := "capturing on " + strings.Join(d.cfg.Capture.Interfaces, ", ")
	if !worked {
		status += "; not all of the configuration was changed, see the log"
	}
	d.notify(health.NotifyReady(status))
}

// reread tells whether all went well.
func (d *daemon) reread() bool {
	d.out.reopen()
	if err := d.services.health.Reload(); err != nil {
		d.log.Error("token and certificate were not changed", "error", err)
		return false
	}
	named := d.naming.reload()
	if d.o.Path == "" {
		return named
	}
	cfg, err := Load(d.o.Path)
	if err != nil {
		d.log.Error("the configuration was not changed", "error", err)
		return false
	}
	cfg.Capture.Interfaces = d.cfg.Capture.Interfaces // as --interface may have given them
	parts := needsRestart(d.cfg, cfg)
	if cfg.Filter.Shared != d.cfg.Filter.Shared {
		parts = append(parts, "filter.shared")
		cfg.Filter.Shared = d.cfg.Filter.Shared // the guard, and where the filter is, follow from it
	}
	if len(parts) > 0 {
		d.log.Warn("these parts of the configuration change with a restart only", "parts", strings.Join(parts, ", "))
	}
	if err := d.src.update(&cfg); err != nil {
		d.log.Error("the filter was not changed", "error", err)
		return false
	}
	if d.cfg.Capture.Guard && cfg.Filter.Shared && !slices.Equal(cfg.Filter.UDPPorts, d.cfg.Filter.UDPPorts) {
		d.log.Warn("filter.udp_ports: the guard keeps the ports that it was made with; a restart gives it these", "ports", cfg.Filter.UDPPorts)
	}
	d.cfg.Filter = cfg.Filter
	d.sample.Store(cfg.Filter.Sample)
	d.log.Info("the configuration was read again")
	return len(parts) == 0 && named
}

// Restart tells whether an error of Run asks for a new start.
func Restart(err error) bool { return errors.Is(err, capture.ErrRestart) }
