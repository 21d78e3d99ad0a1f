package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/flow"
	"mirrorscope/path"
	"mirrorscope/pipeline"
	"mirrorscope/sink"
	"mirrorscope/sink/csv"
	"mirrorscope/sink/jsonl"
	"mirrorscope/sink/table"
	"mirrorscope/sink/viewjson"
)

func newReplay(s *streams) *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use:   "replay [flags] FILE…",
		Short: "Read capture files and tell who talked to whom",
		Long: `Read capture files (pcap or pcapng, plain, gzip or zstd) and print who talked to whom: a
table of conversations with a verdict each (network, TLS, server or client), or a record for
each connection as JSON or CSV. Needs no root and no configuration.

With --group-by the table has a row for each combination of tags: who talks to whom by name.
With --since such rows show what is now beside what was before, as after a deploy.

Other views are tls (servers, their handshakes, certificates that expire), dns (names, errors,
response times) and http (endpoints, status, response times). A view is a table, or with
--format json an object for each row.

FILE is a file, a directory, or - for standard input. Several files are merged by time and
read as one capture, as rotated files are; a file that was captured elsewhere is given with
--point. All tunnels are looked through (VXLAN, GENEVE, ERSPAN, GRE, …); addresses and ports
are those of the innermost packet.

With --tags or --inventory both ends have tags, as service and instance, and the table calls
them by these.

Exit status: 0 all input was read; 1 some was not, or was damaged: what could be read is
printed all the same; 2 wrong usage.`,
		Example: `  sensor replay capture.pcap
  sensor replay --sort handshake --limit 50 monday.pcap.gz tuesday.pcap.gz
  sensor replay --sort error_rate capture.pcap
  sensor replay --view tls --cert-days 60 capture.pcap
  sensor replay --view http --sort response --format json capture.pcap | jq .
  sensor replay --format json --interval 10s capture.pcapng | jq .
  sensor replay --group-by client.ip,server.service --sort response capture.pcap
  sensor replay --group-by client.service,server.service --since 2026-11-20T10:15:00Z capture.pcap
  sensor replay --filter 'tcp port 443 and net 10.1.0.0/16' captures/
  sensor replay --point client=a.pcap --point server=b.pcap
  sensor replay --tags services.csv --inventory /var/lib/mirrorscope/inventory capture.pcap
  tcpdump -i eth1 -s 200 -w - | sensor replay -`,
		Args: func(*cobra.Command, []string) error { return nil }, // options checks them: --point names files, too
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.options(args)
			if err != nil {
				return err
			}
			stop, err := profile(f.cpuProfile, f.memProfile)
			if err != nil {
				return err
			}
			return errors.Join(replay(cmd.Context(), s, o, !f.noProgress), stop())
		},
	}
	f.register(cmd)
	return cmd
}

// recordSink is an output of replay.
type recordSink interface {
	Write([]*flow.Record) error
	Close(*flow.Capture) error
}

// pathSink is an output that compares observation points.
type pathSink interface {
	WritePath(*path.Connection) error
}

// loneSink is an output that needs of a connection that is one SYN no more than
// that.
type loneSink interface {
	WriteLones([]*flow.Lone)
}

func newSink(w io.Writer, o *replayOptions) recordSink {
	var names sink.Names = o.pipeline.Names
	switch {
	case o.group != nil:
		return newGrouped(w, o)
	case o.format == formatCSV:
		s := csv.New(w, names)
		if o.resolver != nil {
			s.Name(o.resolver.NewNamer(names))
		}
		return s
	case o.records:
		s := jsonl.New(w, names)
		if o.resolver != nil {
			s.Name(o.resolver.NewNamer(names))
		}
		return s
	case o.format == formatJSON:
		c := viewjson.Config{Sort: o.table.Sort, Limit: o.table.Limit, CertificateDays: o.table.CertificateDays, Edge: o.table.Edge}
		s := viewjson.New(w, names, c, jsonl.NewEncoder(names).AppendCapture)
		if o.resolver != nil {
			s.Name(o.resolver.NewNamer(names))
		}
		return s
	}
	c := o.table
	c.Width, c.Colour = terminalWidth(w), colour(w)
	s := table.New(w, names, c)
	if o.resolver != nil {
		s.Name(o.resolver)
	}
	return s
}

// replay reads all input and prints it. An interrupt ends the input, and what
// was read until then is printed; a second one ends the process.
func replay(ctx context.Context, s *streams, o *replayOptions, progress bool) error {
	ctx, uncatch := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer uncatch()
	context.AfterFunc(ctx, uncatch)

	if slices.Contains(o.input.Paths, "-") {
		if _, ok := terminal(s.in); ok {
			return usagef("standard input is a terminal; give it a capture: tcpdump -w - | sensor replay -")
		}
		o.input.Stdin = interruptible(ctx, s.in)
	}
	limitHeap(replayHeap(&o.pipeline))
	leanHeap()
	forgetProgram()
	defer useCores(o.pipeline.Shards)()
	source, err := pcapfile.Open(o.input)
	if err != nil {
		return err
	}
	defer func() { _ = source.Close() }() // only read from
	stopProgress := func() {}
	if progress && progressFits(s, o.format) {
		stopProgress = showProgress(s.err, source.Progress)
	}

	out := newSink(s.out, o)
	var writeErr error
	if p, ok := out.(pathSink); ok {
		o.pipeline.Paths = func(c *path.Connection) error {
			writeErr = p.WritePath(c)
			return writeErr
		}
	}
	if l, ok := out.(loneSink); ok {
		o.pipeline.Lone = func(some []*flow.Lone) error {
			l.WriteLones(some)
			return nil
		}
	}
	c, err := pipeline.Run(ctx, source, o.pipeline, func(records []*flow.Record) error {
		writeErr = out.Write(records)
		return writeErr
	})
	interrupted := ctx.Err() != nil
	stopProgress()
	if err != nil && (writeErr != nil || !interrupted) {
		return outputError(err)
	}
	if interrupted {
		c.Errors = append(c.Errors, errors.New("interrupted: the input was not read to its end"))
	}
	if err := out.Close(&c); err != nil {
		return outputError(err)
	}
	for _, note := range o.notes {
		s.complain("note: --inventory: %v", note)
	}
	for _, key := range o.group.unmet() {
		s.complain("note: --group-by: no connection has a value of %s", key)
	}
	for _, note := range source.Notes() {
		s.complain("note: %s", note)
	}
	for _, err := range c.Errors {
		s.complain("%v", err)
	}
	if len(c.Errors) > 0 {
		return errReported
	}
	return nil
}

// outputError tells what went wrong with the output. A reader that has left
// (`| head`) has what it wants: that is said by the exit status alone. On
// standard output the Go runtime ends the process by SIGPIPE before.
func outputError(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return errReported
	}
	return fmt.Errorf("standard output: %w", err)
}

// progressFits tells whether a bar on standard error disturbs nobody: it is a
// terminal, and no records are written to that terminal at the same time.
func progressFits(s *streams, format string) bool {
	if _, ok := terminal(s.err); !ok {
		return false
	}
	_, shared := terminal(s.out)
	return !shared || format == formatTable
}
