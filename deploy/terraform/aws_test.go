package terraform_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"mirrorscope/cloud/mirror"
)

func oneSensor(t *testing.T, s *state) {
	target := only(t, s, "aws_ec2_traffic_mirror_target")
	attachment := only(t, s, "aws_network_interface_attachment")
	if target["network_interface_id"] != attachment["network_interface_id"] || attachment["device_index"] != 1.0 {
		t.Errorf("the target is %v, the second interface of the sensor %v", target["network_interface_id"], attachment)
	}
	if n := len(s.Values.Root.all("aws_lb")); n != 0 {
		t.Errorf("%d load balancers", n)
	}
	sessions(t, s, target["id"], 2)
	everything(t, s)
	if got := texts(s, "aws_cloudwatch_metric_alarm", "metric_name"); !slices.Equal(got, []string{"NetworkPacketsSkipMirrorIn", "NetworkPacketsSkipMirrorOut"}) {
		t.Errorf("alarms on %q", got)
	}
	ports(t, s, "udp", 4789, "10.0.0.0/16")
	ports(t, s, "tcp", 22, "192.0.2.0/24")
	var policy string
	s.output(t, "inventory_policy", &policy)
	samePolicy(t, policy, referencePolicy(t, "sensor"))
	if c := exampleConfig(t, s).Cloud; !c.AWS.Enabled || !slices.Equal(c.AWS.Regions, []string{"eu-central-1"}) {
		t.Errorf("inventory: %+v", c)
	}
}

func autoscaled(t *testing.T, s *state) {
	listener, group := only(t, s, "aws_lb_listener"), only(t, s, "aws_lb_target_group")
	if listener["protocol"] != "UDP" || listener["port"] != 4789.0 || group["protocol"] != "UDP" {
		t.Errorf("the listener is %v %v, the group %v", listener["protocol"], listener["port"], group["protocol"])
	}
	balancer := only(t, s, "aws_lb")
	if balancer["enable_cross_zone_load_balancing"] != true || balancer["internal"] != true || balancer["load_balancer_type"] != "network" {
		t.Errorf("load balancer: %v", balancer)
	}
	if target := only(t, s, "aws_ec2_traffic_mirror_target"); target["network_load_balancer_arn"] != balancer["arn"] {
		t.Errorf("the target is %v", target)
	}
	if check := inner(group, "health_check"); check["protocol"] != "HTTP" || check["port"] != "9480" || check["path"] != "/healthz" {
		t.Errorf("health check: %v", check)
	}
	ports(t, s, "udp", 4789, "10.0.0.0/16", "10.4.0.0/16")
	ports(t, s, "tcp", 9480, "10.9.1.0/24", "10.9.1.0/24")
	scaled := only(t, s, "aws_autoscaling_group")
	if scaled["health_check_type"] != "ELB" || scaled["min_size"] != 2.0 || scaled["max_size"] != 6.0 {
		t.Errorf("group: %v", scaled)
	}
	if got := len(inners(only(t, s, "aws_launch_template"), "network_interfaces")); got != 2 {
		t.Errorf("%d interfaces, want 2", got)
	}
	everything(t, s)
	sessions(t, s, nil, 0)
	watched(t, s)
	for _, alarm := range s.Values.Root.all("aws_cloudwatch_metric_alarm") {
		if query, _ := inner(alarm.Values, "metric_query")["expression"].(string); !strings.HasPrefix(query, "SELECT SUM(NetworkPacketsSkipMirror") {
			t.Errorf("alarm on %q", query)
		}
	}
}

// watched checks the desired state that `sensor mirror watch` keeps, and that its
// rights are those that it says itself that it needs.
func watched(t *testing.T, s *state) {
	t.Helper()
	var script, text, policy string
	s.output(t, "watch_user_data", &script)
	s.output(t, "desired_state", &text)
	s.output(t, "mirror_policy", &policy)
	readable(t, script)
	if !strings.Contains(script, "<<'END OF DESIRED STATE'\n"+strings.TrimSpace(text)+"\nEND OF DESIRED STATE\n") || strings.Contains(script, "sensor.toml") {
		t.Errorf("the script writes another desired state, or that of a sensor:\n%s", script)
	}
	desired, err := mirror.Read(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if desired.Name != "mirrorscope" || desired.AWS.Region != "eu-central-1" || desired.Select.Instances != "env = prod and not role = db*" || desired.Session.PacketLength != 1500 {
		t.Errorf("desired state: %+v", desired)
	}
	if target := only(t, s, "aws_ec2_traffic_mirror_target"); len(desired.Targets) != 1 || desired.Targets[0].ID != target["id"] {
		t.Errorf("targets: %+v", desired.Targets)
	}
	if filter := only(t, s, "aws_ec2_traffic_mirror_filter"); desired.Filter.ID != filter["id"] {
		t.Errorf("filter: %+v", desired.Filter)
	}
	var needed bytes.Buffer
	if err := mirror.WritePolicy(&desired).Write(&needed); err != nil {
		t.Fatal(err)
	}
	samePolicy(t, policy, needed.Bytes())
	watcher := map[any]bool{} // roles by id
	for _, r := range s.Values.Root.all("aws_iam_role") {
		what, _ := r.Values["description"].(string) // always one
		watcher[r.Values["id"]] = strings.HasPrefix(what, "Mirror sessions")
	}
	if len(watcher) != 2 {
		t.Errorf("%d roles, want that of the sensors and that of the watcher", len(watcher))
	}
	for _, r := range s.Values.Root.all("aws_iam_role_policy") {
		if changes := r.Values["policy"] == policy; changes != watcher[r.Values["role"]] {
			t.Errorf("watcher %v may do %v", watcher[r.Values["role"]], r.Values["policy"])
		}
	}
}

// referencePolicy is what `sensor mirror policy --for WHAT` prints, by the page
// that a test keeps so.
func referencePolicy(t *testing.T, what string) []byte {
	t.Helper()
	page, err := os.ReadFile("../../docs/reference/mirror.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n### sensor mirror policy --for "+what+"\n")
	_, text, begun := strings.Cut(section, "```json\n")
	text, _, ended := strings.Cut(text, "```\n")
	if !found || !begun || !ended {
		t.Fatalf("the page has no policy for %s", what)
	}
	return []byte(text)
}

// samePolicy compares a policy of a module with the one that the program prints.
func samePolicy(t *testing.T, got string, want []byte) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal([]byte(got), &a); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(want, &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("policy:\n%s\nwant:\n%s", got, want)
	}
}

func gatewayLoadBalancer(t *testing.T, s *state) {
	group, listener := only(t, s, "aws_lb_target_group"), only(t, s, "aws_lb_listener")
	if group["protocol"] != "GENEVE" || group["port"] != 6081.0 {
		t.Errorf("group: %v", group)
	}
	if listener["load_balancer_arn"] != only(t, s, "aws_lb")["arn"] {
		t.Errorf("listener: %v", listener)
	}
	endpoint := only(t, s, "aws_vpc_endpoint")
	if endpoint["service_name"] != only(t, s, "aws_vpc_endpoint_service")["service_name"] || endpoint["vpc_endpoint_type"] != "GatewayLoadBalancer" {
		t.Errorf("endpoint: %v", endpoint)
	}
	target := only(t, s, "aws_ec2_traffic_mirror_target")
	if target["gateway_load_balancer_endpoint_id"] != endpoint["id"] {
		t.Errorf("target: %v", target)
	}
	if got := texts(s, "aws_vpc_endpoint_service_allowed_principal", "principal_arn"); !slices.Equal(got, []string{"arn:aws:iam::111122223333:root"}) {
		t.Errorf("who may have an endpoint: %q", got)
	}
	sessions(t, s, target["id"], 2)
	everything(t, s)
	ports(t, s, "udp", 6081, "10.9.1.0/24", "10.9.1.0/24")
	var vnis map[string]int
	s.output(t, "vnis", &vnis)
	conf := exampleConfig(t, s)
	for name, vni := range vnis {
		if got := conf.Decode.Networks[decimal(vni)]; got != "shop" {
			t.Errorf("the VNI of %s names network %q", name, got)
		}
	}
}

func sharedTarget(t *testing.T, s *state) {
	target := only(t, s, "aws_ec2_traffic_mirror_target")
	if got := only(t, s, "aws_ram_resource_association"); got["resource_arn"] != target["arn"] {
		t.Errorf("what is shared: %v", got)
	}
	share := only(t, s, "aws_ram_resource_share")
	if got := only(t, s, "aws_ram_principal_association"); got["principal"] != "111122223333" || got["resource_share_arn"] != share["arn"] {
		t.Errorf("with whom: %v", got)
	}
	if got := only(t, s, "aws_ram_resource_share_accepter"); got["share_arn"] != share["arn"] {
		t.Errorf("accepted: %v", got)
	}
	sessions(t, s, target["id"], 1)
}

// sessions checks their number, their target, and that their VNIs differ.
func sessions(t *testing.T, s *state, target any, want int) {
	t.Helper()
	found := s.Values.Root.all("aws_ec2_traffic_mirror_session")
	if len(found) != want {
		t.Errorf("%d sessions, want %d", len(found), want)
	}
	seen := map[any]bool{}
	for _, session := range found {
		v := session.Values
		if seen[v["virtual_network_id"]] {
			t.Errorf("two sessions have the VNI %v", v["virtual_network_id"])
		}
		seen[v["virtual_network_id"]] = true
		if v["traffic_mirror_target_id"] != target || v["session_number"] != 1.0 {
			t.Errorf("session: %v", v)
		}
	}
}

// everything checks that each filter takes all, IPv4 and IPv6, in both
// directions, but for the mirror's own packets, and has no more rules than AWS
// takes.
func everything(t *testing.T, s *state) {
	t.Helper()
	byFilter := map[any][]map[string]any{}
	for _, r := range s.Values.Root.all("aws_ec2_traffic_mirror_filter_rule") {
		byFilter[r.Values["traffic_mirror_filter_id"]] = append(byFilter[r.Values["traffic_mirror_filter_id"]], r.Values)
	}
	for _, filter := range s.Values.Root.all("aws_ec2_traffic_mirror_filter") {
		rules := byFilter[filter.Values["id"]]
		if len(rules) == 0 || len(rules) > 10 {
			t.Fatalf("%d rules", len(rules))
		}
		slices.SortFunc(rules, func(a, b map[string]any) int { return int(a["rule_number"].(float64) - b["rule_number"].(float64)) })
		for _, direction := range []string{"ingress", "egress"} {
			for _, packet := range []struct {
				network  string
				protocol float64
				port     float64
				want     string
			}{
				{"0.0.0.0/0", 6, 443, "accept"},
				{"::/0", 6, 443, "accept"},
				{"0.0.0.0/0", 17, 53, "accept"},
				{"0.0.0.0/0", 1, 0, "accept"},
				{"0.0.0.0/0", 6, 4789, "accept"},
				{"0.0.0.0/0", 17, 4789, "reject"},
				{"::/0", 17, 4789, "reject"},
				{"0.0.0.0/0", 17, 6081, "reject"},
			} {
				if got := verdict(rules, direction, packet.network, packet.protocol, packet.port); got != packet.want {
					t.Errorf("%s %s protocol %v port %v: %s, want %s", direction, packet.network, packet.protocol, packet.port, got, packet.want)
				}
			}
		}
	}
}

// verdict is what the first rule says that matches a packet to any address of a
// family.
func verdict(rules []map[string]any, direction, network string, protocol, port float64) string {
	for _, r := range rules {
		if r["traffic_direction"] != direction || r["source_cidr_block"] != network || r["destination_cidr_block"] != network {
			continue
		}
		if p := r["protocol"]; p != nil && p != protocol {
			continue
		}
		if ports := inner(r, "destination_port_range"); ports != nil && (port < ports["from_port"].(float64) || port > ports["to_port"].(float64)) {
			continue
		}
		return r["rule_action"].(string)
	}
	return "nothing"
}

// ports checks from where a port is open, and for that port that nobody else is
// let in.
func ports(t *testing.T, s *state, protocol string, port float64, from ...string) {
	t.Helper()
	var got []string
	for _, r := range s.Values.Root.all("aws_vpc_security_group_ingress_rule") {
		if r.Values["ip_protocol"] == protocol && r.Values["from_port"] == port && r.Values["to_port"] == port {
			network, _ := r.Values["cidr_ipv4"].(string) // IPv6 is empty
			got = append(got, network)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, from) {
		t.Errorf("%s %v is open to %q, want %q", protocol, port, got, from)
	}
}

// inner gives the one block of a name, or nil.
func inner(v map[string]any, name string) map[string]any {
	if list := inners(v, name); len(list) == 1 {
		return list[0]
	}
	return nil
}

func inners(v map[string]any, name string) []map[string]any {
	list, _ := v[name].([]any) // none is no list
	var all []map[string]any
	for _, item := range list {
		if m, ok := item.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}
