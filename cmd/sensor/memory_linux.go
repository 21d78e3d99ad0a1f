package main

import (
	"bytes"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// usableMemory is four fifths of the machine's memory, the rest being the
// system's, or less where a control group of this process or one above it allows
// less; in octets.
func usableMemory() int64 {
	usable := int64(1 << 30)
	var info unix.Sysinfo_t
	if unix.Sysinfo(&info) == nil {
		usable = int64(info.Totalram) * int64(info.Unit) / 5 * 4
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return usable
	}
	return min(usable, cgroupLimit(groups, os.ReadFile, usable))
}

// cgroupLimit gives the lowest limit that applies, most where there is none.
// groups is /proc/self/cgroup: "0::/path" for version 2, "4:memory:/path" for
// version 1 (cgroups(7)). Inside a container the path may be that of the host,
// so levels without a file are passed over, up to the root.
func cgroupLimit(groups []byte, read func(string) ([]byte, error), most int64) int64 {
	for line := range bytes.Lines(groups) {
		parts := strings.SplitN(strings.TrimSpace(string(line)), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		switch {
		case parts[0] == "0" && parts[1] == "":
		case strings.Contains(","+parts[1]+",", ",memory,"):
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			if b, err := read(path.Join(root, dir, file)); err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil && n > 0 { // "max" is no limit
					most = min(most, n)
				}
			}
			if dir == "/" {
				break
			}
		}
	}
	return most
}
