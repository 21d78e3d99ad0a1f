//go:build !linux

package main

// usableMemory is a guess that any machine can keep.
func usableMemory() int64 { return 2 << 30 }
