//go:build !linux

package health

import (
	"errors"
	"fmt"
	"net"
	"runtime"
)

func shut(*net.TCPListener) error {
	return fmt.Errorf("a port that refuses connections for a time on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func reopen(l *net.TCPListener) error { return shut(l) }
