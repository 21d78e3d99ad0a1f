package mirror

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// planFilter finds or makes the filter of all sessions.
func (p *planner) planFilter() {
	if id := p.c.Filter.ID; id != "" {
		p.filter = id
		switch f := p.w.Filters[id]; {
		case f == nil:
			p.noUse = "there is no filter " + id + " (filter.id)"
			p.warn(id, "there is no such filter: no session is created or changed")
		case len(f.Rules) == 0:
			p.warn(id, "the filter has no rules: nothing is mirrored")
		default:
			p.warnDirections(f.Rules, id)
		}
		return
	}
	want, _ := p.c.Filter.rules() // Validate has read them
	p.warnDirections(want, "filter.rules")
	var have MirrorFilter
	if all := p.ownFilters(); len(all) > 0 {
		have = *p.w.Filters[all[0]]
		p.filter = have.ID
	} else {
		p.add(Step{Action: Create, What: AboutFilter, Reason: "the desired state has a filter of its own"})
	}
	p.planServices(&have)
	p.planRules(&have, want)
}

// ownFilters are those of this desired state; the first is the one that is used.
// There are more only if an answer was lost and the listing late.
func (p *planner) ownFilters() []string {
	return slices.DeleteFunc(sortedKeys(p.w.Filters), func(id string) bool { return !p.c.owned(p.w.Filters[id].Tags) })
}

func (p *planner) warnDirections(rules []FilterRule, about string) {
	for _, d := range []string{"ingress", "egress"} {
		if !slices.ContainsFunc(rules, func(r FilterRule) bool { return r.Direction == d && r.Action == "accept" }) {
			p.warn(about, "no rule accepts "+d+" packets: connections are seen from one side only, if at all")
		}
	}
}

func (p *planner) planServices(have *MirrorFilter) {
	has := slices.Contains(have.Services, amazonDNS)
	if has == p.c.Filter.AmazonDNS {
		return
	}
	s := Step{Action: Modify, What: AboutServices, ID: have.ID, filter: have.ID, Reason: "filter.amazon_dns", Changes: []Change{{amazonDNS, "no", "yes"}}}
	if has {
		s.Changes = []Change{{amazonDNS, "yes", "no"}}
	}
	p.add(s)
}

func (p *planner) planRules(have *MirrorFilter, want []FilterRule) {
	there := map[string]FilterRule{}
	for _, r := range have.Rules {
		there[r.place()] = r
	}
	for i := range want {
		w := &want[i]
		h, ok := there[w.place()]
		delete(there, w.place())
		s := Step{What: AboutRule, On: w.place(), ID: h.ID, Rule: w, old: &h, filter: have.ID}
		switch {
		case !ok:
			s.Action, s.Reason = Create, w.String()
		case h.same(w):
			continue
		case h.is6() != w.is6():
			s.Action, s.Reason = Replace, w.String()+" in place of: "+h.String()
		default:
			s.Action, s.Reason, s.Changes = Modify, "filter.rules", []Change{{"rule", h.String(), w.String()}}
		}
		p.add(s)
	}
	for _, place := range sortedKeys(there) {
		r := there[place]
		p.add(Step{Action: Delete, What: AboutRule, On: place, ID: r.ID, filter: have.ID, Reason: "not in filter.rules: " + r.String()})
	}
	p.orderRules()
}

// orderRules puts what rejects in front: for a moment less is mirrored than is to
// be, not more.
func (p *planner) orderRules() {
	first := slices.IndexFunc(p.Steps, func(s Step) bool { return s.What == AboutRule })
	if first < 0 {
		return
	}
	rank := func(s *Step) int {
		switch {
		case s.Action == Delete:
			return 2
		case s.Rule.Action == "reject":
			return 0
		}
		return 1
	}
	slices.SortStableFunc(p.Steps[first:], func(a, b Step) int { return cmp.Compare(rank(&a), rank(&b)) })
}

// planCleanup deletes what is ours and has no use any more.
func (p *planner) planCleanup() {
	inUse := map[string]string{} // by target or filter: a session that keeps it
	deleted := map[string]bool{}
	for i := range p.Steps {
		if s := &p.Steps[i]; s.What == AboutSession && s.Action == Delete {
			deleted[s.ID] = true
		}
	}
	for i := range p.w.Sessions {
		s := &p.w.Sessions[i]
		if deleted[s.ID] || p.used[s.ID] { // what is used is as the plan has it
			continue
		}
		inUse[s.Target], inUse[s.Filter] = s.ID, s.ID
	}
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Session != nil {
			inUse[s.Session.Target], inUse[s.Session.Filter] = orElse(s.ID, s.On), orElse(s.ID, s.On)
		}
	}
	drop := func(what What, id, on, reason string) {
		s := Step{Action: Delete, What: what, ID: id, On: on, Reason: reason}
		if by := inUse[id]; by != "" {
			s.Action, s.Reason = Keep, reason+", but still used by "+by
		}
		p.add(s)
	}
	for _, id := range sortedKeys(p.w.Filters) {
		if f := p.w.Filters[id]; p.c.owned(f.Tags) && id != p.filter {
			drop(AboutFilter, id, "", "the desired state does not use it")
		}
	}
	for _, id := range sortedKeys(p.w.Targets) {
		if t := p.w.Targets[id]; p.c.owned(t.Tags) && !p.targets.configured[id] {
			drop(AboutTarget, id, t.Resource, "not in targets")
		}
	}
}

// number gives the first session number from low on that nobody has.
func number(low int, others []*Session) int {
	n := low
	for slices.ContainsFunc(others, func(s *Session) bool { return s.Number == n }) {
		n++
		if n > maxSessionNumber {
			n = 1 // three others at most: there is one
		}
	}
	return n
}

// joinIDs lists sessions.
func joinIDs(all []*Session) string {
	ids := make([]string, len(all))
	for i, s := range all {
		ids[i] = s.ID
	}
	return strings.Join(ids, ", ")
}
