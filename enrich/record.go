package enrich

import (
	"encoding/binary"
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
	networks []string           // by id, as looked up
	ends     [][ways]remembered // by hash of the key, the latest ones
	turn     uint8              // which of them goes next
	sets     interner
	list     []Tag
}

// remembered is one end of connections, and its tags within a time.
type remembered struct {
	endKey
	window
	changes   uint64
	ambiguous bool
	domain    string
	tags      *Tags // nil: the place is free
}

type endKey struct {
	addr    packet.Addr
	network packet.NetworkID
	port    uint16 // of a server that has one
	proto   uint8
	server  bool
}

// NewNamer gives a Namer for records with numbers out of names.
func (r *Resolver) NewNamer(names Names) *Namer {
	n := 1
	for ways*n < r.config.Cache {
		n *= 2
	}
	return &Namer{resolver: r, names: names, ends: make([][ways]remembered, n), sets: interner{limit: max(ways*n, 1<<16)}}
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
	tags[flow.Client] = n.end(&endKey{addr: c.Addr, network: network}, c.Name, at)
	key := endKey{addr: s.Addr, network: network, server: true, proto: proto}
	if s.HasPort {
		key.port = s.Port
	}
	if sni == "" {
		sni = s.Name
	}
	tags[flow.Server] = n.end(&key, sni, at)
	return tags
}

// end gives the tags of one end.
func (n *Namer) end(k *endKey, domain string, at int64) *Tags {
	set := &n.ends[k.hash()&uint64(len(n.ends)-1)]
	var slot *remembered
	for i := range set {
		if set[i].endKey == *k && set[i].tags != nil {
			slot = &set[i]
			break
		}
	}
	if slot == nil {
		slot = &set[n.turn%ways]
		n.turn++
		n.look(slot, k, domain, at)
	} else if slot.changes != n.resolver.changes.Load() || at < slot.from || at >= slot.to || slot.domain != domain {
		n.look(slot, k, domain, at)
	}
	if slot.ambiguous {
		n.resolver.ambiguous.Add(1)
	}
	return slot.tags
}

// ways is how many ends of one hash are remembered.
const ways = 4

// look asks the Resolver.
func (n *Namer) look(slot *remembered, k *endKey, domain string, at int64) {
	r := n.resolver
	changes := r.changes.Load() // before the question: what changes meanwhile is asked again
	q := query{addr: k.addr.IP(), network: n.network(k.network), server: k.server, port: k.port, proto: k.proto, at: at}
	w := window{ever, forever}
	list, ambiguous := r.lookup(n.list[:0], &q, &w)
	list = r.service(list, &q, domain)
	*slot = remembered{endKey: *k, window: w, changes: changes, ambiguous: ambiguous, domain: domain, tags: n.sets.of(list)}
	n.list = list
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
	for i := 0; i < len(k.addr); i += 8 {
		h = (h ^ binary.LittleEndian.Uint64(k.addr[i:])) * prime
		h ^= h >> 32 // where addresses differ, at the end, are the high bits
	}
	return h * prime >> 32
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
