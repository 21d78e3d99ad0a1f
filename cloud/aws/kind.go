package aws

import (
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"mirrorscope/cloud"
)

// description is a pattern of those that AWS gives interfaces of a managed service.
// Its first group is what the thing is called.
type description struct {
	pattern *regexp.Regexp
	kind    cloud.Kind
}

// described tells managed services by their descriptions. Patterns are compiled when
// they are needed, as a program starts that asks no cloud, too.
var described = sync.OnceValue(func() []description {
	return []description{
		{regexp.MustCompile(`^Interface for NAT Gateway (nat-[0-9a-z]+)`), cloud.KindNATGateway},
		{regexp.MustCompile(`^ELB gwy/([^/]+)/`), cloud.KindGateway},
		{regexp.MustCompile(`^ELB (?:app|net)/([^/]+)/`), cloud.KindLoadBalancer},
		{regexp.MustCompile(`^ELB ([^/]+)$`), cloud.KindLoadBalancer}, // classic
		{regexp.MustCompile(`^Network Interface for Transit Gateway Attachment (tgw-attach-[0-9a-z]+)`), cloud.KindGateway},
		{regexp.MustCompile(`^VPC Endpoint Interface (vpce-[0-9a-z]+)`), cloud.KindEndpoint},
		{regexp.MustCompile(`^AWS Lambda VPC ENI-(.+)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`), cloud.KindFunction},
		{regexp.MustCompile(`^AWS Lambda VPC ENI-(.+)$`), cloud.KindFunction},
		{regexp.MustCompile(`^AWS Lambda VPC ENI`), cloud.KindFunction}, // of old, with the id of a request
		{regexp.MustCompile(`^RDSNetworkInterface`), cloud.KindDatabase},
		{regexp.MustCompile(`^RedshiftNetworkInterface`), cloud.KindDatabase},
		{regexp.MustCompile(`^ElastiCache (.+)$`), cloud.KindCache},
		{regexp.MustCompile(`^EFS mount target for (fs-[0-9a-z]+)`), cloud.KindFileSystem},
		{regexp.MustCompile(`^Amazon EKS (.+)$`), cloud.KindControlPlane},
		{regexp.MustCompile(`^arn:aws[a-z-]*:ecs:.*:attachment/`), cloud.KindTask},
	}
})

// typed tells them by the type of the interface, where the description does not.
// EC2 documents nat_gateway, and its model has natGateway.
var typed = map[types.NetworkInterfaceType]cloud.Kind{
	"nat_gateway":                                           cloud.KindNATGateway,
	types.NetworkInterfaceTypeNatGateway:                    cloud.KindNATGateway,
	types.NetworkInterfaceTypeLoadBalancer:                  cloud.KindLoadBalancer,
	types.NetworkInterfaceTypeNetworkLoadBalancer:           cloud.KindLoadBalancer,
	types.NetworkInterfaceTypeGatewayLoadBalancer:           cloud.KindGateway,
	types.NetworkInterfaceTypeGatewayLoadBalancerEndpoint:   cloud.KindGateway,
	types.NetworkInterfaceTypeTransitGateway:                cloud.KindGateway,
	types.NetworkInterfaceTypeVpcEndpoint:                   cloud.KindEndpoint,
	types.NetworkInterfaceTypeLambda:                        cloud.KindFunction,
	types.NetworkInterfaceTypeApiGatewayManaged:             cloud.KindManaged,
	types.NetworkInterfaceTypeQuicksight:                    cloud.KindManaged,
	types.NetworkInterfaceTypeGlobalAcceleratorManaged:      cloud.KindManaged,
	types.NetworkInterfaceTypeIotRulesManaged:               cloud.KindManaged,
	types.NetworkInterfaceTypeAwsCodestarConnectionsManaged: cloud.KindManaged,
}

// requesters tells them by who asked EC2 for the interface.
var requesters = map[string]cloud.Kind{
	"amazon-elb":         cloud.KindLoadBalancer,
	"amazon-rds":         cloud.KindDatabase,
	"amazon-redshift":    cloud.KindDatabase,
	"amazon-elasticache": cloud.KindCache,
}

// Tags of the interfaces of an ECS task.
const (
	tagECSService = "aws:ecs:serviceName"
	tagECSCluster = "aws:ecs:clusterName"
)

// kindOf tells what an interface belongs to, and what that is called.
//
// The user may describe interfaces of machines in any words, so that a description
// counts only where no machine of the user has the interface. One that such a machine
// has is that machine's, as a trunk is; a branch of a trunk is that of a pod or task.
func kindOf(n *types.NetworkInterface, tags cloud.Tags) (kind cloud.Kind, service string) {
	if a := n.Attachment; a != nil && a.InstanceId != nil && n.InterfaceType != types.NetworkInterfaceTypeBranch {
		return cloud.KindInstance, ""
	}
	managed := aws.ToBool(n.RequesterManaged) || n.Operator != nil && aws.ToBool(n.Operator.Managed) || typed[n.InterfaceType] != "" ||
		requesters[aws.ToString(n.RequesterId)] != "" || n.Attachment != nil && strings.HasPrefix(aws.ToString(n.Attachment.InstanceOwnerId), "amazon-")
	text := aws.ToString(n.Description)
	for _, d := range described() {
		m := d.pattern.FindStringSubmatch(text)
		if m == nil || !managed && n.InterfaceType != types.NetworkInterfaceTypeBranch && !unmanaged[d.kind] {
			continue
		}
		kind = d.kind
		if len(m) > 1 {
			service = m[1]
		}
		break
	}
	if t := typed[n.InterfaceType]; t != "" && (kind == "" || t == cloud.KindGateway) {
		kind = t // the endpoint of a gateway load balancer is described as any endpoint
	}
	switch {
	case kind == cloud.KindTask:
		return kind, tags[tagECSService]
	case kind != "":
		return kind, service
	case n.InterfaceType == types.NetworkInterfaceTypeBranch && tags[tagECSCluster] != "":
		return cloud.KindTask, tags[tagECSService]
	case n.InterfaceType == types.NetworkInterfaceTypeBranch:
		return cloud.KindPod, "" // whose is known to the cluster alone
	case requesters[aws.ToString(n.RequesterId)] != "":
		return requesters[aws.ToString(n.RequesterId)], ""
	case n.Attachment != nil && requesters[aws.ToString(n.Attachment.InstanceOwnerId)] != "":
		return requesters[aws.ToString(n.Attachment.InstanceOwnerId)], ""
	case managed:
		return cloud.KindManaged, ""
	}
	return "", ""
}

// unmanaged are the kinds whose interfaces the service makes in the name of the user,
// so that they are not marked as its own.
var unmanaged = map[cloud.Kind]bool{cloud.KindTask: true, cloud.KindFunction: true, cloud.KindControlPlane: true, cloud.KindFileSystem: true, cloud.KindCache: true}
