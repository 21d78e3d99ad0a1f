//go:build amd64 || arm64

package pool

import "unsafe"

// Prefetch begins to load so many cache lines, from that of p on. It waits for
// nothing, and any address will do.
//
//go:noescape
func Prefetch(p unsafe.Pointer, lines int)

// PrefetchWrite is Prefetch of what will be written: another core's cache gives its lines away,
// so that no store has to wait for that.
//
//go:noescape
func PrefetchWrite(p unsafe.Pointer, lines int)

// Together is how many addresses PrefetchEach takes.
const Together = 32

// PrefetchEach begins to load a cache line from each address; any will do.
//
//go:noescape
func PrefetchEach(at *[Together]uintptr)

//go:noescape
func prefetchAll(at *uintptr, n, lines int)

//go:noescape
func prefetchItems(base unsafe.Pointer, size int, at *uint16, n, lines int)

//go:noescape
func prefetchItemsSoon(base unsafe.Pointer, size int, at *uint16, n, lines int)
