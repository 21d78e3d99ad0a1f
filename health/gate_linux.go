package health

import (
	"errors"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// backlog is of connections that are not yet accepted.
const backlog = 64

// shut makes a listener a socket that is bound and does not listen: the system
// answers SYN by RST. Connections that wait to be accepted are reset.
func shut(l *net.TCPListener) error {
	return control(l, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RD) })
}

// reopen makes it listen again.
func reopen(l *net.TCPListener) error {
	return control(l, func(fd int) error { return unix.Listen(fd, backlog) })
}

func control(l *net.TCPListener, do func(fd int) error) error {
	raw, err := l.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) { inner = do(int(fd)) })
	if err = errors.Join(err, inner); err != nil {
		return fmt.Errorf("port %v: %w", l.Addr(), err)
	}
	return nil
}
