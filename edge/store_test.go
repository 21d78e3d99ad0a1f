package edge

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"unsafe"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/httpmeta"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
	"mirrorscope/tlsmeta/quic"
)

// anyTCP is a record with numbers of all sizes, most of them 0.
func anyTCP(r *rand.Rand) flow.Record {
	n := func() int64 {
		switch r.IntN(6) {
		case 0:
			return r.Int64N(1 << r.IntN(17))
		case 1:
			return r.Int64N(1 << r.IntN(62))
		}
		return 0
	}
	is := func() bool { return r.IntN(4) == 0 }
	volume := func() flow.Volume { return flow.Volume{Packets: n(), Bytes: n(), PayloadBytes: n()} }
	some := func() *histogram.Histogram {
		if is() {
			return nil
		}
		h := &histogram.Histogram{}
		for range r.IntN(5) {
			h.Add(r.Int64N(1 << r.IntN(40)))
		}
		return h
	}
	start := n() * (1 - 2*r.Int64N(2))
	x := record(uint16(r.IntN(9)), start, n())
	x.Point = packet.PointID(1 + n()%3)
	x.Outcome, x.ResetBy, x.ResetAfterFIN, x.RSTForeign = flow.Outcome(r.IntN(int(flow.NumOutcomes))), flow.Side(r.IntN(2)), is(), is()
	x.Unreachable.OK, x.Unreachable.By = is(), x.Ends[r.IntN(2)].Addr
	x.EndReason, x.Direction = flow.EndReason(r.IntN(6)), flow.DirectionSource(r.IntN(8))
	x.Sent = [2]flow.Volume{volume(), volume()}
	x.FINs = [2]int64{n(), n()}
	x.Handshake.State, x.Handshake.RTT = tcp.State(r.IntN(3)), n()-1
	if x.HasTCP = !is(); x.HasTCP {
		for i := range x.TCP.Sides {
			s := &x.TCP.Sides[i]
			s.Retransmits = tcp.Retransmits{State: tcp.State(r.IntN(4)), Packets: n(), Bytes: n()}
			s.Missed, s.Recorded, s.WindowFull, s.ZeroWindow.Time = n(), n(), n(), n()
		}
		x.TCP.Response = tcp.Response{State: tcp.State(r.IntN(4)), Turns: n(), Measured: n()}
	}
	if !is() {
		x.Phases = &session.Phases{
			TCP: n(), Prelude: n(), ClientIdle: n(), TLS: n(), Request: n(), Server: n(), Network: n(), Transfer: n(), Idle: n(), Close: n(), Unknown: n(), Overlap: is(),
		}
	}
	switch r.IntN(5) {
	case 0:
	case 1, 2:
		for range r.IntN(tcp.MaxSamples + 1) {
			what := [...]tcp.Timed{tcp.TimedRTT, tcp.TimedDelayed, tcp.TimedRTT + 2, tcp.TimedDelayed + 2, tcp.TimedThink}[r.IntN(5)]
			x.Samples.Add(what, r.Int64N(1<<r.IntN(33)))
		}
	default:
		x.Distributions = &tcp.Distributions{RTT: [2]*histogram.Histogram{some(), some()}, Delayed: [2]*histogram.Histogram{some(), some()}, Think: some()}
	}
	if r.IntN(3) == 0 {
		x.Ends[r.IntN(2)].Name = []string{"a", "b"}[r.IntN(2)]
	}
	return x
}

// anyTLS is a handshake that went in any way.
func anyTLS(r *rand.Rand) *session.TLS {
	ns := func() int64 {
		switch r.IntN(8) {
		case 0:
			return tcp.Absent
		case 1:
			return r.Int64N(1<<r.IntN(63)) - 2
		}
		return r.Int64N(1 << r.IntN(30))
	}
	t := &session.TLS{Info: tlsmeta.Info{
		Version: [...]uint16{0, 0x0303, 0x0304, uint16(r.IntN(1 << 16))}[r.IntN(4)], SNI: []string{"", "a.example", "a.example", "b.example"}[r.IntN(4)],
		Outcome: tlsmeta.Outcome(r.IntN(int(tlsmeta.NotTLS) + 1)), Resumed: r.IntN(3) == 0,
	}}
	if r.IntN(3) > 0 {
		t.Outcome = tlsmeta.Completed
	}
	if r.IntN(3) > 0 {
		t.JA4 = "t13d"
	}
	if r.IntN(3) == 0 {
		t.Alert = &tlsmeta.Alert{Client: r.IntN(2) == 0, Level: 2, Description: uint8(r.IntN(256))}
	}
	t.Handshake = session.Handshake{State: tcp.State(r.IntN(4)), Reasons: tcp.Midstream, Total: ns(), Perceived: ns(), Network: ns(), Server: ns(), Client: ns()}
	return t
}

// A packed handshake comes back as it was, whatever follows.
func TestHandshakePacked(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 15))
	for range 5000 {
		var want, got handshake
		want.of(&session.Report{TLS: anyTLS(r)})
		point, first := packet.PointID(r.IntN(300)), packet.PointID(r.IntN(300))
		packed := want.pack([]byte("before"), point, first)[len("before"):]
		at, rest := got.unpack(append(append(packed, "rest1234"...), make([]byte, mostSecure)...), first, want.name)
		if got != want || at != point || string(rest[:8]) != "rest1234" || len(rest) != 8+mostSecure {
			t.Fatalf("got %+v at %d, want %+v at %d; %q is left", got, at, want, point, rest)
		}
	}
}

// equal compares what conversations say, and not how much memory they have.
func equal(t *testing.T, what string, got, want *Conversation) {
	t.Helper()
	plain := func(v *Conversation) (c Conversation, times [6]histogram.Histogram, tls string) {
		c = *v
		if c.TLS != nil { // whose empty lists may have memory
			tls = fmt.Sprintf("%+v", *c.TLS)
		}
		c.TLS, c.spareTLS = nil, nil
		times[5] = *v.Handshake.Clone()
		if c.Times == nil {
			c.Times = new(Times)
		}
		for i, h := range c.Times.all() {
			times[i] = *h.Clone()
		}
		c.Times, c.Handshake = &Times{AtMost: c.Times.AtMost, Doubtful: c.Times.Doubtful}, histogram.Histogram{}
		return c, times, tls
	}
	a, x, k := plain(got)
	b, y, l := plain(want)
	if k != l {
		t.Errorf("%s: got TLS %s\nwant %s", what, k, l)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("%s:\ngot  %+v\nwant %+v", what, a, b)
	}
	if !reflect.DeepEqual(x, y) {
		t.Errorf("%s: got times %+v, want %+v", what, x, y)
	}
}

// modelTable keeps every conversation whole, in a slice.
type modelTable struct {
	limit   int
	all     []*Conversation
	other   Conversation
	missing int64
	until   int64
}

func (m *modelTable) add(r *flow.Record) {
	var c connection
	c.single(r)
	m.until = max(m.until, r.End)
	i := slices.IndexFunc(m.all, func(v *Conversation) bool { return v.Key == c.key })
	if i < 0 {
		if len(m.all) >= m.limit {
			m.halve()
		}
		i = len(m.all)
		m.all = append(m.all, &Conversation{Key: c.key})
	}
	m.all[i].add(&c)
}

func (m *modelTable) halve() {
	order := slices.Clone(m.all)
	slices.SortStableFunc(order, func(a, b *Conversation) int { return cmp.Compare(a.Bytes(), b.Bytes()) })
	leaving := order[:len(order)-m.limit/2]
	m.missing += leaving[len(leaving)-1].Bytes()
	m.all = slices.DeleteFunc(m.all, func(v *Conversation) bool {
		leaves := slices.Contains(leaving, v)
		if leaves {
			m.other.merge(v)
		}
		return leaves
	})
}

// A table says the same as one that packs nothing.
func TestTableModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 7))
		limit := 1 + r.IntN(40)
		tab, model := New(Config{Conversations: limit}), modelTable{limit: limit}
		keys := 1 + r.IntN(3*limit)
		for range 300 {
			x := anyTCP(r)
			x.Ends[flow.Server].Port = uint16(r.IntN(keys))
			switch r.IntN(30) {
			case 0, 1, 2, 3, 4, 5:
				x.TLS = anyTLS(r)
			case 6:
				x.QUIC = &session.QUIC{Handshake: quic.Handshake{Total: r.Int64N(1<<r.IntN(40)) - 1, Bounded: r.IntN(4) == 0, Ambiguous: r.IntN(4) == 0}}
				x.QUIC.Info.Info = anyTLS(r).Info
			case 7:
				x.HTTP = &httpmeta.Info{Requests: 3, Responses: 2, Aborted: 1}
			}
			tab.Add(&x)
			model.add(&x)
		}
		s := tab.Summary()
		if s.Len() != len(model.all) || s.Missing != model.missing {
			t.Fatalf("seed %d: %d conversations that lack %d octets, want %d and %d", seed, s.Len(), s.Missing, len(model.all), model.missing)
		}
		worst := map[Key]bool{}
		var used Conversation
		for i, want := range model.all {
			if want.Unanswered != nil {
				want.Unanswered.Until = model.until
			}
			equal(t, "a conversation", s.Conversation(i), want)
			equal(t, "a conversation where another was", s.expand(i, &used), want)
			if s.Bytes(i) != want.Bytes() {
				t.Errorf("%d octets, want %d", s.Bytes(i), want.Bytes())
			}
			if v := want.Verdict(); v.Who != Nobody || v.Weight > 0 || len(v.Also) > 0 {
				worst[want.Key] = true
			}
		}
		equal(t, "other", &s.Other, &model.other)
		w, more := s.Worst(1000)
		for _, x := range w {
			if !worst[x.Key] {
				t.Errorf("%+v: nothing stands out", x.Key)
			}
		}
		if more != 0 || len(w) != len(worst) {
			t.Errorf("seed %d: %d and %d stand out, want %d", seed, len(w), more, len(worst))
		}
		common := Common{}
		for _, v := range model.all {
			common.Points = common.Points || !slices.Equal(v.Points, model.all[0].Points) || len(v.Points) > 1
			common.Names = common.Names || v.Name() != ""
			common.TLS = common.TLS || v.TLS != nil
			common.Tried = common.Tried || v.Tried()
		}
		if got := s.Common(); got != common {
			t.Errorf("seed %d: in common %+v, want %+v", seed, got, common)
		}
		if t.Failed() {
			return
		}
	}
}

func TestNth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	for range 2000 {
		values := make([]int64, 1+r.IntN(50))
		for i := range values {
			values[i] = r.Int64N(1 << r.IntN(10))
		}
		sorted := slices.Sorted(slices.Values(values))
		k := r.IntN(len(values))
		less, _ := slices.BinarySearch(sorted, sorted[k])
		if got, smaller := nth(slices.Clone(values), k); got != sorted[k] || smaller != less {
			t.Fatalf("place %d of %v: %d, %d less", k, values, got, smaller)
		}
	}
}

// A few samples come back as they were, whatever follows, and say what their
// distributions would.
func TestFew(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 11))
	for range 3000 {
		x := anyTCP(r)
		var got, want Times
		y := x
		y.Samples = tcp.Samples{}
		if n := x.Samples.Len(); n > 0 {
			packed := packFew([]byte("before"), &x.Samples)[len("before"):]
			to := got.all()
			if rest := addFew(&to, append(append(packed, "rest1234"...), make([]byte, mostFew)...)); string(rest[:8]) != "rest1234" || len(rest) != 8+mostFew {
				t.Fatalf("%q is left", rest)
			}
			y.Distributions = new(tcp.Distributions)
			for i := range n {
				what, ns := x.Samples.At(i)
				d := y.Distributions
				h := [...]**histogram.Histogram{&d.RTT[0], &d.Delayed[0], &d.RTT[1], &d.Delayed[1], &d.Think}[what]
				if *h == nil {
					*h = new(histogram.Histogram)
				}
				(*h).Add(ns)
			}
			var s sample
			s.of(&y)
			want.add(&s)
			want.AtMost, want.Doubtful = false, false
			equal(t, "samples", &Conversation{Times: &got}, &Conversation{Times: &want})
		}
		var few, dists connection
		few.single(&x)
		dists.single(&y)
		if few.times.halves != dists.times.halves || few.times.empty() != dists.times.empty() || few.suspect() != dists.suspect() || few.times.slowest() != dists.times.slowest() {
			t.Fatalf("%+v\nsays other than\n%+v", few.times, dists.times)
		}
	}
}

// What a conversation of one or two plain connections takes, octets.
func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(entry{}); n > 80 {
		t.Errorf("an entry takes %d octets", n)
	}
	if n := unsafe.Sizeof(cell{}); n != 64 {
		t.Errorf("a cell takes %d octets", n)
	}
	tab, r := New(DefaultConfig()), plainTCP()
	for i := range 10_000 {
		for range 2 {
			client(&r, i)
			tab.Add(&r)
		}
	}
	x := &tab.summary.conversations
	each := int(unsafe.Sizeof(page{}))/pageLen + 64*x.cells.InUse()/x.n + 8*len(x.index.Slots)/x.n
	if t.Logf("%d octets", each); each > 400 || len(x.whole) > 0 {
		t.Errorf("a conversation of two connections takes %d octets", each)
	}
	if n := testing.AllocsPerRun(1000, func() { tab.Add(&r) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFirst(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for limit := range 30 {
		all := r.Perm(1000)
		f := first[int]{limit: limit, compare: func(a, b *int) int { return cmp.Compare(*a, *b) }}
		for _, v := range all {
			f.add(v)
		}
		slices.Sort(all)
		if limit > 0 {
			all = all[:limit]
		}
		if got := f.sorted(); !slices.Equal(got, all) {
			t.Fatalf("the first %d: %v", limit, got)
		}
	}
}

// The reckoned address of an entry is that of the entry.
func TestStoreAt(t *testing.T) {
	s := store{pages: []*page{new(page), new(page)}}
	for i := range 2 * pageLen {
		if s.at(i) != &s.pages[i/pageLen].entries[i%pageLen] {
			t.Fatalf("entry %d lies elsewhere", i)
		}
	}
}
