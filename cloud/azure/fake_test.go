package azure

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	inventory "mirrorscope/cloud"
)

const ours = "0a1b2c3d-0000-4000-8000-00000000000a"

// object is JSON as the API writes it.
type object = map[string]any

// fake is the part of Azure Resource Manager that has lists: by the path of the
// list, in lower case and without the subscription.
type fake struct {
	url    string
	mu     sync.Mutex
	lists  map[string][]object
	page   int                                               // items of a page; 0: all
	refuse func(list string, skip int) (int, string, string) // status, code, message
	asked  []string
	tokens int
}

func newFake(t *testing.T) (*fake, *subscription) {
	t.Helper()
	f := &fake{lists: map[string][]object{}}
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	c := DefaultConfig()
	c.Enabled, c.Subscriptions, c.RequestsPerSecond = true, []string{strings.ToUpper(ours)}, 25
	s := Sources(c)[0].(*subscription)
	s.credential = token{f}
	s.options.Transport = server.Client()
	s.options.Cloud = cloud.Configuration{
		ActiveDirectoryAuthorityHost: server.URL,
		Services:                     map[cloud.ServiceName]cloud.ServiceConfiguration{cloud.ResourceManager: {Endpoint: server.URL, Audience: "https://management.example"}},
	}
	s.options.Retry = policy.RetryOptions{MaxRetries: 3, RetryDelay: time.Millisecond, MaxRetryDelay: time.Millisecond}
	s.options.PerRetryPolicies = nil
	return f, s
}

// token is a credential that always has one.
type token struct{ f *fake }

func (t token) GetToken(_ context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if len(o.Scopes) != 1 || o.Scopes[0] != "https://management.example/.default" {
		return azcore.AccessToken{}, fmt.Errorf("scopes %q", o.Scopes)
	}
	t.f.mu.Lock()
	defer t.f.mu.Unlock()
	t.f.tokens++
	return azcore.AccessToken{Token: "token", ExpiresOn: time.Now().Add(time.Hour)}, nil
}

func (f *fake) add(list string, items ...object) {
	list = strings.ToLower(list)
	f.lists[list] = append(f.lists[list], items...)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, ok := strings.CutPrefix(strings.ToLower(r.URL.Path), "/subscriptions/"+ours+"/")
	skip, _ := strconv.Atoi(r.URL.Query().Get("$skiptoken"))
	f.asked = append(f.asked, list)
	w.Header().Set("Content-Type", "application/json")
	refuse := func(status int, code, message string) {
		w.Header().Set("x-ms-request-id", fmt.Sprint(time.Now().UnixNano()))
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(object{"error": object{"code": code, "message": message}})
	}
	items, known := f.lists[list]
	switch {
	case r.Header.Get("Authorization") != "Bearer token":
		refuse(401, "AuthenticationFailed", "Authentication failed.")
		return
	case !ok:
		refuse(404, "SubscriptionNotFound", "The subscription could not be found.")
		return
	case !known && strings.HasPrefix(list, "resourcegroups/"):
		refuse(404, "ResourceNotFound", "The Resource was not found.")
		return
	}
	if f.refuse != nil {
		if status, code, message := f.refuse(list, skip); status != 0 {
			refuse(status, code, message)
			return
		}
	}
	items = items[min(skip, len(items)):]
	o := object{}
	if f.page > 0 && len(items) > f.page {
		items = items[:f.page]
		q := r.URL.Query()
		q.Set("$skiptoken", fmt.Sprint(skip+f.page))
		o["nextLink"] = f.url + r.URL.Path + "?" + q.Encode()
	}
	if items == nil {
		items = []object{}
	}
	o["value"] = items
	_ = json.NewEncoder(w).Encode(o) // a client that has gone is not the server's matter
}

const (
	nicList     = "providers/Microsoft.Network/networkInterfaces"
	publicList  = "providers/Microsoft.Network/publicIPAddresses"
	balancers   = "providers/Microsoft.Network/loadBalancers"
	machineList = "providers/Microsoft.Compute/virtualMachines"
	setList     = "providers/Microsoft.Compute/virtualMachineScaleSets"
)

// in gives the id of a resource.
func in(group, kind, name string) string {
	return "/subscriptions/" + ours + "/resourceGroups/" + group + "/providers/" + kind + "/" + name
}

const vnet = "/subscriptions/" + ours + "/resourceGroups/Net/providers/Microsoft.Network/virtualNetworks/Hub"

// nic is an interface of a machine as the API writes it.
func nic(name, ip, machine string) object {
	p := object{"ipConfigurations": []object{{"name": "ipconfig1", "properties": object{"primary": true, "privateIPAddress": ip, "subnet": object{"id": vnet + "/subnets/Front"}}}}}
	if machine != "" {
		p["virtualMachine"] = object{"id": machine}
	}
	return object{"id": in("Shop", "Microsoft.Network/networkInterfaces", name), "name": name, "location": "westeurope", "properties": p}
}

var _ inventory.Checker = (*subscription)(nil)
