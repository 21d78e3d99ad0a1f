package enrich

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Entry gives a prefix its tags. One with Ports adds to what its addresses have by
// other entries, and its tags win over theirs.
type Entry struct {
	Network string       // id of the network that the prefix is in, as a VPC's; "" for all
	Prefix  netip.Prefix // of one address, or of many: the longest one wins
	Ports   [2]uint16    // of the server, first and last; zero: all, and the client as well
	Proto   uint8        // IP protocol number that Ports belong to; 0: all
	Since   int64        // ns since the Unix epoch from which it holds; 0 not known
	Tags    *Tags
}

// place is what entries are told apart by.
type place struct {
	network string
	prefix  netip.Prefix
	ports   [2]uint16
	proto   uint8
}

// place gives the key of an entry; ok is false where it cannot be one.
func (e *Entry) place() (p place, ok bool) {
	prefix := e.Prefix
	if a := prefix.Addr(); a.Is4In6() {
		bits := prefix.Bits() - 96
		if bits < 0 {
			return p, false
		}
		prefix = netip.PrefixFrom(a.Unmap(), bits)
	}
	prefix = netip.PrefixFrom(prefix.Addr().WithZone(""), prefix.Bits()).Masked()
	if !prefix.IsValid() || e.Ports[0] > e.Ports[1] || e.Ports == [2]uint16{} && e.Proto != 0 {
		return p, false
	}
	return place{e.Network, prefix, e.Ports, e.Proto}, true
}

// Since ever, and for ever.
const (
	ever    = -1 << 63
	forever = 1<<63 - 1
)

// version is what held from some time until before another, ns.
type version struct {
	from, to int64 // forever: it holds
	tags     *Tags
}

// window is a time around a question within which the answer is the same.
type window struct{ from, to int64 }

func (w *window) clip(from, to int64) { w.from, w.to = max(w.from, from), min(w.to, to) }

// tagsAt gives the tags that held at a time, nil if there were none, and clips w to
// where that is so. Versions are in order of time and do not overlap.
func tagsAt(versions []version, t int64, w *window) *Tags {
	next := int64(forever)
	for i := len(versions) - 1; i >= 0; i-- {
		v := &versions[i]
		if t >= v.from {
			if t < v.to {
				w.clip(v.from, v.to)
				return v.tags
			}
			w.clip(v.to, next)
			return nil
		}
		next = v.from
	}
	w.clip(ever, next)
	return nil
}

func (p *place) compare(o *place) int {
	return cmp.Or(strings.Compare(p.network, o.network), p.prefix.Compare(o.prefix),
		slices.Compare(p.ports[:], o.ports[:]), cmp.Compare(p.proto, o.proto))
}
