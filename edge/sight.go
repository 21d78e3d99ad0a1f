package edge

import (
	"bytes"
	"encoding/binary"

	"mirrorscope/flow"
	"mirrorscope/index"
	"mirrorscope/packet"
)

// Tuple is a 5-tuple with its ends in order: all sights of a connection share it.
// Until a path tells, records of one network and Tuple are taken for sights of one
// connection.
type Tuple struct {
	A, B         packet.Addr // A:PortA ≤ B:PortB
	PortA, PortB uint16
	Proto        uint8
	Network      packet.NetworkID
}

// TupleOf gives that of a record.
func TupleOf(r *flow.Record) Tuple {
	c, s := &r.Ends[flow.Client], &r.Ends[flow.Server]
	k := Tuple{A: c.Addr, B: s.Addr, PortA: c.Port, PortB: s.Port, Proto: r.Proto, Network: r.Network}
	if n := bytes.Compare(k.A[:], k.B[:]); n > 0 || n == 0 && k.PortA > k.PortB {
		k.A, k.B, k.PortA, k.PortB = k.B, k.A, k.PortB, k.PortA
	}
	return k
}

// Hash is that of a tuple in an index.
func (k *Tuple) Hash(x *index.Index) uint32 {
	le := binary.LittleEndian
	rest := uint64(k.PortA)<<48 | uint64(k.PortB)<<32 | uint64(k.Network) ^ uint64(k.Proto)<<24
	return x.Hash(le.Uint64(k.A[:8]), le.Uint64(k.A[8:]), le.Uint64(k.B[:8]), le.Uint64(k.B[8:]), rest)
}

// Client is the direction in which the client of a record sends: 0 from A to B.
func (k *Tuple) Client(r *flow.Record) int {
	if e := &r.Ends[flow.Client]; e.Addr == k.A && e.Port == k.PortA {
		return 0
	}
	return 1
}

// Recorded is how much a point has recorded of one direction of a connection.
type Recorded struct {
	Octets  int64 // of TCP's sequence space, repeats once
	Payload int64
	Packets int64
}

// Exceeds tells whether a point stands for the direction instead of another: the
// one that recorded most of it.
func (a Recorded) Exceeds(b Recorded) bool {
	switch {
	case a.Octets != b.Octets:
		return a.Octets > b.Octets
	case a.Payload != b.Payload:
		return a.Payload > b.Payload
	}
	return a.Packets > b.Packets
}
