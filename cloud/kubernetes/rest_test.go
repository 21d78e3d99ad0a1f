package kubernetes

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"mirrorscope/cloud"
)

// server is an API server that lists in pages and tells of changes, in JSON.
type server struct {
	mu      sync.Mutex
	objects map[string][]runtime.Object // by path of the list
	watches map[string]int
	pages   []string
	denied  bool
	more    chan corev1.Pod // pods that come
}

func serve(t *testing.T, objects ...runtime.Object) (*server, *httptest.Server) {
	t.Helper()
	s := &server{objects: map[string][]runtime.Object{}, watches: map[string]int{}, more: make(chan corev1.Pod)}
	for _, o := range objects {
		path := ""
		switch o.(type) {
		case *corev1.Pod:
			path = "/api/v1/pods"
		case *corev1.Service:
			path = "/api/v1/services"
		case *corev1.Node:
			path = "/api/v1/nodes"
		case *discoveryv1.EndpointSlice:
			path = "/apis/discovery.k8s.io/v1/endpointslices"
		}
		s.objects[path] = append(s.objects[path], o)
	}
	h := httptest.NewTLSServer(s)
	t.Cleanup(h.Close)
	return s, h
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	q := r.URL.Query()
	s.mu.Lock()
	all, denied := s.objects[r.URL.Path], s.denied
	s.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer sesame" || denied {
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: "Failure", Reason: metav1.StatusReasonUnauthorized, Code: 401, Message: "Unauthorized"})
		return
	}
	if q.Get("watch") != "" {
		s.tell(w, r)
		return
	}
	skip := 0
	_, _ = fmt.Sscan(q.Get("continue"), &skip)
	s.mu.Lock()
	s.pages = append(s.pages, r.URL.Path+" "+q.Get("continue"))
	s.mu.Unlock()
	const size = 3
	items := all[min(skip, len(all)):]
	list := map[string]any{"kind": "List", "metadata": map[string]any{"resourceVersion": "10"}}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		list["apiVersion"] = "v1"
	} else {
		list["apiVersion"] = "discovery.k8s.io/v1"
	}
	list["kind"] = map[string]string{"pods": "PodList", "services": "ServiceList", "nodes": "NodeList", "endpointslices": "EndpointSliceList"}[filepath.Base(r.URL.Path)]
	if q.Get("limit") != "" && len(items) > size {
		items = items[:size]
		list["metadata"] = map[string]any{"resourceVersion": "10", "continue": fmt.Sprint(skip + size)}
	}
	list["items"] = items
	_ = json.NewEncoder(w).Encode(list) // a client that has gone is not the server's matter
}

// tell sends pods that come, to whoever watches pods.
func (s *server) tell(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.watches[r.URL.Path]++
	s.mu.Unlock()
	w.(http.Flusher).Flush()
	more := s.more
	if r.URL.Path != "/api/v1/pods" {
		more = nil
	}
	for {
		select {
		case p := <-more:
			p.TypeMeta = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
			p.ResourceVersion = "11"
			_ = json.NewEncoder(w).Encode(map[string]any{"type": "ADDED", "object": p})
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// kubeconfig writes one for a server, and gives its path.
func kubeconfig(t *testing.T, url string, certificate []byte, user string) string {
	t.Helper()
	dir := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: other
clusters: [{name: c, cluster: {server: %q, certificate-authority: ca.pem}}]
users: [{name: u, user: {%s}}]
contexts: [{name: prod, context: {cluster: c, user: u}}]
`, url, user)
	path := filepath.Join(dir, "config")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestServer: the real client against an API server: pages, watches, and a cluster
// that stops to answer.
func TestServer(t *testing.T) {
	s, h := serve(t, objects()...)
	config := Config{Kubeconfig: kubeconfig(t, h.URL, h.Certificate().Raw, "token: sesame"), Contexts: []string{"prod"}}
	c := Sources(config)[0].(*cluster)
	c.settle, c.apart = 10*time.Millisecond, 20*time.Millisecond

	reach := Reach(config)
	if !slices.Contains(reach.Files, config.Kubeconfig) || !slices.Contains(reach.Files, filepath.Join(filepath.Dir(config.Kubeconfig), "ca.pem")) || !slices.ContainsFunc(reach.Ports, func(p uint16) bool { return strings.HasSuffix(h.URL, fmt.Sprint(":", p)) }) {
		t.Errorf("%+v", reach)
	}

	snap, err := c.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := told(snap); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if !slices.Contains(s.pages, "/api/v1/pods 3") {
		t.Errorf("pages %q", s.pages)
	}
	for _, f := range c.Check(t.Context()) {
		if !f.OK {
			t.Errorf("%+v", f)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{}
	ended := make(chan error, 1)
	go func() { ended <- c.Watch(ctx, w.push) }()
	w.until(t, "first", func(lines string) bool { return strings.Count(lines, "\n") == len(want)-1 })
	s.more <- *pod("new-1", "10.0.2.1", "n1", nil, nil)
	w.until(t, "a pod that came", func(lines string) bool { return strings.Contains(lines, "shop/new-1 [10.0.2.1]") })

	s.mu.Lock()
	s.denied = true
	s.mu.Unlock()
	h.CloseClientConnections()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "Unauthorized") || !strings.Contains(cloud.Mend(err), "the token is not valid") {
			t.Errorf("%v; mend %q", err, cloud.Mend(err))
		}
	case <-time.After(time.Minute):
		t.Error("a cluster that does not answer is not told of")
	}
	cancel()
}

func TestKubeconfigRefused(t *testing.T) {
	_, h := serve(t)
	for _, tc := range []struct{ name, file, want, mend string }{
		{"a program", kubeconfig(t, h.URL, h.Certificate().Raw, "exec: {command: gke-gcloud-auth-plugin, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never}"), "the sensor runs none", "service account"},
		{"no file", filepath.Join(t.TempDir(), "none"), "none: ", "can read it"},
		{"no such context", kubeconfig(t, h.URL, h.Certificate().Raw, "token: x"), "", "get-contexts"},
		{"no pod", "", "find the cluster", "cloud.kubernetes.kubeconfig"},
	} {
		c := Sources(Config{Kubeconfig: tc.file, Contexts: []string{map[bool]string{true: "nobody", false: "prod"}[tc.name == "no such context"]}})[0]
		if _, err := c.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(cloud.Mend(err), tc.mend) {
			t.Errorf("%s: %v; mend %q", tc.name, err, cloud.Mend(err))
		}
	}
	h.Close()
	c := Sources(Config{Kubeconfig: kubeconfig(t, h.URL, h.Certificate().Raw, "token: sesame"), Contexts: []string{"prod"}})[0]
	if _, err := c.Fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(cloud.Mend(err), "HTTPS") {
		t.Errorf("nobody there: %v; mend %q", err, cloud.Mend(err))
	}
}
