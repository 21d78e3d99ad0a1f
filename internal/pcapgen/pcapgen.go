// Package pcapgen makes packets, captures and whole conversations for tests,
// benchmarks and the demo, together with the truth about them.
//
//   - Build puts a frame together from layers, each header by hand.
//   - PcapWriter and PcapngWriter write capture files.
//   - Conn scripts one TCP connection as an observation point records it, with
//     its truth.
//   - Shop is a small deterministic capture of a shop of services.
//
// It shares no code with the decoder and the measurement, so that one can be
// tested against the other; its own tests compare it with gopacket and tshark.
// It is for our own input only: layers that make no sense together, and values
// that do not fit their field, panic or wrap. It leaves out hostile frames:
// tests make them by an override (fields that are pointers, or non-zero) or by
// changing octets of what Build returns.
package pcapgen

import "net/netip"

// Layer is one header of a frame, or a payload. The zero value of every layer
// field means "what fits": type, length and checksum fields follow from the
// layers behind. Pointer fields override a value that may be zero; Go's
// new(uint16(0)) writes one.
type Layer interface {
	// build gives the octets of the layer and everything behind it.
	build(e env) []byte
}

// env is where a layer stands in its frame.
type env struct {
	outer   []Layer // the layers in front, outermost first
	next    Layer   // the layer behind, nil for none
	payload []byte  // the octets of all layers behind
}

// prepend gives h followed by the octets behind the layer.
func (e env) prepend(h []byte) []byte { return append(h, e.payload...) }

// Build gives the octets of a frame, or of a packet when the first layer is
// IP: the layers outermost first. The result is the caller's.
func Build(layers ...Layer) []byte {
	var b []byte
	for i := len(layers) - 1; i >= 0; i-- {
		e := env{outer: layers[:i], payload: b}
		if i+1 < len(layers) {
			e.next = layers[i+1]
		}
		b = layers[i].build(e)
	}
	return b
}

// Payload is octets without a header of their own.
type Payload []byte

func (p Payload) build(e env) []byte { return e.prepend(append([]byte(nil), p...)) }

// Packet is an IP packet that is built already, such as a fragment; headers in
// front take its version from the first octet.
type Packet []byte

func (p Packet) build(e env) []byte { return e.prepend(append([]byte(nil), p...)) }

func (p Packet) isIPv6() bool { return len(p) > 0 && p[0]>>4 == 6 }

// IP parses an address for use in a layer. It panics when s is none.
func IP(s string) netip.Addr { return netip.MustParseAddr(s) }

// or gives v, or def where v is the zero value.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// override gives *p, or v where p is nil.
func override[T any](p *T, v T) T {
	if p != nil {
		return *p
	}
	return v
}
