package cloud

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

// early is a transport that reads a request after its sender has closed the body,
// as may happen to one whose answer is quick.
type early struct {
	body io.Closer
	got  string
}

func (e *early) Do(r *http.Request) (*http.Response, error) {
	_ = e.body.Close()
	b, err := io.ReadAll(r.Body)
	e.got = string(b)
	return new(http.Response), err
}

// shut is a body that cannot be read once it is closed.
type shut struct {
	io.Reader
	closed bool
}

func (s *shut) Read(b []byte) (int, error) {
	if s.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return s.Reader.Read(b)
}

func (s *shut) Close() error { s.closed = true; return nil }

func TestKeepBodies(t *testing.T) {
	body := &shut{Reader: strings.NewReader("Action=DescribeVpcs")}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost/", body)
	if err != nil {
		t.Fatal(err)
	}
	e := &early{body: body}
	if _, err := KeepBodies(e).Do(r); err != nil || e.got != "Action=DescribeVpcs" {
		t.Errorf("the transport read %q: %v", e.got, err)
	}
}
