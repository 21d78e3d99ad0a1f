package lines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// soon ends a test that would hang.
func soon(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for something that another goroutine does.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

func closeNow(t testing.TB, w Writer) {
	t.Helper()
	if err := w.Close(soon(t)); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// accounted checks that what went in is what was written, dropped or is queued.
func accounted(t testing.TB, s Stats, in Count) {
	t.Helper()
	lost := s.Lost()
	if sum := (Count{s.Written.Lines + lost.Lines + s.Queued.Lines, s.Written.Bytes + lost.Bytes + s.Queued.Bytes}); sum != in {
		t.Errorf("written %v + dropped %v + queued %v = %v, want %v", s.Written, s.Dropped, s.Queued, sum, in)
	}
}

// A stream gets what was written, in order, with line ends where they lacked.
func TestStream(t *testing.T) {
	var out bytes.Buffer
	s := NewStream("out", &out, 1<<20)
	for _, p := range []string{"a\n", "b\nc\n", "", "d"} {
		if n, err := s.Write([]byte(p)); n != len(p) || err != nil {
			t.Errorf("Write(%q) = %d, %v", p, n, err)
		}
	}
	closeNow(t, s)
	if out.String() != "a\nb\nc\nd\n" {
		t.Errorf("got %q", &out)
	}
	if got := s.Stats(); got.Written != (Count{4, 8}) || got.Lost() != (Count{}) || got.Queued != (Count{}) {
		t.Errorf("stats %+v", got)
	}
	s.Write([]byte("late\n"))
	if got := s.Stats(); got.Dropped[Closed] != (Count{1, 5}) {
		t.Errorf("a line after Close: %+v", got.Dropped)
	}
}

// What a Writer keeps is its own: the caller may use its memory again.
func TestWriteCopies(t *testing.T) {
	r, w := io.Pipe()
	s := NewStream("pipe", w, 1<<20)
	line := []byte("first\n")
	s.Write(line)
	copy(line, "XXXXX")
	got := make([]byte, 6)
	io.ReadFull(r, got)
	if string(got) != "first\n" {
		t.Errorf("got %q", got)
	}
	closeNow(t, s)
}

// A pipe that nobody reads stops nobody: what finds no room is dropped as whole
// lines, the earliest stay, and every line is accounted for.
func TestSlowPipe(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s := NewStream("pipe", w, minQueue)
	var in Count
	number := 0
	for range 3000 {
		var batch []byte
		for range 7 {
			batch = fmt.Appendf(batch, "%07d %s\n", number, strings.Repeat("x", number%90))
			number++
		}
		in.add(batch)
		s.Write(batch)
	}
	stats := s.Stats()
	accounted(t, stats, in)
	if stats.Dropped[QueueFull].Lines == 0 || stats.Lost() != stats.Dropped[QueueFull] {
		t.Errorf("dropped %v, want queue_full alone", stats.Dropped)
	}
	if stats.Queued.Bytes > minQueue || stats.Queued.Bytes < minQueue/4 {
		t.Errorf("%d octets are queued, of at most %d", stats.Queued.Bytes, minQueue)
	}
	if stats.Failing != nil {
		t.Errorf("slow is no error: %v", stats.Failing)
	}

	// Once it is read, all that was accepted comes, in order and whole.
	got := make(chan []byte)
	go func() { b, _ := io.ReadAll(r); got <- b }()
	closeNow(t, s)
	w.Close()
	all := <-got
	stats = s.Stats()
	accounted(t, stats, in)
	if uint64(len(all)) != stats.Written.Bytes || uint64(bytes.Count(all, newline)) != stats.Written.Lines {
		t.Errorf("%d octets came, %v written", len(all), stats.Written)
	}
	last := -1
	for line := range strings.Lines(string(all)) {
		var n int
		if _, err := fmt.Sscanf(line, "%07d ", &n); err != nil || n <= last || len(line) != 9+n%90 {
			t.Fatalf("line %q after %d is not whole or not in order", line, last)
		}
		last = n
	}
}

// Close of a pipe that nobody reads ends with its context, and tells what is
// lost.
func TestCloseGivesUp(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := NewStream("standard output", w, minQueue)
	var in Count
	for range 100 {
		line := []byte(strings.Repeat("y", 999) + "\n")
		in.add(line)
		s.Write(line)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	err = s.Close(ctx)
	stats := s.Stats()
	accounted(t, stats, in)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), fmt.Sprintf("standard output: %d lines", stats.Dropped[Closed].Lines)) {
		t.Errorf("Close: %v, dropped %v", err, stats.Dropped)
	}
	if stats.Dropped[Closed].Lines == 0 || stats.Queued != (Count{}) {
		t.Errorf("stats %+v", stats)
	}
	w.Close() // which lets the goroutine end
	<-s.done
	if again := s.Stats(); again.Written != stats.Written || again.Dropped != stats.Dropped {
		t.Errorf("the counts have changed after Close: %+v, then %+v", stats, again)
	}
}

// broken is a writer that takes some octets, fails for a while, and works again.
type broken struct {
	bytes.Buffer
	mu     sync.Mutex
	fail   bool
	stride int
}

func (b *broken) set(fail bool) { b.mu.Lock(); b.fail = fail; b.mu.Unlock() }

func (b *broken) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail {
		n, _ := b.Buffer.Write(p[:min(len(p), b.stride)])
		return n, syscall.EIO
	}
	return b.Buffer.Write(p)
}

// A stream that fails within a line goes on there, and neither loses nor
// repeats an octet.
func TestStreamRecovers(t *testing.T) {
	out := &broken{fail: true, stride: 3}
	s := NewStream("out", out, 1<<20)
	want := "first line\nsecond line\n"
	s.Write([]byte(want))
	eventually(t, "an error", func() bool { return s.Stats().Errors >= 3 })
	failing := s.Stats()
	if !errors.Is(failing.Failing, syscall.EIO) || failing.Since.IsZero() {
		t.Errorf("state %v since %v", failing.Failing, failing.Since)
	}
	if since := s.Stats().Since; !since.Equal(failing.Since) {
		t.Errorf("it fails since %v, then since %v", failing.Since, since)
	}
	out.set(false)
	eventually(t, "written", func() bool { return s.Stats().Queued.Lines == 0 })
	eventually(t, "recovery", func() bool { return s.Stats().Failing == nil })
	closeNow(t, s)
	stats := s.Stats()
	if out.String() != want {
		t.Errorf("got %q", out.String())
	}
	if stats.Failing != nil || !stats.Since.IsZero() || !errors.Is(stats.LastError, syscall.EIO) || stats.LastErrorTime.IsZero() {
		t.Errorf("after recovery %+v", stats)
	}
	accounted(t, stats, Count{2, uint64(len(want))})
}

// While writing fails, what finds no room is put down to that.
func TestDroppedByWriteError(t *testing.T) {
	out := &broken{fail: true}
	s := NewStream("out", out, minQueue)
	line := []byte(strings.Repeat("z", 1023) + "\n")
	s.Write(line)
	eventually(t, "an error", func() bool { return s.Stats().Failing != nil })
	in := Count{1, 1024}
	for range 1000 {
		s.Write(line)
		in.add(line)
	}
	stats := s.Stats()
	accounted(t, stats, in)
	if stats.Dropped[WriteError].Lines == 0 || stats.Dropped[QueueFull].Lines != 0 {
		t.Errorf("dropped %v, want write_error alone", stats.Dropped)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, syscall.EIO) {
		t.Errorf("Close: %v, want what stood in the way", err)
	}
	stats = s.Stats()
	accounted(t, stats, in)
	if stats.Dropped[WriteError].Lines != 1001 || stats.Written.Lines != 0 {
		t.Errorf("dropped %v, written %v", stats.Dropped, stats.Written)
	}
	eventually(t, "the end of the goroutine", func() bool {
		select {
		case <-s.done:
			return true
		default:
			return false
		}
	})
}

// A line that the queue can never hold is dropped alone.
func TestLongLine(t *testing.T) {
	var out bytes.Buffer
	s := NewStream("out", &out, minQueue)
	long := append(bytes.Repeat([]byte("l"), minQueue), '\n')
	s.Write(slices.Concat([]byte("before\n"), long, []byte("after\n")))
	closeNow(t, s)
	stats := s.Stats()
	if out.String() != "before\n" {
		t.Errorf("got %q", out.String())
	}
	accounted(t, stats, Count{3, uint64(len(long) + 13)})

	out.Reset()
	s = NewStream("out", &out, minQueue)
	s.Write(long)
	s.Write([]byte("after\n"))
	closeNow(t, s)
	if out.String() != "after\n" {
		t.Errorf("got %q", out.String())
	}
}

func TestWholeLines(t *testing.T) {
	for _, test := range []struct {
		in   string
		n    int
		want string
	}{
		{"a\nb\n", 10, "a\nb\n"},
		{"a\nb\n", 4, "a\nb\n"},
		{"a\nb\n", 3, "a\n"},
		{"a\nb\n", 2, "a\n"},
		{"a\nb\n", 1, "a\n"},
		{"a\nb\n", 0, "a\n"},
		{"long\nb\n", 3, "long\n"},
	} {
		if got := wholeLines([]byte(test.in), test.n); string(got) != test.want {
			t.Errorf("wholeLines(%q, %d) = %q, want %q", test.in, test.n, got, test.want)
		}
	}
}

// Writing allocates nothing once the queue has grown.
func TestWriteAllocs(t *testing.T) {
	s := NewStream("out", io.Discard, 1<<20)
	defer closeNow(t, s)
	batch := bytes.Repeat([]byte(strings.Repeat("a", 99)+"\n"), 100)
	if n := testing.AllocsPerRun(2000, func() { s.Write(batch); runtime.Gosched() }); n >= 1 {
		t.Errorf("%v allocations a Write", n)
	}
}

// The memory of a queue stays within its size.
func TestQueueMemory(t *testing.T) {
	r, w := io.Pipe()
	s := NewStream("pipe", w, 1<<20)
	for i := range 10000 {
		s.Write([]byte(strings.Repeat("m", i%1000) + "\n"))
		s.mu.Lock()
		if c := cap(s.filling); c > 1<<19 {
			t.Fatalf("one half of a queue of %d octets has grown to %d", 1<<20, c)
		}
		s.mu.Unlock()
	}
	go io.Copy(io.Discard, r)
	closeNow(t, s)
}

// What a Write of 64 records costs its caller.
func BenchmarkWrite(b *testing.B) {
	s := NewStream("out", io.Discard, 16<<20)
	defer s.Close(context.Background())
	batch := bytes.Repeat([]byte(strings.Repeat("a", 999)+"\n"), 64)
	b.SetBytes(int64(len(batch)))
	b.ReportAllocs()
	for b.Loop() {
		s.Write(batch)
		for s.Stats().Queued.Bytes > 4<<20 {
			runtime.Gosched()
		}
	}
	if stats := s.Stats(); stats.Lost() != (Count{}) {
		b.Errorf("dropped %v: the figure is of another thing", stats.Dropped)
	}
}

// A queue whose lines come in bursts keeps its memory from one to the next, and gives
// it back when there are none any more.
func TestQueueBursts(t *testing.T) {
	p := &pump{limit: 8 << 20, wake: make(chan struct{}, 1)}
	line := bytes.Repeat([]byte("b"), 1<<10)
	var batch []byte
	burst := func() {
		for range 4 << 10 {
			p.Write(line)
		}
		for range 3 { // the rest of it, and then nothing
			batch, _ = p.swap(batch)
		}
	}
	burst()
	burst() // both halves have grown
	if n := testing.AllocsPerRun(20, burst); n != 0 {
		t.Errorf("%v allocations in a burst", n)
	}
	for range 2 * (patience + 1) {
		batch, _ = p.swap(batch)
	}
	if n := cap(batch) + cap(p.filling); n > 2*keepLen {
		t.Errorf("%d octets are kept for nothing", n)
	}
}
