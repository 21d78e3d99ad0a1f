package fakeec2

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

var filterActions = map[string]action{
	"DescribeTrafficMirrorFilters":             describeFilters,
	"DescribeTrafficMirrorFilterRules":         describeRules,
	"CreateTrafficMirrorFilter":                createFilter,
	"DeleteTrafficMirrorFilter":                deleteFilter,
	"CreateTrafficMirrorFilterRule":            createRule,
	"ModifyTrafficMirrorFilterRule":            modifyRule,
	"DeleteTrafficMirrorFilterRule":            deleteRule,
	"ModifyTrafficMirrorFilterNetworkServices": modifyServices,
}

func describeFilters(r *request, a *answer) *Error {
	return describe(r, a, r.Filters, kind[*Filter]{
		ids: "TrafficMirrorFilterId", notFound: "InvalidTrafficMirrorFilterId.NotFound", set: "trafficMirrorFilterSet", least: 5, most: 1000,
		id:   func(f *Filter) string { return f.ID },
		tags: func(f *Filter) Tags { return f.Tags },
		attribute: func(f *Filter, name string) ([]string, bool) {
			switch name {
			case "description":
				return []string{f.Description}, true
			case "traffic-mirror-filter-id":
				return []string{f.ID}, true
			}
			return nil, false
		},
		write: func(f *Filter) { writeFilter(a, f) },
	})
}

func writeFilter(a *answer, f *Filter) {
	a.text("trafficMirrorFilterId", f.ID)
	a.text("description", f.Description)
	for _, direction := range []string{"ingress", "egress"} {
		list(a, direction+"FilterRuleSet", slices.DeleteFunc(slices.Clone(f.Rules), func(r *Rule) bool { return r.Direction != direction }),
			func(r *Rule) { writeRule(a, f.ID, r) })
	}
	list(a, "networkServiceSet", f.Services, func(s string) { a.b.WriteString(s) })
	a.tags(f.Tags)
}

func writeRule(a *answer, filter string, r *Rule) {
	a.text("trafficMirrorFilterRuleId", r.ID)
	a.text("trafficMirrorFilterId", filter)
	a.text("trafficDirection", r.Direction)
	a.number("ruleNumber", r.Number)
	a.text("ruleAction", r.Action)
	if r.Protocol >= 0 {
		a.number("protocol", r.Protocol)
	}
	a.text("sourceCidrBlock", r.Source)
	a.text("destinationCidrBlock", r.Destination)
	for name, p := range map[string]*Ports{"sourcePortRange": r.SourcePorts, "destinationPortRange": r.DestinationPorts} {
		if p != nil {
			a.in(name, func() { a.number("fromPort", p.From); a.number("toPort", p.To) })
		}
	}
	a.text("description", r.Description)
	a.tags(r.Tags)
}

func describeRules(r *request, a *answer) *Error {
	rules, of := map[string]*Rule{}, map[string]string{}
	for _, f := range r.Filters {
		if want := r.get("TrafficMirrorFilterId"); want != "" && want != f.ID {
			continue
		}
		for _, rule := range f.Rules {
			rules[rule.ID], of[rule.ID] = rule, f.ID
		}
	}
	return describe(r, a, rules, kind[*Rule]{
		ids: "TrafficMirrorFilterRuleId", notFound: "InvalidTrafficMirrorFilterRuleId.NotFound", set: "trafficMirrorFilterRuleSet", least: 5, most: 1000,
		id:   func(r *Rule) string { return r.ID },
		tags: func(r *Rule) Tags { return r.Tags },
		attribute: func(r *Rule, name string) ([]string, bool) {
			switch name {
			case "traffic-mirror-filter-id":
				return []string{of[r.ID]}, true
			case "traffic-direction":
				return []string{r.Direction}, true
			case "rule-number":
				return []string{strconv.Itoa(r.Number)}, true
			case "rule-action":
				return []string{r.Action}, true
			}
			return nil, false
		},
		write: func(rule *Rule) { writeRule(a, of[rule.ID], rule) },
	})
}

func createFilter(r *request, a *answer) *Error {
	id, e := r.once(func() (string, *Error) {
		f := &Filter{Description: r.get("Description")}
		var e *Error
		if f.Tags, e = r.tagsOnCreate("traffic-mirror-filter"); e != nil {
			return "", e
		}
		f.ID = r.NewID("tmf")
		r.Filters[f.ID] = f
		return f.ID, nil
	})
	if e != nil {
		return e
	}
	a.in("trafficMirrorFilter", func() {
		if f, ok := r.Filters[id]; ok {
			writeFilter(a, f)
		} else {
			a.text("trafficMirrorFilterId", id)
		}
	})
	a.text("clientToken", r.get("ClientToken"))
	return nil
}

func (r *request) filter() (*Filter, *Error) {
	id, e := r.need("TrafficMirrorFilterId")
	if e != nil {
		return nil, e
	}
	f, ok := r.Filters[id]
	if !ok {
		return nil, bad("InvalidTrafficMirrorFilterId.NotFound", "The filter ID '"+id+"' does not exist")
	}
	return f, nil
}

func deleteFilter(r *request, a *answer) *Error {
	f, e := r.filter()
	if e != nil {
		return e
	}
	for _, m := range r.Sessions {
		if m.Filter == f.ID {
			return bad("TrafficMirrorFilterInUse", "The filter "+f.ID+" is in use by "+m.ID)
		}
	}
	delete(r.Filters, f.ID)
	a.text("trafficMirrorFilterId", f.ID)
	return nil
}

func modifyServices(r *request, a *answer) *Error {
	f, e := r.filter()
	if e != nil {
		return e
	}
	for _, s := range append(r.values("AddNetworkService"), r.values("RemoveNetworkService")...) {
		if s != "amazon-dns" {
			return bad("InvalidParameterValue", "There is no network service "+s)
		}
	}
	drop := r.values("RemoveNetworkService")
	f.Services = slices.DeleteFunc(f.Services, func(s string) bool { return slices.Contains(drop, s) })
	for _, s := range r.values("AddNetworkService") {
		if !slices.Contains(f.Services, s) {
			f.Services = append(f.Services, s)
		}
	}
	a.in("trafficMirrorFilter", func() { writeFilter(a, f) })
	return nil
}

func createRule(r *request, a *answer) *Error {
	f, e := r.filter()
	if e != nil {
		return e
	}
	id, e := r.once(func() (string, *Error) {
		rule := &Rule{Protocol: -1}
		for _, name := range []string{"TrafficDirection", "RuleNumber", "RuleAction", "SourceCidrBlock", "DestinationCidrBlock"} {
			if _, e := r.need(name); e != nil {
				return "", e
			}
		}
		if e := r.changeRule(f, rule); e != nil {
			return "", e
		}
		var e *Error
		if rule.Tags, e = r.tagsOnCreate("traffic-mirror-filter-rule"); e != nil {
			return "", e
		}
		if len(f.Rules) >= rulesPerFilter {
			return "", bad("TrafficMirrorFilterRulesLimitExceeded", "The limit of 10 rules is exceeded")
		}
		rule.ID = r.NewID("tmfr")
		f.Rules = append(f.Rules, rule)
		return rule.ID, nil
	})
	if e != nil {
		return e
	}
	a.in("trafficMirrorFilterRule", func() {
		if _, rule := r.rule(id); rule != nil {
			writeRule(a, f.ID, rule)
		} else {
			a.text("trafficMirrorFilterRuleId", id)
		}
	})
	a.text("clientToken", r.get("ClientToken"))
	return nil
}

// changeRule puts the parameters into a rule of the filter and checks it.
func (r *request) changeRule(f *Filter, rule *Rule) *Error {
	for name, to := range map[string]*string{
		"TrafficDirection": &rule.Direction, "RuleAction": &rule.Action, "SourceCidrBlock": &rule.Source, "DestinationCidrBlock": &rule.Destination, "Description": &rule.Description,
	} {
		if r.has(name) {
			*to = r.get(name)
		}
	}
	if rule.Direction != "ingress" && rule.Direction != "egress" || rule.Action != "accept" && rule.Action != "reject" {
		return bad("InvalidParameterValue", fmt.Sprintf("direction %q, action %q", rule.Direction, rule.Action))
	}
	src, err1 := netip.ParsePrefix(rule.Source)
	dst, err2 := netip.ParsePrefix(rule.Destination)
	if err1 != nil || err2 != nil || src.Addr().Is4() != dst.Addr().Is4() {
		return bad("InvalidParameterValue", "CIDR block: "+rule.Source+", "+rule.Destination)
	}
	var e *Error
	if rule.Number, e = r.number("RuleNumber", 1, maxNumber, rule.Number); e != nil {
		return e
	}
	if rule.Protocol, e = r.number("Protocol", 0, 255, rule.Protocol); e != nil {
		return e
	}
	for name, to := range map[string]**Ports{"SourcePortRange": &rule.SourcePorts, "DestinationPortRange": &rule.DestinationPorts} {
		if !r.has(name + ".FromPort") {
			continue
		}
		p := &Ports{}
		if p.From, e = r.number(name+".FromPort", 0, 65535, 0); e != nil {
			return e
		}
		if p.To, e = r.number(name+".ToPort", p.From, 65535, p.From); e != nil {
			return e
		}
		if r.get("Protocol") != "6" && r.get("Protocol") != "17" { // needed in the same call
			return bad("InvalidParameterCombination", name+" needs protocol 6 or 17")
		}
		*to = p
	}
	for _, other := range f.Rules {
		if other != rule && other.ID != rule.ID && other.Direction == rule.Direction && other.Number == rule.Number {
			return bad("InvalidParameterValue", fmt.Sprintf("There is a rule %d in direction %s already", rule.Number, rule.Direction))
		}
	}
	return nil
}

// rule finds a rule and its filter.
func (s *State) rule(id string) (*Filter, *Rule) {
	for _, f := range s.Filters {
		for _, rule := range f.Rules {
			if rule.ID == id {
				return f, rule
			}
		}
	}
	return nil, nil
}

func modifyRule(r *request, a *answer) *Error {
	id, e := r.need("TrafficMirrorFilterRuleId")
	if e != nil {
		return e
	}
	f, rule := r.rule(id)
	if rule == nil {
		return bad("InvalidTrafficMirrorFilterRuleId.NotFound", "The rule ID '"+id+"' does not exist")
	}
	c := *rule
	for _, field := range r.values("RemoveField") {
		switch field {
		case "protocol":
			c.Protocol, c.SourcePorts, c.DestinationPorts = -1, nil, nil
		case "source-port-range":
			c.SourcePorts = nil
		case "destination-port-range":
			c.DestinationPorts = nil
		case "description":
			c.Description = ""
		default:
			return bad("InvalidParameterValue", "RemoveField "+field)
		}
	}
	if e := r.changeRule(f, &c); e != nil {
		return e
	}
	*rule = c
	a.in("trafficMirrorFilterRule", func() { writeRule(a, f.ID, rule) })
	return nil
}

func deleteRule(r *request, a *answer) *Error {
	id, e := r.need("TrafficMirrorFilterRuleId")
	if e != nil {
		return e
	}
	f, rule := r.rule(id)
	if rule == nil {
		return bad("InvalidTrafficMirrorFilterRuleId.NotFound", "The rule ID '"+id+"' does not exist")
	}
	f.Rules = slices.DeleteFunc(f.Rules, func(o *Rule) bool { return o == rule })
	a.text("trafficMirrorFilterRuleId", id)
	return nil
}
