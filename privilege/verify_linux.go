package privilege

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// verify reads back from the kernel that no thread was left out.
func verify(who identity, keepBPF bool) error {
	want := map[string]string{"NoNewPrivs": "1"}
	held := uint64(0)
	if keepBPF {
		held = 1 << unix.CAP_BPF
	}
	for field, set := range map[string]uint64{"CapInh": 0, "CapPrm": held, "CapEff": held, "CapAmb": 0} {
		want[field] = fmt.Sprintf("%016x", set)
	}
	if who.change {
		want["Uid"] = strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%d\t", who.uid), 4), "\t")
		want["Gid"] = strings.TrimSuffix(strings.Repeat(fmt.Sprintf("%d\t", who.gid), 4), "\t")
		want["Groups"] = ""
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		return err
	}
	seen := 0
	for _, path := range threads {
		status, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // that thread has ended
		}
		if err != nil {
			return fmt.Errorf("check that privileges are gone: %w", err)
		}
		seen++
		for line := range strings.Lines(string(status)) {
			field, value, _ := strings.Cut(line, ":")
			if should, known := want[field]; known && strings.TrimSpace(value) != should {
				return fmt.Errorf("%s: %s is %s, and should be %s", path, field, strings.TrimSpace(value), should)
			}
		}
	}
	if seen == 0 {
		return errors.New("check that privileges are gone: /proc shows no threads")
	}
	return nil
}
