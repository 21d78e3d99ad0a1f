package enrich

import (
	"encoding/binary"
	"math/bits"
	"strconv"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/tlsmeta"
)

// Record is a record of which the ends have tags.
type Record struct {
	*flow.Record
	Tags [2]*Tags // of client and server; never nil
}

// Names tells what the small numbers in a record stand for. It is packet.Names.
type Names interface {
	PointName(packet.PointID) string
	NetworkName(packet.NetworkID) string
}

// Namer gives records their tags. It remembers those of the ends it met of late, so
// that one that is met again costs a comparison. It belongs to one goroutine.
type Namer struct {
	resolver *Resolver
	names    Names
	networks []string // by id, as looked up
	sets     []set    // by hash of the key
	tags     interner
	list     []Tag    // scratch
	found    []string // likewise
	asked    uint64   // how often the Resolver was
}

// remembered is one end of connections, and its tags within a time.
type remembered struct {
	endKey
	window
	changes   uint64
	ambiguous bool
	tags      *Tags // nil: the place is free
}

type endKey struct {
	addr    packet.Addr
	network packet.NetworkID
	port    uint16 // of a server that has one
	proto   uint8
	server  bool
	domain  string // by which it was known; many servers have many
}

// NewNamer gives a Namer for records with numbers out of names.
func (r *Resolver) NewNamer(names Names) *Namer {
	n := 1
	for ways*n < r.config.Cache {
		n *= 2
	}
	return &Namer{resolver: r, names: names, sets: make([]set, n), tags: interner{limit: max(ways*n, 1<<16)}}
}

// Record gives a record its tags, as of its beginning: of the connection, or of the
// interval.
func (n *Namer) Record(r *flow.Record) Record {
	at := r.Start
	if r.Kind == flow.Interval {
		at = r.IntervalStart
	}
	return Record{r, n.Ends(r.Network, r.Proto, &r.Ends, sni(r), at)}
}

// Ends gives the tags of client and server at a time, ns. sni is what the client
// called the server by; "" not known.
func (n *Namer) Ends(network packet.NetworkID, proto uint8, ends *[2]flow.Endpoint, sni string, at int64) (tags [2]*Tags) {
	c, s := &ends[flow.Client], &ends[flow.Server]
	tags[flow.Client] = n.end(&endKey{addr: c.Addr, network: network, domain: c.Name}, at)
	key := endKey{addr: s.Addr, network: network, server: true, proto: proto}
	if s.HasPort {
		key.port = s.Port
	}
	if key.domain = sni; sni == "" {
		key.domain = s.Name
	}
	tags[flow.Server] = n.end(&key, at)
	return tags
}

// end gives the tags of one end.
func (n *Namer) end(k *endKey, at int64) *Tags {
	h := k.hash()
	set, tag := &n.sets[h&uint64(len(n.sets)-1)], uint32(h>>32)
	var slot *remembered
	for i := range set.tags {
		if set.tags[i] == tag && set.ends[i].tags != nil && set.ends[i].endKey == *k {
			slot = &set.ends[i]
			break
		}
	}
	if slot == nil {
		i := set.turn % ways
		set.turn++
		set.tags[i], slot = tag, &set.ends[i]
		n.look(slot, k, at)
	} else if slot.changes != n.resolver.changes.Load() || at < slot.from || at >= slot.to {
		n.look(slot, k, at)
	}
	if slot.ambiguous {
		n.resolver.ambiguous.Add(1)
	}
	return slot.tags
}

// set is ends whose hashes begin alike: the latest ones.
type set struct {
	tags [ways]uint32 // the rest of their hashes
	ends [ways]remembered
	turn uint8 // which of them goes next
}

const ways = 8

// look asks the Resolver.
func (n *Namer) look(slot *remembered, k *endKey, at int64) {
	r := n.resolver
	n.asked++
	changes := r.changes.Load() // before the question: what changes meanwhile is asked again
	q := query{addr: k.addr.IP(), network: n.network(k.network), server: k.server, port: k.port, proto: k.proto, at: at, found: n.found}
	w := window{ever, forever}
	list, cluster, ambiguous := r.lookup(n.list[:0], &q, &w)
	list = r.service(list, cluster, &q, k.domain)
	*slot = remembered{endKey: *k, window: w, changes: changes, ambiguous: ambiguous, tags: n.tags.of(list)}
	n.list, n.found = list, q.found
}

// network gives the name of one.
func (n *Namer) network(id packet.NetworkID) string {
	for int(id) >= len(n.networks) {
		n.networks = append(n.networks, "")
	}
	if n.networks[id] == "" {
		n.networks[id] = n.names.NetworkName(id)
	}
	return n.networks[id]
}

const prime = 0x9e3779b97f4a7c15 // 2^64 / golden ratio, odd

func (k *endKey) hash() uint64 {
	h := uint64(k.network)<<32 | uint64(k.port)<<16 | uint64(k.proto)<<1
	if k.server {
		h |= 1
	}
	h = mix(h, binary.LittleEndian.Uint64(k.addr[:8]))
	h = mix(h, binary.LittleEndian.Uint64(k.addr[8:]))
	d := k.domain
	if len(d) < 8 {
		for i := range len(d) {
			h = mix(h, uint64(d[i]))
		}
		return h
	}
	return mix(mix(h^uint64(len(d)), le64(d)), le64(d[len(d)-8:]))
}

// mix puts x into a hash: both halves of a product.
func mix(h, x uint64) uint64 {
	high, low := bits.Mul64(h^x^prime, prime)
	return high ^ low
}

// Value gives the value of a tag of one side, "" where there is none: see
// AppendValue.
func (n *Namer) Value(r *Record, side flow.Side, key string) string {
	switch key {
	case KeyNetwork:
		return n.network(r.Network)
	case KeyObservationPoint:
		return n.names.PointName(r.Point)
	case KeyIP, KeyPort, KeyTLSVersion:
	case KeySNI:
		return sni(r.Record)
	default:
		values := r.Tags[side].Values(key)
		switch {
		case len(values) == 1:
			return values[0].Value
		case len(values) == 0 && key == KeyService:
			return Unresolved
		case len(values) == 0:
			return ""
		}
	}
	return string(n.AppendValue(nil, r, side, key))
}

// AppendValue adds the value of a tag of one side: what there are several of with a
// comma between them, in order. Keys of the record itself, as KeyNetwork, are known
// too, and are the same for both sides but for KeyIP and KeyPort. What is not known
// adds nothing; a service that is not known is Unresolved.
func (n *Namer) AppendValue(dst []byte, r *Record, side flow.Side, key string) []byte {
	switch key {
	case KeyIP:
		return r.Ends[side].Addr.IP().AppendTo(dst)
	case KeyPort:
		if r.Ends[side].HasPort {
			dst = strconv.AppendUint(dst, uint64(r.Ends[side].Port), 10)
		}
		return dst
	case KeyTLSVersion:
		return append(dst, tlsVersion(r.Record)...)
	case KeyNetwork, KeyObservationPoint, KeySNI:
		return append(dst, n.Value(r, side, key)...)
	}
	values := r.Tags[side].Values(key)
	for i := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, values[i].Value...)
	}
	if len(values) == 0 && key == KeyService {
		dst = append(dst, Unresolved...)
	}
	return dst
}

// hellos are those of a connection, nil where there were none.
func hellos(r *flow.Record) *tlsmeta.Info {
	switch {
	case r.TLS != nil:
		return &r.TLS.Info
	case r.QUIC != nil:
		return &r.QUIC.Info.Info
	}
	return nil
}

// sni is the name that the client asked for, "" where it asked for none.
func sni(r *flow.Record) string {
	if i := hellos(r); i != nil {
		return i.SNI
	}
	return ""
}

// tlsVersion names the version of TLS that was agreed on, "" where none was.
func tlsVersion(r *flow.Record) string {
	if i := hellos(r); i != nil && i.Version != 0 {
		return tlsmeta.VersionName(i.Version)
	}
	return ""
}

// le64 loads 8 octets of a text.
func le64(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}
