package lines

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// File writes lines to a file of a fixed name. It renames the file when it has
// its size or age and begins a new one; a file that is there already, as after
// a restart, is continued and never overwritten.
//
// Every file holds whole lines at any time that a reader may look, but while a
// line is being written: where a write fails or comes to nothing in the
// middle of a line, as on a full disk, the beginning is cut off again. A last
// line without an end, which only a crash of the system or kill -9 leaves
// behind, is cut off when the file is opened, and counted.
//
// A file that is renamed, removed, or truncated by something else while it is
// written is noticed before the next write; the lines then go to a new file of
// the same name, in a directory that is made anew if need be.
//
// What is written is in the hands of the system, where it outlives the process.
// It is forced to disk (fsync) when a file is finished and at Close, never in
// between: a loss of power may cost what the system had not written by itself,
// usually half a minute.
type File struct {
	*pump
	keeper *keeper
}

var _ Writer = (*File)(nil)

// FileStats are counts of a File.
type FileStats struct {
	Opened     uint64 // times that a file was opened or made
	Finished   uint64 // files that were renamed, as they had their size or age
	Compressed uint64 // files
	Removed    uint64 // files, as there were too many
	CutBytes   uint64 // octets of lines without an end, cut off at opening
}

// OpenFile opens the file, makes its directory if need be, and starts two
// goroutines. Its error is about what the operator must mend: no such
// directory, no permission, another process that writes to the file.
func OpenFile(cfg FileConfig) (*File, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Directory == "" {
		return nil, errors.New("directory: not set")
	}
	t := &fileTarget{cfg: cfg, path: filepath.Join(cfg.Directory, cfg.Name)}
	t.pump = newPump(t.path, t, int(cfg.Queue))
	t.keeper = newKeeper(cfg, t.pump)
	if err := t.open(time.Now()); err != nil {
		return nil, err
	}
	go t.pump.run()
	go t.keeper.run()
	return &File{pump: t.pump, keeper: t.keeper}, nil
}

// Close implements Writer. A compression that is under way is left for the next
// start.
func (f *File) Close(ctx context.Context) error {
	err := f.pump.Close(ctx)
	f.keeper.close(ctx)
	return err
}

// fileTarget is the file of a pump.
type fileTarget struct {
	cfg    FileConfig
	path   string
	pump   *pump // for its counts
	keeper *keeper

	f      *os.File // nil: it could not be opened
	info   fs.FileInfo
	size   int64     // octets
	period int64     // the multiple of RotateAfter in which it was written
	stuck  time.Time // it could not be renamed; not tried again before
}

// retryRename is how long a file that could not be renamed grows on.
const retryRename = 10 * time.Second

// write implements target.
func (t *fileTarget) write(p []byte) (int, error) {
	now := time.Now()
	if err := t.look(now); err != nil {
		return 0, err
	}
	if most := int64(t.cfg.RotateSize); most > 0 {
		line := int64(bytes.IndexByte(p, '\n') + 1)
		if t.size > 0 && t.size+line > most {
			if err := t.finish(now); err != nil {
				return 0, err
			}
		}
		if room := most - t.size; room >= line {
			p = wholeLines(p, int(min(room, int64(len(p)))))
		} else if t.size == 0 {
			p = p[:line] // it has a file of its own
		}
	}
	n, err := t.f.Write(p)
	if err != nil {
		n = t.cutBack(p[:n])
		err = fmt.Errorf("write: %w", err)
	}
	t.size += int64(n)
	return n, err
}

// cutBack takes back the beginning of a line from the end of what was just
// written. It gives how much of it stays.
func (t *fileTarget) cutBack(written []byte) int {
	whole := bytes.LastIndexByte(written, '\n') + 1
	if whole < len(written) {
		if err := t.f.Truncate(t.size + int64(whole)); err != nil {
			t.leave() // opening it will cut it
		}
	}
	return whole
}

// idle implements target.
func (t *fileTarget) idle(now time.Time) (time.Time, error) {
	if t.f == nil || t.size > 0 && t.periodOf(now) != t.period && !now.Before(t.stuck) {
		if err := t.look(now); err != nil {
			return now.Add(lastRetry), err
		}
	}
	switch {
	case t.cfg.RotateAfter == 0 || t.size == 0:
		return time.Time{}, nil
	case now.Before(t.stuck):
		return t.stuck, nil
	}
	return time.Unix(0, (t.period+1)*int64(t.cfg.RotateAfter)), nil
}

// reopen implements target.
func (t *fileTarget) reopen() error { return t.look(time.Now()) }

// close implements target.
func (t *fileTarget) close() error {
	if t.f == nil {
		return nil
	}
	err := errors.Join(t.f.Sync(), t.f.Close())
	t.f = nil
	return err
}

// look sees to it that t.f is open, is what stands under its name, and is of
// this period.
func (t *fileTarget) look(now time.Time) error {
	if t.f != nil {
		info, err := os.Stat(t.path)
		if err == nil && os.SameFile(info, t.info) {
			t.size = info.Size()
		} else {
			t.leave()
		}
	}
	if t.f == nil {
		if err := t.open(now); err != nil {
			return err
		}
	}
	switch period := t.periodOf(now); {
	case t.size == 0:
		t.period = period
	case t.period != period:
		return t.finish(now)
	}
	return nil
}

// periodOf numbers the multiples of RotateAfter.
func (t *fileTarget) periodOf(at time.Time) int64 {
	if t.cfg.RotateAfter == 0 {
		return 0
	}
	return at.UnixNano() / int64(t.cfg.RotateAfter)
}

// leave gives the file to the keeper, who closes it.
func (t *fileTarget) leave() {
	t.keeper.take(t.f)
	t.f = nil
}

// finish renames the file and begins a new one. If it cannot be renamed, it
// grows on: a file too long is better than lines lost.
func (t *fileTarget) finish(now time.Time) error {
	if now.Before(t.stuck) {
		return nil
	}
	err := os.Rename(t.path, archivePath(&t.cfg, now))
	if err != nil {
		t.pump.went(fmt.Errorf("finish a file: %w", err))
		t.stuck = now.Add(retryRename)
		return nil
	}
	t.pump.note(func(s *FileStats) { s.Finished++ })
	t.leave()
	return t.open(now)
}

// open opens the file or makes it.
func (t *fileTarget) open(now time.Time) error {
	if err := os.MkdirAll(t.cfg.Directory, 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	cut, err := t.adopt(f, now)
	if err != nil {
		_ = f.Close() // nothing was written
		return fmt.Errorf("open %s: %w", t.path, err)
	}
	t.pump.note(func(s *FileStats) { s.Opened++; s.CutBytes += uint64(cut) })
	return nil
}

// adopt makes f the file to write to, once it is locked and ends with a line.
func (t *fileTarget) adopt(f *os.File, now time.Time) (cut int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, errors.New("not a regular file")
	}
	if err := lock(f); err != nil {
		return 0, err
	}
	whole, err := wholeLength(f, info.Size())
	if err != nil {
		return 0, err
	}
	if cut = info.Size() - whole; cut > 0 {
		if err := f.Truncate(whole); err != nil {
			return 0, err
		}
	}
	t.f, t.info, t.size, t.period, t.stuck = f, info, whole, t.periodOf(now), time.Time{}
	if whole > 0 {
		t.period = t.periodOf(info.ModTime())
	}
	return cut, nil
}

// longestCut is more than any line that is cut in good faith. A file that ends
// with more than that and no line end is not one of ours.
const longestCut = 64 << 20

// wholeLength gives the octets of f up to and with its last line end.
func wholeLength(f io.ReaderAt, size int64) (int64, error) {
	block := make([]byte, 64<<10)
	for end := size; end > 0; {
		from := max(0, end-int64(len(block)))
		b := block[:end-from]
		if _, err := f.ReadAt(b, from); err != nil {
			return 0, err
		}
		if at := bytes.LastIndexByte(b, '\n'); at >= 0 {
			return from + int64(at) + 1, nil
		}
		if size-from > longestCut {
			return 0, fmt.Errorf("its last %d MiB have no line end: not a file of lines", longestCut>>20)
		}
		end = from
	}
	return 0, nil
}
