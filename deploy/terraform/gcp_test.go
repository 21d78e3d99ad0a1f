package terraform_test

import (
	"slices"
	"testing"
)

func packetMirroring(t *testing.T, s *state) {
	rule, service := only(t, s, "google_compute_forwarding_rule"), only(t, s, "google_compute_region_backend_service")
	if rule["is_mirroring_collector"] != true || rule["load_balancing_scheme"] != "INTERNAL" || rule["ip_protocol"] != "L3_DEFAULT" || rule["all_ports"] != true || service["protocol"] != "UNSPECIFIED" {
		t.Errorf("collector: %v\nservice: %v", rule, service)
	}
	policy := only(t, s, "google_compute_packet_mirroring")
	if got := inner(policy, "collector_ilb")["url"]; got != rule["id"] {
		t.Errorf("the policy sends to %v", got)
	}
	filter := inner(policy, "filter")
	if filter["direction"] != "BOTH" || !slices.Equal(list(filter["cidr_ranges"]), []string{"0.0.0.0/0", "::/0"}) || policy["enable"] != "TRUE" {
		t.Errorf("the policy mirrors %v", filter)
	}
	mirrored := inner(policy, "mirrored_resources")
	if got := inner(mirrored, "subnetworks")["url"]; got != "projects/sensors/regions/europe-west3/subnetworks/web" || !slices.Equal(list(mirrored["tags"]), []string{"mirrored"}) {
		t.Errorf("the policy mirrors %v", mirrored)
	}
	collecting(t, s)
	open := map[string]string{}
	for _, r := range s.Values.Root.all("google_compute_firewall") {
		for _, from := range list(r.Values["source_ranges"]) {
			open[from], _ = inner(r.Values, "allow")["protocol"].(string) // always one
		}
	}
	for from, want := range map[string]string{"0.0.0.0/0": "all", "::/0": "all", "35.191.0.0/16": "tcp", "130.211.0.0/22": "tcp", "35.235.240.0/20": "tcp"} {
		if open[from] != want {
			t.Errorf("the firewall lets %q in from %s, want %q", open[from], from, want)
		}
	}
	conf := exampleConfig(t, s)
	if !conf.Filter.Shared || len(conf.Filter.UDPPorts) != 0 || len(conf.Filter.Sources) != 0 || len(conf.Filter.Rules) != 1 {
		t.Errorf("filter: %+v", conf.Filter)
	}
}

func outOfBand(t *testing.T, s *state) {
	rule, service := only(t, s, "google_compute_forwarding_rule"), only(t, s, "google_compute_region_backend_service")
	if rule["is_mirroring_collector"] != true || rule["ip_protocol"] != "UDP" || !slices.Equal(list(rule["ports"]), []string{"6081"}) || service["protocol"] != "UDP" {
		t.Errorf("collector: %v\nservice: %v", rule, service)
	}
	group := only(t, s, "google_network_security_mirroring_deployment_group")
	if got := texts(s, "google_network_security_mirroring_deployment", "location"); !slices.Equal(got, []string{"europe-west3-a", "europe-west3-b"}) {
		t.Errorf("deployments in %q", got)
	}
	for _, d := range s.Values.Root.all("google_network_security_mirroring_deployment") {
		if d.Values["forwarding_rule"] != rule["id"] || d.Values["mirroring_deployment_group"] != group["id"] {
			t.Errorf("deployment: %v", d.Values)
		}
	}
	endpoints := only(t, s, "google_network_security_mirroring_endpoint_group")
	if endpoints["mirroring_deployment_group"] != group["id"] {
		t.Errorf("endpoints: %v", endpoints)
	}
	if got := texts(s, "google_network_security_mirroring_endpoint_group_association", "network"); !slices.Equal(got, []string{"projects/shop/global/networks/bank", "projects/shop/global/networks/shop"}) {
		t.Errorf("mirrored networks: %q", got)
	}
	profile := only(t, s, "google_network_security_security_profile")
	if profile["type"] != "CUSTOM_MIRRORING" || inner(profile, "custom_mirroring_profile")["mirroring_endpoint_group"] != endpoints["id"] || profile["parent"] != "organizations/123456789012" {
		t.Errorf("profile: %v", profile)
	}
	wantGroup := "//networksecurity.googleapis.com/" + only(t, s, "google_network_security_security_profile_group")["id"].(string)
	var got []string
	for _, r := range s.Values.Root.all("google_compute_network_firewall_policy_packet_mirroring_rule") {
		if r.Values["action"] != "mirror" || r.Values["security_profile_group"] != wantGroup {
			t.Errorf("rule: %v", r.Values)
		}
		match := inner(r.Values, "match")
		direction, _ := r.Values["direction"].(string) // always one
		for _, other := range append(list(match["src_ip_ranges"]), list(match["dest_ip_ranges"])...) {
			got = append(got, direction+" "+other)
		}
	}
	slices.Sort(got)
	if want := []string{"EGRESS 0.0.0.0/0", "EGRESS ::/0", "INGRESS 0.0.0.0/0", "INGRESS ::/0"}; !slices.Equal(got, want) {
		t.Errorf("rules mirror %q, want %q", got, want)
	}
	collecting(t, s)
	conf := exampleConfig(t, s)
	if got := texts(s, "google_project_iam_member", "project"); !conf.Cloud.GCP.Enabled || !slices.Equal(conf.Cloud.GCP.Projects, []string{"sensors", "shop-1"}) || !slices.Equal(got, conf.Cloud.GCP.Projects) {
		t.Errorf("inventory of %+v, rights in %q", conf.Cloud.GCP, got)
	}
	for _, role := range s.Values.Root.all("google_project_iam_custom_role") {
		got, want := list(role.Values["permissions"]), shown(t, "gcp", `\b(compute\.[A-Za-z]+\.list)\b`)
		slices.Sort(want)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("the role may %q, the page says %q", got, want)
		}
	}
	if !slices.Equal(conf.Filter.UDPPorts, []uint16{6081}) || len(conf.Filter.Sources) != 1 || conf.Filter.Sources[0].String() != "10.200.0.0/24" {
		t.Errorf("filter: %+v", conf.Filter)
	}
}

// collecting checks that the sensors' second interfaces are in the collector's
// network, and answer there.
func collecting(t *testing.T, s *state) {
	t.Helper()
	network := only(t, s, "google_compute_network")["id"]
	cards := inners(only(t, s, "google_compute_region_instance_template"), "network_interface")
	if len(cards) != 2 || cards[0]["network"] == network || cards[1]["network"] != network {
		t.Errorf("interfaces: %v", cards)
	}
	service := only(t, s, "google_compute_region_backend_service")
	if service["network"] != network || inner(service, "backend")["group"] != only(t, s, "google_compute_region_instance_group_manager")["instance_group"] {
		t.Errorf("service: %v", service)
	}
	if check := inner(only(t, s, "google_compute_region_health_check"), "http_health_check"); check["port"] != 9480.0 || check["request_path"] != "/healthz" {
		t.Errorf("health check: %v", check)
	}
	if conf := exampleConfig(t, s); conf.Health.ProbeHTTP != "0.0.0.0:9480" {
		t.Errorf("the sensor answers at %q", conf.Health.ProbeHTTP)
	}
}

// list gives a list of texts.
func list(v any) []string {
	items, _ := v.([]any) // none is no list
	var all []string
	for _, item := range items {
		if text, ok := item.(string); ok {
			all = append(all, text)
		}
	}
	return all
}
