//go:build !linux

package privilege

import (
	"errors"
	"fmt"
	"runtime"
)

// Drop is for Linux alone.
func Drop(Config, Needs) (Report, error) {
	return Report{}, fmt.Errorf("drop privileges on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// MakeDirectories is for Linux alone.
func MakeDirectories(Config, ...string) error {
	return fmt.Errorf("make directories for a user on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// As is for Linux alone.
func As(Config, func() error) error {
	return fmt.Errorf("take a user's rights on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// Bare fails: there are no capabilities here.
func Bare(func() error) error {
	return fmt.Errorf("give up capabilities on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// Supported gives nothing.
func Supported() Support { return Support{} }
