package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"mirrorscope/internal/pcapgen"
)

// quietPipe gives a capture and then waits for packets that never come, as a
// pipe from tcpdump does. read is closed when the capture was read.
type quietPipe struct {
	capture *bytes.Reader
	read    chan struct{}
	once    sync.Once
}

func (q *quietPipe) Read(b []byte) (int, error) {
	if n, err := q.capture.Read(b); err == nil {
		return n, nil
	}
	q.once.Do(func() { close(q.read) })
	select {}
}

// An interrupt ends the replay of input that does not end, and prints what was
// read.
func TestInterrupt(t *testing.T) {
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		in := &quietPipe{
			capture: bytes.NewReader(pcap(pcapgen.LinkRaw, framesOf(0, web(40_000, pcapgen.Listening).Record()))),
			read:    make(chan struct{}),
		}
		var out, errOut bytes.Buffer
		var f replayFlags
		f.register(&cobra.Command{})
		f.format, f.memory = formatJSON, 64<<20
		o, err := f.options([]string{"-"})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		go func() { done <- replay(context.Background(), &streams{in: in, out: &out, err: &errOut}, o, true) }()
		<-in.read
		self, err := os.FindProcess(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if err := self.Signal(signal); err != nil {
			t.Skipf("this system does not let a process signal itself: %v", err)
		}
		select {
		case err = <-done:
		case <-time.After(10 * time.Second):
			t.Fatalf("%v: the replay goes on", signal)
		}
		if !errors.Is(err, errReported) {
			t.Errorf("%v: replay gives %v", signal, err)
		}
		if n := strings.Count(out.String(), `{"type":"connection"`); n != 1 || !strings.Contains(out.String(), `{"type":"capture","packets":14,`) {
			t.Errorf("%v: printed %s", signal, out.String())
		}
		if !strings.Contains(errOut.String(), "sensor: interrupted") {
			t.Errorf("%v: said %q", signal, errOut.String())
		}
	}
}

// leaving is a reader of our output that has gone.
type leaving struct{ err error }

func (l leaving) Write([]byte) (int, error) { return 0, l.err }

func TestOutputErrors(t *testing.T) {
	capture := pcap(pcapgen.LinkRaw, framesOf(0, web(40_000, pcapgen.Listening).Record()))
	for _, format := range formats {
		for _, test := range []struct {
			err  error
			said string
		}{
			{syscall.EPIPE, ""}, {syscall.ENOSPC, "sensor: standard output: no space left on device\n"},
		} {
			var errOut bytes.Buffer
			got := run([]string{"replay", "--format", format, "-"}, bytes.NewReader(capture), leaving{test.err}, &errOut)
			if got != exitRuntime || errOut.String() != test.said {
				t.Errorf("%s, %v: exit status %d, said %q", format, test.err, got, errOut.String())
			}
		}
	}
}

func TestComplainIsSafe(t *testing.T) {
	var out bytes.Buffer
	s := streams{err: &out}
	s.complain("%v", errors.New("a\x1b[2Jb\nc"))
	if want := "sensor: a\uFFFD[2Jb\nc\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

func TestInterruptible(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	blocked, w := io.Pipe()
	defer w.Close()
	r := interruptible(ctx, io.MultiReader(strings.NewReader("abc"), blocked))
	b := make([]byte, 3)
	if _, err := io.ReadFull(r, b); err != nil || string(b) != "abc" {
		t.Errorf("read %q, %v", b, err)
	}
	cancel()
	if _, err := r.Read(b); err != io.EOF {
		t.Errorf("after the interrupt: %v, want EOF", err)
	}

	broken := errors.New("broken")
	if _, err := io.ReadAll(interruptible(context.Background(), io.MultiReader(strings.NewReader("abc"), leavingReader{broken}))); !errors.Is(err, broken) {
		t.Errorf("an error of the input becomes %v", err)
	}
}

type leavingReader struct{ err error }

func (l leavingReader) Read([]byte) (int, error) { return 0, l.err }

// Who groups connections has their records as they are without.
func TestGroupedRecords(t *testing.T) {
	records := func(args ...string) (lines []string) {
		var out, errOut bytes.Buffer
		if code := run(append(append([]string{"replay", "--format", "json"}, args...), "../../testdata/pcaps/shop.pcap"), nil, &out, &errOut); code != 0 {
			t.Fatalf("%v: exit status %d: %s", args, code, &errOut)
		}
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, `{"type":"connection"`) {
				lines = append(lines, line)
			}
		}
		return lines
	}
	want := records()
	for _, args := range [][]string{{"--group-by", "client.ip"}, {"--group-by", "server.port", "--since", "2026-03-02T09:20:30Z"}} {
		got := records(args...)
		if len(got) != len(want) || len(got) < 100 {
			t.Fatalf("%v: %d records, want %d", args, len(got), len(want))
		}
		for i := range got {
			if got[i] != want[i] {
				t.Fatalf("%v:\n%s want\n%s", args, got[i], want[i])
			}
		}
	}
}
