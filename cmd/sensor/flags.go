package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/edge"
	"mirrorscope/edge/group"
	"mirrorscope/enrich"
	"mirrorscope/filter"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/pipeline"
	"mirrorscope/sink/table"
	"mirrorscope/unit"
)

// Formats of the output.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatCSV   = "csv"
)

var formats = []string{formatTable, formatJSON, formatCSV}

// replayFlags are the flags of `sensor replay` as given.
type replayFlags struct {
	format, view           string
	sort, filter           string
	limit, shards          int
	certDays               int
	points, networks       []string
	group                  groupFlags
	tags                   []string
	inventory              string
	memory                 unit.Size
	interval               time.Duration
	vlanInKey, noProgress  bool
	vxlanPorts             []uint
	genevePorts            []uint
	cpuProfile, memProfile string

	given func(flag string) bool // on the command line
}

// replayOptions are the flags as understood.
type replayOptions struct {
	format   string
	input    pcapfile.Config
	pipeline pipeline.Config
	records  bool         // a record for each connection; else a view
	table    table.Config // of a view, in whatever format
	group    *grouping    // nil: nothing is grouped

	resolver *enrich.Resolver // nil: addresses have no names
	notes    []error          // what could not be read of the inventory
}

func (f *replayFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	f.given = fs.Changed
	fs.StringVar(&f.format, "format", formatTable, "print as `FORMAT`: "+strings.Join(formats, ", "))
	fs.StringVar(&f.view, "view", edge.ViewConversations.String(), "show `VIEW`: "+strings.Join(edge.Views(), ", ")+"; with json its rows in place of records")
	fs.StringVar(&f.group.by, "group-by", "", "sum connections by `KEYS` with commas between them: client.TAG, server.TAG, "+strings.Join(group.RecordKeys(), ", ")+"; json has conversation records beside the others")
	fs.StringVar(&f.group.since, "since", "", "with --group-by: show what is since `TIME`, as 2026-11-20T10:15:00Z, beside what was before")
	fs.StringVar(&f.sort, "sort", "", "view in `ORDER`: "+strings.Join(edge.Orders(), ", ")+" (default bytes; tls: connections; dns, http: requests)")
	fs.IntVar(&f.limit, "limit", 20, "view of the first `N` rows, 0 for all; json has all unless it is given")
	fs.IntVar(&f.certDays, "cert-days", 30, "tls view: certificates that expire within `N` days of the end of the capture")
	fs.StringVar(&f.filter, "filter", "", "count only packets that match `EXPR`, in the words of tcpdump; looks at the innermost packet")
	fs.DurationVar(&f.interval, "interval", 0, "with json: also a record for each `DURATION` of each connection, e.g. 10s; with --group-by: rows for each")
	fs.StringArrayVar(&f.points, "point", nil, "`NAME=FILE`: read FILE as an observation point of its own, called NAME; repeatable")
	fs.StringArrayVar(&f.networks, "network", nil, "`VNI=NAME`: packets in a tunnel with this VNI are of network NAME; repeatable")
	fs.StringArrayVar(&f.tags, "tags", nil, "name addresses by `FILE`, TOML or CSV: service, env, team and your own tags by prefix and port; repeatable")
	fs.StringVar(&f.inventory, "inventory", "", "name addresses by the inventory in `DIR`, which a running sensor keeps of clouds and clusters, as of the time of each connection")
	fs.BoolVar(&f.vlanInKey, "vlan-in-key", false, "tell connections apart by VLAN; off, because a mirror port may tag each direction differently")
	fs.UintSliceVar(&f.vxlanPorts, "vxlan-port", nil, "UDP `PORT` of VXLAN beside 4789 and 8472; repeatable")
	fs.UintSliceVar(&f.genevePorts, "geneve-port", nil, "UDP `PORT` of GENEVE beside 6081; repeatable")
	fs.Var(&f.memory, "memory", "memory for connections, `SIZE` as 512MiB; when it is full the least useful one ends early (default 60 % of what the process may use)")
	fs.IntVar(&f.shards, "shards", 0, "work on `N` threads beside those that read and write; 1: one thread does all, which takes the least CPU time and longer; changes nothing in the output (default one a core)")
	fs.BoolVar(&f.noProgress, "no-progress", false, "no progress bar")
	fs.StringVar(&f.cpuProfile, "cpuprofile", "", "write a CPU profile to `FILE`")
	fs.StringVar(&f.memProfile, "memprofile", "", "write a heap profile to `FILE`")
	for _, name := range []string{"cpuprofile", "memprofile"} {
		if err := fs.MarkHidden(name); err != nil {
			panic(err) // the flag is defined above
		}
	}
	for name, words := range map[string][]string{"format": formats, "view": edge.Views(), "sort": edge.Orders()} {
		if err := cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
			panic(err)
		}
	}
}

// options checks the flags. All its errors are of usage.
func (f *replayFlags) options(files []string) (*replayOptions, error) {
	o := &replayOptions{format: f.format, input: pcapfile.Config{Paths: files}}
	if !slices.Contains(formats, f.format) {
		return nil, usagef("--format: %q is no format; take one of %s", f.format, strings.Join(formats, ", "))
	}
	var err error
	if o.group, err = f.grouping(); err != nil {
		return nil, err
	}
	if o.table, err = f.viewConfig(); err != nil {
		return nil, err
	}
	o.records = f.format == formatCSV || f.format == formatJSON && !f.given("view")
	o.table.Input = slices.Concat(files, f.points)
	if f.interval != 0 && f.format != formatJSON && o.group == nil {
		return nil, usagef("--interval: %s has no intervals; add --format json, or --group-by", f.format)
	}
	if f.interval != 0 && !o.records && o.group == nil {
		return nil, usagef("--interval: a view has no intervals; leave --view or --interval out")
	}

	if o.input.Points, err = parsePoints(f.points); err != nil {
		return nil, usagef("--point: %w", err)
	}
	if err := o.input.Validate(); err != nil {
		return nil, usageError{err}
	}
	if o.pipeline, err = f.pipelineConfig(); err != nil {
		return nil, usageError{err}
	}
	if o.group != nil {
		o.pipeline.Flow.Interval = o.group.config.Interval
		o.pipeline.Flow.Sums = o.group.config.Interval == 0
		o.pipeline.Flow.Quantiles = o.format == formatJSON // which has the connections, too
	}
	if f.inventory == "" && f.given("inventory") {
		return nil, usagef("--inventory: a folder is needed, that of cloud.directory of the sensor's configuration")
	}
	if o.resolver, o.notes, err = names(f.inventory, f.tags); err != nil {
		return nil, usageError{err}
	}
	if o.resolver != nil {
		o.pipeline.Decode.NetworkOf = o.resolver.NetworkOf
	}
	return o, nil
}

// viewConfig checks what --view, --sort, --limit and --cert-days say together.
func (f *replayFlags) viewConfig() (table.Config, error) {
	c := table.Config{Limit: f.limit, Edge: edge.DefaultConfig(), CertificateDays: f.certDays}
	view, err := edge.ParseView(f.view)
	if err != nil {
		return c, usagef("--view: %w", err)
	}
	c.Edge.View = view
	if f.given("view") && f.format == formatCSV {
		return c, usagef("--view: csv has records only; take --format table or json, or leave --view out")
	}
	if f.format != formatTable && !f.given("view") {
		for _, flag := range []string{"sort", "limit"} {
			if f.given(flag) {
				return c, usagef("--%s: records come in order of time, all of them; add --view conversations --format json, or leave --%s out", flag, flag)
			}
		}
	}
	c.Sort = view.Orders()[0]
	if f.sort != "" {
		if c.Sort, err = edge.ParseOrder(f.sort); err != nil {
			return c, usagef("--sort: %w", err)
		}
	}
	if orders := view.Orders(); !slices.Contains(orders, c.Sort) {
		return c, usagef("--sort: the %s view has no order %q; take one of %s", view, f.sort, join(orders))
	}
	if f.limit < 0 {
		return c, usagef("--limit: %d is negative; take 0 to show all", f.limit)
	}
	if f.format == formatJSON && !f.given("limit") {
		c.Limit = 0
	}
	if f.given("cert-days") && view != edge.ViewTLS {
		return c, usagef("--cert-days: only the tls view lists certificates; add --view tls")
	}
	if f.certDays < 0 || f.certDays > maxCertDays {
		return c, usagef("--cert-days: %d is not between 0 and %d", f.certDays, maxCertDays)
	}
	return c, nil
}

// maxCertDays is about a hundred years.
const maxCertDays = 36_500

func join(orders []edge.Order) string {
	words := make([]string, len(orders))
	for i, o := range orders {
		words[i] = o.String()
	}
	return strings.Join(words, ", ")
}

func (f *replayFlags) pipelineConfig() (pipeline.Config, error) {
	c := pipeline.Config{Shards: f.shards, Decode: packet.DefaultConfig(), Flow: flow.DefaultConfig(), Names: &packet.Names{}}
	if f.shards < 0 {
		return c, fmt.Errorf("--shards: %d is negative", f.shards)
	}
	if f.filter != "" {
		match, err := filter.Parse(f.filter)
		if err != nil {
			return c, fmt.Errorf("--%w", err)
		}
		c.Match = match.Match
	}
	var err error
	if c.Decode.VXLANPorts, err = ports(f.vxlanPorts); err != nil {
		return c, fmt.Errorf("--vxlan-port: %w", err)
	}
	if c.Decode.GenevePorts, err = ports(f.genevePorts); err != nil {
		return c, fmt.Errorf("--geneve-port: %w", err)
	}
	if c.Decode.Networks, err = parseNetworks(f.networks); err != nil {
		return c, fmt.Errorf("--network: %w", err)
	}
	c.Decode.VLANInKey = f.vlanInKey
	if err := c.Decode.Validate(); err != nil {
		return c, err
	}
	c.Flow.Interval = f.interval
	c.Flow.Sums = f.format == formatTable || f.given("view") // views add connections up; records have quantiles
	c.Flow.Lends = c.Flow.Sums
	if c.Flow.Memory = int64(f.memory); c.Flow.Memory == 0 {
		c.Flow.Memory = defaultMemory()
	}
	return c, c.Flow.Validate()
}

// parsePoints reads NAME=FILE. A name has no "=", a file may.
func parsePoints(list []string) (map[string]string, error) {
	points := map[string]string{}
	for _, s := range list {
		name, file, ok := strings.Cut(s, "=")
		if !ok || name == "" || file == "" {
			return nil, fmt.Errorf("%q is not of the form NAME=FILE", s)
		}
		if other, twice := points[file]; twice {
			return nil, fmt.Errorf("%s is point %q already; a file is one point", file, other)
		}
		points[file] = name
	}
	return points, nil
}

func parseNetworks(list []string) (map[uint32]string, error) {
	networks := map[uint32]string{}
	for _, s := range list {
		number, name, ok := strings.Cut(s, "=")
		vni, err := strconv.ParseUint(number, 0, 32)
		if !ok || err != nil || name == "" {
			return nil, fmt.Errorf("%q is not of the form VNI=NAME", s)
		}
		if other, twice := networks[uint32(vni)]; twice && other != name {
			return nil, fmt.Errorf("VNI %d is of network %q already", vni, other)
		}
		networks[uint32(vni)] = name
	}
	return networks, nil
}

func ports(list []uint) ([]uint16, error) {
	var ports []uint16
	for _, n := range list {
		if n == 0 || n > 65535 {
			return nil, fmt.Errorf("%d is no port", n)
		}
		ports = append(ports, uint16(n))
	}
	return ports, nil
}
