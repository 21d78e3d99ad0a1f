//go:build linux

package livelab

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
)

// record is one line. In values, names of interfaces and ids are replaced by
// what must be equal in both runs.
type record struct {
	key    string
	start  string
	values map[string]any
}

// parse reads the output of one run.
func (c *comparison) parse(name string, text []byte) map[string][]*record {
	byType := map[string][]*record{}
	var faces []string
	for i, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		values := map[string]any{}
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&values); err != nil {
			c.differ(name, "line %d is no record: %v", i+1, err)
			continue
		}
		kind, _ := values["type"].(string)
		if _, meanwhile := values["at"]; kind == "capture" && meanwhile {
			continue // a running count; the last one is of the whole
		}
		start, _ := values["start"].(string)
		byType[kind] = append(byType[kind], &record{start: start, values: values})
		faces = addInterfaces(faces, values)
	}
	for kind, key := range map[string]func(map[string]any) string{
		"connection": connectionKey,
		"path":       func(values map[string]any) string { return "path of " + connectionKey(values) },
		"capture":    func(map[string]any) string { return "capture" },
	} {
		all := byType[kind]
		for _, rec := range all {
			replaceNames(rec.values, faces)
			rec.key = key(rec.values)
		}
		// One after the other where several are alike.
		slices.SortStableFunc(all, func(a, b *record) int {
			return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.start, b.start))
		})
		alike := map[string]int{}
		for _, rec := range all {
			alike[rec.key]++
			if n := alike[rec.key]; n > 1 {
				rec.key += fmt.Sprintf(" (no. %d)", n)
			}
		}
	}
	ids := map[string]string{}
	for _, rec := range byType["connection"] {
		if id, ok := rec.values["id"].(string); ok {
			ids[id] = rec.key
		}
	}
	for _, kind := range []string{"connection", "path"} {
		for _, rec := range byType[kind] {
			delete(rec.values, "id")
			replaceIDs(rec.values, ids)
		}
	}
	return byType
}

// addInterfaces adds the names of interfaces in a record to those known.
func addInterfaces(faces []string, v any) []string {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			faces = addInterfaces(faces, e)
		}
	case map[string]any:
		if face, ok := v["interface"].(string); ok && !slices.Contains(faces, face) {
			faces = append(faces, face)
		}
		for _, e := range v {
			faces = addInterfaces(faces, e)
		}
	}
	return faces
}

// text2 gives a string one level down, or an empty one.
func text2(values map[string]any, outer, inner string) string {
	group, _ := values[outer].(map[string]any)
	s, _ := group[inner].(string)
	return s
}

// connectionKey names a connection or path the same in every run, whichever
// end was taken for the client.
func connectionKey(values map[string]any) string {
	var ends []string
	for _, side := range []string{"client", "server"} {
		end, _ := values[side].(map[string]any)
		s := fmt.Sprint(end["ip"])
		if port, ok := end["port"]; ok {
			s = net.JoinHostPort(s, fmt.Sprint(port))
		}
		ends = append(ends, s)
	}
	slices.Sort(ends)
	key := fmt.Sprintf("%v %s - %s", values["protocol"], ends[0], ends[1])
	if network := values["network"]; network != "default" {
		key += fmt.Sprintf(" in %v", network)
	}
	if point := text2(values, "observation_point", "name"); point != "" && point != anyInterface {
		key += " at " + point
	}
	return key
}

// anyInterface stands for the name of an interface.
const anyInterface = "*"

// replaceNames replaces the interfaces in the names of observation points.
func replaceNames(v any, faces []string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			replaceNames(e, faces)
		}
	case map[string]any:
		for k, e := range v {
			s, ok := e.(string)
			if !ok {
				replaceNames(e, faces)
				continue
			}
			switch k {
			case "name", "interface", "from", "to":
				for _, face := range faces {
					if rest, ok := strings.CutPrefix(s, face); ok && (rest == "" || rest[0] == ' ') {
						v[k] = anyInterface + rest
						break
					}
				}
			}
		}
	}
}

// replaceIDs replaces ids of connections by the connections' keys.
func replaceIDs(v any, ids map[string]string) {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			replaceIDs(e, ids)
		}
	case map[string]any:
		for k, e := range v {
			if s, ok := e.(string); ok {
				if key, ok := ids[s]; ok {
					v[k] = key
				}
				continue
			}
			replaceIDs(e, ids)
		}
	}
}

// summary helps to find a connection that has no partner.
func summary(r *record) string {
	n := packets(r.values)
	if r.start == "" || n == 0 {
		return ""
	}
	return fmt.Sprintf(" (%d packets from %s)", n, r.start)
}

// packets counts those of a connection.
func packets(values map[string]any) int64 {
	return count(values, "client_sent", "packets") + count(values, "server_sent", "packets")
}

// count gives a number by its path, or 0.
func count(values map[string]any, path ...string) int64 {
	for _, group := range path[:len(path)-1] {
		values, _ = values[group].(map[string]any)
	}
	n, _ := values[path[len(path)-1]].(json.Number)
	i, _ := n.Int64()
	return i
}

// sortPoints puts the points of a capture record, which stand in order of
// appearance, in order of their names.
func sortPoints(values map[string]any) {
	points, _ := values["observation_points"].([]any)
	slices.SortStableFunc(points, func(a, b any) int {
		x, _ := a.(map[string]any)
		y, _ := b.(map[string]any)
		return cmp.Compare(fmt.Sprint(x["name"]), fmt.Sprint(y["name"]))
	})
}
