package truth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestIntervals: the deltas of all intervals sum to the whole-life record, and
// intervals change nothing in it. Distributions add up to the percentiles of the
// whole, and what TLS said is told once.
func TestIntervals(t *testing.T) {
	everywhere(t, func(t *testing.T, name, path string) {
		whole := replay(t, path)
		for _, length := range []time.Duration{time.Second, 10 * time.Second} {
			t.Run(length.String(), func(t *testing.T) {
				inIntervals(t, whole, replay(t, "--interval", length.String(), path), length)
			})
		}
	})
}

func inIntervals(t *testing.T, whole, out output, length time.Duration) {
	if len(out.connections) != len(whole.connections) {
		t.Fatalf("%d connections, %d without intervals", len(out.connections), len(whole.connections))
	}
	lives, sums := map[string]*account{}, map[string]*account{}
	for i, c := range out.connections {
		if !bytes.Equal(c.line, whole.connections[i].line) {
			t.Errorf("connection %d differs: %s", i, firstDifference(whole.connections[i].line, c.line))
		}
		book(t, lives, c.line)
	}
	for _, line := range out.intervals {
		bounds(t, line, length)
		book(t, sums, line)
	}
	for id, want := range lives {
		got := sums[id]
		if got == nil {
			t.Errorf("no interval of %s", id)
			continue
		}
		delete(sums, id)
		if d := deltas(got.counts, want.counts); d != nil {
			t.Errorf("intervals of %s sum to %v", id, d)
		}
		if d := deltas(got.listed, want.listed); d != nil && want.others == 0 {
			t.Errorf("intervals of %s sum to %v", id, d)
		}
		if got.left != [3]int64{} {
			t.Errorf("the distributions of %s lack %d clean round trips, %d that may be delayed, %d response times", id, got.left[0], got.left[1], got.left[2])
		}
		for path, s := range want.summaries {
			if want.others > 0 && strings.Contains(path, "[") {
				continue
			}
			if d := got.summaries[path]; !s.fits(d.distribution) {
				t.Errorf("%s of %s is %v, and its intervals add up to %v", path, id, s, d.distribution)
			}
		}
		if !slices.Equal(got.said, want.said) {
			t.Errorf("intervals of %s tell of TLS\n%s\nwant\n%s", id, got.said, want.said)
		}
	}
	for id := range sums {
		t.Errorf("intervals of %s, which is no connection", id)
	}
}

// deltas names the counts that differ.
func deltas(got, want map[string]int64) (out []string) {
	for k, n := range want {
		if got[k] != n {
			out = append(out, fmt.Sprintf("%s %d, want %d", k, got[k], n))
		}
	}
	for k, n := range got {
		if _, ok := want[k]; !ok {
			out = append(out, fmt.Sprintf("%s %d, want none", k, n))
		}
	}
	slices.Sort(out)
	return out
}

// account is what one connection comes to, in its own record or in the
// intervals. Two connections on one 5-tuple that begin with packets of one
// record time have one id, and so one account.
type account struct {
	counts    map[string]int64 // by path; those of endpoints and names together
	listed    map[string]int64 // the same of each endpoint and name
	others    int64            // endpoints or names that found no place in a list
	left      [3]int64         // samplesLeft
	summaries map[string]summary
	said      []string // tls, as text
}

// summary is the times of something: how many and what they come to in a
// connection, their distribution in an interval.
type summary struct {
	Count, Samples int64
	Min            float64 `json:"min_us"`
	P50            float64 `json:"p50_us"`
	P90            float64 `json:"p90_us"`
	Max            float64 `json:"max_us"`
	Distribution   distribution

	distribution distribution // all, added up
}

func book(t *testing.T, accounts map[string]*account, line []byte) {
	t.Helper()
	r := decode(t, line)
	id := r["id"].(string)
	a := accounts[id]
	if a == nil {
		a = &account{counts: map[string]int64{}, listed: map[string]int64{}, summaries: map[string]summary{}}
		accounts[id] = a
	}
	add := func(to map[string]int64, key string, n int64) {
		if to[key] += n; to[key] == 0 {
			delete(to, key) // a verdict that was taken back
		}
	}
	for k, n := range tallies(t, r) {
		if at := strings.IndexByte(k, '['); at >= 0 {
			add(a.listed, k, n)
			k = k[:at] + k[strings.LastIndexByte(k, ']')+1:]
			if strings.HasSuffix(k, ".response.count") {
				continue // what found no place in a list has no times
			}
		}
		if strings.Contains(k, ".other_") {
			a.others += n
			k = strings.Replace(k, ".other_", ".", 1)
		}
		add(a.counts, k, n)
	}
	for i, n := range samplesLeft(t, line) {
		a.left[i] += n
	}
	walk(r, func(path string, v any) {
		if m, ok := v.(map[string]any); ok && strings.HasSuffix(path, "response") && !strings.Contains(path, ".other_") {
			a.summaries[path] = a.summaries[path].and(t, path, m)
		}
	})
	if tls, ok := r["tls"].(map[string]any); ok {
		// The shares of the parties follow from the smallest round trips, which
		// may come later.
		h := tls["handshake"].(map[string]any)
		for _, share := range []string{"network_us", "server_us", "client_us", "perceived_us"} {
			delete(h, share)
		}
		b, err := json.Marshal(tls)
		if err != nil {
			t.Fatal(err)
		}
		a.said = append(a.said, string(b))
	}
	for _, group := range []string{"quic", "phases"} {
		if r["type"] == "interval" && r[group] != nil {
			t.Errorf("%s in an interval of %s", group, id)
		}
	}
}

// and adds what an interval tells, or takes what a connection tells.
func (s summary) and(t *testing.T, path string, m map[string]any) summary {
	t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var one summary
	if err := json.Unmarshal(b, &one); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	one.Count += one.Samples
	if d := one.Distribution; d.Count > 0 {
		if d.Count != one.Count {
			t.Errorf("%s: a distribution of %d, want %d", path, d.Count, one.Count)
		}
		one.distribution = s.distribution.plus(d)
	} else {
		one.distribution = s.distribution
	}
	return one
}

// fits tells whether figures are those of a distribution: count and extremes
// exactly, percentiles within its buckets.
func (s summary) fits(d distribution) bool {
	if s.Count != d.Count {
		return false
	}
	return s.Count == 0 || s.Min == d.Min && s.Max == d.Max && d.holds(0.5, s.P50) && d.holds(0.9, s.P90)
}

// distribution is a histogram as an interval has it.
type distribution struct {
	Scale       int
	Zero, Count int64
	Sum         float64 `json:"sum_us"`
	Min         float64 `json:"min_us"`
	Max         float64 `json:"max_us"`
	Buckets     [][2]int64
}

func (d distribution) plus(e distribution) distribution {
	if d.Count == 0 {
		return e
	}
	scale := min(d.Scale, e.Scale)
	buckets := map[int64]int64{}
	for _, x := range []distribution{d, e} {
		for _, b := range x.Buckets {
			buckets[b[0]>>(x.Scale-scale)] += b[1]
		}
	}
	sum := distribution{Scale: scale, Zero: d.Zero + e.Zero, Count: d.Count + e.Count, Sum: d.Sum + e.Sum, Min: min(d.Min, e.Min), Max: max(d.Max, e.Max)}
	for _, i := range slices.Sorted(maps.Keys(buckets)) {
		sum.Buckets = append(sum.Buckets, [2]int64{i, buckets[i]})
	}
	return sum
}

// holds tells whether a value can be the quantile q: it lies in the bucket of
// that rank, or of one beside it.
func (d distribution) holds(q, v float64) bool {
	low, high := int64(q*float64(d.Count)), int64(math.Ceil(q*float64(d.Count)))+1
	seen := d.Zero
	if seen >= low && seen > 0 && v <= 1 {
		return true
	}
	for _, b := range d.Buckets {
		first := seen + 1
		seen += b[1]
		if seen < low || first > high {
			continue
		}
		base := math.Exp2(math.Exp2(-float64(d.Scale)))
		if v >= math.Pow(base, float64(b[0]))*0.999 && v <= math.Pow(base, float64(b[0]+1))*1.001 {
			return true
		}
	}
	return false
}

// bounds checks those of an interval record.
func bounds(t *testing.T, line []byte, length time.Duration) {
	t.Helper()
	var r struct {
		IntervalStart time.Time `json:"interval_start"`
		IntervalEnd   time.Time `json:"interval_end"`
	}
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	if r.IntervalEnd.Sub(r.IntervalStart) != length || r.IntervalStart.UnixNano()%int64(length) != 0 {
		t.Errorf("interval [%s, %s) is not aligned to %s", r.IntervalStart, r.IntervalEnd, length)
	}
}

// additive are the groups of which intervals tell the change.
var additive = []string{
	"client_sent", "server_sent", "resets", "fins", "ecn", "capture", "rtt", "retransmits", "out_of_order", "network_duplicates", "keep_alives", "zero_window",
	"window_full_us", "response", "http", "dns",
}

// tallies gives every count of a record by its path. Zeros are left out: an
// interval need not tell what did not happen in it.
func tallies(t *testing.T, record map[string]any) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	groups := map[string]any{}
	for _, group := range additive {
		groups[group] = record[group]
	}
	if h, ok := record["handshake"].(map[string]any); ok {
		groups["syn_packets"], groups["synack_packets"] = h["syn_packets"], h["synack_packets"]
	}
	walk(groups, func(path string, v any) {
		number, ok := v.(json.Number)
		if !ok {
			return
		}
		n, err := strconv.ParseInt(string(number), 10, 64)
		switch {
		case strings.HasPrefix(path, "zero_window") && strings.HasSuffix(path, "_us"), strings.HasPrefix(path, "window_full_us"):
			f, err := number.Float64()
			if err != nil {
				t.Fatal(err)
			}
			n = int64(math.Round(f * 1000)) // ns; such times add up
		case err != nil, strings.HasSuffix(path, "_us"), strings.Contains(path, ".max_"), strings.Contains(path, ".distribution"):
			return
		}
		if n != 0 {
			out[path] = n
		}
	})
	return out
}

// walk gives every value inside of v with its path. What is in a list of
// endpoints or names goes by what the endpoint or name is.
func walk(v any, each func(path string, v any)) {
	var down func(path string, v any)
	down = func(path string, v any) {
		each(strings.TrimPrefix(path, "."), v)
		switch v := v.(type) {
		case map[string]any:
			for k, sub := range v {
				down(path+"."+k, sub)
			}
		case []any:
			for i, sub := range v {
				key := fmt.Sprint(i)
				if m, ok := sub.(map[string]any); ok {
					key = ""
					for _, k := range []string{"method", "host", "path", "name", "type"} {
						if m[k] != nil {
							key += " " + fmt.Sprint(m[k])
						}
					}
				}
				down(path+"["+strings.TrimSpace(key)+"]", sub)
			}
		}
	}
	down("", v)
}

// samplesLeft gives how many samples an interval record counts more than its
// distributions hold: clean round trips and those that may be delayed, of both
// halves together, for a change of roles moves the counts alone; response
// times.
func samplesLeft(t *testing.T, line []byte) (left [3]int64) {
	t.Helper()
	var r struct {
		RTT map[string]struct {
			Samples             int64
			Distribution        struct{ Count int64 }
			Maybe               int64                 `json:"maybe_delayed"`
			DistributionDelayed struct{ Count int64 } `json:"distribution_maybe_delayed"`
		}
		Response struct {
			Samples      int64
			Distribution struct{ Count int64 }
		}
	}
	if err := json.Unmarshal(line, &r); err != nil {
		t.Fatal(err)
	}
	for _, half := range r.RTT {
		left[0] += half.Samples - half.Distribution.Count
		left[1] += half.Maybe - half.DistributionDelayed.Count
	}
	left[2] = r.Response.Samples - r.Response.Distribution.Count
	return left
}
