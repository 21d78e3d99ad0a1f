package packet

// askedNetworks is what Config.NetworkOf said, and what it was asked by.
type askedNetworks struct {
	changes uint64 // of Config.NetworkChanges
	until   int64  // ns; from then on an answer may be another, while any is there
	any     bool   // there is one of this epoch
	epoch   uint64 // moves with each Renew that forgets
	points  map[PointKey]askedPoint
}

// askedPoint is the answer for one point.
type askedPoint struct {
	epoch   uint64
	vni     uint32
	swapped bool // its first packet came from PointKey.B
}

// networkVNI is NetworkKey.VNI for an observation point: of the VNI, if that is
// mapped, else of the network that the sender of its first packet is in. A point that
// found no id has none.
func (d *Decoder) networkVNI(k *PointKey, id PointID, swapped bool, time int64) uint32 {
	vni := d.mappedVNI(k)
	if vni != 0 || d.cfg.NetworkOf == nil || id == 0 {
		return vni
	}
	a := &d.ids.asked
	x, met := a.points[*k]
	if met && x.epoch == a.epoch {
		return x.vni
	}
	if !met {
		x.swapped = swapped
	}
	source, destination := k.A, k.B
	if x.swapped {
		source, destination = destination, source
	}
	name, until := d.cfg.NetworkOf(source, destination, time)
	if !a.any || until < a.until {
		a.any, a.until = true, until
	}
	x.epoch, x.vni = a.epoch, 0
	if name != "" {
		x.vni = d.names.labelled(name)
	}
	if met || len(a.points) < d.cfg.MaxPoints {
		if a.points == nil {
			a.points = make(map[PointKey]askedPoint)
		}
		a.points[*k] = x
	}
	return x.vni
}

// Renew forgets what Config.NetworkOf said where that may have changed by a time, ns:
// it is asked again with the next packet of each point. It is for moments that depend
// on nothing but packets, as whole seconds do, so that the outcome does not either.
func (d *Decoder) Renew(time int64) {
	if d.cfg.NetworkOf == nil {
		return
	}
	a := &d.ids.asked
	changes := a.changes
	if d.cfg.NetworkChanges != nil {
		changes = d.cfg.NetworkChanges()
	}
	if changes == a.changes && (!a.any || time < a.until) {
		return
	}
	a.changes, a.any = changes, false
	a.epoch++
	clear(d.ids.points[:])
	clear(d.straight.points[:])
}
