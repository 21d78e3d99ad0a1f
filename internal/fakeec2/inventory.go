package fakeec2

import (
	"strconv"
	"strings"
	"time"
)

var inventoryActions = map[string]action{
	"DescribeNetworkInterfaces": describeInterfaces,
	"DescribeInstances":         describeInstances,
	"DescribeSubnets":           describeSubnets,
	"DescribeVpcs":              describeVPCs,
	"DescribeInstanceTypes":     describeTypes,
}

func describeInterfaces(r *request, a *answer) *Error {
	all := r.Interfaces
	if r.get("IncludeManagedResources") != "true" {
		all = map[string]*Interface{}
		for id, i := range r.Interfaces {
			if i.Managed == "" {
				all[id] = i
			}
		}
	}
	return describe(r, a, all, kind[*Interface]{
		ids: "NetworkInterfaceId", notFound: "InvalidNetworkInterfaceID.NotFound", set: "networkInterfaceSet", least: 5, most: 1000,
		id:   func(i *Interface) string { return i.ID },
		tags: func(i *Interface) Tags { return i.Tags },
		attribute: func(i *Interface, name string) ([]string, bool) {
			switch name {
			case "network-interface-id":
				return []string{i.ID}, true
			case "vpc-id":
				return []string{i.VPC}, true
			case "subnet-id":
				return []string{i.Subnet}, true
			case "availability-zone":
				return []string{i.Zone}, true
			case "attachment.instance-id":
				return []string{i.Instance}, true
			case "interface-type":
				return []string{i.kind()}, true
			case "private-ip-address":
				return []string{i.IP}, true
			case "addresses.private-ip-address":
				return append([]string{i.IP}, i.Secondary...), true
			case "status":
				return []string{i.status()}, true
			case "requester-managed":
				return []string{strconv.FormatBool(i.RequesterManaged)}, true
			case "owner-id":
				return []string{r.owner(i.Owner)}, true
			case "description":
				return []string{i.Description}, true
			}
			return nil, false
		},
		write: func(i *Interface) { r.writeInterface(a, i) },
	})
}

func (i *Interface) kind() string {
	if i.Type == "" {
		return "interface"
	}
	return i.Type
}

func (i *Interface) status() string {
	switch {
	case i.Status != "":
		return i.Status
	case i.Instance != "":
		return "in-use"
	}
	return "available"
}

func (r *request) writeInterface(a *answer, i *Interface) {
	a.text("networkInterfaceId", i.ID)
	a.text("subnetId", i.Subnet)
	a.text("vpcId", i.VPC)
	a.text("availabilityZone", i.Zone)
	a.text("description", i.Description)
	a.text("ownerId", r.owner(i.Owner))
	a.text("requesterId", i.RequesterID)
	a.truth("requesterManaged", i.RequesterManaged)
	a.text("status", i.status())
	a.text("macAddress", i.MAC)
	a.text("privateIpAddress", i.IP)
	a.text("interfaceType", i.kind())
	list(a, "groupSet", i.Groups, func(g Group) { a.text("groupId", g.ID); a.text("groupName", g.Name) })
	if i.Instance != "" {
		a.in("attachment", func() {
			a.text("instanceId", i.Instance)
			a.number("deviceIndex", i.Device)
			a.text("status", "attached")
			a.time("attachTime", i.Attached)
		})
	}
	association := func() {
		if i.PublicIP != "" {
			a.in("association", func() { a.text("publicIp", i.PublicIP) })
		}
	}
	association()
	if i.IP != "" {
		list(a, "privateIpAddressesSet", append([]string{i.IP}, i.Secondary...), func(ip string) {
			a.text("privateIpAddress", ip)
			a.truth("primary", ip == i.IP)
			if ip == i.IP {
				association()
			}
		})
	}
	list(a, "ipv6AddressesSet", i.IPv6, func(ip string) { a.text("ipv6Address", ip) })
	v4, v6 := i.prefixes()
	list(a, "ipv4PrefixSet", v4, func(p string) { a.text("ipv4Prefix", p) })
	list(a, "ipv6PrefixSet", v6, func(p string) { a.text("ipv6Prefix", p) })
	if i.Managed != "" {
		a.in("operator", func() { a.truth("managed", true); a.text("principal", i.Managed) })
	}
	a.tags(i.Tags)
}

func (i *Interface) prefixes() (v4, v6 []string) {
	for _, p := range i.Prefixes {
		if strings.Contains(p, ":") {
			v6 = append(v6, p)
		} else {
			v4 = append(v4, p)
		}
	}
	return v4, v6
}

// time adds a moment if it is known.
func (a *answer) time(name string, t time.Time) {
	if !t.IsZero() {
		a.text(name, t.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
}

func (i *Instance) state() (name string, code int) {
	codes := map[string]int{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
	if i.State == "" {
		return "running", codes["running"]
	}
	return i.State, codes[i.State]
}

// describeInstances gives each machine as a reservation of its own.
func describeInstances(r *request, a *answer) *Error {
	return describe(r, a, r.Instances, kind[*Instance]{
		ids: "InstanceId", notFound: "InvalidInstanceID.NotFound", set: "reservationSet", least: 5, most: 1000,
		id:   func(i *Instance) string { return i.ID },
		tags: func(i *Instance) Tags { return i.Tags },
		attribute: func(i *Instance, name string) ([]string, bool) {
			switch name {
			case "instance-id":
				return []string{i.ID}, true
			case "instance-type":
				return []string{i.Type}, true
			case "instance-state-name":
				state, _ := i.state()
				return []string{state}, true
			case "vpc-id":
				return []string{i.VPC}, true
			case "subnet-id":
				return []string{i.Subnet}, true
			case "availability-zone":
				return []string{i.Zone}, true
			}
			return nil, false
		},
		write: func(i *Instance) {
			a.text("reservationId", "r-"+strings.TrimPrefix(i.ID, "i-"))
			a.text("ownerId", r.Account)
			list(a, "instancesSet", []*Instance{i}, func(i *Instance) { r.writeInstance(a, i) })
		},
	})
}

func (r *request) writeInstance(a *answer, i *Instance) {
	a.text("instanceId", i.ID)
	a.text("imageId", i.Image)
	name, code := i.state()
	a.in("instanceState", func() { a.number("code", code); a.text("name", name) })
	a.text("instanceType", i.Type)
	a.time("launchTime", i.Launched)
	a.in("placement", func() { a.text("availabilityZone", i.Zone) })
	a.text("subnetId", i.Subnet)
	a.text("vpcId", i.VPC)
	a.text("privateIpAddress", i.IP)
	a.tags(i.Tags)
}

func describeSubnets(r *request, a *answer) *Error {
	return describe(r, a, r.Subnets, kind[*Subnet]{
		ids: "SubnetId", notFound: "InvalidSubnetID.NotFound", set: "subnetSet", least: 5, most: 1000,
		id:   func(n *Subnet) string { return n.ID },
		tags: func(n *Subnet) Tags { return n.Tags },
		attribute: func(n *Subnet, name string) ([]string, bool) {
			switch name {
			case "subnet-id":
				return []string{n.ID}, true
			case "vpc-id":
				return []string{n.VPC}, true
			case "availability-zone":
				return []string{n.Zone}, true
			}
			return nil, false
		},
		write: func(n *Subnet) {
			a.text("subnetId", n.ID)
			a.text("vpcId", n.VPC)
			a.text("cidrBlock", n.CIDR)
			a.text("availabilityZone", n.Zone)
			a.text("availabilityZoneId", n.ZoneID)
			a.text("state", "available")
			a.text("ownerId", r.Account)
			a.tags(n.Tags)
		},
	})
}

func describeVPCs(r *request, a *answer) *Error {
	return describe(r, a, r.VPCs, kind[*VPC]{
		ids: "VpcId", notFound: "InvalidVpcID.NotFound", set: "vpcSet", least: 5, most: 1000,
		id:   func(v *VPC) string { return v.ID },
		tags: func(v *VPC) Tags { return v.Tags },
		attribute: func(v *VPC, name string) ([]string, bool) {
			switch name {
			case "vpc-id":
				return []string{v.ID}, true
			case "cidr":
				return []string{v.CIDR}, true
			}
			return nil, false
		},
		write: func(v *VPC) {
			a.text("vpcId", v.ID)
			a.text("cidrBlock", v.CIDR)
			a.text("state", "available")
			a.text("ownerId", r.Account)
			list(a, "cidrBlockAssociationSet", append([]string{v.CIDR}, v.More...), func(block string) {
				a.text("cidrBlock", block)
				a.in("cidrBlockState", func() { a.text("state", "associated") })
			})
			a.tags(v.Tags)
		},
	})
}

// namedType is an InstanceType with its name.
type namedType struct {
	InstanceType
	name string
}

// describeTypes knows the types in State.Types, and those of the instances.
func describeTypes(r *request, a *answer) *Error {
	all := map[string]namedType{}
	for _, i := range r.Instances {
		all[i.Type] = namedType{r.Types[i.Type], i.Type}
	}
	for name, t := range r.Types {
		all[name] = namedType{t, name}
	}
	return describe(r, a, all, kind[namedType]{
		ids: "InstanceType", notFound: "InvalidInstanceType", set: "instanceTypeSet", least: 5, most: 100,
		id:   func(t namedType) string { return t.name },
		tags: func(namedType) Tags { return nil },
		attribute: func(t namedType, name string) ([]string, bool) {
			switch name {
			case "instance-type":
				return []string{t.name}, true
			case "bare-metal":
				return []string{strconv.FormatBool(t.BareMetal)}, true
			}
			return nil, false
		},
		write: func(t namedType) {
			a.text("instanceType", t.name)
			a.truth("bareMetal", t.BareMetal)
			if !t.BareMetal {
				a.text("hypervisor", orElse(t.Hyper, "nitro"))
			}
		},
	})
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
