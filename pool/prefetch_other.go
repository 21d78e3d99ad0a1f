//go:build !amd64 && !arm64

package pool

import "unsafe"

// Prefetch does nothing here.
func Prefetch(unsafe.Pointer, int) {}

// PrefetchWrite does nothing here.
func PrefetchWrite(unsafe.Pointer, int) {}

// Together is how many addresses PrefetchEach takes.
const Together = 32

// PrefetchEach does nothing here.
func PrefetchEach(*[Together]uintptr) {}

func prefetchAll(at *uintptr, n, lines int) {}

func prefetchItems(base unsafe.Pointer, size int, at *uint16, n, lines int) {}

func prefetchItemsSoon(base unsafe.Pointer, size int, at *uint16, n, lines int) {}
