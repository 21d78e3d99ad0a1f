package nic

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// session is a TCP connection between two namespaces.
type session struct{ server, client net.Conn }

// connect opens one from the second namespace to a listener in the first, and
// closes the listener.
func (l *lab) connect(server *space, listen string, client *space, to string) session {
	l.t.Helper()
	var s session
	var listener net.Listener
	l.in(server, func() (err error) {
		listener, err = net.Listen("tcp", listen)
		return err
	})
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	l.in(client, func() (err error) {
		s.client, err = net.DialTimeout("tcp", net.JoinHostPort(to, port), 5*time.Second)
		return err
	})
	l.t.Cleanup(func() { s.client.Close() })
	var err error
	if s.server, err = listener.Accept(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { s.server.Close() })
	return s
}

// works tells whether an octet comes to the other end.
func (s session) works() error {
	deadline := time.Now().Add(5 * time.Second)
	if err := errors.Join(s.server.SetDeadline(deadline), s.client.SetDeadline(deadline)); err != nil {
		return err
	}
	if _, err := s.client.Write([]byte{1}); err != nil {
		return err
	}
	_, err := io.ReadFull(s.server, make([]byte, 1))
	return err
}

// close ends the connection on both sides at once, and leaves nothing behind.
func (s session) close() {
	for _, c := range []net.Conn{s.server, s.client} {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
}

// canSilence asks for a dedicated guard.
func (l *lab) canSilence() error {
	return l.sensor.do(func() error { return CanSilence(capName, DefaultGuardConfig()) })
}

// TestGuardSparesConnections: where a connection goes over an interface, or a
// program listens on its very address, it is not silenced, and the connection
// is named.
func TestGuardSparesConnections(t *testing.T) {
	for _, tc := range []struct {
		name         string
		listen, dial string
		spoken       string // the local address in the message
	}{
		{"IPv4", capAddr4 + ":0", capAddr4, capAddr4},
		{"IPv4 by a socket of both", "[::]:0", capAddr4, capAddr4},
		{"IPv6", "[" + capAddr6 + "]:0", capAddr6, "[" + capAddr6 + "]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t)
			l.addressed()
			if !strings.Contains(tc.dial, ":") {
				l.run(l.peer, "", "ip", "addr", "add", peerAddr4+"/24", "dev", peerName)
			} else {
				l.peer6()
			}
			if err := l.canSilence(); err != nil {
				t.Fatalf("without a connection: %v", err)
			}
			s := l.connect(l.sensor, tc.listen, l.peer, tc.dial)
			err := l.sensor.do(func() error { _, err := InstallGuard(capName, DefaultGuardConfig()); return err })
			want := fmt.Sprintf("the TCP connection of %s:%d with %s goes over it", tc.spoken, s.server.LocalAddr().(*net.TCPAddr).Port, s.client.LocalAddr())
			if !errors.Is(err, ErrReachable) || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want %s", err, want)
			}
			if _, there := l.drops(); there || !l.inspect().IPv6 {
				t.Errorf("guard there: %v; IPv6 %v", there, l.inspect().IPv6)
			}
			if err := s.works(); err != nil {
				t.Errorf("the connection: %v", err)
			}
			for _, c := range Plan(l.inspect(), Use{Mirror: MirrorPort}) {
				if c.Setting == SetAddresses || c.Setting == SetIPv6 {
					t.Errorf("%+v would cut the connection off", c)
				}
			}
			shared := DefaultGuardConfig()
			shared.Shared = true
			l.guard(shared)
			if err := s.works(); err != nil {
				t.Errorf("the connection beside a shared guard: %v", err)
			}
			if err := l.canSilence(); !errors.Is(err, ErrReachable) {
				t.Errorf("in place of a shared guard: %v", err)
			}
			s.close()
			if err := l.canSilence(); err != nil {
				t.Errorf("when the connection has ended: %v", err)
			}
		})
	}
}

// peer6 lets the other end speak IPv6.
func (l *lab) peer6() {
	l.t.Helper()
	l.run(l.peer, "", "sysctl", "-qw", "net.ipv6.conf."+peerName+".disable_ipv6=0", "net.ipv6.conf."+peerName+".accept_dad=0")
	l.run(l.peer, "", "ip", "addr", "add", peerAddr6+"/64", "dev", peerName, "nodad")
}

// TestGuardListeners: one on the interface's own address is spared, one on all
// addresses is not asked for.
func TestGuardListeners(t *testing.T) {
	l := newLab(t)
	l.addressed()
	l.run(l.sensor, "", "ip", "link", "set", "lo", "up")
	listen := func(at string) net.Listener {
		var listener net.Listener
		l.in(l.sensor, func() (err error) {
			listener, err = net.Listen("tcp", at)
			return err
		})
		t.Cleanup(func() { listener.Close() })
		return listener
	}
	listen("[::]:0")
	listen("127.0.0.1:0")
	if err := l.canSilence(); err != nil {
		t.Errorf("listeners elsewhere: %v", err)
	}
	own := listen(capAddr4 + ":0")
	if err := l.canSilence(); !errors.Is(err, ErrReachable) || !strings.Contains(err.Error(), "a program listens on its address "+own.Addr().String()) {
		t.Errorf("a listener on the address: %v", err)
	}
	own.Close()
	// The machine with itself.
	s := l.connect(l.sensor, capAddr4+":0", l.sensor, capAddr4)
	if err := l.canSilence(); err != nil {
		t.Errorf("a connection of the machine with itself: %v", err)
	}
	if err := s.works(); err != nil {
		t.Error(err)
	}
}

// TestGuardSparesBridge: what is dropped on a port of a bridge does not get to
// the bridge either.
func TestGuardSparesBridge(t *testing.T) {
	l := newLab(t)
	l.run(l.sensor, "", "ip", "link", "add", "br0", "type", "bridge")
	l.run(l.sensor, "", "ip", "link", "set", capName, "master", "br0")
	l.run(l.sensor, "", "ip", "link", "set", "br0", "up")
	l.run(l.sensor, "", "ip", "addr", "add", capAddr4+"/24", "dev", "br0")
	l.run(l.peer, "", "ip", "addr", "add", peerAddr4+"/24", "dev", peerName)
	if err := l.canSilence(); err != nil {
		t.Errorf("without a connection: %v", err)
	}
	s := l.connect(l.sensor, "0.0.0.0:0", l.peer, capAddr4)
	if err := l.canSilence(); !errors.Is(err, ErrReachable) {
		t.Errorf("a connection over the bridge: %v", err)
	}
	s.close()
	l.run(l.sensor, "", "ip", "route", "add", "default", "via", peerAddr4)
	if err := l.canSilence(); !errors.Is(err, ErrReachable) {
		t.Errorf("a default route over the bridge: %v", err)
	}
}

// TestGuardOverGuard: an interface that somebody has silenced all the same can
// have its guard made anew, whatever hangs in the air.
func TestGuardOverGuard(t *testing.T) {
	l := newLab(t)
	l.addressed()
	l.run(l.peer, "", "ip", "addr", "add", peerAddr4+"/24", "dev", peerName)
	l.connect(l.sensor, capAddr4+":0", l.peer, capAddr4)
	if err := l.canSilence(); !errors.Is(err, ErrReachable) {
		t.Fatalf("%v: the test proves nothing", err)
	}
	l.run(l.sensor, GuardScript(capName, DefaultGuardConfig(), true), "nft", "-f", "-")
	l.guard(DefaultGuardConfig())
	var x Finding
	f := l.inspect()
	l.in(l.sensor, func() error { x = ExamineGuard(f, Use{}, true); return nil })
	if x.Level > Note || !strings.HasPrefix(x.Found, "in place") {
		t.Errorf("%+v", x)
	}
}

// TestSessionsUnprivileged: nobody needs rights to be told of connections.
func TestSessionsUnprivileged(t *testing.T) {
	l := newLab(t)
	l.addressed()
	l.run(l.peer, "", "ip", "addr", "add", peerAddr4+"/24", "dev", peerName)
	s := l.connect(l.sensor, "0.0.0.0:0", l.peer, capAddr4)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- func() error {
			if err := unix.Setns(l.sensor.fd, unix.CLONE_NEWNET); err != nil {
				return err
			}
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
				return errno
			}
			f, err := Inspect(capName)
			if err != nil {
				return err
			}
			want := Session{Local: netip.MustParseAddrPort(s.client.RemoteAddr().String()), Remote: netip.MustParseAddrPort(s.client.LocalAddr().String())}
			if len(f.Sessions) != 1 || f.Sessions[0] != want {
				return fmt.Errorf("sessions %v, %q; want %v", f.Sessions, f.Unknown["connections"], want)
			}
			return nil
		}()
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestParseSocket reads lines as a machine of little endian writes them.
func TestParseSocket(t *testing.T) {
	for line, want := range map[string]string{
		"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1":             "a program listens on its address 127.0.0.1:8080",
		"   1: 01004D0A:0016 02004D0A:C350 01 00000000:00000000 00:00000000 00000000     0        0 1":             "the TCP connection of 10.77.0.1:22 with 10.77.0.2:50000 goes over it",
		"   2: 0000000000000000FFFF000001004D0A:0016 0000000000000000FFFF000002004D0A:0001 01 0:0 0:0 0 0 0 1":     "the TCP connection of 10.77.0.1:22 with 10.77.0.2:1 goes over it",
		"   3: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:0002 01 0:0 0:0 0 0 0 1":     "the TCP connection of [2001:db8::1]:22 with [2001:db8::2]:2 goes over it",
		"   4: 01004D0A:0016 02004D0A:C350 06 00000000:00000000 03:00000000 00000000     0        0 0 3 time wait": "",
	} {
		s, ok, err := parseSocket(line)
		if err != nil || ok != (want != "") || ok && s.String() != want {
			t.Errorf("%q: %v, %v, %v", line, s, ok, err)
		}
	}
	for _, line := range []string{"", "0: 1 2", "0: 0100007F 0:0 0A", "0: 01007F:1F90 0:0 0A", "0: 0100007F:1F90 x:0 01"} {
		if _, ok, err := parseSocket(line); err == nil || ok {
			t.Errorf("%q: no error", line)
		}
	}
}
