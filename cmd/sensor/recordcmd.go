package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"mirrorscope/capture"
	"mirrorscope/packet"
	"mirrorscope/privilege"
	"mirrorscope/record"
	"mirrorscope/unit"
)

// liveSource opens a live capture on an interface.
type liveSource func(iface string) (capture.Source, error)

// recordFlags are those of `sensor record`.
type recordFlags struct {
	iface, filter, dir string
	last               time.Duration
	maxSize            unit.Size
	vxlanPorts         []uint
	genevePorts        []uint
}

// surrender gives up all privileges but to write to a folder, and tells what was
// done.
type surrender func(dir string) (privilege.Report, error)

func newRecord(s *streams) *cobra.Command { return newRecordOf(s, captureOn, dropForRecord) }

// newRecordOf takes how a capture is opened, and how privileges are given up once
// everything is.
func newRecordOf(s *streams, open liveSource, drop surrender) *cobra.Command {
	defaults := record.DefaultConfig()
	f := recordFlags{maxSize: defaults.MaxSize}
	cmd := &cobra.Command{
		Use:   "record --interface INTERFACE --dir DIR [flags]",
		Short: "Keep the headers of the last packets in a ring of pcapng files",
		Long: `Capture on an interface and keep the headers of the packets of the last minutes, for a look
at those behind a number: with Wireshark, tshark, or 'sensor replay DIR'. What is written of
a packet ends where the payload of the innermost packet begins; payload is never written.

The folder holds whole pcapng files, of at most the time and the size that are given; the
oldest are removed first. Files of an earlier run are taken over, others left alone. It goes
on until an interrupt or SIGTERM, and tells then what was kept and what was lost.

A sensor that runs as a service does the same for [record] in its configuration.

Exit status: 0 it was told to end; 1 it could not start, or go on; 2 wrong usage; 75 it
wants to be started again, as after the interface has vanished.`,
		Example: `  sensor record --interface eth1 --dir /var/lib/mirrorscope/headers
  sensor record -i eth1 --filter 'host 10.1.0.9 and tcp port 443' --last 30m --dir headers
  sensor replay headers`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, decode, err := f.config()
			if err != nil {
				return usageError{err}
			}
			return runRecord(cmd.Context(), s, f.iface, c, decode, open, drop)
		},
	}
	fs := cmd.Flags()
	fs.StringVarP(&f.iface, "interface", "i", "", "capture on `INTERFACE`")
	fs.StringVar(&f.dir, "dir", "", "keep the files in `DIR`; made if it is not there")
	fs.StringVar(&f.filter, "filter", "", "keep only packets that match `EXPR`, in the words of tcpdump; looks at the innermost packet")
	fs.DurationVar(&f.last, "last", time.Duration(defaults.Last), "keep no packet for longer than `DURATION`")
	fs.Var(&f.maxSize, "max-size", "keep at most `SIZE`")
	fs.UintSliceVar(&f.vxlanPorts, "vxlan-port", nil, "UDP `PORT` of VXLAN beside 4789 and 8472; repeatable")
	fs.UintSliceVar(&f.genevePorts, "geneve-port", nil, "UDP `PORT` of GENEVE beside 6081; repeatable")
	return cmd
}

// config checks the flags. All its errors are of usage.
func (f *recordFlags) config() (c record.Config, decode packet.Config, err error) {
	c, decode = record.DefaultConfig(), packet.DefaultConfig()
	if f.iface == "" {
		return c, decode, errors.New("no interface to capture on: give --interface")
	}
	if f.dir == "" {
		return c, decode, errors.New("no folder for the files: give --dir")
	}
	if c.Directory, err = filepath.Abs(f.dir); err != nil {
		return c, decode, fmt.Errorf("--dir: %w", err)
	}
	c.Filter, c.Last, c.MaxSize = f.filter, unit.Duration(f.last), f.maxSize
	if decode.VXLANPorts, err = ports(f.vxlanPorts); err != nil {
		return c, decode, fmt.Errorf("--vxlan-port: %w", err)
	}
	if decode.GenevePorts, err = ports(f.genevePorts); err != nil {
		return c, decode, fmt.Errorf("--geneve-port: %w", err)
	}
	return c, decode, errors.Join(c.Validate(), decode.Validate())
}

// runRecord records until a signal ends it: what was received by then is written. A
// second signal ends the process.
func runRecord(ctx context.Context, s *streams, iface string, c record.Config, decode packet.Config, open liveSource, drop surrender) error {
	ctx, uncatch := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer uncatch()
	context.AfterFunc(ctx, uncatch)
	src, err := open(iface)
	if err != nil {
		return fmt.Errorf("capture on %s: %w", iface, err)
	}
	defer func() { _ = src.Close() }() // the process ends
	ring, err := record.New(c, record.Options{Decode: decode, Interfaces: src.Interfaces, Sensor: "mirrorscope sensor " + version})
	if err != nil {
		return err
	}
	if err := ring.Open(); err != nil {
		return err
	}
	report, err := drop(c.Directory)
	for _, step := range report.Missing() {
		if step.Name != privilege.BoundingSet { // nothing is left to use it with
			s.complain("privileges: not %s: %s", step.Name, step.Detail)
		}
	}
	if err != nil {
		return fmt.Errorf("privileges: %w", err)
	}

	writing, written := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); ring.Run(writing) }()
	go watchRecord(writing, s, ring)
	s.complain("recording on %s to %s", iface, c.Directory)
	reading := ctx
	if live, ok := src.(interface{ Stop() }); ok { // gives what it has received, and then ends
		reading = context.Background()
		defer context.AfterFunc(ctx, live.Stop)()
	}
	err = record.Capture(reading, src, ring)
	written()
	<-done
	recordSummary(s, src, ring.Stats())
	if errors.Is(err, capture.ErrRestart) {
		s.complain("%v", err)
		return errRestart
	}
	return err
}

// watchRecord tells when the ring cannot be written any more, and when it can again.
func watchRecord(ctx context.Context, s *streams, ring *record.Ring) {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for failing := false; ; {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		switch err := ring.Stats().Failing; {
		case err != nil && !failing:
			failing = true
			s.complain("headers are lost: %v", err)
		case err == nil && failing:
			failing = false
			s.complain("headers are written again")
		}
	}
}

// recordSummary tells what was kept, and what was lost on the way.
func recordSummary(s *streams, src capture.Source, st record.Stats) {
	s.complain("%d packets recorded; the ring has %d octets in files: %d", st.Written, st.Bytes, st.Segments)
	if st.Dropped > 0 {
		s.complain("%d packets dropped: they came faster than they could be written", st.Dropped)
	}
	if st.Unwritten > 0 {
		s.complain("%d packets dropped: they could not be written", st.Unwritten)
	}
	if st.Failing != nil {
		s.complain("%v", st.Failing)
	}
	if live, ok := src.(interface{ Losses() []capture.Loss }); ok {
		for _, l := range live.Losses() {
			if l.Frames > 0 {
				s.complain("%d packets lost before they were read: %s", l.Frames, l.Place)
			}
		}
	}
}

// dropForRecord gives up all but the folder.
func dropForRecord(dir string) (privilege.Report, error) {
	return privilege.Drop(privilege.DefaultConfig(), privilege.Needs{ReadWrite: []string{dir}, Silent: true})
}
