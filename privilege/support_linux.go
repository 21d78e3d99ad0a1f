package privilege

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Supported tells what this kernel offers. It changes nothing and needs no
// rights.
func Supported() Support {
	s := Support{LandlockABI: landlockABI()}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		disabled, _ := os.ReadFile("/proc/sys/kernel/unprivileged_bpf_disabled") // not there: not disabled
		s.KeepsBPF = keepsBPF(unix.ByteSliceToString(name.Release[:]), strings.TrimSpace(string(disabled)))
	}
	return s
}

// keepsBPF judges by the kernel's release and kernel.unprivileged_bpf_disabled.
func keepsBPF(release, disabled string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return (disabled == "1" || disabled == "2") && (major < 5 || major == 5 && minor < 19)
}
