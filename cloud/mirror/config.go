package mirror

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pelletier/go-toml/v2"

	"mirrorscope/unit"
)

// Config is a desired state, as in a file.
type Config struct {
	Name string `toml:"name" comment:"Name of this desired state. It stands in the tag mirrorscope-state of everything that is created; what has\nanother name there, or none, is never changed. Several states may work beside each other in one region."`

	AWS     AWS           `toml:"aws" comment:"Where, and as whom. What is empty is taken as by other AWS programs: from the environment, ~/.aws, the\ninstance's role."`
	Select  Select        `toml:"select" comment:"Which interfaces are mirrored: those for which everything here holds."`
	Targets []Target      `toml:"targets" comment:"Where copies go. Interfaces are spread over all of them; each one always goes, with both directions, to the\nsame target, also when others are added. Targets are tables of their own, each with one of id, interface,\nload_balancer, endpoint:\n\n  [[targets]]\n  id = \"tmt-0123456789abcdef0\"        # a target that is there\n  shared = false                      # it is another account's, shared by AWS RAM\n  max_sources = 0                     # the most interfaces that go there; 0: what AWS takes\n\n  [[targets]]\n  interface = \"eni-0123456789abcdef0\"   # of a sensor\n\n  [[targets]]\n  load_balancer = \"arn:aws:elasticloadbalancing:…\"   # network load balancer, UDP 4789\n\n  [[targets]]\n  endpoint = \"vpce-0123456789abcdef0\"   # of a gateway load balancer"`
	Filter  Filter        `toml:"filter" comment:"What of an interface's packets is mirrored."`
	Session SessionConfig `toml:"session" comment:"How each session is made."`
	VNI     VNI           `toml:"vni" comment:"Which VXLAN network identifier the copies of an interface carry."`
	MTU     MTU           `toml:"mtu" comment:"What interfaces send, for warnings about copies that AWS cuts. AWS does not tell it."`
	Guard   Guard         `toml:"guard" comment:"Against a mistake that would end most sessions at once, as a tag that was renamed everywhere. Sessions of\ninterfaces that are gone end by themselves and are not counted. --force goes past it."`
	Rate    Rate          `toml:"rate" comment:"How fast things are changed. AWS takes 5 changes a second and counts those of all programs of the account."`
	Watch   Watch         `toml:"watch" comment:"What 'sensor mirror watch' does."`
}

// AWS says where and as whom.
type AWS struct {
	Region     string `toml:"region" comment:"As \"eu-central-1\"."`
	Profile    string `toml:"profile" comment:"Of ~/.aws/config."`
	Role       string `toml:"role" comment:"Role to take on, as \"arn:aws:iam::123456789012:role/mirror\": for another account."`
	ExternalID string `toml:"external_id" comment:"That the role asks for."`
}

// Select says which interfaces are meant.
type Select struct {
	Instances  string   `toml:"instances" comment:"Condition on the tags of the instance, as \"env = prod and not role = db*\". Words: and, or, not, brackets;\nTAG (is there), TAG = VALUE, TAG != VALUE, several values with commas; in a value * is any text and ? any\ncharacter; \"*\" alone is every instance. Texts with spaces or marks in double quotes. Empty: not looked at."`
	Interfaces string   `toml:"interfaces" comment:"The same on the tags of the interface itself. One of the two is needed."`
	VPCs       []string `toml:"vpcs" comment:"Only in these VPCs, as [\"vpc-0123456789abcdef0\"]. Empty: in any."`
	Subnets    []string `toml:"subnets" comment:"Only in these subnets. Empty: in any."`
	States     []string `toml:"states" comment:"Only while the instance is in one of these states: pending, running, stopping, stopped. Interfaces without an\ninstance have none and are not asked for it."`
	MaxSources int      `toml:"max_sources" comment:"The most interfaces that are mirrored: a sample that stays the same as long as it can. 0: all of them."`

	instances, interfaces Expr
}

// Target is where copies go.
type Target struct {
	ID           string `toml:"id"`
	Interface    string `toml:"interface"`
	LoadBalancer string `toml:"load_balancer"`
	Endpoint     string `toml:"endpoint"`
	Shared       bool   `toml:"shared"`
	MaxSources   int    `toml:"max_sources"`
}

// SessionConfig says how sessions are made.
type SessionConfig struct {
	Number       int               `toml:"number" comment:"Session number, 1 to 32766. AWS tries the sessions of an interface in this order, and the first whose filter\ntakes a packet has it. Where somebody else's session has the number, the next free one is taken."`
	PacketLength int               `toml:"packet_length" comment:"The most octets of each packet, from 35 (55 with IPv6); 0: whole packets."`
	Tags         map[string]string `toml:"tags" comment:"Further tags of what is created. They are set then, and not looked at later."`
}

// VNI says how the copies of an interface are numbered.
type VNI struct {
	Scheme   string         `toml:"scheme" comment:"interface: one for each interface, from a hash of its id.\nvpc: one for each VPC, so that [decode.networks] of a sensor can name networks by it.\nfixed: the same for all."`
	Fixed    int            `toml:"fixed" comment:"With scheme fixed."`
	First    int            `toml:"first" comment:"With interface and vpc: from the first to the last, 256 of them at least."`
	Last     int            `toml:"last"`
	Networks map[string]int `toml:"networks" comment:"With vpc: the number of a VPC, \"vpc-0123456789abcdef0\" = 7. Others get one from a hash."`
}

// MTU says what interfaces send.
type MTU struct {
	Sources int `toml:"sources" comment:"Octets of the largest packet that mirrored interfaces send: 9001 inside a VPC if nothing else was set."`
	Targets int `toml:"targets" comment:"MTU of interfaces that are targets."`
}

// Guard bounds what one run deletes.
type Guard struct {
	DeletePercent int `toml:"delete_percent" comment:"Of the sessions that are there, no more than this share is deleted at once: else none is. 100: any number."`
	DeleteFree    int `toml:"delete_free" comment:"So many may always be deleted."`
}

// Rate bounds how fast things are changed.
type Rate struct {
	ChangesPerSecond float64 `toml:"changes_per_second" comment:"At most 5."`
}

// Watch says how often the state is compared.
type Watch struct {
	Period unit.Duration `toml:"period" comment:"Time between two comparisons. New instances are not mirrored for so long at most."`
	Jitter int           `toml:"jitter_percent" comment:"The period is longer or shorter by up to this share, so that many watchers do not ask at once."`
}

// Schemes of VNIs.
const (
	VNIInterface = "interface"
	VNIVPC       = "vpc"
	VNIFixed     = "fixed"
)

// DefaultConfig selects nothing and has no target yet.
func DefaultConfig() Config {
	return Config{
		Select:  Select{VPCs: []string{}, Subnets: []string{}, States: []string{"pending", "running"}},
		Targets: []Target{},
		Filter:  defaultFilter(),
		Session: SessionConfig{Number: 10, Tags: map[string]string{}},
		VNI:     VNI{Scheme: VNIInterface, First: 1, Last: maxVNI, Networks: map[string]int{}},
		MTU:     MTU{Sources: 9001, Targets: 9001},
		Guard:   Guard{DeletePercent: 50, DeleteFree: 1},
		Rate:    Rate{ChangesPerSecond: 4},
		Watch:   Watch{Period: unit.Duration(5 * time.Minute), Jitter: 10},
	}
}

// Load reads a desired state from a file over the defaults, and checks it.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, err // names the file
	}
	defer func() { _ = f.Close() }() // only read from
	r := &io.LimitedReader{R: f, N: maxConfig + 1}
	c, err := Read(r)
	if r.N == 0 { // what is cut off may be targets, without which sessions would be deleted
		return Config{}, fmt.Errorf("%s: is longer than the %d octets that are read; make it shorter", path, maxConfig)
	}
	if err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// maxConfig bounds a file, octets.
const maxConfig = 1 << 20

// Read reads a desired state over the defaults. It is strict: what it does not
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

// Write writes the state with a comment for each key.
func (c Config) Write(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("# Desired state of mirror sessions, for 'sensor mirror'. What is left out is as here.\n\n")
	e := toml.NewEncoder(&b)
	e.SetIndentTables(false)
	if err := e.Encode(c); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// needed is a regular expression that is compiled when it is needed: a program starts
// that mirrors nothing, too.
func needed(expr string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}

// stateName is a name that a tag, a token and a table can hold.
var stateName = needed(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// ids are what the ids of things look like.
var ids = map[string]func() *regexp.Regexp{
	"tmt":    needed(`^tmt-[0-9a-f]{8,17}$`),
	"tmf":    needed(`^tmf-[0-9a-f]{8,17}$`),
	"eni":    needed(`^eni-[0-9a-f]{8,17}$`),
	"vpce":   needed(`^vpce-[0-9a-f]{8,17}$`),
	"vpc":    needed(`^vpc-[0-9a-f]{8,17}$`),
	"subnet": needed(`^subnet-[0-9a-f]{8,17}$`),
	"role":   needed(`^arn:[a-z-]+:iam::\d{12}:role/.+$`),
	"arn":    needed(`^arn:[a-z-]+:elasticloadbalancing:[a-z0-9-]+:\d{12}:loadbalancer/net/.+$`),
}

// examples show what an id looks like.
var examples = map[string]string{
	"role": "arn:aws:iam::123456789012:role/NAME", "arn": "arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/net/NAME/ID",
}

// checkID says what is wrong with an id.
func checkID(kind, id string) error {
	if ids[kind]().MatchString(id) {
		return nil
	}
	example := examples[kind]
	if example == "" {
		example = kind + "-0123456789abcdef0"
	}
	return fmt.Errorf("%q is no id of this kind; it looks like %s", id, example)
}

// split takes joined errors apart; nil gives none.
func split(err error) []error {
	if err == nil {
		return nil
	}
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}

// Validate reports every field that cannot be used, by its key.
func (c *Config) Validate() error {
	var errs []error
	part := func(key string, err error) {
		for _, e := range split(err) {
			errs = append(errs, fmt.Errorf("%s: %w", key, e))
		}
	}
	switch {
	case c.Name == "":
		part("name", errors.New("is missing; it tells what is created from what others have"))
	case !stateName().MatchString(c.Name):
		part("name", fmt.Errorf("%q; take letters, digits, dots, dashes and underscores, 64 at most", c.Name))
	}
	if c.AWS.Role != "" {
		part("aws.role", checkID("role", c.AWS.Role))
	}
	if c.AWS.ExternalID != "" && c.AWS.Role == "" {
		part("aws.external_id", errors.New("is for a role; give aws.role"))
	}
	part("select", c.Select.validate())
	part("targets", c.validateTargets())
	part("filter", c.Filter.validate())
	part("session", c.Session.validate())
	part("vni", c.VNI.validate())
	for key, mtu := range map[string]int{"sources": c.MTU.Sources, "targets": c.MTU.Targets} {
		if mtu < 576 || mtu > 9001 {
			part("mtu", fmt.Errorf("%s: %d is not between 576 and 9001", key, mtu))
		}
	}
	if c.Guard.DeletePercent < 0 || c.Guard.DeletePercent > 100 {
		part("guard", fmt.Errorf("delete_percent: %d is not between 0 and 100", c.Guard.DeletePercent))
	}
	if c.Guard.DeleteFree < 0 {
		part("guard", fmt.Errorf("delete_free: %d is negative", c.Guard.DeleteFree))
	}
	if !(c.Rate.ChangesPerSecond >= 0.01 && c.Rate.ChangesPerSecond <= maxMutationsPerSecond) {
		part("rate", fmt.Errorf("changes_per_second: %v is not between 0.01 and %d", c.Rate.ChangesPerSecond, maxMutationsPerSecond))
	}
	if c.Watch.Period < unit.Duration(10*time.Second) {
		part("watch", fmt.Errorf("period: %v is less than 10s", c.Watch.Period))
	}
	if c.Watch.Jitter < 0 || c.Watch.Jitter > 50 {
		part("watch", fmt.Errorf("jitter_percent: %d is not between 0 and 50", c.Watch.Jitter))
	}
	return errors.Join(errs...)
}

func (s *Select) validate() error {
	var errs []error
	var err error
	if strings.TrimSpace(s.Instances)+strings.TrimSpace(s.Interfaces) == "" {
		errs = append(errs, errors.New(`instances: a condition is needed here or in interfaces; "*" takes every instance`))
	}
	if err = s.instances.UnmarshalText([]byte(s.Instances)); err != nil {
		errs = append(errs, fmt.Errorf("instances: %w", err))
	}
	if err = s.interfaces.UnmarshalText([]byte(s.Interfaces)); err != nil {
		errs = append(errs, fmt.Errorf("interfaces: %w", err))
	}
	for _, id := range s.VPCs {
		if err := checkID("vpc", id); err != nil {
			errs = append(errs, fmt.Errorf("vpcs: %w", err))
		}
	}
	for _, id := range s.Subnets {
		if err := checkID("subnet", id); err != nil {
			errs = append(errs, fmt.Errorf("subnets: %w", err))
		}
	}
	states := []string{"pending", "running", "stopping", "stopped"}
	for _, state := range s.States {
		if !slices.Contains(states, state) {
			errs = append(errs, fmt.Errorf("states: %q; take %s", state, strings.Join(states, ", ")))
		}
	}
	if len(s.States) == 0 {
		errs = append(errs, errors.New(`states: is empty, so that no instance is selected; take ["pending", "running"]`))
	}
	if s.MaxSources < 0 {
		errs = append(errs, fmt.Errorf("max_sources: %d is negative; take 0 for all", s.MaxSources))
	}
	return errors.Join(errs...)
}

// maxTargets bounds the targets of a state.
const maxTargets = 1000

func (c *Config) validateTargets() error {
	if len(c.Targets) == 0 {
		return errors.New("there is none; give one as [[targets]] with id, interface, load_balancer or endpoint")
	}
	if len(c.Targets) > maxTargets {
		return fmt.Errorf("%d, need %d or less", len(c.Targets), maxTargets)
	}
	var errs []error
	seen := map[string]int{}
	for i, t := range c.Targets {
		bad := func(err error) {
			if err != nil {
				errs = append(errs, fmt.Errorf("target %d: %w", i+1, err))
			}
		}
		given := 0
		for _, f := range []struct{ kind, key, id string }{{"tmt", "id", t.ID}, {"eni", "interface", t.Interface}, {"arn", "load_balancer", t.LoadBalancer}, {"vpce", "endpoint", t.Endpoint}} {
			if f.id == "" {
				continue
			}
			given++
			if err := checkID(f.kind, f.id); err != nil {
				bad(fmt.Errorf("%s: %w", f.key, err))
			}
			if before, twice := seen[f.id]; twice {
				bad(fmt.Errorf("%s: %s is target %d already", f.key, f.id, before))
			}
			seen[f.id] = i + 1
		}
		if given != 1 {
			bad(fmt.Errorf("%d of id, interface, load_balancer and endpoint are given; give one", given))
		}
		if t.Shared && t.ID == "" {
			bad(errors.New("shared: a target of another account is given by id"))
		}
		if t.MaxSources < 0 {
			bad(fmt.Errorf("max_sources: %d is negative; take 0 for what AWS takes", t.MaxSources))
		}
	}
	return errors.Join(errs...)
}

func (s *SessionConfig) validate() error {
	var errs []error
	if s.Number < 1 || s.Number > maxSessionNumber {
		errs = append(errs, fmt.Errorf("number: %d is not between 1 and %d", s.Number, maxSessionNumber))
	}
	if s.PacketLength != 0 && (s.PacketLength < minLengthIPv4 || s.PacketLength > 9001) {
		errs = append(errs, fmt.Errorf("packet_length: %d is not between %d and 9001; take 0 for whole packets", s.PacketLength, minLengthIPv4))
	}
	for key, value := range s.Tags {
		switch {
		case key == "" || len(key) > 128 || len(value) > 256:
			errs = append(errs, fmt.Errorf("tags: %q: a key has 1 to 128 characters, a value 256 at most", key))
		case strings.HasPrefix(strings.ToLower(key), "aws:"), key == TagManagedBy, key == TagState:
			errs = append(errs, fmt.Errorf("tags: %q is set by AWS or by the sensor; take another key", key))
		}
	}
	if len(s.Tags) > 40 {
		errs = append(errs, fmt.Errorf("tags: %d, need 40 or less", len(s.Tags)))
	}
	return errors.Join(errs...)
}

// vniChain is how many numbers a hash may give to a thing, one after the other.
const vniChain = 256

func (v *VNI) validate() error {
	var errs []error
	inRange := func(n int) bool { return n >= 0 && n <= maxVNI }
	if !slices.Contains([]string{VNIInterface, VNIVPC, VNIFixed}, v.Scheme) {
		errs = append(errs, fmt.Errorf("scheme: %q; take %s, %s or %s", v.Scheme, VNIInterface, VNIVPC, VNIFixed))
	}
	if !inRange(v.Fixed) {
		errs = append(errs, fmt.Errorf("fixed: %d is not between 0 and %d", v.Fixed, maxVNI))
	}
	if !inRange(v.First) || !inRange(v.Last) || v.Last-v.First+1 < vniChain {
		errs = append(errs, fmt.Errorf("first, last: %d to %d is not a range of %d or more between 0 and %d", v.First, v.Last, vniChain, maxVNI))
	}
	used := map[int]string{}
	for vpc, n := range v.Networks {
		if err := checkID("vpc", vpc); err != nil {
			errs = append(errs, fmt.Errorf("networks: %w", err))
		}
		if !inRange(n) {
			errs = append(errs, fmt.Errorf("networks: %s: %d is not between 0 and %d", vpc, n, maxVNI))
		}
		if other, twice := used[n]; twice {
			errs = append(errs, fmt.Errorf("networks: %s and %s are both %d", min(vpc, other), max(vpc, other), n))
		}
		used[n] = vpc
	}
	if len(v.Networks) > 0 && v.Scheme != VNIVPC {
		errs = append(errs, fmt.Errorf("networks: is for scheme %s", VNIVPC))
	}
	return errors.Join(errs...)
}
