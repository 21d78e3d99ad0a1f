//go:build !amd64 && !arm64

package pool

import "unsafe"

// Prefetch and Prefetch2 do nothing here.
func Prefetch(unsafe.Pointer, int) {}

func Prefetch2(p, q unsafe.Pointer) {}

func prefetchAll(at *uintptr, n, lines int) {}
