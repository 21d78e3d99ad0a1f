package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mirrorscope/daemon"
	"mirrorscope/enrich/static"
	"mirrorscope/nic"
	"mirrorscope/nic/host"
	"mirrorscope/privilege"
)

// checkFlags are the flags of `sensor check` as given.
type checkFlags struct {
	config         string
	interfaces     []string
	mode           string
	mirror, format string
	shared         bool
	sourceMTU      int
	tryXDP         bool
	fix, yes       bool
	all            bool
}

func newCheck(s *streams) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [flags]",
		Short: "Tell whether this machine can capture, and what to mend",
		Long: `Look at the kernel, the interfaces, what this process may do, the clock and the
configuration with its clouds, and tell what keeps capture from working or makes it worse: what was
found, why it matters, and the command that mends it. Nothing is changed or sent, unless
--fix or --try-xdp is given.

With --fix what can be set on the interfaces is set: each change is shown, with the
command that does the same and the one that undoes it. Changes last until the next boot;
some NICs set up their queues anew for them and lose frames meanwhile. An address that
the machine may be reached by is never taken away.

Of each account and region of a cloud, and each cluster, that the configuration names it
is told whether credentials and permissions suffice, by asking, and how old what is known
of it is. The environment counts: run it as the sensor runs.

The mirror is said to be a tunnel when it sends to the interface's own address (VXLAN,
GENEVE, ERSPAN, GCP), and a port when frames bear the addresses of others (SPAN).

Exit status: 0 capture works; 1 a finding prevents it (level error); 2 wrong usage.`,
		Example: `  sensor check --config /etc/mirrorscope/sensor.toml
  sensor check --interface eth1 --mirror port
  sensor check --interface eth1 --mirror tunnel --source-mtu 8947
  sensor check --interface eth1 --fix
  sensor check --interface eth1 --format json | jq '.interfaces[].findings[] | select(.level != "ok")'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := f.plan(cmd)
			if err != nil {
				return usageError{err}
			}
			return check(s, &f, plan)
		},
	}
	fs := cmd.Flags()
	fs.StringVar(&f.config, "config", "", "check the configuration `FILE`, and the interfaces that it names")
	fs.StringArrayVarP(&f.interfaces, "interface", "i", nil, "check `INTERFACE`; repeatable")
	fs.StringVar(&f.mode, "mode", string(daemon.ModeAFPacket), "for capture by `MODE`: afpacket, afxdp or auto")
	fs.StringVar(&f.mirror, "mirror", nic.MirrorUnknown.String(), "the mirror is a `KIND`: tunnel, port or unknown")
	fs.BoolVar(&f.shared, "shared", false, "the interfaces carry this machine's own traffic as well")
	fs.IntVar(&f.sourceMTU, "source-mtu", 0, "the mirrored machines have an MTU of `OCTETS`")
	fs.BoolVar(&f.tryXDP, "try-xdp", false, "attach an XDP program that passes everything, for a moment; some NICs lose frames for it")
	fs.BoolVar(&f.fix, "fix", false, "set what can be set on the interfaces; asks first on a terminal")
	fs.BoolVarP(&f.yes, "yes", "y", false, "with --fix: do not ask")
	fs.BoolVar(&f.all, "all", false, "also list what is as it should be")
	fs.StringVar(&f.format, "format", formatTable, "print as `FORMAT`: table or json (always everything)")
	for name, words := range map[string][]string{
		"format": {formatTable, formatJSON}, "mirror": {"tunnel", "port", "unknown"},
		"mode": {string(daemon.ModeAFPacket), string(daemon.ModeAFXDP), string(daemon.ModeAuto)},
	} {
		if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err) // the flag is defined above
		}
	}
	return cmd
}

// checkPlan is what is to be checked.
type checkPlan struct {
	config  *report // nil: none was given
	capture daemon.Capture
	cloud   daemon.Cloud
	use     nic.Use
}

// plan checks the flags and reads the configuration. Its errors are of usage;
// what is wrong with the configuration is a finding.
func (f *checkFlags) plan(cmd *cobra.Command) (*checkPlan, error) {
	given := cmd.Flags().Changed
	if !slices.Contains([]string{formatTable, formatJSON}, f.format) {
		return nil, fmt.Errorf("--format: %q is no format; take table or json", f.format)
	}
	mirror, err := nic.ParseMirror(f.mirror)
	if err != nil {
		return nil, fmt.Errorf("--mirror: %w", err)
	}
	if f.sourceMTU != 0 && (f.sourceMTU < 576 || f.sourceMTU > 65535) {
		return nil, fmt.Errorf("--source-mtu: %d is not between 576 and 65535", f.sourceMTU)
	}
	for _, name := range f.interfaces {
		if err := nic.ValidName(name); err != nil {
			return nil, fmt.Errorf("--interface: %w", err)
		}
	}
	if (f.fix || f.tryXDP) && len(f.interfaces) == 0 && f.config == "" {
		return nil, errors.New("name an interface to work on with --interface, or a configuration with --config")
	}
	if f.yes && !f.fix {
		return nil, errors.New("--yes: there is nothing to ask without --fix")
	}
	cfg := daemon.DefaultConfig()
	p := &checkPlan{}
	if f.config != "" {
		p.config = &report{Name: f.config}
		if cfg, err = daemon.Load(f.config); err != nil {
			p.config.add(nic.Finding{Level: nic.Error, About: "config", Found: err.Error(), Why: "the sensor does not start with it", Mend: "'sensor config' prints one with all keys and their defaults"})
			cfg = daemon.DefaultConfig()
		} else {
			p.config.add(nic.Finding{Level: nic.OK, About: "config", Found: "valid"})
			if len(cfg.Capture.Interfaces) == 0 && !given("interface") {
				p.config.add(nic.Finding{Level: nic.Error, About: "interfaces", Found: "none is named", Why: "the sensor does not start", Mend: `interfaces = ["eth1"] below [capture]`})
			}
			for _, file := range cfg.Tags.Files {
				if _, err := static.Read(file); err != nil {
					p.config.add(nic.Finding{Level: nic.Error, About: "tags", Found: err.Error(), Why: "the sensor does not start with it", Mend: "correct the file, or take it out of tags.files"})
				}
			}
		}
	}
	p.capture, p.cloud = cfg.Capture, cfg.Cloud
	if given("interface") {
		p.capture.Interfaces = f.interfaces
	}
	if given("mode") {
		p.capture.Mode = daemon.Mode(f.mode)
	}
	if modes := []daemon.Mode{daemon.ModeAFPacket, daemon.ModeAFXDP, daemon.ModeAuto}; !slices.Contains(modes, p.capture.Mode) {
		return nil, fmt.Errorf("--mode: %q is no mode; take afpacket, afxdp or auto", f.mode)
	}
	p.use = nic.Use{Shared: f.shared || cfg.Filter.Shared, Mirror: mirror, SourceMTU: f.sourceMTU}
	return p, nil
}

// useOf is what one interface is for: which it is in mode auto depends on what
// its driver can.
func (p *checkPlan) useOf(f *nic.Facts) nic.Use {
	u := p.use
	switch p.capture.Mode {
	case daemon.ModeAFXDP:
		u.AFXDP, u.Native = true, p.capture.AFXDP.Attach == "native"
	case daemon.ModeAuto:
		u.AFXDP = f.XDP.Native == nic.Yes && f.XDP.ZeroCopy == nic.Yes && f.XDP.Attached == ""
	}
	u.DriverFilter = !u.AFXDP && p.capture.Filter == daemon.FilterDriver
	u.Promiscuous = p.capture.AFPacket.Promiscuous
	if u.AFXDP {
		u.Promiscuous = p.capture.AFXDP.Promiscuous
	}
	return u
}

// hostUse is what the machine is for: mode auto does without AF_XDP.
func (p *checkPlan) hostUse() nic.Use {
	return nic.Use{AFXDP: p.capture.Mode == daemon.ModeAFXDP}
}

// check looks, sets what is to be set, looks again, and prints.
func check(s *streams, f *checkFlags, p *checkPlan) error {
	if f.fix {
		if err := fix(s, f, p); err != nil {
			return err
		}
	}
	r := p.look(f)
	var err error
	if f.format == formatJSON {
		err = writeCheckJSON(s.out, r)
	} else {
		err = writeCheck(s.out, r, f.all, terminalWidth(s.out), colour(s.out))
	}
	switch {
	case err != nil:
		return outputError(err)
	case r.Level == nic.Error:
		return errReported
	}
	return nil
}

// checkReport is everything that was found.
type checkReport struct {
	Level      nic.Level `json:"level"` // the worst of all
	Host       report    `json:"host"`
	Config     *report   `json:"config,omitempty"`
	Interfaces []report  `json:"interfaces"`
	Clouds     []report  `json:"clouds,omitempty"`
}

// report is what was found about one thing.
type report struct {
	Name     string        `json:"name"`
	Level    nic.Level     `json:"level"`
	Facts    any           `json:"facts,omitempty"`
	Findings []nic.Finding `json:"findings"`
}

func (r *report) add(findings ...nic.Finding) {
	r.Findings = append(r.Findings, findings...)
	r.Level = nic.Worst(r.Findings)
}

// parts lists all reports, in the order of printing.
func (r *checkReport) parts() []*report {
	parts := []*report{&r.Host}
	if r.Config != nil {
		parts = append(parts, r.Config)
	}
	for i := range r.Interfaces {
		parts = append(parts, &r.Interfaces[i])
	}
	for i := range r.Clouds {
		parts = append(parts, &r.Clouds[i])
	}
	return parts
}

func (p *checkPlan) look(f *checkFlags) *checkReport {
	r := &checkReport{Config: p.config, Host: report{Name: "host"}, Interfaces: []report{}}
	support := privilege.Supported()
	facts := host.Inspect(host.Known{
		Memory: usableMemory(), KeepsBPF: support.KeepsBPF, LandlockABI: support.LandlockABI,
		XDPMemory: int64(p.capture.AFXDP.Frames) * int64(p.capture.AFXDP.FrameBytes),
	})
	r.Host.Facts = facts
	r.Host.add(host.Examine(facts, p.hostUse())...)
	for _, name := range p.capture.Interfaces {
		r.Interfaces = append(r.Interfaces, p.lookAt(f, name))
	}
	r.Clouds = checkClouds(&p.cloud)
	for _, part := range r.parts() {
		r.Level = max(r.Level, part.Level)
	}
	return r
}

func (p *checkPlan) lookAt(f *checkFlags, name string) report {
	r := report{Name: name}
	facts, err := nic.Inspect(name)
	if err != nil {
		r.add(nic.Finding{Level: nic.Error, About: "interface", Found: err.Error(), Why: "there is nothing to capture on", Mend: "'ip link' lists the interfaces"})
		return r
	}
	r.Facts = facts
	if f.tryXDP {
		x, err := nic.TryXDP(name)
		if err != nil {
			finding := nic.Finding{Level: nic.Note, About: "try_xdp", Found: err.Error(), Why: "what the driver takes could not be tried"}
			if errors.Is(err, syscall.EBUSY) || errors.Is(err, syscall.EEXIST) {
				finding.Level, finding.Why = nic.Error, "another program has the place, and no program of the sensor can be attached beside it"
				finding.Mend = "see xdp_program"
			}
			r.add(finding)
		} else {
			x.ZeroCopy, x.MaxMTU, x.XDPProgram = facts.XDP.ZeroCopy, facts.XDP.MaxMTU, facts.XDP.XDPProgram
			facts.XDP = x
			delete(facts.Unknown, "xdp")
		}
	}
	u := p.useOf(facts)
	r.add(nic.Examine(facts, u)...)
	r.add(nic.ExamineGuard(facts, u, p.config != nil && p.capture.Guard))
	r.add(nic.ExamineCounters(name)...)
	return r
}

// fix sets what can be set. Each change is told before it is made.
func fix(s *streams, f *checkFlags, p *checkPlan) error {
	for _, name := range p.capture.Interfaces {
		facts, err := nic.Inspect(name)
		if err != nil {
			continue // look says so
		}
		changes := nic.Plan(facts, p.useOf(facts))
		if len(changes) == 0 {
			continue
		}
		out := s.err
		fmt.Fprintf(out, "%s: %d to set\n", name, len(changes))
		for _, c := range changes {
			fmt.Fprintf(out, "  %-13s %s → %s: %s\n  %-13s %s\n  %-13s %s\n", c.Setting, c.From, c.To, c.Why, "", c.Command(), "to undo:", c.Reverse().Command())
		}
		if !f.yes && !agreed(s, name) {
			fmt.Fprintf(out, "%s: nothing was set\n", name)
			continue
		}
		applied, err := nic.Apply(changes)
		fmt.Fprintf(out, "%s: %d of %d set\n", name, len(applied.Done), len(changes))
		if err != nil {
			s.complain("%v", err)
		}
	}
	return nil
}

// agreed asks on a terminal. Elsewhere --fix is answer enough.
func agreed(s *streams, name string) bool {
	if _, ok := terminal(s.in); !ok {
		return true
	}
	fmt.Fprintf(s.err, "%s: set these? [y/N] ", name)
	line, err := bufio.NewReader(s.in).ReadString('\n')
	return err == nil && slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(line)))
}

func writeCheckJSON(w io.Writer, r *checkReport) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
