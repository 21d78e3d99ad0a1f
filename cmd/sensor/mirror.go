package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mirrorscope/cloud/mirror"
)

// mirrorFlags are those of the commands below `sensor mirror`.
type mirrorFlags struct {
	config    string
	format    string
	all       bool
	yes       bool
	force     bool
	check     bool
	blind     bool
	noMetrics bool
	logFormat string
	of        string
}

func newMirror(s *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "Keep the mirror sessions of AWS as a file says",
		Long: `Say in a file which interfaces are to be mirrored, by tags of instances and interfaces, and to
which sensors; 'sensor mirror' makes the sessions of AWS Traffic Mirroring be so, and keeps
them so. What it creates carries the tags managed-by = mirrorscope and mirrorscope-state =
the name in the file; what does not carry both is never changed.

'sensor mirror config' prints such a file with all keys; 'sensor mirror policy' prints what the
account must allow. Which account and region is meant is found as by other AWS programs: in
the environment, ~/.aws, the role of the instance; or as the file says.`,
		Example: `  sensor mirror config > mirror.toml
  sensor mirror plan --config mirror.toml
  sensor mirror apply --config mirror.toml
  sensor mirror status --config mirror.toml --blind`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q; 'sensor mirror --help' lists the commands", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newMirrorPlan(s), newMirrorApply(s), newMirrorWatch(s), newMirrorStatus(s), newMirrorDestroy(s), newMirrorPolicy(s), newMirrorConfig(s))
	return cmd
}

// register adds the flags that several commands have.
func (f *mirrorFlags) register(cmd *cobra.Command, names ...string) {
	fs := cmd.Flags()
	for _, name := range names {
		switch name {
		case "config":
			fs.StringVar(&f.config, "config", "", "read the desired state from `FILE`")
		case "format":
			fs.StringVar(&f.format, "format", formatTable, "print as `FORMAT`: table or json")
			if err := cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{formatTable, formatJSON}, cobra.ShellCompDirectiveNoFileComp)); err != nil {
				panic(err) // the flag is defined above
			}
		case "yes":
			fs.BoolVarP(&f.yes, "yes", "y", false, "do not ask")
		}
	}
}

// load reads the desired state. All its errors are of usage.
func (f *mirrorFlags) load() (*mirror.Config, error) {
	if f.config == "" {
		return nil, usagef("no desired state: give --config FILE; 'sensor mirror config' prints one")
	}
	if f.format != "" && !slices.Contains([]string{formatTable, formatJSON}, f.format) {
		return nil, usagef("--format: %q is no format; take table or json", f.format)
	}
	c, err := mirror.Load(f.config)
	if err != nil {
		return nil, usageError{err}
	}
	return &c, nil
}

// reconciler is ready to ask AWS.
func (f *mirrorFlags) reconciler(ctx context.Context) (*mirror.Reconciler, error) {
	c, err := f.load()
	if err != nil {
		return nil, err
	}
	client, err := mirror.NewClient(ctx, c)
	if err != nil {
		return nil, err
	}
	return mirror.New(c, client), nil
}

// untilSignal gives a context that an interrupt or SIGTERM ends. A second interrupt
// ends the process.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	ends := make(chan os.Signal, 1)
	signal.Notify(ends, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case <-ends:
			signal.Reset(os.Interrupt)
			cancel()
		case <-ctx.Done():
		}
		signal.Stop(ends)
	}()
	return ctx, cancel
}

func newMirrorPlan(s *streams) *cobra.Command {
	var f mirrorFlags
	cmd := &cobra.Command{
		Use:   "plan --config FILE [flags]",
		Short: "Show what would be changed, and why",
		Long: `Compare the account with the desired state and show each step that is missing, with its
reason; the interfaces that are selected and cannot be mirrored; and what else is worth
knowing, as packets that AWS would cut. Nothing is changed.

With --check AWS is asked, by dry runs, whether each kind of change would be allowed.

Exit status: 0 all is as desired; 3 there are differences; 1 the account cannot be read, or a
change would not be allowed; 2 wrong usage.`,
		Example: `  sensor mirror plan --config mirror.toml
  sensor mirror plan --config mirror.toml --check
  sensor mirror plan --config mirror.toml --format json | jq '.steps[] | select(.action == "blind")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return mirrorPlan(cmd.Context(), s, &f) },
	}
	f.register(cmd, "config", "format")
	cmd.Flags().BoolVar(&f.all, "all", false, "show what stays as it is, too")
	cmd.Flags().BoolVar(&f.check, "check", false, "ask AWS whether the changes would be allowed")
	return cmd
}

func mirrorPlan(ctx context.Context, s *streams, f *mirrorFlags) error {
	ctx, cancel := untilSignal(ctx)
	defer cancel()
	r, err := f.reconciler(ctx)
	if err != nil {
		return err
	}
	p, err := r.Plan(ctx, false)
	if err != nil {
		return err
	}
	if f.check {
		if err := checkMirror(ctx, s, r, p, f.format == formatTable); err != nil {
			return err
		}
	}
	if err := f.write(s, p); err != nil {
		return err
	}
	if p.Differences() > 0 {
		return errDifferent
	}
	return nil
}

// write prints a plan.
func (f *mirrorFlags) write(s *streams, p *mirror.Plan) error {
	if f.format == formatJSON {
		return printed(p.WriteJSON(s.out))
	}
	return printed(p.WriteTable(s.out, f.all))
}

// checkMirror asks for permissions, and tells them if there is somebody to read it.
func checkMirror(ctx context.Context, s *streams, r *mirror.Reconciler, p *mirror.Plan, tell bool) error {
	perms, err := r.Check(ctx, p)
	if err != nil {
		return err
	}
	for _, perm := range perms {
		if tell {
			line := fmt.Sprintf("allowed to %s: %s", perm.Action, perm.Allowed)
			if perm.Note != "" {
				line += " (" + perm.Note + ")"
			}
			fmt.Fprintln(s.out, printable(line))
		}
	}
	if tell && len(perms) > 0 {
		fmt.Fprintln(s.out)
	}
	return mirror.Denied(perms)
}

func newMirrorApply(s *streams) *cobra.Command {
	var f mirrorFlags
	cmd := &cobra.Command{
		Use:   "apply --config FILE [flags]",
		Short: "Make the account be as desired",
		Long: `Show the plan, ask whether to go on, and do it, at most 5 changes a second. Before anything is
changed AWS is asked by dry runs whether it would be allowed. What fails does not hold up
the rest. It is safe to do again after it was cut off: what is there is found.

An interrupt or SIGTERM ends it after the change that is under way.

Exit status: 0 the account is as desired, as far as AWS lets it be; 1 something failed, or was
left undone; 2 wrong usage.`,
		Example: `  sensor mirror apply --config mirror.toml
  sensor mirror apply --config mirror.toml --yes --format json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return mirrorChange(cmd.Context(), s, &f, func(ctx context.Context, r *mirror.Reconciler) (*mirror.Plan, error) { return r.Plan(ctx, f.force) })
		},
	}
	f.register(cmd, "config", "format", "yes")
	cmd.Flags().BoolVar(&f.force, "force", false, "delete more sessions at once than [guard] allows")
	cmd.Flags().BoolVar(&f.all, "all", false, "show what stays as it is, too")
	return cmd
}

func newMirrorDestroy(s *streams) *cobra.Command {
	var f mirrorFlags
	cmd := &cobra.Command{
		Use:   "destroy --config FILE [flags]",
		Short: "Delete everything that was created for a desired state",
		Long: `Show all sessions, filters and targets that carry the tags of the desired state, ask whether to
go on, and delete them. What others have, and what was given by id, stays.

Exit status: 0 nothing is left; 1 something failed, or was left undone; 2 wrong usage.`,
		Example: `  sensor mirror destroy --config mirror.toml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return mirrorChange(cmd.Context(), s, &f, func(ctx context.Context, r *mirror.Reconciler) (*mirror.Plan, error) { return r.PlanDestroy(ctx) })
		},
	}
	f.register(cmd, "config", "format", "yes")
	return cmd
}

// mirrorChange plans, asks, and applies.
func mirrorChange(ctx context.Context, s *streams, f *mirrorFlags, plan func(context.Context, *mirror.Reconciler) (*mirror.Plan, error)) error {
	table := f.format != formatJSON
	if _, ok := terminal(s.in); !f.yes && (!ok || !table) {
		return usagef("nobody can be asked: give --yes")
	}
	ctx, cancel := untilSignal(ctx)
	defer cancel()
	r, err := f.reconciler(ctx)
	if err != nil {
		return err
	}
	p, err := plan(ctx, r)
	if err != nil {
		return err
	}
	if table {
		if err := f.write(s, p); err != nil {
			return err
		}
	}
	if p.Differences() > 0 {
		if err := checkMirror(ctx, s, r, p, false); err != nil {
			return err
		}
		if !f.yes && !mirrorAgreed(s) {
			fmt.Fprintln(s.err, "nothing was changed")
			return errReported
		}
	}
	report := r.Apply(ctx, p, func(o mirror.Outcome) {
		if table {
			fmt.Fprintln(s.out, o.Line())
		}
	})
	if table && p.Differences() > 0 {
		_, err = fmt.Fprintf(s.out, "\n%s\n", report.Results())
	} else if !table {
		err = report.WriteJSON(s.out)
	}
	switch {
	case err != nil:
		return printed(err)
	case report.OK():
		return nil
	case table:
		return errReported
	}
	return errors.New("not everything could be done")
}

// mirrorAgreed asks on a terminal.
func mirrorAgreed(s *streams) bool {
	fmt.Fprint(s.err, "Go on? [y/N] ")
	line, err := bufio.NewReader(s.in).ReadString('\n')
	return err == nil && slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(line)))
}

func newMirrorWatch(s *streams) *cobra.Command {
	var f mirrorFlags
	cmd := &cobra.Command{
		Use:   "watch --config FILE [flags]",
		Short: "Keep the account as desired",
		Long: `Compare and apply at once, and then each [watch] period, until an interrupt or SIGTERM; then
the change that is under way comes to its end, and sessions stay as they are. What is changed,
what fails and what cannot be mirrored is logged when it comes up. Nothing that AWS answers
ends it: what cannot be read is no reason to delete, and more deletions at once than
[guard] allows are left to 'sensor mirror apply --force'.

One watcher for each desired state is enough; two do no harm.

Exit status: 0 it was told to end; 1 it could not start; 2 wrong usage.`,
		Example: `  sensor mirror watch --config /etc/mirrorscope/mirror.toml`,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains([]string{"text", "json"}, f.logFormat) {
				return usagef("--log-format: %q is no format; take text or json", f.logFormat)
			}
			ctx, cancel := untilSignal(cmd.Context())
			defer cancel()
			r, err := f.reconciler(ctx)
			if err != nil {
				return err
			}
			mirror.NewWatcher(r, logger(s, f.logFormat)).Run(ctx)
			return nil
		},
	}
	f.register(cmd, "config")
	cmd.Flags().StringVar(&f.logFormat, "log-format", "text", "log as `FORMAT`: text or json")
	return cmd
}

// printed gives the error of a write to standard output, if there is one.
func printed(err error) error {
	if err == nil {
		return nil
	}
	return outputError(err)
}
