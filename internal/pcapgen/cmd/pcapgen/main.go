// Command pcapgen writes generated captures: large ones for measuring speed,
// each with its truth beside it.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/term"

	"mirrorscope/internal/pcapgen"
	"mirrorscope/internal/pcapgen/workload"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	var usage usageError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "pcapgen: %v\nTry pcapgen -h.\n", err)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "pcapgen: %v\n", err)
		os.Exit(1)
	}
}

// usageError is a command line that makes no sense: exit status 2.
type usageError struct{ error }

type options struct {
	workload.Config
	output, format string
	snapLen        int
}

func run(args []string, stdout io.Writer, stderr *os.File) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	out := stdout
	var file *os.File
	if o.output != "-" {
		if file, err = os.Create(o.output); err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // after an error; else it is closed below
		out = file
	}
	if term.IsTerminal(int(stderr.Fd())) {
		start := time.Now()
		o.Progress = func(n int64) {
			fmt.Fprintf(stderr, "\r%d packets, %.1f million a second ", n, float64(n)/time.Since(start).Seconds()/1e6)
		}
		defer fmt.Fprintln(stderr)
	}
	if file != nil { // half a capture is worse than none
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, os.Interrupt)
		go func() {
			<-stop
			_ = os.Remove(o.output)
			os.Exit(130)
		}()
	}
	truth, err := workload.Generate(o.Config, o.writer(out))
	if err != nil {
		return err
	}
	if file == nil {
		return nil
	}
	if err := file.Close(); err != nil {
		return err
	}
	b, err := json.MarshalIndent(truth, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(o.output+".json", append(b, '\n'), 0o644)
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("pcapgen", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.Workload, "workload", "", "`name` of the workload (below)")
	f.IntVar(&o.Flows, "flows", 0, "number of flows (default: the workload's)")
	f.IntVar(&o.Packets, "packets", 0, "number of packets, about (default: by -flows)")
	f.IntVar(&o.Open, "open", 0, "flows open at once (default: the workload's)")
	f.Uint64Var(&o.Seed, "seed", 1, "the same seed gives the same octets")
	f.IntVar(&o.snapLen, "snaplen", -1, "cut frames to so many octets, 0: never (default: the workload's)")
	f.StringVar(&o.output, "o", "", "`file` to write, with the truth in file.json; - for standard output, without the truth")
	f.StringVar(&o.format, "format", "pcap", "pcap or pcapng, with time stamps in ns")
	f.Usage = func() {
		fmt.Fprintf(stderr, `Write a generated capture, and beside it the truth about it.

  pcapgen -workload w1 -o w1.pcap
  pcapgen -workload w2 -packets 10000000 -seed 7 -o w2.pcap
  pcapgen -workload w6 -flows 1000000 -o - | sensor replay -

Workloads:
  %s

Flags:
`, strings.Join(workload.Names(), "\n  "))
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, usageError{err}
	}
	switch {
	case f.NArg() > 0:
		return o, usageError{fmt.Errorf("unexpected argument %q", f.Arg(0))}
	case o.Workload == "" || o.output == "":
		return o, usageError{errors.New("-workload and -o are needed")}
	case o.format != "pcap" && o.format != "pcapng":
		return o, usageError{fmt.Errorf("format %q is neither pcap nor pcapng", o.format)}
	}
	if err := o.Validate(); err != nil {
		return o, usageError{err}
	}
	if o.snapLen < 0 {
		o.snapLen = workload.SnapLen(o.Workload)
	}
	return o, nil
}

// writer gives the writer that the options ask for.
func (o *options) writer(out io.Writer) pcapgen.Writer {
	if o.format == "pcap" {
		return pcapgen.NewPcapWriter(out, pcapgen.PcapConfig{Link: pcapgen.LinkEthernet, Nano: true, SnapLen: o.snapLen})
	}
	w := pcapgen.NewPcapngWriter(out, false)
	// An error comes back from the first frame's Write.
	_, _ = w.Interface(pcapgen.NgInterface{Link: pcapgen.LinkEthernet, Name: "gen0", Resolution: 9, SnapLen: uint32(o.snapLen)})
	return w
}
