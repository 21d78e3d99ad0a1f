package afxdp

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// severalBuffers lets a test go on only where a frame may lie in several buffers:
// from kernel 6.6 on.
func severalBuffers(t *testing.T) {
	t.Helper()
	var u unix.Utsname
	must(t, unix.Uname(&u))
	var a, b int
	_, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &a, &b)
	must(t, err)
	if a < 6 || a == 6 && b < 6 {
		t.Skipf("needs kernel 6.6, for frames over several buffers; this is %d.%d", a, b)
	}
}
