//go:build amd64 || arm64

package pool

import "unsafe"

// Prefetch begins to load so many cache lines, from that of p on. It waits for
// nothing, and any address will do.
//
//go:noescape
func Prefetch(p unsafe.Pointer, lines int)

//go:noescape
func prefetchAll(at *uintptr, n, lines int)
