package cloud

import (
	"maps"
	"slices"
)

// homes are the networks that machines are in. Of pods and services a cluster does
// not tell the network, but it does tell the machine, and the cloud tells where that
// is.
type homes struct {
	machines map[string]Named // by Interface.Instance: its network; without an ID: it is in several
}

// update takes the new Snapshot of a part, and tells which parts are to be handed on:
// that one, and those that lack networks and may have them now.
func (h *homes) update(parts []*part, changed *part) []*part {
	list := []*part{changed}
	before := h.machines
	h.machines = machines(parts)
	if maps.Equal(before, h.machines) {
		return list
	}
	for _, p := range parts {
		if p != changed && p.raw != nil && homeless(p.raw) {
			list = append(list, p)
		}
	}
	return list
}

// homeless tells whether a Snapshot has interfaces without a network.
func homeless(s *Snapshot) bool {
	return slices.ContainsFunc(s.Interfaces, func(i Interface) bool { return i.Network.ID == "" })
}

// machines gives the network of each machine that is in one.
func machines(parts []*part) map[string]Named {
	all := map[string]Named{}
	for _, p := range parts {
		if p.raw == nil {
			continue
		}
		for i := range p.raw.Interfaces {
			n := &p.raw.Interfaces[i]
			if n.Instance == "" || n.Network.ID == "" {
				continue
			}
			if other, known := all[n.Instance]; known && other.ID != n.Network.ID {
				all[n.Instance] = Named{}
				continue
			}
			all[n.Instance] = n.Network
		}
	}
	return all
}

// settle gives a Snapshot with networks filled in. Where all machines of it are in one
// network, so is what has no machine: the addresses of services.
func (h *homes) settle(s *Snapshot) *Snapshot {
	if !homeless(s) {
		return s
	}
	filled := *s
	filled.Interfaces = slices.Clone(s.Interfaces)
	var common Named
	several := false
	for i := range filled.Interfaces {
		n := &filled.Interfaces[i]
		if n.Network.ID == "" && n.Instance != "" {
			n.Network = h.machines[n.Instance]
		}
		if id := n.Network.ID; id != "" {
			several = several || common.ID != "" && common.ID != id
			common = n.Network
		}
	}
	if common.ID == "" || several {
		return &filled
	}
	for i := range filled.Interfaces {
		if n := &filled.Interfaces[i]; n.Network.ID == "" && n.Instance == "" {
			n.Network = common
		}
	}
	return &filled
}
