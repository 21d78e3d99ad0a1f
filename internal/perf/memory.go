package perf

import (
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

const (
	firstHeld = 768 << 20       // octets that are held for a program of which no peak is known
	moreHeld  = 64 << 20        // beside its peak
	forgotten = 8 * time.Second // after which a machine that returns free memory has done so
)

// hold touches so many octets of memory and gives them back, so that the program that
// runs next gets memory that this machine has: a virtual one may have returned what was
// free for two seconds to its host, page by page, and pays for each that it takes again.
func hold(octets int) error {
	b, err := unix.Mmap(-1, 0, octets, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return err
	}
	if err := unix.Madvise(b, unix.MADV_HUGEPAGE); err != nil && !errors.Is(err, unix.EINVAL) { // a kernel without them
		return errors.Join(err, unix.Munmap(b))
	}
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	return unix.Munmap(b)
}

// holdFor holds the memory for the next run of a program, or waits until the machine may have
// forgotten what the last one had.
func (r *Result) holdFor() error {
	if r.Program.New {
		time.Sleep(forgotten)
		return nil
	}
	if len(r.Usage) == 0 {
		return hold(firstHeld)
	}
	return hold(int(r.rss())<<10 + moreHeld)
}
