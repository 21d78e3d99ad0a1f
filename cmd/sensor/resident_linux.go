package main

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// forgetProgram gives back to the system what is in memory of the program itself. To
// start, all packages are set up, also those that replay needs nothing of; what it
// needs comes back by itself, from the page cache, and is a fraction of it.
func forgetProgram() {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	for _, m := range unchanged(maps, self) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED) // a mere wish
	}
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// unchanged finds in an smaps(5) where a file is mapped and no page of it can be other
// than in the file: it must not be writable now, nor hold what was written before.
func unchanged(smaps []byte, file string) (all []mapping) {
	var m mapping
	ours := false
	for s := bufio.NewScanner(bytes.NewReader(smaps)); s.Scan(); {
		fields := bytes.Fields(s.Bytes())
		if len(fields) >= 6 && bytes.IndexByte(fields[0], '-') > 0 {
			from, to, _ := bytes.Cut(fields[0], []byte("-"))
			a, err := strconv.ParseUint(string(from), 16, strconv.IntSize)
			b, err2 := strconv.ParseUint(string(to), 16, strconv.IntSize)
			m, ours = mapping{uintptr(a), uintptr(b)}, err == nil && err2 == nil && string(fields[5]) == file && len(fields) == 6 && fields[1][1] == '-'
			continue
		}
		if ours && len(fields) >= 2 && string(fields[0]) == "Anonymous:" && string(fields[1]) == "0" {
			all = append(all, m)
		}
	}
	return all
}
