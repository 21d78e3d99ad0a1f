package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pty is a terminal that a test holds the other end of.
type pty struct {
	t     *testing.T
	far   *os.File // of the program
	near  *os.File
	mu    sync.Mutex
	shown bytes.Buffer
}

// openPTY makes one (pty(7)).
func openPTY(t *testing.T, width, height uint16) *pty {
	t.Helper()
	near, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	if err := unix.IoctlSetPointerInt(int(near.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(near.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { far.Close() })
	if err := unix.IoctlSetWinsize(int(near.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: height, Col: width}); err != nil {
		t.Fatal(err)
	}
	p := &pty{t: t, far: far, near: near}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := near.Read(b)
			if err != nil {
				return
			}
			p.mu.Lock()
			p.shown.Write(b[:n])
			p.mu.Unlock()
		}
	}()
	return p
}

func (p *pty) screen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown.String()
}

// await waits until something was drawn.
func (p *pty) await(what string) {
	p.t.Helper()
	for range 2000 {
		if strings.Contains(p.screen(), what) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	p.t.Fatalf("%q was not drawn: %q", what, p.screen())
}

func (p *pty) press(keys string) {
	p.t.Helper()
	if _, err := p.near.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// The program itself, in a terminal: it starts, draws, takes keys, and leaves the
// terminal as it was, with status 0.
func TestTopInTerminal(t *testing.T) {
	path := topServer(t, topOf(t))
	for _, tc := range []struct {
		name string
		end  func(*pty, *os.Process)
	}{
		{"q", func(p *pty, _ *os.Process) { p.press("q") }},
		{"ctrl+c", func(p *pty, _ *os.Process) { p.press("\x03") }},
		{"SIGTERM", func(p *pty, process *os.Process) {
			if err := process.Signal(syscall.SIGTERM); err != nil {
				p.t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := openPTY(t, 120, 12)
			before, err := unix.IoctlGetTermios(int(p.far.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sensor", "top", "--socket", path)
			cmd.Env = append(os.Environ(), "TERM=xterm-256color", "NO_COLOR=")
			cmd.Stdin, cmd.Stdout, cmd.Stderr = p.far, p.far, p.far
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- cmd.Wait() }()
			p.await("\x1b[?1049h") // the alternate screen
			p.await("10.1.0.20:5432")
			p.await("by bytes")
			p.press("s")
			p.await("packets")
			p.press("/worker\r")
			p.await("filter")
			tc.end(p, cmd.Process)
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("%v: %q", err, p.screen())
				}
			case <-time.After(20 * time.Second):
				_ = cmd.Process.Kill()
				t.Fatalf("it does not end: %q", p.screen())
			}
			p.await("\x1b[?1049l")
			after, err := unix.IoctlGetTermios(int(p.far.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			if *after != *before {
				t.Errorf("the terminal is left as %+v, it was %+v", after, before)
			}
		})
	}
}
