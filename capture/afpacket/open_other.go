//go:build !linux

package afpacket

import (
	"errors"
	"fmt"

	"mirrorscope/capture"
)

// Capture is there on Linux.
type Capture struct{}

// Open wraps errors.ErrUnsupported.
func Open(ifname string, _ Config, _ Programs) (*Capture, error) {
	return nil, fmt.Errorf("capture on %s: AF_PACKET is Linux's: %w", ifname, errors.ErrUnsupported)
}

// Rings gives nil.
func (*Capture) Rings() []capture.Ring { return nil }

// Facts gives nothing.
func (*Capture) Facts() Facts { return Facts{} }

// Stop does nothing.
func (*Capture) Stop() error { return nil }

// Close does nothing.
func (*Capture) Close() error { return nil }
