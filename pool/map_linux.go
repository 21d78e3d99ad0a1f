package pool

import (
	"fmt"
	"syscall"
	"unsafe"
)

const (
	offHeap  = true
	hugePage = 2 << 20 // octets
	page     = 4 << 10
)

// mapMemory gives n octets of zeroes, aligned to a huge page, and asks for huge
// pages; and the whole mapping that they lie in, for unmapMemory.
func mapMemory(n int) (mapping, b []byte) {
	// The kernel counts what is touched, not what is mapped for the alignment.
	mapping, err := syscall.Mmap(-1, 0, n+hugePage, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE)
	if err != nil {
		panic(fmt.Sprintf("pool: no memory: mmap of %d octets: %v", n, err)) // as the runtime does when it is out of memory
	}
	skip := -int(uintptr(unsafe.Pointer(unsafe.SliceData(mapping)))) & (hugePage - 1)
	b = mapping[skip : skip+n]
	_ = syscall.Madvise(b, syscall.MADV_HUGEPAGE) // without them it is slower
	return mapping, b
}

func unmapMemory(mapping []byte) { _ = syscall.Munmap(mapping) }

// populate has the system bring the pages that b lies in, all at once: a fault for each
// takes longer, and in a virtual machine whose host hides the processor's own tables twenty
// times as long.
func populate(b []byte) {
	const populateWrite = 23 // MADV_POPULATE_WRITE of Linux 5.14
	skip := int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) & (page - 1))
	all := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), -skip)), skip+len(b))
	_ = syscall.Madvise(all, populateWrite) // else they come by faults
}

// releasePages gives the pages that lie within b back to the system. They hold
// zeroes when they are touched again.
func releasePages(b []byte) {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	skip := int(-at & (page - 1))
	if skip < len(b) {
		_ = syscall.Madvise(b[skip:skip+(len(b)-skip)&^(page-1)], syscall.MADV_DONTNEED) // else they are only kept
	}
}
