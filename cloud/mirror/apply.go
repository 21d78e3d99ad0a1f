package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"
)

// Result is how a step ended.
type Result string

// Results.
const (
	Done     Result = "done"
	Gone     Result = "gone"     // what it was about is not there any more: nothing is left to do
	Stays    Result = "stays"    // the better target has no room: it stays where it is
	Failed   Result = "failed"   //
	Withheld Result = "withheld" // by Guard
	NotTried Result = "not tried"
)

// Outcome is how a step of a plan ended.
type Outcome struct {
	Step   *Step
	Result Result
	ID     string // of what was created
	Note   string // what else is to be said, or what went wrong
}

// Report is how all of them ended.
type Report struct {
	Outcomes []Outcome
	Stopped  bool // before the end
}

// Count counts the outcomes with a result.
func (r *Report) Count(result Result) (n int) {
	for i := range r.Outcomes {
		if r.Outcomes[i].Result == result {
			n++
		}
	}
	return n
}

// OK tells whether the desired state is there now.
func (r *Report) OK() bool {
	return r.Count(Failed)+r.Count(Withheld)+r.Count(NotTried) == 0
}

// Reconciler makes an account be as a desired state says. It belongs to one
// goroutine.
type Reconciler struct {
	Config *Config // that Validate has passed
	Client api
	Region string // for people

	Now   func() time.Time
	Sleep func(context.Context, time.Duration) error

	memory    Memory
	bareMetal map[string]bool
}

// New gives a Reconciler. It asks nobody yet.
func New(c *Config, client api) *Reconciler {
	return &Reconciler{Config: c, Client: client, Region: client.Options().Region, Now: time.Now, Sleep: sleep}
}

// read asks for the world.
func (r *Reconciler) read(ctx context.Context) (*World, error) {
	w := &World{Region: r.Region, Taken: r.Now(), BareMetal: r.bareMetal}
	if err := read(ctx, r.Client, w); err != nil {
		return nil, err
	}
	r.bareMetal = w.BareMetal
	return w, nil
}

// Plan reads the world and compares. force goes past Guard.
func (r *Reconciler) Plan(ctx context.Context, force bool) (*Plan, error) {
	w, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	p := Make(r.Config, w, &r.memory)
	p.guard(r.Config.Guard, force)
	return p, nil
}

// PlanDestroy reads the world and lists everything that is to be deleted.
func (r *Reconciler) PlanDestroy(ctx context.Context) (*Plan, error) {
	w, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	return MakeDestroy(r.Config, w), nil
}

// grace is how long a call that is under way may take after a stop.
const grace = 15 * time.Second

// Apply does the steps of a plan, one after the other, and tells each outcome. What
// fails does not hold up the rest. When the context ends no further step is begun;
// the one under way comes to its end, so that its answer is not lost.
func (r *Reconciler) Apply(ctx context.Context, p *Plan, tell func(Outcome)) *Report {
	call, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()

	a := r.applier(p)
	report := &Report{}
	for i := range p.Steps {
		s := &p.Steps[i]
		if !s.changes() {
			continue
		}
		o := Outcome{Step: s}
		switch {
		case ctx.Err() != nil:
			o.Result, o.Note = NotTried, "stopped before"
			report.Stopped = true
		case p.Withheld != "" && s.Action == Delete && s.What != AboutRule:
			o.Result, o.Note = Withheld, "see guard"
		default:
			o = a.do(call, s)
		}
		if c := a.created[s.On]; s.What == AboutSession && c != nil && c.id == o.ID {
			c.outcome = len(report.Outcomes)
		}
		report.Outcomes = append(report.Outcomes, o)
		tell(o)
	}
	a.verify(call, report, tell)
	return report
}

// applier does the steps of one plan.
type applier struct {
	*Reconciler
	plan    *Plan
	dry     bool              // only ask whether it is allowed
	targets map[string]string // ids of targets that were created, by resource
	filter  string            // that was created
	created map[string]*creation
	load    map[string]int  // sessions at a target, by its id
	full    map[string]bool // targets that took no more, by resource
}

// creation is a session that was created, for verify.
type creation struct {
	step    *Step
	place   Place
	id      string
	outcome int // in Report.Outcomes
}

func (r *Reconciler) applier(p *Plan) *applier {
	return &applier{
		Reconciler: r, plan: p, targets: map[string]string{}, created: map[string]*creation{},
		load: maps.Clone(p.load), full: map[string]bool{},
	}
}

// do does a step.
func (a *applier) do(ctx context.Context, s *Step) Outcome {
	o := Outcome{Step: s, Result: Done}
	var err error
	switch s.What {
	case AboutTarget:
		err = a.target(ctx, s, &o)
	case AboutFilter:
		err = a.filters(ctx, s, &o)
	case AboutServices:
		err = a.services(ctx, s)
	case AboutRule:
		err = a.rule(ctx, s, &o)
	case AboutSession:
		err = a.session(ctx, s, &o)
	}
	if err == nil {
		return o
	}
	switch {
	case s.Action == Delete && notFound(err, ""):
		o.Result, o.Note = Gone, "it was deleted already"
	case errors.Is(err, errInterfaceGone):
		o.Result, o.Note = Gone, "the interface is gone since it was listed"
	default:
		o.Result, o.Note = Failed, explain(err)
	}
	return o
}

// errInterfaceGone ends a step whose interface is not there any more.
var errInterfaceGone = errors.New("the interface is gone")

// Permission says whether a change would be allowed.
type Permission struct {
	Action  string `json:"action"`
	Allowed string `json:"allowed"` // yes, no, unknown
	Note    string `json:"note,omitempty"`
}

// Check asks by dry runs whether the changes of a plan are allowed, one of each
// kind: nothing is changed.
func (r *Reconciler) Check(ctx context.Context, p *Plan) ([]Permission, error) {
	a := r.applier(p)
	a.dry = true
	seen := map[string]bool{}
	var all []Permission
	for i := range p.Steps {
		s := &p.Steps[i]
		name := string(s.Action) + " " + string(s.What)
		if !s.changes() || seen[name] {
			continue
		}
		seen[name] = true
		err := a.ask(ctx, s)
		perm := Permission{Action: name}
		switch code(err) {
		case codeWouldWork:
			perm.Allowed = "yes"
		case codeUnauthorized:
			perm.Allowed, perm.Note = "no", "'sensor mirror policy' prints what is needed"
		default:
			perm.Allowed = "unknown"
			if err != nil {
				perm.Note = explain(err)
			}
		}
		if err := ctx.Err(); err != nil {
			return all, err
		}
		all = append(all, perm)
	}
	return all, nil
}

// ask makes the call of a step as a dry run and gives its error.
func (a *applier) ask(ctx context.Context, s *Step) (err error) {
	var o Outcome
	switch s.What {
	case AboutTarget:
		return a.target(ctx, s, &o)
	case AboutFilter:
		return a.filters(ctx, s, &o)
	case AboutServices:
		return a.services(ctx, s)
	case AboutRule:
		return a.rule(ctx, s, &o)
	}
	return a.session(ctx, s, &o)
}

// Denied gives an error that names what is not allowed; nil: nothing is known to
// be.
func Denied(all []Permission) error {
	var errs []error
	for _, p := range all {
		if p.Allowed == "no" {
			errs = append(errs, fmt.Errorf("not allowed to %s: %s", p.Action, p.Note))
		}
	}
	return errors.Join(errs...)
}
