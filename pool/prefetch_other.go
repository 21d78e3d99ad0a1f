//go:build !amd64 && !arm64

package pool

import "unsafe"

// Prefetch does nothing here.
func Prefetch(unsafe.Pointer, int) {}

func prefetchAll(at *uintptr, n, lines int) {}
