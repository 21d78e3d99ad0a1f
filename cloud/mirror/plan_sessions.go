package mirror

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// Status is what is the matter with an interface.
type Status string

// The states of coverage.
const (
	Mirrored    Status = "mirrored"
	Elsewhere   Status = "mirrored_by_others" // to a target of this state
	IsBlind     Status = "blind"
	NotSelected Status = "not_selected"
)

// Coverage says whether an interface is mirrored, by what, and if not, why.
type Coverage struct {
	Interface string `json:"interface"`
	Instance  string `json:"instance,omitempty"`
	Name      string `json:"name,omitempty"`
	VPC       string `json:"vpc,omitempty"`
	Subnet    string `json:"subnet,omitempty"`
	Address   string `json:"ip,omitempty"`
	Type      string `json:"instance_type,omitempty"`
	Status    Status `json:"status"`
	Session   string `json:"session,omitempty"`
	Target    string `json:"target,omitempty"`
	Number    int    `json:"session_number,omitempty"`
	VNI       int    `json:"vni,omitempty"`
	Blind     Blind  `json:"blind,omitempty"`
	Reason    string `json:"reason,omitempty"`
	Skipped   *Skips `json:"mirror_skipped,omitempty"` // of the instance; see Skips
}

// source is a selected interface that can be mirrored.
type source struct {
	nic  *Interface
	have *Session // the one of ours that stays; nil: none yet
}

// planSessions looks at each interface.
func (p *planner) planSessions() {
	if p.w.BareMetal == nil {
		p.warn("ec2:DescribeInstanceTypes", "is not allowed: which instances are bare metal, and cannot be mirrored, is seen only when AWS refuses them")
	}
	var sources []source
	for i := range p.w.Interfaces {
		if s, ok := p.look(&p.w.Interfaces[i]); ok {
			sources = append(sources, s)
		}
	}
	for i := range p.w.Sessions {
		// A session ends with its interface: what is not listed is still on its way
		// out, or the list is not whole. Neither is a reason to delete.
		if s := &p.w.Sessions[i]; p.c.ours(p.w, s) && p.nics[s.Interface] == nil {
			p.keep(source{nic: &Interface{ID: s.Interface}, have: s}, "its interface is not listed; a session ends with its interface")
		}
	}
	sources = p.sample(sources)
	p.assign(sources)
	p.warnRest()
	slices.SortFunc(p.Coverage, func(a, b Coverage) int { return cmp.Compare(a.Interface, b.Interface) })
}

func (p *planner) cover(n *Interface, status Status, s *Session, why Blind, reason string) {
	c := Coverage{
		Interface: n.ID, Instance: n.Instance, Name: p.w.name(n), VPC: n.VPC, Subnet: n.Subnet, Address: n.Address,
		Status: status, Blind: why, Reason: reason,
	}
	if i := p.w.Instances[n.Instance]; i != nil {
		c.Type = i.Type
	}
	if s != nil {
		c.Session, c.Target, c.Number, c.VNI = s.ID, s.Target, s.Number, s.VNI
		switch {
		case p.w.Targets[s.Target] == nil && !p.targets.configured[s.Target]:
			c.Status, c.Blind, c.Reason = IsBlind, BlindTargetGone, "the target "+s.Target+" of its session is gone"
		case p.targets.gone[s.Target] != "":
			c.Status, c.Blind, c.Reason = IsBlind, BlindTargetGone, "nothing arrives at the target "+s.Target+" of its session: "+p.targets.gone[s.Target]
		}
	}
	p.Coverage = append(p.Coverage, c)
}

// blind adds a step for an interface that stays without a session.
func (p *planner) blind(n *Interface, why Blind, reason string) {
	s := p.session(NoWay, n.ID, reason)
	s.Blind = why
	p.add(s)
	p.cover(n, IsBlind, nil, why, reason)
}

// look sorts out an interface that is not to have a session, or cannot.
func (p *planner) look(n *Interface) (s source, ok bool) {
	own := p.own[n.ID]
	if n.Instance != "" && p.w.Instances[n.Instance] == nil && len(own) > 0 {
		// New, or of another account: what its tags are is not known.
		s.nic, s.have = n, own[0]
		p.keep(s, "its instance "+n.Instance+" is not listed")
		return source{}, false
	}
	if why := p.c.notSelected(p.w, n); why != "" {
		for _, s := range own {
			p.deleteSession(s, "not selected any more: "+why)
		}
		if len(own) > 0 { // as long as it is there
			p.cover(n, Mirrored, own[0], "", "not selected any more: "+why)
		} else {
			p.cover(n, NotSelected, nil, "", why)
		}
		return s, false
	}
	if why, reason := p.w.unfit(n, p.targets); why != "" {
		for _, s := range own {
			p.deleteSession(s, reason)
		}
		p.blind(n, why, reason)
		return s, false
	}
	s.nic = n
	foreign := p.foreign[n.ID]
	toUs := slices.IndexFunc(foreign, func(f *Session) bool { return p.targets.configured[f.Target] })
	if len(own) > 0 {
		s.have = own[0]
		if toUs >= 0 {
			p.warnEach("a session of somebody else sends to the same target", n.ID, foreign[toUs].ID+" of somebody else sends to the target "+foreign[toUs].Target+" of this state, too: AWS copies a packet for one of them only, the one with the lower number")
		}
		for _, twin := range own[1:] {
			p.deleteSession(twin, "the interface has "+s.have.ID+" already")
		}
		return s, true
	}
	if made := p.m.made[n.ID]; p.w.Taken.Before(made.at.Add(listedWithin)) {
		step := p.session(Keep, n.ID, "created a moment ago, and not listed yet")
		step.ID = made.id
		p.add(step)
		p.cover(n, IsBlind, nil, BlindNoSession, "its session "+made.id+" was created a moment ago, and is not listed yet")
		return source{}, false
	}
	if toUs >= 0 {
		f := foreign[toUs]
		reason := "mirrored already by " + f.ID + " of somebody else, to the target " + f.Target + " of this state"
		step := p.session(NoWay, n.ID, reason)
		step.Blind = BlindForeign
		p.add(step)
		p.cover(n, Elsewhere, f, BlindForeign, reason)
		return source{}, false
	}
	if len(foreign) >= sessionsPerInterface {
		p.blind(n, BlindSessions, fmt.Sprintf("%d sessions of others are all that AWS lets an interface have: %s", len(foreign), joinIDs(foreign)))
		return source{}, false
	}
	if r, ok := p.m.refused[n.ID]; ok && p.w.Taken.Before(r.until) {
		p.blind(n, BlindRefused, "AWS refused it: "+r.why+"; tried again after "+r.until.UTC().Format("15:04:05Z"))
		return source{}, false
	}
	return s, true
}

// sample keeps as many sources as are wanted: those that have a session first,
// then by hash, so that it stays the same.
func (p *planner) sample(sources []source) []source {
	limit := p.c.Select.MaxSources
	if limit == 0 || len(sources) <= limit {
		return sources
	}
	slices.SortFunc(sources, func(a, b source) int {
		if (a.have != nil) != (b.have != nil) {
			if a.have != nil {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(hash("sample", a.nic.ID), hash("sample", b.nic.ID)), cmp.Compare(a.nic.ID, b.nic.ID))
	})
	reason := fmt.Sprintf("select.max_sources is %d", limit)
	for _, s := range sources[limit:] {
		if s.have != nil {
			p.deleteSession(s.have, reason)
		}
		p.blind(s.nic, BlindMaxSources, reason)
	}
	sources = sources[:limit]
	slices.SortFunc(sources, func(a, b source) int { return cmp.Compare(a.nic.ID, b.nic.ID) })
	return sources
}

// assign gives each source its target, numbers and length, and compares.
func (p *planner) assign(sources []source) {
	why := p.noUse
	if len(p.targets.places) == 0 {
		why = "no target of the desired state can be used"
	}
	if why != "" {
		for _, s := range sources {
			if s.have == nil {
				p.blind(s.nic, BlindNoTarget, why)
				continue
			}
			p.keep(s, why)
		}
		return
	}
	ids := make([]string, len(sources))
	at := map[string]int{}
	for i, s := range sources {
		ids[i] = s.nic.ID
		if s.have != nil {
			if place, ok := p.targets.index[s.have.Target]; ok {
				at[s.nic.ID] = place
			}
		}
	}
	seats := spread(ids, p.targets.places, at)
	vnis := p.vnis(sources)
	for _, s := range sources {
		p.compare(s, seats[s.nic.ID], vnis)
	}
}

// keep leaves a session as it is.
func (p *planner) keep(s source, reason string) {
	step := p.session(Keep, s.nic.ID, reason)
	step.ID = s.have.ID
	p.add(step)
	p.cover(s.nic, Mirrored, s.have, "", "")
}

// vnis gives the number of each source, by interface.
func (p *planner) vnis(sources []source) map[string]int {
	v := &p.c.VNI
	given := map[string]int{}
	switch v.Scheme {
	case VNIFixed:
		for _, s := range sources {
			given[s.nic.ID] = v.Fixed
		}
	case VNIInterface:
		keys := make([]string, len(sources))
		current := map[string]int{}
		for i, s := range sources {
			keys[i] = s.nic.ID
			if s.have != nil {
				current[s.nic.ID] = s.have.VNI
			}
		}
		return numbers(keys, current, nil, v.First, v.Last)
	case VNIVPC:
		vpcs := map[string]bool{}
		current := map[string]int{}
		for _, s := range sources {
			vpcs[s.nic.VPC] = true
			if _, ok := current[s.nic.VPC]; s.have != nil && !ok {
				current[s.nic.VPC] = s.have.VNI
			}
		}
		taken := map[int]bool{}
		for _, n := range v.Networks {
			taken[n] = true
		}
		keys := slices.DeleteFunc(sortedKeys(vpcs), func(vpc string) bool { _, fixed := v.Networks[vpc]; return fixed })
		hashed := numbers(keys, current, taken, v.First, v.Last)
		for _, s := range sources {
			if n, ok := v.Networks[s.nic.VPC]; ok {
				given[s.nic.ID] = n
			} else if n, ok := hashed[s.nic.VPC]; ok {
				given[s.nic.ID] = n
			}
		}
	}
	return given
}

// compare plans what makes the session of a source as it is to be.
func (p *planner) compare(s source, seat int, vnis map[string]int) {
	n := s.nic
	vni, numbered := vnis[n.ID]
	switch {
	case !numbered && s.have != nil:
		p.keep(s, "no VNI between vni.first and vni.last is left for it; it keeps its own")
		return
	case !numbered:
		p.blind(n, BlindNoVNI, "no VNI between vni.first and vni.last is left for it; widen them")
		return
	case seat < 0 && s.have != nil:
		p.deleteSession(s.have, "all targets are full")
		p.blind(n, BlindTargetsFull, "all targets are full")
		return
	case seat < 0:
		p.blind(n, BlindTargetsFull, "all targets are full; add one, or a load balancer")
		return
	}
	place := p.targets.places[seat]
	want := &SessionSpec{
		Interface: n.ID, TargetResource: place.Resource, Target: place.ID, Filter: p.filter, VNI: vni,
		Number: number(p.c.Session.Number, p.foreign[n.ID]), PacketLength: lengthFor(p.c, place.Kind),
	}
	p.noteOthers(n, want)
	if s.have == nil {
		step := p.session(Create, n.ID, "selected, and no session yet")
		step.Session, step.seat = want, seat
		p.add(step)
		p.cover(n, IsBlind, nil, BlindNoSession, "no session yet")
		return
	}
	p.used[s.have.ID] = true
	changes := differ(s.have, want, place.Kind)
	step := p.session(Keep, n.ID, "as it is to be")
	step.ID, step.Session, step.seat, step.have = s.have.ID, want, seat, s.have
	if len(changes) > 0 {
		step.Action, step.Changes = Modify, changes
		step.Reason = p.whyModify(s.have, changes)
	}
	p.add(step)
	p.cover(n, Mirrored, s.have, "", "")
}

// noteOthers warns of sessions of others that take packets first.
func (p *planner) noteOthers(n *Interface, want *SessionSpec) {
	for _, f := range p.foreign[n.ID] {
		if f.Number < want.Number {
			p.warnEach("a session of somebody else has a lower number", n.ID, fmt.Sprintf("%s of somebody else has the lower number %d: what its filter takes does not reach the session of this state", f.ID, f.Number))
		}
	}
}

// lengthFor is the packet length for a kind of target.
func lengthFor(c *Config, kind Kind) int {
	if kind == KindBalancer {
		return min(c.Session.PacketLength, lengthBalancer)
	}
	return c.Session.PacketLength
}

// differ lists what is to be modified.
func differ(have *Session, want *SessionSpec, kind Kind) (changes []Change) {
	add := func(field, from, to string) {
		if from != to {
			changes = append(changes, Change{field, from, to})
		}
	}
	add("target", have.Target, orElse(want.Target, "new, for "+want.TargetResource))
	add("filter", have.Filter, orElse(want.Filter, "new"))
	add("session_number", strconv.Itoa(have.Number), strconv.Itoa(want.Number))
	add("vni", strconv.Itoa(have.VNI), strconv.Itoa(want.VNI))
	length := have.PacketLength
	if kind == KindBalancer && length == lengthBalancer && want.PacketLength == 0 {
		length = 0 // what AWS puts there if nothing is given
	}
	add("packet_length", lengthText(length), lengthText(want.PacketLength))
	return changes
}

func lengthText(n int) string {
	if n == 0 {
		return "whole packets"
	}
	return strconv.Itoa(n)
}

// whyModify gives the reason of the first change that has one.
func (p *planner) whyModify(have *Session, changes []Change) string {
	switch changes[0].Field {
	case "target":
		if _, there := p.w.Targets[have.Target]; !there && !p.targets.configured[have.Target] {
			return "its target is gone"
		}
		if why := p.targets.gone[have.Target]; why != "" {
			return "nothing arrives at its target: " + why
		}
		if _, ours := p.targets.index[have.Target]; !ours {
			return "its target is not one of the desired state"
		}
		return "spread over the targets"
	case "filter":
		return "its filter is not that of the desired state"
	case "session_number":
		return "the first free number from session.number on"
	case "vni":
		return "vni.scheme " + p.c.VNI.Scheme
	}
	return "session.packet_length"
}
