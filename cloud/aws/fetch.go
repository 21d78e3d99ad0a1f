package aws

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"mirrorscope/cloud"
)

const (
	// pageSize is the most that EC2 gives at once. Without one, lists come under a
	// lower limit of requests.
	pageSize = 1000
	maxPages = 1000
)

// Fetch implements cloud.Source. Interfaces are read before instances, so that one
// that is begun meanwhile is a machine without an interface rather than the other way
// round; of those that have ended nothing is kept.
func (p *place) Fetch(ctx context.Context) (*cloud.Snapshot, error) {
	c, err := p.clients(ctx)
	if err != nil {
		return nil, err
	}
	vpcs, err := pages(ctx, c.region, "ec2:DescribeVpcs", ec2.NewDescribeVpcsPaginator(c.ec2, &ec2.DescribeVpcsInput{MaxResults: aws.Int32(pageSize)}),
		func(o *ec2.DescribeVpcsOutput) ([]types.Vpc, *string) { return o.Vpcs, o.NextToken })
	if err != nil {
		return nil, err
	}
	subnets, err := pages(ctx, c.region, "ec2:DescribeSubnets", ec2.NewDescribeSubnetsPaginator(c.ec2, &ec2.DescribeSubnetsInput{MaxResults: aws.Int32(pageSize)}),
		func(o *ec2.DescribeSubnetsOutput) ([]types.Subnet, *string) { return o.Subnets, o.NextToken })
	if err != nil {
		return nil, err
	}
	// Without IncludeManagedResources, what a service of AWS manages may be left out.
	nics, err := pages(ctx, c.region, "ec2:DescribeNetworkInterfaces",
		ec2.NewDescribeNetworkInterfacesPaginator(c.ec2, &ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(pageSize), IncludeManagedResources: aws.Bool(true)}),
		func(o *ec2.DescribeNetworkInterfacesOutput) ([]types.NetworkInterface, *string) {
			return o.NetworkInterfaces, o.NextToken
		})
	if err != nil {
		return nil, err
	}
	reservations, err := pages(ctx, c.region, "ec2:DescribeInstances",
		ec2.NewDescribeInstancesPaginator(c.ec2, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(pageSize), IncludeManagedResources: aws.Bool(true)}),
		func(o *ec2.DescribeInstancesOutput) ([]types.Reservation, *string) {
			return o.Reservations, o.NextToken
		})
	if err != nil {
		return nil, err
	}
	w := world{region: c.region, vpcs: map[string]string{}, subnets: map[string]string{}}
	for i := range vpcs {
		w.vpcs[aws.ToString(vpcs[i].VpcId)] = tags(vpcs[i].Tags)["Name"]
	}
	for i := range subnets {
		w.subnets[aws.ToString(subnets[i].SubnetId)] = tags(subnets[i].Tags)["Name"]
	}
	s := &cloud.Snapshot{Interfaces: make([]cloud.Interface, 0, len(nics))}
	for i := range nics {
		s.Interfaces = append(s.Interfaces, w.nic(&nics[i]))
	}
	s.Unread = w.unread
	for i := range reservations {
		for j := range reservations[i].Instances {
			n := &reservations[i].Instances[j]
			if n.State == nil || n.State.Name != types.InstanceStateNameTerminated {
				s.Instances = append(s.Instances, instance(n))
			}
		}
	}
	return s, nil
}

// paginator is one of the SDK's.
type paginator[Page any] interface {
	HasMorePages() bool
	NextPage(context.Context, ...func(*ec2.Options)) (Page, error)
}

// pages reads a list to its end.
func pages[Page, T any](ctx context.Context, region, action string, p paginator[Page], take func(Page) (items []T, next *string)) ([]T, error) {
	var all []T
	last := ""
	for n := 0; p.HasMorePages(); n++ {
		page, err := p.NextPage(ctx)
		if err != nil {
			return nil, trouble("list in "+region, action, err)
		}
		items, next := take(page)
		if token := aws.ToString(next); n >= maxPages || token != "" && token == last {
			return nil, &cloud.Trouble{Doing: "list in " + region + " by " + action, Err: errors.New("the list has no end")}
		}
		last = aws.ToString(next)
		all = append(all, items...)
	}
	return all, nil
}

// world is what interfaces refer to: names of networks.
type world struct {
	region        string
	vpcs, subnets map[string]string // names by id
	unread        int               // addresses that are none
}

// nic makes an interface of what the API tells of one.
func (w *world) nic(n *types.NetworkInterface) cloud.Interface {
	subnet, vpc := aws.ToString(n.SubnetId), aws.ToString(n.VpcId)
	own := tags(n.TagSet)
	c := cloud.Interface{
		ID: aws.ToString(n.NetworkInterfaceId), Name: own["Name"], Provider: Provider, Account: aws.ToString(n.OwnerId),
		Region: w.region, Zone: aws.ToString(n.AvailabilityZone),
		Network: cloud.Named{ID: vpc, Name: w.vpcs[vpc]}, Subnet: cloud.Named{ID: subnet, Name: w.subnets[subnet]},
		MAC: aws.ToString(n.MacAddress), Tags: own,
	}
	private := slices.Clone(n.PrivateIpAddresses)
	slices.SortStableFunc(private, func(a, b types.NetworkInterfacePrivateIpAddress) int {
		switch {
		case aws.ToBool(a.Primary) == aws.ToBool(b.Primary):
			return 0
		case aws.ToBool(a.Primary):
			return -1
		}
		return 1
	})
	if len(private) == 0 {
		w.address(&c.Addresses, n.PrivateIpAddress)
	}
	w.association(&c, n.Association)
	for i := range private {
		w.address(&c.Addresses, private[i].PrivateIpAddress)
		w.association(&c, private[i].Association)
	}
	for i := range n.Ipv6Addresses {
		w.address(&c.Addresses, n.Ipv6Addresses[i].Ipv6Address)
	}
	for i := range n.Ipv4Prefixes {
		w.prefix(&c.Prefixes, n.Ipv4Prefixes[i].Ipv4Prefix)
	}
	for i := range n.Ipv6Prefixes {
		w.prefix(&c.Prefixes, n.Ipv6Prefixes[i].Ipv6Prefix)
	}
	for i := range n.Groups {
		c.Groups = append(c.Groups, cloud.Named{ID: aws.ToString(n.Groups[i].GroupId), Name: aws.ToString(n.Groups[i].GroupName)})
	}
	if a := n.Attachment; a != nil {
		c.Instance = aws.ToString(a.InstanceId)
		if a.AttachTime != nil {
			c.Attached = a.AttachTime.UTC()
		}
	}
	c.Kind, c.Service = kindOf(n, own)
	return c
}

// address adds one that is not there yet.
func (w *world) address(list *[]netip.Addr, text *string) {
	if text == nil || *text == "" {
		return
	}
	a, err := netip.ParseAddr(*text)
	switch {
	case err != nil:
		w.unread++
	case !slices.Contains(*list, a):
		*list = append(*list, a)
	}
}

func (w *world) prefix(list *[]netip.Prefix, text *string) {
	if text == nil || *text == "" {
		return
	}
	p, err := netip.ParsePrefix(*text)
	if err != nil {
		w.unread++
		return
	}
	*list = append(*list, p.Masked())
}

// association adds the public addresses of a private one.
func (w *world) association(c *cloud.Interface, a *types.NetworkInterfaceAssociation) {
	if a != nil {
		w.address(&c.Public, a.PublicIp)
		w.address(&c.Public, a.CarrierIp)
	}
}

// Tags by which AWS itself tells what an instance is part of.
const (
	tagGroup      = "aws:autoscaling:groupName"
	tagCluster    = "eks:cluster-name"
	tagAWSCluster = "aws:eks:cluster-name"
	tagKubernetes = "kubernetes.io/cluster/" // and the name
)

func instance(n *types.Instance) cloud.Instance {
	t := tags(n.Tags)
	c := cloud.Instance{
		ID: aws.ToString(n.InstanceId), Name: t["Name"], Type: string(n.InstanceType),
		Group: t[tagGroup], Cluster: cluster(t), Tags: t,
	}
	if n.State != nil {
		c.State = string(n.State.Name)
	}
	if n.LaunchTime != nil {
		c.Launched = n.LaunchTime.UTC().Truncate(time.Millisecond)
	}
	return c
}

// cluster is that of which a machine is a node; "" of none, or if it may be of several.
func cluster(t cloud.Tags) string {
	for _, key := range []string{tagCluster, tagAWSCluster} {
		if t[key] != "" {
			return t[key]
		}
	}
	found := ""
	for key := range t {
		name, ok := strings.CutPrefix(key, tagKubernetes)
		switch {
		case !ok:
		case found != "":
			return ""
		default:
			found = name
		}
	}
	return found
}

func tags(list []types.Tag) cloud.Tags {
	if len(list) == 0 {
		return nil
	}
	t := make(cloud.Tags, len(list))
	for i := range list {
		t[aws.ToString(list[i].Key)] = aws.ToString(list[i].Value)
	}
	return t
}
