package packet

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Names gives small ids to observation points, networks and paths, in order of
// first appearance from 1, and turns them back into what they stand for. Each
// kind is bounded; id 0 of each stands for all that came after the bound was
// reached, and for no value.
//
// The zero value is ready for use. Names is safe for concurrent use: decoders
// add, others read.
type Names struct {
	mu         sync.RWMutex
	interfaces map[uint32]string
	labels     map[uint32]string // Config.Networks, and beyond the VNIs those of Config.NetworkOf
	numbers    map[string]uint32 // the lowest number of each label
	points     idTable[PointKey]
	networks   idTable[NetworkKey]
	paths      idTable[Path]
}

// Overflow counts the packets that got id 0 because a bound was reached.
type Overflow struct{ Points, Networks, Paths uint64 }

// idTable numbers keys of one kind from 1.
type idTable[K comparable] struct {
	ids      map[K]uint32
	keys     []K // by id − 1
	limit    int
	overflow uint64
}

func (t *idTable[K]) find(k *K) uint32 { return t.ids[*k] }

func (t *idTable[K]) add(k *K) uint32 {
	if id, ok := t.ids[*k]; ok {
		return id
	}
	if len(t.keys) >= t.limit {
		t.overflow++
		return 0
	}
	if t.ids == nil {
		t.ids = make(map[K]uint32)
	}
	t.keys = append(t.keys, *k)
	id := uint32(len(t.keys))
	t.ids[*k] = id
	return id
}

// key is the zero value for an id that was not given out.
func (t *idTable[K]) key(id uint32) (k K) {
	if id == 0 || int64(id) > int64(len(t.keys)) {
		return k
	}
	return t.keys[id-1]
}

// configure takes the bounds and the names of networks from a Decoder's
// Config. Decoders that share a Names have the same.
func (n *Names) configure(cfg *Config) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.points.limit = cfg.MaxPoints
	n.networks.limit = cfg.MaxNetworks
	n.paths.limit = cfg.MaxPaths
	if n.labels == nil {
		n.labels, n.numbers = make(map[uint32]string), make(map[string]uint32)
	}
	for vni, name := range cfg.Networks {
		n.labels[vni] = name
		if low, ok := n.numbers[name]; !ok || vni < low {
			n.numbers[name] = vni
		}
	}
}

// labelled gives the number that stands for a network that has no VNI, or has one:
// then the lowest. It is 0 where there are too many.
func (n *Names) labelled(name string) uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	number, ok := n.numbers[name]
	switch {
	case ok:
	case len(n.labels) >= n.networks.limit:
		n.networks.overflow++
	default:
		number = firstLabel + uint32(len(n.labels))
		n.labels[number], n.numbers[name] = name, number
	}
	return number
}

// firstLabel is beyond all VNIs, which have 24 bits.
const firstLabel = 1 << 24

func (n *Names) pointID(k *PointKey) PointID { return PointID(idOf(n, &n.points, k)) }

func (n *Names) networkID(k *NetworkKey) NetworkID { return NetworkID(idOf(n, &n.networks, k)) }

func (n *Names) pathID(k *Path) PathID { return PathID(idOf(n, &n.paths, k)) }

// idOf finds or gives an id. Most calls find one that another decoder, or a
// cache slot that was taken since, had asked for.
func idOf[K comparable](n *Names, t *idTable[K], k *K) uint32 {
	n.mu.RLock()
	id := t.find(k)
	n.mu.RUnlock()
	if id != 0 {
		return id
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return t.add(k)
}

// SetInterface names a capture interface.
func (n *Names) SetInterface(i uint32, name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.interfaces == nil {
		n.interfaces = make(map[uint32]string)
	}
	n.interfaces[i] = name
}

// InterfaceName is the name set for a capture interface, or its number.
func (n *Names) InterfaceName(i uint32) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.interfaceName(i)
}

func (n *Names) interfaceName(i uint32) string {
	if name, ok := n.interfaces[i]; ok {
		return name
	}
	return strconv.FormatUint(uint64(i), 10)
}

// Point is the key of an observation point, after Config.Merge; zero for id 0.
func (n *Names) Point(id PointID) PointKey {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.points.key(uint32(id))
}

// Network is the key of a network; zero for id 0.
func (n *Names) Network(id NetworkID) NetworkKey {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.networks.key(uint32(id))
}

// Path is what a path id stands for; zero for id 0.
func (n *Names) Path(id PathID) Path {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.paths.key(uint32(id))
}

// Points is the number of observation points: ids 1 to Points are given out.
func (n *Names) Points() int {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return len(n.points.keys)
}

// Overflow tells how many packets got an id of 0.
func (n *Names) Overflow() Overflow {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return Overflow{n.points.overflow, n.networks.overflow, n.paths.overflow}
}

// overflowName is what id 0 is called.
const overflowName = "other"

// PointName tells an observation point in one line: the interface, then, where
// a tunnel names the point, its kind, id, outer addresses and cookies:
// "eth1 vxlan 4660 10.0.0.5-10.0.9.9".
func (n *Names) PointName(id PointID) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	k := n.points.key(uint32(id))
	if k == (PointKey{}) && (id == 0 || int64(id) > int64(len(n.points.keys))) {
		return overflowName
	}
	var b strings.Builder
	b.WriteString(n.interfaceName(k.Interface))
	if k.Kind == NoTunnel {
		return b.String()
	}
	b.WriteByte(' ')
	b.WriteString(k.Kind.String())
	if k.HasID() {
		fmt.Fprintf(&b, " %d", k.ID)
	}
	fmt.Fprintf(&b, " %v-%v", k.A.IP(), k.B.IP())
	if k.Cookies.Class != 0 {
		b.WriteByte(' ')
		b.WriteString(k.Cookies.String())
	}
	return b.String()
}

// HasID tells whether the key's kind has an id of its own.
func (k *PointKey) HasID() bool {
	return k.Kind != NoTunnel && k.Kind != ERSPAN1 && k.Kind != TZSP
}

// String is the cookies in hex: option class, Google's network id, endpoint;
// or class, endpoint, attachment. Empty for none.
func (c *Cookies) String() string {
	switch c.Class {
	case 0:
		return ""
	case classGoogle:
		return fmt.Sprintf("%04x-%07x-%x", c.Class, c.Net, c.ID)
	}
	return fmt.Sprintf("%04x-%x-%x", c.Class, c.ID[:8], c.ID[8:])
}

// NetworkName tells a network: the configured name or "default", then the
// VNIs of further tunnels inside and, where they are part of the key, VLAN
// ids: "default/5001/42/vlan100".
func (n *Names) NetworkName(id NetworkID) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	if id == 0 || int64(id) > int64(len(n.networks.keys)) {
		return overflowName
	}
	k := n.networks.key(uint32(id))
	name := "default"
	if k.VNI != 0 {
		name = n.labels[k.VNI]
	}
	for _, vni := range k.Inner {
		if vni != 0 {
			name += "/" + strconv.FormatUint(uint64(vni-1), 10)
		}
	}
	for _, vlan := range k.VLANs {
		if vlan != 0 {
			name += "/vlan" + strconv.FormatUint(uint64(vlan-1), 10)
		}
	}
	return name
}
