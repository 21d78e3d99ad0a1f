package truth

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// TestSnapped: a capture that keeps the beginning of each packet makes no value
// wrong. What the ends said is as in the whole capture, or absent, or marked as
// not measured; of what is counted there is at most as much.
func TestSnapped(t *testing.T) {
	var groups, leaves, kept atomic.Int64
	everywhere(t, func(t *testing.T, name, path string) {
		fs, link, ok := framesOf(t, path)
		if !ok || len(fs) == 0 {
			return
		}
		whole := map[string][]map[string]any{}
		for _, c := range replay(t, writeAs(t, link, fs)).connections {
			whole[flowKey(c)] = append(whole[flowKey(c)], withNames(decode(t, c.line)))
		}
		for _, length := range []int{96, 128} {
			for _, c := range replay(t, writeAs(t, link, snapped(fs, length))).connections {
				cut := withNames(decode(t, c.line))
				for _, group := range []string{"tls", "quic", "http", "dns", "response", "names"} {
					if cut[group] == nil {
						continue
					}
					groups.Add(1)
					var faults []string
					for _, w := range whole[flowKey(c)] {
						var s snap
						s.compare(group, cut[group], w[group])
						if faults = s.faults; faults == nil {
							leaves.Add(s.leaves)
							kept.Add(s.kept)
							break
						}
					}
					if len(whole[flowKey(c)]) == 0 {
						continue // a packet whose inner headers are cut is part of another flow
					}
					accepted(t, "snapped", name, fmt.Sprintf("%d %s %s", length, pairOf(c.Client, c.Server), group), faults == nil, func() string { return strings.Join(faults, "\n") })
				}
			}
		}
	})
	unused(t, "snapped")
	t.Logf("%d groups in cut captures, %d values, %d of them as in the whole capture", groups.Load(), leaves.Load(), kept.Load())
	if groups.Load() == 0 && !t.Failed() {
		t.Error("no cut capture told anything")
	}
}

// withNames gives a record the names of its ends by their addresses: what was
// said may have told the client in the whole capture only.
func withNames(r map[string]any) map[string]any {
	names := map[string]any{}
	for _, end := range []string{"client", "server"} {
		if e, _ := r[end].(map[string]any); e["name"] != nil {
			names[fmt.Sprint(e["ip"])] = e["name"]
		}
	}
	r["names"] = names
	return r
}

// flowKey joins the records of a cut capture with those of the whole one.
func flowKey(c connection) string {
	return fmt.Sprint(c.Protocol, pairOf(c.Client, c.Server), c.Start, c.ObservationPoint.Name, c.VLAN)
}

// snap collects where a group of a cut capture contradicts the whole one.
type snap struct {
	faults       []string
	leaves, kept int64
}

func (s *snap) fault(path string, cut, whole any) {
	s.faults = append(s.faults, fmt.Sprintf("%s is %v, %v in the whole capture", path, cut, whole))
}

func (s *snap) compare(path string, cut, whole any) {
	last := path[strings.LastIndexByte(path, '.')+1:]
	switch cut := cut.(type) {
	case map[string]any:
		w, _ := whole.(map[string]any)
		if last == "other_endpoints" {
			return // whose names were cut
		}
		if w == nil {
			s.fault(path, cut, "absent")
			return
		}
		if (last == "handshake" || path == "response") && cut["state"] != "measured" {
			return
		}
		if last == "response" && path != "response" {
			s.times(path, cut, w)
			return
		}
		for _, k := range sortedKeys(cut) {
			s.compare(path+"."+k, cut[k], w[k])
		}
	case []any:
		w, _ := whole.([]any)
		switch last {
		case "endpoints", "names":
			for _, c := range cut {
				s.item(path, c.(map[string]any), w)
			}
		case "certificates", "client_certificates":
			if len(cut) > len(w) || !reflect.DeepEqual(cut, w[:len(cut)]) {
				s.fault(path, cut, whole)
			}
		default:
			if !reflect.DeepEqual(cut, whole) {
				s.fault(path, cut, whole)
			}
		}
	default:
		s.leaf(path, last, cut, whole)
	}
}

func (s *snap) leaf(path, last string, cut, whole any) {
	s.leaves++
	if cut == whole {
		s.kept++
		return
	}
	n, isNumber := cut.(json.Number)
	w, _ := whole.(json.Number)
	switch {
	case last == "outcome" && cut == "incomplete", last == "certificates_cut" && cut == true:
		return
	case slices.Contains(unknowns, last):
		return
	case path == "http.version" && fmt.Sprint(cut) < fmt.Sprint(whole): // the highest that was read
		return
	case isNumber && !strings.HasSuffix(last, "_us") && value(n) <= value(w):
		return
	}
	s.fault(path, cut, whole)
}

// unknowns are counts of what is not known.
var unknowns = []string{"missed", "orphans", "unsolicited", "announced", "lost", "untracked", "cut", "poisoned", "undecryptable"}

// times compares those of responses: there may be fewer.
func (s *snap) times(path string, cut, whole map[string]any) {
	if whole == nil {
		s.fault(path, cut, "absent")
		return
	}
	low, high := value(whole["min_us"]), value(whole["max_us"])
	for k, v := range cut {
		s.leaves++
		switch n := value(v); {
		case v == whole[k]:
			s.kept++
		case cut["count"] == whole["count"], k == "count" && n > value(whole[k]), k != "count" && (n < low || n > high):
			s.fault(path+"."+k, v, whole[k])
		}
	}
}

// item compares an endpoint or a name with the one of the whole capture.
func (s *snap) item(path string, cut map[string]any, whole []any) {
	key := func(m map[string]any) string {
		return fmt.Sprint(m["method"], m["host"], m["path"], m["name"], m["type"])
	}
	for _, w := range whole {
		if w := w.(map[string]any); key(w) == key(cut) {
			for k, v := range cut {
				s.compare(path+"["+key(cut)+"]."+k, v, w[k])
			}
			return
		}
	}
	if len(whole) < 64 { // else it may be one of those that found no place
		s.fault(path+"["+key(cut)+"]", cut, "absent")
	}
}

// value is 0 for what is absent.
func value(v any) float64 {
	n, _ := v.(json.Number)
	f, _ := n.Float64()
	return f
}

func sortedKeys(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
