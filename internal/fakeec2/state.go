package fakeec2

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// State is what an account has in a region, by id. A test reads and changes it in
// Server.With; what it adds by hand needs an id. Rules stand in their Filter.
type State struct {
	Account, Region string

	Interfaces map[string]*Interface
	Instances  map[string]*Instance
	Subnets    map[string]*Subnet
	VPCs       map[string]*VPC
	Types      map[string]InstanceType // by name; one that is missing is a plain machine
	Sessions   map[string]*Session
	Targets    map[string]*Target
	Filters    map[string]*Filter

	// Lag is how many answers pass before a session that was created is listed: the
	// service is consistent only in the end.
	Lag int

	late   map[string]int  // answers in which a session is not listed yet, by id
	tokens map[string]done // client tokens, by action and token
	last   int             // number of the last id
}

// done is what a create with a client token gave.
type done struct {
	params string
	id     string
}

func newState(account, region string) *State {
	return &State{
		Account: account, Region: region,
		Interfaces: map[string]*Interface{}, Instances: map[string]*Instance{}, Subnets: map[string]*Subnet{}, VPCs: map[string]*VPC{},
		Types: map[string]InstanceType{}, Sessions: map[string]*Session{}, Targets: map[string]*Target{}, Filters: map[string]*Filter{},
		late: map[string]int{}, tokens: map[string]done{},
	}
}

// Tags of a thing.
type Tags = map[string]string

// Interface is a network interface.
type Interface struct {
	ID, VPC, Subnet, Zone string
	IP                    string   // primary
	Secondary             []string // IPv4
	IPv6                  []string
	Prefixes              []string // delegated, IPv4 and IPv6
	PublicIP              string
	MAC                   string
	Groups                []Group
	Type                  string // "": interface
	Status                string // "": in-use with an instance, else available
	Description           string
	Owner                 string // "": the account
	RequesterID           string
	RequesterManaged      bool
	Managed               string // operator that manages it: listed only on request

	Instance string // it is attached to
	Device   int    // device index
	Attached time.Time

	Tags Tags
}

// Group is a security group.
type Group struct{ ID, Name string }

// Instance is a machine.
type Instance struct {
	ID, Type, VPC, Subnet, Zone, IP string
	State                           string // "": running
	Image                           string
	Launched                        time.Time
	Tags                            Tags
}

// Subnet of a VPC.
type Subnet struct {
	ID, VPC, CIDR, Zone, ZoneID string
	Tags                        Tags
}

// VPC is a network.
type VPC struct {
	ID, CIDR string
	More     []string // further blocks
	Tags     Tags
}

// InstanceType says what a machine of a type can.
type InstanceType struct {
	BareMetal bool
	Sources   int    // sessions that an interface of it may be the target of; 0: 10
	Refused   *Error // what creating a session with a source on it gives; nil: it is done
	Hyper     string // hypervisor; "": nitro
}

// Session is a mirror session.
type Session struct {
	ID, Interface, Target, Filter string
	Number                        int
	VNI                           int
	PacketLength                  int // octets; 0: not given
	Description                   string
	Owner                         string // "": the account
	Tags                          Tags
}

// Target of sessions: one of the three is given.
type Target struct {
	ID                         string
	Interface, Balancer, GWLBE string // id, ARN, id
	Description                string
	Owner                      string // "": the account
	Tags                       Tags
}

// Filter of sessions.
type Filter struct {
	ID          string
	Description string
	Services    []string
	Rules       []*Rule
	Tags        Tags
}

// Rule of a filter.
type Rule struct {
	ID                            string
	Direction, Action             string // ingress, egress; accept, reject
	Number                        int
	Protocol                      int // -1: all
	Source, Destination           string
	SourcePorts, DestinationPorts *Ports
	Description                   string
	Tags                          Tags
}

// Ports from and to.
type Ports struct{ From, To int }

// NewID gives an id that was not there before, as tms-0123456789abcdef0.
func (s *State) NewID(prefix string) string {
	s.last++
	return fmt.Sprintf("%s-%017x", prefix, s.last)
}

// AddInterface, and the other ones like it, put a thing there and give it back.
func (s *State) AddInterface(i Interface) *Interface { s.Interfaces[i.ID] = &i; return &i }

// AddInstance adds a machine.
func (s *State) AddInstance(i Instance) *Instance { s.Instances[i.ID] = &i; return &i }

// AddSubnet adds a subnet.
func (s *State) AddSubnet(n Subnet) *Subnet { s.Subnets[n.ID] = &n; return &n }

// AddVPC adds a network.
func (s *State) AddVPC(v VPC) *VPC { s.VPCs[v.ID] = &v; return &v }

// AddSession adds a session as somebody else would.
func (s *State) AddSession(m Session) *Session { s.Sessions[m.ID] = &m; return &m }

// AddTarget adds a target.
func (s *State) AddTarget(t Target) *Target { s.Targets[t.ID] = &t; return &t }

// ListAll ends Lag, and lists what was not listed yet.
func (s *State) ListAll() {
	s.Lag = 0
	clear(s.late)
}

// AddFilter adds a filter.
func (s *State) AddFilter(f Filter) *Filter { s.Filters[f.ID] = &f; return &f }

// DeleteInterface takes an interface away, and its sessions with it.
func (s *State) DeleteInterface(id string) {
	delete(s.Interfaces, id)
	for _, m := range s.Sessions {
		if m.Interface == id {
			delete(s.Sessions, m.ID)
		}
	}
}

// DeleteInstance takes a machine away, and its interfaces with it.
func (s *State) DeleteInstance(id string) {
	delete(s.Instances, id)
	for _, i := range s.Interfaces {
		if i.Instance == id {
			s.DeleteInterface(i.ID)
		}
	}
}

// SessionsOf gives those of an interface, by number.
func (s *State) SessionsOf(nic string) (all []*Session) {
	for _, m := range s.Sessions {
		if m.Interface == nic {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b *Session) int { return a.Number - b.Number })
	return all
}

// once makes a thing, or, if a create with this client token was done before,
// gives the id of what that made. As with the real service that thing may be gone.
func (r *request) once(make func() (id string, e *Error)) (string, *Error) {
	token := r.get("ClientToken")
	if token == "" {
		return make()
	}
	if len(token) > 64 {
		return "", bad("InvalidParameterValue", "ClientToken is longer than 64 characters")
	}
	params := strings.Clone(withoutToken(r.params))
	key := r.get("Action") + " " + token
	if before, ok := r.tokens[key]; ok {
		if before.params != params {
			return "", bad("IdempotentParameterMismatch", "The client token was used with other parameters")
		}
		return before.id, nil
	}
	id, e := make()
	if e == nil {
		r.tokens[key] = done{params, id}
	}
	return id, e
}

func withoutToken(v url.Values) string {
	rest := url.Values{}
	for name, values := range v {
		if name != "ClientToken" {
			rest[name] = values
		}
	}
	return rest.Encode()
}
