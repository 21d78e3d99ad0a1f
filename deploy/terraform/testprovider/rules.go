package main

import (
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// replaced names the arguments whose change makes a new resource, where tests
// look at that: as the AWS provider has it.
var replaced = map[string][]string{
	"aws_ec2_traffic_mirror_session":     {"network_interface_id"},
	"aws_ec2_traffic_mirror_target":      {"network_interface_id", "network_load_balancer_arn", "gateway_load_balancer_endpoint_id", "description"},
	"aws_ec2_traffic_mirror_filter":      {"description"},
	"aws_ec2_traffic_mirror_filter_rule": {"traffic_mirror_filter_id"},
}

// rule looks at a resource's arguments and gives a sentence for what is wrong.
type rule func(arguments) string

// rules are checks that providers make in code, which no schema shows.
var rules = map[string][]rule{
	"aws_ec2_traffic_mirror_session": {
		between("session_number", 1, 32766),
		between("virtual_network_id", 1, 16777215), // the wire's field has 24 bits; the provider allows one more
		between("packet_length", 1, 8500),          // of a load balancer; the only top that is documented
	},
	"aws_ec2_traffic_mirror_target": {
		exactlyOne("network_interface_id", "network_load_balancer_arn", "gateway_load_balancer_endpoint_id"),
		prefixed("network_load_balancer_arn", "arn:"),
	},
	"aws_ec2_traffic_mirror_filter": {eachOf("network_services", "amazon-dns")},
	"aws_ec2_traffic_mirror_filter_rule": {
		oneOf("rule_action", "accept", "reject"),
		oneOf("traffic_direction", "ingress", "egress"),
		network("source_cidr_block"),
		network("destination_cidr_block"),
		between("rule_number", 1, 32766),
		portRange("source_port_range"),
		portRange("destination_port_range"),
		needs("source_port_range", "protocol", 6, 17),
		needs("destination_port_range", "protocol", 6, 17),
	},
	"aws_lb_target_group": {
		oneOf("protocol", "HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE"),
		healthCheck,
		genevePort,
	},
	"aws_lb_listener":                     {udpListener},
	"aws_lb":                              {oneOf("load_balancer_type", "application", "network", "gateway")},
	"aws_vpc_security_group_ingress_rule": {exactlyOne("cidr_ipv4", "cidr_ipv6", "prefix_list_id", "referenced_security_group_id")},
	"aws_vpc_security_group_egress_rule":  {exactlyOne("cidr_ipv4", "cidr_ipv6", "prefix_list_id", "referenced_security_group_id")},

	"google_compute_packet_mirroring": {
		oneOf("enable", "TRUE", "FALSE"),
		oneOf("filter.direction", "INGRESS", "EGRESS", "BOTH"),
		atLeastOne("mirrored_resources.instances", "mirrored_resources.subnetworks", "mirrored_resources.tags"),
		atMost("mirrored_resources.instances", 50),
	},
	"google_compute_forwarding_rule": {
		oneOf("ip_protocol", "TCP", "UDP", "ESP", "AH", "SCTP", "ICMP", "L3_DEFAULT"),
		oneOf("load_balancing_scheme", "EXTERNAL", "EXTERNAL_MANAGED", "INTERNAL", "INTERNAL_MANAGED"),
		collectorIsInternal,
	},
	"google_compute_region_backend_service": {
		oneOf("protocol", "HTTP", "HTTPS", "HTTP2", "TCP", "SSL", "UDP", "GRPC", "UNSPECIFIED", "H2C"),
		oneOf("load_balancing_scheme", "EXTERNAL", "EXTERNAL_MANAGED", "INTERNAL", "INTERNAL_MANAGED", "INTERNAL_SELF_MANAGED"),
	},
	"google_compute_firewall": {
		exactlyOne("allow", "deny"),
		oneOf("direction", "INGRESS", "EGRESS"),
		between("priority", 0, 65535),
		conflict([]string{"source_tags", "target_tags"}, []string{"source_service_accounts", "target_service_accounts"}),
	},
	"google_network_security_mirroring_endpoint_group": {exactlyOne("mirroring_deployment_group", "mirroring_deployment_groups")},
	"google_network_security_security_profile":         {oneOf("type", "THREAT_PREVENTION", "URL_FILTERING", "CUSTOM_MIRRORING", "CUSTOM_INTERCEPT")},
	"google_compute_network_firewall_policy_packet_mirroring_rule": {
		oneOf("action", "mirror", "do_not_mirror", "goto_next"),
		oneOf("direction", "INGRESS", "EGRESS"),
		mirrorNeedsProfiles,
		atLeastOne("match.layer4_configs"),
		atMost("target_secure_tags", 256),
	},
	"azapi_resource": {typeHasVersion},
}

// check gives a sentence for each rule of its type that a resource breaks.
func check(resource string, config tftypes.Value) []string {
	var broken []string
	for _, r := range rules[resource] {
		if why := r(arguments{config}); why != "" {
			broken = append(broken, why)
		}
	}
	return broken
}

// arguments are those of one resource.
type arguments struct{ v tftypes.Value }

// get gives the values at a path of names, as "filter.direction": one, or those
// of every block. What is null is not among them, and nothing is when something
// on the way is not known.
func (a arguments) get(path string) (found []tftypes.Value, known bool) {
	level := []tftypes.Value{a.v}
	for name := range strings.SplitSeq(path, ".") {
		var next []tftypes.Value
		for _, v := range level {
			inner, ok := object(v)[name]
			if !ok || inner.IsNull() {
				continue
			}
			if !inner.IsKnown() {
				return nil, false
			}
			var items []tftypes.Value
			if inner.Type().Is(tftypes.List{}) || inner.Type().Is(tftypes.Set{}) {
				if err := inner.As(&items); err != nil {
					return nil, false
				}
				next = append(next, items...)
			} else {
				next = append(next, inner)
			}
		}
		level = next
	}
	for _, v := range level {
		if !v.IsKnown() {
			return nil, false
		}
	}
	return level, true
}

// set tells how many of the paths have a value, and of how many it is not known
// yet.
func (a arguments) set(paths ...string) (n, unknown int) {
	for _, p := range paths {
		if found, known := a.get(p); !known {
			unknown++
		} else if len(found) > 0 {
			n++
		}
	}
	return n, unknown
}

// text gives the one text at a path, or an empty one.
func (a arguments) text(path string) (s string) {
	if found, known := a.get(path); known && len(found) == 1 {
		_ = found[0].As(&s) // what is no text is none
	}
	return s
}

// number gives the one number at a path.
func (a arguments) number(path string) (n float64, ok bool) {
	found, known := a.get(path)
	if !known || len(found) != 1 {
		return 0, false
	}
	var b *big.Float
	if err := found[0].As(&b); err != nil || b == nil {
		return 0, false
	}
	n, _ = b.Float64()
	return n, true
}

func (a arguments) bool(path string) (b bool) {
	if found, known := a.get(path); known && len(found) == 1 {
		_ = found[0].As(&b) // what is no bool is false
	}
	return b
}

func between(path string, low, high float64) rule {
	return func(a arguments) string {
		if n, ok := a.number(path); ok && (n < low || n > high) {
			return fmt.Sprintf("%s is %v, need %v to %v", path, n, low, high)
		}
		return ""
	}
}

func oneOf(path string, allowed ...string) rule { return eachOf(path, allowed...) }

func eachOf(path string, allowed ...string) rule {
	return func(a arguments) string {
		found, _ := a.get(path)
		for _, v := range found {
			var s string
			if err := v.As(&s); err == nil && !slices.Contains(allowed, s) {
				return fmt.Sprintf("%s is %q, need one of %q", path, s, allowed)
			}
		}
		return ""
	}
}

func exactlyOne(paths ...string) rule {
	return func(a arguments) string {
		if n, unknown := a.set(paths...); n > 1 || n+unknown == 0 {
			return fmt.Sprintf("%d of %q are given, need exactly one", n, paths)
		}
		return ""
	}
}

func atLeastOne(paths ...string) rule {
	return func(a arguments) string {
		if n, unknown := a.set(paths...); n+unknown == 0 {
			return fmt.Sprintf("none of %q is given", paths)
		}
		return ""
	}
}

func atMost(path string, most int) rule {
	return func(a arguments) string {
		if found, _ := a.get(path); len(found) > most {
			return fmt.Sprintf("%s has %d entries, need %d at most", path, len(found), most)
		}
		return ""
	}
}

func conflict(these, those []string) rule {
	return func(a arguments) string {
		n, _ := a.set(these...)
		if m, _ := a.set(those...); n > 0 && m > 0 {
			return fmt.Sprintf("%q and %q exclude each other", these, those)
		}
		return ""
	}
}

func prefixed(path, prefix string) rule {
	return func(a arguments) string {
		if s := a.text(path); s != "" && !strings.HasPrefix(s, prefix) {
			return fmt.Sprintf("%s is %q, need something that begins with %q", path, s, prefix)
		}
		return ""
	}
}

// network wants the address of a network, without bits of a host.
func network(path string) rule {
	return func(a arguments) string {
		s := a.text(path)
		if s == "" {
			return ""
		}
		if p, err := netip.ParsePrefix(s); err != nil || p != p.Masked() {
			return fmt.Sprintf("%s is %q, need a network address as 10.0.0.0/8", path, s)
		}
		return ""
	}
}

func portRange(path string) rule {
	low, high := between(path+".from_port", 0, 65535), between(path+".to_port", 0, 65535)
	return func(a arguments) string {
		if why := low(a); why != "" {
			return why
		}
		return high(a)
	}
}

// needs wants one of the numbers at another path where something is at the first.
func needs(path, other string, numbers ...float64) rule {
	return func(a arguments) string {
		if n, _ := a.set(path); n == 0 {
			return ""
		}
		if _, known := a.get(other); !known {
			return ""
		}
		if n, ok := a.number(other); !ok || !slices.Contains(numbers, n) {
			return fmt.Sprintf("%s needs %s to be one of %v", path, other, numbers)
		}
		return ""
	}
}

// healthCheck: groups for UDP and GENEVE are checked by another protocol.
func healthCheck(a arguments) string {
	if p := a.text("protocol"); p != "UDP" && p != "GENEVE" {
		return ""
	}
	if _, known := a.get("health_check.protocol"); !known {
		return ""
	}
	if p := a.text("health_check.protocol"); !slices.Contains([]string{"TCP", "HTTP", "HTTPS"}, p) {
		return fmt.Sprintf("health_check.protocol is %q, need TCP, HTTP or HTTPS for this group", p)
	}
	return ""
}

func genevePort(a arguments) string {
	if n, ok := a.number("port"); a.text("protocol") == "GENEVE" && (!ok || n != 6081) {
		return "port is not 6081, which GENEVE needs"
	}
	return ""
}

// udpListener: a mirror sends to UDP 4789. A gateway load balancer's listener
// has no port at all.
func udpListener(a arguments) string {
	port, hasPort := a.number("port")
	if _, known := a.get("protocol"); !known {
		return ""
	}
	switch p := a.text("protocol"); {
	case p == "UDP" && port != 4789:
		return "a UDP listener of a mirror target has port 4789"
	case p == "" && hasPort:
		return "port without protocol"
	}
	return ""
}

func collectorIsInternal(a arguments) string {
	if _, known := a.get("load_balancing_scheme"); known && a.bool("is_mirroring_collector") && a.text("load_balancing_scheme") != "INTERNAL" {
		return "is_mirroring_collector needs load_balancing_scheme INTERNAL"
	}
	return ""
}

func mirrorNeedsProfiles(a arguments) string {
	if n, unknown := a.set("security_profile_group"); a.text("action") == "mirror" && n+unknown == 0 {
		return "action mirror needs security_profile_group"
	}
	return ""
}

// typeHasVersion: "Microsoft.Network/virtualNetworkTaps@2024-05-01".
func typeHasVersion(a arguments) string {
	s := a.text("type")
	name, version, ok := strings.Cut(s, "@")
	if s != "" && (!ok || !strings.Contains(name, "/") || len(version) < len("2024-05-01")) {
		return fmt.Sprintf("type is %q, need NAMESPACE/TYPE@VERSION", s)
	}
	return ""
}
