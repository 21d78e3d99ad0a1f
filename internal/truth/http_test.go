package truth

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// httpFrame is what tshark says of the HTTP messages that one frame completes.
type httpFrame struct {
	Stream                    *int // absent over UDP
	Method, Host, URI, Status []string
}

// exchanges is the HTTP of one 5-tuple.
type exchanges struct {
	methods, hosts, status map[string]int64
	asked                  []asked // requests of the ground truth
	endpoints              []asked // and those that the sensor tells, with counts
	requests, responses    int64
}

type asked struct {
	method, host, path string
	n                  int64
}

// TestHTTP compares, for every 5-tuple, how many requests and responses there
// were, the methods, hosts and classes of status, and each URI with the path
// template under which it was counted.
func TestHTTP(t *testing.T) {
	var h hearing
	each(t, func(t *testing.T, name, path string) {
		tr := load(t, name)
		theirs := map[pair]*exchanges{}
		for _, f := range tr.HTTP {
			if f.Stream == nil {
				continue
			}
			p, ok := tr.flow([2]any{"tcp", float64(*f.Stream)})
			if !ok {
				t.Fatalf("no stream %d", *f.Stream)
			}
			if theirs[p] == nil {
				theirs[p] = newExchanges()
			}
			theirs[p].add(f)
		}
		ours := exchangesIn(t, replay(t, path).connections)
		for p, e := range theirs {
			o := ours[p]
			if o == nil {
				o = newExchanges()
			}
			unmatched, left := match(e.asked, o.endpoints)
			paths := [2]string{unmatched, left}
			if unmatched == "" && left == "" {
				paths = [2]string{positive(e.requests), positive(e.requests)}
			}
			h.hear(t, "tshark HTTP", name, p.String(), []statement{
				{field: "http requests", theirs: positive(e.requests), ours: positive(o.requests)},
				{field: "http responses", theirs: positive(e.responses), ours: positive(o.responses)},
				{field: "http methods", theirs: apart(e.methods, o.methods), ours: apart(o.methods, e.methods)},
				{field: "http hosts", theirs: apart(e.hosts, o.hosts), ours: apart(o.hosts, e.hosts)},
				{field: "http status", theirs: apart(e.status, o.status), ours: apart(o.status, e.status)},
				{field: "http paths", theirs: paths[0], ours: paths[1]},
			})
		}
		for p, o := range ours {
			if theirs[p] == nil {
				h.hear(t, "tshark HTTP", name, p.String(), []statement{
					{field: "http requests", ours: positive(o.requests), missing: true}, {field: "http responses", ours: positive(o.responses), missing: true}})
			}
		}
	})
	h.end(t, "tshark HTTP")
}

func newExchanges() *exchanges {
	return &exchanges{methods: map[string]int64{}, hosts: map[string]int64{}, status: map[string]int64{}}
}

// add takes the messages of a frame.
func (e *exchanges) add(f httpFrame) {
	for i, m := range f.Method {
		e.requests++
		e.methods[m]++
		a := asked{method: m, n: 1}
		if len(f.Host) == len(f.Method) {
			a.host = strings.TrimSuffix(strings.ToLower(f.Host[i]), ":80")
		}
		if i < len(f.URI) {
			a.path, _, _ = strings.Cut(f.URI[i], "?")
		}
		if rest, ok := strings.CutPrefix(a.path, "http://"); ok {
			a.host, a.path, _ = strings.Cut(rest, "/")
			a.path = "/" + a.path
		}
		if m == "CONNECT" {
			a.host, a.path = a.path, ""
		}
		if a.host != "" {
			e.hosts[a.host]++
		}
		e.asked = append(e.asked, a)
	}
	for _, s := range f.Status {
		if s[0] != '1' || s == "101" { // the others are not final
			e.responses++
		}
		e.status[s[:1]+"xx"]++
	}
}

// exchangesIn sums the HTTP of all records of a 5-tuple.
func exchangesIn(t *testing.T, cs []connection) map[pair]*exchanges {
	all := map[pair]*exchanges{}
	for _, c := range cs {
		var r struct {
			HTTP *struct {
				Requests, Responses int64
				Status              map[string]int64
				Endpoints           []struct {
					Method, Host, Path string
					Requests           int64
				}
			}
		}
		if err := json.Unmarshal(c.line, &r); err != nil {
			t.Fatal(err)
		}
		if r.HTTP == nil {
			continue
		}
		p := pairOf(c.Client, c.Server)
		e := all[p]
		if e == nil {
			e = newExchanges()
			all[p] = e
		}
		e.requests += r.HTTP.Requests
		e.responses += r.HTTP.Responses
		for class, n := range r.HTTP.Status {
			e.status[class] += n
		}
		for _, x := range r.HTTP.Endpoints {
			e.methods[x.Method] += x.Requests
			if x.Host != "" {
				e.hosts[x.Host] += x.Requests
			}
			e.endpoints = append(e.endpoints, asked{x.Method, x.Host, x.Path, x.Requests})
		}
	}
	return all
}

// match finds for each request the endpoint under which it was counted, and
// tells of requests and endpoints that are left.
func match(requests, endpoints []asked) (unmatched, left string) {
	for _, r := range requests {
		found := false
		for i := range endpoints {
			if e := &endpoints[i]; e.n > 0 && e.method == r.method && e.host == r.host && fits(e.path, r.path) {
				e.n--
				found = true
				break
			}
		}
		if !found {
			unmatched += fmt.Sprintf("%s %s %s, ", r.method, r.host, r.path)
		}
	}
	for _, e := range endpoints {
		if e.n > 0 {
			left += fmt.Sprintf("%d %s %s %s, ", e.n, e.method, e.host, e.path)
		}
	}
	return strings.TrimSuffix(unmatched, ", "), strings.TrimSuffix(left, ", ")
}

var placeholder = regexp.MustCompile(`\\\{[a-z]+\\\}`)

// fits tells whether a path is one of those that a template stands for.
func fits(template, path string) bool {
	start, _, cut := strings.Cut(template, "…")
	pattern := "^" + placeholder.ReplaceAllString(regexp.QuoteMeta(start), "[^/]+")
	if !cut {
		pattern += "$"
	}
	return regexp.MustCompile(pattern).MatchString(path)
}
