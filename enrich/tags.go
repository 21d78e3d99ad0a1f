// Package enrich gives the ends of a connection their names: service, env, team,
// instance, zone and whatever else is known of an address at the time of a record.
//
// Sources have ranks, and each tag comes from the highest one that knows it. What
// nobody knows has no tag; only where a service is asked for, it is called N/A.
package enrich

import (
	"net/netip"

	"mirrorscope/flow"
)

// Tag keys that the sensor knows. Others are the user's own.
const (
	KeyService       = "service"
	KeyEnv           = "env"
	KeyTeam          = "team"
	KeyHost          = "host"
	KeyInstance      = "instance"
	KeyZone          = "az"
	KeyRegion        = "region"
	KeyVPC           = "vpc"
	KeySubnet        = "subnet"
	KeySecurityGroup = "security_group"
	KeyPod           = "pod"
	KeyNamespace     = "namespace"
	KeyWorkload      = "workload"
	KeyDomain        = "domain"
	// Of the record itself rather than of an address:
	KeyIP               = "ip"
	KeyPort             = "port"
	KeyNetwork          = "network"
	KeyObservationPoint = "observation_point"
	KeyTLSVersion       = "tls_version"
	KeySNI              = "sni"
)

// Unresolved is the service of an address that has none, as Datadog shows it.
const Unresolved = "N/A"

// Tag is one key and value.
type Tag struct{ Key, Value string }

// Tags is what is known of one end, sorted by key, then value; a key may come more
// than once, as security_group. It is shared and never changed: two ends with equal
// tags have the same pointer as a rule, but not for certain.
type Tags struct{ list []Tag }

// Entry gives a prefix its tags. Network is the id of the network that the prefix is
// in, "" for all.
type Entry struct {
	Network string
	Prefix  netip.Prefix
	Ports   [2]uint16 // of the server, first and last; zero: all
	Proto   uint8     // IP protocol number that Ports belong to; 0: all
	Since   int64     // ns since the Unix epoch from which it holds; 0 not known
	Tags    *Tags
}

// Record is a record of which the ends have tags.
type Record struct {
	*flow.Record
	Tags [2]*Tags // of client and server; never nil
}
