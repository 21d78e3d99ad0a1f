package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"golang.org/x/sys/unix"

	"mirrorscope/privilege"
)

// rehearse finds out, with the rights that will be left, whether there is such a
// user and whether what is there of its folders and files can be written: when
// privileges are dropped it is too late to undo what a start has done.
func (d *daemon) rehearse() error {
	if d.cfg.Privilege.User != "" {
		return privilege.As(d.cfg.Privilege, d.tryOutputs)
	}
	return privilege.Bare(d.tryOutputs)
}

func (d *daemon) tryOutputs() error {
	if dir := d.cfg.Output.File.Directory; dir != "" {
		if err := tryFile(filepath.Join(dir, d.cfg.Output.File.Name)); err != nil {
			return fmt.Errorf("output.file: %w", err)
		}
	}
	if dir := d.cfg.Record.Directory; dir != "" {
		if err := tryFolder(dir); err != nil {
			return fmt.Errorf("record.directory: %w", err)
		}
	}
	if dir := d.cfg.Cloud.Directory; dir != "" && len(d.cfg.Cloud.Sources()) > 0 {
		if err := tryFolder(dir); err != nil {
			return fmt.Errorf("cloud.directory: %w", err)
		}
	}
	return nil
}

// tryFile is no error where the file can be written, or made, and no other
// process has it.
func tryFile(path string) error {
	if err := tryFolder(filepath.Dir(path)); err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_APPEND|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%s: another process writes to it", path)
	}
	return nil // some file systems have no locks
}

// tryFolder is no error where a folder can be written, or is yet to be made.
func tryFolder(dir string) error {
	err := unix.Faccessat(unix.AT_FDCWD, dir, unix.R_OK|unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("the user that the sensor becomes must be able to write in %s: %w", dir, err)
}
