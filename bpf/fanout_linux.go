package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
)

// Fanout is the program for PACKET_FANOUT_EBPF.
type Fanout struct{ objects fanoutObjects }

// LoadFanout loads the program that spreads frames over rings 0 … rings-1 of a
// fanout group: both directions of an inner connection, and all fragments of a
// packet, go to one.
func LoadFanout(rings int, tunnels Ports) (*Fanout, error) {
	if rings < 1 {
		return nil, fmt.Errorf("fanout over %d rings", rings)
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the limit of locked memory: %w", err)
	}
	spec, err := loadFanout()
	if err != nil {
		return nil, err
	}
	if err := spec.Variables[fanoutVarRings].Set(uint32(rings)); err != nil {
		return nil, err
	}
	f := new(Fanout)
	if err := spec.LoadAndAssign(&f.objects, nil); err != nil {
		return nil, fmt.Errorf("load the fanout program: %w", err)
	}
	if err := setPorts(f.objects.PortKinds, tunnels); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// FD is what the socket option PACKET_FANOUT_DATA takes.
func (f *Fanout) FD() int { return f.objects.Fanout.FD() }

// Close unloads the program; a fanout group that has it keeps it.
func (f *Fanout) Close() error { return f.objects.Close() }

// Kinds of UDP ports, as enum port_kind in parse.h.
const (
	portVXLAN  = 1
	portGeneve = 2
	portMirror = 3 // not parsed any further
	portUnread = 4
)

// setPorts tells a parser what UDP destination ports carry. As in package
// packet, configured ports override the assigned ones.
func setPorts(m *ebpf.Map, tunnels Ports) error {
	kinds := make([]byte, 65536)
	for _, port := range []uint16{4790, 37008} { // VXLAN-GPE, TZSP
		kinds[port] = portMirror
	}
	for _, port := range []uint16{2152, 6635} { // GTP-U, MPLS in UDP
		kinds[port] = portUnread
	}
	for _, port := range append([]uint16{4789, 8472}, tunnels.VXLAN...) {
		kinds[port] = portVXLAN
	}
	for _, port := range append([]uint16{6081}, tunnels.Geneve...) {
		kinds[port] = portGeneve
	}
	if err := m.Put(uint32(0), kinds); err != nil {
		return fmt.Errorf("set the ports of tunnels: %w", err)
	}
	return nil
}
