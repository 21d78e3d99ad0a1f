package main

import (
	"io/fs"
	"testing"
)

func TestCgroupLimit(t *testing.T) {
	const machine = 8 << 30
	for name, test := range map[string]struct {
		groups string
		files  map[string]string
		want   int64
	}{
		"none":               {"0::/\n", nil, machine},
		"no limit":           {"0::/a\n", map[string]string{"/sys/fs/cgroup/a/memory.max": "max\n"}, machine},
		"own":                {"0::/a/b\n", map[string]string{"/sys/fs/cgroup/a/b/memory.max": "1000\n"}, 1000},
		"above":              {"0::/a/b\n", map[string]string{"/sys/fs/cgroup/a/b/memory.max": "5000\n", "/sys/fs/cgroup/a/memory.max": "3000\n"}, 3000},
		"container's root":   {"0::/host/path\n", map[string]string{"/sys/fs/cgroup/memory.max": "2000\n"}, 2000},
		"version 1":          {"5:cpu,memory:/a\n1:name=systemd:/x\n", map[string]string{"/sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4000\n"}, 4000},
		"version 1 no limit": {"5:memory:/\n", map[string]string{"/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, machine},
		"not for us":         {"junk\n0::../../..\n", map[string]string{"/sys/fs/cgroup/memory.max": "-1\n"}, machine},
	} {
		read := func(path string) ([]byte, error) {
			if s, ok := test.files[path]; ok {
				return []byte(s), nil
			}
			return nil, fs.ErrNotExist
		}
		if got := cgroupLimit([]byte(test.groups), read, machine); got != test.want {
			t.Errorf("%s: %d, want %d", name, got, test.want)
		}
	}
	if n := usableMemory(); n < 64<<20 {
		t.Errorf("this machine lets us use %d octets", n)
	}
}
