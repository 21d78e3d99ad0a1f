// Package daemon is a sensor that runs: it opens the live capture, puts the
// outputs behind it, gives up its privileges, and looks after all of them until
// it is told to end.
//
//	interface ─► pre-filter ─► rings ─► pipeline ─► records ─┬─► files, standard output
//	                             │          │                ├─► /metrics
//	                             └── losses ┴─── health ─────┴─► sensor top
//
// Nothing behind the pipeline can hold capture up: outputs have queues, and
// count what they drop.
package daemon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"mirrorscope/bpf"
	"mirrorscope/capture/afpacket"
	"mirrorscope/capture/afxdp"
	"mirrorscope/edge/group"
	"mirrorscope/edge/live"
	"mirrorscope/enrich"
	"mirrorscope/filter"
	"mirrorscope/flow"
	"mirrorscope/health"
	"mirrorscope/packet"
	"mirrorscope/pipeline"
	"mirrorscope/privilege"
	"mirrorscope/record"
	"mirrorscope/sink/lines"
	"mirrorscope/sink/prom"
	"mirrorscope/unit"
)

// Config is the configuration file: each part belongs to the package that does
// the work.
type Config struct {
	Capture  Capture           `toml:"capture" comment:"Where mirrored traffic comes in, and how it is read."`
	Filter   bpf.Config        `toml:"filter" comment:"What is measured. It is applied in front of the capture, in the kernel, and can be changed while the\nsensor runs: edit this file, then systemctl reload mirrorscope.\n\nRules are tables of their own:\n\n  [[filter.rules]]\n  action = \"deny\"\n  net = [\"10.9.0.0/16\"]\n  port = [\"9100\", \"8000-8999\"]\n  proto = [\"tcp\"]"`
	Decode   Decode            `toml:"decode" comment:"How packets are read."`
	Tags     Tags              `toml:"tags" comment:"What addresses are called: service, env, team, instance and whatever else is known of them. Without files and\nwithout an inventory nothing is named, and records have no tags."`
	Measure  Measure           `toml:"measure" comment:"What is kept of them."`
	Overload pipeline.Overload `toml:"overload" comment:"What is left out while more comes than can be measured. Each step is counted and shown."`
	Output   Output            `toml:"output" comment:"Where records go."`

	Conversations group.Config `toml:"conversations" comment:"Connections summed by tags of both sides: who talks to whom by name, in each interval, where [output] goes."`

	Health  health.Config `toml:"health" comment:"Where the sensor answers questions about itself."`
	Metrics prom.Config   `toml:"metrics" comment:"What /metrics shows, at the address of [health]."`
	Top     Top           `toml:"top" comment:"What 'sensor top' is told."`
	Record  record.Config `toml:"record" comment:"Headers of the last packets, for a look at those behind a number with tshark or 'sensor replay'. No payload\nis ever kept."`

	Cloud Cloud `toml:"cloud" comment:"What is known of addresses by the clouds and clusters that they belong to. Nothing is asked unless one of the\nparts below is enabled. Under systemd the sensor must be let out as well: systemctl edit mirrorscope, and below\n[Service] IPAddressAllow=any"`

	Privilege privilege.Config `toml:"privilege" comment:"What the sensor gives up once everything is open: what it reads from then on is hostile."`
}

// Capture says what is captured.
type Capture struct {
	Interfaces []string        `toml:"interfaces" comment:"Interfaces that receive the mirror, as [\"eth1\"]."`
	Mode       Mode            `toml:"mode" comment:"afpacket: any interface, any frame size, and every loss counted.\nafxdp: fewer CPU cycles for each packet; takes frames from the system before it sees them.\nauto: afxdp where the driver writes right into the sensor's memory (zero copy), else afpacket.\nWhat was chosen, and why, is in the log and in 'sensor check'."`
	Filter     FilterPlace     `toml:"filter" comment:"Where [filter] is applied with afpacket. driver: by XDP, as with afxdp; what is left out costs least, and\nthe driver may stop the interface for a moment. socket: in front of the rings; asks nothing of the driver.\nauto: driver if something is left out when the sensor starts, nothing is trimmed and the interface is not\nshared, else socket."`
	Guard      bool            `toml:"guard" comment:"Keep the interfaces silent: while the sensor runs nothing leaves them and nothing but the sensor\nlooks at what comes in (with filter.shared: at what is mirrored)."`
	AFPacket   afpacket.Config `toml:"afpacket" comment:"Settings of mode afpacket."`
	AFXDP      afxdp.Config    `toml:"afxdp" comment:"Settings of mode afxdp."`
}

// Decode says how packets are read.
type Decode struct {
	VXLANPorts  []uint16          `toml:"vxlan_ports" comment:"UDP ports of VXLAN beside 4789 and 8472."`
	GenevePorts []uint16          `toml:"geneve_ports" comment:"UDP ports of GENEVE beside 6081."`
	VLANInKey   bool              `toml:"vlan_in_key" comment:"Tell connections apart by VLAN. A mirror port may tag each direction differently."`
	Networks    map[string]string `toml:"networks" comment:"Name of the network by VNI, where addresses overlap: \"7007\" = \"blue\"."`
}

// Measure says what is kept.
type Measure struct {
	Memory   unit.Size     `toml:"memory" comment:"Memory for connections, as \"512MiB\". When it is full the least useful one ends early, counted.\n\"0\": what rings, queues and all else leave of what the process may use, 60 % of that at most; the log\nsays how it is divided when the sensor starts."`
	Interval unit.Duration `toml:"interval" comment:"Length of interval records, whole seconds."`
	Shards   int           `toml:"shards" comment:"Threads that measure, beside the one that reads; 1: that one itself. 0: one a core."`
	Match    string        `toml:"match" comment:"Count only packets that match, in the words of tcpdump; looks at the innermost packet.\n[filter] does the like before a packet costs anything."`
}

// Output says where records go.
type Output struct {
	Connections bool             `toml:"connections" comment:"Write a record for each connection when it has ended."`
	Intervals   bool             `toml:"intervals" comment:"Write a record for each connection in each interval."`
	Stdout      bool             `toml:"stdout" comment:"Write records to standard output."`
	StdoutQueue unit.Size        `toml:"stdout_queue" comment:"Memory for lines that standard output has not taken. What finds no room is dropped and counted."`
	File        lines.FileConfig `toml:"file" comment:"Write records to files, a JSON object a line."`
}

// Top says what is shown of conversations while the sensor runs.
type Top struct {
	Socket        string        `toml:"socket" comment:"Socket to which 'sensor top' connects; only the user of the sensor, and root, may. Empty: none."`
	Window        unit.Duration `toml:"window" comment:"What is shown is of the last so much, whole intervals."`
	Conversations int           `toml:"conversations" comment:"The most conversations told apart; when there are more, the smaller ones are shown as one."`
}

// Mode is how frames are taken from an interface.
type Mode string

// The modes of capture.
const (
	ModeAuto     Mode = "auto"
	ModeAFPacket Mode = "afpacket"
	ModeAFXDP    Mode = "afxdp"
)

// FilterPlace is where the filter is applied with AF_PACKET.
type FilterPlace string

// The places of a filter.
const (
	FilterAuto   FilterPlace = "auto"
	FilterDriver FilterPlace = "driver"
	FilterSocket FilterPlace = "socket"
)

// DefaultConfig is what `sensor config` prints.
func DefaultConfig() Config {
	return Config{
		Capture:   Capture{Interfaces: []string{}, Mode: ModeAFPacket, Filter: FilterAuto, Guard: true, AFPacket: afpacket.DefaultConfig(), AFXDP: afxdp.DefaultConfig()},
		Filter:    bpf.DefaultConfig(),
		Decode:    Decode{VXLANPorts: []uint16{}, GenevePorts: []uint16{}, Networks: map[string]string{}},
		Tags:      Tags{Files: []string{}, Config: enrich.DefaultConfig()},
		Measure:   Measure{Interval: unit.Duration(10 * time.Second)},
		Overload:  pipeline.DefaultOverload(),
		Privilege: privilege.DefaultConfig(),
		Health:    health.DefaultConfig(),
		Metrics:   prom.DefaultConfig(),
		Top:       Top{Socket: "/run/mirrorscope/top.sock", Window: unit.Duration(time.Minute), Conversations: live.DefaultConfig().Conversations},
		Record:    record.DefaultConfig(),
		Cloud:     defaultCloud(),
		Output:    Output{Connections: true, Intervals: true, StdoutQueue: 8 << 20, File: lines.DefaultFileConfig()},

		Conversations: group.DefaultConfig(),
	}
}

// Load reads a configuration file over the defaults, and checks it.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, err // names the file
	}
	defer func() { _ = f.Close() }() // only read from
	c, err := Read(io.LimitReader(f, maxConfig))
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// maxConfig bounds a configuration file, octets.
const maxConfig = 1 << 20

// Read reads a configuration over the defaults. It is strict: what it does not
// know is an error that shows the line.
func Read(r io.Reader) (Config, error) {
	c := DefaultConfig()
	if err := toml.NewDecoder(r).DisallowUnknownFields().Decode(&c); err != nil {
		var unknown *toml.StrictMissingError
		if errors.As(err, &unknown) {
			return c, fmt.Errorf("unknown keys:\n%s", unknown.String())
		}
		var wrong *toml.DecodeError
		if errors.As(err, &wrong) {
			row, column := wrong.Position()
			return c, fmt.Errorf("line %d, column %d: %s\n%s", row, column, strings.TrimPrefix(wrong.Error(), "toml: "), wrong.String())
		}
		return c, err
	}
	return c, c.Validate()
}

// Write writes the configuration with a comment for each key.
func (c Config) Write(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# Configuration of the sensor. What is not given here is as in 'sensor config'.\n\n")
	e := toml.NewEncoder(&b)
	e.SetIndentTables(false)
	if err := e.Encode(c); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// Validate reports every field that cannot be used, by its key.
func (c *Config) Validate() error {
	var errs []error
	part := func(key string, err error) {
		if err == nil {
			return
		}
		for _, e := range split(err) {
			errs = append(errs, fmt.Errorf("%s: %w", key, e))
		}
	}
	part("capture", c.Capture.validate())
	part("capture.afpacket", c.Capture.AFPacket.Validate())
	part("capture.afxdp", c.Capture.AFXDP.Validate())
	part("filter", c.Filter.Validate())
	if _, err := c.decode(); err != nil {
		part("decode", err)
	}
	if c.Measure.Shards < 0 || c.Measure.Shards > flow.Partitions {
		part("measure", fmt.Errorf("shards: %d, need 0 to %d", c.Measure.Shards, flow.Partitions))
	}
	if c.Measure.Interval <= 0 {
		part("measure", fmt.Errorf("interval: %v, need a second or more", c.Measure.Interval))
	}
	f := c.flow(1 << 30)
	if c.Measure.Memory != 0 {
		f = c.flow(int64(c.Measure.Memory))
	}
	part("measure", f.Validate())
	if c.Measure.Match != "" {
		if _, err := filter.Parse(c.Measure.Match); err != nil {
			part("measure", fmt.Errorf("match: %w", err))
		}
	}
	if c.Capture.Mode != ModeAFXDP && c.Capture.AFPacket.SnapBytes > 0 && c.Capture.Filter != FilterDriver && !equal(c.Filter, bpf.DefaultConfig()) {
		part("capture.afpacket", errors.New("snap_bytes: a filter says itself how much of a frame is kept; take filter.trim, or capture.filter = \"driver\""))
	}
	if c.Capture.Filter == FilterDriver && c.Filter.Shared && c.Capture.Mode != ModeAFXDP {
		part("capture", errors.New("filter: with filter.shared and afpacket it is applied in the sockets; take auto or socket"))
	}
	if c.Capture.Filter == FilterDriver && c.Filter.Trim > 0 && c.Capture.Mode != ModeAFXDP {
		part("capture", errors.New("filter: with filter.trim and afpacket it is applied in the sockets, as rings behind a driver that trims do not know how long frames were; take auto or socket"))
	}
	part("tags", c.Tags.Validate())
	part("overload", c.Overload.Validate())
	part("privilege", c.Privilege.Validate())
	part("health", c.Health.Validate())
	part("metrics", c.Metrics.Validate())
	if c.Top.Socket != "" && c.Measure.Interval > 0 {
		part("top", c.live().Validate())
	}
	part("conversations", c.Conversations.Validate())
	part("record", c.Record.Validate())
	part("cloud", c.Cloud.validate())
	if c.Output.File.Directory != "" {
		part("output.file", c.Output.File.Validate())
	}
	return errors.Join(errs...)
}

// split takes joined errors apart.
func split(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

func (c *Capture) validate() error {
	var errs []error
	for i, name := range c.Interfaces {
		if name == "" || slices.Contains(c.Interfaces[:i], name) {
			errs = append(errs, fmt.Errorf("interfaces: %q is empty or there twice", name))
		}
	}
	if !slices.Contains([]Mode{ModeAuto, ModeAFPacket, ModeAFXDP}, c.Mode) {
		errs = append(errs, fmt.Errorf("mode: %q; take auto, afpacket or afxdp", c.Mode))
	}
	if !slices.Contains([]FilterPlace{FilterAuto, FilterDriver, FilterSocket}, c.Filter) {
		errs = append(errs, fmt.Errorf("filter: %q; take auto, driver or socket", c.Filter))
	}
	return errors.Join(errs...)
}

// decode gives the configuration of the decoder.
func (c *Config) decode() (packet.Config, error) {
	d := packet.DefaultConfig()
	d.VXLANPorts, d.GenevePorts, d.VLANInKey = c.Decode.VXLANPorts, c.Decode.GenevePorts, c.Decode.VLANInKey
	var errs []error
	d.Networks = make(map[uint32]string, len(c.Decode.Networks))
	for vni, name := range c.Decode.Networks {
		var n uint32
		if _, err := fmt.Sscanf(vni, "%d", &n); err != nil || fmt.Sprint(n) != vni {
			errs = append(errs, fmt.Errorf("networks: %q is no VNI", vni))
			continue
		}
		d.Networks[n] = name
	}
	if err := d.Validate(); err != nil {
		errs = append(errs, split(err)...)
	}
	return d, errors.Join(errs...)
}

// live gives the configuration of what conversations do now. The window is
// made of whole intervals, one at least.
func (c *Config) live() live.Config {
	l := live.DefaultConfig()
	l.Interval = time.Duration(c.Measure.Interval)
	l.Window = max(time.Duration(c.Top.Window)/l.Interval, 1) * l.Interval
	l.Conversations = c.Top.Conversations
	return l
}

// flow gives the configuration of the tables.
func (c *Config) flow(memory int64) flow.Config {
	f := flow.DefaultConfig()
	f.Interval = time.Duration(c.Measure.Interval)
	f.Memory = memory
	return f
}

// equal tells whether two parts of a configuration say the same: an empty list
// is as good as none.
func equal(a, b any) bool {
	ta, errA := toml.Marshal(a)
	tb, errB := toml.Marshal(b)
	return errA == nil && errB == nil && bytes.Equal(ta, tb)
}

// needsRestart names the parts in which two configurations differ beyond what
// can be changed while the sensor runs.
func needsRestart(a, b Config) []string {
	a.Filter, b.Filter = bpf.Config{}, bpf.Config{}
	var parts []string
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range va.NumField() {
		if !equal(va.Field(i).Interface(), vb.Field(i).Interface()) {
			parts = append(parts, va.Type().Field(i).Tag.Get("toml"))
		}
	}
	return parts
}
