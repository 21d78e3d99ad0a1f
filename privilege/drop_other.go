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

// Supported gives nothing.
func Supported() Support { return Support{} }
