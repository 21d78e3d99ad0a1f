package cloud

import (
	"bytes"
	"io"
	"net/http"
)

// HTTPClient sends requests; *http.Client is one, and what SDKs take for one.
type HTTPClient interface {
	Do(*http.Request) (*http.Response, error)
}

// KeepBodies gives a client whose requests have bodies that nobody closes, for SDKs
// that close them as soon as the head of an answer has come, as AWS's does. The
// transport may then not have seen their end, takes that for an error and ends the
// connection, in the middle of a long answer. Bodies are copied, so they should be
// small.
func KeepBodies(c HTTPClient) HTTPClient { return keptBodies{c} }

type keptBodies struct{ HTTPClient }

func (k keptBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return k.HTTPClient.Do(r)
}
