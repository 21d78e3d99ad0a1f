package flow

import (
	"math/bits"
	"unsafe"

	"mirrorscope/pool"
)

// known maps keys to values, neither of which hold pointers: an index by open
// addressing, and entries that lie one after the other. They leave only by
// sweep. There is room for maxKnown.
type known[K knowable, V any] struct {
	entries pool.List[knownEntry[K, V]]
	index   []uint32 // bits of the hash, number of an entry + 1; 0 is free. At least twice as long as entries
	secret  secret
	memory  pool.Memory // of the index
}

type knownEntry[K knowable, V any] struct {
	key   K
	value V
}

type knowable interface {
	comparable
	hash(s *secret) uint64 // keyed
}

// A slot's lower bits are the number of the entry + 1, its upper ones those of
// the hash.
const (
	knownBits = 20
	maxKnown  = 1<<knownBits - 1
)

// of gives the value of a key, or nil. It is valid until the next add.
func (m *known[K, V]) of(k K) *V {
	if len(m.index) == 0 {
		return nil
	}
	h := k.hash(&m.secret)
	mask := uint32(len(m.index) - 1)
	for i := uint32(h) & mask; ; i = (i + 1) & mask {
		s := m.index[i]
		if s == 0 {
			return nil
		}
		if s>>knownBits == uint32(h>>(32+knownBits)) {
			if e := &m.entries.Items()[s&maxKnown-1]; e.key == k {
				return &e.value
			}
		}
	}
}

// at is where the search for a hash begins; nil where there is nothing.
func (m *known[K, V]) at(h uint64) unsafe.Pointer {
	if len(m.index) == 0 {
		return nil
	}
	return unsafe.Pointer(&m.index[uint32(h)&uint32(len(m.index)-1)])
}

// likely is the entry that a search for a hash looks at first, of those that it may
// find; nil where it finds none.
func (m *known[K, V]) likely(h uint64) unsafe.Pointer {
	if len(m.index) == 0 {
		return nil
	}
	mask := uint32(len(m.index) - 1)
	for i := uint32(h) & mask; m.index[i] != 0; i = (i + 1) & mask {
		if s := m.index[i]; s>>knownBits == uint32(h>>(32+knownBits)) {
			return unsafe.Pointer(&m.entries.Items()[s&maxKnown-1])
		}
	}
	return nil
}

// add enters a key that is not known, of at most maxKnown.
func (m *known[K, V]) add(k K, v V) {
	m.entries.Add(knownEntry[K, V]{k, v})
	if 2*m.entries.Len() > len(m.index) {
		m.rebuild()
		return
	}
	m.place(m.entries.Len() - 1)
}

func (m *known[K, V]) place(n int) {
	h := m.entries.Items()[n].key.hash(&m.secret)
	mask := uint32(len(m.index) - 1)
	i := uint32(h) & mask
	for m.index[i] != 0 {
		i = (i + 1) & mask
	}
	m.index[i] = uint32(h>>(32+knownBits))<<knownBits | uint32(n+1)
}

// rebuild makes an index that suits the entries.
func (m *known[K, V]) rebuild() {
	if m.secret == (secret{}) {
		m.secret = newSecret()
	}
	pool.FreeSlice(&m.memory, m.index)
	m.index = pool.MakeSlice[uint32](&m.memory, 1<<bits.Len(uint(max(2*m.entries.Len(), 64))))
	for n := range m.entries.Len() {
		m.place(n)
	}
}

// sweep forgets what is not worth to keep.
func (m *known[K, V]) sweep(keep func(V) bool) {
	kept := m.entries.Items()[:0]
	for _, e := range m.entries.Items() {
		if keep(e.value) {
			kept = append(kept, e)
		}
	}
	if len(kept) < m.entries.Len() {
		m.entries.Truncate(len(kept))
		m.rebuild()
	}
}
