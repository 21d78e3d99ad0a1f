package kubernetes

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"mirrorscope/cloud"
)

// maxServices is the most services that a pod is told to belong to.
const maxServices = 16

// slim keeps of an object what names it.
func slim(v any) (any, error) {
	meta := func(m *metav1.ObjectMeta) metav1.ObjectMeta {
		return metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, UID: m.UID, ResourceVersion: m.ResourceVersion, Labels: m.Labels, OwnerReferences: m.OwnerReferences, CreationTimestamp: m.CreationTimestamp}
	}
	switch o := v.(type) {
	case *corev1.Pod:
		return &corev1.Pod{
			ObjectMeta: meta(&o.ObjectMeta), Spec: corev1.PodSpec{NodeName: o.Spec.NodeName, HostNetwork: o.Spec.HostNetwork},
			Status: corev1.PodStatus{Phase: o.Status.Phase, PodIPs: o.Status.PodIPs, PodIP: o.Status.PodIP, StartTime: o.Status.StartTime},
		}, nil
	case *corev1.Node:
		return &corev1.Node{ObjectMeta: meta(&o.ObjectMeta), Spec: corev1.NodeSpec{ProviderID: o.Spec.ProviderID}, Status: corev1.NodeStatus{Addresses: o.Status.Addresses}}, nil
	case *corev1.Service:
		return &corev1.Service{
			ObjectMeta: meta(&o.ObjectMeta),
			Spec:       corev1.ServiceSpec{Type: o.Spec.Type, ClusterIP: o.Spec.ClusterIP, ClusterIPs: o.Spec.ClusterIPs, ExternalIPs: o.Spec.ExternalIPs},
			Status:     corev1.ServiceStatus{LoadBalancer: o.Status.LoadBalancer},
		}, nil
	case *discoveryv1.EndpointSlice:
		s := &discoveryv1.EndpointSlice{ObjectMeta: meta(&o.ObjectMeta)}
		for i := range o.Endpoints {
			s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{TargetRef: o.Endpoints[i].TargetRef})
		}
		return s, nil
	}
	return v, nil
}

// builder makes a Snapshot of objects that come in any order.
type builder struct {
	c        *cluster
	nodes    map[string]*corev1.Node // by name
	pods     []*corev1.Pod
	services []*corev1.Service
	behind   map[string][]string // services by namespace/name of a pod
	s        *cloud.Snapshot
}

func newBuilder(c *cluster) *builder {
	return &builder{c: c, nodes: map[string]*corev1.Node{}, behind: map[string][]string{}, s: &cloud.Snapshot{Interfaces: []cloud.Interface{}}}
}

// add takes an object, which is not changed.
func (b *builder) add(v runtime.Object) {
	switch o := v.(type) {
	case *corev1.Node:
		b.nodes[o.Name] = o
	case *corev1.Pod:
		b.pods = append(b.pods, o)
	case *corev1.Service:
		b.services = append(b.services, o)
	case *discoveryv1.EndpointSlice:
		service := o.Labels[discoveryv1.LabelServiceName]
		for i := range o.Endpoints {
			if ref := o.Endpoints[i].TargetRef; ref != nil && ref.Kind == "Pod" && service != "" {
				pod := cmp.Or(ref.Namespace, o.Namespace) + "/" + ref.Name
				if !slices.Contains(b.behind[pod], service) {
					b.behind[pod] = append(b.behind[pod], service)
				}
			}
		}
	}
}

func (b *builder) snapshot() *cloud.Snapshot {
	for _, n := range b.nodes {
		b.node(n)
	}
	for _, s := range b.services {
		b.service(s)
	}
	for _, p := range b.pods {
		b.pod(p)
	}
	slices.SortFunc(b.s.Interfaces, func(x, y cloud.Interface) int { return strings.Compare(x.ID, y.ID) })
	b.s.Taken = time.Now().UTC()
	return b.s
}

// thing begins an interface of an object.
func (b *builder) thing(kind cloud.Kind, m *metav1.ObjectMeta) cloud.Interface {
	return cloud.Interface{
		ID: string(m.UID), Name: m.Name, Provider: Provider, Account: b.c.name, Network: cloud.Named{ID: b.c.network}, Kind: kind,
		Attached: m.CreationTimestamp.UTC(), Object: &cloud.Object{Name: m.Name, Namespace: m.Namespace}, Tags: m.Labels,
	}
}

// on fills in the place of a node.
func on(i *cloud.Interface, n *corev1.Node) {
	if n == nil {
		return
	}
	i.Instance = machine(n.Spec.ProviderID)
	i.Zone, i.Region = n.Labels[corev1.LabelTopologyZone], n.Labels[corev1.LabelTopologyRegion]
}

func (b *builder) node(n *corev1.Node) {
	i := b.thing(cloud.KindNode, &n.ObjectMeta)
	on(&i, n)
	for _, a := range n.Status.Addresses {
		switch a.Type {
		case corev1.NodeInternalIP:
			b.address(&i.Addresses, a.Address)
		case corev1.NodeExternalIP:
			b.address(&i.Public, a.Address)
		}
	}
	b.keep(i)
}

func (b *builder) service(s *corev1.Service) {
	i := b.thing(cloud.KindService, &s.ObjectMeta)
	i.Service, i.Object.Services = s.Name, []string{s.Name}
	inside := s.Spec.ClusterIPs
	if len(inside) == 0 {
		inside = []string{s.Spec.ClusterIP}
	}
	for _, a := range inside {
		if a != corev1.ClusterIPNone {
			b.address(&i.Addresses, a)
		}
	}
	outside := slices.Clone(s.Spec.ExternalIPs)
	for _, l := range s.Status.LoadBalancer.Ingress {
		outside = append(outside, l.IP)
	}
	for _, a := range outside {
		list := &i.Public
		if ip, err := netip.ParseAddr(a); err == nil && ip.IsPrivate() {
			list = &i.Addresses
		}
		b.address(list, a)
	}
	b.keep(i)
}

func (b *builder) pod(p *corev1.Pod) {
	if p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return // its address is the node's, or nobody's any more
	}
	i := b.thing(cloud.KindPod, &p.ObjectMeta)
	on(&i, b.nodes[p.Spec.NodeName])
	if p.Status.StartTime != nil {
		i.Attached = p.Status.StartTime.UTC()
	}
	i.Object.Node = p.Spec.NodeName
	i.Object.WorkloadKind, i.Object.Workload = workload(p)
	i.Object.Services = slices.Sorted(slices.Values(b.behind[p.Namespace+"/"+p.Name]))
	if more := len(i.Object.Services) - maxServices; more > 0 {
		i.Object.Services = i.Object.Services[:maxServices]
	}
	if len(p.Status.PodIPs) == 0 {
		b.address(&i.Addresses, p.Status.PodIP)
	}
	for _, a := range p.Status.PodIPs {
		b.address(&i.Addresses, a.IP)
	}
	b.keep(i)
}

// keep adds what has addresses.
func (b *builder) keep(i cloud.Interface) {
	if len(i.Addresses)+len(i.Public) > 0 {
		b.s.Interfaces = append(b.s.Interfaces, i)
	}
}

func (b *builder) address(list *[]netip.Addr, text string) {
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

// scheduled is the name of a Job that a CronJob has made: its own, and the minute.
var scheduled = regexp.MustCompile(`^(.+)-[0-9]{8,10}$`)

// workload is what made a pod: its controller, or what made that.
func workload(p *corev1.Pod) (kind, name string) {
	owner := metav1.GetControllerOf(p)
	if owner == nil {
		return "", ""
	}
	switch owner.Kind {
	case "Node": // a static pod
		return "", ""
	case "ReplicaSet":
		if hash := p.Labels["pod-template-hash"]; hash != "" {
			if name, ok := strings.CutSuffix(owner.Name, "-"+hash); ok {
				return "Deployment", name
			}
		}
	case "Job":
		if m := scheduled.FindStringSubmatch(owner.Name); m != nil {
			return "CronJob", m[1]
		}
	}
	return owner.Kind, owner.Name
}

// machine is the id by which the cloud of a node knows it, as the packages of the
// clouds have it; "" of others.
func machine(providerID string) string {
	scheme, rest, ok := strings.Cut(providerID, "://")
	if !ok {
		return ""
	}
	switch scheme {
	case "aws": // aws:///eu-central-1a/i-0123…
		if i := strings.LastIndexByte(rest, '/'); i >= 0 && strings.HasPrefix(rest[i+1:], "i-") {
			return rest[i+1:]
		}
	case "gce": // gce://project/zone/name
		return rest
	case "azure": // azure:///subscriptions/…
		return strings.ToLower(rest)
	}
	return ""
}
