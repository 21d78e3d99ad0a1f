// Package cloud tells what stands behind an address: which interface of which
// instance, in which network, with which tags, and since when.
//
// A Source fetches that from one cloud, account and region, or from a cluster; its
// result is a Snapshot. The packages below speak to the APIs; this one knows only
// what they have in common, and the standard library.
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
	// Fetch asks for everything. A Snapshot that is not complete is an error: what
	// is missing in it would be taken for gone.
	Fetch(context.Context) (*Snapshot, error)
}

// Snapshot is what a Source held at one time.
type Snapshot struct {
	Source     string // Source.Name
	Taken      time.Time
	Interfaces []Interface
	Instances  []Instance
}

// Named is an id and what people call it; Name may be empty.
type Named struct{ ID, Name string }

// Interface owns addresses in one network.
type Interface struct {
	ID       string
	Provider string // aws, gcp, azure, kubernetes
	Account  string // account, project, subscription, cluster
	Region   string
	Zone     string
	Network  Named // VPC: addresses are unique in it; Network.ID is unique over all sources
	Subnet   Named

	Addresses []netip.Addr   // private ones, the primary one first
	Prefixes  []netip.Prefix // delegated, as those of the pods of a node
	Public    []netip.Addr   // unique in the world
	MAC       string

	Groups   []Named   // security groups
	Kind     string    // what it belongs to: instance, nat_gateway, load_balancer, database, …; see Kinds
	Service  string    // what the managed thing is called, as the load balancer's name; "" none
	Instance string    // Instance.ID; "" none
	Attached time.Time // since when the addresses are its own; zero not known
	Tags     map[string]string
}

// Instance is a machine.
type Instance struct {
	ID       string
	Name     string
	Type     string
	State    string    // running, …
	Launched time.Time // zero not known
	Group    string    // what made it: Auto Scaling group, managed instance group, scale set
	Cluster  string    // of Kubernetes that it is a node of
	Tags     map[string]string
}
