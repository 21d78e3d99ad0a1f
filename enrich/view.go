package enrich

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/gaissmai/bart"
)

// view is what readers of a Layer see. It is not changed any more: an Update makes
// another one, which shares what has stayed.
type view struct {
	hosts    table          // entries without ports
	services table          // entries with ports
	networks map[string]int // how many places each has
}

// table finds the entries of an address by its prefixes.
type table struct {
	prefixes *bart.Table[*cell] // nil: there are none
}

// cell is all that a layer knows of one prefix, in whatever network.
type cell struct {
	bits  int
	slots []slot // by network, then the narrower ports first, then the protocol
}

// slot is the history of one place.
type slot struct {
	network  string
	ports    [2]uint16
	proto    uint8
	versions []version
}

func (p *place) slot(versions []version) slot { return slot{p.network, p.ports, p.proto, versions} }

func (s *slot) compare(o *slot) int {
	return cmp.Or(strings.Compare(s.network, o.network),
		cmp.Compare(int(s.ports[1])-int(s.ports[0]), int(o.ports[1])-int(o.ports[0])),
		cmp.Compare(s.ports[0], o.ports[0]),
		-cmp.Compare(s.proto, o.proto)) // a protocol before all of them
}

// fits tells whether the slot is of a port.
func (s *slot) fits(port uint16, proto uint8) bool {
	return s.ports == [2]uint16{} || s.ports[0] <= port && port <= s.ports[1] && (s.proto == 0 || s.proto == proto)
}

// with gives the table with the versions of a place in it; none removes it. own
// tells that the table is the caller's, and may be changed in place.
func (t table) with(p *place, versions []version, own bool) table {
	if t.prefixes == nil {
		t.prefixes, own = new(bart.Table[*cell]), true
	}
	next := &cell{bits: p.prefix.Bits()}
	if old, ok := t.prefixes.Get(p.prefix); ok {
		next.slots = old.slots
	}
	next.slots = with(next.slots, p.slot(versions))
	switch {
	case len(next.slots) == 0 && own:
		t.prefixes.Delete(p.prefix)
	case len(next.slots) == 0:
		t.prefixes = t.prefixes.DeletePersist(p.prefix)
	case own:
		t.prefixes.Insert(p.prefix, next)
	default:
		t.prefixes = t.prefixes.InsertPersist(p.prefix, next)
	}
	return t
}

// with gives the slots with s in its place, or without it where it has no
// versions.
func with(slots []slot, s slot) []slot {
	i, found := slices.BinarySearchFunc(slots, s, func(a, b slot) int { return a.compare(&b) })
	next := append(make([]slot, 0, len(slots)+1), slots[:i]...)
	if len(s.versions) > 0 {
		next = append(next, s)
	}
	if found {
		i++
	}
	return append(next, slots[i:]...)
}

// holds tells whether a place is in the table.
func (t *table) holds(p *place) bool {
	if t.prefixes == nil {
		return false
	}
	c, ok := t.prefixes.Get(p.prefix)
	if !ok {
		return false
	}
	s := p.slot(nil)
	_, ok = slices.BinarySearchFunc(c.slots, s, func(a, b slot) int { return a.compare(&b) })
	return ok
}

// clone gives a table that is the caller's.
func (t table) clone() table {
	if t.prefixes != nil {
		t.prefixes = t.prefixes.Clone()
	}
	return t
}

// query is a question for an address.
type query struct {
	addr    netip.Addr // unmapped
	network string
	server  bool   // port and proto are those of the server
	port    uint16 // where it is one
	proto   uint8
	at      int64    // ns
	found   []string // scratch: networks that have the address
}

// walk gives the cells that an address lies in, the longest prefix first, until
// told to stop.
func (t *table) walk(addr netip.Addr, visit func(*cell) (more bool)) {
	if t.prefixes == nil {
		return
	}
	c, ok := t.prefixes.Lookup(addr)
	for ok && visit(c) && c.bits > 0 {
		_, c, ok = t.prefixes.LookupPrefixLPM(netip.PrefixFrom(addr, c.bits-1).Masked())
	}
}

// add adds the tags of the longest prefix that has some at the time, in the network of
// the question or in all. With inherit those of shorter prefixes follow, as far as dst
// does not have their keys yet.
func (t *table) add(dst []Tag, q *query, inherit bool, w *window) []Tag {
	t.walk(q.addr, func(c *cell) (more bool) {
		if dst, more = c.add(dst, q.network, q, inherit, w); more && q.network != "" {
			dst, more = c.add(dst, "", q, inherit, w)
		}
		return more
	})
	return dst
}

// add adds the tags within one network, and tells whether further ones count.
func (c *cell) add(dst []Tag, network string, q *query, inherit bool, w *window) (_ []Tag, more bool) {
	i, _ := slices.BinarySearchFunc(c.slots, network, func(s slot, n string) int {
		if s.network < n {
			return -1
		}
		return 1 // so that the first one of the network is found
	})
	for ; i < len(c.slots) && c.slots[i].network == network; i++ {
		if s := &c.slots[i]; s.fits(q.port, q.proto) {
			if tags := tagsAt(s.versions, q.at, w); tags != nil {
				dst = merge(dst, tags)
				if !inherit {
					return dst, false
				}
			}
		}
	}
	return dst, true
}

// merge adds the tags whose keys dst does not have.
func merge(dst []Tag, tags *Tags) []Tag {
	has := dst
	for group := range tags.Groups() {
		if !slices.ContainsFunc(has, func(t Tag) bool { return t.Key == group[0].Key }) {
			dst = append(dst, group...)
		}
	}
	return dst
}

// has tells whether an entry of the question's own network has the address.
func (t *table) has(q *query, w *window) (is bool) {
	var room [MaxTagsOf]Tag
	t.walk(q.addr, func(c *cell) bool {
		dst, _ := c.add(room[:0], q.network, q, false, w)
		is = len(dst) > 0
		return !is
	})
	return is
}

// within adds the networks, but for except, that have an entry for the address at
// the time.
func (t *table) within(dst []string, q *query, except string, w *window) []string {
	t.walk(q.addr, func(c *cell) bool {
		for i := range c.slots {
			s := &c.slots[i]
			if s.network != "" && s.network != except && s.fits(q.port, q.proto) && !slices.Contains(dst, s.network) &&
				tagsAt(s.versions, q.at, w) != nil {
				dst = append(dst, s.network)
			}
		}
		return true
	})
	return dst
}
