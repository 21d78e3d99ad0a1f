package enrich

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"mirrorscope/packet"
)

// Resolver finds the tags of an address in all Layers. It is safe for concurrent
// use; what is asked for each record goes through a Namer, which remembers.
type Resolver struct {
	config  Config
	changes atomic.Uint64 // moves with each change of a Layer, or of which there are
	layers  atomic.Pointer[[]*Layer]

	ambiguous atomic.Uint64
	mu        sync.Mutex // of whoever adds a Layer
}

// New gives a Resolver without Layers. The Config must be valid.
func New(c Config) *Resolver {
	r := &Resolver{config: c}
	r.layers.Store(new([]*Layer))
	return r
}

// Layer gives the Layer of a source, which is made if there is none: names tell
// sources of one rank apart, and of two that know the same the first by name wins.
func (r *Resolver) Layer(name string, rank Rank) *Layer {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := *r.layers.Load()
	for _, l := range old {
		if l.name == name && l.rank == rank {
			return l
		}
	}
	l := newLayer(name, rank, r.config.limits(), &r.changes)
	layers := append(slices.Clone(old), l)
	slices.SortStableFunc(layers, func(a, b *Layer) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.name, b.name))
	})
	r.layers.Store(&layers)
	r.changes.Add(1)
	return l
}

// Remove takes a Layer away.
func (r *Resolver) Remove(l *Layer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	layers := slices.DeleteFunc(slices.Clone(*r.layers.Load()), func(have *Layer) bool { return have == l })
	r.layers.Store(&layers)
	r.changes.Add(1)
}

// Layers are all there are, the highest rank first.
func (r *Resolver) Layers() []*Layer { return slices.Clone(*r.layers.Load()) }

// Changes moves when anything is known that was not known before.
func (r *Resolver) Changes() uint64 { return r.changes.Load() }

// Ambiguous counts the ends of records that had no name because their network is
// not known and several networks have the address.
func (r *Resolver) Ambiguous() uint64 { return r.ambiguous.Load() }

// Side gives the tags of an address at a time (ns since the Unix epoch) in a
// network: all that Layers know, and the service. Where no Layer knows the network,
// the address is looked up in all, and taken if only one has it. port and proto
// are those of the server; server is false for a client.
func (r *Resolver) Side(network string, addr packet.Addr, server bool, port uint16, proto uint8, at int64) *Tags {
	q := query{addr: addr.IP(), network: network, server: server, port: port, proto: proto, at: at}
	list, cluster, _ := r.lookup(nil, &q, &window{ever, forever})
	return NewTags(r.service(list, cluster, &q, ""))
}

// Label calls what has an address by its service and what it is, as "orders (web-1)",
// or by what of both is known; "" where nothing is. Names of DNS and ports are none.
func (r *Resolver) Label(network string, addr packet.Addr, server bool, port uint16, proto uint8, at int64) string {
	q := query{addr: addr.IP(), network: network, server: server, port: port, proto: proto, at: at}
	list, cluster, _ := r.lookup(nil, &q, &window{ever, forever})
	named := slices.DeleteFunc(slices.Clone(r.config.Service), func(key string) bool { return key == KeyDomain || key == KeyPort })
	service := cmp.Or(first(list[:cluster], named), first(list, named))
	thing := first(list, []string{KeyPod, KeyInstance, KeyHost})
	switch {
	case service == "":
		return thing
	case thing == "" || thing == service:
		return service + " (" + addr.IP().String() + ")"
	}
	return service + " (" + thing + ")"
}

// first gives the value of the first key that there is, "" where there is none.
func first(list []Tag, keys []string) string {
	for _, key := range keys {
		for i := range list {
			if list[i].Key == key {
				return list[i].Value
			}
		}
	}
	return ""
}

// lookup adds the tags that Layers have: cluster of them, in front, are those of
// clusters and of what overrides them. ambiguous tells that some were left out, as
// several networks have the address.
func (r *Resolver) lookup(dst []Tag, q *query, w *window) (_ []Tag, cluster int, ambiguous bool) {
	layers := *r.layers.Load()
	if !known(layers, q.network) || r.config.Across && !has(layers, q, w) {
		q.network, ambiguous = guess(layers, q, w)
	}
	for _, l := range layers {
		v := l.view.Load()
		if q.server {
			dst = v.services.add(dst, q, l.inherit, w)
		}
		dst = v.hosts.add(dst, q, l.inherit, w)
		if l.rank <= RankKubernetes {
			cluster = len(dst)
		}
	}
	return dst, cluster, ambiguous
}

// known tells whether a Layer has entries of the network.
func known(layers []*Layer, network string) bool {
	for _, l := range layers {
		if _, ok := l.view.Load().networks[network]; ok && network != "" {
			return true
		}
	}
	return false
}

// has tells whether the network of the question has the address.
func has(layers []*Layer, q *query, w *window) bool {
	for _, l := range layers {
		v := l.view.Load()
		if v.hosts.has(q, w) || q.server && v.services.has(q, w) {
			return true
		}
	}
	return false
}

// guess gives the only network that has an address: "" if there are none or several.
// What is inside of a tunnel of its own is in another network than the tunnel's
// ends: "vpc-1/5001" is not guessed to be vpc-1.
func guess(layers []*Layer, q *query, w *window) (network string, ambiguous bool) {
	outer, _, _ := strings.Cut(q.network, "/")
	found := q.found[:0]
	for _, l := range layers {
		v := l.view.Load()
		found = v.hosts.within(found, q, outer, w)
		if q.server {
			found = v.services.within(found, q, outer, w)
		}
	}
	q.found = found
	if len(found) == 1 {
		return found[0], false
	}
	return "", len(found) > 1
}

// service adds the domain, and puts the service in the place of all that were
// offered. A cluster's own tags are asked first, as a pod is not called after the
// machine that it is on.
func (r *Resolver) service(list []Tag, cluster int, q *query, domain string) []Tag {
	service := ""
	for _, key := range r.config.Service {
		if key != KeyDomain && service == "" {
			service = first(list[:cluster], []string{key})
		}
	}
	if domain != "" && first(list, []string{KeyDomain}) == "" {
		list = append(list, Tag{KeyDomain, domain})
	}
	for _, key := range r.config.Service {
		switch {
		case service != "":
		case key == KeyPort && q.server:
			service = PortService(q.proto, q.port)
		default:
			service = first(list, []string{key})
		}
	}
	list = slices.DeleteFunc(list, func(t Tag) bool { return t.Key == KeyService })
	if service != "" {
		list = append(list, Tag{KeyService, service})
	}
	return list
}

// NetworkOf gives the network of a mirrored interface by the outer source of what it
// sends, at a time, and until when that is so. Where several networks have that
// address, it is the one that has the destination as well; where none has the source,
// the only one that has the destination. "" is not known.
func (r *Resolver) NetworkOf(source, destination packet.Addr, at int64) (network string, until int64) {
	layers := *r.layers.Load()
	w := window{ever, forever}
	var rooms [2][4]string
	var found [2][]string
	for i, addr := range []packet.Addr{source, destination} {
		q := query{addr: addr.IP(), at: at}
		found[i] = rooms[i][:0]
		for _, l := range layers {
			found[i] = l.view.Load().hosts.within(found[i], &q, "", &w)
		}
	}
	for i := range found {
		if len(found[i]) == 1 {
			return found[i][0], w.to
		}
		both := slices.DeleteFunc(slices.Clone(found[0]), func(n string) bool { return !slices.Contains(found[1], n) })
		if len(both) == 1 {
			return both[0], w.to
		}
		if len(found[i]) > 0 {
			break
		}
	}
	return "", w.to
}
