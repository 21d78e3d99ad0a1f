package mirror

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Action is what a step does.
type Action string

// Actions, in the order in which a plan shows them.
const (
	Create  Action = "create"
	Modify  Action = "modify"
	Replace Action = "replace" // delete, then create: what cannot be modified
	Delete  Action = "delete"
	Keep    Action = "keep"
	NoWay   Action = "blind" // an interface that is selected stays without a session
)

// Actions lists them.
func Actions() []Action { return []Action{Create, Modify, Replace, Delete, Keep, NoWay} }

// What is what a step is about.
type What string

// Things that steps are about.
const (
	AboutTarget   What = "target"
	AboutFilter   What = "filter"
	AboutServices What = "network services"
	AboutRule     What = "rule"
	AboutSession  What = "session"
)

// Step is one thing of a plan.
type Step struct {
	Action   Action   `json:"action"`
	What     What     `json:"what"`
	ID       string   `json:"id,omitempty"`       // of the target, filter, rule or session that is there
	On       string   `json:"on,omitempty"`       // interface of a session, resource of a target, direction and number of a rule
	Instance string   `json:"instance,omitempty"` // of the interface
	Name     string   `json:"name,omitempty"`     // what people call it
	Blind    Blind    `json:"blind,omitempty"`    // with NoWay
	Reason   string   `json:"reason"`
	Changes  []Change `json:"changes,omitempty"` // with Modify

	Session *SessionSpec `json:"session,omitempty"` // as it is to be
	Rule    *FilterRule  `json:"rule,omitempty"`
	Target  *Target      `json:"-"`

	seat   int      // of a session that is to be: its place, in Plan.places
	have   *Session // the one that is there
	filter string   // of a rule: its filter; "" the one that is created
	old    *FilterRule
}

// Change is a field that is modified.
type Change struct {
	Field string `json:"field"`
	From  string `json:"from"`
	To    string `json:"to"`
}

// SessionSpec is a session as it is to be.
type SessionSpec struct {
	Interface      string `json:"interface"`
	TargetResource string `json:"target_resource"`
	Target         string `json:"target,omitempty"` // "" it is created by this plan
	Filter         string `json:"filter,omitempty"` // "" it is created by this plan
	Number         int    `json:"session_number"`
	VNI            int    `json:"vni"`
	PacketLength   int    `json:"packet_length,omitempty"` // octets; 0: whole packets
}

// Warning is what people should know although it stops nothing.
type Warning struct {
	About string `json:"about"` // thing or key
	Text  string `json:"text"`
}

// Plan is what is to be done.
type Plan struct {
	State    string    `json:"state"`
	Region   string    `json:"region"`
	Account  string    `json:"account,omitempty"`
	Taken    time.Time `json:"taken"`
	Steps    []Step    `json:"steps"`
	Warnings []Warning `json:"warnings"`
	Withheld string    `json:"withheld,omitempty"` // why nothing is deleted; see Guard

	Coverage []Coverage `json:"-"` // every interface, by id

	places []Place
	owned  int            // sessions that are ours now
	load   map[string]int // sessions of anybody at a target, by its id
}

// order lists the places for the session of a step: the one that is meant, then
// the others by preference.
func (p *Plan) order(s *Step) []Place {
	places := []Place{p.places[s.seat]}
	for _, i := range preference(s.On, p.places) {
		if i != s.seat {
			places = append(places, p.places[i])
		}
	}
	return places
}

// Differences counts the steps that change something.
func (p *Plan) Differences() int {
	n := 0
	for i := range p.Steps {
		if p.Steps[i].changes() {
			n++
		}
	}
	return n
}

func (s *Step) changes() bool { return s.Action != Keep && s.Action != NoWay }

// Count counts the steps of an action.
func (p *Plan) Count(a Action) int {
	n := 0
	for i := range p.Steps {
		if p.Steps[i].Action == a {
			n++
		}
	}
	return n
}

// guard withholds what would delete too much (Guard).
func (p *Plan) guard(g Guard, force bool) {
	gone := 0
	for i := range p.Steps {
		if s := &p.Steps[i]; s.Action == Delete && s.What == AboutSession {
			gone++
		}
	}
	if force || gone <= g.DeleteFree || gone*100 <= g.DeletePercent*p.owned {
		return
	}
	p.Withheld = withheldText(gone, p.owned, g.DeletePercent)
	p.Warnings = append(p.Warnings, Warning{"guard", p.Withheld})
}

// Memory is what is learnt from the answers of the API, and from one plan to the
// next. The zero value is empty. It belongs to one goroutine.
type Memory struct {
	full    map[string]fullness // targets that took no more, by resource
	refused map[string]refusal  // interfaces that it does not mirror, by id
	made    map[string]making   // the last session that was created on an interface, by its id
}

// making is a session that was created.
type making struct {
	id string
	at time.Time // zero: it was listed since, or is known to be gone
}

// listedWithin is how long a session that was created may be missing in the list.
const listedWithin = time.Minute

type fullness struct {
	sources int       // that it had
	until   time.Time // not believed any more: its instance may be another one by then
}

type refusal struct {
	why   string
	times int
	until time.Time // not tried again before
}

// patience is how long a refused interface is left alone: twice as long each time.
const (
	patience    = 5 * time.Minute
	maxPatience = time.Hour
)

func (m *Memory) refuse(nic, why string, now time.Time) {
	if m.refused == nil {
		m.refused = map[string]refusal{}
	}
	r := m.refused[nic]
	r.why, r.until = why, now.Add(min(patience<<min(r.times, 10), maxPatience))
	r.times++
	m.refused[nic] = r
}

func (m *Memory) make(nic, session string, now time.Time) {
	if m.made == nil {
		m.made = map[string]making{}
	}
	m.made[nic] = making{session, now}
}

// settle notes that a session was listed, or is gone: there is nothing to wait for.
func (m *Memory) settle(nic, session string) {
	if made := m.made[nic]; made.id == session {
		m.made[nic] = making{id: session}
	}
}

func (m *Memory) fill(resource string, sources int, now time.Time) {
	if m.full == nil {
		m.full = map[string]fullness{}
	}
	m.full[resource] = fullness{sources, now.Add(maxPatience)}
}

// forget drops what is about interfaces that are not there, and what is too old.
func (m *Memory) forget(w *World) {
	there := map[string]bool{}
	for i := range w.Interfaces {
		there[w.Interfaces[i].ID] = true
	}
	maps.DeleteFunc(m.full, func(_ string, f fullness) bool { return !w.Taken.Before(f.until) })
	maps.DeleteFunc(m.refused, func(nic string, _ refusal) bool { return !there[nic] })
	maps.DeleteFunc(m.made, func(nic string, _ making) bool { return !there[nic] })
}

// planner makes a plan.
type planner struct {
	*Plan
	c       *Config
	w       *World
	m       *Memory
	targets *targets
	filter  string // of all sessions; "" it is created
	noUse   string // why there is none that can be used; ""
	used    map[string]bool
	nics    map[string]*Interface
	own     map[string][]*Session // by interface, by id
	often   map[string]int        // warnings of a kind
	foreign map[string][]*Session
}

// Make compares a desired state, which Validate has passed, with the world.
func Make(c *Config, w *World, m *Memory) *Plan {
	w.sort()
	m.forget(w)
	for i := range w.Sessions {
		m.settle(w.Sessions[i].Interface, w.Sessions[i].ID)
	}
	p := newPlanner(c, w, m)
	p.targets = p.resolve()
	p.planTargets()
	p.planFilter()
	p.planSessions()
	p.places = p.targets.places
	p.planCleanup()
	p.order()
	return p.Plan
}

// MakeDestroy gives the steps that delete everything of a desired state.
func MakeDestroy(c *Config, w *World) *Plan {
	w.sort()
	p := newPlanner(c, w, &Memory{})
	p.targets = &targets{}
	for i := range w.Sessions {
		if s := &w.Sessions[i]; c.ours(w, s) {
			p.deleteSession(s, "destroy")
		}
	}
	p.planCleanup()
	p.order()
	return p.Plan
}

func newPlanner(c *Config, w *World, m *Memory) *planner {
	p := &planner{
		Plan: &Plan{State: c.Name, Region: w.Region, Account: w.Account, Taken: w.Taken, Steps: []Step{}, Warnings: []Warning{}, load: map[string]int{}},
		c:    c, w: w, m: m,
		used: map[string]bool{}, often: map[string]int{}, nics: map[string]*Interface{}, own: map[string][]*Session{}, foreign: map[string][]*Session{},
	}
	for i := range w.Interfaces {
		p.nics[w.Interfaces[i].ID] = &w.Interfaces[i]
	}
	for i := range w.Sessions {
		s := &w.Sessions[i]
		p.load[s.Target]++
		if c.ours(w, s) {
			p.own[s.Interface] = append(p.own[s.Interface], s)
			p.owned++
		} else {
			p.foreign[s.Interface] = append(p.foreign[s.Interface], s)
		}
	}
	return p
}

func (p *planner) add(s Step) { p.Steps = append(p.Steps, s) }

// fewWarnings is how many of a kind are told one by one.
const fewWarnings = 5

// warnEach warns of an interface, the first few times of a kind.
func (p *planner) warnEach(kind, about, text string) {
	if p.often[kind]++; p.often[kind] <= fewWarnings {
		p.warn(about, text)
	}
}

// warnRest counts those that were not told.
func (p *planner) warnRest() {
	for _, kind := range sortedKeys(p.often) {
		if n := p.often[kind] - fewWarnings; n > 0 {
			p.warn("interfaces", fmt.Sprintf("%d more like this: %s", n, kind))
		}
	}
}

func (p *planner) warn(about, text string) { p.Warnings = append(p.Warnings, Warning{about, text}) }

// session begins a step about an interface, which may be one that is not listed.
func (p *planner) session(a Action, nic, reason string) Step {
	s := Step{Action: a, What: AboutSession, On: nic, Reason: reason}
	if n := p.nics[nic]; n != nil {
		s.Instance, s.Name = n.Instance, p.w.name(n)
	}
	return s
}

func (p *planner) deleteSession(s *Session, reason string) {
	step := p.session(Delete, s.Interface, reason)
	step.ID, step.have = s.ID, s
	p.add(step)
}

// order puts steps in the order in which they are done: what others stand on
// first, and what makes room before what needs it.
func (p *planner) order() {
	rank := func(s *Step) int {
		switch s.What {
		case AboutSession:
			// An interface that is to be a target must be no source any more.
			return map[Action]int{Delete: 0, Modify: 11, Create: 12, Keep: 13, NoWay: 14}[s.Action]
		default:
			if s.Action == Delete && s.What != AboutRule {
				return 20 + map[What]int{AboutFilter: 0, AboutTarget: 1}[s.What]
			}
			return 1 + map[What]int{AboutTarget: 0, AboutFilter: 1, AboutServices: 2, AboutRule: 3}[s.What]
		}
	}
	slices.SortStableFunc(p.Steps, func(a, b Step) int {
		if d := rank(&a) - rank(&b); d != 0 || a.What != AboutSession {
			return d
		}
		return strings.Compare(a.On, b.On)
	})
}

func withheldText(gone, owned, percent int) string {
	return fmt.Sprintf("%d of %d sessions would be deleted, more than guard.delete_percent = %d allows: nothing is deleted. If it is meant, say --force", gone, owned, percent)
}
