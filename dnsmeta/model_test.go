package dnsmeta

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// model is a slow plain Conn of DNS over UDP: it keeps all queries for ever and
// looks at each of them again and again.
type model struct {
	info    Info
	queries []*asked
}

type asked struct {
	client           bool
	id               uint16
	name             string
	typ              uint16
	at               int64
	sends, answers   int
	blurred, expired bool
	forgotten        bool
}

// names gives the entry of a name, and whether it is new.
func (m *model) counts(name string, typ uint16) (of []*Counts, n *Name) {
	of = append(of, &m.info.Counts)
	for k := range m.info.Names {
		if e := &m.info.Names[k]; e.Name == name && e.Type == typ {
			return append(of, &e.Counts), e
		}
	}
	if len(m.info.Names) < MaxNames {
		m.info.Names = append(m.info.Names, Name{Name: name, Type: typ})
		e := &m.info.Names[len(m.info.Names)-1]
		return append(of, &e.Counts), e
	}
	return append(of, &m.info.Other), nil
}

func (m *model) advance(now int64) {
	for _, q := range m.queries {
		if age := now - q.at; !q.forgotten && age > 5*s {
			if q.answers == 0 && !q.expired {
				q.expired = true
				all, _ := m.counts(q.name, q.typ)
				for _, c := range all {
					c.Timeouts++
				}
			}
			q.forgotten = !q.expired || age > 30*s
		}
	}
}

// open lists the queries that wait, remembered counts those that may get a
// response.
func (m *model) open() (all []*asked) {
	for _, q := range m.queries {
		if !q.forgotten && !q.expired && q.answers == 0 {
			all = append(all, q)
		}
	}
	return all
}

func (m *model) remembered() (n int) {
	for _, q := range m.queries {
		if !q.forgotten {
			n++
		}
	}
	return n
}

func (m *model) find(client bool, id uint16, name string, typ uint16) *asked {
	for _, q := range m.queries {
		if !q.forgotten && q.client == client && q.id == id && q.name == name && q.typ == typ {
			return q
		}
	}
	return nil
}

func (m *model) query(client bool, id uint16, name string, typ uint16, at int64) {
	m.advance(at)
	q := m.find(client, id, name, typ)
	all, _ := m.counts(name, typ)
	for _, c := range all {
		c.Queries++
		if q != nil && q.answers == 0 {
			c.Repeats++
		}
	}
	switch {
	case q == nil:
		if m.remembered() == maxWaiting {
			m.drop()
		}
		m.queries = append(m.queries, &asked{client: client, id: id, name: name, typ: typ, at: at, sends: 1})
	case q.answers == 0:
		q.sends++
	default:
		*q = asked{client: client, id: id, name: name, typ: typ, at: at, sends: 1, blurred: true}
	}
}

// drop forgets the oldest that has been told, or the oldest.
func (m *model) drop() {
	var oldest *asked
	for _, q := range m.queries {
		if q.forgotten {
			continue
		}
		if q.expired || q.answers > 0 {
			q.forgotten = true
			return
		}
		if oldest == nil {
			oldest = q
		}
	}
	oldest.forgotten = true
	m.info.Dropped++
}

func (m *model) response(client bool, id uint16, name string, typ uint16, rcode int, truncated bool, at int64) {
	m.advance(at)
	m.info.RCodes[min(rcode, 23)]++
	q := m.find(!client, id, name, typ)
	switch {
	case q == nil:
		m.info.Unsolicited++
		return
	case q.answers > 0:
		m.info.Duplicates++
	default:
		all, n := m.counts(name, typ)
		for _, c := range all {
			c.Responses++
			switch rcode {
			case 0:
			case 2:
				c.SERVFAIL++
			case 3:
				c.NXDOMAIN++
			default:
				c.OtherErr++
			}
			if truncated {
				c.Truncated++
			}
		}
		if q.expired {
			m.info.Late++
		}
		if q.sends == 1 && !q.blurred && at >= q.at {
			m.info.Time.Add(at - q.at)
			if n != nil {
				n.Time.Add(at - q.at)
			}
		}
	}
	if q.answers++; q.answers >= q.sends {
		q.forgotten = true
	}
}

func (m *model) end(now int64) {
	m.advance(now)
	m.info.Unanswerable += int64(len(m.open()))
}

// TestModel runs random conversations, with time that now and then goes back,
// and takes what was told at any moment, in each of the two ways.
func TestModel(t *testing.T) {
	st := newStore() // whose Conns use memory again
	for seed := range uint64(1500) {
		r := rand.New(rand.NewPCG(seed, 1))
		names := 1 + r.IntN([...]int{2, 4, 100}[r.IntN(3)])
		ids := 1 + r.IntN([...]int{2, 5, 400}[r.IntN(3)])
		pace := [...]int64{ms, 100 * ms, s}[r.IntN(3)]
		steps := 1 + r.IntN([...]int{4, 12, 900}[r.IntN(3)])
		answered := r.IntN(11)
		var m model
		c := new(Conn)
		c.Init(st, DNS, client, server)
		var sum Info
		at := epoch
		for range steps {
			at += r.Int64N(2*pace) - pace/8
			name, id, typ, dir := fmt.Sprintf("n%d", r.IntN(names)), uint16(r.IntN(ids)), [...]uint16{1, 28}[r.IntN(2)], r.IntN(20) > 0
			if len(m.queries) > 0 && r.IntN(3) > 0 { // of a recent query
				q := m.queries[len(m.queries)-1-r.IntN(min(len(m.queries), 3))]
				name, id, typ = q.name, q.id, q.typ
			}
			switch what := r.IntN(14); {
			case what == 0:
				c.Advance(at)
				m.advance(at)
			case what == 1:
				c.TakeInfo(&sum)
			case what == 2:
				sum.Merge(c.Info())
				c.Info().Reset()
			case what == 3:
				c.Datagram(true, []byte{1, 2}, false, at)
				m.advance(at)
				m.info.Malformed++
			case what < 4+answered:
				code, tr := [...]int{0, 0, 0, 2, 3, 5, 16, 30}[r.IntN(8)], r.IntN(9) == 0
				e := []edit{rcode(dnsmessage.RCode(code & 15))}
				if code > 15 {
					e = append(e, additionals(opt(dnsmessage.RCode(code))))
				}
				if tr {
					e = append(e, isTruncated)
				}
				c.Datagram(!dir, tell(id, name+".", dnsmessage.Type(typ), e...), false, at)
				m.response(!dir, id, name, typ, code, tr, at)
			default:
				c.Datagram(dir, ask(id, name+".", dnsmessage.Type(typ)), false, at)
				m.query(dir, id, name, typ, at)
			}
		}
		at += r.Int64N(8 * s)
		before := len(m.open())
		c.Advance(at)
		m.advance(at)
		if want := len(m.open()) > 0; c.Pending() != want {
			t.Fatalf("seed %d: Pending is %v, %d open of %d", seed, !want, len(m.open()), before)
		}
		c.End(at)
		m.end(at)
		c.TakeInfo(&sum)
		sound(t, &sum)
		for k := range m.info.Names {
			shrink(&m.info.Names[k].Time, maxNameBuckets)
		}
		if a, b := plain(&sum), plain(&m.info); !reflect.DeepEqual(a, b) {
			t.Fatalf("seed %d: %d steps\ngot  %v\nwant %v", seed, steps, a, b)
		}
		c.Release()
		if used := st.budget.Used(); used != 0 {
			t.Fatalf("seed %d: %d octets in use after Release", seed, used)
		}
	}
}

// plain is all that an Info says, by name where intervals may have brought the
// names in another order or into Other.
func plain(i *Info) map[string]any {
	all := map[string]any{"sums": sums(i), "rcodes": i.RCodes, "quantiles": quantiles(i)}
	if len(i.Names) == MaxNames {
		return all // what is in Other depends on when Info was taken
	}
	for k := range i.Names {
		n := &i.Names[k]
		all[fmt.Sprint(n.Name, "/", n.Type)] = []any{n.Counts, n.Time.Count(), n.Time.Sum(), n.Time.Min(), n.Time.Max()}
	}
	return all
}

func quantiles(i *Info) (q [3]float64) {
	for k, share := range [...]float64{0, 0.5, 1} {
		q[k], _ = i.Time.Quantile(share)
	}
	return q
}
