package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/spf13/cobra"
)

// Exit status of every command.
const (
	exitDone    = 0
	exitRuntime = 1
	exitUsage   = 2
	exitDiffers = 3  // something is not as desired
	exitRestart = 75 // EX_TEMPFAIL: the service manager is to start it again
)

// usageError is a fault of the command line, not of the work.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errReported ends a command with exitRuntime when it has said why.
var errReported = errors.New("reported")

// errDifferent ends a command with exitDiffers: something is not as desired, as it
// has said.
var errDifferent = errors.New("different")

// errRestart ends a command with exitRestart when it has said why.
var errRestart = errors.New("restart")

// streams are the standard ones of the process, or a test's.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// complain writes a line for people. It may quote file names and what is in
// files, so nothing of it reaches the terminal as a command.
func (s *streams) complain(format string, args ...any) {
	text := strings.Map(func(r rune) rune {
		if r != '\n' && !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, fmt.Sprintf(format, args...))
	fmt.Fprintf(s.err, "sensor: %s\n", text)
}

// run does what the arguments say and gives the exit status.
func run(args []string, in io.Reader, out, errOut io.Writer) int {
	s := &streams{in: in, out: out, err: errOut}
	root := newRoot(s)
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errReported):
		return exitRuntime
	case errors.Is(err, errDifferent):
		return exitDiffers
	case errors.Is(err, errRestart):
		return exitRestart
	case errors.As(err, &usage):
		s.complain("%v\nSee '%s --help'.", err, cmd.CommandPath())
		return exitUsage
	}
	s.complain("%v", err)
	return exitRuntime
}

func newRoot(s *streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "sensor",
		Short: "Who talks to whom, how fast, and where time gets lost, from mirrored packets",
		Long: `Sensor is a passive network sensor: it reads a copy of other machines' packets and
tells who talks to whom, how fast, and where time and packets get lost. It sends
nothing and stores no payload.

'sensor completion SHELL' prints completion for bash, zsh, fish or powershell.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; 'sensor --help' lists the commands", args[0])
			}
			return nil
		},
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, // run tells them
		SilenceUsage:  true,
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{plain(err)} })
	root.AddCommand(newReplay(s), newRun(s), newTop(s), newRecord(s), newConfig(s), newCheck(s), newGuard(s), newMirror(s), newVersion(s))
	return root
}

// plain says what is wrong with a number in words instead of those of strconv.
func plain(err error) error {
	var n *strconv.NumError
	if !errors.As(err, &n) {
		return err
	}
	what := "it is no whole number"
	if errors.Is(n, strconv.ErrRange) {
		what = "it is out of range"
	}
	return errors.New(strings.Replace(err.Error(), n.Error(), what, 1))
}

// terminal gives the file behind a stream if that is a terminal.
func terminal(stream any) (*os.File, bool) {
	f, ok := stream.(*os.File)
	return f, ok && isTerminal(f)
}
