package jsonl

import (
	"encoding/hex"
	"net/netip"

	"mirrorscope/packet"
	"mirrorscope/sink"
)

// point gives the value of observation_point for a flow whose first packet
// came from one or the other outer address.
func (e *Encoder) point(id packet.PointID, swapped bool) []byte {
	at := 2 * int(id)
	if swapped {
		at++
	}
	e.points = grow(e.points, at)
	if e.points[at] == nil {
		p := sink.PointOf(e.names, id)
		dst := appendPoint([]byte{'{'}, &p)
		if p.Tunnel != packet.NoTunnel {
			src, dest := p.A, p.B
			if swapped {
				src, dest = dest, src
			}
			dst = appendAddr(dst, `,"outer_src":`, src)
			dst = appendAddr(dst, `,"outer_dst":`, dest)
			dst = appendCookies(dst, &p.Cookies)
		}
		e.points[at] = append(dst, '}')
	}
	return e.points[at]
}

// appendPoint adds the fields that name a point, without its addresses.
func appendPoint(dst []byte, p *sink.Point) []byte {
	dst = appendString(append(dst, `"name":`...), p.Name)
	if p.Interface != "" {
		dst = appendString(append(dst, `,"interface":`...), p.Interface)
	}
	if p.Tunnel != packet.NoTunnel {
		dst = append(append(append(dst, `,"tunnel":"`...), p.Tunnel.String()...), '"')
	}
	if p.HasID {
		dst = appendUint(dst, `,"tunnel_id":`, uint64(p.ID))
	}
	return dst
}

func appendAddr(dst []byte, key string, a netip.Addr) []byte {
	return append(a.AppendTo(append(append(dst, key...), '"')), '"')
}

// appendCookies adds the GENEVE options that are part of the point. They are
// opaque, so they are written as the hexadecimal digits of their octets.
func appendCookies(dst []byte, c *packet.Cookies) []byte {
	switch c.Class {
	case sink.ClassAWS:
		dst = appendHex(append(dst, `,"tunnel_cookies":{"aws_endpoint":`...), c.ID[:8])
		dst = appendHex(append(dst, `,"aws_attachment":`...), c.ID[8:])
	case sink.ClassGoogle:
		dst = appendUint(dst, `,"tunnel_cookies":{"google_network":`, uint64(c.Net))
		dst = appendHex(append(dst, `,"google_endpoint":`...), c.ID[:])
	default:
		return dst
	}
	return append(dst, '}')
}

func appendHex(dst, b []byte) []byte {
	return append(hex.AppendEncode(append(dst, '"'), b), '"')
}

// network gives the value of network.
func (e *Encoder) network(id packet.NetworkID) []byte {
	e.networks = grow(e.networks, int(id))
	if e.networks[id] == nil {
		e.networks[id] = appendString(nil, e.names.NetworkName(id))
	}
	return e.networks[id]
}

// grow makes texts long enough to have an element at.
func grow(texts [][]byte, at int) [][]byte {
	for len(texts) <= at {
		texts = append(texts, nil)
	}
	return texts
}

// path gives the fields tunnels and vlan, with the comma before each.
func (e *Encoder) path(id packet.PathID) []byte {
	e.paths = grow(e.paths, int(id))
	if e.paths[id] == nil {
		p := e.names.Path(id)
		dst := []byte{} // not nil: a path without anything is known too
		for i := range p.NTunnels {
			sep := `","`
			if i == 0 {
				sep = `,"tunnels":["`
			}
			dst = append(append(dst, sep...), p.Tunnels[i].String()...)
		}
		if p.NTunnels > 0 {
			dst = append(dst, `"]`...)
		}
		for i := range p.NVLANs {
			sep := `,`
			if i == 0 {
				sep = `,"vlan":[`
			}
			dst = sink.AppendUint(append(dst, sep...), uint64(p.VLANs[i]))
		}
		if p.NVLANs > 0 {
			dst = append(dst, ']')
		}
		e.paths[id] = dst
	}
	return e.paths[id]
}
