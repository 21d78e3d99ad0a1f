package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mirrorscope/daemon"
	"mirrorscope/unit"
)

// runFlags are those of `sensor run`; what is given wins over the
// configuration.
type runFlags struct {
	config     string
	interfaces []string
	mode       string
	stdout     bool
	memory     unit.Size
	interval   time.Duration
	logFormat  string
}

func newRun(s *streams) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags]",
		Short: "Measure mirrored traffic as it comes in",
		Long: `Capture on the interfaces that receive mirrored traffic, and write a record for each
connection and for each interval of it, as JSON lines, to files or standard output.

Everything else is in the configuration file; 'sensor config' prints one with all
defaults. Without one nothing listens: no /metrics, no health, no 'sensor top'.
'sensor check' tells beforehand whether this machine can capture, and what
to mend. The sensor sends nothing through the interfaces it captures on.

SIGTERM or an interrupt end it: what was received is measured and written before. A
second interrupt ends it at once.
SIGHUP has it read the configuration again, change the filter without losing a
packet, and open its files anew.

Exit status: 0 it was told to end; 1 it could not start, or go on; 2 wrong usage;
75 it wants to be started again, as after an interface has vanished.`,
		Example: `  sensor run --config /etc/mirrorscope/sensor.toml
  sensor run --interface eth1 --stdout | jq 'select(.type == "connection")'
  sensor run --interface eth1 --mode afxdp --stdout > records.jsonl`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("run takes no arguments; give the interface as --interface %s", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.load(cmd)
			if err != nil {
				return usageError{err}
			}
			return runDaemon(cmd.Context(), s, &f, cfg)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.config, "config", "", "read the configuration from `FILE`")
	fs.StringArrayVarP(&f.interfaces, "interface", "i", nil, "capture on `INTERFACE`; repeatable")
	fs.StringVar(&f.mode, "mode", string(daemon.ModeAFPacket), "take frames by `MODE`: afpacket, afxdp or auto")
	fs.BoolVar(&f.stdout, "stdout", false, "write records to standard output")
	fs.Var(&f.memory, "memory", "memory for connections, `SIZE` as 512MiB (default what all else leaves of what the process may use, 60 % at most)")
	fs.DurationVar(&f.interval, "interval", 10*time.Second, "length of interval records, whole seconds")
	fs.StringVar(&f.logFormat, "log-format", "text", "log as `FORMAT`: text or json")
	return cmd
}

// load reads the configuration and puts the flags over it.
func (f *runFlags) load(cmd *cobra.Command) (daemon.Config, error) {
	cfg := daemon.DefaultConfig()
	cfg.Health.Listen, cfg.Top.Socket = "", "" // nobody who asks for a quick look asks for these
	if f.config != "" {
		var err error
		if cfg, err = daemon.Load(f.config); err != nil {
			return cfg, err
		}
	}
	given := cmd.Flags().Changed
	if given("interface") {
		cfg.Capture.Interfaces = f.interfaces
	}
	if given("mode") {
		cfg.Capture.Mode = daemon.Mode(f.mode)
	}
	if given("stdout") {
		cfg.Output.Stdout = f.stdout
	}
	if given("memory") {
		cfg.Measure.Memory = f.memory
	}
	if given("interval") {
		cfg.Measure.Interval = unit.Duration(f.interval)
	}
	if !slices.Contains([]string{"text", "json"}, f.logFormat) {
		return cfg, usagef("--log-format: %q is no format; take text or json", f.logFormat)
	}
	if len(cfg.Capture.Interfaces) == 0 {
		return cfg, usagef("no interface to capture on: give --interface, or set capture.interfaces in the configuration")
	}
	return cfg, cfg.Validate()
}

// runDaemon runs until a signal ends it. A second interrupt ends the process at
// once; SIGTERM, which process groups get twice, does not.
func runDaemon(ctx context.Context, s *streams, f *runFlags, cfg daemon.Config) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(ends)
	go func() {
		select {
		case <-ends:
			signal.Reset(os.Interrupt)
			cancel()
		case <-ctx.Done():
		}
	}()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	signal.Ignore(syscall.SIGPIPE) // a reader that leaves costs lines, counted
	reload := make(chan struct{}, 1)
	go func() {
		for {
			select {
			case <-hup:
				select {
				case reload <- struct{}{}:
				default: // one is waiting already
				}
			case <-ctx.Done():
				return
			}
		}
	}()

	log := logger(s, f.logFormat)
	memory := daemon.PlanMemory(&cfg, false, usableMemory())
	tellMemory(log, memory, limitHeap(memory.Heap))
	err := daemon.Run(ctx, daemon.Options{
		Config: cfg, Path: f.config, Memory: memory.Connections, Stdout: s.out, Log: log, Reload: reload, Version: version,
	})
	if daemon.Restart(err) {
		s.complain("%v", err)
		return errRestart
	}
	return err
}

// logger writes to standard error. The service manager has the time already.
func logger(s *streams, format string) *slog.Logger {
	o := &slog.HandlerOptions{}
	if os.Getenv("JOURNAL_STREAM") != "" {
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			return a
		}
	}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(s.err, o))
	}
	return slog.New(slog.NewTextHandler(s.err, o))
}

func newConfig(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Print the full default configuration",
		Long: `Print a configuration file with every key, its default, and what it means. A file may
leave out what is to stay as it is here.`,
		Example: `  sensor config > sensor.toml
  sensor config | sed 's/^interfaces = .*/interfaces = ["eth1"]/' > sensor.toml`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return daemon.DefaultConfig().Write(s.out) },
	}
}
