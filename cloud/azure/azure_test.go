package azure

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/time/rate"

	inventory "mirrorscope/cloud"
)

func fetch(t *testing.T, s inventory.Source) (*inventory.Snapshot, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return s.Fetch(ctx)
}

// TestFetchPages: 2,000 interfaces and machines over pages, each once.
func TestFetchPages(t *testing.T) {
	f, s := newFake(t)
	f.page = 300
	for i := range 2000 {
		vm := in("Shop", "Microsoft.Compute/virtualMachines", fmt.Sprintf("vm%04d", i))
		f.add(machineList, object{"id": strings.ToUpper(vm), "name": fmt.Sprintf("vm%04d", i), "location": "westeurope", "zones": []string{"2"}, "properties": object{}})
		f.add(nicList, nic(fmt.Sprintf("nic%04d", i), fmt.Sprintf("10.1.%d.%d", i/256, i%256), vm))
	}
	snap, err := fetch(t, s)
	if err != nil || len(snap.Interfaces) != 2000 || len(snap.Instances) != 2000 {
		t.Fatalf("%v", err)
	}
	seen := map[string]bool{}
	for _, n := range snap.Interfaces {
		seen[n.Addresses[0].String()] = true
		if n.Zone != "westeurope-2" || n.Network.ID != strings.ToLower(vnet) || n.Network.Name != "Hub" || n.Subnet.Name != "Front" || n.Subnet.ID != strings.ToLower(vnet)+"/subnets/front" {
			t.Fatalf("%+v", n)
		}
	}
	pages := map[string]int{}
	for _, list := range f.asked {
		pages[list]++
	}
	if len(seen) != 2000 || pages[strings.ToLower(nicList)] != 7 || pages[strings.ToLower(machineList)] != 7 {
		t.Errorf("%d different ones, pages %v", len(seen), pages)
	}
}

// TestFetchEverything: all that the lists tell of addresses.
func TestFetchEverything(t *testing.T) {
	f, s := newFake(t)
	ip := func(name, address string, more ...object) {
		p := object{"ipAddress": address}
		for _, m := range more {
			for k, v := range m {
				p[k] = v
			}
		}
		f.add(publicList, object{"id": in("Shop", "Microsoft.Network/publicIPAddresses", name), "name": name, "location": "westeurope", "properties": p})
	}
	ip("web-ip", "198.51.100.7")
	ip("lb-ip", "203.0.113.9")
	ip("nat-ip", "203.0.113.20", object{"natGateway": object{"id": in("Net", "Microsoft.Network/natGateways", "out")}})
	vm := in("Shop", "Microsoft.Compute/virtualMachines", "Web-1")
	f.add(machineList, object{
		"id": vm, "name": "Web-1", "location": "westeurope", "zones": []string{"1"}, "tags": object{"service": "web", "aks-managed-cluster-name": "prod"},
		"properties": object{
			"hardwareProfile": object{"vmSize": "Standard_D2s_v5"}, "timeCreated": "2026-11-01T12:00:00Z",
			"virtualMachineScaleSet": object{"id": in("Shop", "Microsoft.Compute/virtualMachineScaleSets", "Flex")},
		},
	})
	web := nic("web-nic", "10.0.0.5", strings.ToUpper(vm))
	web["tags"] = object{"team": "shop"}
	p := web["properties"].(object)
	p["macAddress"] = "00-0D-3A-11-22-33"
	p["networkSecurityGroup"] = object{"id": in("Shop", "Microsoft.Network/networkSecurityGroups", "web-nsg")}
	subnet := object{"id": vnet + "/subnets/Front"}
	p["ipConfigurations"] = []object{
		{"name": "second", "properties": object{"privateIPAddress": "10.0.0.6", "subnet": subnet}},
		{"name": "pods", "properties": object{"privateIPAddress": "10.0.4.16", "privateIPAddressPrefixLength": 28, "subnet": subnet}},
		{"name": "first", "properties": object{
			"primary": true, "privateIPAddress": "10.0.0.5", "subnet": subnet, "publicIPAddress": object{"id": strings.ToLower(in("Shop", "Microsoft.Network/publicIPAddresses", "web-ip"))},
			"applicationSecurityGroups": []object{{"id": in("Shop", "Microsoft.Network/applicationSecurityGroups", "web-asg")}},
		}},
		{"name": "six", "properties": object{"privateIPAddress": "fd00::5", "privateIPAddressVersion": "IPv6", "subnet": subnet}},
		{"name": "odd", "properties": object{"privateIPAddress": "10.0.0.300", "subnet": subnet}},
	}
	endpoint := nic("pe-nic", "10.0.0.90", "")
	endpoint["properties"].(object)["privateEndpoint"] = object{"id": in("Shop", "Microsoft.Network/privateEndpoints", "sql-pe")}
	loose := nic("loose", "10.0.0.91", "")
	f.add(nicList, web, endpoint, loose)
	f.add(balancers, object{"id": in("Shop", "Microsoft.Network/loadBalancers", "front"), "name": "front", "location": "westeurope", "properties": object{"frontendIPConfigurations": []object{
		{"id": in("Shop", "Microsoft.Network/loadBalancers", "front/frontendIPConfigurations/in"), "name": "in", "properties": object{"privateIPAddress": "10.0.0.80", "subnet": subnet}},
		{"id": in("Shop", "Microsoft.Network/loadBalancers", "front/frontendIPConfigurations/out"), "name": "out", "properties": object{"publicIPAddress": object{"id": in("Shop", "Microsoft.Network/publicIPAddresses", "lb-ip")}}},
	}}})
	nodes := in("MC_prod", "Microsoft.Compute/virtualMachineScaleSets", "aks-nodes")
	f.add(setList,
		object{"id": nodes, "name": "aks-nodes", "location": "westeurope", "properties": object{"orchestrationMode": "Uniform"}},
		object{"id": in("Shop", "Microsoft.Compute/virtualMachineScaleSets", "Flex"), "name": "Flex", "properties": object{"orchestrationMode": "Flexible"}},
		object{"id": in("Shop", "Microsoft.Compute/virtualMachineScaleSets", "vanished"), "name": "vanished", "properties": object{"orchestrationMode": "Uniform"}})
	below := strings.TrimPrefix(nodes, "/subscriptions/"+ours+"/")
	f.add(below+"/virtualMachines", object{
		"id": nodes + "/virtualMachines/0", "name": "aks-nodes_0", "instanceId": "0", "location": "westeurope", "zones": []string{"3"}, "sku": object{"name": "Standard_D4s_v5"},
		"properties": object{"osProfile": object{"computerName": "aks-nodes000000"}, "timeCreated": "2026-11-02T12:00:00Z"},
	})
	node := nic("node-nic", "10.0.1.4", nodes+"/virtualMachines/0")
	f.add(below+"/networkInterfaces", node)

	snap, err := fetch(t, s)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range snap.Interfaces {
		got = append(got, fmt.Sprintf("%s: %s %s zone %s net %s %v %v %v on %s", n.Name, n.Kind, n.Service, n.Zone, n.Network.Name, n.Addresses, n.Prefixes, n.Public, strings.TrimPrefix(n.Instance, "/subscriptions/"+ours+"/")))
	}
	want := []string{
		"nat-ip: nat_gateway out zone  net  [] [] [203.0.113.20] on ",
		"web-nic: instance  zone westeurope-1 net Hub [10.0.0.5 10.0.0.6 fd00::5] [10.0.4.16/28] [198.51.100.7] on resourcegroups/shop/providers/microsoft.compute/virtualmachines/web-1",
		"pe-nic: endpoint sql-pe zone  net Hub [10.0.0.90] [] [] on ",
		"loose:   zone  net Hub [10.0.0.91] [] [] on ",
		"node-nic: instance  zone westeurope-3 net Hub [10.0.1.4] [] [] on resourcegroups/mc_prod/providers/microsoft.compute/virtualmachinescalesets/aks-nodes/virtualmachines/0",
		"in: load_balancer front zone  net Hub [10.0.0.80] [] [] on ",
		"out: load_balancer front zone  net  [] [] [203.0.113.9] on ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if snap.Unread != 1 {
		t.Errorf("%d unread", snap.Unread)
	}
	n := snap.Interfaces[1]
	if n.MAC != "00:0d:3a:11:22:33" || n.Account != ours || n.Region != "westeurope" || n.Tags["team"] != "shop" || len(n.Groups) != 2 || n.Groups[0].Name != "web-nsg" || n.Groups[1].Name != "web-asg" {
		t.Errorf("%+v", n)
	}
	var machines []string
	for _, m := range snap.Instances {
		machines = append(machines, fmt.Sprint(m.Name, " ", m.Type, " ", m.Group, " ", m.Cluster, " ", m.Launched.Format(time.RFC3339), " ", m.Tags["service"]))
	}
	if want := []string{"Web-1 Standard_D2s_v5 Flex prod 2026-11-01T12:00:00Z web", "aks-nodes000000 Standard_D4s_v5 aks-nodes  2026-11-02T12:00:00Z "}; !slices.Equal(machines, want) {
		t.Errorf("machines %q", machines)
	}
}

// TestTroubles: what is refused for a while is asked for again; what an operator
// reads is the same each time, and says what to do.
func TestTroubles(t *testing.T) {
	f, s := newFake(t)
	f.page = 1
	f.add(nicList, nic("a", "10.0.0.1", ""), nic("b", "10.0.0.2", ""), nic("c", "10.0.0.3", ""))
	n := 0
	f.refuse = func(list string, _ int) (int, string, string) {
		if list == strings.ToLower(nicList) {
			if n++; n <= 2 {
				return [...]int{429, 503}[n-1], "TooManyRequests", "later"
			}
		}
		return 0, "", ""
	}
	if snap, err := fetch(t, s); err != nil || len(snap.Interfaces) != 3 {
		t.Errorf("throttled for a while: %v", err)
	}
	for _, tc := range []struct {
		status              int
		code, message, want string
		mend                string
	}{
		{403, "AuthorizationFailed", "The client 'x' does not have authorization to perform action 'Microsoft.Network/networkInterfaces/read'", "list in " + ours + " by Microsoft.Network/networkInterfaces/read: AuthorizationFailed: The client 'x'", "grant Microsoft.Network/networkInterfaces/read"},
		{429, "SubscriptionRequestsThrottled", "Number of requests exceeded", "SubscriptionRequestsThrottled: Number of requests exceeded", "requests_per_second"},
		{404, "SubscriptionNotFound", "The subscription could not be found.", "SubscriptionNotFound", "whether there is such a subscription"},
		{401, "InvalidAuthenticationTokenTenant", "The access token is from the wrong issuer", "InvalidAuthenticationTokenTenant", "tenant"},
		{500, "InternalServerError", "oops", "InternalServerError: oops", ""},
	} {
		texts := map[string]bool{}
		f.refuse = func(list string, skip int) (int, string, string) {
			if list == strings.ToLower(nicList) && skip == 2 { // the third page
				return tc.status, tc.code, tc.message
			}
			return 0, "", ""
		}
		for range 2 {
			snap, err := fetch(t, s)
			if snap != nil || err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(inventory.Mend(err), tc.mend) {
				t.Fatalf("%d: %v; mend %q", tc.status, err, inventory.Mend(err))
			}
			texts[err.Error()] = true
		}
		if len(texts) != 1 {
			t.Errorf("differs each time: %v", texts)
		}
	}
	f.refuse = nil
	closed := httptest.NewTLSServer(http.NotFoundHandler())
	closed.Close()
	services := s.options.Cloud.Services
	for name, c := range services {
		c.Endpoint = closed.URL
		services[name] = c
	}
	if _, err := fetch(t, s); err == nil || !strings.HasSuffix(err.Error(), "connection refused") || !strings.Contains(inventory.Mend(err), "HTTPS") {
		t.Errorf("nobody there: %v; mend %q", err, inventory.Mend(err))
	}
}

// TestMachine: where nothing else is configured, the metadata service gives
// subscription and token.
func TestMachine(t *testing.T) {
	f, s := newFake(t)
	f.add(nicList, nic("a", "10.0.0.1", ""))
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Metadata") != "true":
			w.WriteHeader(http.StatusBadRequest)
		case r.URL.Path == "/metadata/instance/compute/subscriptionId":
			_, _ = io.WriteString(w, strings.ToUpper(ours))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(metadata.Close)
	s.id, s.machine = "", metadata.URL+"/metadata/instance/compute/subscriptionId"
	snap, err := fetch(t, s)
	if err != nil || len(snap.Interfaces) != 1 || s.Name() != "azure/here" || snap.Interfaces[0].Account != ours {
		t.Fatalf("%s: %v", s.Name(), err)
	}
	metadata.Close()
	s.real = ""
	if _, err := fetch(t, s); err == nil || !strings.Contains(err.Error(), "no subscription is known") || inventory.Mend(err) != "set cloud.azure.subscriptions" {
		t.Errorf("%v", err)
	}
}

// TestCredentials: none in the environment, and a machine without an identity.
func TestCredentials(t *testing.T) {
	for _, name := range []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_CLIENT_CERTIFICATE_PATH"} {
		t.Setenv(name, "")
	}
	_, s := newFake(t)
	s.credential = nil
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":"invalid_request","error_description":"Identity not found"}`)
	}))
	t.Cleanup(refusing.Close)
	s.options.Transport = to(refusing.URL)
	_, err := fetch(t, s)
	if err == nil || !strings.Contains(err.Error(), "there are no credentials") || inventory.Mend(err) != noCredentials {
		t.Errorf("%v; mend %q", err, inventory.Mend(err))
	}
}

// to sends every request to one server.
type to string

func (h to) Do(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", strings.TrimPrefix(string(h), "http://")
	return http.DefaultClient.Do(r)
}

func TestCheck(t *testing.T) {
	f, s := newFake(t)
	f.add(nicList, nic("a", "10.0.0.1", ""))
	tell := func() (lines []string) {
		for _, x := range s.Check(t.Context()) {
			lines = append(lines, fmt.Sprint(x.OK, " ", strings.TrimPrefix(x.About, "Microsoft.")))
			if !x.OK && (x.Mend == "" || x.Why == "") {
				t.Errorf("no mend or why: %+v", x)
			}
		}
		return lines
	}
	want := []string{"true Network/networkInterfaces/read", "true Network/publicIPAddresses/read", "true Network/loadBalancers/read", "true Compute/virtualMachines/read", "true Compute/virtualMachineScaleSets/read"}
	if got := tell(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	f.refuse = func(list string, _ int) (int, string, string) {
		if list == strings.ToLower(publicList) {
			return 403, "AuthorizationFailed", "no"
		}
		return 0, "", ""
	}
	f.lists = map[string][]object{}
	want[0], want[1] = "false Network/networkInterfaces/read", "false Network/publicIPAddresses/read"
	if got := tell(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// TestRate: each attempt of a request waits for room.
func TestRate(t *testing.T) {
	f, s := newFake(t)
	f.add(nicList, nic("a", "10.0.0.1", ""))
	limit := rate.NewLimiter(20, 1)
	s.options.PerRetryPolicies = append(s.options.PerRetryPolicies, slow{limit})
	n := 0
	f.refuse = func(string, int) (int, string, string) {
		if n++; n <= 2 {
			return 503, "Busy", "later"
		}
		return 0, "", ""
	}
	began := time.Now()
	if _, err := fetch(t, s); err != nil {
		t.Fatal(err)
	}
	// Seven attempts: five lists, one of them three times. Never sooner, however
	// slow the machine is.
	if took := time.Since(began); len(f.asked) != 7 || took < 6*time.Second/20 {
		t.Errorf("%d requests in %v at 20/s", len(f.asked), took)
	}
}

func TestConfig(t *testing.T) {
	c := Config{Subscriptions: []string{ours, "prod", strings.ToUpper(ours)}, Cloud: "mars", ClientID: "me"}
	err := c.Validate()
	for _, want := range []string{`subscriptions: "prod"`, "is there twice", `cloud: "mars"`, `client_id: "me"`, "requests_per_second: 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate lacks %q: %v", want, err)
		}
	}
	c = DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestReach(t *testing.T) {
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/azure/tokens/azure-identity-token")
	t.Setenv("IDENTITY_ENDPOINT", "http://localhost:40342/metadata/identity/oauth2/token")
	r := Reach(DefaultConfig())
	if !slices.Contains(r.Ports, 40342) || !slices.Contains(r.Ports, 443) || !slices.Contains(r.Files, "/var/run/secrets/azure/tokens/azure-identity-token") {
		t.Errorf("%+v", r)
	}
}
