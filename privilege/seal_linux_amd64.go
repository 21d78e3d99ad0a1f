package privilege

import "golang.org/x/sys/unix"

const (
	architecture = unix.AUDIT_ARCH_X86_64
	foreignCalls = 0x40000000 // from here on calls of the x32 ABI (__X32_SYSCALL_BIT)
)

var ownCalls = []restricted{{unix.SYS_DUP2, 0, noMove}}
