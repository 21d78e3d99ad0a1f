package azure

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/compute/armcompute/v6"
	"github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/network/armnetwork/v6"

	inventory "mirrorscope/cloud"
)

// builder makes a Snapshot of lists.
type builder struct {
	subscription string
	s            *inventory.Snapshot
	public       map[string]string // addresses, by id
	zones        map[string]string // zones of machines, by id
}

// tagCluster is what AKS writes on its scale sets and machines.
const tagCluster = "aks-managed-cluster-name"

// snapshot makes one of all that a subscription has.
func snapshot(subscription string, l *lists) *inventory.Snapshot {
	b := builder{subscription: subscription, s: &inventory.Snapshot{}, public: map[string]string{}, zones: map[string]string{}}
	for _, p := range l.public {
		if p.Properties != nil {
			b.public[lower(p.ID)] = text(p.Properties.IPAddress)
			b.natGateway(p)
		}
	}
	for _, m := range l.machines {
		b.machine(m)
	}
	for _, set := range l.sets {
		for _, m := range set.machines {
			b.setMachine(set, m)
		}
	}
	for _, n := range l.nics {
		b.nic(n)
	}
	for _, set := range l.sets {
		for _, n := range set.nics {
			b.nic(n)
		}
	}
	for _, v := range l.balancers {
		b.balancer(v)
	}
	return b.s
}

func (b *builder) machine(m *armcompute.VirtualMachine) {
	c := inventory.Instance{ID: lower(m.ID), Name: text(m.Name), Tags: tags(m.Tags)}
	if p := m.Properties; p != nil {
		if p.HardwareProfile != nil && p.HardwareProfile.VMSize != nil {
			c.Type = string(*p.HardwareProfile.VMSize)
		}
		if p.TimeCreated != nil {
			c.Launched = p.TimeCreated.UTC()
		}
		if p.VirtualMachineScaleSet != nil {
			c.Group = path.Base(text(p.VirtualMachineScaleSet.ID))
		}
	}
	c.Cluster = c.Tags[tagCluster]
	b.add(c, text(m.Location), m.Zones)
}

func (b *builder) setMachine(set *set, m *armcompute.VirtualMachineScaleSetVM) {
	c := inventory.Instance{ID: lower(m.ID), Name: text(m.Name), Group: set.name, Tags: tags(m.Tags)}
	if p := m.Properties; p != nil {
		if p.TimeCreated != nil {
			c.Launched = p.TimeCreated.UTC()
		}
		if p.OSProfile != nil && p.OSProfile.ComputerName != nil {
			c.Name = *p.OSProfile.ComputerName // the resource is called by the set and a number
		}
	}
	if m.SKU != nil {
		c.Type = text(m.SKU.Name)
	}
	c.Cluster = c.Tags[tagCluster]
	b.add(c, text(m.Location), m.Zones)
}

func (b *builder) add(c inventory.Instance, location string, zones []*string) {
	if len(zones) > 0 && zones[0] != nil {
		b.zones[c.ID] = location + "-" + *zones[0]
	}
	b.s.Instances = append(b.s.Instances, c)
}

func (b *builder) nic(n *armnetwork.Interface) {
	c := inventory.Interface{
		ID: lower(n.ID), Name: text(n.Name), Provider: Provider, Account: b.subscription, Region: text(n.Location), Tags: tags(n.Tags),
	}
	p := n.Properties
	if p == nil {
		return
	}
	c.MAC = strings.ReplaceAll(strings.ToLower(text(p.MacAddress)), "-", ":")
	switch {
	case p.VirtualMachine != nil:
		c.Kind, c.Instance = inventory.KindInstance, lower(p.VirtualMachine.ID)
		c.Zone = b.zones[c.Instance]
	case p.PrivateEndpoint != nil:
		c.Kind, c.Service = inventory.KindEndpoint, path.Base(text(p.PrivateEndpoint.ID))
	case p.PrivateLinkService != nil:
		c.Kind, c.Service = inventory.KindEndpoint, path.Base(text(p.PrivateLinkService.ID))
	}
	if p.NetworkSecurityGroup != nil {
		c.Groups = append(c.Groups, named(p.NetworkSecurityGroup.ID))
	}
	configs := slices.DeleteFunc(slices.Clone(p.IPConfigurations), func(i *armnetwork.InterfaceIPConfiguration) bool { return i == nil || i.Properties == nil })
	slices.SortStableFunc(configs, func(a, d *armnetwork.InterfaceIPConfiguration) int { return rank(a) - rank(d) })
	for _, i := range configs {
		q := i.Properties
		b.private(&c, text(q.PrivateIPAddress), q.PrivateIPAddressPrefixLength)
		b.place(&c, q.Subnet)
		if q.PublicIPAddress != nil {
			b.address(&c.Public, b.public[lower(q.PublicIPAddress.ID)])
		}
		for _, g := range q.ApplicationSecurityGroups {
			if g != nil {
				c.Groups = append(c.Groups, named(g.ID))
			}
		}
	}
	b.s.Interfaces = append(b.s.Interfaces, c)
}

// rank puts the primary configuration first.
func rank(i *armnetwork.InterfaceIPConfiguration) int {
	if i.Properties.Primary != nil && *i.Properties.Primary {
		return 0
	}
	return 1
}

// balancer adds each front end.
func (b *builder) balancer(v *armnetwork.LoadBalancer) {
	if v.Properties == nil {
		return
	}
	for _, f := range v.Properties.FrontendIPConfigurations {
		if f == nil || f.Properties == nil {
			continue
		}
		c := inventory.Interface{
			ID: lower(f.ID), Name: text(f.Name), Provider: Provider, Account: b.subscription, Region: text(v.Location),
			Kind: inventory.KindLoadBalancer, Service: text(v.Name), Tags: tags(v.Tags),
		}
		b.private(&c, text(f.Properties.PrivateIPAddress), nil)
		b.place(&c, f.Properties.Subnet)
		if f.Properties.PublicIPAddress != nil {
			b.address(&c.Public, b.public[lower(f.Properties.PublicIPAddress.ID)])
		}
		if len(c.Addresses)+len(c.Public) > 0 {
			b.s.Interfaces = append(b.s.Interfaces, c)
		}
	}
}

// natGateway adds the address of one.
func (b *builder) natGateway(p *armnetwork.PublicIPAddress) {
	if p.Properties.NatGateway == nil || text(p.Properties.IPAddress) == "" {
		return
	}
	c := inventory.Interface{
		ID: lower(p.ID), Name: text(p.Name), Provider: Provider, Account: b.subscription, Region: text(p.Location),
		Kind: inventory.KindNATGateway, Service: path.Base(text(p.Properties.NatGateway.ID)), Tags: tags(p.Tags),
	}
	b.address(&c.Public, text(p.Properties.IPAddress))
	b.s.Interfaces = append(b.s.Interfaces, c)
}

// place fills in network and subnet of the first configuration that has them:
// all of an interface are in one network.
func (b *builder) place(c *inventory.Interface, subnet *armnetwork.Subnet) {
	if subnet == nil || c.Network.ID != "" {
		return
	}
	id := lower(subnet.ID)
	network, _, ok := strings.Cut(id, "/subnets/")
	if !ok {
		return
	}
	c.Network = inventory.Named{ID: network, Name: segment(text(subnet.ID), "virtualNetworks")}
	c.Subnet = inventory.Named{ID: id, Name: path.Base(text(subnet.ID))}
}

// private adds an address, or the block that a pod subnet has lent.
func (b *builder) private(c *inventory.Interface, address string, length *int32) {
	if length != nil && *length > 0 && !strings.Contains(address, "/") {
		if a, err := netip.ParseAddr(address); err == nil && int(*length) < a.BitLen() {
			address = fmt.Sprintf("%s/%d", address, *length)
		}
	}
	if !strings.Contains(address, "/") {
		b.address(&c.Addresses, address)
		return
	}
	p, err := netip.ParsePrefix(address)
	if err != nil {
		b.s.Unread++
		return
	}
	c.Prefixes = append(c.Prefixes, p.Masked())
}

func (b *builder) address(list *[]netip.Addr, address string) {
	if address == "" {
		return
	}
	a, err := netip.ParseAddr(address)
	switch {
	case err != nil:
		b.s.Unread++
	case !slices.Contains(*list, a):
		*list = append(*list, a)
	}
}

func named(id *string) inventory.Named {
	return inventory.Named{ID: lower(id), Name: path.Base(text(id))}
}

func tags(m map[string]*string) inventory.Tags {
	if len(m) == 0 {
		return nil
	}
	t := make(inventory.Tags, len(m))
	for key, v := range m {
		t[key] = text(v)
	}
	return t
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func lower(s *string) string { return strings.ToLower(text(s)) }

// segment is what stands behind a word in the path of a resource.
func segment(id, word string) string {
	parts := strings.Split(id, "/")
	for i := range len(parts) - 1 {
		if strings.EqualFold(parts[i], word) {
			return parts[i+1]
		}
	}
	return ""
}
