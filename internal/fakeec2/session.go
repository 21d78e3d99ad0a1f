package fakeec2

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// Limits of the service.
const (
	sessionsPerInterface = 3
	sourcesPerInterface  = 10 // that is a target, if its InstanceType says nothing else
	rulesPerFilter       = 10
	maxNumber            = 32766
	maxVNI               = 1<<24 - 1
	maxPacketLength      = 9001
	maxBalancerLength    = 8500 // to a network load balancer
)

var mirrorActions = map[string]action{
	"DescribeTrafficMirrorSessions": describeSessions,
	"CreateTrafficMirrorSession":    createSession,
	"ModifyTrafficMirrorSession":    modifySession,
	"DeleteTrafficMirrorSession":    deleteSession,
	"DescribeTrafficMirrorTargets":  describeTargets,
	"CreateTrafficMirrorTarget":     createTarget,
	"DeleteTrafficMirrorTarget":     deleteTarget,
	"CreateTags":                    createTags,
}

func describeSessions(r *request, a *answer) *Error {
	listed := r.Sessions
	if r.Lag > 0 {
		listed = map[string]*Session{}
		for id, m := range r.Sessions {
			if r.late[id] > 0 {
				r.late[id]--
			} else {
				listed[id] = m
			}
		}
	}
	return describe(r, a, listed, kind[*Session]{
		ids: "TrafficMirrorSessionId", notFound: "InvalidTrafficMirrorSessionId.NotFound", set: "trafficMirrorSessionSet", least: 5, most: 1000,
		id:   func(m *Session) string { return m.ID },
		tags: func(m *Session) Tags { return m.Tags },
		attribute: func(m *Session, name string) ([]string, bool) {
			switch name {
			case "description":
				return []string{m.Description}, true
			case "network-interface-id":
				return []string{m.Interface}, true
			case "owner-id":
				return []string{r.owner(m.Owner)}, true
			case "packet-length":
				return []string{strconv.Itoa(m.PacketLength)}, true
			case "session-number":
				return []string{strconv.Itoa(m.Number)}, true
			case "traffic-mirror-filter-id":
				return []string{m.Filter}, true
			case "traffic-mirror-session-id":
				return []string{m.ID}, true
			case "traffic-mirror-target-id":
				return []string{m.Target}, true
			case "virtual-network-id":
				return []string{strconv.Itoa(m.VNI)}, true
			}
			return nil, false
		},
		write: func(m *Session) { r.writeSession(a, m) },
	})
}

func (r *request) owner(id string) string {
	if id == "" {
		return r.Account
	}
	return id
}

func (r *request) writeSession(a *answer, m *Session) {
	a.text("trafficMirrorSessionId", m.ID)
	a.text("trafficMirrorTargetId", m.Target)
	a.text("trafficMirrorFilterId", m.Filter)
	a.text("networkInterfaceId", m.Interface)
	a.text("ownerId", r.owner(m.Owner))
	if m.PacketLength != 0 {
		a.number("packetLength", m.PacketLength)
	}
	a.number("sessionNumber", m.Number)
	a.number("virtualNetworkId", m.VNI)
	a.text("description", m.Description)
	a.tags(m.Tags)
}

func createSession(r *request, a *answer) *Error {
	id, e := r.once(func() (string, *Error) {
		m, e := r.newSession()
		if e != nil {
			return "", e
		}
		r.Sessions[m.ID] = m
		return m.ID, nil
	})
	if e != nil {
		return e
	}
	a.in("trafficMirrorSession", func() {
		if m, ok := r.Sessions[id]; ok {
			r.writeSession(a, m)
		} else {
			a.text("trafficMirrorSessionId", id) // it was, once
		}
	})
	a.text("clientToken", r.get("ClientToken"))
	return nil
}

// newSession checks what is asked for against the state.
func (r *request) newSession() (*Session, *Error) {
	m := &Session{Description: r.get("Description")}
	var e *Error
	for name, to := range map[string]*string{"NetworkInterfaceId": &m.Interface, "TrafficMirrorTargetId": &m.Target, "TrafficMirrorFilterId": &m.Filter} {
		if *to, e = r.need(name); e != nil {
			return nil, e
		}
	}
	if _, e = r.need("SessionNumber"); e != nil {
		return nil, e
	}
	if m.Number, e = r.number("SessionNumber", 1, maxNumber, 0); e != nil {
		return nil, e
	}
	if m.VNI, e = r.number("VirtualNetworkId", 0, maxVNI, -1); e != nil {
		return nil, e
	}
	if m.PacketLength, e = r.number("PacketLength", 1, maxPacketLength, 0); e != nil {
		return nil, e
	}
	if m.Tags, e = r.tagsOnCreate("traffic-mirror-session"); e != nil {
		return nil, e
	}
	nic, ok := r.Interfaces[m.Interface]
	if !ok {
		return nil, bad("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '"+m.Interface+"' does not exist")
	}
	if e := r.canBeSource(nic); e != nil {
		return nil, e
	}
	if len(r.SessionsOf(m.Interface)) >= sessionsPerInterface {
		return nil, bad("TrafficMirrorSessionsPerInterfaceLimitExceeded", "The limit of 3 sessions for "+m.Interface+" is exceeded")
	}
	if e := r.fits(m); e != nil {
		return nil, e
	}
	if r.Targets[m.Target].Balancer != "" && m.PacketLength == 0 {
		m.PacketLength = maxBalancerLength
	}
	m.ID = r.NewID("tms")
	r.late[m.ID] = r.Lag
	if m.VNI < 0 {
		m.VNI = (r.last*7919 + 4711) & maxVNI // any that no other session has
	}
	return m, nil
}

func (r *request) canBeSource(nic *Interface) *Error {
	if nic.Type != "" && nic.Type != "interface" {
		return bad("InvalidParameterValue", "The interface "+nic.ID+" is of type "+nic.Type)
	}
	if nic.RequesterManaged && nic.RequesterID != "amazon-rds" && nic.RequesterID != "amazon-elasticache" {
		return bad("OperationNotPermitted", "The interface "+nic.ID+" is managed by "+nic.RequesterID)
	}
	for _, t := range r.Targets {
		if t.Interface == nic.ID {
			return bad("InvalidParameterValue", "The interface "+nic.ID+" is a target")
		}
	}
	if i, ok := r.Instances[nic.Instance]; ok {
		return r.Types[i.Type].Refused
	}
	return nil
}

// fits checks a session, new or changed, against the others.
func (r *request) fits(m *Session) *Error {
	t, ok := r.Targets[m.Target]
	if !ok {
		return bad("InvalidTrafficMirrorTargetId.NotFound", "The target ID '"+m.Target+"' does not exist")
	}
	if _, ok := r.Filters[m.Filter]; !ok {
		return bad("InvalidTrafficMirrorFilterId.NotFound", "The filter ID '"+m.Filter+"' does not exist")
	}
	if t.Balancer != "" && m.PacketLength > maxBalancerLength {
		return bad("InvalidParameterValue", fmt.Sprintf("PacketLength %d is more than 8500", m.PacketLength))
	}
	sources := 0
	for _, other := range r.Sessions {
		if other.ID == m.ID {
			continue
		}
		if other.Interface == m.Interface && other.Number == m.Number {
			return bad("InvalidParameterValue", fmt.Sprintf("The session number %d is in use on %s", m.Number, m.Interface))
		}
		if other.Target == m.Target {
			sources++
		}
	}
	if t.Interface == "" {
		return nil
	}
	limit := sourcesPerInterface
	if nic, ok := r.Interfaces[t.Interface]; ok {
		if i, ok := r.Instances[nic.Instance]; ok && r.Types[i.Type].Sources > 0 {
			limit = r.Types[i.Type].Sources
		}
	}
	if sources >= limit {
		return bad("TrafficMirrorSourcesPerTargetLimitExceeded", fmt.Sprintf("The limit of %d sources for %s is exceeded", limit, m.Target))
	}
	return nil
}

func modifySession(r *request, a *answer) *Error {
	m, e := r.session()
	if e != nil {
		return e
	}
	c := *m
	for _, field := range r.values("RemoveField") {
		switch field {
		case "packet-length":
			c.PacketLength = 0
		case "description":
			c.Description = ""
		case "virtual-network-id":
			c.VNI = maxVNI - r.last
		default:
			return bad("InvalidParameterValue", "RemoveField "+field)
		}
	}
	for name, to := range map[string]*string{"TrafficMirrorTargetId": &c.Target, "TrafficMirrorFilterId": &c.Filter, "Description": &c.Description} {
		if r.has(name) {
			*to = r.get(name)
		}
	}
	if c.Number, e = r.number("SessionNumber", 1, maxNumber, c.Number); e != nil {
		return e
	}
	if c.VNI, e = r.number("VirtualNetworkId", 0, maxVNI, c.VNI); e != nil {
		return e
	}
	if c.PacketLength, e = r.number("PacketLength", 1, maxPacketLength, c.PacketLength); e != nil {
		return e
	}
	if e := r.fits(&c); e != nil {
		return e
	}
	*m = c
	a.in("trafficMirrorSession", func() { r.writeSession(a, m) })
	return nil
}

func (r *request) session() (*Session, *Error) {
	id, e := r.need("TrafficMirrorSessionId")
	if e != nil {
		return nil, e
	}
	m, ok := r.Sessions[id]
	if !ok {
		return nil, bad("InvalidTrafficMirrorSessionId.NotFound", "The session ID '"+id+"' does not exist")
	}
	if m.Owner != "" && m.Owner != r.Account {
		return nil, bad("OperationNotPermitted", "The session "+id+" is of account "+m.Owner)
	}
	return m, nil
}

func deleteSession(r *request, a *answer) *Error {
	m, e := r.session()
	if e != nil {
		return e
	}
	delete(r.Sessions, m.ID)
	a.text("trafficMirrorSessionId", m.ID)
	return nil
}

func describeTargets(r *request, a *answer) *Error {
	return describe(r, a, r.Targets, kind[*Target]{
		ids: "TrafficMirrorTargetId", notFound: "InvalidTrafficMirrorTargetId.NotFound", set: "trafficMirrorTargetSet", least: 5, most: 1000,
		id:   func(t *Target) string { return t.ID },
		tags: func(t *Target) Tags { return t.Tags },
		attribute: func(t *Target, name string) ([]string, bool) {
			switch name {
			case "description":
				return []string{t.Description}, true
			case "network-interface-id":
				return []string{t.Interface}, true
			case "network-load-balancer-arn":
				return []string{t.Balancer}, true
			case "owner-id":
				return []string{r.owner(t.Owner)}, true
			case "traffic-mirror-target-id":
				return []string{t.ID}, true
			}
			return nil, false
		},
		write: func(t *Target) { r.writeTarget(a, t) },
	})
}

func (r *request) writeTarget(a *answer, t *Target) {
	a.text("trafficMirrorTargetId", t.ID)
	a.text("networkInterfaceId", t.Interface)
	a.text("networkLoadBalancerArn", t.Balancer)
	a.text("gatewayLoadBalancerEndpointId", t.GWLBE)
	switch {
	case t.Interface != "":
		a.text("type", "network-interface")
	case t.Balancer != "":
		a.text("type", "network-load-balancer")
	default:
		a.text("type", "gateway-load-balancer-endpoint")
	}
	a.text("description", t.Description)
	a.text("ownerId", r.owner(t.Owner))
	a.tags(t.Tags)
}

func createTarget(r *request, a *answer) *Error {
	id, e := r.once(func() (string, *Error) {
		t := &Target{Interface: r.get("NetworkInterfaceId"), Balancer: r.get("NetworkLoadBalancerArn"), GWLBE: r.get("GatewayLoadBalancerEndpointId"), Description: r.get("Description")}
		given := 0
		for _, v := range []string{t.Interface, t.Balancer, t.GWLBE} {
			if v != "" {
				given++
			}
		}
		if given != 1 {
			return "", bad("InvalidParameterCombination", "Exactly one of NetworkInterfaceId, NetworkLoadBalancerArn and GatewayLoadBalancerEndpointId is needed")
		}
		var e *Error
		if t.Tags, e = r.tagsOnCreate("traffic-mirror-target"); e != nil {
			return "", e
		}
		if t.Interface != "" && r.Interfaces[t.Interface] == nil {
			return "", bad("InvalidNetworkInterfaceID.NotFound", "The networkInterface ID '"+t.Interface+"' does not exist")
		}
		for _, other := range r.Targets {
			if other.Interface == t.Interface && other.Balancer == t.Balancer && other.GWLBE == t.GWLBE {
				return "", bad("InvalidParameterValue", "There is a target of this already: "+other.ID)
			}
		}
		if t.Interface != "" && len(r.SessionsOf(t.Interface)) > 0 {
			return "", bad("InvalidParameterValue", "The interface "+t.Interface+" is a source")
		}
		t.ID = r.NewID("tmt")
		r.Targets[t.ID] = t
		return t.ID, nil
	})
	if e != nil {
		return e
	}
	a.in("trafficMirrorTarget", func() {
		if t, ok := r.Targets[id]; ok {
			r.writeTarget(a, t)
		} else {
			a.text("trafficMirrorTargetId", id)
		}
	})
	a.text("clientToken", r.get("ClientToken"))
	return nil
}

func deleteTarget(r *request, a *answer) *Error {
	id, e := r.need("TrafficMirrorTargetId")
	if e != nil {
		return e
	}
	if _, ok := r.Targets[id]; !ok {
		return bad("InvalidTrafficMirrorTargetId.NotFound", "The target ID '"+id+"' does not exist")
	}
	for _, m := range r.Sessions {
		if m.Target == id {
			return bad("TrafficMirrorTargetInUse", "The target "+id+" is in use by "+m.ID)
		}
	}
	delete(r.Targets, id)
	a.text("trafficMirrorTargetId", id)
	return nil
}

func createTags(r *request, a *answer) *Error {
	tags := Tags{}
	if e := r.tags("Tag", tags); e != nil {
		return e
	}
	ids := r.values("ResourceId")
	if len(ids) == 0 || len(tags) == 0 {
		return bad("MissingParameter", "The request must contain the parameters ResourceId and Tag")
	}
	var all []*Tags
	for _, id := range ids {
		t := r.tagsOf(id)
		if t == nil {
			return bad("InvalidID", "The ID '"+id+"' is not valid")
		}
		all = append(all, t)
	}
	for _, t := range all {
		if *t == nil {
			*t = Tags{}
		}
		maps.Copy(*t, tags)
	}
	a.truth("return", true)
	return nil
}

// tagsOf gives the tags of whatever has this id; nil: nothing has.
func (s *State) tagsOf(id string) *Tags {
	prefix, _, _ := strings.Cut(id, "-")
	switch prefix {
	case "tms":
		if m := s.Sessions[id]; m != nil {
			return &m.Tags
		}
	case "tmt":
		if t := s.Targets[id]; t != nil {
			return &t.Tags
		}
	case "tmf":
		if f := s.Filters[id]; f != nil {
			return &f.Tags
		}
	case "tmfr":
		if _, rule := s.rule(id); rule != nil {
			return &rule.Tags
		}
	case "eni":
		if i := s.Interfaces[id]; i != nil {
			return &i.Tags
		}
	case "i":
		if i := s.Instances[id]; i != nil {
			return &i.Tags
		}
	case "subnet":
		if n := s.Subnets[id]; n != nil {
			return &n.Tags
		}
	case "vpc":
		if v := s.VPCs[id]; v != nil {
			return &v.Tags
		}
	}
	return nil
}
