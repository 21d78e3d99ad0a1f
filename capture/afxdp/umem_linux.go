package afxdp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// umem is the memory that frames are received into.
type umem struct {
	mem  []byte
	huge bool // from reserved huge pages
}

// hugePage is the unit in which huge pages are taken. It is the usual size;
// where the machine's is larger, the kernel refuses and ordinary pages do.
const hugePage = 2 << 20

// newUMEM maps the buffers of one queue, in huge pages if wanted and there:
// the kernel writes all over them, and each ordinary page costs a look-up.
func newUMEM(cfg Config) (umem, error) {
	size := cfg.Frames * cfg.FrameBytes
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	if cfg.HugePages && size%hugePage == 0 {
		if mem, err := unix.Mmap(-1, 0, size, prot, flags|unix.MAP_HUGETLB|unix.MAP_POPULATE); err == nil {
			return umem{mem, true}, nil
		}
	}
	mem, err := unix.Mmap(-1, 0, size, prot, flags)
	if err != nil {
		return umem{}, fmt.Errorf("map %d MiB of buffers: %w", size>>20, err)
	}
	if cfg.HugePages {
		_ = unix.Madvise(mem, unix.MADV_HUGEPAGE) // only a wish
	}
	return umem{mem: mem}, nil
}

func (u *umem) close() error {
	if u.mem == nil {
		return nil
	}
	mem := u.mem
	u.mem = nil
	return unix.Munmap(mem)
}
