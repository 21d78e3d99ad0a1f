package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	tea "charm.land/bubbletea/v2"
	"github.com/spf13/cobra"

	"mirrorscope/edge"
	"mirrorscope/edge/live"
)

// topSocket is where a sensor that runs as a service shows its conversations.
const topSocket = "/run/mirrorscope/top.sock"

// topFeed gives what all conversations do, each interval anew: the socket of a
// running sensor, or a capture of our own. It is read by one goroutine; Close
// ends a Next that waits.
type topFeed interface {
	Next() (*live.Top, error) // io.EOF: there is no more
	Line() []byte             // the latest as a line of JSON, without its end
	Close() error
}

// topSources open feeds.
type topSources struct {
	socket func(path string) (topFeed, error)
	// capture, if set, captures on interfaces by itself: then there is a flag
	// for them.
	capture func(ctx context.Context, interfaces []string) (topFeed, error)
}

func dialTop(path string) (topFeed, error) {
	c, err := live.Dial(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("no sensor shows its conversations at %s: is it running? --socket names another place", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w; the socket is for root and the sensor's own user", err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w; the sensor that made it has ended", err)
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("socket %s: the sensor has closed it at once; it has too many viewers, or ends", path)
	case err != nil:
		return nil, err
	}
	return c, nil
}

// topFlags are those of `sensor top`.
type topFlags struct {
	socket, sort, filter, format string
	interfaces                   []string
	limit                        int
	once                         bool
}

// topOptions are the flags as understood.
type topOptions struct {
	order  edge.Order
	filter string
	limit  int
	once   bool
	json   bool
	open   func(context.Context) (topFeed, error)
	itself bool // the feed is a capture of this process, which cannot be opened again
}

func newTop(s *streams) *cobra.Command {
	return newTopOf(s, topSources{socket: dialTop, capture: captureTop})
}

func newTopOf(s *streams, sources topSources) *cobra.Command {
	var f topFlags
	cmd := &cobra.Command{
		Use:   "top [flags]",
		Short: "Show the conversations of the last minute in a terminal",
		Long: `Show who talks to whom right now, as a running sensor sees it: throughput, connections,
failures, retransmissions, round-trip and response times of the last minute, and whether
packets get lost on their way into the sensor. What is not known is shown as "-".

Keys: s and S choose the order, / filters by text, space pauses, the arrows and page keys
scroll, q quits. Where standard output is no terminal one table is printed, as with --once.`,
		Example: `  sensor top
  sensor top --sort errors --filter 10.1.0.9
  sensor top --once --limit 10
  sensor top --format json | jq '.capture'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("top takes no arguments; for capture files there is 'sensor replay %s'", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := f.options(sources)
			if err != nil {
				return err
			}
			return top(cmd.Context(), s, o)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.socket, "socket", topSocket, "show what the sensor at the socket `PATH` sees")
	fs.StringVar(&f.sort, "sort", live.Orders()[0].String(), "begin with `ORDER`: "+join(live.Orders()))
	fs.StringVar(&f.filter, "filter", "", "show only conversations with `TEXT` in an address, name, port or protocol")
	fs.StringVar(&f.format, "format", formatTable, "show as `FORMAT`: table or json, an object for each interval on a line")
	fs.IntVar(&f.limit, "limit", 20, "with --once: the first `N` rows, 0 for all that the sensor tells")
	fs.BoolVar(&f.once, "once", false, "print once and exit")
	if sources.capture != nil {
		fs.StringArrayVarP(&f.interfaces, "interface", "i", nil, "capture on `INTERFACE` in place of asking a running sensor; repeatable")
	}
	words := make([]string, 0, len(live.Orders()))
	for _, o := range live.Orders() {
		words = append(words, o.String())
	}
	for name, words := range map[string][]string{"format": {formatTable, formatJSON}, "sort": words} {
		if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flags are defined above
		}
	}
	return cmd
}

// options checks the flags. All its errors are of usage.
func (f *topFlags) options(sources topSources) (*topOptions, error) {
	o := &topOptions{filter: f.filter, limit: f.limit, once: f.once, json: f.format == formatJSON}
	if f.format != formatTable && f.format != formatJSON {
		return nil, usagef("--format: %q is no format; take table or json", f.format)
	}
	var err error
	if o.order, err = edge.ParseOrder(f.sort); err != nil || !slices.Contains(live.Orders(), o.order) {
		return nil, usagef("--sort: %q is no order; take one of %s", f.sort, join(live.Orders()))
	}
	if f.limit < 0 {
		return nil, usagef("--limit: %d is negative; take 0 to show all", f.limit)
	}
	o.open = func(context.Context) (topFeed, error) { return sources.socket(f.socket) }
	if len(f.interfaces) > 0 {
		o.open = func(ctx context.Context) (topFeed, error) { return sources.capture(ctx, f.interfaces) }
		o.itself = true // its privileges are gone by then
	}
	return o, nil
}

// top shows a feed in the way that fits the output.
func top(ctx context.Context, s *streams, o *topOptions) error {
	ctx, uncatch := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer uncatch()
	feed, err := o.open(ctx)
	if err != nil {
		return err
	}
	if _, ok := terminal(s.out); ok && !o.once && !o.json {
		return topScreen(ctx, s, o, feed)
	}
	stop := context.AfterFunc(ctx, func() { _ = feed.Close() }) // ends Next
	err = topPrint(s, o, feed)
	if !stop() {
		return nil // interrupted: what came until then was printed
	}
	return errors.Join(err, feed.Close())
}

// topPrint prints a table, or lines of JSON.
func topPrint(s *streams, o *topOptions, feed topFeed) error {
	for {
		t, err := feed.Next()
		if errors.Is(err, io.EOF) {
			return errors.New("the sensor has ended")
		}
		if err != nil {
			return err
		}
		if o.json {
			_, err = s.out.Write(append(slices.Clone(feed.Line()), '\n'))
		} else {
			_, err = io.WriteString(s.out, topTable(t, o, terminalWidth(s.out), colour(s.out)))
		}
		if err != nil {
			return outputError(err)
		}
		if o.once || !o.json {
			return nil
		}
	}
}

// topTable is a table of the first rows, on as many lines as it takes.
func topTable(t *live.Top, o *topOptions, width int, colour bool) string {
	v := topView{order: o.order, text: o.filter, width: width, paint: painter(colour)}
	rows := v.rows(t)
	more := 0
	if o.limit > 0 && len(rows) > o.limit {
		more = len(rows) - o.limit
		rows = rows[:o.limit]
	}
	lines := append(v.head(t), v.table(t, rows)...)
	if more > 0 {
		lines = append(lines, fmt.Sprintf("… %d more: --limit 0 shows all", more))
	}
	return strings.Join(lines, "\n") + "\n"
}

// topScreen shows a feed until the user has seen enough.
func topScreen(ctx context.Context, s *streams, o *topOptions, feed topFeed) error {
	last, err := tea.NewProgram(newTopModel(ctx, o, feed, colour(s.out)), tea.WithContext(ctx), tea.WithInput(s.in), tea.WithOutput(s.out)).Run()
	m, ok := last.(*topModel)
	if ok && m.feed != nil {
		_ = m.feed.Close() // only read from
	}
	if ok && m.ended != nil {
		return m.ended
	}
	if errors.Is(err, tea.ErrInterrupted) || ctx.Err() != nil {
		return nil
	}
	return err
}
