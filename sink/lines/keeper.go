package lines

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// keeper does what takes long and need not be done at once: it brings finished
// files to disk, compresses them, and removes the oldest. Its goroutine has a
// thread of its own, at the lowest priority.
type keeper struct {
	cfg  FileConfig
	pump *pump // for its counts
	wake chan struct{}
	done chan struct{}
	ctx  context.Context
	stop context.CancelFunc

	mu    sync.Mutex
	files []*os.File // to be synced and closed
}

func newKeeper(cfg FileConfig, p *pump) *keeper {
	k := &keeper{cfg: cfg, pump: p, wake: make(chan struct{}, 1), done: make(chan struct{})}
	k.ctx, k.stop = context.WithCancel(context.Background())
	return k
}

// take makes the keeper close f and look after the finished files.
func (k *keeper) take(f *os.File) {
	k.mu.Lock()
	k.files = append(k.files, f)
	k.mu.Unlock()
	nudge(k.wake)
}

// close ends the goroutine, once it has closed what it was given.
func (k *keeper) close(ctx context.Context) {
	k.stop()
	select {
	case <-k.done:
	case <-ctx.Done():
	}
}

// run is the goroutine. It begins with what an earlier process left undone.
func (k *keeper) run() {
	defer close(k.done)
	runtime.LockOSThread() // and never unlocked, so that the thread ends with it
	lowerPriority()
	for {
		k.finish()
		if err := k.tidy(); err != nil && k.ctx.Err() == nil {
			k.pump.went(err)
		}
		select {
		case <-k.wake:
		case <-k.ctx.Done():
			k.finish()
			return
		}
	}
}

// finish brings files to disk and closes them.
func (k *keeper) finish() {
	k.mu.Lock()
	files := k.files
	k.files = nil
	k.mu.Unlock()
	for _, f := range files {
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			k.pump.went(err)
		}
	}
	if len(files) > 0 {
		syncDirectory(k.cfg.Directory)
	}
}

// tidy compresses finished files, but for the latest, and removes the oldest.
func (k *keeper) tidy() error {
	archives, left, err := list(&k.cfg)
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range left {
		errs = append(errs, os.Remove(path))
	}
	archives, err = k.prune(archives)
	errs = append(errs, err)
	for i := range max(0, len(archives)-1) {
		a := archives[i]
		if a.compression != None {
			continue
		}
		if next := archives[i+1]; next.stamp == a.stamp {
			errs = append(errs, os.Remove(a.path(&k.cfg))) // compressed, and not yet removed
			continue
		}
		if k.cfg.Compress == None {
			continue
		}
		if err := k.compress(a); err != nil {
			errs = append(errs, err)
			break // likely of all
		}
		k.pump.note(func(s *FileStats) { s.Compressed++ })
	}
	if archives, _, err = list(&k.cfg); err == nil {
		_, err = k.prune(archives)
	}
	return errors.Join(append(errs, err)...)
}

// prune removes the oldest files until the limits are kept.
func (k *keeper) prune(archives []archive) ([]archive, error) {
	var size int64
	stay := 0 // counted from the latest
	for ; stay < len(archives); stay++ {
		size += archives[len(archives)-1-stay].size
		if k.cfg.KeepFiles > 0 && stay >= k.cfg.KeepFiles || k.cfg.KeepSize > 0 && size > int64(k.cfg.KeepSize) {
			break
		}
	}
	for len(archives) > stay {
		if err := os.Remove(archives[0].path(&k.cfg)); err != nil && !os.IsNotExist(err) {
			return archives, err
		}
		k.pump.note(func(s *FileStats) { s.Removed++ })
		archives = archives[1:]
	}
	return archives, nil
}

// compress replaces a finished file. The compressed one has its name only when
// it is complete and on disk.
func (k *keeper) compress(a archive) (err error) {
	from := a.path(&k.cfg)
	a.compression = k.cfg.Compress
	to := a.path(&k.cfg)
	defer func() {
		if err != nil {
			err = fmt.Errorf("compress %s: %w", from, err)
		}
	}()
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(temporary(to), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(out.Name()) }() // which is not there any more when all went well
	if err := errors.Join(k.copy(out, in), out.Sync(), out.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(out.Name(), info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	if err := os.Rename(out.Name(), to); err != nil {
		return err
	}
	syncDirectory(k.cfg.Directory)
	return os.Remove(from)
}

// copy compresses from in to out, until the keeper is stopped.
func (k *keeper) copy(out io.Writer, in io.Reader) error {
	var w io.WriteCloser = gzip.NewWriter(out)
	if k.cfg.Compress == Zstd {
		z, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(1<<20))
		if err != nil {
			return err
		}
		w = z
	}
	_, err := io.Copy(w, until{k.ctx, in})
	return errors.Join(err, w.Close())
}

// until is a reader that ends with its context.
type until struct {
	ctx context.Context
	r   io.Reader
}

func (u until) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// syncDirectory brings the names in it to disk. Where a file system cannot do
// that, nothing is lost but the promise.
func syncDirectory(dir string) {
	if d, err := os.Open(filepath.Clean(dir)); err == nil {
		_ = errors.Join(d.Sync(), d.Close())
	}
}
