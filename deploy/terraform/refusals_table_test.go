package terraform_test

import (
	"fmt"
	"strings"
)

// refusals is the table of what the modules do not take.
var refusals = map[string]refused{
	"boot": {
		base: with("cloud", "aws", "package_url", "https://packages.example/mirrorscope_1.2.3_amd64.deb?token=a%20b", "package_sha256", sha, "capture_interface", 1, "shared", false,
			"udp_ports", []int{4789}, "sources", []string{"10.0.0.0/8", "2001:db8::/32"}, "networks", with("7007", "blue"), "extra_config", "# more\n[measure]\ninterval = \"30s\"\n[capture.afpacket]\nrings = 2\n"),
		cases: []refusal{
			{with("cloud", "other"), "cloud: need aws, gcp or azure."},
			{with("package_url", "ftp://packages.example/a.deb"), "package_url: need an http or https URL"},
			{with("package_url", "https://packages.example/a.tar.gz"), "package_url: need an http or https URL"},
			{with("package_url", "https://packages.example/$(reboot).deb"), "package_url: need an http or https URL"},
			{with("package_url", "https://packages.example/'; reboot; '.deb"), "package_url: need an http or https URL"},
			{with("package_sha256", "0123"), "package_sha256: need 64 hexadecimal digits"},
			{with("package_sha256", "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"), "package_sha256: need 64 hexadecimal digits"},
			{with("capture_interface", -1), "capture_interface: need 0, 1, 2"},
			{with("capture_interface", 0.5), "capture_interface: need 0, 1, 2"},
			{with("capture_interface", nil), "capture_interface: need one, or desired_state"},
			{with("udp_ports", []int{0}), "udp_ports: need ports from 1 to 65535."},
			{with("udp_ports", []int{65536}), "udp_ports: need ports from 1 to 65535."},
			{with("sources", []string{"10.0.0.1"}), "sources: need prefixes"},
			{with("ignored", []string{"everybody"}), "ignored: need prefixes"},
			{with("networks", with("blue", "7007")), "networks: need VNIs"},
			{with("networks", with("16777216", "blue")), "networks: need VNIs"},
			{with("networks", with("007", "blue")), "networks: need VNIs"},
			{with("health_port", 80), "health_port: need 0 or a port from 1024 to 65535"},
			{with("health_port", 9478), "health_port: need 0 or a port from 1024 to 65535"},
			{with("allowed", []string{"localhost"}), "allowed: need prefixes"},
			{with("routes", []string{"x"}, "cloud", "gcp"), "routes: need prefixes"},
			{with("routes", []string{"35.191.0.0/16"}), "routes: is for gcp alone"},
			{with("extra_config", "interval = \"30s\""), "extra_config: has to begin with a table"},
			{with("extra_config", "[measure]\n[filter]\nshared = true"), "extra_config: [capture], [filter]"},
			{with("extra_config", "[ health ]"), "extra_config: [capture], [filter]"},
			{with("inventory", "[cloud.aws]\nenabled = true", "extra_config", "[cloud.aws]\nmirror_loss = false"), "extra_config: the module writes what is read of the cloud"},
			{with("cloud", "azure", "desired_state", "name = \"shop\""), "desired_state: there are mirror sessions on aws alone"},
			{with("extra_config", "[measure]\n# "+strings.Repeat("x", 16000)), "extra_config: the user data has "},
		},
	},
	"aws": {
		base: with("vpc_id", "vpc-1", "subnet_ids", []string{"subnet-1"}, "source_cidrs", []string{"10.0.0.0/8"},
			"package_url", "https://packages.example/mirrorscope-1.2.3-1.x86_64.rpm", "package_sha256", sha),
		cases: []refusal{
			{with("name", "Mirrorscope"), "name: need 2 to 24"},
			{with("name", "a-name-that-is-longer-than-24"), "name: need 2 to 24"},
			{with("name", "ends-with-"), "name: need 2 to 24"},
			{with("subnet_ids", []string{}), "subnet_ids: need one at least."},
			{with("subnet_ids", []string{"subnet-1", "subnet-2"}), "subnet_ids: an interface is in one subnet"},
			{with("target_type", "network-load-balancer", "management_subnet_id", "subnet-2"), "management_subnet_id: behind a load balancer"},
			{with("target_type", "nlb"), "target_type: need interface, network-load-balancer or gateway-load-balancer."},
			{with("source_cidrs", []string{"10.0.0.1/8"}), "source_cidrs: need IPv4 networks"},
			{with("source_cidrs", []string{"2001:db8::/32"}), "source_cidrs: need IPv4 networks"},
			{with("source_cidrs", []string{}), "source_cidrs: need one at least"},
			{with("source_ipv6_cidrs", []string{"10.0.0.0/8"}), "source_ipv6_cidrs: need IPv6 networks"},
			{with("management_cidrs", []string{"here"}), "management_cidrs: need IPv4 networks"},
			{with("management_cidrs", []string{"0.0.0.0/0"}), "management_cidrs: 0.0.0.0/0 would let the whole Internet try"},
			{with("instance_type", "large"), "instance_type: need one as c6in.large."},
			{with("architecture", "amd64"), "architecture: need x86_64 or arm64."},
			{with("ami_id", "al2023"), "ami_id: need one as ami-"},
			{with("package_url", "https://packages.example/mirrorscope_1.2.3_amd64.deb"), "package_url: Amazon Linux"},
			{with("architecture", "arm64"), "package_url: is for another processor than architecture, arm64."},
			{with("package_url", "https://packages.example/mirrorscope-1.2.3-1.aarch64.rpm"), "package_url: is for another processor than architecture, x86_64."},
			{with("package_sha256", "none"), "package_sha256: need 64 hexadecimal digits"},
			{with("volume_size", 4), "volume_size: need 8 GiB at least."},
			{with("root_device", "xvda"), "root_device: need a device"},
			{with("health_port", 443), "health_port: need a port from 1024"},
			{with("sensors", with("min", 3, "max", 2)), "sensors: min has to be 1 at least"},
			{with("sensors", with("min", 0)), "sensors: min has to be 1 at least"},
			{with("sensors", with("cpu_percent", 100)), "sensors: cpu_percent has to be 10 to 90."},
			{with("target_type", "gateway-load-balancer", "sessions", sources(1)), "sessions: behind a gateway load balancer the sessions are made beside the sources"},
			{with("sessions", sources(11)), "sessions: 11 are more than an interface takes as a target"},
			{with("target_type", "gateway-load-balancer", "watch", with("instances", "*")), "watch: behind a gateway load balancer"},
			{with("watch", with()), "watch: need a condition"},
			{with("watch", with("instances", "*", "extra", "[select]\nmax_sources = 3")), "watch: extra has to begin with a table"},
			{with("watch", with("instances", "*", "extra", "max_sources = 3")), "watch: extra has to begin with a table"},
			{with("share_with", []string{"somebody"}), "share_with: need account numbers"},
			{with("target_type", "gateway-load-balancer", "share_with", []string{"111122223333"}), "share_with: the endpoint service"},
			{with("inventory_roles", []any{with("role_arn", "role")}), "inventory_roles: role_arn has to be as"},
			{with("inventory_roles", []any{with("role_arn", "arn:aws:iam::111122223333:role/inventory", "external_id", "a \"text\"")}), "inventory_roles: external_id has to be of"},
			{with("inventory", false, "inventory_roles", []any{with("role_arn", "arn:aws:iam::111122223333:role/inventory")}), "inventory_roles: need inventory = true."},
			{with("alarm_actions", []string{"pager"}), "alarm_actions: need ARNs."},
		},
	},
	"aws/sources": {
		base: with("target_id", "tmt-1", "sessions", sources(10)),
		cases: []refusal{
			{with("name", "1st"), "name: need 2 to 24"},
			{with("target_type", "eni"), "target_type: need interface"},
			{with("target_type", "gateway-load-balancer", "target_id", nil), "target_type: gateway-load-balancer takes gateway_load_balancer_service or"},
			{with("target_id", nil, "gateway_load_balancer_service", with("name", "com.amazonaws.vpce.eu-central-1.vpce-svc-01", "vpc_id", "vpc-1", "subnet_id", "subnet-1")), "target_type: gateway-load-balancer takes"},
			{with("target_type", "gateway-load-balancer", "target_id", nil, "gateway_load_balancer_service", with("name", "sensors", "vpc_id", "vpc-1", "subnet_id", "subnet-1")), "gateway_load_balancer_service: name has to be as com.amazonaws.vpce"},
			{with("sessions", sources(11)), "sessions: 11 are more than an interface takes as a target, which is 10, or 100 on the largest sizes (large_interface). Take a network load balancer."},
			{with("sessions", sources(101), "large_interface", true), "sessions: 101 are more than an interface takes"},
			{with("sessions", one("session_number", 0)), "sessions: session_number has to be 1 to 32766."},
			{with("sessions", one("session_number", 32767)), "sessions: session_number has to be 1 to 32766."},
			{with("sessions", one("vni", 0)), "sessions: vni has to be 1 to 16777215"},
			{with("sessions", one("vni", 16777216)), "sessions: vni has to be 1 to 16777215"},
			{with("sessions", one("interface_id", "i-1")), "sessions: interface_id has to be as eni-"},
			{with("sessions", one("packet_length", 34)), "sessions: packet_length has to be 55 at least"},
			{with("sessions", one("packet_length", 8501), "target_type", "network-load-balancer"), "sessions: packet_length has to be 8500 at most"},
			{with("sessions", with("a", with("interface_id", "eni-1"), "b", with("interface_id", "eni-1"))), "sessions: two of one interface have the same session_number."},
			{with("sessions", with("a", with("interface_id", "eni-1", "vni", 7), "b", with("interface_id", "eni-2", "vni", 7))), "sessions: two have the same vni."},
			{with("sessions", with("a", with("interface_id", "eni-1"), "b", with("interface_id", "eni-2", "vni", ownVNI))), "sessions: two have the same VNI, given or made of their names"},
			{with("sessions", with("a", with("interface_id", "eni-1"), "b", with("interface_id", "eni-1", "session_number", 2), "c", with("interface_id", "eni-1", "session_number", 3), "d", with("interface_id", "eni-1", "session_number", 4))), "sessions: an interface has more than 3"},
			{with("rules", []any{}), "rules: need 1 to 10"},
			{with("rules", rules(11)), "rules: need 1 to 10"},
			{with("rules", rule("direction", "both")), "rules: direction has to be ingress or egress"},
			{with("rules", rule("action", "drop")), "rules: action has to be accept or reject."},
			{with("rules", rule("source", "10.0.0.1/8")), "rules: source and destination have to be networks"},
			{with("rules", rule("destination", "web")), "rules: source and destination have to be networks"},
			{with("rules", rule("destination_ports", with("from", 1, "to", 2))), "rules: ports need protocol 6 (TCP) or 17 (UDP)."},
			{with("rules", rule("protocol", 6, "source_ports", with("from", 2, "to", 1))), "rules: ports have to be 0 to 65535"},
			{with("alarm_actions", []string{"pager"}), "alarm_actions: need ARNs."},
		},
	},
	"gcp": {
		base: with("project", "sensors", "region", "europe-west3", "zones", []string{"europe-west3-a"}, "collector_network", "collector", "collector_subnetwork", "collector", "collector_cidr", "10.200.0.0/24",
			"management_network", "management", "management_subnetwork", "management", "package_url", "https://packages.example/mirrorscope_1.2.3_amd64.deb", "package_sha256", sha,
			"mirrored", with("network", "shop", "tags", []string{"mirrored"})),
		cases: []refusal{
			{with("name", "Sensors"), "name: need 2 to 24"},
			{with("project", "My Project"), "project: need the project's ID"},
			{with("region", "europe"), "region: need one as europe-west3."},
			{with("zones", []string{}), "zones: need one at least"},
			{with("zones", []string{"us-east1-b"}), "zones: have to be in region, europe-west3."},
			{with("mode", "mirror"), "mode: need packet-mirroring or out-of-band."},
			{with("collector_cidr", "::/0"), "collector_cidr: need an IPv4 network"},
			{with("management_network", "collector"), "management_network: has to be another than collector_network"},
			{with("management_cidrs", []string{"here"}), "management_cidrs: need IPv4 networks"},
			{with("management_cidrs", []string{"0.0.0.0/0"}), "management_cidrs: 0.0.0.0/0 would let"},
			{with("machine_type", "large"), "machine_type: need one as n2-standard-4."},
			{with("package_url", "https://packages.example/mirrorscope-1.2.3-1.x86_64.rpm"), "package_url: the image debian-cloud/debian-12 takes the other kind"},
			{with("image", "rocky-linux-cloud/rocky-linux-9"), "package_url: the image rocky-linux-cloud/rocky-linux-9 takes the other kind"},
			{with("disk_size", 5), "disk_size: need 10 GB at least."},
			{with("health_port", 80), "health_port: need a port from 1024"},
			{with("sensors", with("min", 5)), "sensors: min has to be 1 at least"},
			{with("sensors", with("cpu_percent", 5)), "sensors: cpu_percent has to be 10 to 90."},
			{with("inventory_projects", []string{"My project"}), "inventory_projects: need IDs of projects"},
			{with("inventory_projects", []string{"shop-1", "shop-1"}), "inventory_projects: need inventory = true, and each project once."},
			{with("inventory_projects", []string{"shop-1"}, "inventory", false), "inventory_projects: need inventory = true"},
			{with("mode", "out-of-band"), "mirrored: out-of-band, what is mirrored is said by firewall policies"},
			{with("mirrored", with("network", "shop")), "mirrored: need subnetworks, tags or instances."},
			{with("mirrored", with("network", "shop", "instances", many(51))), "mirrored: a policy takes 50 instances at most"},
			{with("mirrored", with("network", "collector", "tags", []string{"mirrored"})), "mirrored: network is collector_network"},
			{with("mirrored_filter", with("direction", "IN")), "mirrored_filter: direction has to be INGRESS, EGRESS or BOTH."},
			{with("mirrored_filter", with("cidrs", []string{})), "mirrored_filter: cidrs need networks"},
		},
	},
	"gcp/consumer": {
		base: with("project", "shop", "organization", "123456789012", "deployment_group_id", "projects/sensors/locations/global/mirroringDeploymentGroups/mirrorscope", "networks", with("shop", "projects/shop/global/networks/shop")),
		cases: []refusal{
			{with("name", "x"), "name: need 2 to 24"},
			{with("organization", "example.com"), "organization: need its number"},
			{with("deployment_group_id", "mirrorscope"), "deployment_group_id: need one as projects/"},
			{with("networks", with()), "networks: need one at least."},
			{with("networks", with("My shop", "shop")), "networks: need names of a-z"},
			{with("networks", with("a", "shop", "b", "shop")), "networks: one is there twice."},
			{with("first_priority", -1), "first_priority: need 0 to 2147483000."},
			{with("rules", []any{}), "rules: need one at least"},
			{with("rules", []any{with("direction", "BOTH")}), "rules: direction has to be INGRESS or EGRESS"},
			{with("rules", []any{with("direction", "EGRESS", "action", "allow")}), "rules: action has to be mirror, do_not_mirror or goto_next."},
			{with("rules", []any{with("direction", "EGRESS", "ranges", []string{"all"})}), "rules: ranges need networks"},
			{with("rules", []any{with("direction", "EGRESS", "ranges", []string{"0.0.0.0/0", "::/0"})}), "rules: ranges have to be all IPv4 or all IPv6"},
			{with("rules", []any{with("direction", "EGRESS", "protocol", "icmp", "ports", []string{"1"})}), "rules: ports need protocol tcp or udp."},
			{with("rules", []any{with("direction", "EGRESS", "secure_tags", many(257))}), "rules: a rule takes 256 secure tags at most."},
		},
	},
	"azure": {
		mocks: []string{"azurerm", "azapi"},
		base: with("preview_accepted", true, "resource_group_name", "sensors", "resource_group_id", "/subscriptions/1/resourceGroups/Sensors", "location", "westeurope", "capture_subnet_id", "capture", "management_subnet_id", "management",
			"admin_ssh_key", "ssh-ed25519 AAAA", "package_url", "https://packages.example/mirrorscope_1.2.3_amd64.deb", "package_sha256", sha, "sources", with("web-1", nics+"web-1")),
		cases: []refusal{
			{with("preview_accepted", false), "preview_accepted: virtual network TAP is a preview"},
			{with("name", "-"), "name: need 2 to 24"},
			{with("resource_group_id", "sensors"), "resource_group_id: "},
			{with("resource_group_id", "/subscriptions/1/resourceGroups/x/more"), "resource_group_id: "},
			{with("resource_group_name", "others"), "resource_group_id: is that of another group"},
			{with("target_type", "gateway"), "target_type: need interface or load-balancer."},
			{with("source_cidrs", []string{"2001:db8::/32"}), "source_cidrs: need IPv4 networks"},
			{with("management_cidrs", []string{"here"}), "management_cidrs: need IPv4 networks"},
			{with("management_cidrs", []string{"0.0.0.0/0"}), "management_cidrs: 0.0.0.0/0 would let"},
			{with("vm_size", "D4s_v5"), "vm_size: need one as Standard_D4s_v5."},
			{with("admin_username", "mirrorscope"), "admin_username: Azure or the sensor's package"},
			{with("admin_ssh_key", "secret"), "admin_ssh_key: need a public key"},
			{with("disk_size", 8), "disk_size: need 30 GB at least."},
			{with("health_port", 80), "health_port: need a port from 1024"},
			{with("sensors", 0), "sensors: need 1 to 100."},
			{with("inventory_scopes", with("a", "subscription")), "inventory_scopes: need IDs"},
			{with("inventory_scopes", with("a", "/subscriptions/shop")), "inventory_scopes: need IDs"},
			{with("sources", with("web-1", "web-1")), "sources: need IDs of network interfaces"},
			{with("sources", with("a", nics+"web-1", "b", nics+"web-1")), "sources: an interface is there twice."},
		},
	},
}

// many gives n different names.
func many(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprint("name-", i)
	}
	return list
}

// ownVNI is what the module makes of the name "mirrorscope/a": the first 24
// bits of its SHA-256.
const ownVNI = 0xeda113

// sources gives n sessions of different interfaces.
func sources(n int) map[string]any {
	m := map[string]any{}
	for i := range n {
		m[fmt.Sprint("web-", i)] = with("interface_id", fmt.Sprintf("eni-%017x", i))
	}
	return m
}

// one gives a session with something in it changed.
func one(pairs ...any) map[string]any {
	session := with("interface_id", "eni-1")
	for k, v := range with(pairs...) {
		session[k] = v
	}
	return with("web", session)
}

// rules gives n rules.
func rules(n int) []any {
	var list []any
	for range n {
		list = append(list, with("direction", "ingress", "action", "accept"))
	}
	return list
}

// rule gives a rule with something in it changed.
func rule(pairs ...any) []any {
	r := with("direction", "ingress", "action", "accept")
	for k, v := range with(pairs...) {
		r[k] = v
	}
	return []any{r}
}
