// Package mirror keeps the mirror sessions of AWS as a file says that they should
// be: which interfaces are mirrored, by tag; to which sensors; through which filter.
//
//	Config ─┐
//	        ├─► Make ─► Plan ─► Apply ─► Outcome of each step
//	Read ─► World
//
// Read asks the account for all interfaces, machines, sessions, targets and
// filters; Make compares that with the desired state and gives the steps that
// are missing, with reasons; it asks nobody, so a plan is a function of its inputs.
// Apply does the steps. One interface that fails does not hold up the others.
//
// What is done is safe to do again: a run that was cut off half-way, or whose
// answers got lost, is followed by one that finds what is there and adds the rest.
// Sessions that do not carry the tags of this desired state (TagManagedBy, TagState)
// are never changed.
//
// The service, not this package, says which instance types can be mirrored and
// how many sources a target takes: it is asked, and what it refuses is reported.
//
// Amazon VPC, Traffic Mirroring (guide); Amazon EC2 API Reference.
package mirror

// What is created carries these tags; only what carries both is changed.
const (
	TagManagedBy = "managed-by"
	ManagedBy    = "mirrorscope"
	TagState     = "mirrorscope-state" // Config.Name
)

// Limits and figures of the service (Traffic Mirroring quotas; limitations).
const (
	sessionsPerInterface = 3
	rulesPerFilter       = 10
	maxSessionNumber     = 32766
	maxVNI               = 1<<24 - 1

	maxMutationsPerSecond = 5 // refill of the bucket for calls that change something

	overheadIPv4    = 54 // octets that mirroring adds to a packet
	overheadIPv6    = 74
	mtuEndpoint     = 8500 // of a gateway load balancer endpoint
	lengthBalancer  = 8500 // the most, and the default, to a network load balancer
	minLengthIPv4   = 35
	minLengthIPv6   = 55
	mirrorPort      = 4789 // UDP, VXLAN
	amazonDNS       = "amazon-dns"
	largestTargets  = 100 // sources that an interface target takes on the largest machines
	ordinaryTargets = 10  // and on the others
)
