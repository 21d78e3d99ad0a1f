package terraform_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// distinct repeats a text with a different name in each.
func distinct(form string, n int) string {
	var b strings.Builder
	for _, name := range many(n) {
		fmt.Fprintf(&b, form, name)
	}
	return b.String()
}

// TestProviderRules: what a provider checks in code, and no schema shows, the
// test provider checks as well. Each resource breaks one rule, but for the good
// ones.
func TestProviderRules(t *testing.T) {
	t.Parallel()
	const filter, target = `traffic_mirror_filter_id = "tmf-1"`, `traffic_mirror_target_id = "tmt-1"`
	session := func(more string) string {
		return filter + "\n" + target + "\nnetwork_interface_id = \"eni-1\"\n" + more
	}
	rule := func(more string) string {
		all := filter + "\nrule_number = 1\n"
		for _, line := range []string{`rule_action = "accept"`, `traffic_direction = "ingress"`, `source_cidr_block = "0.0.0.0/0"`, `destination_cidr_block = "::/0"`} {
			if name, _, _ := strings.Cut(line, " ="); !strings.Contains(more, name+" =") {
				all += line + "\n"
			}
		}
		return all + more
	}
	mirroring := func(resources, more string) string {
		return "name = \"a\"\nnetwork {\nurl = \"a\"\n}\ncollector_ilb {\nurl = \"a\"\n}\nmirrored_resources {\n" + resources + "\n}\n" + more
	}
	firewall := func(more string) string { return "name = \"a\"\nnetwork = \"a\"\n" + more }
	mirroringRule := func(more string) string {
		return "firewall_policy = \"a\"\npriority = 1\ndirection = \"INGRESS\"\nmatch {\nlayer4_configs {\nip_protocol = \"all\"\n}\n}\n" + more
	}
	cases := []struct{ kind, name, body, want string }{
		{"aws_ec2_traffic_mirror_session", "good", session("session_number = 1\nvirtual_network_id = 16777215"), ""},
		{"aws_ec2_traffic_mirror_session", "number", session("session_number = 32767"), "session_number is 32767, need 1 to 32766"},
		{"aws_ec2_traffic_mirror_session", "vni", session("session_number = 1\nvirtual_network_id = 16777216"), "virtual_network_id is 1.6777216e+07"},
		{"aws_ec2_traffic_mirror_target", "good", `network_interface_id = "eni-1"`, ""},
		{"aws_ec2_traffic_mirror_target", "none", ``, "0 of"},
		{"aws_ec2_traffic_mirror_target", "two", `network_interface_id = "eni-1"` + "\n" + `gateway_load_balancer_endpoint_id = "vpce-1"`, "2 of"},
		{"aws_ec2_traffic_mirror_target", "no_arn", `network_load_balancer_arn = "balancer"`, `network_load_balancer_arn is "balancer"`},
		{"aws_ec2_traffic_mirror_filter", "good", `network_services = ["amazon-dns"]`, ""},
		{"aws_ec2_traffic_mirror_filter", "service", `network_services = ["dns"]`, `network_services is "dns"`},
		{"aws_ec2_traffic_mirror_filter_rule", "good", rule("protocol = 6\nsource_port_range {\nfrom_port = 0\nto_port = 65535\n}"), ""},
		{"aws_ec2_traffic_mirror_filter_rule", "action", rule(`rule_action = "drop"`), `rule_action is "drop"`},
		{"aws_ec2_traffic_mirror_filter_rule", "direction", rule(`traffic_direction = "both"`), `traffic_direction is "both"`},
		{"aws_ec2_traffic_mirror_filter_rule", "host_bits", rule(`source_cidr_block = "10.0.0.1/8"`), `source_cidr_block is "10.0.0.1/8"`},
		{"aws_ec2_traffic_mirror_filter_rule", "no_network", rule(`destination_cidr_block = "here"`), `destination_cidr_block is "here"`},
		{"aws_ec2_traffic_mirror_filter_rule", "port", rule("protocol = 17\ndestination_port_range {\nfrom_port = 1\nto_port = 65536\n}"), "destination_port_range.to_port is 65536"},
		{"aws_ec2_traffic_mirror_filter_rule", "port_of_any", rule("destination_port_range {\nfrom_port = 1\nto_port = 2\n}"), "destination_port_range needs protocol to be one of [6 17]"},
		{"aws_lb_target_group", "udp_check", "protocol = \"UDP\"\nport = 4789\nhealth_check {\nprotocol = \"UDP\"\n}", `health_check.protocol is "UDP"`},
		{"aws_lb_target_group", "geneve_port", "protocol = \"GENEVE\"\nport = 4789\nhealth_check {\nprotocol = \"TCP\"\n}", "port is not 6081"},
		{"aws_lb_listener", "udp_port", "load_balancer_arn = \"arn:\"\nprotocol = \"UDP\"\nport = 4790\ndefault_action {\ntype = \"forward\"\n}", "a UDP listener of a mirror target has port 4789"},
		{"aws_vpc_security_group_ingress_rule", "nobody", "security_group_id = \"sg-1\"\nip_protocol = \"udp\"", "0 of"},

		{"google_compute_packet_mirroring", "good", mirroring("tags = [\"a\"]", `enable = "FALSE"`), ""},
		{"google_compute_packet_mirroring", "enable", mirroring("tags = [\"a\"]", `enable = "true"`), `enable is "true"`},
		{"google_compute_packet_mirroring", "direction", mirroring("tags = [\"a\"]", "filter {\ndirection = \"IN\"\n}"), `filter.direction is "IN"`},
		{"google_compute_packet_mirroring", "nothing", mirroring("", ""), "none of"},
		{"google_compute_packet_mirroring", "instances", mirroring(distinct("instances {\nurl = %q\n}\n", 51), ""), "mirrored_resources.instances has 51 entries"},
		{"google_compute_forwarding_rule", "protocol", `name = "a"` + "\n" + `ip_protocol = "ALL"`, `ip_protocol is "ALL"`},
		{"google_compute_forwarding_rule", "external", `name = "a"` + "\n" + `is_mirroring_collector = true` + "\n" + `load_balancing_scheme = "EXTERNAL"`, "is_mirroring_collector needs"},
		{"google_compute_region_backend_service", "protocol", `name = "a"` + "\n" + `protocol = "L3_DEFAULT"`, `protocol is "L3_DEFAULT"`},
		{"google_compute_firewall", "both", firewall("allow {\nprotocol = \"tcp\"\n}\ndeny {\nprotocol = \"udp\"\n}"), "2 of"},
		{"google_compute_firewall", "neither", firewall(""), "0 of"},
		{"google_compute_firewall", "tags", firewall("allow {\nprotocol = \"tcp\"\n}\ntarget_tags = [\"a\"]\nsource_service_accounts = [\"b\"]"), `["source_tags" "target_tags"] and`},
		{"google_compute_firewall", "priority", firewall("allow {\nprotocol = \"tcp\"\n}\npriority = 65536"), "priority is 65536"},
		{"google_network_security_mirroring_endpoint_group", "none", "location = \"global\"\nmirroring_endpoint_group_id = \"a\"", "0 of"},
		{"google_network_security_security_profile", "type", "name = \"a\"\ntype = \"MIRROR\"", `type is "MIRROR"`},
		{"google_compute_network_firewall_policy_packet_mirroring_rule", "good", mirroringRule(`action = "do_not_mirror"`), ""},
		{"google_compute_network_firewall_policy_packet_mirroring_rule", "action", mirroringRule(`action = "allow"`), `action is "allow"`},
		{"google_compute_network_firewall_policy_packet_mirroring_rule", "profiles", mirroringRule(`action = "mirror"`), "action mirror needs security_profile_group"},
		{"google_compute_network_firewall_policy_packet_mirroring_rule", "tags", mirroringRule(`action = "goto_next"` + "\n" + strings.Repeat("target_secure_tags {\nname = \"a\"\n}\n", 257)), "target_secure_tags has 257 entries"},

		{"azapi_resource", "good", `type = "Microsoft.Network/virtualNetworkTaps@2024-05-01"`, ""},
		{"azapi_resource", "version", `type = "Microsoft.Network/virtualNetworkTaps"`, `type is "Microsoft.Network/virtualNetworkTaps", need`},
	}
	var text strings.Builder
	text.WriteString("terraform {\n  required_providers {\n    aws = {\n      source = \"hashicorp/aws\"\n    }\n    google = {\n      source = \"hashicorp/google\"\n    }\n    google-beta = {\n      source = \"hashicorp/google-beta\"\n    }\n    azapi = {\n      source = \"azure/azapi\"\n    }\n  }\n}\n")
	for _, c := range cases {
		if strings.HasSuffix(c.kind, "packet_mirroring_rule") {
			c.body += "\nprovider = google-beta"
		}
		text.WriteString("resource \"" + c.kind + "\" \"" + c.name + "\" {\n" + c.body + "\n}\n")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), []byte(text.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	tf(t, dir, "init", "-no-color")
	out, err := try(t, dir, "validate", "-json")
	if err == nil {
		t.Fatal("all of it is valid")
	}
	var report struct {
		Diagnostics []struct {
			Summary string `json:"summary"`
			Address string `json:"address"`
			Snippet struct {
				Context string `json:"context"`
			} `json:"snippet"`
		} `json:"diagnostics"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	got := map[string][]string{}
	for _, d := range report.Diagnostics {
		got[d.Snippet.Context] = append(got[d.Snippet.Context], d.Summary)
	}
	for _, c := range cases {
		said := got[`resource "`+c.kind+`" "`+c.name+`"`]
		switch {
		case c.want == "" && len(said) > 0:
			t.Errorf("%s.%s: %q", c.kind, c.name, said)
		case c.want != "" && (len(said) != 1 || !strings.HasPrefix(said[0], c.want)):
			t.Errorf("%s.%s: %q, want one that begins with %q", c.kind, c.name, said, c.want)
		}
	}
}
