package group

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/edge"
	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/path"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// groupings are those of the laws.
var groupings = [][]string{
	{"client.team", "server.team"},
	{"client.ip", "server.ip", "server.port", "protocol"},
	{"client.service", "server.service", "network"},
	{"observation_point", "ip_version"},
	{"sni", "tls_version"},
}

// account is what connections come to, field by field, as their records say.
type account map[string]int64

func (a account) add(o account) {
	for k, n := range o {
		a[k] += n
	}
}

// ofSide reads a side of a record, without a look at how the table does.
func ofSide(a account, r *flow.Record, side flow.Side) {
	x := &r.TCP.Sides[side]
	m := &x.Retransmits
	for name, n := range map[string]int64{
		"packets": r.Sent[side].Packets, "bytes": r.Sent[side].Bytes, "payload": r.Sent[side].PayloadBytes,
		"ce": r.CE[side], "resets": r.Resets[side], "fins": r.FINs[side],
		"recorded": x.Recorded, "missed": x.Missed, "repeats": m.Packets, "segments": m.Segments, "repeated": m.Bytes,
		"spurious": m.SpuriousPackets, "spurious bytes": m.SpuriousBytes, "before": m.LostBefore, "after": m.LostAfter, "unlocated": m.Unlocated,
		"inferred": m.Inferred, "dsack": m.DSACKUnmatched, "ooo": x.OutOfOrder.Packets, "netdups": x.NetworkDuplicates, "keepalives": x.KeepAlives,
		"zero": x.ZeroWindow.Episodes, "zero ns": x.ZeroWindow.Time, "probes": x.ZeroWindow.Probes, "full": x.WindowFull,
		"clean": x.RTT.Clean, "maybe": x.RTT.Maybe,
	} {
		a[side.String()+" "+name] += n
	}
	for c, n := range m.ByClass {
		a[side.String()+" "+tcp.Class(c).String()] += n
	}
}

// rowAccount reads the same of a row.
func rowAccount(r *Row) account {
	a := account{}
	for _, side := range [...]flow.Side{flow.Client, flow.Server} {
		for name, c := range map[string]SideCount{
			"packets": Packets, "bytes": Bytes, "payload": Payload, "ce": CE, "resets": Resets, "fins": FINs, "recorded": Recorded, "missed": Missed,
			"repeats": Repeats, "segments": RepeatSegments, "repeated": RepeatBytes, "spurious": SpuriousPackets, "spurious bytes": SpuriousBytes,
			"before": LostBefore, "after": LostAfter, "unlocated": Unlocated, "inferred": Inferred, "dsack": DSACKUnmatched, "ooo": OutOfOrder,
			"netdups": NetworkDuplicates, "keepalives": KeepAlives, "zero": ZeroWindowEpisodes, "zero ns": ZeroWindowTime, "probes": ZeroWindowProbes,
			"full": WindowFull, "clean": RTTSamples, "maybe": RTTDelayed,
		} {
			a[side.String()+" "+name] += r.Side(side, c)
		}
		for c := range tcp.NumClasses {
			a[side.String()+" "+c.String()] += r.Class(side, c)
		}
	}
	for name, c := range map[string]Count{
		"copies": MirrorDuplicates, "cut": TruncatedPackets, "fragments": FragmentsIncomplete, "malformed": MalformedPackets, "stray": StrayPackets,
		"http": HTTPRequests, "4xx": HTTPClient, "5xx": HTTPServer, "grpc": HTTPGRPC, "queries": DNSQueries, "nxdomain": DNSNXDomain,
		"servfail": DNSServFail, "dns timeouts": DNSTimeouts,
	} {
		a[name] += r.Count(c)
	}
	a["http unanswered"] += r.Count(HTTPAborted) + r.Count(HTTPUnknown)
	a["begun"] += r.Count(Opened) + r.Count(Midstream)
	a["ended"] += r.Ended
	for o, n := range r.Outcomes() {
		a["outcome "+flow.Outcome(o).String()] += n
	}
	a["handshakes"] += int64(count(r, Handshake))
	return a
}

func count(r *Row, t Times) uint64 {
	if h := r.Times(t); h != nil {
		return h.Count()
	}
	return 0
}

// talkOf reads what the ends said.
func talkOf(a account, r *flow.Record) {
	if i := r.HTTP; i != nil {
		a["http"] += i.Requests
		a["4xx"] += i.Status[4]
		a["5xx"] += i.Status[5]
		a["grpc"] += i.GRPCError
		a["http unanswered"] += i.Aborted + i.Missed
	}
	if i := r.DNS; i != nil {
		a["queries"] += i.Queries - i.Repeats
		a["nxdomain"] += i.NXDOMAIN
		a["servfail"] += i.SERVFAIL
		a["dns timeouts"] += i.Timeouts
	}
}

// reference sums the connection records of an input by values of keys: of one point
// all that they say, of several the sides as their path says.
func reference(t testing.TB, x *input, keys ...string) map[string]account {
	t.Helper()
	parsed, err := ParseKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	tags := tagsOf(x.names)
	value := func(r *flow.Record, all ...*flow.Record) string {
		sni, version := "", ""
		for _, o := range append(all, r) {
			if i, _ := edge.Hello(&o.Report); i != nil {
				sni = cmp.Or(sni, i.SNI)
				if i.Version != 0 {
					version = cmp.Or(version, tlsmeta.VersionName(i.Version))
				}
			}
		}
		var words []string
		rec := enrich.Record{Record: r, Tags: tags.Ends(r.Network, r.Proto, &r.Ends, sni, r.Start)}
		for _, k := range parsed {
			v := ""
			switch {
			case k.Sided:
				v = tags.Value(&rec, k.Side, k.Tag)
			case k.Tag == "sni":
				v = sni
			case k.Tag == "tls_version":
				v = version
			case k.Tag == "protocol":
				v = protocolName(r.Proto)
			case k.Tag == "ip_version":
				v = fmt.Sprint(r.Version)
			default:
				v = tags.Value(&rec, flow.Client, k.Tag)
			}
			words = append(words, v)
		}
		return strings.Join(words, "|")
	}
	all := map[string]account{}
	at := func(key string) account {
		if all[key] == nil {
			all[key] = account{}
		}
		return all[key]
	}
	whole := map[uint64]*flow.Record{}
	ending := func(a account, o flow.Outcome, measured bool) {
		a["begun"]++
		a["ended"]++
		a["outcome "+o.String()]++
		if measured {
			a["handshakes"]++
		}
	}
	rest := func(a account, r *flow.Record) {
		a["copies"] += r.MirrorDuplicates
		a["cut"] += r.TruncatedPackets
		a["fragments"] += r.FragmentsIncomplete
		a["malformed"] += r.Malformed
		a["stray"] += r.StrayPackets
	}
	for _, e := range x.events {
		switch {
		case e.p != nil:
			joinedReference(t, e.p, whole, value, at, ending, rest)
		case e.r.Kind == flow.Interval:
		case e.r.Joined:
			whole[e.r.ID] = e.r
		default:
			a := at(value(e.r))
			ofSide(a, e.r, flow.Client)
			ofSide(a, e.r, flow.Server)
			talkOf(a, e.r)
			rest(a, e.r)
			ending(a, e.r.Outcome, e.r.HasHandshake && e.r.Handshake.State == tcp.Measured)
		}
	}
	return all
}

func joinedReference(t testing.TB, p *path.Connection, whole map[uint64]*flow.Record, value func(*flow.Record, ...*flow.Record) string, at func(string) account,
	ending func(account, flow.Outcome, bool), rest func(account, *flow.Record)) {
	t.Helper()
	primary := func(side flow.Side) *flow.Record {
		r := *whole[p.Points[p.Primary[side]].Flow]
		if r.Ends[0].Addr != p.Ends[0].Addr || r.Ends[0].Port != p.Ends[0].Port {
			turn(&r, whole[r.ID])
		}
		return &r
	}
	client, server := primary(flow.Client), primary(flow.Server)
	var points []*flow.Record
	for i := range p.Points {
		points = append(points, whole[p.Points[i].Flow])
	}
	a := at(value(client, points...))
	ofSide(a, client, flow.Client)
	ofSide(a, server, flow.Server)
	rest(a, client)
	ending(a, p.Outcome, p.RTT != tcp.Absent)
	// Which of the points heard most is told by the row: any that did.
	talk := account{}
	for i := range p.Points {
		one := account{}
		talkOf(one, whole[p.Points[i].Flow])
		for k, n := range one {
			talk[k] = max(talk[k], n)
		}
	}
	a.add(talk)
}

// total sums rows over windows, by their values.
func total(windows []*Window) map[string]account {
	all := map[string]account{}
	for _, w := range windows {
		for _, r := range w.All() {
			key := strings.Join(r.Values, "|")
			if all[key] == nil {
				all[key] = account{}
			}
			all[key].add(rowAccount(r))
		}
	}
	return all
}

func sum(all map[string]account) account {
	a := account{}
	for _, o := range all {
		a.add(o)
	}
	return a
}

func (a account) differs(b account, ignore string) (out []string) {
	keys := map[string]bool{}
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	for k := range keys {
		if a[k] != b[k] && k != ignore {
			out = append(out, fmt.Sprintf("%s %d, want %d", k, a[k], b[k]))
		}
	}
	slices.Sort(out)
	return out
}

// same compares rows with a reference, one by one. moved tells that rows may have
// distributions of connections whose values became known later: those are compared
// over all rows.
func same(t *testing.T, what string, got, want map[string]account, moved bool) {
	t.Helper()
	if g, w := sum(got)["handshakes"], sum(want)["handshakes"]; g != w {
		t.Errorf("%s: %d handshakes, want %d", what, g, w)
	}
	ignore := ""
	if moved {
		ignore = "handshakes"
	}
	for key, a := range want {
		if d := got[key].differs(a, ignore); d != nil {
			t.Errorf("%s: %q: %s", what, key, strings.Join(d, "; "))
		}
	}
	for key, a := range got {
		if want[key] == nil && len(a.differs(account{}, ignore)) > 0 {
			t.Errorf("%s: %q: is too many: %v", what, key, a.differs(account{}, ignore))
		}
	}
}

// The rows of any grouping add up to the connection records, row by row and
// exactly: of whole connections, in intervals, and between cuts.
func TestSums(t *testing.T) {
	everywhere(t, func(t *testing.T, file string) { sumsHold(t, pcapfile.Config{Paths: []string{file}}) })
}

func sumsHold(t *testing.T, in pcapfile.Config) {
	whole := run(t, in, 0, 2)
	var once []*Window // by grouping
	for _, keys := range groupings {
		got := group(t, whole, config(0, keys...))
		if len(got) != 1 {
			t.Fatalf("%d windows", len(got))
		}
		same(t, "whole", total(got), reference(t, whole, keys...), false)
		once = append(once, got[0])
	}
	for _, length := range []time.Duration{time.Second, 10 * time.Second} {
		intervals := run(t, in, length, 2)
		for i, keys := range groupings {
			moved := slices.Contains(keys, "sni") || slices.Contains(keys, "observation_point") || slices.Contains(keys, "server.service")
			want := reference(t, intervals, keys...)
			for _, window := range []time.Duration{length, 3 * length, 0} {
				c := config(length, keys...)
				c.Window = window
				windows := group(t, intervals, c)
				same(t, fmt.Sprintf("intervals of %v in windows of %v", length, window), total(windows), want, moved)
				if window == 0 {
					sameTimes(t, intervals, windows[0], once[i])
				}
			}
			c := config(length, keys...)
			middle := whole.health.First + (whole.health.Last-whole.health.First)/2
			c.Cuts = []int64{middle / int64(length) * int64(length)}
			same(t, "between cuts", total(group(t, intervals, c)), want, moved)
		}
	}
}

// sameTimes compares the distributions of a window of intervals with those of whole
// connections, all rows together. Where points share connections or roles changed
// they may have been taken elsewhere.
func sameTimes(t *testing.T, x *input, got, want *Window) {
	t.Helper()
	client := map[uint64]flow.Endpoint{}
	for _, e := range x.events {
		if e.p != nil {
			return
		}
		c := e.r.Ends[flow.Client]
		c.Name = ""
		if was, ok := client[e.r.ID]; ok && was != c {
			return
		}
		client[e.r.ID] = c
	}
	for what := range NumTimes {
		if what == TLSNetwork || what == TLSServer || what == TLSClient || what == TLSPerceived {
			continue // they follow from round trips that may come later
		}
		var g, w histogram.Histogram
		for _, r := range got.All() {
			merge(&g, r.Times(what))
		}
		for _, r := range want.All() {
			merge(&w, r.Times(what))
		}
		if g.Count() != w.Count() || g.Sum() != w.Sum() || g.Min() != w.Min() || g.Max() != w.Max() || !slices.Equal(g.Buckets(), w.Buckets()) {
			t.Errorf("distribution %d: %d values of %d ns, want %d of %d", what, g.Count(), g.Sum(), w.Count(), w.Sum())
		}
	}
	var g, w int64
	for _, r := range got.All() {
		g += r.Established
	}
	for _, r := range want.All() {
		w += r.Established
	}
	if g != w {
		t.Errorf("%d connections are open at the end, want %d", g, w)
	}
}

func merge(into, h *histogram.Histogram) {
	if h != nil {
		into.Merge(h)
	}
}

// Percentiles are within 1.1 % of the exact ones wherever records have the samples
// themselves: of handshakes, and of connections with few round trips and responses.
func TestPercentiles(t *testing.T) {
	compared := 0
	everywhere(t, func(t *testing.T, file string) {
		x := run(t, pcapfile.Config{Paths: []string{file}}, 0, 2)
		for _, keys := range groupings[:4] {
			c := config(0, keys...)
			table := New(c, tagsOf(x.names), protocolName, func(w *Window) {
				compared += exactly(t, x, w, c)
			})
			feed(table, x)
			table.Close()
		}
	})
	if compared < 1000 {
		t.Errorf("%d percentiles were compared", compared)
	}
	t.Logf("%d percentiles", compared)
}

// exactly compares the percentiles of rows of which all samples are known.
func exactly(t *testing.T, x *input, w *Window, c Config) (compared int) {
	t.Helper()
	namer := New(c, tagsOf(x.names), protocolName, nil)
	exact, unknown := map[string]*samples{}, map[string]*[NumTimes]bool{}
	for _, e := range x.events {
		if e.r == nil {
			continue
		}
		k := knownOf(&e.r.Report)
		id := namer.idOf(e.r, &k)
		if exact[id] == nil {
			exact[id], unknown[id] = new(samples), new([NumTimes]bool)
		}
		all, not := exact[id], unknown[id]
		if e.r.Joined {
			for i := range not {
				not[i] = true // which point counts is another test's
			}
			continue
		}
		put := func(what Times, ns int64) {
			if ns >= 0 {
				all[what] = append(all[what], ns)
			}
		}
		if h := &e.r.Handshake; e.r.HasHandshake && h.State == tcp.Measured {
			put(Handshake, h.RTT)
			put(HandshakeClient, h.Client)
			put(HandshakeServer, h.Server)
		}
		if i, h := edge.Hello(&e.r.Report); i != nil && h.State == tcp.Measured {
			put(TLSTotal, h.Total)
		}
		not[TLSNetwork], not[TLSServer], not[TLSClient], not[TLSPerceived] = true, true, true, true
		if e.r.Distributions != nil {
			for _, what := range []Times{RTTClient, RTTServer, RTTClientDelayed, RTTServerDelayed, Response} {
				not[what] = true
			}
		}
		for i := range e.r.Samples.Len() {
			what, ns := e.r.Samples.At(i)
			put([]Times{RTTClient, RTTClientDelayed, RTTServer, RTTServerDelayed, Response}[what], ns)
		}
		not[DNSTime] = true
	}
	for _, r := range w.Rows {
		if exact[r.id] == nil {
			continue // a path fills in what its records do not know
		}
		for what := range NumTimes {
			if unknown[r.id][what] {
				continue
			}
			want := slices.Sorted(slices.Values(exact[r.id][what]))
			if count(r, what) != uint64(len(want)) {
				t.Errorf("%q: %d values of %d, want %d", r.Values, count(r, what), what, len(want))
				continue
			}
			if len(want) == 0 {
				continue
			}
			for _, q := range quantilesOf {
				exact := float64(want[max(1, int(math.Ceil(q*float64(len(want)))))-1])
				got, ok := r.Times(what).Quantile(q)
				if compared++; !ok || math.Abs(got-exact) > max(0.011*exact, 1000*boolean(exact < 1000)) {
					t.Errorf("%q: quantile %v of %d is %v, want %v", r.Values, q, what, got, exact)
				}
			}
		}
	}
	return compared
}

// boolean is 1 where something is so: below 1 µs a percentile is within 1 µs.
func boolean(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
