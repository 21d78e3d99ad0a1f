//go:build linux

// Command rates measures how many frames a second the sensor takes on one core,
// against a reader of the same ring that only counts, and against tcpdump; and
// what a frame costs at a constant rate.
//
//	rates [-seconds 2] [-sizes 64,128,1514] [-vni N] [-only REGEXP] [-flows N] [-search=false] [-tries N]
//	rates -rate 100000 [-seconds 8] [-only REGEXP] [-tries N]
//
// The kernel makes the frames on the first core, where it also delivers them
// and copies them into the ring; the reader has the second to itself. Of every
// reader and size there are two figures: what it takes of as many frames as one
// core can make, and the highest rate of which it takes all, found by halving.
// Every frame is accounted for: sent = taken + lost, by place.
//
// With -rate there is one figure: the CPU time that the reader, and whatever is
// behind it in the same process, takes for each frame at that rate, of short
// connections and of long ones. What it takes without any frames is told beside
// it, and taken off.
//
// It needs root, and a machine that is otherwise idle: figures are the best of
// several tries, since what else runs only takes away. Prints a table in
// Markdown.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "rates:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	seconds time.Duration // of a run
	sizes   []int
	vni     int
	flows   int
	search  bool
	tries   int
	rate    int // frames a second; 0: as fast as it goes
	traffic *regexp.Regexp
	sensor  string // the program; "": it is built
}

func run() error {
	seconds := flag.Float64("seconds", 2, "length of a run")
	sizes := flag.String("sizes", "64,128,1514", "octets of the frames")
	only := flag.String("only", "", "measure only readers whose names match")
	traffic := flag.String("traffic", "", "with -rate: only traffic whose name matches")
	var s settings
	flag.IntVar(&s.vni, "vni", 0, "put the frames into VXLAN; sizes are those of the whole frames then")
	flag.IntVar(&s.flows, "flows", 1000, "connections open at a time")
	flag.BoolVar(&s.search, "search", true, "find the highest rate without loss")
	flag.IntVar(&s.tries, "tries", 2, "runs of which the best counts")
	flag.IntVar(&s.rate, "rate", 0, "measure CPU time at so many frames a second")
	flag.StringVar(&s.sensor, "sensor", "", "the program to measure (default that of this source)")
	flag.Parse()
	s.seconds = time.Duration(*seconds * float64(time.Second))
	for text := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("-sizes: %w", err)
		}
		s.sizes = append(s.sizes, n)
	}
	var err error
	if s.traffic, err = regexp.Compile(*traffic); err != nil {
		return fmt.Errorf("-traffic: %w", err)
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	if os.Geteuid() != 0 {
		return errors.New("needs root")
	}
	if runtime.NumCPU() < 2 {
		return errors.New("needs two cores")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "rates")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	all, err := readers(dir, s.sensor)
	if err != nil {
		return err
	}
	fmt.Println(machine())
	fmt.Println()
	if s.rate > 0 {
		all, err := constantReaders(dir, all)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(r reader) bool { return !wanted.MatchString(r.name) })
		return constant(ctx, s, all)
	}
	fmt.Println("| frames | reader | offered/s | taken/s | of bare | CPU ns/frame | lost | all taken up to |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, size := range s.sizes {
		floor := map[string]float64{} // taken by the bare reader, by ring
		for _, r := range all {
			if !wanted.MatchString(r.name) {
				continue
			}
			if err := row(ctx, s, r, size, floor); err != nil {
				return fmt.Errorf("%s, %d octets: %w", r.name, size, err)
			}
		}
	}
	return nil
}

// row measures one reader with one size and prints what it found.
func row(ctx context.Context, s settings, r reader, size int, floor map[string]float64) error {
	var best result
	for range s.tries {
		got, err := measure(ctx, s, r, size, 0)
		if err != nil {
			return err
		}
		if got.rate() > best.rate() {
			best = got
		}
	}
	lossless := "-"
	if s.search {
		rate, err := highest(ctx, s, r, size, best)
		if err != nil {
			return err
		}
		lossless = mega(float64(rate))
	}
	share := "-"
	if r.bare {
		floor[r.ring] = best.rate()
	} else if f := floor[r.ring]; f > 0 {
		share = fmt.Sprintf("%.0f %%", best.rate()/f*100)
	}
	fmt.Printf("| %d | %s | %s | %s | %s | %d | %s | %s |\n", size, r.name, mega(best.offered()), mega(best.rate()), share, best.perFrame(), best.losses(), lossless)
	return nil
}

// mega writes a rate.
func mega(perSecond float64) string { return fmt.Sprintf("%.2f M", perSecond/1e6) }

// machine says on what it was measured.
func machine() string {
	var u unix.Utsname
	release := "?"
	if err := unix.Uname(&u); err == nil {
		release = unix.ByteSliceToString(u.Release[:])
	}
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(text)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return fmt.Sprintf("Linux %s, %d × %s, %s.", release, runtime.NumCPU(), model, runtime.Version())
}
