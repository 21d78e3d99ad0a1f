//go:build !linux

package lines

// lowerPriority does nothing: only Linux has priorities of single threads.
func lowerPriority() {}
