package dnsmeta

import (
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/pool"
)

// Store is what the Conns of one goroutine share: scratch memory, names, the
// budget for what only some of them need, and the answers of the latest call.
type Store struct {
	budget  *pool.Budget
	names   interned
	msg     message
	text    []byte
	answers []Answer
	free    []*large
}

// NewStore makes a Store. What Conns need beyond their own size and that of
// one Info is taken from budget.
func NewStore(budget *pool.Budget) *Store {
	return &Store{budget: budget, msg: message{records: make([]record, 0, maxRecords)}}
}

// maxFree bounds the large parts kept for the next Conn.
const maxFree = 64

func (st *Store) newLarge() *large {
	if n := len(st.free); n > 0 {
		l := st.free[n-1]
		st.free = st.free[:n-1]
		return l
	}
	return &large{queries: make([]waiting, 0, 2*inline)}
}

// freeLarge takes a large part back, without what was taken from the budget.
func (st *Store) freeLarge(l *large) {
	st.budget.Give(l.names*nameSize + l.room*waitingSize)
	l.names, l.room = 0, 0
	for d := range l.halves {
		l.halves[d].drop(st.budget)
	}
	if len(st.free) == maxFree {
		return
	}
	l.info.Reset()
	l.info.Protocol, l.info.Names = DNS, nil
	l.halves = [2]half{}
	l.queries = l.queries[:0]
	if cap(l.queries) > 2*inline {
		l.queries = make([]waiting, 0, 2*inline)
	}
	st.free = append(st.free, l)
}

// What is charged, in octets.
const (
	nameSize    = int(unsafe.Sizeof(Name{})) + maxNameBuckets*16 + maxName
	waitingSize = int(unsafe.Sizeof(waiting{}))
)

// interned keeps names that came lately, so that flows share their text. It
// has two generations: when the young one is full it becomes the old one. What
// it holds changes no result.
type interned struct {
	young, old map[string]string
	octets     int // of young
}

// Bounds of a generation.
const (
	maxInterned       = 2048
	maxInternedOctets = 128 << 10
)

func (n *interned) of(b []byte) string {
	if s, ok := n.young[string(b)]; ok {
		return s
	}
	s, ok := n.old[string(b)]
	if !ok {
		s = string(b)
	}
	if n.young == nil || len(n.young) == maxInterned || n.octets > maxInternedOctets {
		n.young, n.old = n.old, n.young
		clear(n.young)
		if n.young == nil {
			n.young = make(map[string]string)
		}
		n.octets = 0
	}
	n.young[s] = s
	n.octets += len(s)
	return s
}

// Answer tells that a name has an address: a response said so.
type Answer struct {
	Addr  packet.Addr
	Asker packet.Addr // who asked; zero where the answer went to all
	Name  string      // that was asked for, at the beginning of the chain of CNAMEs
	TTL   uint32      // s; the least of the chain
	At    int64       // ns
}

// Bounds of what is learned of a response: CNAMEs that are followed, and labels
// that are compared. A response that wants more was made to cost time, and
// teaches nothing.
const (
	maxChain  = 16
	maxEffort = 1 << 11
)

// learn keeps the addresses that a response gives to the name at offset
// headerLen, which was asked for as name and typ: those at the end of the chain
// of CNAMEs that starts there. Whatever else the message says is not believed.
func (st *Store) learn(name string, typ uint16, asker packet.Addr, at int64) {
	if typ != typeA && typ != typeAAAA && typ != typeANY {
		return
	}
	m := &st.msg
	target, least := headerLen, uint32(1<<31-1)
	effort := maxEffort
	for range maxChain {
		i := m.cname(target, &effort)
		if i < 0 {
			break
		}
		target, least = int(m.records[i].data), min(least, m.records[i].ttl)
	}
	if m.cname(target, &effort) >= 0 {
		return // longer than any that is meant, or a circle
	}
	before := len(st.answers)
	for _, r := range m.records {
		if r.typ != typeCNAME && (typ == r.typ || typ == typeANY) && sameName(m.b, int(r.owner), target, &effort) {
			st.answers = append(st.answers, Answer{m.addr(r), asker, name, min(least, r.ttl), at})
		}
	}
	if effort < 0 {
		st.answers = st.answers[:before]
	}
}

// cname gives the index of the CNAME that a name has, -1 where there is none.
func (m *message) cname(name int, effort *int) int {
	for i, r := range m.records {
		if r.typ == typeCNAME && sameName(m.b, int(r.owner), name, effort) {
			return i
		}
	}
	return -1
}

// addr gives the address of an A or AAAA record.
func (m *message) addr(r record) (a packet.Addr) {
	if r.typ == typeA {
		a[10], a[11] = 0xff, 0xff
		copy(a[12:], m.b[r.data:r.data+4])
	} else {
		copy(a[:], m.b[r.data:r.data+16])
	}
	return a
}

// learnLocal keeps the addresses that an mDNS response gives to names of the
// link: only such are for mDNS to tell (RFC 6762 section 3).
func (st *Store) learnLocal(asker packet.Addr, at int64) {
	for _, r := range st.msg.records {
		if r.typ == typeCNAME {
			continue
		}
		const local = ".local"
		st.text, _, _ = appendName(st.text[:0], st.msg.b, int(r.owner))
		if n := len(st.text) - len(local); n > 0 && string(st.text[n:]) == local {
			st.answers = append(st.answers, Answer{st.msg.addr(r), asker, st.names.of(st.text), r.ttl, at})
		}
	}
}
