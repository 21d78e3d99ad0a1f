// Package cloud tells what stands behind an address: which interface of which
// instance, in which network, with which tags, and since when.
//
// A Source fetches that from one cloud, account and region, or from a cluster; its
// result is a Snapshot. A Keeper asks the sources at a period, in goroutines of its
// own, keeps the last good Snapshot of each while one fails, in memory and on disk,
// and hands every new one on. The packages below speak to the APIs; this one knows
// only what they have in common, and the standard library.
//
// Nothing here is in the way of packets: whoever looks up an address does so in what
// it was handed. A Snapshot is not changed any more once it was given out, so that
// any number of goroutines may read it.
package cloud

import (
	"context"
	"net/netip"
	"time"
)

// Source fetches what one cloud, account and region holds.
type Source interface {
	// Name tells sources apart, as "aws/123456789012/eu-central-1". It is the same
	// in every run.
	Name() string
	// Fetch asks for everything. A Snapshot that is not complete is an error, as what
	// is missing in it would be taken for gone; or it says in Partial what is missing. It is not called again before it has
	// returned, and returns soon after its context is done. What can be mended by an
	// operator is a *Trouble.
	Fetch(context.Context) (*Snapshot, error)
}

// Watcher is a Source that is told of changes, and need not be asked for them.
type Watcher interface {
	Source
	// Watch hands each new Snapshot on until ctx is done, at most one a second. It
	// returns before only with an error, and is then called again, after a while.
	Watch(ctx context.Context, push func(*Snapshot)) error
}

// Snapshot is what a Source held at one time. Its JSON is what is on disk; a change
// of a meaning takes a new number of the format, see Store.
type Snapshot struct {
	Source     string      `json:"source"` // Source.Name
	Taken      time.Time   `json:"taken"`
	Interfaces []Interface `json:"interfaces"`
	Instances  []Instance  `json:"instances,omitempty"`

	// Partial are zones and regions that did not answer: Interface.Zone or, of what is in
	// no zone, Interface.Region. The Keeper fills in what was last known of them.
	Partial []string `json:"partial,omitempty"`

	// Unread are the addresses that the source told and that are none, or belong to
	// nothing that it told of.
	Unread int `json:"unread,omitempty"`
}

// Named is an id and what people call it; Name may be empty.
type Named struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// Interface owns addresses in one network. So does whatever else has addresses of
// its own: a pod, a service of a cluster, the front end of a load balancer.
type Interface struct {
	ID       string `json:"id"`
	Name     string `json:"name,omitempty"` // what people call it
	Provider string `json:"provider"`       // aws, gcp, azure, kubernetes
	Account  string `json:"account,omitempty"`
	Region   string `json:"region,omitempty"`
	Zone     string `json:"zone,omitempty"`
	// Network is the VPC: addresses are unique in it, and its ID is unique over all
	// sources. A cluster does not know it: what it tells has no ID, and the Keeper
	// fills in the network of the machine that Instance names. Where that is not known
	// either, ID stays empty: the addresses may be in any network.
	Network Named `json:"network,omitzero"`
	Subnet  Named `json:"subnet,omitzero"`

	Addresses []netip.Addr   `json:"addresses,omitempty"` // private ones, the primary one first
	Prefixes  []netip.Prefix `json:"prefixes,omitempty"`  // delegated, as those of the pods of a node
	Public    []netip.Addr   `json:"public,omitempty"`    // unique in the world
	MAC       string         `json:"mac,omitempty"`

	Groups   []Named   `json:"groups,omitempty"`   // security groups
	Kind     Kind      `json:"kind,omitempty"`     // what it belongs to
	Service  string    `json:"service,omitempty"`  // what the managed thing is called, as the load balancer's name; "" none
	Instance string    `json:"instance,omitempty"` // Instance.ID, maybe of another Source; "" none
	Attached time.Time `json:"attached,omitzero"`  // since when the primary address is its own; zero not known
	Object   *Object   `json:"object,omitempty"`   // of a cluster; nil: not of one
	Tags     Tags      `json:"tags,omitempty"`     // its own; the instance has others
}

// Instance is a machine.
type Instance struct {
	ID       string    `json:"id"`
	Name     string    `json:"name,omitempty"`
	Type     string    `json:"type,omitempty"`
	State    string    `json:"state,omitempty"`   // running, …, in the words of the cloud
	Launched time.Time `json:"launched,omitzero"` // zero not known
	Group    string    `json:"group,omitempty"`   // what made it: Auto Scaling group, managed instance group, scale set
	Cluster  string    `json:"cluster,omitempty"` // of Kubernetes that it is a node of
	Tags     Tags      `json:"tags,omitempty"`
}

// Tags are what users have written on something: tags of AWS and Azure, labels of
// GCP and Kubernetes. They are not changed.
type Tags map[string]string

// Object is what a cluster calls the thing that has the addresses.
type Object struct {
	Name      string `json:"name"` // of the pod, service or node
	Namespace string `json:"namespace,omitempty"`

	Workload     string   `json:"workload,omitempty"`      // what made the pod, its ReplicaSet stepped over: the name of the Deployment, StatefulSet, Job, …
	WorkloadKind string   `json:"workload_kind,omitempty"` // Deployment, …
	Services     []string `json:"services,omitempty"`      // of the namespace, that send to the pod; sorted
	Node         string   `json:"node,omitempty"`          // that the pod is on
}
