package packet

import "encoding/binary"

// idCache keeps the ids that a Decoder met of late, so that keys that repeat
// cost no lock and no map. Keys are placed by hash, the latest one stays.
type idCache struct {
	ifaces   [64]ifaceSlot
	points   [256]pointSlot
	networks [64]networkSlot
	paths    [64]pathSlot
	bare     NetworkID // of the zero NetworkKey, 0 before it was asked for
	direct   PathID    // of the zero Path, likewise
	vnis     map[uint32]uint32
	asked    askedNetworks
}

// ifaceSlot is the point of an interface without a tunnel.
type ifaceSlot struct {
	iface uint32
	id    PointID
}

type pointSlot struct {
	key PointKey
	id  PointID
	vni uint32 // NetworkKey.VNI
}

type networkSlot struct {
	key NetworkKey
	id  NetworkID
}

type pathSlot struct {
	key Path
	id  PathID
}

// init works out which VNI stands for a configured network: the lowest of
// those with its name.
func (c *idCache) init(cfg *Config) {
	c.vnis = make(map[uint32]uint32, len(cfg.Networks))
	lowest := make(map[string]uint32, len(cfg.Networks))
	for vni, name := range cfg.Networks {
		if low, ok := lowest[name]; !ok || vni < low {
			lowest[name] = vni
		}
	}
	for vni, name := range cfg.Networks {
		c.vnis[vni] = lowest[name]
	}
}

// pointKey is the key of the observation point known so far.
func (w *walk) pointKey() PointKey {
	if w.kind == NoTunnel {
		return PointKey{Interface: w.iface}
	}
	return w.point
}

// mappedVNI is NetworkKey.VNI for an observation point.
func (d *Decoder) mappedVNI(k *PointKey) uint32 {
	if k.Kind == VXLAN || k.Kind == VXLANGPE || k.Kind == Geneve {
		return d.ids.vnis[k.ID]
	}
	return 0
}

// networkKey is the key of the network known so far.
func (d *Decoder) networkKey(w *walk) NetworkKey {
	k := NetworkKey{Inner: w.inner}
	if w.kind != NoTunnel && len(d.ids.vnis) > 0 {
		k.VNI = d.mappedVNI(&w.point)
	}
	if d.cfg.VLANInKey {
		k.setVLANs(&w.path)
	}
	return k
}

// setVLANs puts a path's tags into the key, plus 1 so that an id of 0 counts.
func (k *NetworkKey) setVLANs(path *Path) {
	for i := range path.NVLANs {
		k.VLANs[i] = path.VLANs[i] + 1
	}
}

// identify gives p its observation point, network and path.
func (d *Decoder) identify(w *walk, p *Packet) {
	var vni uint32
	if w.kind == NoTunnel {
		p.Point = d.ifaceID(w.iface)
	} else {
		slot := &d.ids.points[w.point.hash()&255]
		if slot.id == 0 || slot.key != w.point {
			id := d.pointID(w.point)
			*slot = pointSlot{w.point, id, d.networkVNI(&w.point, id, p.Flags&OuterSwapped != 0, w.time)}
		}
		p.Point, vni = slot.id, slot.vni
	}
	p.Network = d.networkID(w, vni)
	p.Path = d.pathID(w)
}

// ifaceID is the point that an interface makes without a tunnel.
func (d *Decoder) ifaceID(iface uint32) PointID {
	slot := &d.ids.ifaces[iface&63]
	if slot.id == 0 || slot.iface != iface {
		*slot = ifaceSlot{iface, d.pointID(PointKey{Interface: iface})}
	}
	return slot.id
}

// bareID is the network of packets that name none.
func (d *Decoder) bareID() NetworkID {
	c := &d.ids
	if c.bare == 0 {
		c.bare = d.names.networkID(&NetworkKey{})
	}
	return c.bare
}

// directID is the path of frames without tunnels and tags.
func (d *Decoder) directID() PathID {
	c := &d.ids
	if c.direct == 0 {
		c.direct = d.names.pathID(&Path{})
	}
	return c.direct
}

// pointID asks for the id of a point that is not cached.
func (d *Decoder) pointID(k PointKey) PointID {
	if d.cfg.Merge != nil {
		k = d.cfg.Merge(k)
	}
	return d.names.pointID(&k)
}

func (d *Decoder) networkID(w *walk, vni uint32) NetworkID {
	c := &d.ids
	if vni == 0 && w.nInner == 0 && !d.cfg.VLANInKey {
		return d.bareID()
	}
	k := NetworkKey{VNI: vni, Inner: w.inner}
	if d.cfg.VLANInKey {
		k.setVLANs(&w.path)
	}
	slot := &c.networks[k.hash()&63]
	if slot.id == 0 || slot.key != k {
		*slot = networkSlot{k, d.names.networkID(&k)}
	}
	return slot.id
}

func (d *Decoder) pathID(w *walk) PathID {
	c := &d.ids
	if w.path.NTunnels|w.path.NVLANs == 0 {
		return d.directID()
	}
	slot := &c.paths[w.path.hash()&63]
	if slot.id == 0 || slot.key != w.path {
		*slot = pathSlot{w.path, d.names.pathID(&w.path)}
	}
	return slot.id
}

func (k *PointKey) hash() uint64 {
	h := uint64(k.ID)<<32 | uint64(k.Interface)<<8 | uint64(k.Kind)
	h = h*positionPrime ^ binary.LittleEndian.Uint64(k.A[8:])
	h = h*positionPrime ^ binary.LittleEndian.Uint64(k.B[8:])
	if k.Cookies.Class != 0 {
		h = h*positionPrime ^ binary.LittleEndian.Uint64(k.Cookies.ID[:8])
		h = h*positionPrime ^ binary.LittleEndian.Uint64(k.Cookies.ID[8:]) ^ uint64(k.Cookies.Net)
	}
	return h * positionPrime >> 32
}

func (k *NetworkKey) hash() uint64 {
	h := uint64(k.VNI)
	for _, vni := range k.Inner {
		h = h*positionPrime ^ uint64(vni)
	}
	for _, vlan := range k.VLANs {
		h = h*positionPrime ^ uint64(vlan)
	}
	return h * positionPrime >> 32
}

func (k *Path) hash() uint64 {
	h := uint64(k.NTunnels)<<8 | uint64(k.NVLANs)
	for _, t := range k.Tunnels {
		h = h<<8 ^ uint64(t)
	}
	for _, vlan := range k.VLANs {
		h = h*positionPrime ^ uint64(vlan)
	}
	return h * positionPrime >> 32
}
