package terraform_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

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
	}
	var text strings.Builder
	text.WriteString("terraform {\n  required_providers {\n    aws = {\n      source = \"hashicorp/aws\"\n    }\n  }\n}\n")
	for _, c := range cases {
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
