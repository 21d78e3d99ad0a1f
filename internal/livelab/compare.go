//go:build linux

package livelab

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Compare tells in what the records of a live run differ from those of a replay
// of the same frames, one sentence for each difference; none means that they
// agree. Both are what `--format json` writes.
//
// Connections are matched by addresses, ports, protocol, network and
// observation point, and those that are alike in all that by their order in
// time; paths likewise. Everything in them must be equal, but
//   - names of interfaces, and ids, which contain start times: what an id
//     refers to must be equal,
//   - times, which may differ by tolerance, since a frame is stamped in another
//     place live,
//   - durations, of which some take part of one duration from another: they
//     may differ by 4 tolerances, more where they are sums, and percentiles by
//     the width of a histogram's bucket more,
//   - round trips at the edge of what may be a delayed acknowledgment: where
//     they are told apart otherwise, their total and their minimum must agree.
//
// Of the last capture record only what the replay's has is compared, without its
// errors. Records of other types are passed over: in which interval a packet
// falls may depend on its last microsecond.
//
//	l := livelab.New(t, livelab.Config{})
//	_, err := l.VXLAN(livelab.A, 7007)
//	sensor, err := l.Sensor.Start(livelab.Command{Path: livelab.Build(t, "mirrorscope/cmd/sensor"), …, Ready: ready})
//	recording, err := l.Record(path)
//	truth, err := l.Run(livelab.Exchange{Connections: 5, TLS: tls.VersionTLS13})
//	_, err = recording.Stop()
//	_, err = sensor.Stop(unix.SIGTERM, 20*time.Second)
//	for _, d := range livelab.Compare(sensor.Stdout(), replay(t, path), time.Millisecond) {
//		t.Error(d)
//	}
func Compare(live, replay []byte, tolerance time.Duration) []string {
	var c comparison
	c.tolerance = float64(tolerance) / 1e3
	a, b := c.parse("live", live), c.parse("replay", replay)
	if len(b["connection"]) == 0 {
		c.differ("replay", "no connection record: there is nothing to compare")
	}
	for _, kind := range []string{"connection", "path", "capture"} {
		c.match(kind, a[kind], b[kind])
	}
	return c.differences
}

// comparison collects differences.
type comparison struct {
	tolerance   float64 // µs
	differences []string
}

func (c *comparison) differ(where, format string, args ...any) {
	c.differences = append(c.differences, where+": "+fmt.Sprintf(format, args...))
}

// match pairs records of both runs by their keys and compares the pairs.
func (c *comparison) match(kind string, live, replay []*record) {
	byKey := map[string]*record{}
	for _, r := range live {
		byKey[r.key] = r
	}
	for _, r := range replay {
		l, ok := byKey[r.key]
		if !ok {
			c.differ(r.key, "only in the replay%s", summary(r))
			continue
		}
		delete(byKey, r.key)
		if kind == "capture" {
			for k := range l.values {
				if _, ok := r.values[k]; !ok || k == "errors" {
					delete(l.values, k)
				}
			}
			delete(r.values, "errors")
			sortPoints(l.values)
			sortPoints(r.values)
		}
		c.compare(pair{record: r.key, packets: packets(r.values), turns: count(r.values, "response", "turns")}, "", l.values, r.values)
	}
	for _, r := range live {
		if _, ok := byKey[r.key]; ok {
			c.differ(r.key, "only in the live run%s", summary(r))
		}
	}
}

// pair is what is known about two records that are compared.
type pair struct {
	record         string
	packets, turns int64 // of the connection
}

// compare goes down two values that must agree. field is where they stand.
func (c *comparison) compare(p pair, field string, live, replay any) {
	switch r := replay.(type) {
	case map[string]any:
		if l, ok := live.(map[string]any); ok {
			c.compareGroups(p, field, l, r)
			return
		}
	case []any:
		if l, ok := live.([]any); ok && len(l) == len(r) {
			for i := range r {
				c.compare(p, fmt.Sprintf("%s[%d]", field, i), l[i], r[i])
			}
			return
		}
	case json.Number:
		if l, ok := live.(json.Number); ok && c.sameNumber(p, field, l, r, 0) {
			return
		}
	case string:
		if l, ok := live.(string); ok && (l == r || isTime(field) && c.sameTime(l, r)) {
			return
		}
	default: // a truth value
		if live == replay {
			return
		}
	}
	c.differ(p.record, "%s: live %s, replay %s", field, show(live), show(replay))
}

func (c *comparison) compareGroups(p pair, field string, live, replay map[string]any) {
	if field == "rtt.client" || field == "rtt.server" {
		live, replay = sameTrips(live, replay)
	}
	names := slices.Sorted(maps.Keys(live))
	for k := range replay {
		if _, ok := live[k]; !ok {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	width := bucketWidth(replay)
	for _, k := range names {
		at := k
		if field != "" {
			at = field + "." + k
		}
		l, inLive := live[k]
		r, inReplay := replay[k]
		switch {
		case !inLive:
			c.differ(p.record, "%s: absent live, replay %s", at, show(r))
		case !inReplay:
			c.differ(p.record, "%s: live %s, absent in the replay", at, show(l))
		default:
			x, isNumber := l.(json.Number)
			y, alsoNumber := r.(json.Number)
			if isNumber && alsoNumber && isPercentile(k) && c.sameNumber(p, at, x, y, width) {
				continue
			}
			c.compare(p, at, l, r)
		}
	}
}

// sameNumber compares counts exactly and durations within the tolerance, with
// so much more of the value itself.
func (c *comparison) sameNumber(p pair, field string, live, replay json.Number, more float64) bool {
	if live == replay {
		return true
	}
	l, err1 := live.Float64()
	r, err2 := replay.Float64()
	if err1 != nil || err2 != nil || !strings.Contains(field+".", "_us.") {
		return false
	}
	allowed := c.tolerance * float64(p.times(field))
	return math.Abs(l-r) <= allowed+more*max(l, r)
}

// sameTrips leaves of a half's round trips what must agree: all, or, where they
// are divided otherwise into delayed ones and others, the total and the minimum.
func sameTrips(live, replay map[string]any) (l, r map[string]any) {
	samples1, samples2 := count(live, "samples"), count(replay, "samples")
	if samples1 == samples2 || samples1+count(live, "maybe_delayed") != samples2+count(replay, "maybe_delayed") {
		return live, replay
	}
	return map[string]any{"min_us": live["min_us"]}, map[string]any{"min_us": replay["min_us"]}
}

func isPercentile(name string) bool {
	return len(name) > 4 && name[0] == 'p' && name[1] >= '0' && name[1] <= '9' && strings.HasSuffix(name, "_us")
}

// times is how many packets' times a duration may be made of.
func (p pair) times(field string) int64 {
	switch {
	case strings.HasPrefix(field, "phases."):
		return 4 * (1 + p.turns)
	case strings.HasPrefix(field, "tls.handshake."):
		return 12 // three flights, and two ends of each, and as many round trips
	case strings.HasSuffix(field, ".time_us"), strings.HasPrefix(field, "window_full_us."):
		return max(4, p.packets)
	}
	return 4
}

// bucketWidth is by what share of itself a percentile of this group may be off
// when its samples move a little across the bounds of the histogram's buckets:
// 2 in 32 to a power of two, fewer where the samples lie far apart.
func bucketWidth(group map[string]any) float64 {
	value := func(names ...string) float64 {
		for _, n := range names {
			if v, ok := group[n].(json.Number); ok {
				f, _ := v.Float64()
				return f
			}
		}
		return 0
	}
	buckets := 32.0
	low, high := value("min_us"), value("max_us", "p99_us", "p90_us", "p50_us")
	if high > max(low, 1) {
		for octaves := math.Log2(high / max(low, 1)); octaves*buckets > 64 && buckets > 1; {
			buckets /= 2
		}
	}
	return math.Exp2(1/buckets) - 1
}

func isTime(field string) bool {
	switch field {
	case "start", "end", "first", "last":
		return true
	}
	return false
}

func (c *comparison) sameTime(live, replay string) bool {
	l, err1 := time.Parse(time.RFC3339Nano, live)
	r, err2 := time.Parse(time.RFC3339Nano, replay)
	return err1 == nil && err2 == nil && math.Abs(float64(l.Sub(r)))/1e3 <= c.tolerance
}

// show writes a value as it stands in the record.
func show(v any) string {
	if s, ok := v.(string); ok {
		return strconv.Quote(s)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(b)
}
