package aws

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"mirrorscope/internal/fakeec2"
)

// TestMachine: on a machine with a role, where nothing else is configured, the
// metadata service gives region and credentials. It is asked with a token, as
// machines demand it.
func TestMachine(t *testing.T) {
	fake, _, _ := serve(t)
	fake.With(func(s *fakeec2.State) { many(s, 3) })
	answers := map[string]string{
		"/latest/meta-data/placement/region":                region,
		"/latest/dynamic/instance-identity/document":        `{"region":"` + region + `","accountId":"123456789012"}`,
		"/latest/meta-data/iam/security-credentials/":       "sensor",
		"/latest/meta-data/iam/security-credentials/sensor": fmt.Sprintf(`{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":%q,"SecretAccessKey":"s","Token":"t","Expiration":%q}`, ownKey, time.Now().Add(time.Hour).UTC().Format(time.RFC3339)),
	}
	imds := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch answer, ok := answers[r.URL.Path]; {
		case r.Method == http.MethodPut && r.URL.Path == "/latest/api/token":
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
			_, _ = io.WriteString(w, "token")
		case r.Header.Get("X-Aws-Ec2-Metadata-Token") != "token":
			w.WriteHeader(http.StatusUnauthorized)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, answer)
		}
	}))
	t.Cleanup(imds.Close)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", imds.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	s := quick(DefaultConfig())[0]
	snap, err := fetch(t, s)
	if err != nil || s.Name() != "aws/own/here" || len(snap.Interfaces) != 3 || snap.Interfaces[0].Region != region {
		t.Fatalf("%s: %v", s.Name(), err)
	}
}
