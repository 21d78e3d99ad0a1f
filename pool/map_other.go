//go:build !linux

package pool

import "unsafe"

// Elsewhere blocks are on the heap, where the garbage collector does not look
// into them either.
const offHeap = false

// mapMemory gives n octets of zeroes, aligned to a cache line.
func mapMemory(n int) (mapping, b []byte) {
	mapping = make([]byte, n+line)
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(mapping)))) & (line - 1)
	return mapping, mapping[skip : skip+n]
}

func unmapMemory([]byte) {}

func releasePages([]byte) {}

func populate([]byte) {}
