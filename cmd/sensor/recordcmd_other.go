//go:build !linux

package main

import (
	"errors"
	"fmt"

	"mirrorscope/capture"
)

// captureOn is for Linux.
func captureOn(string) (capture.Source, error) {
	return nil, fmt.Errorf("live capture is for Linux: %w", errors.ErrUnsupported)
}
