package lines

import "golang.org/x/sys/unix"

// lowerPriority puts the calling thread, which must be locked, behind all
// others. On Linux a priority belongs to a thread.
func lowerPriority() { _ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19) }
