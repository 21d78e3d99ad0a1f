package mirror

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// World is what an account has in a region, as far as mirroring goes.
type World struct {
	Region  string
	Account string // "" not known
	Taken   time.Time

	Interfaces []Interface // by id
	Instances  map[string]*Instance
	Sessions   []Session // of everybody, by id
	Targets    map[string]*MirrorTarget
	Filters    map[string]*MirrorFilter
	BareMetal  map[string]bool // instance types
}

// Interface is a network interface.
type Interface struct {
	ID, VPC, Subnet, Address string
	IPv6                     bool // has such an address
	Type                     string
	Description              string
	Managed                  bool // by the requester
	Requester                string
	Instance                 string
	Attached                 bool // to an instance, or to what its requester runs
	Tags                     map[string]string
}

// Instance is a machine.
type Instance struct {
	ID, Type, State string
	Tags            map[string]string
}

// Session is a mirror session.
type Session struct {
	ID, Interface, Target, Filter string
	Number, VNI, PacketLength     int
	Owner                         string
	Tags                          map[string]string
}

// Kind of a target.
type Kind string

// Kinds of targets.
const (
	KindInterface Kind = "interface"
	KindBalancer  Kind = "load_balancer"
	KindEndpoint  Kind = "endpoint"
	KindUnknown   Kind = "unknown" // another account's
)

// MirrorTarget is a target of sessions.
type MirrorTarget struct {
	ID       string
	Kind     Kind
	Resource string // id or ARN of what receives
	Owner    string
	Tags     map[string]string
}

// MirrorFilter is a filter of sessions.
type MirrorFilter struct {
	ID       string
	Services []string
	Rules    []FilterRule
	Tags     map[string]string
}

// sort puts everything into an order that does not depend on the answers'.
func (w *World) sort() {
	slices.SortFunc(w.Interfaces, func(a, b Interface) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(w.Sessions, func(a, b Session) int { return cmp.Compare(a.ID, b.ID) })
}

// owned tells whether a thing with these tags is of this desired state.
func (c *Config) owned(tags map[string]string) bool {
	return tags[TagManagedBy] == ManagedBy && tags[TagState] == c.Name
}

// ours tells whether a session is of this desired state. Tags of another
// account's sessions are not ours, whatever they say.
func (c *Config) ours(w *World, s *Session) bool {
	return c.owned(s.Tags) && (w.Account == "" || s.Owner == "" || s.Owner == w.Account)
}

// tags are those of what is created.
func (c *Config) tags() map[string]string {
	tags := map[string]string{}
	for k, v := range c.Session.Tags {
		tags[k] = v
	}
	tags[TagManagedBy], tags[TagState] = ManagedBy, c.Name
	return tags
}

// name is what people call the interface.
func (w *World) name(n *Interface) string {
	if i := w.Instances[n.Instance]; i != nil && i.Tags["Name"] != "" {
		return i.Tags["Name"]
	}
	if n.Tags["Name"] != "" {
		return n.Tags["Name"]
	}
	return n.Description
}

// notSelected says why an interface is not meant; "": it is.
func (c *Config) notSelected(w *World, n *Interface) string {
	s := &c.Select
	switch {
	case len(s.VPCs) > 0 && !slices.Contains(s.VPCs, n.VPC):
		return "its VPC " + n.VPC + " is not in select.vpcs"
	case len(s.Subnets) > 0 && !slices.Contains(s.Subnets, n.Subnet):
		return "its subnet " + n.Subnet + " is not in select.subnets"
	case s.interfaces.Set() && !s.interfaces.Match(n.Tags):
		return "its tags do not fit select.interfaces"
	}
	i := w.Instances[n.Instance]
	switch {
	case n.Instance == "" && s.instances.Set():
		return "it belongs to no instance, and select.instances asks for one"
	case n.Instance == "":
		return ""
	case i == nil:
		return "its instance " + n.Instance + " is not listed"
	case !slices.Contains(s.States, i.State):
		return "its instance is " + i.State
	case s.instances.Set() && !s.instances.Match(i.Tags):
		return "the tags of its instance do not fit select.instances"
	}
	return ""
}

// Blind says why an interface that is selected is not mirrored.
type Blind string

// The reasons.
const (
	BlindType        Blind = "interface_type"
	BlindManaged     Blind = "requester_managed"
	BlindBareMetal   Blind = "bare_metal"
	BlindNoIPv4      Blind = "no_ipv4"
	BlindTarget      Blind = "is_target"
	BlindSensor      Blind = "is_sensor"
	BlindSessions    Blind = "session_limit"
	BlindForeign     Blind = "mirrored_already"
	BlindMaxSources  Blind = "max_sources"
	BlindTargetsFull Blind = "targets_full"
	BlindNoTarget    Blind = "no_target"
	BlindNoVNI       Blind = "no_vni"
	BlindRefused     Blind = "refused"
	BlindTargetGone  Blind = "target_gone" // there is a session, to nowhere
	BlindNoSession   Blind = "no_session"  // not yet
)

// managedSources are services whose interfaces can be mirrored although they
// manage them (Traffic Mirroring limitations), by requester and description.
var managedSources = []struct{ requester, description string }{
	{"amazon-rds", "RDSNetworkInterface"},
	{"amazon-elasticache", "ElastiCache"},
}

// unfit says why an interface cannot be a source.
func (w *World) unfit(n *Interface, t *targets) (Blind, string) {
	if n.Type != "interface" {
		return BlindType, "interfaces of type " + n.Type + " are not mirrored by AWS"
	}
	if n.Managed && !slices.ContainsFunc(managedSources, func(m struct{ requester, description string }) bool {
		return n.Requester == m.requester || strings.HasPrefix(n.Description, m.description)
	}) {
		return BlindManaged, "managed by " + orElse(n.Requester, "a service") + "; of such interfaces AWS mirrors those of RDS and ElastiCache only"
	}
	if n.Address == "" {
		return BlindNoIPv4, "it has no IPv4 address; AWS does not mirror in IPv6-only subnets"
	}
	if id := t.byInterface[n.ID]; id != "" {
		return BlindTarget, "it is the target " + id + "; an interface is source or target"
	}
	if id := t.sensors[n.Instance]; n.Instance != "" && id != "" {
		return BlindSensor, "its instance receives copies (target " + id + ")"
	}
	if i := w.Instances[n.Instance]; i != nil && w.BareMetal[i.Type] {
		return BlindBareMetal, i.Type + " is bare metal, which AWS does not mirror"
	}
	return "", ""
}
