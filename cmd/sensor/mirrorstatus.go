package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mirrorscope/cloud"
	"mirrorscope/cloud/aws"
	"mirrorscope/cloud/mirror"
)

func newMirrorStatus(s *streams) *cobra.Command {
	var f mirrorFlags
	cmd := &cobra.Command{
		Use:   "status --config FILE [flags]",
		Short: "Show which interfaces are mirrored, and which are not and why",
		Long: `List the interfaces that are selected: by which session each is mirrored and to which target, or
why it is blind. SKIPPED is what AWS did not copy at the instance in the last half hour because
its own traffic needed the room (CloudWatch, NetworkPacketsSkipMirrorIn and Out): no sensor
sees that loss. Nothing is changed.

Exit status: 0 done; 1 the account cannot be read; 2 wrong usage.`,
		Example: `  sensor mirror status --config mirror.toml
  sensor mirror status --config mirror.toml --blind
  sensor mirror status --config mirror.toml --all --format json | jq '.counts'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.all && f.blind {
				return usagef("--all and --blind: give one")
			}
			return mirrorStatus(cmd.Context(), s, &f)
		},
	}
	f.register(cmd, "config", "format")
	fs := cmd.Flags()
	fs.BoolVar(&f.all, "all", false, "list interfaces that are not selected, too")
	fs.BoolVar(&f.blind, "blind", false, "list only those that are not mirrored")
	fs.BoolVar(&f.noMetrics, "no-metrics", false, "do not ask CloudWatch, which charges for each metric")
	return cmd
}

func mirrorStatus(ctx context.Context, s *streams, f *mirrorFlags) error {
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
	if !f.noMetrics {
		addSkips(ctx, r, p)
	}
	show := mirror.ShowSelected
	switch {
	case f.all:
		show = mirror.ShowAll
	case f.blind:
		show = mirror.ShowBlind
	}
	if f.format == formatJSON {
		return printed(p.WriteStatusJSON(s.out, show))
	}
	return printed(p.WriteStatus(s.out, show))
}

// skipWindow is how far back CloudWatch is asked.
const skipWindow = 30 * time.Minute

// addSkips asks what was not copied. What cannot be had is a warning.
func addSkips(ctx context.Context, r *mirror.Reconciler, p *mirror.Plan) {
	instances := p.MirroredInstances()
	if len(instances) == 0 {
		return
	}
	to := r.Now().UTC().Truncate(cloud.SkipPeriod)
	from := to.Add(-skipWindow)
	all, err := mirrorMeter(r).Skips(ctx, instances, from, to)
	if err != nil {
		p.Warnings = append(p.Warnings, mirror.Warning{About: "skipped", Text: "is not known: " + err.Error()})
	}
	type sum struct{ packets, bytes cloud.Count }
	sums := map[string]*sum{}
	for _, skip := range all {
		if sums[skip.Instance] == nil {
			sums[skip.Instance] = &sum{}
		}
		sums[skip.Instance].packets.Add(skip.Packets)
		sums[skip.Instance].bytes.Add(skip.Bytes)
	}
	known := func(c cloud.Count) *uint64 {
		if !c.Known {
			return nil
		}
		return &c.N
	}
	told := map[string]mirror.Skips{}
	for id, s := range sums {
		told[id] = mirror.Skips{From: from, To: to, Packets: known(s.packets), Bytes: known(s.bytes)}
	}
	p.AddSkips(told)
}

// mirrorMeter asks CloudWatch where and as whom the desired state says.
func mirrorMeter(r *mirror.Reconciler) cloud.Meter {
	c := aws.DefaultConfig()
	a := &r.Config.AWS
	c.Enabled, c.Regions, c.Profile = true, []string{r.Region}, a.Profile
	if a.Role != "" {
		c.OwnAccount, c.Accounts = false, []aws.Account{{RoleARN: a.Role, ExternalID: a.ExternalID}}
	}
	return aws.Sources(c)[0].(cloud.Meter) // with MirrorLoss, the default, all are
}

func newMirrorConfig(s *streams) *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Print a desired state with all keys and what they mean",
		Long: `Print a desired state as a TOML file: all keys with their defaults and what they mean. A name, a
condition below [select] and a target are to be filled in.`,
		Example: `  sensor mirror config > mirror.toml`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			return printed(mirror.DefaultConfig().Write(s.out))
		},
	}
}

// Whom a policy is for.
const (
	policyMirror = "mirror"
	policyPlan   = "plan"
	policySensor = "sensor"
)

var policies = []string{policyMirror, policyPlan, policySensor}

func newMirrorPolicy(s *streams) *cobra.Command {
	var f mirrorFlags
	cmd := &cobra.Command{
		Use:   "policy [flags]",
		Short: "Print the IAM policy that is needed",
		Long: `Print an IAM policy with what is needed and no more:

  mirror   apply, watch and destroy; changes only what carries the tags of the sensor
  plan     plan and status without SKIPPED; only reads
  sensor   'sensor run' with [cloud.aws], and SKIPPED of status; only reads

With --config it is narrowed to that desired state: its region, its name, its targets and filter.
'sensor mirror plan --check' tells whether AWS agrees.

Exit status: 0 done; 2 wrong usage.`,
		Example: `  sensor mirror policy
  sensor mirror policy --for mirror --config mirror.toml
  sensor mirror policy --for sensor`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			if !slices.Contains(policies, f.of) {
				return usagef("--for: %q is nobody; take %s", f.of, strings.Join(policies, ", "))
			}
			var c *mirror.Config
			if f.config != "" {
				var err error
				if c, err = f.load(); err != nil {
					return err
				}
			}
			return printed(policyOf(f.of, c).Write(s.out))
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.of, "for", policyMirror, "what is needed for `WHAT`: "+strings.Join(policies, ", "))
	fs.StringVar(&f.config, "config", "", "narrow it to the desired state in `FILE`")
	if err := cmd.RegisterFlagCompletionFunc("for", cobra.FixedCompletions(policies, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is defined above
	}
	return cmd
}

func policyOf(what string, c *mirror.Config) mirror.Policy {
	switch what {
	case policyMirror:
		return mirror.WritePolicy(c)
	case policyPlan:
		return mirror.ReadPolicy()
	}
	return mirror.Policy{Version: mirror.PolicyVersion, Statement: []mirror.Statement{{
		Sid: "Read", Effect: "Allow", Action: sensorActions, Resource: []string{"*"},
	}}}
}

// sensorActions are those that the inventory of AWS asks for; a test compares them
// with the calls that it makes. sts:AssumeRole for other accounts is a matter of
// those roles.
var sensorActions = []string{
	"cloudwatch:GetMetricData", "ec2:DescribeInstances", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DescribeVpcs",
}
