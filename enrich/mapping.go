package enrich

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"mirrorscope/cloud"
)

// Mapping makes Entries of what a cloud or a cluster holds. It is not changed, and
// safe for concurrent use.
type Mapping struct {
	keys []mapped        // tags of the cloud under other names
	kept map[string]bool // in lower case: tags that are kept under their own
	all  bool            // all are kept
	open []string        // in lower case: beginnings of those that are kept
}

// mapped is a key and the tags of the cloud that it comes from, in lower case, the
// best first.
type mapped struct {
	key  string
	from []string
}

// Mapping makes the Mapping of a Config, which must be valid.
func (c *Config) Mapping() *Mapping {
	m := &Mapping{kept: map[string]bool{}}
	keys := c.keys()
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		k := mapped{key: key}
		for _, from := range keys[key] {
			k.from = append(k.from, strings.ToLower(from))
		}
		m.keys = append(m.keys, k)
	}
	for _, key := range c.Service { // what a service is made of must be known
		if !slices.Contains(ownKeys, key) && keys[key] == nil {
			m.keys = append(m.keys, mapped{key, []string{strings.ToLower(key)}})
		}
	}
	for _, key := range c.Own {
		switch begin, open := strings.CutSuffix(strings.ToLower(key), "*"); {
		case !open:
			m.kept[begin] = true
		case begin == "":
			m.all = true
		default:
			m.open = append(m.open, begin)
		}
	}
	return m
}

// ownKeys are the keys that the sensor fills in by itself. A tag of the cloud that
// happens to be called so does not pass for one, unless Config.Keys says so.
var ownKeys = []string{
	KeyService, KeyHost, KeyInstance, KeyGroup, KeyZone, KeyRegion, KeyAccount, KeyVPC, KeySubnet, KeySecurityGroup, KeyKind, KeyManaged,
	KeyCluster, KeyPod, KeyNamespace, KeyWorkload, KeyKubeService, KeyDomain, KeyIP, KeyPort, KeyNetwork, KeyObservationPoint, KeyTLSVersion, KeySNI,
}

// keeps tells whether a tag of the cloud is kept under its own name. AWS' own are
// not, unless they are asked for by name.
func (m *Mapping) keeps(lower string) bool {
	return m.kept[lower] || m.all && !strings.HasPrefix(lower, "aws:") ||
		slices.ContainsFunc(m.open, func(begin string) bool { return strings.HasPrefix(lower, begin) })
}

// Entries gives an entry for each address and prefix of a Snapshot, of interfaces in
// order of their ids. Networks are called as NetworkName says. cut counts tags that
// found no room.
//
// The primary address of an interface, and all of a pod, hold since it was attached.
// Of others it is not told since when they do. A public address is in no network.
func (m *Mapping) Entries(s *cloud.Snapshot) (entries []Entry, cut int) {
	instances := make(map[string]*cloud.Instance, len(s.Instances))
	for i := range s.Instances {
		instances[s.Instances[i].ID] = &s.Instances[i]
	}
	order := make([]*cloud.Interface, len(s.Interfaces))
	for i := range s.Interfaces {
		order[i] = &s.Interfaces[i]
	}
	slices.SortStableFunc(order, func(a, b *cloud.Interface) int { return strings.Compare(a.ID, b.ID) })
	sets := interner{limit: 1 << 20}
	for _, i := range order {
		instance := instances[i.Instance]
		list, n := m.tags(i, instance)
		cut += n
		e := Entry{Network: NetworkName(i.Network.ID), Tags: sets.of(list)}
		since := int64(0)
		switch {
		case !i.Attached.IsZero():
			since = i.Attached.UnixNano()
		case instance != nil && !instance.Launched.IsZero() && i.Kind == cloud.KindInstance:
			since = instance.Launched.UnixNano()
		}
		for k, a := range i.Addresses {
			if e.Since = 0; k == 0 || i.Object != nil {
				e.Since = since
			}
			e.Prefix = netip.PrefixFrom(a, a.BitLen())
			entries = append(entries, e)
		}
		e.Since = 0
		for _, e.Prefix = range i.Prefixes {
			entries = append(entries, e)
		}
		e.Network = ""
		for _, a := range i.Public {
			e.Prefix = netip.PrefixFrom(a, a.BitLen())
			entries = append(entries, e)
		}
	}
	return entries, cut
}

// NetworkName is what the network of an id is called in records, where a slash parts
// a network from those inside of it.
func NetworkName(id string) string { return strings.ReplaceAll(strings.Trim(id, "/"), "/", ":") }

// tags are those of an interface, with those of its instance.
func (m *Mapping) tags(i *cloud.Interface, instance *cloud.Instance) (list []Tag, cut int) {
	add := func(key, value string) {
		if value != "" {
			list = append(list, Tag{key, value})
		}
	}
	name := func(n cloud.Named) string { return cmp.Or(n.Name, n.ID) }
	add(KeyZone, i.Zone)
	add(KeyRegion, i.Region)
	add(KeyVPC, name(i.Network))
	add(KeySubnet, name(i.Subnet))
	for _, g := range i.Groups {
		add(KeySecurityGroup, name(g))
	}
	add(KeyKind, string(i.Kind))
	add(KeyManaged, i.Service)
	if o := i.Object; o != nil {
		add(KeyNamespace, o.Namespace)
		add(KeyWorkload, o.Workload)
		switch i.Kind {
		case cloud.KindService:
			add(KeyKubeService, o.Name)
		case cloud.KindNode:
			add(KeyHost, o.Name)
		default:
			add(KeyPod, o.Name)
			add(KeyHost, o.Node)
		}
		for _, s := range o.Services {
			add(KeyKubeService, s)
		}
		add(KeyCluster, i.Account)
	} else {
		add(KeyAccount, i.Account)
	}
	users := []cloud.Tags{i.Tags}
	if instance != nil {
		add(KeyInstance, cmp.Or(instance.Name, instance.ID))
		add(KeyHost, instance.ID)
		add(KeyGroup, instance.Group)
		add(KeyCluster, instance.Cluster)
		users = append(users, instance.Tags)
	}
	return m.users(list, users)
}

// users adds the tags that users have made; those of the interface win over those of
// the instance.
func (m *Mapping) users(list []Tag, users []cloud.Tags) (_ []Tag, cut int) {
	type tag struct{ key, value string }
	all := map[string]tag{} // by key in lower case; of those that differ by that alone, the first
	for _, tags := range users {
		of := map[string]tag{}
		for key, value := range tags {
			lower := strings.ToLower(key)
			if old, ok := of[lower]; !ok || key < old.key {
				of[lower] = tag{key, value}
			}
		}
		for lower, t := range of {
			if _, ok := all[lower]; !ok && t.value != "" {
				all[lower] = t
			}
		}
	}
	taken := map[string]bool{} // by Keys
	for _, k := range m.keys {
		for _, from := range k.from {
			if t, ok := all[from]; ok {
				list = slices.DeleteFunc(list, func(t Tag) bool { return t.Key == k.key })
				list = append(list, Tag{k.key, t.value})
				taken[strings.ToLower(k.key)] = true
				break
			}
		}
	}
	for _, lower := range slices.Sorted(maps.Keys(all)) {
		t := all[lower]
		if taken[lower] || !m.keeps(lower) || slices.Contains(ownKeys, lower) || !ValidKey(t.key) {
			continue
		}
		if len(list) >= MaxTagsOf {
			cut++
			continue
		}
		list = append(list, Tag{t.key, t.value})
	}
	return list, cut
}

// Feed is Update with what a source held.
func (l *Layer) Feed(m *Mapping, s *cloud.Snapshot) {
	entries, cut := m.Entries(s)
	l.Update(s.Taken.UnixNano(), entries)
	l.mu.Lock()
	l.stats.TagsCut += uint64(cut)
	l.mu.Unlock()
}

// RankOf is the rank of a source by what it found.
func RankOf(s *cloud.Snapshot) Rank {
	if slices.ContainsFunc(s.Interfaces, func(i cloud.Interface) bool { return i.Provider == providerKubernetes }) ||
		len(s.Interfaces) == 0 && strings.HasPrefix(s.Source, providerKubernetes+"/") {
		return RankKubernetes
	}
	return RankCloud
}

const providerKubernetes = "kubernetes" // cloud.Interface.Provider
