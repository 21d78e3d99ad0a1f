package aws

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"mirrorscope/cloud"
)

func TestKinds(t *testing.T) {
	managed := func(kind types.NetworkInterfaceType, requester, description string) types.NetworkInterface {
		return types.NetworkInterface{InterfaceType: kind, RequesterId: aws.String(requester), RequesterManaged: aws.Bool(true), Description: aws.String(description)}
	}
	users := func(kind types.NetworkInterfaceType, description string) types.NetworkInterface {
		return types.NetworkInterface{InterfaceType: kind, RequesterId: aws.String("AROAEXAMPLE:me"), Description: aws.String(description)}
	}
	on := func(instance string, n types.NetworkInterface) types.NetworkInterface {
		n.Attachment = &types.NetworkInterfaceAttachment{InstanceId: aws.String(instance)}
		return n
	}
	of := func(owner string, n types.NetworkInterface) types.NetworkInterface {
		n.Attachment = &types.NetworkInterfaceAttachment{InstanceOwnerId: aws.String(owner)}
		return n
	}
	const plain = types.NetworkInterfaceTypeInterface
	for _, tc := range []struct {
		name    string
		nic     types.NetworkInterface
		tags    cloud.Tags
		kind    cloud.Kind
		service string
	}{
		{"machine", on("i-1", users(plain, "Primary network interface")), nil, cloud.KindInstance, ""},
		{"machine, described as something else", on("i-1", users(plain, "ELB app/shop/50dc6c495c0c9188")), nil, cloud.KindInstance, ""},
		{"node's trunk", on("i-1", users(types.NetworkInterfaceTypeTrunk, "aws-k8s-trunk-eni")), nil, cloud.KindInstance, ""},
		{"node's further interface", on("i-1", users(plain, "aws-K8S-i-0123456789abcdef0")), nil, cloud.KindInstance, ""},
		{"pod's branch", users(types.NetworkInterfaceTypeBranch, "aws-k8s-branch-eni"), nil, cloud.KindPod, ""},
		{"NAT gateway", managed("nat_gateway", "123456789012", "Interface for NAT Gateway nat-0abc123"), nil, cloud.KindNATGateway, "nat-0abc123"},
		{"NAT gateway, in the SDK's word", managed(types.NetworkInterfaceTypeNatGateway, "123456789012", ""), nil, cloud.KindNATGateway, ""},
		{"application load balancer", managed(plain, "amazon-elb", "ELB app/shop-front/50dc6c495c0c9188"), nil, cloud.KindLoadBalancer, "shop-front"},
		{"network load balancer", managed(types.NetworkInterfaceTypeNetworkLoadBalancer, "amazon-elb", "ELB net/mirror/50dc6c495c0c9188"), nil, cloud.KindLoadBalancer, "mirror"},
		{"classic load balancer", of("amazon-elb", managed(plain, "amazon-elb", "ELB old-shop")), nil, cloud.KindLoadBalancer, "old-shop"},
		{"gateway load balancer", managed(types.NetworkInterfaceTypeGatewayLoadBalancer, "amazon-elb", "ELB gwy/inspect/50dc6c495c0c9188"), nil, cloud.KindGateway, "inspect"},
		{"its endpoint", managed(types.NetworkInterfaceTypeGatewayLoadBalancerEndpoint, "123456789012", "VPC Endpoint Interface vpce-0abc"), nil, cloud.KindGateway, "vpce-0abc"},
		{"VPC endpoint", managed(types.NetworkInterfaceTypeVpcEndpoint, "123456789012", "VPC Endpoint Interface vpce-0def"), nil, cloud.KindEndpoint, "vpce-0def"},
		{"transit gateway", managed(types.NetworkInterfaceTypeTransitGateway, "123456789012", "Network Interface for Transit Gateway Attachment tgw-attach-0a1"), nil, cloud.KindGateway, "tgw-attach-0a1"},
		{"Lambda", managed(types.NetworkInterfaceTypeLambda, "AROAEXAMPLE:fn", "AWS Lambda VPC ENI-order-mail-4ee24de1-5f8c-4bc7-8f0b-8fbf2d8b6a0c"), nil, cloud.KindFunction, "order-mail"},
		{"Lambda, without an id", managed(types.NetworkInterfaceTypeLambda, "AROAEXAMPLE:fn", "AWS Lambda VPC ENI-order"), nil, cloud.KindFunction, "order"},
		{"Lambda, of old", users(plain, "AWS Lambda VPC ENI: 4ee24de1-5f8c-4bc7-8f0b-8fbf2d8b6a0c"), nil, cloud.KindFunction, ""},
		{"RDS", of("amazon-rds", managed(plain, "amazon-rds", "RDSNetworkInterface")), nil, cloud.KindDatabase, ""},
		{"RDS, of another description", managed(plain, "amazon-rds", "Network interface for DBProxy"), nil, cloud.KindDatabase, ""},
		{"RDS, by the owner of the machine", of("amazon-rds", users(plain, "")), nil, cloud.KindDatabase, ""},
		{"Redshift", managed(plain, "amazon-redshift", "RedshiftNetworkInterface"), nil, cloud.KindDatabase, ""},
		{"ElastiCache", managed(plain, "amazon-elasticache", "ElastiCache sessions-001"), nil, cloud.KindCache, "sessions-001"},
		{"EFS", managed(plain, "123456789012", "EFS mount target for fs-0abc (fsmt-0def)"), nil, cloud.KindFileSystem, "fs-0abc"},
		{"EKS control plane", users(plain, "Amazon EKS prod"), nil, cloud.KindControlPlane, "prod"},
		{"ECS task", managed(plain, "578734482556", "arn:aws:ecs:eu-central-1:123456789012:attachment/4ee24de1"), cloud.Tags{"aws:ecs:serviceName": "checkout"}, cloud.KindTask, "checkout"},
		{"ECS task on a branch", users(types.NetworkInterfaceTypeBranch, ""), cloud.Tags{"aws:ecs:clusterName": "c", "aws:ecs:serviceName": "checkout"}, cloud.KindTask, "checkout"},
		{"some other service", managed(plain, "amazon-workspaces", "Created by a service"), nil, cloud.KindManaged, ""},
		{"some other type", users(types.NetworkInterfaceTypeQuicksight, ""), nil, cloud.KindManaged, ""},
		{"the user's words alone", users(plain, "ELB app/not/one"), nil, "", ""},
		{"the user's words alone, RDS", users(plain, "RDSNetworkInterface"), nil, "", ""},
		{"not attached", users(plain, ""), nil, "", ""},
	} {
		if kind, service := kindOf(&tc.nic, tc.tags); kind != tc.kind || service != tc.service {
			t.Errorf("%s: %q %q, want %q %q", tc.name, kind, service, tc.kind, tc.service)
		}
	}
	operated := users(plain, "")
	operated.Operator = &types.OperatorResponse{Managed: aws.Bool(true), Principal: aws.String("workspaces.amazonaws.com")}
	if kind, _ := kindOf(&operated, nil); kind != cloud.KindManaged {
		t.Errorf("managed by an operator: %q", kind)
	}
}
