package terraform_test

import (
	"os"
	"regexp"
	"slices"
	"testing"
)

func azureSensor(t *testing.T, s *state) {
	machine := only(t, s, "azurerm_linux_virtual_machine")
	cards := map[string]string{}
	for _, r := range s.Values.Root.all("azurerm_network_interface") {
		name, _ := r.Values["name"].(string) // always one
		cards[name], _ = r.Values["id"].(string)
	}
	if want := []string{cards["mirrorscope-management"], cards["mirrorscope-capture"]}; !slices.Equal(list(machine["network_interface_ids"]), want) {
		t.Errorf("interfaces %q, want %q", machine["network_interface_ids"], want)
	}
	tap, sources := tapped(t, s)
	if got := properties(t, tap)["destinationNetworkInterfaceIPConfiguration"]; got == nil || got.(map[string]any)["id"] != cards["mirrorscope-capture"]+"/ipConfigurations/mirror" {
		t.Errorf("the TAP sends to %v", got)
	}
	if !slices.Equal(sources, []string{nics + "web-1"}) {
		t.Errorf("mirrored: %q", sources)
	}
	role := only(t, s, "azurerm_role_definition")
	if got := only(t, s, "azurerm_role_assignment"); got["role_definition_id"] != role["role_definition_resource_id"] || got["scope"] != "/subscriptions/00000000-0000-4000-8000-000000000001" {
		t.Errorf("role: %v", got)
	}
	if got, want := list(inner(role, "permissions")["actions"]), shown(t, "azure", `"(Microsoft\.[^"]+/read)"`); !slices.Equal(got, want) {
		t.Errorf("the role may %q, the page says %q", got, want)
	}
	identity := only(t, s, "azurerm_user_assigned_identity")
	if c := exampleConfig(t, s).Cloud.Azure; !c.Enabled || !slices.Equal(c.Subscriptions, []string{"00000000-0000-4000-8000-000000000001"}) || c.ClientID != identity["client_id"] {
		t.Errorf("inventory: %+v", c)
	}
	if conf := exampleConfig(t, s); conf.Filter.Shared || conf.Health.ProbeHTTP != "" || !slices.Equal(conf.Filter.UDPPorts, []uint16{4789}) {
		t.Errorf("configuration: %+v %+v", conf.Filter, conf.Health)
	}
}

func scaleSet(t *testing.T, s *state) {
	tap, sources := tapped(t, s)
	balancer := only(t, s, "azurerm_lb")
	if got := properties(t, tap)["destinationLoadBalancerFrontEndIPConfiguration"]; got == nil || got.(map[string]any)["id"] != balancer["id"].(string)+"/frontendIPConfigurations/mirror" {
		t.Errorf("the TAP sends to %v", got)
	}
	if !slices.Equal(sources, []string{nics + "web-1", nics + "web-2"}) {
		t.Errorf("mirrored: %q", sources)
	}
	rule, probe := only(t, s, "azurerm_lb_rule"), only(t, s, "azurerm_lb_probe")
	if rule["protocol"] != "Udp" || rule["frontend_port"] != 4789.0 || rule["backend_port"] != 4789.0 || rule["probe_id"] != probe["id"] {
		t.Errorf("rule: %v", rule)
	}
	conf := exampleConfig(t, s)
	if probe["protocol"] != "Http" || probe["request_path"] != "/healthz" || conf.Health.ProbeHTTP != "0.0.0.0:"+decimal(int(probe["port"].(float64))) || !conf.Filter.Shared {
		t.Errorf("probe: %v, the sensor answers at %q", probe, conf.Health.ProbeHTTP)
	}
	machines := only(t, s, "azurerm_linux_virtual_machine_scale_set")
	cards := inners(machines, "network_interface")
	if machines["instances"] != 3.0 || len(cards) != 2 || cards[0]["primary"] != true || len(list(inner(cards[0], "ip_configuration")["load_balancer_backend_address_pool_ids"])) != 1 {
		t.Errorf("scale set: %v", machines)
	}
}

// tapped gives the TAP, and the interfaces that send to it.
func tapped(t *testing.T, s *state) (tap map[string]any, sources []string) {
	t.Helper()
	for _, r := range s.Values.Root.all("azapi_resource") {
		if r.Values["type"] == "Microsoft.Network/virtualNetworkTaps@2024-05-01" {
			tap = r.Values
		}
	}
	if tap == nil || properties(t, tap)["destinationPort"] != 4789.0 {
		t.Fatalf("TAP: %v", tap)
	}
	for _, r := range s.Values.Root.all("azapi_resource") {
		if r.Values["type"] != "Microsoft.Network/networkInterfaces/tapConfigurations@2024-05-01" {
			continue
		}
		if to, _ := properties(t, r.Values)["virtualNetworkTap"].(map[string]any); to["id"] != tap["id"] {
			t.Errorf("an interface sends to %v", to)
		}
		sources = append(sources, r.Values["parent_id"].(string))
	}
	slices.Sort(sources)
	return tap, sources
}

// properties gives those in the body of a resource.
func properties(t *testing.T, v map[string]any) map[string]any {
	t.Helper()
	body, _ := v["body"].(map[string]any) // what is none has none
	p, ok := body["properties"].(map[string]any)
	if !ok {
		t.Fatalf("no properties in %v", v)
	}
	return p
}

// shown gives what the page about names from a cloud shows, by an expression.
func shown(t *testing.T, cloud, expression string) (all []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/how-to/" + cloud + ".md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(string(page), -1) {
		all = append(all, m[1])
	}
	return all
}
