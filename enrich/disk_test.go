package enrich

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorscope/packet"
)

// resolver makes one that knows nothing of services.
func resolver(t testing.TB) *Resolver {
	t.Helper()
	c := DefaultConfig()
	c.Service = nil
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return New(c)
}

// A history that was saved and loaded answers as before, goes on as if nothing had
// been, and is saved as the same octets.
func TestHistoryOnDisk(t *testing.T) {
	s := Store{t.TempDir()}
	for seed := range uint64(20) {
		w := world{rand.New(rand.NewPCG(seed, 1))}
		before := resolver(t)
		name := "aws/1/eu-central-1"
		l := before.Layer(name, RankCloud)
		now := int64(100)
		var list []Entry
		step := func(layers ...*Layer) {
			now += int64(w.IntN(10))
			for range 3 {
				list = append(list, w.entry(now))
			}
			if w.IntN(2) == 0 {
				list = slices.Delete(list, 0, 1)
			}
			for _, l := range layers {
				l.Update(now, list)
			}
		}
		for range 10 {
			step(l)
		}
		if err := s.Save(l); err != nil {
			t.Fatal(err)
		}
		after := resolver(t)
		m, err := s.LoadOne(after, name)
		if err != nil || m == nil {
			t.Fatal(m, err)
		}
		if m.Rank() != RankCloud || m.Stats().Versions != l.Stats().Versions || m.Stats().Entries != l.Stats().Entries || !m.Stats().Seen.Equal(l.Stats().Seen) {
			t.Errorf("loaded %+v, saved %+v", m.Stats(), l.Stats())
		}
		for range 10 {
			step(l, m)
			for range 50 {
				addr, network, at := packet.AddrFrom(w.addr()), w.network(), now-int64(w.IntN(100))
				if a, b := before.Side(network, addr, true, 81, 6, at), after.Side(network, addr, true, 81, 6, at); !a.Equal(b) {
					t.Fatalf("seed %d: %v after loading, %v without", seed, b, a)
				}
			}
		}
		if a, b := l.encode(), m.encode(); !bytes.Equal(a, b) {
			t.Errorf("seed %d: the two differ on disk", seed)
		}
	}
}

// What is damaged is an error that says what to do, and the others are there.
func TestHistoryDamaged(t *testing.T) {
	dir := t.TempDir()
	s := Store{dir}
	r := resolver(t)
	for _, name := range []string{"aws/1/a", "aws/1/b", "aws/1/c", "aws/1/d"} {
		l := r.Layer(name, RankCloud)
		l.Update(10, []Entry{entry("10.0.0.1/32", "", "host", name)})
		if err := s.Save(l); err != nil {
			t.Fatal(err)
		}
	}
	change := func(name string, with func([]byte) []byte) {
		t.Helper()
		b, err := os.ReadFile(s.Path(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.Path(name), with(b), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	change("aws/1/a", func(b []byte) []byte { b[len(b)-3] ^= 1; return b })
	change("aws/1/b", func(b []byte) []byte { return b[:len(b)-1] })
	change("aws/1/c", func(b []byte) []byte { return bytes.Replace(b, []byte("history 1"), []byte("history 7"), 1) })
	if err := os.WriteFile(filepath.Join(dir, "history-x.bin.new"), []byte("left by a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := resolver(t)
	layers, err := s.Load(again)
	if len(layers) != 1 || layers[0].Name() != "aws/1/d" {
		t.Errorf("%d layers", len(layers))
	}
	if !errors.Is(err, ErrHistory) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{"it is damaged", "it is cut", `version "7", and this program reads "1"`, "remove it", "history-aws%2F1%2Fa.bin"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %q in %v", want, err)
		}
	}
	if got := again.Side("", addr("10.0.0.1"), false, 0, 0, 50).Get("host"); got != "aws/1/d" {
		t.Errorf("host %q", got)
	}
	if l, err := s.LoadOne(again, "aws/1/e"); l != nil || err != nil {
		t.Errorf("of what is not there: %v, %v", l, err)
	}
	if _, err := (Store{filepath.Join(dir, "none")}).Load(again); err == nil {
		t.Error("a directory that is not there is no error")
	}
}

// FuzzHistory has whatever a file may hold read: it is refused, or the Layer of it can
// be asked and saved again as the same.
func FuzzHistory(f *testing.F) {
	w := world{rand.New(rand.NewPCG(3, 1))}
	for n := range 4 {
		l := resolver(f).Layer("aws/1/a", RankCloud)
		for i := range n + 1 {
			l.Update(int64(100*i), []Entry{w.entry(int64(100 * i)), w.entry(int64(100 * i)), w.entry(0)})
		}
		f.Add(l.encode()[len(historyFormat+historyVersion)+8:])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		h, err := decodeBody(body)
		if err != nil {
			if h != nil || !errors.Is(err, ErrHistory) {
				t.Errorf("%v with %v", h, err)
			}
			return
		}
		again, err := decode(h.encode())
		if err != nil || len(again.store) != len(h.store) || again.source != h.source || again.rank != h.rank || again.seen != h.seen {
			t.Fatalf("%+v is another after saving: %+v, %v", h, again, err)
		}
		r := resolver(t)
		l := r.Layer(h.source, h.rank)
		l.load(h)
		l.Update(h.seen, nil)
		for p, versions := range h.store {
			for _, v := range versions {
				r.Side(p.network, packet.AddrFrom(p.prefix.Addr()), true, p.ports[0], p.proto, v.from)
			}
		}
	})
}
