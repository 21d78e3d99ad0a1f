package perf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Usage is what a program took.
type Usage struct {
	User, System, Wall time.Duration
	RSS                int64 // KiB at the peak
	Exit               int
}

// CPU is user and system time.
func (u Usage) CPU() time.Duration { return u.User + u.System }

// ChildArgument makes this program, as its first argument, the parent of the one
// that the rest of the arguments name (Child).
const ChildArgument = "child"

// Child runs a program and writes its Usage to descriptor 3. The peak of memory
// that the kernel tells of a process begins with that of its parent at its
// start, so the parent is a process that has only just begun.
func Child(args []string) error {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if failed := new(exec.ExitError); err != nil && !errors.As(err, &failed) {
		return err
	}
	u := Usage{User: cmd.ProcessState.UserTime(), System: cmd.ProcessState.SystemTime(), Wall: wall, Exit: cmd.ProcessState.ExitCode()}
	if r, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		u.RSS = r.Maxrss
	}
	return json.NewEncoder(os.NewFile(3, "usage")).Encode(u)
}

// outputKept is how much of a program's output is looked at.
const outputKept = 1 << 20

// tail keeps the end of what is written.
type tail struct{ bytes.Buffer }

func (t *tail) Write(b []byte) (int, error) {
	t.Buffer.Write(b)
	if over := t.Len() - outputKept; over > 0 {
		t.Next(over)
	}
	return len(b), nil
}

// measure runs a program to its end, in a directory of its own that is removed,
// and gives what it took and the end of what it wrote to standard output.
func measure(ctx context.Context, args []string) (u Usage, out string, err error) {
	self, err := os.Executable()
	if err != nil {
		return u, "", err
	}
	dir, err := os.MkdirTemp("", "perf")
	if err != nil {
		return u, "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, w, err := os.Pipe()
	if err != nil {
		return u, "", err
	}
	defer func() { _ = r.Close() }()
	var stdout, stderr tail
	cmd := exec.CommandContext(ctx, self, append([]string{ChildArgument}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = dir, &stdout, &stderr, []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // the program with its parent
	err = cmd.Run()
	_ = w.Close()
	if ctx.Err() != nil {
		return u, "", ctx.Err()
	}
	if err == nil {
		err = json.NewDecoder(r).Decode(&u)
	}
	if err == nil && u.Exit != 0 {
		err = fmt.Errorf("exit status %d", u.Exit)
	}
	if err != nil {
		return u, "", fmt.Errorf("%v: %w\n%s", args, err, bytes.TrimSpace(stderr.Bytes()))
	}
	return u, stdout.String(), nil
}
