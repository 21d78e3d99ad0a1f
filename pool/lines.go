package pool

import "unsafe"

// Lines collects addresses, to begin loading what lies there with one call: each
// costs a store, and no registers. It holds MostLines, of more the latest. Whoever
// owns what lies there must hold on to it until Fetch. The zero value is empty.
type Lines struct {
	at [MostLines]uintptr
	n  int
}

// MostLines is how many addresses Lines holds.
const MostLines = 256

// Add takes an address; any will do.
func (l *Lines) Add(p unsafe.Pointer) {
	l.at[uint(l.n)%MostLines] = uintptr(p)
	l.n++
}

// Fetch begins to load so many cache lines from each address on, and empties l.
func (l *Lines) Fetch(lines int) {
	if n := min(l.n, MostLines); n > 0 {
		prefetchAll(&l.at[0], n, lines)
	}
	l.n = 0
}

// PrefetchItems begins to load so many cache lines of each item of an array that is listed: items
// have size octets, and item 0 is at base.
func PrefetchItems(base unsafe.Pointer, size int, list []uint16, lines int) {
	if len(list) > 0 {
		prefetchItems(base, size, &list[0], len(list), lines)
	}
}

// PrefetchItemsSoon is PrefetchItems into the second cache.
func PrefetchItemsSoon(base unsafe.Pointer, size int, list []uint16, lines int) {
	if len(list) > 0 {
		prefetchItemsSoon(base, size, &list[0], len(list), lines)
	}
}
