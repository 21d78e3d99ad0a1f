package mirror

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Watcher keeps an account as a desired state says. It belongs to one goroutine.
type Watcher struct {
	*Reconciler
	Log    *slog.Logger
	Random func() float64 // from 0 up to 1

	allowed bool              // nothing that was asked for was denied
	told    map[string]string // what was logged and still holds, by what it is about
}

// NewWatcher gives one that logs to log.
func NewWatcher(r *Reconciler, log *slog.Logger) *Watcher {
	return &Watcher{Reconciler: r, Log: log, Random: rand.Float64, told: map[string]string{}}
}

// Run compares and applies at once, and then each period, until the context ends;
// the change that is under way then comes to its end. Nothing that goes wrong ends
// it: that is logged, and tried again.
func (w *Watcher) Run(ctx context.Context) {
	w.Log.Info("watching mirror sessions", "state", w.Config.Name, "region", w.Region, "period", time.Duration(w.Config.Watch.Period))
	for {
		w.pass(ctx)
		if w.Sleep(ctx, w.pause()) != nil || ctx.Err() != nil {
			w.Log.Info("stopped watching mirror sessions; they stay as they are", "state", w.Config.Name)
			return
		}
	}
}

// pause is the time to the next pass.
func (w *Watcher) pause() time.Duration {
	period := float64(w.Config.Watch.Period)
	share := float64(w.Config.Watch.Jitter) / 100
	return time.Duration(period * (1 + share*(2*w.Random()-1)))
}

// pass compares once and does what is missing.
func (w *Watcher) pass(ctx context.Context) {
	p, err := w.Plan(ctx, false)
	if err != nil {
		if ctx.Err() == nil {
			w.once("compare", explain(err), func() { w.Log.Error("cannot compare; sessions stay as they are", "error", err) })
		}
		return
	}
	w.cured("compare", "compares again")
	w.tellPlan(p)
	if p.Differences() == 0 || !w.permitted(ctx, p) {
		return
	}
	report := w.Apply(ctx, p, w.tellOutcome)
	if report.Count(Withheld) == len(report.Outcomes) {
		return // the warning of the guard has told it
	}
	w.Log.Info("applied", "state", p.State, "done", report.Count(Done), "gone", report.Count(Gone), "failed", report.Count(Failed), "withheld", report.Count(Withheld), "not_tried", report.Count(NotTried))
}

// permitted asks by dry runs, until all was allowed once.
func (w *Watcher) permitted(ctx context.Context, p *Plan) bool {
	if w.allowed {
		return true
	}
	perms, err := w.Check(ctx, p)
	if err != nil {
		return false // the context ended
	}
	if err := Denied(perms); err != nil {
		w.once("permission", err.Error(), func() { w.Log.Error("not allowed; nothing is changed", "error", err) })
		return false
	}
	w.cured("permission", "allowed now")
	w.allowed = true
	return true
}

// once logs what is new or has changed.
func (w *Watcher) once(about, text string, log func()) {
	if w.told[about] != text {
		w.told[about] = text
		log()
	}
}

func (w *Watcher) cured(about, message string) {
	if _, was := w.told[about]; was {
		delete(w.told, about)
		w.Log.Info(message)
	}
}

// tellPlan logs warnings, and which interfaces became blind, or are no more.
func (w *Watcher) tellPlan(p *Plan) {
	now := map[string]bool{"compare": true, "permission": true}
	for _, warning := range p.Warnings {
		key := "warning " + warning.About + " " + warning.Text
		now[key] = true
		w.once(key, warning.Text, func() { w.Log.Warn(warning.Text, "about", warning.About) })
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Action != NoWay {
			continue
		}
		key := "blind " + s.On
		now[key] = true
		w.once(key, string(s.Blind), func() {
			w.Log.Warn("selected, and not mirrored", "interface", s.On, "instance", s.Instance, "name", s.Name, "why", s.Blind, "reason", s.Reason)
		})
	}
	for key := range w.told {
		if !now[key] {
			delete(w.told, key)
		}
	}
}

func (w *Watcher) tellOutcome(o Outcome) {
	s := o.Step
	args := []any{"action", s.Action, "what", s.What, "on", s.On}
	add := func(key, value string) {
		if value != "" {
			args = append(args, key, value)
		}
	}
	add("id", orElse(o.ID, s.ID))
	add("instance", s.Instance)
	add("name", s.Name)
	for _, c := range s.Changes {
		add(c.Field, c.From+" → "+c.To)
	}
	add("reason", s.Reason)
	add("note", o.Note)
	switch o.Result {
	case Failed:
		w.Log.Error("not done", args...)
	case Withheld: // the warning of the guard tells it once
	case NotTried:
		w.Log.Warn(string(o.Result), args...)
	default:
		w.Log.Info(string(o.Result), args...)
	}
}
