package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"mirrorscope/cloud"
)

var began = time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)

// inFake is a cluster that a fake clientset holds.
func inFake(client *fake.Clientset) *cluster {
	quiet()
	c := Sources(Config{Cluster: "prod"})[0].(*cluster)
	c.settle, c.apart = 10*time.Millisecond, 20*time.Millisecond
	c.connect = func() (*lists, error) {
		return newLists(
			&cache.ListWatch{
				ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
					return client.CoreV1().Pods("").List(ctx, o)
				},
				WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
					return client.CoreV1().Pods("").Watch(ctx, o)
				},
			},
			&cache.ListWatch{
				ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
					return client.CoreV1().Services("").List(ctx, o)
				},
				WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
					return client.CoreV1().Services("").Watch(ctx, o)
				},
			},
			&cache.ListWatch{
				ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
					return client.CoreV1().Nodes().List(ctx, o)
				},
				WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
					return client.CoreV1().Nodes().Watch(ctx, o)
				},
			},
			&cache.ListWatch{
				ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
					return client.DiscoveryV1().EndpointSlices("").List(ctx, o)
				},
				WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
					return client.DiscoveryV1().EndpointSlices("").Watch(ctx, o)
				},
			},
		), nil
	}
	return c
}

func object(name, namespace string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: namespace, UID: types.UID("uid-" + namespace + "-" + name), Labels: labels, CreationTimestamp: metav1.NewTime(began)}
}

func pod(name, ip, node string, owner *metav1.OwnerReference, labels map[string]string) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: object(name, "shop", labels), Spec: corev1.PodSpec{NodeName: node},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: ip, StartTime: &metav1.Time{Time: began.Add(time.Minute)}},
	}
	if ip != "" {
		p.Status.PodIPs = []corev1.PodIP{{IP: ip}}
	}
	if owner != nil {
		yes := true
		owner.Controller = &yes
		p.OwnerReferences = []metav1.OwnerReference{*owner}
	}
	return p
}

func node(name, ip, provider string) *corev1.Node {
	return &corev1.Node{
		ObjectMeta: object(name, "", map[string]string{corev1.LabelTopologyZone: "eu-central-1a", corev1.LabelTopologyRegion: "eu-central-1"}),
		Spec:       corev1.NodeSpec{ProviderID: provider},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: ip}, {Type: corev1.NodeHostName, Address: name}}},
	}
}

// objects are a cluster with one of each kind that matters.
func objects() []runtime.Object {
	web := pod("web-5d8f-x1", "10.0.1.5", "n1", &metav1.OwnerReference{Kind: "ReplicaSet", Name: "web-5d8f"}, map[string]string{"pod-template-hash": "5d8f", "app.kubernetes.io/name": "web"})
	web.Status.PodIPs = append(web.Status.PodIPs, corev1.PodIP{IP: "fd00::5"})
	host := pod("agent", "10.0.0.11", "n1", &metav1.OwnerReference{Kind: "DaemonSet", Name: "agent"}, nil)
	host.Spec.HostNetwork = true
	done := pod("done", "10.0.1.99", "n1", nil, nil)
	done.Status.Phase = corev1.PodSucceeded
	return []runtime.Object{
		node("n1", "10.0.0.11", "aws:///eu-central-1a/i-0abc"),
		web, host, done,
		pod("db-0", "10.0.1.6", "n1", &metav1.OwnerReference{Kind: "StatefulSet", Name: "db"}, nil),
		pod("report-29400000-k2", "10.0.1.7", "n1", &metav1.OwnerReference{Kind: "Job", Name: "report-29400000"}, nil),
		pod("import-x", "10.0.1.8", "n1", &metav1.OwnerReference{Kind: "Job", Name: "import"}, nil),
		pod("bare-rs", "10.0.1.9", "n1", &metav1.OwnerReference{Kind: "ReplicaSet", Name: "byhand"}, nil),
		pod("static", "10.0.1.10", "n1", &metav1.OwnerReference{Kind: "Node", Name: "n1"}, nil),
		pod("waiting", "", "", nil, nil),
		pod("odd", "10.0.1.300", "elsewhere", nil, nil),
		&corev1.Service{
			ObjectMeta: object("web", "shop", map[string]string{"team": "shop"}),
			Spec:       corev1.ServiceSpec{ClusterIP: "172.20.0.10", ClusterIPs: []string{"172.20.0.10", "fd01::10"}, ExternalIPs: []string{"10.9.9.9"}},
			Status:     corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "198.51.100.9"}, {Hostname: "x.elb.example"}}}},
		},
		&corev1.Service{ObjectMeta: object("headless", "shop", nil), Spec: corev1.ServiceSpec{ClusterIP: "None", ClusterIPs: []string{"None"}}},
		&discoveryv1.EndpointSlice{
			ObjectMeta: object("web-abc", "shop", map[string]string{discoveryv1.LabelServiceName: "web"}),
			Endpoints:  []discoveryv1.Endpoint{{TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "web-5d8f-x1"}}, {Addresses: []string{"10.0.1.6"}}},
		},
		&discoveryv1.EndpointSlice{
			ObjectMeta: object("all-abc", "shop", map[string]string{discoveryv1.LabelServiceName: "all"}),
			Endpoints: []discoveryv1.Endpoint{
				{TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "web-5d8f-x1", Namespace: "shop"}}, {TargetRef: &corev1.ObjectReference{Kind: "Pod", Name: "db-0", Namespace: "shop"}},
			},
		},
	}
}

// told gives a line for each interface.
func told(s *cloud.Snapshot) []string {
	var lines []string
	for _, i := range s.Interfaces {
		o := i.Object
		lines = append(lines, fmt.Sprintf("%s %s/%s %v %v on %q in %q: %s %s %v", i.Kind, o.Namespace, o.Name, i.Addresses, i.Public, i.Instance, i.Zone, o.WorkloadKind, o.Workload, o.Services))
	}
	return lines
}

var want = []string{
	`node /n1 [10.0.0.11] [] on "i-0abc" in "eu-central-1a":   []`,
	`pod shop/bare-rs [10.0.1.9] [] on "i-0abc" in "eu-central-1a": ReplicaSet byhand []`,
	`pod shop/db-0 [10.0.1.6] [] on "i-0abc" in "eu-central-1a": StatefulSet db [all]`,
	`pod shop/import-x [10.0.1.8] [] on "i-0abc" in "eu-central-1a": Job import []`,
	`pod shop/report-29400000-k2 [10.0.1.7] [] on "i-0abc" in "eu-central-1a": CronJob report []`,
	`pod shop/static [10.0.1.10] [] on "i-0abc" in "eu-central-1a":   []`,
	`service shop/web [172.20.0.10 fd01::10 10.9.9.9] [198.51.100.9] on "" in "":   [web]`,
	`pod shop/web-5d8f-x1 [10.0.1.5 fd00::5] [] on "i-0abc" in "eu-central-1a": Deployment web [all web]`,
}

func TestFetch(t *testing.T) {
	c := inFake(fake.NewClientset(objects()...))
	c.network = "vpc-1"
	snap, err := c.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := told(snap); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if snap.Unread != 1 {
		t.Errorf("%d unread", snap.Unread)
	}
	for _, i := range snap.Interfaces {
		since := began
		if i.Kind == cloud.KindPod {
			since = began.Add(time.Minute) // from its start, not from when it was thought of
		}
		if i.Account != "prod" || i.Provider != "kubernetes" || i.Network.ID != "vpc-1" || !i.Attached.Equal(since) || i.ID == "" {
			t.Errorf("%+v", i)
		}
	}
	if i := snap.Interfaces[7]; i.Tags["app.kubernetes.io/name"] != "web" || i.Object.Node != "n1" {
		t.Errorf("%+v", i)
	}
}

// watched runs a cluster, and gives its latest Snapshot.
type watched struct {
	mu   sync.Mutex
	last *cloud.Snapshot
	n    int
}

func (w *watched) push(s *cloud.Snapshot) {
	w.mu.Lock()
	w.last, w.n = s, w.n+1
	w.mu.Unlock()
}

// until waits for a Snapshot in which something is so.
func (w *watched) until(t *testing.T, what string, ok func(lines string) bool) {
	t.Helper()
	lines := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		w.mu.Lock()
		if w.last != nil {
			lines = strings.Join(told(w.last), "\n")
		}
		w.mu.Unlock()
		if ok(lines) {
			return
		}
	}
	t.Fatalf("%s: still\n%s", what, lines)
}

// TestWatch: the first Snapshot is whole; pods that come, move and go are in the next;
// a thousand changes are not a thousand Snapshots.
func TestWatch(t *testing.T) {
	client := fake.NewClientset(objects()...)
	c := inFake(client)
	ctx, cancel := context.WithCancel(t.Context())
	w := &watched{}
	ended := make(chan error, 1)
	go func() { ended <- c.Watch(ctx, w.push) }()
	w.until(t, "first", func(lines string) bool { return lines != "" })
	w.mu.Lock()
	if got := told(w.last); !slices.Equal(got, want) {
		t.Errorf("the first is not whole:\n%s", strings.Join(got, "\n"))
	}
	w.mu.Unlock()

	pods := client.CoreV1().Pods("shop")
	if _, err := pods.Create(ctx, pod("new-1", "10.0.2.1", "n1", nil, nil), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until(t, "a pod that came", func(lines string) bool { return strings.Contains(lines, "shop/new-1 [10.0.2.1]") })
	if _, err := pods.Update(ctx, pod("new-1", "10.0.2.2", "n1", nil, nil), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until(t, "a pod with another address", func(lines string) bool { return strings.Contains(lines, "shop/new-1 [10.0.2.2]") })
	if err := pods.Delete(ctx, "new-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	w.until(t, "a pod that went", func(lines string) bool { return !strings.Contains(lines, "new-1") })

	w.mu.Lock()
	before := w.n
	w.mu.Unlock()
	start := time.Now()
	for i := range 1000 {
		if _, err := pods.Create(ctx, pod(fmt.Sprint("many-", i), fmt.Sprintf("10.3.%d.%d", i/250, i%250+1), "n1", nil, nil), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w.until(t, "a thousand", func(lines string) bool { return strings.Count(lines, "shop/many-") == 1000 })
	w.mu.Lock()
	if n, most := w.n-before, int(time.Since(start)/c.apart)+2; n > most {
		t.Errorf("%d snapshots in %v", n, time.Since(start))
	}
	w.mu.Unlock()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestWatchDenied: what is forbidden is told with what to do, and nothing of half a
// cluster goes out; once it is allowed, the Keeper goes on by itself.
func TestWatchDenied(t *testing.T) {
	client := fake.NewClientset(objects()...)
	var mu sync.Mutex
	deny := true
	client.PrependReactor("list", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		if !deny {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", errors.New(`User "system:serviceaccount:mirrorscope:sensor" cannot list resource "services"`))
	})
	c := inFake(client)
	pushed := 0
	err := c.Watch(t.Context(), func(*cloud.Snapshot) { pushed++ })
	if err == nil || !strings.Contains(err.Error(), "list services: Forbidden: services is forbidden") || !strings.Contains(cloud.Mend(err), "allow list of services") || pushed != 0 {
		t.Errorf("%v; mend %q; %d pushed", err, cloud.Mend(err), pushed)
	}
	findings := c.Check(t.Context())
	var got []string
	for _, f := range findings {
		got = append(got, fmt.Sprint(f.OK, " ", f.About))
		if !f.OK && f.Mend == "" {
			t.Errorf("%+v", f)
		}
	}
	if !slices.Equal(got, []string{"true nodes", "false list services", "true endpointslices", "true pods"}) {
		t.Errorf("%q", got)
	}
	mu.Lock()
	deny = false
	mu.Unlock()
	cfg := cloud.DefaultConfig()
	cfg.Directory = t.TempDir()
	w := &watched{}
	k, err := cloud.NewKeeper(cfg, []cloud.Source{c}, w.push, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { k.Run(ctx); close(ended) }()
	w.until(t, "allowed", func(lines string) bool { return strings.Count(lines, "\n") == len(want)-1 })
	cancel()
	<-ended
	if snap, err := (cloud.Store{Directory: cfg.Directory}).Load("kubernetes/prod"); err != nil || len(snap.Interfaces) != len(want) {
		t.Errorf("on disk: %+v, %v", snap, err)
	}
}

// TestSlim: what a Snapshot is made of is there yet, and nothing else.
func TestSlim(t *testing.T) {
	whole, kept := newBuilder(&cluster{}), newBuilder(&cluster{})
	for _, o := range objects() {
		if p, ok := o.(*corev1.Pod); ok {
			p.Annotations = map[string]string{"secret": "x"}
			p.Spec.Containers = []corev1.Container{{Env: []corev1.EnvVar{{Name: "PASSWORD", Value: "x"}}}}
		}
		whole.add(o)
		v, err := slim(o)
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := v.(*corev1.Pod); ok && (p.Annotations != nil || p.Spec.Containers != nil) {
			t.Errorf("%+v", p)
		}
		kept.add(v.(runtime.Object))
	}
	if a, b := told(whole.snapshot()), told(kept.snapshot()); !slices.Equal(a, b) {
		t.Errorf("whole\n%s\nkept\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

func TestMachine(t *testing.T) {
	for id, want := range map[string]string{
		"aws:///eu-central-1a/i-0123456789abcdef0":                                                  "i-0123456789abcdef0",
		"aws:///eu-central-1a/fargate-ip-10-0-0-1":                                                  "",
		"gce://shop-prod/europe-west1-b/gke-node-1":                                                 "shop-prod/europe-west1-b/gke-node-1",
		"azure:///subscriptions/A/resourceGroups/MC/providers/Microsoft.Compute/virtualMachines/n1": "/subscriptions/a/resourcegroups/mc/providers/microsoft.compute/virtualmachines/n1",
		"kind://docker/kind/node":                                                                   "", "": "", "x": "",
	} {
		if got := machine(id); got != want {
			t.Errorf("%s is %q, want %q", id, got, want)
		}
	}
}

func TestConfig(t *testing.T) {
	c := Config{Kubeconfig: "here", Contexts: []string{"a", "a"}, Cluster: "x"}
	err := c.Validate()
	for _, want := range []string{`kubeconfig: "here"`, `contexts: "a"`, "cluster: several"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate lacks %q: %v", want, err)
		}
	}
	c = Config{Contexts: []string{"a"}}
	if err := c.Validate(); err == nil {
		t.Error("contexts without a file")
	}
	var names []string
	for _, s := range Sources(Config{Contexts: []string{"a", "b"}}) {
		names = append(names, s.Name())
	}
	if !slices.Equal(names, []string{"kubernetes/a", "kubernetes/b"}) || Sources(Config{})[0].Name() != "kubernetes/cluster" {
		t.Errorf("%q", names)
	}
}
