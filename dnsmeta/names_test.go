package dnsmeta

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"unsafe"

	"mirrorscope/packet"
)

func TestNames(t *testing.T) {
	host, alice, bob := addr("192.0.2.1"), addr("10.0.0.1"), addr("10.0.0.2")
	said := func(name string, asker packet.Addr, ttl uint32, at int64) Answer {
		return Answer{Addr: host, Asker: asker, Name: name, TTL: ttl, At: at}
	}
	hold := int64(MinTTL + Grace)
	for _, tc := range []struct {
		name  string
		learn []Answer
		asker packet.Addr
		at    int64
		want  string
	}{
		{"nothing is known", nil, alice, 0, ""},
		{"when it was learned", []Answer{said("a", alice, 0, 5)}, alice, 5, "a"},
		{"never before", []Answer{said("a", alice, 0, 5)}, alice, 4, ""},
		{"to the end of the shortest time", []Answer{said("a", alice, 0, 5)}, alice, 5 + hold, "a"},
		{"not longer", []Answer{said("a", alice, 0, 5)}, alice, 6 + hold, ""},
		{"to the end of a longer one", []Answer{said("a", alice, 3600, 5)}, alice, 5 + 3600*s + Grace, "a"},
		{"told to another", []Answer{said("a", alice, 0, 5)}, bob, 5, "a"},
		{"each what it was told", []Answer{said("a", alice, 0, 5), said("b", bob, 0, 6)}, alice, 7, "a"},
		{"a stranger the latest", []Answer{said("a", alice, 0, 5), said("b", bob, 0, 6)}, packet.Addr{}, 7, "b"},
		{"the latest at that time", []Answer{said("a", alice, 0, 5), said("b", bob, 0, 8)}, packet.Addr{}, 7, "a"},
		{"the latest of one's own", []Answer{said("a", alice, 0, 5), said("b", alice, 0, 8)}, alice, 9, "b"},
		{"the one before", []Answer{said("a", alice, 0, 5), said("b", alice, 0, 8)}, alice, 7, "a"},
		{"of one moment the one learned last", []Answer{said("a", alice, 0, 5), said("b", alice, 0, 5)}, alice, 7, "b"},
		{"renewed in time", []Answer{said("a", alice, 0, 5), said("b", bob, 0, 6), said("a", alice, 0, hold)}, alice, 2 * hold, "a"},
		{"it held between, too", []Answer{said("a", alice, 0, 5), said("a", alice, 0, hold)}, alice, hold - 1, "a"},
		{"renewed too late", []Answer{said("a", alice, 0, 5), said("a", alice, 0, 3*hold)}, alice, 2 * hold, ""},
		{"learned out of order", []Answer{said("a", alice, 0, 9), said("a", alice, 0, 5)}, alice, 6, "a"},
		{"the oldest of five leaves", []Answer{said("a", alice, 0, 1), said("b", alice, 0, 2), said("c", alice, 0, 3), said("d", alice, 0, 4), said("e", alice, 0, 5)}, alice, 1, ""},
		{"one that ended leaves first", []Answer{said("a", alice, 9999, 1), said("b", alice, 0, 2), said("c", alice, 9999, 3), said("d", alice, 9999, 4), said("e", alice, 0, 2*hold)}, alice, 2, "a"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := NewNames(0)
			for k := range tc.learn {
				n.Learn(&tc.learn[k], 3)
			}
			got, ok := n.Lookup(3, host, tc.asker, tc.at)
			if got != tc.want || ok != (tc.want != "") {
				t.Errorf("got %q, %v, want %q", got, ok, tc.want)
			}
			if other, ok := n.Lookup(4, host, tc.asker, tc.at); ok {
				t.Errorf("another network has %q", other)
			}
		})
	}
}

// plainNames is Names as a list that is looked at from end to end. It knows no
// bound but that of versions.
type plainNames struct{ list []learned }

type learned struct {
	version
	host
}

func (p *plainNames) learn(a *Answer, network packet.NetworkID) {
	h := host{a.Addr, network}
	v := version{a.Name, a.Asker, a.At, a.At + max(int64(a.TTL), 60)*s + 300*s}
	of, first, ended := 0, -1, -1
	for k := 0; k < len(p.list); k++ {
		o := p.list[k]
		if o.host != h {
			continue
		}
		if o.name == v.name && o.asker == v.asker && v.at <= o.until && o.at <= v.until {
			v.at, v.until = min(v.at, o.at), max(v.until, o.until)
			p.list = append(p.list[:k:k], p.list[k+1:]...)
			break
		}
	}
	for k, o := range p.list {
		if o.host != h {
			continue
		}
		of++
		if first < 0 {
			first = k
		}
		if o.until < a.At && (ended < 0 || o.until < p.list[ended].until) {
			ended = k
		}
	}
	if of == versions {
		if ended >= 0 {
			first = ended
		}
		p.list = append(p.list[:first:first], p.list[first+1:]...)
	}
	p.list = append(p.list, learned{v, h})
}

func (p *plainNames) lookup(network packet.NetworkID, a, asker packet.Addr, at int64) string {
	for _, own := range []bool{true, false} {
		name, began := "", int64(math.MinInt64)
		for _, o := range p.list {
			if o.host == (host{a, network}) && (o.asker == asker || !own) && o.at <= at && at <= o.until && o.at >= began {
				name, began = o.name, o.at
			}
		}
		if name != "" {
			return name
		}
	}
	return ""
}

func TestNamesModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		n, p := NewNames(0), &plainNames{}
		at := int64(0)
		for range 200 {
			at += r.Int64N(60 * s)
			a := Answer{
				Addr: packet.Addr{15: byte(r.IntN(4))}, Asker: packet.Addr{15: byte(r.IntN(3))}, Name: fmt.Sprint("n", r.IntN(4)),
				TTL: r.Uint32N(200), At: at - r.Int64N(20*s),
			}
			network := packet.NetworkID(r.IntN(2))
			n.Learn(&a, network)
			p.learn(&a, network)
			if r.IntN(20) == 0 {
				before := at - r.Int64N(600*s)
				n.Sweep(before)
				kept := p.list[:0]
				for _, o := range p.list {
					if o.until >= before {
						kept = append(kept, o)
					}
				}
				p.list = kept
			}
			for range 5 {
				host, asker, when := packet.Addr{15: byte(r.IntN(4))}, packet.Addr{15: byte(r.IntN(3))}, at+r.Int64N(900*s)-600*s
				got, _ := n.Lookup(network, host, asker, when)
				if want := p.lookup(network, host, asker, when); got != want {
					t.Fatalf("seed %d: %q, want %q", seed, got, want)
				}
			}
		}
	}
}

func TestNamesBounds(t *testing.T) {
	n := NewNames(100)
	learn := func(k int, name string, at int64) {
		n.Learn(&Answer{Addr: packet.Addr{14: byte(k >> 8), 15: byte(k)}, Name: name, At: at}, 0)
	}
	for k := range 150 {
		learn(k, "a.example", int64(k))
		learn(0, "zero.example", int64(k)) // learned again and again
	}
	has := func(k int) bool {
		_, ok := n.Lookup(0, packet.Addr{14: byte(k >> 8), 15: byte(k)}, packet.Addr{}, 149)
		return ok
	}
	if n.Len() != 100 || n.Forgotten != 50 || !has(0) || has(1) || has(50) || !has(51) || !has(149) {
		t.Errorf("%d addresses, %d forgotten, first %v, 50 %v, 51 %v", n.Len(), n.Forgotten, has(0), has(50), has(51))
	}
	n.Sweep(int64(MinTTL+Grace) + 100) // all that was learned before 100, or only then
	if n.Len() != 51 || has(99) || !has(100) || !has(0) || n.Forgotten != 50 {
		t.Errorf("%d addresses after the sweep, %d forgotten", n.Len(), n.Forgotten)
	}
	if slots := len(n.slots); slots > 102 {
		t.Errorf("%d slots", slots)
	}
	n.Sweep(1 << 62)
	if n.Len() != 0 || n.octets != 0 || n.oldest != 0 || n.latest != 0 {
		t.Errorf("%d addresses, %d octets", n.Len(), n.octets)
	}
	// Long names cost addresses.
	long := string(make([]byte, maxName))
	for k := range 100 {
		learn(k, long, 0)
	}
	if n.octets > 100*octetsPerAddr || n.Len() != 100*octetsPerAddr/maxName {
		t.Errorf("%d octets of %d addresses", n.octets, n.Len())
	}
	learn(200, long+"x", 0)
	if has(200) {
		t.Error("a name of more than 255 octets was learned")
	}
}

func TestNamesConcurrent(t *testing.T) {
	n := NewNames(0)
	for k := range 1000 {
		n.Learn(&Answer{Addr: packet.Addr{14: byte(k >> 8), 15: byte(k)}, Name: "a"}, 0)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for k := range 2000 {
				n.Lookup(0, packet.Addr{14: byte(k >> 8), 15: byte(k)}, packet.Addr{}, 1)
			}
		})
	}
	wg.Wait()
}

func BenchmarkNames(b *testing.B) {
	answers := make([]Answer, 1<<12)
	for k := range answers {
		answers[k] = Answer{Addr: packet.Addr{14: byte(k >> 8), 15: byte(k)}, Asker: client, Name: "shop.example", TTL: 60}
	}
	b.Run("Learn", func(b *testing.B) {
		n := NewNames(0)
		b.ReportAllocs()
		for k := range b.N {
			n.Learn(&answers[k&(1<<12-1)], 0)
		}
	})
	b.Run("Lookup", func(b *testing.B) {
		n := NewNames(0)
		for k := range answers {
			n.Learn(&answers[k], 0)
		}
		b.ReportAllocs()
		for k := range b.N {
			n.Lookup(0, answers[k&(1<<12-1)].Addr, client, 1)
		}
	})
	b.Logf("%d octets for each address, %d for the index", unsafe.Sizeof(slot{}), unsafe.Sizeof(host{})+4)
}
