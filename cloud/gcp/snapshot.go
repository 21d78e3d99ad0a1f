package gcp

import (
	"cmp"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"time"

	"google.golang.org/api/compute/v1"

	"mirrorscope/cloud"
)

// builder makes a Snapshot of lists.
type builder struct {
	project string
	s       *cloud.Snapshot
	nat     map[string]string // routers by the addresses that are their NAT's, as paths
}

// snapshot makes one of all that a project has.
func snapshot(project string, l *lists) *cloud.Snapshot {
	b := builder{project: project, s: &cloud.Snapshot{}, nat: map[string]string{}}
	for _, r := range l.routers {
		for _, n := range r.Nats {
			b.natAddresses(r, n.NatIps, n.DrainNatIps)
			for _, rule := range n.Rules {
				if rule.Action != nil {
					b.natAddresses(r, rule.Action.SourceNatActiveIps, rule.Action.SourceNatDrainIps)
				}
			}
		}
	}
	for _, i := range l.instances {
		b.instance(i)
	}
	b.balancers(l.rules)
	for _, a := range l.addresses {
		b.address(a)
	}
	for _, n := range l.subnets {
		b.subnet(n)
	}
	// Maps give scopes in any order.
	slices.SortFunc(b.s.Interfaces, func(a, c cloud.Interface) int { return strings.Compare(a.ID, c.ID) })
	slices.SortFunc(b.s.Instances, func(a, c cloud.Instance) int { return strings.Compare(a.ID, c.ID) })
	return b.s
}

func (b *builder) natAddresses(r *compute.Router, lists ...[]string) {
	for _, list := range lists {
		for _, a := range list {
			b.nat[resource(a)] = r.Name
		}
	}
}

// instance adds a machine and its interfaces. Its id is the one that Kubernetes knows
// it by: project, zone and name.
func (b *builder) instance(i *compute.Instance) {
	zone := path.Base(i.Zone)
	id := b.project + "/" + zone + "/" + i.Name
	launched := moment(i.CreationTimestamp)
	m := cloud.Instance{
		ID: id, Name: i.Name, Type: path.Base(i.MachineType), State: strings.ToLower(i.Status), Launched: launched,
		Cluster: i.Labels["goog-k8s-cluster-name"], Tags: i.Labels,
	}
	if i.MachineType == "" {
		m.Type = ""
	}
	if i.Metadata != nil {
		for _, item := range i.Metadata.Items {
			switch {
			case item.Value == nil:
			case item.Key == "created-by" && strings.Contains(*item.Value, "/instanceGroupManagers/"):
				m.Group = path.Base(*item.Value)
			case item.Key == "cluster-name" && m.Cluster == "":
				m.Cluster = *item.Value
			}
		}
	}
	b.s.Instances = append(b.s.Instances, m)
	var groups []cloud.Named
	if i.Tags != nil {
		for _, t := range i.Tags.Items {
			groups = append(groups, cloud.Named{ID: t, Name: t})
		}
	}
	for _, n := range i.NetworkInterfaces {
		c := cloud.Interface{
			ID: id + "/" + n.Name, Name: n.Name, Provider: Provider, Account: b.project, Region: regionOf(zone), Zone: zone,
			Network: network(n.Network, b.project), Subnet: subnetwork(n.Subnetwork, b.project),
			Groups: groups, Kind: cloud.KindInstance, Instance: id, Attached: launched,
		}
		b.ip(&c.Addresses, n.NetworkIP)
		b.ip(&c.Addresses, n.Ipv6Address)
		if n.InternalIpv6PrefixLength > 0 && n.Ipv6Address != "" {
			b.block(&c.Prefixes, fmt.Sprintf("%s/%d", n.Ipv6Address, n.InternalIpv6PrefixLength))
		}
		for _, r := range slices.Concat(n.AliasIpRanges, n.AliasIpv6Ranges) {
			b.block(&c.Prefixes, r.IpCidrRange)
		}
		for _, a := range slices.Concat(n.AccessConfigs, n.Ipv6AccessConfigs) {
			b.ip(&c.Public, a.NatIP)
			b.ip(&c.Public, a.ExternalIpv6)
		}
		b.s.Interfaces = append(b.s.Interfaces, c)
	}
}

// balancers adds forwarding rules. Several may share an address, for other ports or
// protocols: they are one, called by the name of the first.
func (b *builder) balancers(rules []*compute.ForwardingRule) {
	slices.SortFunc(rules, func(a, c *compute.ForwardingRule) int {
		return cmp.Or(strings.Compare(a.Region, c.Region), strings.Compare(a.Name, c.Name))
	})
	seen := map[string]bool{}
	for _, r := range rules {
		region := base(r.Region)
		c := cloud.Interface{
			ID: b.project + "/" + cmp.Or(region, "global") + "/" + r.Name, Name: r.Name, Provider: Provider, Account: b.project, Region: region,
			Kind: cloud.KindLoadBalancer, Service: r.Name, Attached: moment(r.CreationTimestamp), Tags: r.Labels,
		}
		if r.BackendService == "" && (strings.Contains(r.Target, "/serviceAttachments/") || strings.Contains(r.Target, "all-apis") || strings.Contains(r.Target, "vpc-sc")) {
			c.Kind = cloud.KindEndpoint // of Private Service Connect
		}
		list := &c.Public
		if c.Kind == cloud.KindEndpoint || strings.HasPrefix(r.LoadBalancingScheme, "INTERNAL") {
			list = &c.Addresses
			c.Network, c.Subnet = network(r.Network, b.project), subnetwork(r.Subnetwork, b.project)
		}
		for _, a := range append([]string{r.IPAddress}, r.IPAddresses...) {
			b.ipOrBlock(&c, list, a)
		}
		key := fmt.Sprint(c.Network.ID, c.Addresses, c.Public, c.Prefixes)
		if !seen[key] && len(c.Addresses)+len(c.Public)+len(c.Prefixes) > 0 {
			seen[key] = true
			b.s.Interfaces = append(b.s.Interfaces, c)
		}
	}
}

// address adds one that nothing else tells of: of Cloud NAT, and ranges that are lent
// to services of Google or of others.
func (b *builder) address(a *compute.Address) {
	region := base(a.Region)
	c := cloud.Interface{
		ID: b.project + "/" + cmp.Or(region, "global") + "/" + a.Name, Name: a.Name, Provider: Provider, Account: b.project, Region: region,
		Attached: moment(a.CreationTimestamp), Tags: a.Labels,
	}
	router := b.nat[resource(a.SelfLink)]
	for _, user := range a.Users {
		if router == "" && strings.Contains(user, "/routers/") {
			router = path.Base(user)
		}
	}
	switch {
	case router != "" || a.Purpose == "NAT_AUTO":
		c.Kind, c.Service = cloud.KindNATGateway, router
		b.ip(&c.Public, a.Address)
	case a.Purpose == "VPC_PEERING" && a.PrefixLength > 0: // Cloud SQL, Memorystore and the like
		c.Kind, c.Service, c.Network = cloud.KindManaged, a.Name, network(a.Network, b.project)
		b.block(&c.Prefixes, fmt.Sprintf("%s/%d", a.Address, a.PrefixLength))
	default:
		return // what uses it tells of it
	}
	if len(c.Public)+len(c.Prefixes) > 0 {
		b.s.Interfaces = append(b.s.Interfaces, c)
	}
}

// subnet adds one that only a service of Google sends from.
func (b *builder) subnet(n *compute.Subnetwork) {
	c := cloud.Interface{
		Name: n.Name, Provider: Provider, Account: b.project, Region: base(n.Region), Attached: moment(n.CreationTimestamp),
		Network: network(n.Network, b.project), Subnet: subnetwork(n.SelfLink, b.project), Service: n.Name,
	}
	c.ID = c.Subnet.ID
	switch n.Purpose {
	case "REGIONAL_MANAGED_PROXY", "GLOBAL_MANAGED_PROXY", "INTERNAL_HTTPS_LOAD_BALANCER":
		c.Kind = cloud.KindLoadBalancer
	case "PRIVATE_SERVICE_CONNECT":
		c.Kind = cloud.KindEndpoint
	default:
		return
	}
	b.block(&c.Prefixes, n.IpCidrRange)
	if len(c.Prefixes) > 0 {
		b.s.Interfaces = append(b.s.Interfaces, c)
	}
}

func (b *builder) ip(list *[]netip.Addr, text string) {
	if text == "" {
		return
	}
	a, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		b.s.Unread++
	case !slices.Contains(*list, a):
		*list = append(*list, a)
	}
}

// block adds a prefix; of a single address, too.
func (b *builder) block(list *[]netip.Prefix, text string) {
	if text == "" {
		return
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		var a netip.Addr
		if a, err = netip.ParseAddr(text); err == nil {
			p = netip.PrefixFrom(a, a.BitLen())
		}
	}
	if err != nil {
		b.s.Unread++
		return
	}
	*list = append(*list, p.Masked())
}

// ipOrBlock takes what a forwarding rule has: of IPv6 it is a block.
func (b *builder) ipOrBlock(c *cloud.Interface, list *[]netip.Addr, text string) {
	if strings.Contains(text, "/") {
		b.block(&c.Prefixes, text)
		return
	}
	b.ip(list, text)
}

// resource is the path of a resource below projects/, however it is written.
func resource(url string) string {
	if i := strings.Index(url, "projects/"); i >= 0 {
		return url[i:]
	}
	return url
}

// network makes "host/default" of a network's URL: with a Shared VPC the project is
// not that of the machine.
func network(url, project string) cloud.Named {
	if url == "" {
		return cloud.Named{}
	}
	return cloud.Named{ID: host(url, project) + "/" + path.Base(url), Name: path.Base(url)}
}

func subnetwork(url, project string) cloud.Named {
	if url == "" {
		return cloud.Named{}
	}
	region := ""
	if _, rest, ok := strings.Cut(url, "/regions/"); ok {
		region, _, _ = strings.Cut(rest, "/")
	}
	return cloud.Named{ID: host(url, project) + "/" + region + "/" + path.Base(url), Name: path.Base(url)}
}

// host is the project in a URL.
func host(url, project string) string {
	if rest, ok := strings.CutPrefix(resource(url), "projects/"); ok {
		project, _, _ = strings.Cut(rest, "/")
	}
	return project
}

// regionOf is that of a zone, as europe-west1 of europe-west1-b.
func regionOf(zone string) string {
	if i := strings.LastIndexByte(zone, '-'); i > 0 {
		return zone[:i]
	}
	return ""
}

// base is the last part of a URL; "" of none.
func base(url string) string {
	if url == "" {
		return ""
	}
	return path.Base(url)
}

// moment reads a time; zero if it is none.
func moment(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
