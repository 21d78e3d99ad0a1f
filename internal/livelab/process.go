//go:build linux

package livelab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Command is a program to be run in a namespace.
type Command struct {
	Path string
	Args []string // without the program's name
	Env  []string // added to that of this process
	Dir  string   // "": that of this process

	// Started waits for one of these, if set: a match of Ready in what the
	// program writes to either output, or status 200 from ReadyURL, asked for
	// inside the namespace.
	Ready    *regexp.Regexp
	ReadyURL string
	Within   time.Duration // for getting ready; 0: 10 s

	// CPU is the core on which alone it runs, plus 1, and before what else the
	// machine has to do; 0: any.
	CPU int
	// Stdout, if set, gets the standard output instead of Process.Stdout.
	Stdout io.Writer
}

// Process is a program that runs in a namespace. It is killed when the
// namespace ends, and when this process does.
type Process struct {
	cmd            *exec.Cmd
	stdout, stderr watched
	done           chan struct{} // closed when it has ended
	err            error         // of Wait; valid after done
}

// Start runs a program in the namespace and waits until it is ready. Where it
// does not get ready it is killed, and the error has what it wrote.
func (n *Namespace) Start(c Command) (*Process, error) {
	p := &Process{cmd: exec.Command(c.Path, c.Args...), done: make(chan struct{})}
	p.cmd.Env, p.cmd.Dir = append(os.Environ(), c.Env...), c.Dir
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if c.Stdout != nil {
		p.cmd.Stdout = c.Stdout
	}
	p.cmd.WaitDelay = 5 * time.Second // for children of its own that keep the outputs
	// The signal comes when the thread of the namespace ends.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var seen *sight
	if c.Ready != nil {
		seen = &sight{match: c.Ready, seen: make(chan struct{})}
		p.stdout.look, p.stderr.look = seen, seen
	}
	err := n.Do(func() error {
		if c.CPU == 0 {
			return p.cmd.Start()
		}
		return startOn(c.CPU-1, p.cmd)
	})
	if err != nil {
		return nil, fmt.Errorf("start %s at %s: %w", c.Path, n.name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	n.mu.Lock()
	n.processes = append(n.processes, p)
	n.mu.Unlock()
	if err := p.ready(n, c, seen); err != nil {
		p.kill()
		return nil, fmt.Errorf("%s: %w\n%s%s", strings.Join(p.cmd.Args, " "), err, p.Stdout(), p.Stderr())
	}
	return p, nil
}

// startOn starts a program on one core: it inherits the thread's.
func startOn(core int, cmd *exec.Cmd) error {
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("core %d: %w", core, err)
	}
	policy, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return err
	}
	first()
	return errors.Join(cmd.Start(), unix.SchedSetAttr(0, policy, 0), unix.SchedSetaffinity(0, &before))
}

// first puts the calling thread, and what it starts, before what else runs on
// its core, as far as it may. A nice value would count within its session only
// (sched(7), "The autogroup feature").
func first() {
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
}

// errEnded is what a program that was to get ready gives.
var errEnded = errors.New("ended before it was ready")

func (p *Process) ready(n *Namespace, c Command, look *sight) error {
	if look == nil && c.ReadyURL == "" {
		return nil
	}
	within := c.Within
	if within == 0 {
		within = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var match <-chan struct{}
	if look != nil {
		match = look.seen
	}
	answered := make(chan struct{})
	if c.ReadyURL != "" {
		go poll(ctx, n.Client(), c.ReadyURL, answered)
	}
	select {
	case <-match:
		return nil
	case <-answered:
		return nil
	case <-p.done:
		return errors.Join(errEnded, p.err)
	case <-ctx.Done():
		return fmt.Errorf("not ready within %v: %w", within, os.ErrDeadlineExceeded)
	}
}

// poll asks for url until it has status 200.
func poll(ctx context.Context, client *http.Client, url string, answered chan<- struct{}) {
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return // a wrong URL never answers
		}
		if res, err := client.Do(req); err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				close(answered)
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// Stdout and Stderr give what the program has written so far.
func (p *Process) Stdout() []byte { return p.stdout.bytes() }
func (p *Process) Stderr() []byte { return p.stderr.bytes() }

// Running tells whether the program has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Exit is how a program ended.
type Exit struct {
	Code         int            // -1: by a signal
	Signal       syscall.Signal // that ended it, else 0
	User, System time.Duration  // of the CPUs
	MaxRSS       int64          // octets
}

// Wait waits for the program to end by itself, and kills it when that takes
// longer than within.
func (p *Process) Wait(within time.Duration) (Exit, error) {
	select {
	case <-p.done:
	case <-time.After(within):
		p.kill()
		return p.exit(), fmt.Errorf("%s did not end within %v: %w\n%s", p.cmd.Path, within, os.ErrDeadlineExceeded, p.Stderr())
	}
	var status *exec.ExitError
	if p.err != nil && !errors.As(p.err, &status) {
		return p.exit(), fmt.Errorf("%s: %w", p.cmd.Path, p.err)
	}
	return p.exit(), nil
}

// Stop sends a signal, as SIGTERM, and waits for the end.
func (p *Process) Stop(s os.Signal, within time.Duration) (Exit, error) {
	if err := p.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return Exit{}, fmt.Errorf("signal %s: %w", p.cmd.Path, err)
	}
	return p.Wait(within)
}

// kill ends the program whatever it does.
func (p *Process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

func (p *Process) exit() Exit {
	s := p.cmd.ProcessState
	e := Exit{Code: s.ExitCode(), User: s.UserTime(), System: s.SystemTime()}
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		e.Signal = w.Signal()
	}
	if r, ok := s.SysUsage().(*syscall.Rusage); ok {
		e.MaxRSS = r.Maxrss << 10
	}
	return e
}

// CPU is the time that all threads of a running program have had, ended ones
// included. Interrupts that hit the program count as its own.
func (p *Process) CPU() (time.Duration, error) {
	// The CPU clock of a process: its id's complement above CPUCLOCK_SCHED
	// (linux/posix-timers.h).
	clock := int32(^p.PID()<<3 | 2)
	var t unix.Timespec
	if err := unix.ClockGettime(clock, &t); err != nil {
		return 0, fmt.Errorf("CPU time of process %d: %w", p.PID(), err)
	}
	return time.Duration(t.Nano()), nil
}

// Usage is what a running program has used so far.
type Usage struct {
	CPU    time.Duration // as of Process.CPU
	System time.Duration // of that, in the kernel, to about a hundredth of a second
	Wakes  uint64        // times that a thread of those that run now went on after it had waited
}

// Usage tells what the running program has used.
func (p *Process) Usage() (u Usage, err error) {
	if u.CPU, err = p.CPU(); err != nil {
		return u, err
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return u, err
	}
	// proc_pid_stat(5): stime is the 13th behind the name, which is in brackets.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 13 {
		return u, fmt.Errorf("stat of process %d: %q", p.PID(), text)
	}
	ticks, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return u, fmt.Errorf("stat of process %d: %w", p.PID(), err)
	}
	u.System = time.Duration(ticks) * (time.Second / userTicks)
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.PID()))
	if err != nil {
		return u, err
	}
	for _, task := range tasks {
		text, err := os.ReadFile(task)
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := bytes.Cut(text, []byte("\nvoluntary_ctxt_switches:"))
		var n uint64
		if _, err := fmt.Sscan(string(rest), &n); err != nil {
			return u, fmt.Errorf("switches of process %d: %w", p.PID(), err)
		}
		u.Wakes += n
	}
	return u, nil
}

// userTicks are USER_HZ, which is 100 on all architectures that Go knows.
const userTicks = 100

// RSS is the memory that the running program has resident, octets.
func (p *Process) RSS() (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, err
	}
	_, rest, _ := bytes.Cut(text, []byte("\nVmRSS:"))
	var kib int64
	if _, err := fmt.Sscan(string(rest), &kib); err != nil {
		return 0, fmt.Errorf("VmRSS of process %d: %w", p.PID(), err)
	}
	return kib << 10, nil
}

// watched keeps what is written to it.
type watched struct {
	mu   sync.Mutex
	text []byte
	look *sight // nil: for nothing
}

// sight is what two outputs are looked through for, until one has it: an output
// may become large.
type sight struct {
	match *regexp.Regexp
	once  sync.Once
	seen  chan struct{} // closed then
}

func (s *sight) in(text []byte) {
	select {
	case <-s.seen:
	default:
		if s.match.Match(text) {
			s.once.Do(func() { close(s.seen) })
		}
	}
}

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, b...)
	if w.look != nil {
		w.look.in(w.text)
	}
	return len(b), nil
}

func (w *watched) bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.text)
}
