// Package gcp reads from Compute Engine what stands behind addresses.
//
// Each project is a cloud.Source. A look is five aggregated lists, over all zones
// and regions: instances, with the alias ranges that are the pods of GKE;
// forwarding rules, the addresses of load balancers and of endpoints of Private
// Service Connect; addresses, for Cloud NAT and ranges that services of Google were
// given; subnetworks, for those that load balancers and service attachments send
// from; routers, for Cloud NAT.
//
// Lists come in pages of 500, unfiltered, as filtered ones are charged more (Compute
// Engine rate quotas). With returnPartialSuccess a zone that does not answer costs
// that zone alone: it is told in Snapshot.Partial.
//
// What GENEVE of Network Security Integration carries as network and endpoint ids
// are cookies that no list of the API has: of these it is not known which VPC they
// are.
package gcp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/compute/metadata"
	"golang.org/x/time/rate"
	"google.golang.org/api/compute/v1"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"

	"mirrorscope/cloud"
)

// Provider is what Interface.Provider says of Google Cloud.
const Provider = "gcp"

// here stands for the project of the machine, where the configuration names none.
const here = "here"

// Sources gives one for each project. The Config must be valid. None of them does
// anything yet.
func Sources(c Config) []cloud.Source {
	projects := c.Projects
	if len(projects) == 0 {
		projects = []string{""}
	}
	var all []cloud.Source
	for _, id := range projects {
		all = append(all, &project{
			id: id, credentials: c.Credentials, attempts: 5, backoff: time.Second,
			limit: rate.NewLimiter(rate.Limit(c.RequestsPerSecond), int(max(c.RequestsPerSecond, 1))),
		})
	}
	return all
}

// Reach is what a process still needs once it has given up its rights.
func Reach(c Config) cloud.Reach {
	r := cloud.Client()
	for _, file := range []string{c.Credentials, os.Getenv("GOOGLE_APPLICATION_CREDENTIALS")} {
		r.AddFile(file)
	}
	if dir := os.Getenv("CLOUDSDK_CONFIG"); dir != "" {
		r.AddFile(dir)
	}
	if home, err := os.UserHomeDir(); err == nil {
		r.AddFile(filepath.Join(home, ".config", "gcloud"))
	}
	r.AddURL(os.Getenv("GCE_METADATA_HOST"))
	return r
}

// project is a cloud.Source. Its fields are set before the first look.
type project struct {
	id          string // "": that of the machine
	credentials string // file
	options     []option.ClientOption
	attempts    int
	backoff     time.Duration // before the second attempt; doubles
	limit       *rate.Limiter

	mu      sync.Mutex
	service *compute.Service // nil: not made yet
	real    string           // id of the project
}

// Name implements cloud.Source.
func (p *project) Name() string {
	if p.id == "" {
		return Provider + "/" + here
	}
	return Provider + "/" + p.id
}

// open makes the client, once it can be.
func (p *project) open(ctx context.Context) (*compute.Service, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.service != nil {
		return p.service, p.real, nil
	}
	id := p.id
	if id == "" {
		var err error
		asking, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		if id, err = metadata.ProjectIDWithContext(asking); err != nil {
			return nil, "", &cloud.Trouble{Doing: "no project is known, and the machine's metadata service does not tell", Mend: "set cloud.gcp.projects"}
		}
	}
	options := append([]option.ClientOption{option.WithScopes(compute.ComputeReadonlyScope), option.WithUserAgent("mirrorscope")}, p.options...)
	if p.credentials != "" {
		kind, err := credentialsType(p.credentials)
		if err != nil {
			return nil, "", &cloud.Trouble{Doing: "read cloud.gcp.credentials", Err: cloud.Cause(err, "", ""), Mend: "the sensor's user must be able to read the file"}
		}
		options = append(options, option.WithAuthCredentialsFile(kind, p.credentials))
	}
	// Tokens are renewed as long as the sensor runs, and not for as long as a look.
	service, err := compute.NewService(context.WithoutCancel(ctx), options...)
	if err != nil {
		return nil, "", trouble("find credentials", "", err)
	}
	p.service, p.real = service, id
	return service, id, nil
}

// page is a part of an aggregated list.
type page[T any] struct {
	items   []T
	next    string
	missing []string // scopes that did not answer, as "zones/europe-west1-b"
}

// add takes what one scope has answered.
func (g *page[T]) add(scope string, items []T, warning string) {
	g.items = append(g.items, items...)
	if warning != "" && warning != nothing {
		g.missing = append(g.missing, scope)
	}
}

// nothing is the warning of a scope that has nothing on a page.
const nothing = "NO_RESULTS_ON_PAGE"

// end takes what is told of all scopes.
func (g *page[T]) end(next string, unreachable []string, warning string) (*page[T], error) {
	g.next = next
	g.missing = append(g.missing, unreachable...)
	if warning != "" && warning != nothing && len(g.missing) == 0 {
		return nil, fmt.Errorf("the list is not complete: %s", warning)
	}
	return g, nil
}

const (
	pageSize = 500 // the most there are
	maxPages = 2000
)

// partial asks for the scopes that do answer.
func partial() googleapi.CallOption { return googleapi.QueryParameter("returnPartialSuccess", "true") }

// list reads an aggregated list to its end, and adds the scopes that did not answer
// to missing.
func list[T any](ctx context.Context, p *project, permission string, missing map[string]bool, ask func(ctx context.Context, token string) (*page[T], error)) ([]T, error) {
	var all []T
	token := ""
	for range maxPages {
		var part *page[T]
		err := p.again(ctx, func() (err error) { part, err = ask(ctx, token); return err })
		if err != nil {
			return nil, trouble("list in "+p.real, permission, err)
		}
		all = append(all, part.items...)
		for _, scope := range part.missing {
			missing[path.Base(scope)] = true
		}
		if part.next == "" {
			return all, nil
		}
		if part.next == token {
			break
		}
		token = part.next
	}
	return nil, &cloud.Trouble{Doing: "list in " + p.real + " by " + permission, Err: errors.New("the list has no end")}
}

// again tries until it works, or will not.
func (p *project) again(ctx context.Context, try func() error) error {
	wait := p.backoff
	for n := 1; ; n++ {
		if err := p.limit.Wait(ctx); err != nil {
			return err
		}
		err := try()
		if err == nil || n >= p.attempts || !passing(err) {
			return err
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
		wait *= 2
	}
}

// passing tells whether an error may be gone in a moment.
func passing(err error) bool {
	var api *googleapi.Error
	if !errors.As(err, &api) {
		return cloud.Unreachable(err) == "" && !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "oauth2")
	}
	return api.Code == http.StatusTooManyRequests || api.Code >= 500 || api.Code == http.StatusForbidden && limited(reason(api))
}

// limited tells whether a reason is that of a quota.
func limited(reason string) bool {
	return slices.Contains([]string{"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "RATE_LIMIT_EXCEEDED"}, reason)
}

func reason(e *googleapi.Error) string {
	if len(e.Errors) > 0 {
		return e.Errors[0].Reason
	}
	return ""
}

// trouble makes an error of the client one for an operator.
func trouble(doing, permission string, err error) error {
	if permission != "" {
		doing += " by " + permission
	}
	var api *googleapi.Error
	var already *cloud.Trouble
	switch {
	case errors.As(err, &already):
		return err
	case errors.As(err, &api):
		code := reason(api)
		if code == "" {
			code = fmt.Sprint(api.Code)
		}
		return &cloud.Trouble{Doing: doing, Err: cloud.Cause(err, code, strings.TrimSpace(api.Message)), Mend: mendOf(api, permission)}
	}
	mend := cloud.Unreachable(err)
	cause := cloud.Cause(err, "", "")
	if text := err.Error(); strings.Contains(text, "could not find default credentials") || strings.Contains(text, "cannot fetch token") || strings.Contains(text, "oauth2") {
		if strings.Contains(text, "default credentials") {
			cause = errors.New("there are no credentials")
		}
		mend = "give this machine a service account with the role of docs/how-to/gcp.md, and the scope compute.readonly or cloud-platform; or set cloud.gcp.credentials"
	}
	return &cloud.Trouble{Doing: doing, Err: cause, Mend: mend}
}

func mendOf(e *googleapi.Error, permission string) string {
	switch r := reason(e); {
	case r == "accessNotConfigured":
		return "enable the API: gcloud services enable compute.googleapis.com"
	case limited(r) || e.Code == http.StatusTooManyRequests:
		return "others use up the quota of the project; it is tried again later. Lower cloud.gcp.requests_per_second, or raise cloud.period"
	case strings.Contains(e.Message, "insufficient authentication scopes"), r == "insufficientPermissions" && strings.Contains(e.Message, "scope"):
		return "the machine's access scopes do not cover compute: stop it, and set them with gcloud compute instances set-service-account --scopes=compute-ro"
	case e.Code == http.StatusForbidden:
		return "grant " + permission + " to the service account, by the role of docs/how-to/gcp.md or roles/compute.viewer"
	case e.Code == http.StatusUnauthorized:
		return "the credentials are not valid: see whether the key still exists, and whether the clock of this machine is right"
	case e.Code == http.StatusNotFound:
		return "see whether there is such a project, and take it out of cloud.gcp.projects if not"
	}
	return ""
}
