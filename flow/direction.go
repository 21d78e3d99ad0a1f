package flow

import (
	"mirrorscope/packet"
)

// direct finds out which side of a flow is the client, or finds a better
// proof of it. The rules stand in the order of their rank; totals are kept by
// direction, so that a change of roles moves nothing.
func (t *Table) direct(f *Flow, p *packet.Packet, dir int) {
	if f.role.source == DirSYN {
		return
	}
	if f.key.Proto == packet.ProtoTCP {
		if c, bySYN := f.tcp.Client(); c >= 0 {
			source := DirSYNACK
			if bySYN {
				source = DirSYN
			}
			f.assign(c, source, false)
		}
	}
	if f.role.source < DirApp {
		if proof := payloadRole(f, p); proof.source != DirUnknown {
			client := dir
			if !proof.client {
				client = 1 - dir
			}
			f.assign(client, proof.source, false)
		}
	}
	if f.role.source < DirListener && f.learned != t.learned.version+1 && f.flags&portsKnown != 0 {
		f.learned = t.learned.version + 1
		a, b := t.learned.listens(f.endpoint(0), t.now), t.learned.listens(f.endpoint(1), t.now)
		if a != b {
			client := 0
			if a {
				client = 1
			}
			f.assign(client, DirListener, false)
		}
	}
	if f.role.source == DirUnknown {
		f.guess(dir)
	}
}

// assign takes a proof of the client's direction if it is better than the one
// there is.
func (f *Flow) assign(client int, source DirectionSource, ambiguous bool) {
	if source > f.role.source {
		f.role = role{client: uint8(client), source: source, ambiguous: ambiguous}
	}
}

// guess takes the ports as evidence; who sent first is none.
func (f *Flow) guess(dir int) {
	a, b := f.key.PortA, f.key.PortB
	switch {
	case f.flags&portsKnown == 0 || f.key.Kind != 0:
		f.assign(dir, DirOrder, true)
	case service(a) != service(b):
		f.assign(clientIf(service(a)), DirPort, false)
	case ephemeral(a) != ephemeral(b):
		f.assign(clientIf(!ephemeral(a)), DirPort, false)
	case a != b:
		f.assign(clientIf(a < b), DirPort, true)
	default:
		f.assign(dir, DirOrder, true)
	}
}

// clientIf gives the client's direction if A is the server, or is not.
func clientIf(serverIsA bool) int {
	if serverIsA {
		return 1
	}
	return 0
}

// ephemeral: the ranges that Linux and the IANA give to clients.
func ephemeral(p uint16) bool { return p >= 32768 }

// service: a well-known port, or one of those above 1023 that servers are
// commonly found on.
func service(p uint16) bool {
	if p < 1024 {
		return true
	}
	switch p {
	case 1194, 1433, 1521, 1723, 1812, 1813, 1883, 2049, 2055, 2181, 2375, 2376, 2379, 2380, 3128, 3268, 3269, 3306, 3389, 4222,
		4317, 4318, 4369, 4739, 4789, 5000, 5044, 5060, 5061, 5222, 5353, 5355, 5432, 5601, 5672, 5900, 5984, 6081, 6343, 6379, 6443, 6667,
		7000, 7687, 8000, 8080, 8086, 8123, 8125, 8300, 8443, 8500, 8883, 8888, 9000, 9042, 9090, 9092, 9093, 9100, 9200, 9300, 9418,
		9999, 10250, 11211, 15672, 16379, 26257, 26379, 27017, 50051, 61616:
		return true
	}
	return false
}
