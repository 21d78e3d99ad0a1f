// Package enrich gives the ends of a connection their names: service, env, team,
// instance, zone and whatever else is known of an address at the time of a record.
//
//	cloud.Snapshot, static files ─► []Entry ─► Layer (a source, with history) ─┐
//	                                           Layer …                         ├─► Resolver ─► Namer ─► Record
//	                                           names of DNS and TLS, ports ────┘   by rank     cache
//
// A Layer holds what one source said of which prefix, from when to when, so that
// an address that was given to somebody else, and an old capture, get the names of
// their time. Layers have ranks, and each tag comes from the highest one that knows
// it. What nobody knows has no tag; only where a service is asked for, it is called
// N/A.
//
// Update and lookups may run at the same time: readers take no lock. A Namer
// belongs to one goroutine. Nothing here knows an API; files are read below, in
// enrich/static.
package enrich

import (
	"cmp"
	"encoding/binary"
	"iter"
	"slices"
	"strings"
)

// Tag keys that the sensor knows. Others are the user's own.
const (
	KeyService       = "service"
	KeyEnv           = "env"
	KeyTeam          = "team"
	KeyHost          = "host"
	KeyInstance      = "instance"
	KeyGroup         = "instance_group" // Auto Scaling group, managed instance group, scale set
	KeyZone          = "az"
	KeyRegion        = "region"
	KeyAccount       = "account"
	KeyVPC           = "vpc"
	KeySubnet        = "subnet"
	KeySecurityGroup = "security_group"
	KeyKind          = "kind"            // of what is behind an interface, where it is no instance: nat_gateway, load_balancer …
	KeyManaged       = "managed_service" // what that is called
	KeyCluster       = "cluster"
	KeyPod           = "pod"
	KeyNamespace     = "namespace"
	KeyWorkload      = "workload"
	KeyKubeService   = "kube_service" // a Service of the cluster that has the address, or sends to the pod
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
// tags have the same pointer as a rule, but not for certain. A nil *Tags has none.
type Tags struct{ list []Tag }

// none is what is known of most addresses.
var none = new(Tags)

// None gives the Tags without any.
func None() *Tags { return none }

// Bounds of a single tag and of a set. What is longer is cut, at a whole character;
// what comes beyond is left out.
const (
	MaxKey    = 128 // octets
	MaxValue  = 256 // octets; of cloud tags: AWS allows 256 characters
	MaxTagsOf = 64  // of one set
)

// NewTags makes Tags of a list, which it takes over: sorted, without repeats, and
// within the bounds. Tags without a key or a value are left out.
func NewTags(list []Tag) *Tags {
	if list = tidy(list); len(list) == 0 {
		return none
	}
	return &Tags{slices.Clip(list)}
}

// tidy sorts a list in place, and leaves out what cannot be in a set.
func tidy(list []Tag) []Tag {
	kept := list[:0]
	for _, t := range list {
		t.Key, t.Value = clip(t.Key, MaxKey), clip(t.Value, MaxValue)
		if t.Key != "" && t.Value != "" {
			kept = append(kept, t)
		}
	}
	slices.SortFunc(kept, compareTags)
	kept = slices.Compact(kept)
	return kept[:min(len(kept), MaxTagsOf)]
}

// Of makes Tags of keys and values in turn. It is for tests and examples.
func Of(pairs ...string) *Tags {
	var list []Tag
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, Tag{pairs[i], pairs[i+1]})
	}
	return NewTags(list)
}

func compareTags(a, b Tag) int {
	return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
}

// clip cuts a text to n octets, and not within a character. What is no UTF-8
// becomes U+FFFD.
func clip(s string, n int) string {
	if len(s) > n {
		for n > 0 && s[n]&0xc0 == 0x80 {
			n--
		}
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// Len is the number of tags.
func (t *Tags) Len() int {
	if t == nil {
		return 0
	}
	return len(t.list)
}

// All are the tags, by key, then value.
func (t *Tags) All() iter.Seq[Tag] {
	return func(yield func(Tag) bool) {
		if t == nil {
			return
		}
		for _, tag := range t.list {
			if !yield(tag) {
				return
			}
		}
	}
}

// Get gives the value of a key, the first one where there are several; "" not
// known.
func (t *Tags) Get(key string) string {
	if values := t.Values(key); len(values) > 0 {
		return values[0].Value
	}
	return ""
}

// Values are the tags with a key, lent.
func (t *Tags) Values(key string) []Tag {
	if t == nil {
		return nil
	}
	list := t.list
	low, high := 0, len(list)
	for low < high {
		if mid := (low + high) / 2; list[mid].Key < key {
			low = mid + 1
		} else {
			high = mid
		}
	}
	end := low
	for end < len(list) && list[end].Key == key {
		end++
	}
	return list[low:end]
}

// Groups are the tags, those of a key together, lent.
func (t *Tags) Groups() iter.Seq[[]Tag] {
	return func(yield func([]Tag) bool) {
		if t == nil {
			return
		}
		for from := 0; from < len(t.list); {
			to := from + 1
			for to < len(t.list) && t.list[to].Key == t.list[from].Key {
				to++
			}
			if !yield(t.list[from:to:to]) {
				return
			}
			from = to
		}
	}
}

// Equal tells whether two have the same tags.
func (t *Tags) Equal(o *Tags) bool {
	if t == o {
		return true
	}
	if t.Len() != o.Len() {
		return false
	}
	return t.Len() == 0 || slices.Equal(t.list, o.list)
}

// interner gives equal sets the same pointer. It belongs to one goroutine.
type interner struct {
	sets  map[string]*Tags
	limit int
	buf   []byte
}

// of gives the set of a list, which it sorts: the first one that was like it. When
// there are too many it forgets them, which costs memory and nothing else.
func (i *interner) of(list []Tag) *Tags {
	if list = tidy(list); len(list) == 0 {
		return none
	}
	i.buf = i.buf[:0]
	for _, t := range list {
		i.buf = append(binary.AppendUvarint(i.buf, uint64(len(t.Key))), t.Key...)
		i.buf = append(binary.AppendUvarint(i.buf, uint64(len(t.Value))), t.Value...)
	}
	if old, ok := i.sets[string(i.buf)]; ok {
		return old
	}
	if i.sets == nil || len(i.sets) >= i.limit {
		i.sets = map[string]*Tags{}
	}
	t := &Tags{slices.Clone(list)}
	i.sets[string(i.buf)] = t
	return t
}
