//go:build !linux

package afxdp

import (
	"errors"
	"fmt"

	"mirrorscope/capture"
)

// Capture is an interface that is read through AF_XDP, which Linux alone has.
type Capture struct{}

// Open fails: there is no AF_XDP here.
func Open(name string, _ Config, _ Program) (*Capture, error) {
	return nil, fmt.Errorf("AF_XDP on %s needs Linux: %w", name, errors.ErrUnsupported)
}

// Queues fails: there is no AF_XDP here.
func Queues(name string) (int, error) {
	return 0, fmt.Errorf("receive queues of %s need Linux: %w", name, errors.ErrUnsupported)
}

// Rings gives none.
func (*Capture) Rings() []capture.Ring { return nil }

// Choice is empty.
func (*Capture) Choice() Choice { return Choice{} }

// Stop does nothing.
func (*Capture) Stop() error { return nil }

// Close does nothing.
func (*Capture) Close() error { return nil }
