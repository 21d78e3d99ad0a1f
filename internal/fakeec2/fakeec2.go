// Package fakeec2 is a part of EC2 for tests: a server that speaks the Query
// protocol as the real service does, so that the real client works with it
// unchanged, and holds what it knows in memory.
//
// It has what mirror sessions and the inventory need: interfaces, instances,
// subnets, VPCs, instance types; sessions, targets, filters and rules with their
// limits; pages, filters, client tokens, dry runs. A test says what is to go wrong
// (Fault), changes the state between two calls (Hook), and reads which calls came
// (Calls).
//
//	fake := fakeec2.New()
//	fake.With(func(s *fakeec2.State) { s.AddInterface(fakeec2.Interface{ID: "eni-1", …}) })
//	client := ec2.New(ec2.Options{HTTPClient: fake, BaseEndpoint: aws.String(fakeec2.Endpoint), …})
//
// As the HTTPClient of the SDK it needs no socket; Start serves the same over TCP,
// for whoever can only be given an address (AWS_ENDPOINT_URL).
//
// A request must be signed: the account is told by the access key, the region by
// the scope of the signature. Each pair has a State of its own. Signatures
// themselves are not checked.
package fakeec2

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Endpoint is where the client believes the server to be if it is used without a
// socket.
const Endpoint = "http://ec2.fake.invalid"

// Account and Region of the State that With gives.
const (
	Account = "123456789012"
	Region  = "eu-central-1"
)

// Server is the service. Its methods may be used by several goroutines; its
// fields are set before the first call.
type Server struct {
	// Accounts by access key. A key that is not there is Account's.
	Accounts map[string]string
	// Services that are not EC2, by the name in the scope of the signature, as
	// sts or monitoring. They get the request with its body unread.
	Services map[string]http.Handler
	// Hook is called before each request is served, with nothing locked: a test
	// may change the state in it. nil: none.
	Hook func(*Call)
	// Allow says whether the caller may do this; nil: everything. It is asked for
	// dry runs too.
	Allow func(*Call) bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	mu     sync.Mutex
	states map[scope]*State
	calls  []Call
	faults []*Fault
}

type scope struct{ account, region string }

// Call is a request that came.
type Call struct {
	Account, Region string
	Action          string
	Params          url.Values
	At              time.Time
	Code            string // of the error that was answered; "" it was done
}

// DryRun tells whether only the permission was asked for.
func (c *Call) DryRun() bool { return c.Params.Get("DryRun") == "true" }

// Mutates tells whether the call was to change something.
func (c *Call) Mutates() bool {
	return !c.DryRun() && !strings.HasPrefix(c.Action, "Describe") && !strings.HasPrefix(c.Action, "Get")
}

// New gives a server that holds nothing.
func New() *Server {
	return &Server{Accounts: map[string]string{}, Services: map[string]http.Handler{}, states: map[scope]*State{}}
}

// Start serves it on an address of its own until the test ends, and gives its URL.
func (s *Server) Start(t testing.TB) string {
	t.Helper()
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return h.URL
}

// With calls f with the state of Account in Region. f must not call the server.
func (s *Server) With(f func(*State)) { s.In(Account, Region, f) }

// In calls f with the state of an account in a region.
func (s *Server) In(account, region string, f func(*State)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.state(scope{account, region}))
}

func (s *Server) state(at scope) *State {
	st, ok := s.states[at]
	if !ok {
		st = newState(at.account, at.region)
		s.states[at] = st
	}
	return st
}

// Calls gives what came, in order.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Mutations gives what came to change something, whether it was done or not.
func (s *Server) Mutations() []Call {
	return slices.DeleteFunc(s.Calls(), func(c Call) bool { return !c.Mutates() })
}

// Forget empties the list of calls.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

// Do answers a request without a socket: Server is an HTTPClient of the SDK.
func (s *Server) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := recorder{header: http.Header{}, status: http.StatusOK}
	lost := s.serve(&w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if lost {
		return nil, fmt.Errorf("%s %s: connection reset by peer", r.Method, r.URL)
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.header, Body: io.NopCloser(&w.body), ContentLength: int64(w.body.Len()), Request: r,
	}, nil
}

type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

// ServeHTTP answers a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.serve(w, r) {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
}

// credential is the scope of a signature (Signature Version 4).
var credential = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=([^/,]+)/(\d{8})/([^/,]+)/([^/,]+)/aws4_request, ?SignedHeaders=[^,]+, ?Signature=[0-9a-f]{64}$`)

// maxBody bounds a request, octets.
const maxBody = 1 << 20

// serve answers, or tells that the answer is to get lost.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) (lost bool) {
	m := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	if m == nil || r.Header.Get("X-Amz-Date") == "" {
		refuse(w, &Error{http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token"})
		return false
	}
	if service := m[4]; service != "ec2" {
		if h, ok := s.Services[service]; ok {
			h.ServeHTTP(w, r)
			return false
		}
		refuse(w, &Error{http.StatusForbidden, "SignatureDoesNotMatch", "Credential should be scoped to correct service: ec2, not " + service})
		return false
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		refuse(w, &Error{http.StatusBadRequest, "MalformedRequest", err.Error()})
		return false
	}
	params, err := url.ParseQuery(string(body))
	if err != nil || r.Method != http.MethodPost || params.Get("Version") != "2016-11-15" {
		refuse(w, &Error{http.StatusBadRequest, "InvalidQueryParameter", "not a query of version 2016-11-15"})
		return false
	}
	c := Call{Account: Account, Region: m[3], Action: params.Get("Action"), Params: params, At: s.now()}
	if a, ok := s.Accounts[m[1]]; ok {
		c.Account = a
	}
	if s.Hook != nil {
		s.Hook(&c)
	}
	return s.answer(w, &c)
}

func (s *Server) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// answer does what is asked for.
func (s *Server) answer(w http.ResponseWriter, c *Call) (lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := s.fault(c)
	allowed := s.Allow == nil || s.Allow(c)
	do := actions[c.Action]
	var e *Error
	var out answer
	switch {
	case fault != nil && !fault.Committed:
		e = fault.error()
	case do == nil:
		e = &Error{http.StatusBadRequest, "InvalidAction", "The action " + c.Action + " is not valid for this web service."}
	case !allowed:
		e = &Error{http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation."}
	case c.DryRun():
		e = &Error{http.StatusPreconditionFailed, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."}
	default:
		e = do(&request{State: s.state(scope{c.Account, c.Region}), params: c.Params, now: c.At}, &out)
		if e == nil && fault != nil {
			e = fault.error()
		}
	}
	if e != nil {
		c.Code = e.Code
	}
	s.calls = append(s.calls, *c)
	switch {
	case fault != nil && fault.Lost:
		return true
	case e != nil:
		refuse(w, e)
	default:
		w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
		_, _ = w.Write(out.finish(c.Action)) // a client that has gone is not the server's matter
	}
	return false
}

// actions are those that the server knows.
var actions = merge(mirrorActions, filterActions, inventoryActions)

type action func(*request, *answer) *Error

func merge(tables ...map[string]action) map[string]action {
	all := map[string]action{}
	for _, t := range tables {
		for name, do := range t {
			all[name] = do
		}
	}
	return all
}
