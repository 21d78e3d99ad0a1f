package gcp

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/api/option"

	"mirrorscope/cloud"
)

// object is JSON as the API writes it.
type object = map[string]any

// fake is the part of Compute Engine that has aggregated lists. Its fields are set
// before it is asked, or under lock.
type fake struct {
	mu      sync.Mutex
	scopes  map[string]map[string][]object // by list and scope: "instances", "zones/europe-west1-b"
	page    int                            // items of a page; 0: as asked for
	missing []string                       // scopes that do not answer
	inItems bool                           // … and say so in their item, rather than in unreachables
	refuse  func(list, token string) (status int, reason, message string)
	asked   []string // list and page token
	queries []string
}

func newFake(t *testing.T) (*fake, cloud.Source) {
	t.Helper()
	f := &fake{scopes: map[string]map[string][]object{}}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	c := DefaultConfig()
	c.Enabled, c.Projects, c.RequestsPerSecond = true, []string{"shop-prod"}, 10_000
	s := Sources(c)[0]
	p := s.(*project)
	p.backoff = time.Millisecond
	p.options = []option.ClientOption{option.WithEndpoint(server.URL + "/compute/v1/"), option.WithoutAuthentication()}
	return f, s
}

func (f *fake) add(list, scope string, items ...object) {
	if f.scopes[list] == nil {
		f.scopes[list] = map[string][]object{}
	}
	f.scopes[list][scope] = append(f.scopes[list][scope], items...)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, ok := strings.CutPrefix(r.URL.Path, "/compute/v1/projects/shop-prod/aggregated/")
	q := r.URL.Query()
	token := q.Get("pageToken")
	f.asked = append(f.asked, list+" "+token)
	f.queries = append(f.queries, r.URL.RawQuery)
	if !ok {
		answer(w, 404, object{"error": object{"code": 404, "message": "The resource was not found", "errors": []object{{"reason": "notFound"}}}})
		return
	}
	if f.refuse != nil {
		if status, reason, message := f.refuse(list, token); status != 0 {
			answer(w, status, object{"error": object{"code": status, "message": message, "errors": []object{{"domain": "global", "reason": reason, "message": message}}}})
			return
		}
	}
	answer(w, 200, f.list(list, token, q.Get("maxResults"), q.Get("returnPartialSuccess") == "true"))
}

// list gives a page: scopes without anything on it say so.
func (f *fake) list(list, token, most string, partial bool) object {
	size, _ := strconv.Atoi(most)
	if f.page > 0 {
		size = min(size, f.page)
	}
	skip, _ := strconv.Atoi(strings.TrimPrefix(token, "p"))
	items := object{"global": object{"warning": object{"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for scope 'global' on this page."}}}
	var scopes []string
	for scope := range f.scopes[list] {
		scopes = append(scopes, scope)
	}
	slices.Sort(scopes)
	n, more := 0, false
	for _, scope := range scopes {
		if slices.Contains(f.missing, scope) {
			if f.inItems {
				items[scope] = object{"warning": object{"code": "UNREACHABLE", "message": "timed out"}}
			}
			continue
		}
		var here []object
		for _, item := range f.scopes[list][scope] {
			if n++; n <= skip {
				continue
			}
			if n > skip+size {
				more = true
				break
			}
			here = append(here, item)
		}
		if len(here) > 0 {
			items[scope] = object{list: here}
		} else {
			items[scope] = object{"warning": object{"code": "NO_RESULTS_ON_PAGE"}}
		}
	}
	o := object{"kind": "compute#aggregatedList", "id": "x", "items": items}
	if more {
		o["nextPageToken"] = fmt.Sprint("p", skip+size)
	}
	if len(f.missing) > 0 && !f.inItems && partial {
		o["unreachables"] = f.missing
		o["warning"] = object{"code": "UNREACHABLE", "message": "some scopes"}
	}
	return o
}

func answer(w http.ResponseWriter, status int, o object) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(o) // a client that has gone is not the server's matter
}

const urls = "https://www.googleapis.com/compute/v1/projects/"

// machine is an instance as the API writes it.
func machine(name, zone, ip string) object {
	return object{
		"id": "4611686018427387904", "name": name, "zone": urls + "shop-prod/zones/" + zone, "machineType": urls + "shop-prod/zones/" + zone + "/machineTypes/e2-medium",
		"status": "RUNNING", "creationTimestamp": "2026-11-01T04:00:00.000-08:00",
		"networkInterfaces": []object{{"name": "nic0", "network": urls + "net-host/global/networks/prod", "subnetwork": urls + "net-host/regions/europe-west1/subnetworks/front", "networkIP": ip}},
	}
}
