package cloud

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mirrorscope/unit"
)

// scripted is a Source that does what it is told.
type scripted struct {
	name  string
	fetch func(context.Context) (*Snapshot, error)

	mu    sync.Mutex
	began []time.Time
	under atomic.Int32 // looks under way
}

func (s *scripted) Name() string { return s.name }

func (s *scripted) Fetch(ctx context.Context) (*Snapshot, error) {
	if s.under.Add(1) > 1 {
		panic("two looks at once")
	}
	defer s.under.Add(-1)
	s.mu.Lock()
	s.began = append(s.began, time.Now())
	s.mu.Unlock()
	return s.fetch(ctx)
}

func (s *scripted) times() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.began)
}

// logbook keeps the lines of a log.
type logbook struct {
	mu    sync.Mutex
	lines []string
}

func (l *logbook) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	return len(b), nil
}

func (l *logbook) count(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

// kept collects what a Keeper hands on.
type kept struct {
	mu   sync.Mutex
	list []*Snapshot
}

func (k *kept) add(s *Snapshot) { k.mu.Lock(); k.list = append(k.list, s); k.mu.Unlock() }

func (k *kept) all() []*Snapshot { k.mu.Lock(); defer k.mu.Unlock(); return slices.Clone(k.list) }

func config(dir string) Config {
	c := DefaultConfig()
	c.Directory = dir
	return c
}

// keeper makes one that runs until stop.
func keeper(t *testing.T, c Config, sources ...Source) (k *Keeper, got *kept, log *logbook, stop func()) {
	t.Helper()
	got, log = new(kept), new(logbook)
	k, err := NewKeeper(c, sources, got.add, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	k.Load()
	go func() { k.Run(ctx); close(ended) }()
	return k, got, log, func() { cancel(); <-ended }
}

func some(id string) *Snapshot {
	return &Snapshot{Interfaces: []Interface{{ID: id, Network: Named{ID: "vpc"}, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Instance: "i-" + id}}}
}

// TestKeeperPeriod: a full look at the start, then each period give or take a
// tenth, never two at once though a look takes longer than a period.
func TestKeeperPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick := &scripted{name: "quick", fetch: func(context.Context) (*Snapshot, error) { return some("a"), nil }}
		slow := &scripted{name: "slow", fetch: func(ctx context.Context) (*Snapshot, error) { time.Sleep(time.Minute); return some("b"), nil }}
		c := config("")
		c.Period = unit.Duration(30 * time.Second)
		start := time.Now()
		k, got, _, stop := keeper(t, c, quick, slow)
		time.Sleep(time.Hour)
		synctest.Wait()
		stop()
		if at := quick.times()[0]; !at.Equal(start) {
			t.Errorf("first look after %v", at.Sub(start))
		}
		apart := map[time.Duration]bool{}
		for i, at := range quick.times()[1:] {
			d := at.Sub(quick.times()[i])
			apart[d] = true
			if d < 27*time.Second || d > 33*time.Second {
				t.Errorf("looks %v apart", d)
			}
		}
		if len(apart) < 10 {
			t.Errorf("%d different periods in %d: no jitter", len(apart), len(quick.times()))
		}
		for i, at := range slow.times()[1:] {
			if d := at.Sub(slow.times()[i]); d < 87*time.Second {
				t.Errorf("a look began %v after one that takes a minute", d)
			}
		}
		if n := len(got.all()); n < len(quick.times())+len(slow.times())-2 {
			t.Errorf("%d handed on", n)
		}
		for _, s := range k.States() {
			if s.Err != nil || s.Interfaces != 1 || s.Failures != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

// TestKeeperFailure: what was last known stays, with its age; it is tried again
// after ever longer; the log is told once for each change; another source has no
// part in it.
func TestKeeperFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failing atomic.Pointer[Trouble]
		s := &scripted{name: "aws/1/eu", fetch: func(context.Context) (*Snapshot, error) {
			if err := failing.Load(); err != nil {
				return nil, err
			}
			return some("a"), nil
		}}
		other := &scripted{name: "aws/2/eu", fetch: func(context.Context) (*Snapshot, error) { return some("b"), nil }}
		k, got, log, stop := keeper(t, config(""), s, other)
		defer stop()
		time.Sleep(time.Minute)
		failing.Store(&Trouble{Doing: "describe instances", Err: errors.New("not authorized"), Mend: "allow it"})
		handed := len(got.all())
		time.Sleep(15 * time.Minute)
		synctest.Wait()
		st := k.States()[0]
		age, ok := st.Age(time.Now())
		if !ok || age < 14*time.Minute || age > 17*time.Minute {
			t.Errorf("age %v, %v after failures since %d attempts", age, ok, st.Failures)
		}
		if st.Err == nil || Mend(st.Err) != "allow it" || st.Interfaces != 1 || st.Failures < 4 || st.Next.IsZero() {
			t.Errorf("%+v", st)
		}
		for _, snap := range got.all()[handed:] {
			if snap.Source == "aws/1/eu" {
				t.Error("something was handed on while nothing could be read")
			}
		}
		times := s.times()
		var waits []time.Duration
		for i := range times[1:] {
			waits = append(waits, times[i+1].Sub(times[i]))
		}
		// One period, the failure, then 15 s, 30 s, 1 min, 2 min, 4 min, give or take a tenth.
		for i, want := range []time.Duration{5 * time.Minute, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute} {
			if d := waits[i] - want; d.Abs() > want/10 {
				t.Errorf("wait %d was %v, want %v", i, waits[i], want)
			}
		}
		if n := log.count("not authorized"); n != 1 {
			t.Errorf("the log was told %d times", n)
		}
		failing.Store(&Trouble{Doing: "describe instances", Err: errors.New("throttled")})
		time.Sleep(20 * time.Minute)
		if st := k.States()[0]; st.Err.Error() != "describe instances: throttled" {
			t.Errorf("%v", st.Err)
		}
		failing.Store(nil)
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if a, b, c := log.count("not authorized"), log.count("throttled"), log.count("works again"); a != 1 || b != 1 || c != 1 {
			t.Errorf("the log was told %d, %d and %d times", a, b, c)
		}
		if st := k.States(); st[0].Err != nil || st[0].Failures != 0 || st[1].Err != nil {
			t.Errorf("%+v", st)
		}
	})
}

// TestKeeperRestart: a restart without the API has the names that were last known.
func TestKeeperRestart(t *testing.T) {
	dir := t.TempDir()
	var taken time.Time
	synctest.Test(t, func(t *testing.T) {
		_, got, _, stop := keeper(t, config(dir), &scripted{name: "aws/1/eu", fetch: func(context.Context) (*Snapshot, error) { return full(""), nil }})
		synctest.Wait()
		stop()
		taken = got.all()[0].Taken
	})
	if err := os.WriteFile(filepath.Join(dir, "snapshot-broken.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Hour)
		down := func(context.Context) (*Snapshot, error) { return nil, errors.New("connection refused") }
		k, got, log, stop := keeper(t, config(dir), &scripted{name: "aws/1/eu", fetch: down}, &scripted{name: "aws/2/eu", fetch: down}, &scripted{name: "broken", fetch: down})
		synctest.Wait()
		stop()
		list := got.all()
		if len(list) != 1 || list[0].Source != "aws/1/eu" || list[0].Instances[0].Name != "web" || !list[0].Taken.Equal(taken) {
			t.Fatalf("%d from disk", len(list))
		}
		st := k.States()
		if !st[0].FromDisk || st[0].Err == nil || st[0].Interfaces != 1 || !st[0].Taken.Equal(taken) {
			t.Errorf("%+v", st[0])
		}
		if _, ok := st[1].Age(time.Now()); ok {
			t.Error("what was never known has an age")
		}
		if log.count("cannot be read; it is asked for anew") != 1 {
			t.Errorf("of the broken file the log knows: %q", log.lines)
		}
	})
}

// TestKeeperHostile: nothing that a source does ends anything else.
func TestKeeperHostile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		many := &Snapshot{Interfaces: make([]Interface, 11)}
		c := config(filepath.Join(t.TempDir(), "nowhere"))
		c.MaxInterfaces = 10
		k, got, log, stop := keeper(t, c,
			&scripted{name: "panics", fetch: func(context.Context) (*Snapshot, error) { panic("a list without an end") }},
			&scripted{name: "hangs", fetch: func(ctx context.Context) (*Snapshot, error) {
				<-ctx.Done()
				return nil, fmt.Errorf("request 7f3a: %w", ctx.Err())
			}},
			&scripted{name: "nil", fetch: func(context.Context) (*Snapshot, error) { return nil, nil }},
			&scripted{name: "many", fetch: func(context.Context) (*Snapshot, error) { return many, nil }},
			&scripted{name: "good", fetch: func(context.Context) (*Snapshot, error) { return some("a"), nil }})
		time.Sleep(11 * time.Minute)
		synctest.Wait()
		stop()
		for i, want := range []string{"a list without an end", "no full answer within 2m", "no answer", "cloud.max_interfaces is 10", ""} {
			if err := k.States()[i].Err; (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", k.States()[i].Source, err, want)
			}
		}
		for _, snap := range got.all() {
			if snap.Source != "good" {
				t.Errorf("%s was handed on", snap.Source)
			}
		}
		// The directory is not there: names hold all the same, and the log is told once.
		if st := k.States()[4]; st.Unsaved == nil || log.count("is not kept on disk") != 1 {
			t.Errorf("%v; told %d times", st.Unsaved, log.count("is not kept on disk"))
		}
	})
}

// TestKeeperPartial: what did not answer does not vanish; what did answer is new; and
// it is tried again soon.
func TestKeeperPartial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(zone, id string) Interface {
			return Interface{ID: id, Zone: zone, Region: "r", Instance: "m-" + id}
		}
		both := &Snapshot{
			Interfaces: []Interface{in("a", "1"), in("b", "2"), in("", "rule")},
			Instances:  []Instance{{ID: "m-1"}, {ID: "m-2"}, {ID: "m-gone"}},
		}
		half := func(partial ...string) *Snapshot {
			return &Snapshot{Interfaces: []Interface{in("a", "3")}, Instances: []Instance{{ID: "m-3"}}, Partial: partial}
		}
		answers := []*Snapshot{both, half("b"), half("b", "r"), half()}
		s := &scripted{name: "gcp/p"}
		s.fetch = func(context.Context) (*Snapshot, error) { return answers[min(len(s.times()), len(answers))-1], nil }
		k, got, log, stop := keeper(t, config(t.TempDir()), s)
		defer stop()
		for len(s.times()) < 2 {
			time.Sleep(time.Second)
		}
		synctest.Wait()
		if st := k.States()[0]; st.Err == nil || st.Err.Error() != "no answer from b: what was last known there stays" || st.Taken.Before(time.Now().Add(-2*time.Minute)) {
			t.Errorf("%+v", st)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		var ids []string
		for _, snap := range got.all()[:4] {
			text := ""
			for _, n := range snap.Interfaces {
				text += n.ID + " "
			}
			for _, m := range snap.Instances {
				text += m.ID + " "
			}
			ids = append(ids, text)
		}
		want := []string{"1 2 rule m-1 m-2 m-gone ", "3 2 m-3 m-2 ", "3 2 m-3 m-2 ", "3 m-3 "}
		if !slices.Equal(ids, want) {
			t.Errorf("got %q, want %q", ids, want)
		}
		if st := k.States()[0]; st.Err != nil || log.count("no answer from b") != 2 || log.count("works again") != 1 {
			t.Errorf("%+v; %q", st, log.lines)
		}
	})
}

func TestKeeperRefuses(t *testing.T) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	twice := []Source{&scripted{name: "a"}, &scripted{name: "a"}}
	if _, err := NewKeeper(config(""), twice, nil, log); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("the same name twice: %v", err)
	}
	bad := Config{Period: unit.Duration(time.Second)}
	err := bad.Validate()
	for _, want := range []string{"period: 1s", "timeout: 0s", "max_interfaces: 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate lacks %q: %v", want, err)
		}
	}
}

// pushing is a Watcher.
type pushing struct {
	scripted
	watch func(context.Context, func(*Snapshot)) error
}

// TestKeeperWatchDisk: what comes every second is not written every second, and the
// last of it is there in the end.
func TestKeeperWatchDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		written := map[time.Time]bool{}
		p := &pushing{scripted: scripted{name: "kubernetes/prod"}, watch: func(ctx context.Context, push func(*Snapshot)) error {
			for n := range 300 {
				push(some(fmt.Sprint(n)))
				if snap, err := (Store{dir}).Load("kubernetes/prod"); err == nil && snap != nil {
					written[snap.Taken] = true
				}
				time.Sleep(time.Second)
			}
			<-ctx.Done()
			return ctx.Err()
		}}
		_, _, _, stop := keeper(t, config(dir), p)
		time.Sleep(10 * time.Minute)
		stop()
		if n := len(written); n < 5 || n > 6 {
			t.Errorf("written %d times in 5 minutes", n)
		}
	})
	if snap, err := (Store{dir}).Load("kubernetes/prod"); err != nil || snap.Interfaces[0].ID != "299" {
		t.Errorf("in the end %+v, %v", snap, err)
	}
}

func (p *pushing) Watch(ctx context.Context, push func(*Snapshot)) error { return p.watch(ctx, push) }

// TestKeeperWatch: what a source tells by itself is handed on as it comes, and it is
// watched again after an error.
func TestKeeperWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		p := &pushing{scripted: scripted{name: "kubernetes/prod"}, watch: func(ctx context.Context, push func(*Snapshot)) error {
			push(some("a"))
			if calls.Add(1) == 1 {
				return errors.New("unauthorized")
			}
			time.Sleep(time.Minute)
			push(some("b"))
			<-ctx.Done()
			return ctx.Err()
		}}
		k, got, log, stop := keeper(t, config(""), p)
		time.Sleep(10 * time.Second)
		if st := k.States()[0]; st.Err == nil || st.Interfaces != 1 {
			t.Errorf("%+v", st)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if st := k.States()[0]; st.Err != nil || st.Interfaces != 1 {
			t.Errorf("%+v", st)
		}
		stop()
		if n := len(got.all()); n != 3 || calls.Load() != 2 || log.count("unauthorized") != 1 {
			t.Errorf("%d handed on in %d calls; %q", n, calls.Load(), log.lines)
		}
	})
}

// TestKeeperHomes: pods get the network of their machine, whichever comes first; the
// addresses of services that of all machines.
func TestKeeperHomes(t *testing.T) {
	machine := func(id, network string) Interface {
		return Interface{ID: "eni-" + id, Instance: id, Network: Named{ID: network}}
	}
	clusters := []Interface{
		{ID: "pod-1", Instance: "i-1"}, {ID: "pod-2", Instance: "i-2"}, {ID: "pod-lost", Instance: "i-9"}, {ID: "service"},
	}
	for _, tc := range []struct {
		name     string
		machines []Interface
		want     string
	}{
		{"no cloud", nil, "   "},
		{"one network", []Interface{machine("i-1", "vpc-1"), machine("i-2", "vpc-1")}, "vpc-1 vpc-1  vpc-1"},
		{"two networks", []Interface{machine("i-1", "vpc-1"), machine("i-2", "vpc-2")}, "vpc-1 vpc-2  "},
		{"a machine in two", []Interface{machine("i-1", "vpc-1"), machine("i-1", "vpc-2"), machine("i-2", "vpc-2")}, " vpc-2  vpc-2"},
	} {
		for _, first := range []string{"cloud", "cluster"} {
			t.Run(tc.name+", "+first+" first", func(t *testing.T) {
				var latest *Snapshot
				k, err := NewKeeper(config(""), []Source{&scripted{name: "cloud"}, &scripted{name: "cluster"}}, func(s *Snapshot) {
					if s.Source == "cluster" {
						latest = s
					}
				}, slog.New(slog.NewTextHandler(io.Discard, nil)))
				if err != nil {
					t.Fatal(err)
				}
				give := func(name string) {
					for _, p := range k.parts {
						if p.state.Source == name {
							list := tc.machines
							if name == "cluster" {
								list = clusters
							}
							if err := k.took(p, &Snapshot{Interfaces: list}, time.Now()); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
				give(first)
				give(map[string]string{"cloud": "cluster", "cluster": "cloud"}[first])
				var ids []string
				for _, n := range latest.Interfaces {
					ids = append(ids, n.Network.ID)
				}
				if got := strings.Join(ids, " "); got != tc.want {
					t.Errorf("networks are %q, want %q", got, tc.want)
				}
				if clusters[0].Network.ID != "" {
					t.Error("what came was changed")
				}
			})
		}
	}
}

// TestKeeperEmptied: an answer that holds nothing is believed when it comes again.
func TestKeeperEmptied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []*Snapshot{some("a"), {}, some("b"), {}, {}, {}, some("c")}
		n := 0
		s := &scripted{name: "s", fetch: func(context.Context) (*Snapshot, error) {
			n++
			return answers[min(n, len(answers))-1], nil
		}}
		k, got, log, stop := keeper(t, config(""), s)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		var ids []string
		for _, snap := range got.all()[:5] {
			id := ""
			for _, i := range snap.Interfaces {
				id += i.ID
			}
			ids = append(ids, id)
		}
		if want := []string{"a", "b", "", "", "c"}; !slices.Equal(ids, want) {
			t.Errorf("handed on %q, want %q", ids, want)
		}
		if st := k.States()[0]; st.Interfaces != 1 || st.Err != nil {
			t.Errorf("in the end %+v", st)
		}
		if c := log.count("the answer holds no interface, and 1 were known"); c != 2 {
			t.Errorf("the log tells %d times that nothing is there, want 2", c)
		}
		stop()
	})
}
