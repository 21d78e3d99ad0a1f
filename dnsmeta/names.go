package dnsmeta

import "mirrorscope/packet"

// Grace is how long, in ns, a name is taken to hold beyond its time to live:
// programs keep addresses longer than they may. A time to live below MinTTL
// counts as MinTTL.
const (
	Grace  = 300e9
	MinTTL = 60e9
)

// Bounds of Names.
const (
	MaxAddrs      = 1 << 17
	versions      = 4   // names of an address at a time, and over time
	octetsPerAddr = 160 // of names, on average
)

// Names tells which name an address had at a time, from the responses that
// hosts got. When it is full, the address that was learned longest ago leaves.
//
// Lookup writes nothing: any number of goroutines may call it while none calls
// Learn or Sweep. What it holds depends only on the order of these calls.
type Names struct {
	Forgotten uint64 // names that left while they still held

	max, octets int            // of addresses; of names
	index       map[host]int32 // into slots
	slots       []slot
	free        []int32
	// Slots in the order in which they were learned last: ends of the list.
	oldest, latest int32
}

type host struct {
	addr    packet.Addr
	network packet.NetworkID
}

// slot is one address. Slot 0 is none.
type slot struct {
	host
	versions     [versions]version // the first n, in the order in which they were learned last
	n            int8
	older, newer int32
}

// version is a name that an address has from at until until, ns, for one who
// asked.
type version struct {
	name      string
	asker     packet.Addr
	at, until int64
}

// NewNames makes a table of at most addrs addresses; 0 is MaxAddrs.
func NewNames(addrs int) *Names {
	if addrs <= 0 {
		addrs = MaxAddrs
	}
	return &Names{max: addrs, index: make(map[host]int32), slots: make([]slot, 1)}
}

// Len is the number of addresses.
func (n *Names) Len() int { return len(n.index) }

// Learn takes an answer that was given in a network.
func (n *Names) Learn(a *Answer, network packet.NetworkID) {
	if len(a.Name) > maxName {
		return // escapes made it longer than what it stands for: nothing that people call a host
	}
	h := host{a.Addr, network}
	i, ok := n.index[h]
	if ok {
		n.unlink(i)
	} else {
		i = n.take(h, a.At)
	}
	n.link(i)
	until := a.At + max(int64(a.TTL)*1e9, MinTTL) + Grace
	s := &n.slots[i]
	v := version{a.Name, a.Asker, a.At, until}
	for k := range s.versions[:s.n] {
		// What was learned again before it ended never ceased to hold.
		if o := &s.versions[k]; o.name == v.name && o.asker == v.asker && v.at <= o.until && o.at <= v.until {
			v.at, v.until = min(v.at, o.at), max(v.until, o.until)
			n.remove(s, k)
			break
		}
	}
	if s.n == versions {
		n.makeRoom(s, a.At)
	}
	s.versions[s.n] = v
	s.n++
	n.octets += len(v.name)
	for n.octets > n.max*octetsPerAddr && n.oldest != i {
		n.evict(a.At)
	}
}

// makeRoom takes out the version that ended first, if one had ended, or else
// the one that was learned longest ago.
func (n *Names) makeRoom(s *slot, now int64) {
	out := 0
	for k := range s.versions {
		if v := &s.versions[k]; v.until < now && (s.versions[out].until >= now || v.until < s.versions[out].until) {
			out = k
		}
	}
	if s.versions[out].until >= now {
		n.Forgotten++
	}
	n.remove(s, out)
}

func (n *Names) remove(s *slot, k int) {
	n.octets -= len(s.versions[k].name)
	copy(s.versions[k:s.n], s.versions[k+1:s.n])
	s.n--
	s.versions[s.n] = version{}
}

// Lookup gives the name that an address had at a time, ns: of the names that
// held then, the one that asker was told, or else any. Of several it is the one
// that began last, and of those the one that was learned last.
func (n *Names) Lookup(network packet.NetworkID, addr, asker packet.Addr, at int64) (string, bool) {
	i, ok := n.index[host{addr, network}]
	if !ok {
		return "", false
	}
	s := &n.slots[i]
	var best *version
	for k := range s.versions[:s.n] {
		v := &s.versions[k]
		if at < v.at || at > v.until {
			continue
		}
		if best == nil || v.asker == asker && best.asker != asker || (v.asker == asker) == (best.asker == asker) && v.at >= best.at {
			best = v
		}
	}
	if best == nil {
		return "", false
	}
	return best.name, true
}

// Sweep forgets the names that held no more at before, ns. The caller leaves as
// much time as it may still ask about.
func (n *Names) Sweep(before int64) {
	for i := n.oldest; i != 0; {
		s := &n.slots[i]
		next := s.newer
		for k := int(s.n) - 1; k >= 0; k-- {
			if s.versions[k].until < before {
				n.remove(s, k)
			}
		}
		if s.n == 0 {
			n.drop(i)
		}
		i = next
	}
}

// take gives an address a slot.
func (n *Names) take(h host, now int64) int32 {
	if len(n.index) >= n.max {
		n.evict(now)
	}
	var i int32
	if k := len(n.free); k > 0 {
		i = n.free[k-1]
		n.free = n.free[:k-1]
	} else {
		i = int32(len(n.slots))
		n.slots = append(n.slots, slot{})
	}
	n.slots[i].host = h
	n.index[h] = i
	return i
}

// evict takes out the address that was learned longest ago.
func (n *Names) evict(now int64) {
	s := &n.slots[n.oldest]
	for k := int(s.n) - 1; k >= 0; k-- {
		if s.versions[k].until >= now {
			n.Forgotten++
		}
		n.remove(s, k)
	}
	n.drop(n.oldest)
}

func (n *Names) drop(i int32) {
	n.unlink(i)
	delete(n.index, n.slots[i].host)
	n.slots[i] = slot{}
	n.free = append(n.free, i)
}

// link makes a slot the latest.
func (n *Names) link(i int32) {
	s := &n.slots[i]
	s.older, s.newer = n.latest, 0
	if n.latest != 0 {
		n.slots[n.latest].newer = i
	} else {
		n.oldest = i
	}
	n.latest = i
}

func (n *Names) unlink(i int32) {
	s := &n.slots[i]
	if s.older != 0 {
		n.slots[s.older].newer = s.newer
	} else {
		n.oldest = s.newer
	}
	if s.newer != 0 {
		n.slots[s.newer].older = s.older
	} else {
		n.latest = s.older
	}
	s.older, s.newer = 0, 0
}
