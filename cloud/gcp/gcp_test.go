package gcp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/api/option"

	"mirrorscope/cloud"
)

func fetch(t *testing.T, s cloud.Source) (*cloud.Snapshot, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return s.Fetch(ctx)
}

// TestFetchPages: 2,000 machines in three zones over pages, each once.
func TestFetchPages(t *testing.T) {
	f, s := newFake(t)
	for i := range 2000 {
		zone := "europe-west1-" + string(rune('b'+i%3))
		f.add("instances", "zones/"+zone, machine(fmt.Sprintf("m%04d", i), zone, fmt.Sprintf("10.1.%d.%d", i/256, i%256)))
	}
	snap, err := fetch(t, s)
	if err != nil || len(snap.Interfaces) != 2000 || len(snap.Instances) != 2000 || len(snap.Partial) != 0 {
		t.Fatalf("%v, %+v", err, snap)
	}
	seen := map[netip.Addr]bool{}
	for _, n := range snap.Interfaces {
		seen[n.Addresses[0]] = true
	}
	if len(seen) != 2000 || !slices.IsSortedFunc(snap.Interfaces, func(a, b cloud.Interface) int { return strings.Compare(a.ID, b.ID) }) {
		t.Errorf("%d different ones", len(seen))
	}
	want := []string{"instances ", "instances p500", "instances p1000", "instances p1500", "forwardingRules ", "addresses ", "subnetworks ", "routers "}
	if !slices.Equal(f.asked, want) {
		t.Errorf("asked %q", f.asked)
	}
	for _, q := range f.queries {
		if !strings.Contains(q, "maxResults=500") || !strings.Contains(q, "returnPartialSuccess=true") {
			t.Errorf("query %q", q)
		}
	}
}

// TestFetchEverything: all that the lists tell of addresses.
func TestFetchEverything(t *testing.T) {
	f, s := newFake(t)
	m := machine("web-1", "europe-west1-b", "10.0.0.5")
	m["labels"] = object{"service": "web", "goog-k8s-cluster-name": "prod"}
	m["tags"] = object{"items": []string{"http-server"}}
	m["metadata"] = object{"items": []object{{"key": "created-by", "value": "projects/123/zones/europe-west1-b/instanceGroupManagers/web-mig"}, {"key": "startup-script", "value": "secret"}}}
	nic := m["networkInterfaces"].([]object)[0]
	nic["aliasIpRanges"] = []object{{"ipCidrRange": "10.4.0.0/24", "subnetworkRangeName": "pods"}, {"ipCidrRange": "10.5.0.7"}}
	nic["accessConfigs"] = []object{{"type": "ONE_TO_ONE_NAT", "natIP": "198.51.100.7"}}
	nic["ipv6Address"], nic["internalIpv6PrefixLength"] = "fd20:1:2:3::", 96
	nic["ipv6AccessConfigs"] = []object{{"externalIpv6": "2001:db8::1"}}
	f.add("instances", "zones/europe-west1-b", m)
	bad := machine("odd", "europe-west1-c", "10.0.0.256")
	bad["status"] = "TERMINATED"
	f.add("instances", "zones/europe-west1-c", bad)
	region := urls + "shop-prod/regions/europe-west1"
	network, subnet := urls+"net-host/global/networks/prod", urls+"net-host/regions/europe-west1/subnetworks/front"
	f.add("forwardingRules", "regions/europe-west1",
		object{"name": "web-ilb", "region": region, "IPAddress": "10.0.0.80", "loadBalancingScheme": "INTERNAL", "network": network, "subnetwork": subnet, "backendService": region + "/backendServices/web"},
		object{"name": "web-ilb-udp", "region": region, "IPAddress": "10.0.0.80", "loadBalancingScheme": "INTERNAL", "network": network, "subnetwork": subnet, "backendService": region + "/backendServices/web-udp"},
		object{"name": "sql", "region": region, "IPAddress": "10.0.0.90", "network": network, "target": region + "/serviceAttachments/sql-1"})
	f.add("forwardingRules", "global", object{"name": "front", "IPAddress": "203.0.113.9", "loadBalancingScheme": "EXTERNAL_MANAGED", "target": urls + "shop-prod/global/targetHttpsProxies/front", "labels": object{"team": "shop"}},
		object{"name": "front6", "IPAddress": "2001:db8:9::/96", "loadBalancingScheme": "EXTERNAL", "target": urls + "shop-prod/global/targetHttpsProxies/front"})
	f.add("addresses", "regions/europe-west1",
		object{"name": "nat-1", "region": region, "address": "203.0.113.20", "addressType": "EXTERNAL", "selfLink": region + "/addresses/nat-1", "status": "IN_USE"},
		object{"name": "nat-auto-ip-1", "region": region, "address": "203.0.113.21", "purpose": "NAT_AUTO", "selfLink": region + "/addresses/nat-auto-ip-1", "users": []string{region + "/routers/out"}},
		object{"name": "spare", "region": region, "address": "203.0.113.22", "addressType": "EXTERNAL", "status": "RESERVED"})
	f.add("addresses", "global", object{"name": "google-managed", "address": "10.60.0.0", "prefixLength": 20, "purpose": "VPC_PEERING", "network": network})
	f.add("subnetworks", "regions/europe-west1",
		object{"name": "front", "region": region, "network": network, "ipCidrRange": "10.0.0.0/24", "purpose": "PRIVATE", "selfLink": subnet},
		object{"name": "proxies", "region": region, "network": network, "ipCidrRange": "10.0.9.0/26", "purpose": "REGIONAL_MANAGED_PROXY", "selfLink": urls + "net-host/regions/europe-west1/subnetworks/proxies"})
	f.add("routers", "regions/europe-west1", object{"name": "out", "region": region, "network": network, "nats": []object{{"name": "n", "natIps": []string{region + "/addresses/nat-1"}}}})

	snap, err := fetch(t, s)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range snap.Interfaces {
		got = append(got, fmt.Sprintf("%s: %s %s %s net %s sub %s %v %v %v", n.ID, n.Kind, n.Service, n.Zone, n.Network.ID, n.Subnet.ID, n.Addresses, n.Prefixes, n.Public))
	}
	want := []string{
		"net-host/europe-west1/proxies: load_balancer proxies  net net-host/prod sub net-host/europe-west1/proxies [] [10.0.9.0/26] []",
		"shop-prod/europe-west1-b/web-1/nic0: instance  europe-west1-b net net-host/prod sub net-host/europe-west1/front [10.0.0.5 fd20:1:2:3::] [fd20:1:2:3::/96 10.4.0.0/24 10.5.0.7/32] [198.51.100.7 2001:db8::1]",
		"shop-prod/europe-west1-c/odd/nic0: instance  europe-west1-c net net-host/prod sub net-host/europe-west1/front [] [] []",
		"shop-prod/europe-west1/nat-1: nat_gateway out  net  sub  [] [] [203.0.113.20]",
		"shop-prod/europe-west1/nat-auto-ip-1: nat_gateway out  net  sub  [] [] [203.0.113.21]",
		"shop-prod/europe-west1/sql: endpoint sql  net net-host/prod sub  [10.0.0.90] [] []",
		"shop-prod/europe-west1/web-ilb: load_balancer web-ilb  net net-host/prod sub net-host/europe-west1/front [10.0.0.80] [] []",
		"shop-prod/global/front6: load_balancer front6  net  sub  [] [2001:db8:9::/96] []",
		"shop-prod/global/front: load_balancer front  net  sub  [] [] [203.0.113.9]",
		"shop-prod/global/google-managed: managed google-managed  net net-host/prod sub  [] [10.60.0.0/20] []",
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if snap.Unread != 1 {
		t.Errorf("%d unread", snap.Unread)
	}
	i := slices.IndexFunc(snap.Interfaces, func(n cloud.Interface) bool { return n.Instance == "shop-prod/europe-west1-b/web-1" })
	n, launched := snap.Interfaces[i], time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	if n.Account != "shop-prod" || n.Region != "europe-west1" || n.Provider != "gcp" || !n.Attached.Equal(launched) || len(n.Groups) != 1 || n.Groups[0].Name != "http-server" {
		t.Errorf("%+v", n)
	}
	machines := map[string]cloud.Instance{}
	for _, m := range snap.Instances {
		machines[m.Name] = m
	}
	if m := machines["web-1"]; m.ID != "shop-prod/europe-west1-b/web-1" || m.Type != "e2-medium" || m.State != "running" || m.Group != "web-mig" || m.Cluster != "prod" || m.Tags["service"] != "web" || !m.Launched.Equal(launched) {
		t.Errorf("%+v", m)
	}
	if machines["odd"].State != "terminated" {
		t.Errorf("%+v", machines["odd"])
	}
}

// TestFetchPartial: a zone that does not answer is told of, in whichever way the API
// says so; and the Keeper keeps what was known of it.
func TestFetchPartial(t *testing.T) {
	f, s := newFake(t)
	for _, zone := range []string{"europe-west1-b", "europe-west1-c"} {
		f.add("instances", "zones/"+zone, machine("m-"+zone, zone, "10.0.0.1"))
	}
	c := cloud.DefaultConfig()
	c.Directory = t.TempDir()
	look := func() (cloud.State, *cloud.Snapshot) {
		var latest *cloud.Snapshot
		k, err := cloud.NewKeeper(c, []cloud.Source{s}, func(s *cloud.Snapshot) { latest = s }, slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err != nil {
			t.Fatal(err)
		}
		k.Load()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { k.Run(ctx); close(ended) }()
		for k.States()[0].Next.IsZero() {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
		<-ended
		return k.States()[0], latest
	}
	if st, snap := look(); st.Err != nil || len(snap.Interfaces) != 2 {
		t.Fatalf("%+v", st)
	}
	for _, inItems := range []bool{false, true} {
		f.missing, f.inItems = []string{"zones/europe-west1-c"}, inItems
		snap, err := fetch(t, s)
		if err != nil || !slices.Equal(snap.Partial, []string{"europe-west1-c"}) || len(snap.Interfaces) != 1 {
			t.Errorf("in items %v: %+v, %v", inItems, snap, err)
		}
		st, snap := look()
		if st.Err == nil || !strings.Contains(st.Err.Error(), "no answer from europe-west1-c") || len(snap.Interfaces) != 2 || len(snap.Instances) != 2 {
			t.Errorf("in items %v: %+v", inItems, st)
		}
	}
	f.missing = nil
	if st, snap := look(); st.Err != nil || len(snap.Interfaces) != 2 {
		t.Errorf("after all: %+v", st)
	}
}

// TestTroubles: what is refused for a while is asked for again; what an operator
// reads says what to do.
func TestTroubles(t *testing.T) {
	f, s := newFake(t)
	f.add("instances", "zones/europe-west1-b", machine("m", "europe-west1-b", "10.0.0.1"))
	n := 0
	f.refuse = func(list, _ string) (int, string, string) {
		if n++; list == "instances" && n <= 3 {
			return [...]int{403, 429, 503}[n-1], [...]string{"rateLimitExceeded", "rateLimitExceeded", "backendError"}[n-1], "later"
		}
		return 0, "", ""
	}
	if snap, err := fetch(t, s); err != nil || len(snap.Interfaces) != 1 {
		t.Errorf("throttled for a while: %v", err)
	}
	for _, tc := range []struct {
		status          int
		reason, message string
		asked           int
		wanted, mend    string
	}{
		{403, "rateLimitExceeded", "Rate Limit Exceeded", 5, "list in shop-prod by compute.routers.list: rateLimitExceeded: Rate Limit Exceeded", "requests_per_second"},
		{403, "forbidden", "Required 'compute.routers.list' permission for 'projects/shop-prod'", 1, "list in shop-prod by compute.routers.list: forbidden: Required", "grant compute.routers.list"},
		{403, "accessNotConfigured", "Compute Engine API has not been used in project 123 before or it is disabled.", 1, "accessNotConfigured", "gcloud services enable"},
		{403, "insufficientPermissions", "Request had insufficient authentication scopes.", 1, "insufficientPermissions", "set-service-account --scopes"},
		{404, "notFound", "The resource 'projects/shop-prod' was not found", 1, "notFound", "whether there is such a project"},
		{401, "authError", "Invalid Credentials", 1, "authError", "clock"},
		{500, "backendError", "Backend Error", 5, "backendError", ""},
	} {
		asked := 0
		f.refuse = func(list, _ string) (int, string, string) {
			if list != "routers" {
				return 0, "", ""
			}
			asked++
			return tc.status, tc.reason, tc.message
		}
		snap, err := fetch(t, s)
		if snap != nil || err == nil || !strings.Contains(err.Error(), tc.wanted) || !strings.Contains(cloud.Mend(err), tc.mend) || asked != tc.asked {
			t.Errorf("%d %s: %v; mend %q; asked %d times", tc.status, tc.reason, err, cloud.Mend(err), asked)
		}
	}
	f.refuse = nil
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	p := Sources(Config{Projects: []string{"shop-prod"}, RequestsPerSecond: 100})[0].(*project)
	p.backoff, p.options = time.Millisecond, []option.ClientOption{option.WithEndpoint(closed.URL + "/"), option.WithoutAuthentication()}
	_, err := fetch(t, p)
	if err == nil || !strings.HasSuffix(err.Error(), "connection refused") || !strings.Contains(cloud.Mend(err), "HTTPS") {
		t.Errorf("nobody there: %v; mend %q", err, cloud.Mend(err))
	}
}

// TestMachine: on a machine, where nothing else is configured, the metadata service
// gives project and token.
func TestMachine(t *testing.T) {
	f, s := newFake(t)
	f.add("instances", "zones/europe-west1-b", machine("m", "europe-west1-b", "10.0.0.1"))
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		switch {
		case r.Header.Get("Metadata-Flavor") != "Google":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/computeMetadata/v1/project/project-id":
			_, _ = io.WriteString(w, "shop-prod")
		case r.URL.Path == "/computeMetadata/v1/instance/service-accounts/default/token":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"ya29.token","expires_in":3599,"token_type":"Bearer"}`)
		case r.URL.Path == "/computeMetadata/v1/universe/universe-domain", r.URL.Path == "/computeMetadata/v1/universe/universe_domain":
			_, _ = io.WriteString(w, "googleapis.com")
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(metadata.Close)
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(metadata.URL, "http://"))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("CLOUDSDK_CONFIG", t.TempDir())
	t.Setenv("HOME", t.TempDir())
	p := Sources(DefaultConfig())[0].(*project)
	p.options = s.(*project).options[:1] // the endpoint
	snap, err := fetch(t, p)
	if err != nil || len(snap.Interfaces) != 1 || p.Name() != "gcp/here" || snap.Interfaces[0].Account != "shop-prod" {
		t.Fatalf("%s: %v", p.Name(), err)
	}
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	for name, tc := range map[string]struct{ content, want string }{
		"key.json":    {`{"type":"service_account"}`, "service_account"},
		"broken.json": {`{`, "error"},
		"other.json":  {`{"type":"gdch_service_account"}`, "error"},
	} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(tc.content), 0o600); err != nil {
			t.Fatal(err)
		}
		kind, err := credentialsType(file)
		if string(kind) != tc.want && !(tc.want == "error" && err != nil && strings.Contains(err.Error(), file)) {
			t.Errorf("%s: %q, %v", name, kind, err)
		}
	}
	p := Sources(Config{Projects: []string{"shop-prod"}, Credentials: filepath.Join(dir, "none.json"), RequestsPerSecond: 1})[0]
	if _, err := fetch(t, p); err == nil || !strings.Contains(err.Error(), "none.json: no such file") || cloud.Mend(err) == "" {
		t.Errorf("%v", err)
	}
}

func TestCheck(t *testing.T) {
	f, s := newFake(t)
	tell := func() (lines []string) {
		for _, x := range s.(cloud.Checker).Check(t.Context()) {
			lines = append(lines, fmt.Sprint(x.OK, " ", x.About))
			if !x.OK && (x.Mend == "" || x.Why == "") {
				t.Errorf("no mend or why: %+v", x)
			}
		}
		return lines
	}
	want := []string{"true credentials", "true compute.instances.list", "true compute.forwardingRules.list", "true compute.addresses.list", "true compute.subnetworks.list", "true compute.routers.list"}
	if got := tell(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	f.refuse = func(list, _ string) (int, string, string) {
		if list == "addresses" {
			return 403, "forbidden", "Required 'compute.addresses.list' permission"
		}
		return 0, "", ""
	}
	want[3] = "false compute.addresses.list"
	if got := tell(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestConfig(t *testing.T) {
	c := Config{Projects: []string{"shop-prod", "123456", "shop-prod", "example.com:shop-prod"}}
	err := c.Validate()
	for _, want := range []string{`projects: "123456"`, "projects: shop-prod is there twice", "requests_per_second: 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate lacks %q: %v", want, err)
		}
	}
	if strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v", err)
	}
	c = DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestReach(t *testing.T) {
	t.Setenv("GCE_METADATA_HOST", "127.0.0.1:8181")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "/opt/key.json")
	r := Reach(Config{Credentials: "/etc/mirrorscope/gcp.json"})
	if !slices.Contains(r.Ports, 8181) || !slices.Contains(r.Files, "/opt/key.json") || !slices.Contains(r.Files, "/etc/mirrorscope/gcp.json") {
		t.Errorf("%+v", r)
	}
}
