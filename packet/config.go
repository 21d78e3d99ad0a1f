package packet

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Config is what a Decoder can be told. The zero value is not valid; start
// from DefaultConfig.
type Config struct {
	// VXLANPorts are UDP destination ports that carry VXLAN beside 4789
	// (RFC 7348) and 8472 (Linux before the assignment).
	VXLANPorts []uint16
	// GenevePorts are UDP destination ports that carry GENEVE beside 6081
	// (RFC 8926).
	GenevePorts []uint16
	// Networks names the address space behind a VNI of the tunnel that names
	// the observation point. VNIs of one name are one network. Keys are 1 to
	// 2^24-1; a name must not hold a slash.
	Networks map[uint32]string
	// VLANInKey puts the VLAN ids into the network, so that equal 5-tuples in
	// different VLANs stay apart. Off by default: a mirror port may tag the two
	// directions of a conversation differently.
	VLANInKey bool
	// Merge, if set, gives the observation point that stands for the given one,
	// itself by default. It is asked once for a while per point, must be a pure
	// function, and is called from every goroutine that decodes.
	Merge func(PointKey) PointKey

	// NetworkOf, if set, names the network of what is mirrored at a point by outer
	// source and destination of its first packet, where Networks does not: "" is not
	// known. A name must not hold a slash. It holds from at, the time of a packet in
	// ns, until before another, and while NetworkChanges says the same; then it is
	// asked again, at the next Renew. It must be quick, and is called from every
	// goroutine that decodes.
	NetworkOf      func(source, destination Addr, at int64) (name string, until int64)
	NetworkChanges func() uint64 // nil: NetworkOf says the same for ever

	MaxPoints   int // observation points with an id of their own
	MaxNetworks int // networks with an id of their own
	MaxPaths    int // paths with an id of their own

	Fragments FragmentConfig
}

// FragmentConfig bounds the reassembly of IP fragments. The bounds hold per
// Decoder.
type FragmentConfig struct {
	Timeout  time.Duration // from a packet's first fragment to arrive, in packet time
	Packets  int           // packets under reassembly or remembered, of all observation points
	PerPoint int           // the same, of one observation point
	Octets   int           // stored octets, of all observation points
}

// DefaultConfig is a Config that suits a mirror target.
func DefaultConfig() Config {
	return Config{
		MaxPoints:   65536,
		MaxNetworks: 65536,
		MaxPaths:    65536,
		Fragments: FragmentConfig{
			Timeout:  5 * time.Second,
			Packets:  8192,
			PerPoint: 4096,
			Octets:   32 << 20,
		},
	}
}

// Validate reports every field that is out of its range.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	genevePorts := map[uint16]bool{genevePort: true}
	for _, port := range c.GenevePorts {
		if port == 0 {
			bad("geneve port 0")
		}
		genevePorts[port] = true
	}
	for _, port := range c.VXLANPorts {
		if port == 0 {
			bad("vxlan port 0")
		}
		if genevePorts[port] {
			bad("port %d is both vxlan and geneve", port)
		}
	}
	for vni, name := range c.Networks {
		if vni == 0 || vni >= 1<<24 {
			bad("network %q: vni %d is not in 1 to 16777215", name, vni)
		}
		if name == "" || strings.Contains(name, "/") {
			bad("network of vni %d: name %q is empty or has a slash", vni, name)
		}
	}
	for _, m := range []struct {
		name  string
		value int
	}{{"points", c.MaxPoints}, {"networks", c.MaxNetworks}, {"paths", c.MaxPaths}} {
		if m.value < 1 || m.value > 1<<24 {
			bad("bound of %s: %d is not in 1 to 16777216", m.name, m.value)
		}
	}
	f := &c.Fragments
	if f.Timeout <= 0 {
		bad("fragment timeout %v is not positive", f.Timeout)
	}
	if f.Packets < 1 {
		bad("fragment bound of %d packets is not positive", f.Packets)
	}
	if f.PerPoint < 1 || f.PerPoint > f.Packets {
		bad("fragment bound of %d packets per point is not in 1 to %d", f.PerPoint, f.Packets)
	}
	if f.Octets < 2*maxIPv4 {
		bad("fragment bound of %d octets is less than two packets, %d", f.Octets, 2*maxIPv4)
	}
	return errors.Join(errs...)
}
