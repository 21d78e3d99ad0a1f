package cloud

// Kind is what an Interface belongs to. What no source can tell has none.
type Kind string

// Kinds of interfaces. Where they come from is told by each source.
const (
	KindInstance     Kind = "instance"      // a machine
	KindNATGateway   Kind = "nat_gateway"   // translates addresses for a network
	KindLoadBalancer Kind = "load_balancer" // of any layer
	KindEndpoint     Kind = "endpoint"      // of a service of the cloud, or of somebody else's: VPC endpoint, private endpoint
	KindGateway      Kind = "gateway"       // transit, VPN, gateway load balancer endpoint: packets of others pass it
	KindFunction     Kind = "function"      // Lambda
	KindDatabase     Kind = "database"      // RDS and the like
	KindCache        Kind = "cache"         // ElastiCache
	KindFileSystem   Kind = "file_system"   // EFS
	KindControlPlane Kind = "control_plane" // of a managed cluster
	KindTask         Kind = "task"          // a container without a machine of the user's: ECS, Fargate
	KindManaged      Kind = "managed"       // of some other service of the cloud
	KindPod          Kind = "pod"           // of Kubernetes
	KindService      Kind = "service"       // of Kubernetes: the addresses of a Service
	KindNode         Kind = "node"          // of Kubernetes: a machine as the cluster knows it
)
