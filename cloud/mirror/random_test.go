package mirror

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"mirrorscope/internal/fakeec2"
)

// TestRandomOperations: whatever comes, goes and is changed by whomever, in any
// order and with anything going wrong, in the end the account is as desired, by
// rules that are written down here once more; and what others have is never
// touched on the way. MIRROR_SEED=N runs one seed.
func TestRandomOperations(t *testing.T) {
	seeds := uint64(2000)
	if testing.Short() || raced {
		seeds = 100
	}
	if one := os.Getenv("MIRROR_SEED"); one != "" {
		seed, err := strconv.ParseUint(one, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		newChaos(t, seed).run()
		return
	}
	var next, applied, withFaults atomic.Uint64
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for !t.Failed() {
				seed := next.Add(1)
				if seed > seeds {
					return
				}
				c := newChaos(t, seed)
				c.run()
				applied.Add(c.applied)
				withFaults.Add(c.faulty)
			}
		})
	}
	wg.Wait()
	t.Logf("%d seeds, %d runs, of which %d did not come to a good end", seeds, applied.Load(), withFaults.Load())
	if !t.Failed() && withFaults.Load() < seeds/10 {
		t.Error("hardly anything went wrong: the test tries less than it says")
	}
}

// chaos is a lab in which things happen.
type chaos struct {
	*lab
	*rand.Rand
	seed            uint64
	machines        int // that there ever were
	strangers       int // sessions of others that there ever were
	log             []string
	applied, faulty uint64
	bound           int // sources that the first sensor takes; 0: any number
}

func newChaos(t *testing.T, seed uint64) *chaos {
	c := &chaos{lab: newLab(t, 0), Rand: rand.New(rand.NewPCG(seed, 7)), seed: seed}
	c.config(func(cfg *Config) {
		cfg.Select.Instances = "env = prod and not role = db*"
		cfg.Guard.DeletePercent = 100
	})
	if c.IntN(4) == 0 {
		c.bound = 1 + c.IntN(4)
		c.fake.With(func(s *fakeec2.State) {
			s.Types["small"] = fakeec2.InstanceType{Sources: c.bound}
			s.Instances[machine(1<<40)].Type = "small"
		})
	}
	c.fake.With(func(s *fakeec2.State) {
		if c.IntN(4) == 0 {
			s.Lag = 1 + c.IntN(6)
		}
		s.AddFilter(fakeec2.Filter{ID: "tmf-f0f0f0f0"})
		s.AddTarget(fakeec2.Target{ID: "tmt-f0f0f0f0", Balancer: "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/net/theirs/1"})
	})
	return c
}

func (c *chaos) fatalf(format string, args ...any) {
	c.t.Errorf("seed %d: %s\nafter: %q", c.seed, fmt.Sprintf(format, args...), c.log)
	runtime.Goexit()
}

func (c *chaos) run() {
	for range 4 + c.IntN(5) {
		for range 1 + c.IntN(5) {
			c.happen()
		}
		if c.IntN(4) == 0 {
			c.log = append(c.log, "restart")
			c.restart()
		}
		c.tryApply(c.IntN(2) == 0)
	}
	// In the end everything is listed.
	c.fake.With(func(s *fakeec2.State) { s.ListAll() })
	c.now = c.now.Add(2 * listedWithin)
	for range 6 {
		if c.tryApply(false); c.done() {
			c.check()
			return
		}
		c.now = c.now.Add(2 * maxPatience)
	}
	c.fatalf("it does not come to an end:\n%s", planText(c.plan()))
}

func (c *chaos) done() bool {
	p, err := c.r.Plan(context.Background(), false)
	if err != nil {
		c.fatalf("%v", err)
	}
	return p.Differences() == 0
}

// some gives one of a map's keys.
func some[V any](c *chaos, m map[string]V) (string, bool) {
	keys := slices.Sorted(maps.Keys(m))
	if len(keys) == 0 {
		return "", false
	}
	return keys[c.IntN(len(keys))], true
}

// someMachine gives one that is no sensor.
func (c *chaos) someMachine(s *fakeec2.State) *fakeec2.Instance {
	id, ok := some(c, s.Instances)
	if !ok || id >= machine(1<<40) {
		return nil
	}
	return s.Instances[id]
}

func (c *chaos) tags() fakeec2.Tags {
	tags := fakeec2.Tags{}
	if c.IntN(4) > 0 {
		tags["env"] = []string{"prod", "prod", "prod", "dev"}[c.IntN(4)]
	}
	if c.IntN(2) > 0 {
		tags["role"] = []string{"web", "db-1"}[c.IntN(2)]
	}
	return tags
}

// happen lets one thing happen.
func (c *chaos) happen() {
	c.fake.With(func(s *fakeec2.State) {
		switch what := c.IntN(20); what {
		case 0, 1, 2, 3:
			c.machines++
			c.note("machine %d comes", c.machines)
			addMachine(s, c.machines, c.tags())
		case 4:
			if i := c.someMachine(s); i != nil {
				c.note("%s goes", i.ID)
				s.DeleteInstance(i.ID)
			}
		case 5, 6:
			if i := c.someMachine(s); i != nil {
				i.Tags = c.tags()
				c.note("%s is tagged %v", i.ID, i.Tags)
			}
		case 7:
			if i := c.someMachine(s); i != nil {
				i.State = []string{"", "stopped", "pending"}[c.IntN(3)]
				c.note("%s is %q", i.ID, i.State)
			}
		case 8:
			if i := c.someMachine(s); i != nil {
				c.machines++
				c.note("%s gets interface %d", i.ID, c.machines)
				s.AddInterface(fakeec2.Interface{ID: nic(c.machines), Instance: i.ID, IP: "10.7.7.7", VPC: vpc(c.IntN(2))})
			}
		case 9:
			if id, ok := some(c, s.Interfaces); ok && id < sensor(0) {
				c.note("%s goes", id)
				s.DeleteInterface(id)
			}
		case 10, 11, 12:
			c.strange(s)
		case 13, 14:
			c.tamper(s, c.IntN(6))
		case 15:
			c.tamperFilter(s)
		}
	})
	if c.IntN(12) == 0 {
		c.reconsider()
	}
}

func (c *chaos) note(format string, args ...any) { c.log = append(c.log, fmt.Sprintf(format, args...)) }

// strange lets others do something with sessions of theirs.
func (c *chaos) strange(s *fakeec2.State) {
	theirs := map[string]bool{}
	for id, m := range s.Sessions {
		if !c.c.owned(m.Tags) {
			theirs[id] = true
		}
	}
	free := func(on string, n int) bool {
		return !slices.ContainsFunc(s.SessionsOf(on), func(m *fakeec2.Session) bool { return m.Number == n })
	}
	switch id, ok := some(c, theirs); {
	case ok && c.IntN(3) == 0:
		c.note("%s of others goes", id)
		delete(s.Sessions, id)
	case ok && c.IntN(2) == 0:
		if n := 8 + c.IntN(5); free(s.Sessions[id].Interface, n) {
			c.note("%s of others gets number %d", id, n)
			s.Sessions[id].Number = n
		}
	default:
		on, ok := some(c, s.Interfaces)
		n := 8 + c.IntN(5)
		if !ok || on >= sensor(0) || len(s.SessionsOf(on)) == sessionsPerInterface || !free(on, n) {
			return
		}
		c.strangers++
		m := fakeec2.Session{ID: fmt.Sprintf("tms-f%07d", c.strangers), Interface: on, Target: "tmt-f0f0f0f0", Filter: "tmf-f0f0f0f0", Number: n}
		if c.IntN(4) == 0 {
			m.Tags = fakeec2.Tags{TagManagedBy: ManagedBy, TagState: "another"}
		}
		if c.IntN(5) == 0 && c.bound == 0 {
			m.Target = target(c.IntN(2))
		}
		c.note("%s of others comes: number %d on %s to %s", m.ID, n, on, m.Target)
		s.AddSession(m)
	}
}

// tamper lets others do something with a session of ours.
func (c *chaos) tamper(s *fakeec2.State, what int) {
	ours := map[string]bool{}
	for id, m := range s.Sessions {
		if c.c.owned(m.Tags) {
			ours[id] = true
		}
	}
	id, ok := some(c, ours)
	if !ok {
		return
	}
	m := s.Sessions[id]
	switch what {
	case loseTag:
		delete(m.Tags, []string{TagManagedBy, TagState}[c.IntN(2)]) // not ours any more
		c.note("ours %s loses a tag", id)
	case 1:
		delete(s.Sessions, id)
		c.note("ours %s is deleted", id)
	case 2:
		m.VNI, m.PacketLength = c.IntN(maxVNI), 300
		c.note("ours %s gets VNI %d", id, m.VNI)
	case 3:
		m.Filter, m.Target = "tmf-f0f0f0f0", "tmt-f0f0f0f0"
		c.note("ours %s goes elsewhere", id)
	case 4:
		if n := 20 + c.IntN(9); !slices.ContainsFunc(s.SessionsOf(m.Interface), func(o *fakeec2.Session) bool { return o.Number == n }) {
			m.Number = n
			c.note("ours %s gets number %d", id, n)
		}
	case 5: // a twin of ours, by hand
		if all := s.SessionsOf(m.Interface); len(all) < sessionsPerInterface && all[len(all)-1].Number < 50 && c.bound == 0 {
			twin := *m
			twin.ID, twin.Number, twin.Tags = s.NewID("tms"), 50, maps.Clone(m.Tags)
			s.AddSession(twin)
			c.note("ours %s gets a twin %s", id, twin.ID)
		}
	}
}

// loseTag is the first way to tamper.
const loseTag = 0

func (c *chaos) tamperFilter(s *fakeec2.State) {
	for _, id := range slices.Sorted(maps.Keys(s.Filters)) {
		f := s.Filters[id]
		if !c.c.owned(f.Tags) {
			continue
		}
		switch {
		case c.IntN(3) == 0:
			f.Services = nil
		case len(f.Rules) > 0 && c.IntN(2) == 0:
			f.Rules = f.Rules[1:]
		case len(f.Rules) > 0:
			f.Rules[0].Source, f.Rules[0].Destination = "10.0.0.0/8", "10.0.0.0/8"
		}
		c.note("our filter %s is changed", id)
	}
}

// reconsider changes the desired state.
func (c *chaos) reconsider() {
	c.config(func(cfg *Config) {
		switch c.IntN(5) {
		case 0:
			cfg.Session.PacketLength = []int{0, 128, 9001}[c.IntN(3)]
		case 1:
			cfg.VNI.Scheme = []string{VNIInterface, VNIVPC, VNIFixed}[c.IntN(3)]
		case 2:
			cfg.Targets = []Target{{ID: target(0)}, {ID: target(1)}}[c.IntN(2):]
		case 3:
			cfg.Filter.Rules = [][]Rule{{}, {{Protocol: "tcp"}}, {{Source: "::/0", Destination: "::/0"}, {Action: "reject"}}}[c.IntN(3)]
		case 4:
			cfg.Filter.AmazonDNS = !cfg.Filter.AmazonDNS
		}
	})
	c.note("desired: length %d, VNI %s, %d targets, rules %v", c.c.Session.PacketLength, c.c.VNI.Scheme, len(c.c.Targets), c.c.Filter.Rules)
}

// tryApply runs once, perhaps with everything going wrong, and looks whether what
// others have is as it was.
func (c *chaos) tryApply(wrong bool) {
	before := c.others()
	ctx, crash := context.WithCancel(context.Background())
	defer crash()
	if wrong {
		c.goWrong(&before, crash)
	}
	p, err := c.r.Plan(ctx, false)
	good := err == nil
	if good {
		good = c.r.Apply(ctx, p, func(Outcome) {}).OK()
	}
	c.fake.Heal()
	c.fake.Hook = nil
	c.applied++
	if !good {
		c.faulty++
		c.note("a run fails (%v)", err)
	} else {
		c.note("a run")
	}
	if after := c.others(); !maps.Equal(before, after) {
		c.fatalf("what others have was changed:\n%v\n%v", before, after)
	}
}

// goWrong has calls of the next run fail, and things happen in the middle of it.
func (c *chaos) goWrong(before *map[string]string, crash func()) {
	for range 1 + c.IntN(3) {
		f := fakeec2.Fault{Nth: 1 + c.IntN(8), Times: 1 + c.IntN(3), When: (*fakeec2.Call).Mutates}
		switch c.IntN(5) {
		case 0:
			f.Error = fakeec2.Throttled()
		case 1:
			f.Error = fakeec2.Throttled()
			f.Times = 100 // longer than anybody waits
		case 2:
			f.Committed = true
		case 3:
			f.Committed, f.Lost = true, true
		case 4:
			f.When, f.Nth = nil, 1+c.IntN(12) // reads too
		}
		c.fake.Fail(f)
	}
	at, what, calls := 1+c.IntN(15), c.IntN(4), 0
	c.fake.Hook = func(call *fakeec2.Call) {
		if calls++; calls != at {
			return
		}
		switch what {
		case 0:
			c.note("a crash at call %d", at)
			crash()
		case 1, 2:
			c.note("in the middle, at call %d:", at)
			c.fake.With(func(s *fakeec2.State) {
				if id, ok := some(c, s.Interfaces); ok && id < sensor(0) {
					c.note("%s goes", id)
					s.DeleteInterface(id)
				}
				if what == 2 {
					// Tags that go between the list and the call nobody can see but
					// AWS, which is told to look by the policy.
					c.tamper(s, loseTag+1+c.IntN(5))
				}
			})
			*before = c.others()
		}
	}
}

// check compares what is there with the desired state, by rules of its own.
func (c *chaos) check() {
	var problems []string
	bad := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	ours := c.ours()
	filter := c.checkFilter(bad)
	vnis := map[int]string{}
	seats := map[string]int{}
	c.fake.With(func(s *fakeec2.State) {
		for _, m := range s.Sessions {
			seats[m.Target]++
		}
		for _, id := range slices.Sorted(maps.Keys(s.Interfaces)) {
			n := s.Interfaces[id]
			m, has := ours[id]
			var others []*fakeec2.Session
			toUs := false
			for _, o := range s.SessionsOf(id) {
				if !c.c.owned(o.Tags) {
					others = append(others, o)
					toUs = toUs || slices.ContainsFunc(c.c.Targets, func(t Target) bool { return t.ID == o.Target })
				}
			}
			i := s.Instances[n.Instance]
			meant := i != nil && id < sensor(0) && i.State != "stopped" && i.Tags["env"] == "prod" && i.Tags["role"] != "db-1"
			switch {
			case !meant && has:
				bad("%s has %s, and is not meant", id, m.ID)
			case !meant:
				continue
			case !has && (len(others) == sessionsPerInterface || toUs):
				continue
			case !has && c.bound > 0:
				continue // below: whether there was room
			case !has:
				bad("%s has no session", id)
				continue
			}
			c.checkSession(bad, &m, others, n, filter)
			if on, twice := vnis[m.VNI]; twice && c.c.VNI.Scheme == VNIInterface {
				bad("%s and %s have VNI %d", on, id, m.VNI)
			}
			vnis[m.VNI] = id
			if c.bound == 0 && m.Target != c.best(id) {
				bad("%s goes to %s, not to %s", id, m.Target, c.best(id))
			}
		}
		// With a bound everybody has a place unless there is none.
		room := len(c.c.Targets) == 2 || c.c.Targets[0].ID == target(1) || seats[target(0)] < c.bound
		if c.bound > 0 && room {
			for id, n := range s.Interfaces {
				i := s.Instances[n.Instance]
				if _, has := ours[id]; !has && id < sensor(0) && i != nil && i.State != "stopped" && i.Tags["env"] == "prod" && i.Tags["role"] != "db-1" &&
					!slices.ContainsFunc(s.SessionsOf(id), func(o *fakeec2.Session) bool { return o.Target == target(0) || o.Target == target(1) }) && len(s.SessionsOf(id)) < sessionsPerInterface {
					bad("%s has no session though there is room", id)
				}
			}
		}
	})
	if problems != nil {
		c.fatalf("%q\n%s", problems, planText(c.plan()))
	}
}

// best is the target that a source belongs to.
func (c *chaos) best(nic string) string {
	best, most := "", uint64(0)
	for _, t := range c.c.Targets {
		resource := map[string]string{target(0): sensor(0), target(1): sensor(1)}[t.ID]
		if h := hash("place", resource, nic); h >= most {
			best, most = t.ID, h
		}
	}
	return best
}

func (c *chaos) checkSession(bad func(string, ...any), m *fakeec2.Session, others []*fakeec2.Session, n *fakeec2.Interface, filter string) {
	want := 10
	for slices.ContainsFunc(others, func(o *fakeec2.Session) bool { return o.Number == want }) {
		want++
	}
	if m.Number != want {
		bad("%s has number %d, want %d", n.ID, m.Number, want)
	}
	if m.Filter != filter || m.PacketLength != c.c.Session.PacketLength {
		bad("%s has filter %s, length %d, want %s, %d", n.ID, m.Filter, m.PacketLength, filter, c.c.Session.PacketLength)
	}
	if !slices.ContainsFunc(c.c.Targets, func(t Target) bool { return t.ID == m.Target }) {
		bad("%s goes to %s", n.ID, m.Target)
	}
	if fixed := c.c.VNI.Scheme == VNIFixed; fixed && m.VNI != c.c.VNI.Fixed || !fixed && (m.VNI < 1 || m.VNI > maxVNI) {
		bad("%s has VNI %d", n.ID, m.VNI)
	}
}

// checkFilter looks at the one filter of ours.
func (c *chaos) checkFilter(bad func(string, ...any)) (id string) {
	want, err := c.c.Filter.rules()
	if err != nil {
		c.fatalf("%v", err)
	}
	texts := map[string]bool{}
	for i := range want {
		texts[want[i].place()+want[i].String()] = true
	}
	c.fake.With(func(s *fakeec2.State) {
		for _, f := range s.Filters {
			if !c.c.owned(f.Tags) {
				continue
			}
			if id != "" {
				bad("filters %s and %s", id, f.ID)
			}
			id = f.ID
			if len(f.Rules) != len(want) || (len(f.Services) == 1) != c.c.Filter.AmazonDNS {
				bad("filter %+v, want %d rules", f, len(want))
			}
			for _, r := range f.Rules {
				got := FilterRule{Direction: r.Direction, Number: r.Number, Action: r.Action, Protocol: r.Protocol, Source: r.Source, Destination: r.Destination}
				if r.DestinationPorts != nil {
					got.DestinationPorts = &PortRange{r.DestinationPorts.From, r.DestinationPorts.To}
				}
				if !texts[got.place()+got.String()] {
					bad("rule %s %s", got.place(), got.String())
				}
			}
		}
	})
	return id
}
