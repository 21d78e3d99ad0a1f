package enrich

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"mirrorscope/packet"
)

// model is a Layer as a list: what each Update said, kept for ever.
type model struct {
	updates []update
}

type update struct {
	at      int64
	entries []Entry
}

// span is when an entry held, as the model has it.
type span struct {
	Entry
	from, to int64
}

// spans works out what held when, from all updates, place by place.
func (m *model) spans() (all []span) {
	open := map[place]int{} // index in all
	seen := int64(0)
	ended := map[place]int64{}
	for i, u := range m.updates {
		now := map[place]Entry{}
		for _, e := range u.entries {
			p, ok := e.place()
			if _, twice := now[p]; ok && !twice {
				now[p] = e
			}
		}
		for p, k := range open {
			e, still := now[p]
			switch {
			case !still:
				all[k].to = u.at
			case e.Tags.Equal(all[k].Tags):
				continue
			default:
				all[k].to = u.at
				if since := min(e.Since, u.at); e.Since != 0 && since > seen {
					all[k].to = since
				}
			}
			ended[p] = all[k].to
			delete(open, p)
			if still {
				open[p] = len(all)
				all = append(all, span{e, all[k].to, forever})
			}
		}
		for p, e := range now {
			if _, ok := open[p]; ok {
				continue
			}
			from := u.at
			if e.Since != 0 {
				from = min(e.Since, u.at)
			} else if i == 0 {
				from = ever
			}
			if t, was := ended[p]; was {
				from = max(from, t)
			}
			open[p] = len(all)
			all = append(all, span{e, from, forever})
		}
		seen = u.at
	}
	return all
}

// find is a linear scan for the entries that a question is answered by, the best one
// first.
func find(all []span, q *query, network string, ports bool) (list []span) {
	for _, s := range all {
		p, _ := s.place()
		if (p.ports != [2]uint16{}) != ports || p.network != "" && p.network != network || !p.prefix.Contains(q.addr) ||
			q.at < s.from || q.at >= s.to {
			continue
		}
		if ports && (!q.server || q.port < p.ports[0] || q.port > p.ports[1] || p.proto != 0 && p.proto != q.proto) {
			continue
		}
		list = append(list, s)
	}
	own := func(p place) int {
		if p.network != "" {
			return 0
		}
		return 1
	}
	slices.SortFunc(list, func(a, b span) int {
		p, _ := a.place()
		o, _ := b.place()
		return cmp.Or(-cmp.Compare(p.prefix.Bits(), o.prefix.Bits()), cmp.Compare(own(p), own(o)),
			cmp.Compare(p.ports[1]-p.ports[0], o.ports[1]-o.ports[0]), cmp.Compare(p.ports[0], o.ports[0]), -cmp.Compare(p.proto, o.proto))
	})
	return list
}

// networks are those that have the address at the time.
func networks(all []span, q *query) (list []string) {
	for _, s := range all {
		p, _ := s.place()
		if p.network != "" && p.prefix.Contains(q.addr) && q.at >= s.from && q.at < s.to && !slices.Contains(list, p.network) &&
			(p.ports == [2]uint16{} || q.server && p.ports[0] <= q.port && q.port <= p.ports[1] && (p.proto == 0 || p.proto == q.proto)) {
			list = append(list, p.network)
		}
	}
	return list
}

// answer is what the Resolver should say: layers from the highest rank.
func answer(layers []*model, q query, across bool) *Tags {
	var spans [][]span
	is := false
	for _, m := range layers {
		s := m.spans()
		spans = append(spans, s)
		is = is || slices.ContainsFunc(s, func(s span) bool { return q.network != "" && s.Network == q.network })
	}
	network := q.network
	var found []string
	for _, s := range spans {
		for _, n := range networks(s, &q) {
			if !slices.Contains(found, n) {
				found = append(found, n)
			}
		}
	}
	if !is || across && !slices.Contains(found, q.network) {
		network = ""
		if len(found) == 1 {
			network = found[0]
		}
	}
	var list []Tag
	has := map[string]bool{}
	add := func(t *Tags) {
		keys := map[string]bool{}
		for tag := range t.All() {
			if !has[tag.Key] {
				list = append(list, tag)
				keys[tag.Key] = true
			}
		}
		for k := range keys {
			has[k] = true
		}
	}
	for i, s := range spans {
		for _, ports := range []bool{true, false} {
			found := find(s, &q, network, ports)
			if len(found) > 1 && i < 2 {
				found = found[:1] // of an inventory the longest prefix alone counts
			}
			for _, f := range found {
				add(f.Tags)
			}
		}
	}
	return NewTags(list)
}

// world makes random entries over few addresses, so that they meet.
type world struct{ *rand.Rand }

func (w world) network() string { return []string{"", "", "vpc-a", "vpc-b", "vpc-c"}[w.IntN(5)] }

func (w world) addr() netip.Addr {
	if w.IntN(4) == 0 {
		return netip.AddrFrom16([16]byte{0xfd, 15: byte(w.IntN(4))})
	}
	return netip.AddrFrom4([4]byte{10, 0, byte(w.IntN(2)), byte(w.IntN(4))})
}

func (w world) tags() *Tags {
	var list []Tag
	for range 1 + w.IntN(3) {
		list = append(list, Tag{[]string{"a", "b", "security_group"}[w.IntN(3)], fmt.Sprint(w.IntN(4))})
	}
	return NewTags(list)
}

func (w world) entry(now int64) Entry {
	a := w.addr()
	bits := a.BitLen() - []int{0, 0, 0, 1, 2, 8, 16}[w.IntN(7)]
	e := Entry{Network: w.network(), Prefix: netip.PrefixFrom(a, bits), Tags: w.tags()}
	if w.IntN(8) == 0 {
		e.Prefix = netip.PrefixFrom(netip.AddrFrom16(a.As16()), 128-a.BitLen()+bits) // IPv4 in its mapped form
	}
	if w.IntN(3) == 0 {
		low := uint16(80 + w.IntN(3))
		e.Ports, e.Proto = [2]uint16{low, low + uint16(w.IntN(3))}, []uint8{0, 6, 17}[w.IntN(3)]
	}
	if w.IntN(3) == 0 {
		e.Since = max(now-int64(w.IntN(20))+3, 1)
	}
	return e
}

// A Layer with history, and several of them, give what a linear scan over all that
// was ever said gives, for any time and network.
func TestModel(t *testing.T) {
	lookups, named, ambiguous := 0, 0, uint64(0)
	seeds := uint64(150)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		w := world{rand.New(rand.NewPCG(seed, 7))}
		c := DefaultConfig()
		c.Service, c.Across = nil, seed%2 == 1
		r := New(c)
		models := []*model{{}, {}, {}}
		layers := []*Layer{r.Layer("k", RankKubernetes), r.Layer("a", RankCloud), r.Layer("b", RankStatic)}
		current := make([][]Entry, 3)
		now := int64(100)
		n := r.NewNamer(numbered{})
		for range 30 {
			now += int64(w.IntN(10))
			i := w.IntN(3)
			list := slices.Clone(current[i])
			for range w.IntN(4) {
				list = append(list, w.entry(now))
			}
			for range w.IntN(4) {
				if len(list) == 0 {
					break
				}
				switch k := w.IntN(len(list)); w.IntN(3) {
				case 0:
					list = slices.Delete(list, k, k+1)
				case 1:
					list[k].Tags = w.tags()
				case 2:
					list[k].Tags, list[k].Since = w.tags(), now-int64(w.IntN(5))
				}
			}
			current[i] = list
			models[i].updates = append(models[i].updates, update{now, list})
			layers[i].Update(now, list)

			for range 30 {
				q := query{addr: w.addr(), network: append(slices.Clone(networkNames), "elsewhere")[w.IntN(len(networkNames)+1)],
					server: w.IntN(2) == 0, port: uint16(79 + w.IntN(8)), proto: []uint8{6, 17}[w.IntN(2)], at: now - int64(w.IntN(60)) + 5}
				want := answer(models, q, c.Across)
				lookups++
				if want.Len() > 0 {
					named++
				}
				got := r.Side(q.network, packet.AddrFrom(q.addr), q.server, q.port, q.proto, q.at)
				if !got.Equal(want) {
					t.Fatalf("seed %d: %+v gives %v, want %v", seed, q, got, want)
				}
				// The cache says the same, whatever it was asked before.
				k := endKey{addr: packet.AddrFrom(q.addr), network: packet.NetworkID(slices.Index(networkNames, q.network) + 1), server: q.server}
				if q.network == "elsewhere" {
					k.network = 99
				}
				if q.server {
					k.port, k.proto = q.port, q.proto
				}
				if got := n.end(&k, q.at); !got.Equal(want) {
					t.Fatalf("seed %d: the cache gives %v for %+v, want %v", seed, got, q, want)
				}
			}
		}
		ambiguous += r.Ambiguous()
	}
	if named < lookups/4 || ambiguous == 0 {
		t.Errorf("of %d lookups %d gave tags, %d were ambiguous: too few to tell", lookups, named, ambiguous)
	}
}

// numbered gives networks the names of networkNames.
type numbered struct{}

var networkNames = []string{"vpc-a", "vpc-b", "vpc-c"}

func (numbered) NetworkName(id packet.NetworkID) string {
	if id >= 1 && int(id) <= len(networkNames) {
		return networkNames[id-1]
	}
	return "default"
}
func (numbered) PointName(id packet.PointID) string { return fmt.Sprintf("point %d", id) }
