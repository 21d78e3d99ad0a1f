package fakeec2

import (
	"encoding/xml"
	"net/http"
)

// Error is what the service answers instead of a result.
type Error struct {
	Status  int
	Code    string
	Message string
}

func bad(code, message string) *Error { return &Error{http.StatusBadRequest, code, message} }

// Throttled is what comes when there are too many calls.
func Throttled() *Error {
	return &Error{http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded."}
}

// Broken is what comes when the service has a fault of its own.
func Broken() *Error {
	return &Error{http.StatusInternalServerError, "InternalError", "An internal error has occurred"}
}

// Fault is something that goes wrong.
type Fault struct {
	Action string // "": any
	Nth    int    // of the calls of that action from now on, 1 the next one; 0: each of them
	Times  int    // how many calls from the Nth on; 0: one, or with Nth 0 all
	// When says whether a call is meant; nil: all of the action. Only such calls
	// are counted.
	When func(*Call) bool

	// Error is the answer; nil: Broken.
	Error *Error
	// Committed: the call is done all the same, and answered with Error.
	Committed bool
	// Lost: the connection ends without an answer.
	Lost bool

	seen int
}

func (f *Fault) error() *Error {
	if f.Error == nil {
		return Broken()
	}
	return f.Error
}

// Fail has calls go wrong from now on.
func (s *Server) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		s.faults = append(s.faults, &f)
	}
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// fault gives the first that befalls a call.
func (s *Server) fault(c *Call) (hit *Fault) {
	for _, f := range s.faults {
		if f.Action != "" && f.Action != c.Action || f.When != nil && !f.When(c) {
			continue
		}
		f.seen++
		if hit == nil && f.hits() {
			hit = f
		}
	}
	return hit
}

func (f *Fault) hits() bool {
	switch {
	case f.Nth == 0 && f.Times == 0:
		return true
	case f.Nth == 0:
		return f.seen <= f.Times
	}
	return f.seen >= f.Nth && f.seen < f.Nth+max(f.Times, 1)
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, e *Error) {
	type item struct{ Code, Message string }
	body, err := xml.Marshal(struct {
		XMLName   xml.Name `xml:"Response"`
		Errors    []item   `xml:"Errors>Error"`
		RequestID string
	}{Errors: []item{{e.Code, e.Message}}, RequestID: requestID})
	if err != nil {
		panic(err) // two texts can be written
	}
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.WriteHeader(e.Status)
	_, _ = w.Write(body)
}
