package mirror

import (
	"fmt"
	"slices"
)

// targets are those of the desired state, as the world has them.
type targets struct {
	places      []Place
	index       map[string]int    // of a place, by target id
	configured  map[string]bool   // target ids, also of those that cannot be used
	byInterface map[string]string // target id by interface that it is, anybody's
	sensors     map[string]string // target id by instance with such an interface, of ours
	resources   map[string]string // by target id
	gone        map[string]string // why nothing arrives at a target, by its id
}

// resolve finds the targets of the desired state, and says of each that cannot be
// used why.
func (p *planner) resolve() *targets {
	t := &targets{
		index: map[string]int{}, configured: map[string]bool{}, byInterface: map[string]string{}, sensors: map[string]string{},
		resources: map[string]string{}, gone: map[string]string{},
	}
	byResource := map[string]*MirrorTarget{}
	for _, id := range sortedKeys(p.w.Targets) {
		target := p.w.Targets[id]
		t.resources[id] = target.Resource
		if byResource[target.Resource] == nil || p.c.owned(target.Tags) {
			byResource[target.Resource] = target
		}
		if target.Kind == KindInterface {
			t.byInterface[target.Resource] = id
			if p.ownAccount(target) && p.nics[target.Resource] == nil {
				t.gone[id] = "its interface " + target.Resource + " is gone"
			}
		}
	}
	count := map[string]int{}
	for i := range p.w.Sessions {
		if s := &p.w.Sessions[i]; !p.c.ours(p.w, s) {
			count[s.Target]++
		}
	}
	for i := range p.c.Targets {
		place, why := p.place(&p.c.Targets[i], byResource)
		if place.ID != "" {
			t.configured[place.ID] = true
			if why == "" {
				why = t.gone[place.ID]
			}
		}
		if why == "" && slices.ContainsFunc(t.places, func(o Place) bool { return o.Resource == place.Resource }) {
			continue // by id and by what it is
		}
		if why != "" {
			p.warn(orElse(place.ID, place.Resource), "cannot be a target: "+why)
			continue
		}
		p.bound(&place, p.c.Targets[i].MaxSources, count[place.ID])
		if place.Kind == KindInterface {
			t.byInterface[place.Resource] = orElse(place.ID, "that is created")
			if n := p.nics[place.Resource]; n != nil && n.Instance != "" {
				t.sensors[n.Instance] = orElse(place.ID, place.Resource)
			} else if n != nil && !n.Attached {
				p.warn(place.Resource, "the target is attached to no instance: nobody receives what is sent there")
			}
		}
		if place.ID != "" {
			t.index[place.ID] = len(t.places)
		}
		t.places = append(t.places, place)
	}
	return t
}

// ownAccount tells whether the account of the world has a thing, as far as known.
func (p *planner) ownAccount(t *MirrorTarget) bool {
	return p.w.Account == "" || t.Owner == "" || t.Owner == p.w.Account
}

// place finds one target; why says that it cannot be used.
func (p *planner) place(t *Target, byResource map[string]*MirrorTarget) (place Place, why string) {
	if t.ID != "" {
		there := p.w.Targets[t.ID]
		switch {
		case there != nil:
			return Place{Resource: there.Resource, ID: t.ID, Kind: there.Kind}, ""
		case t.Shared:
			return Place{Resource: t.ID, ID: t.ID, Kind: KindUnknown}, ""
		}
		return Place{Resource: t.ID, ID: t.ID}, "there is no such target; if it is another account's, say shared = true"
	}
	place = Place{Resource: t.Interface, Kind: KindInterface}
	switch {
	case t.LoadBalancer != "":
		place = Place{Resource: t.LoadBalancer, Kind: KindBalancer}
	case t.Endpoint != "":
		place = Place{Resource: t.Endpoint, Kind: KindEndpoint}
	}
	if there := byResource[place.Resource]; there != nil {
		place.ID = there.ID
		return place, ""
	}
	if place.Kind != KindInterface {
		return place, ""
	}
	if p.nics[place.Resource] == nil {
		return place, "there is no such interface"
	}
	if n := len(p.foreign[place.Resource]); n > 0 {
		return place, "it is the source of a session of somebody else; an interface is source or target"
	}
	return place, ""
}

// bound says how many sources of ours a place takes, as far as known: foreign ones
// sit there already.
func (p *planner) bound(place *Place, limit, foreign int) {
	ours := 0
	for _, all := range p.own {
		for _, s := range all {
			if place.ID != "" && s.Target == place.ID {
				ours++
			}
		}
	}
	learnt, full := p.m.full[place.Resource]
	place.Room = -1
	switch {
	case full && (limit == 0 || learnt.sources < limit):
		place.Room = max(learnt.sources-foreign, ours) // who is there has a seat
	case limit > 0:
		place.Room = max(limit-foreign, 0)
	}
	here := foreign + ours
	if place.Kind != KindInterface {
		return
	}
	place.Doubtful = here == ordinaryTargets || here == largestTargets
	if place.Doubtful && limit == 0 && !full {
		p.warn(place.Resource, fmt.Sprintf("the target has %d sources, which may be all that AWS lets go to this interface (%d, or %d on the largest instances); more may be refused, and then go to other targets", here, ordinaryTargets, largestTargets))
	}
}

// planTargets creates those that are missing.
func (p *planner) planTargets() {
	for i, place := range p.targets.places {
		if place.ID != "" {
			continue
		}
		at := slices.IndexFunc(p.c.Targets, func(t Target) bool {
			return t.Interface == place.Resource || t.LoadBalancer == place.Resource || t.Endpoint == place.Resource
		})
		p.add(Step{Action: Create, What: AboutTarget, On: p.targets.places[i].Resource, Reason: "no target stands for it yet", Target: &p.c.Targets[at]})
	}
	if len(p.targets.places) == 0 {
		p.warn("targets", "none can be used: no session is created or changed")
	}
	p.warnLengths()
}

// warnLengths tells what AWS cuts or refuses.
func (p *planner) warnLengths() {
	length := p.c.Session.PacketLength
	if length > 0 && length < minLengthIPv6 {
		p.warn("session.packet_length", fmt.Sprintf("%d is below %d, the least that AWS takes for IPv6", length, minLengthIPv6))
	}
	source := p.c.MTU.Sources
	seen := map[Kind]bool{}
	for _, place := range p.targets.places {
		if seen[place.Kind] {
			continue
		}
		seen[place.Kind] = true
		room, what := 0, ""
		switch place.Kind {
		case KindInterface:
			room, what = p.c.MTU.Targets, fmt.Sprintf("with the MTU %d of the target interface (mtu.targets)", p.c.MTU.Targets)
		case KindEndpoint:
			room, what = mtuEndpoint, fmt.Sprintf("with the MTU %d of a gateway load balancer endpoint", mtuEndpoint)
		case KindBalancer:
			if length > lengthBalancer {
				p.warn("session.packet_length", fmt.Sprintf("%d is more than a load balancer takes: %d is set there", length, lengthBalancer))
			}
			if length == 0 && source > lengthBalancer {
				p.warn("mtu.sources", fmt.Sprintf("to a load balancer AWS sends %d octets of a packet at most, and interfaces send %d: the end of larger ones is missing", lengthBalancer, source))
			}
			continue
		default:
			continue
		}
		most4, most6 := room-overheadIPv4, room-overheadIPv6
		if sent := sentOctets(source, length); sent > most6 {
			p.warn("mtu.sources", fmt.Sprintf("%s %d octets of a mirrored packet arrive over IPv4 and %d over IPv6, and %d may be sent: AWS cuts larger ones. They are measured, and marked as truncated", what, most4, most6, sent))
		}
	}
}

// sentOctets is the size of the largest copy without its wrapping.
func sentOctets(source, length int) int {
	if length > 0 {
		return min(source, length)
	}
	return source
}
