package path

import (
	"testing"
)

// Who knows a secret can make packets that all have one fingerprint. With another, of
// which he knows nothing, they have fingerprints of their own, and none is forgotten.
func TestFingerprintsAreKeyed(t *testing.T) {
	known, other, n := newSecret(), newSecret(), 20*maxAlike
	met, apart := map[uint64]bool{}, map[uint64]bool{}
	m := NewMatcher(DefaultConfig())
	for i := range n {
		p := shot{at: int64(i + 1), point: i % 2, seq: 1}.packet()
		// A product of zero tells nothing of its other factor: here flags, window, length.
		zero := fold(p.Hash^known[0], uint64(p.Network)<<32^uint64(p.IPID)<<16^uint64(p.Proto)<<8^known[1])
		p.TCP.Seq, p.TCP.Ack, p.TCP.Window = uint32(zero>>32), uint32(zero), uint16(i)
		met[known.fingerprint(&p, 0)] = true
		apart[other.fingerprint(&p, 0)] = true
		m.Packet(uint32(p.Point), &p, 0)
	}
	if len(met) != 1 || len(apart) != n {
		t.Errorf("%d packets have %d fingerprints to one who knows, and %d to others", n, len(met), len(apart))
	}
	if got := m.Counts().Forgotten; got != 0 {
		t.Errorf("%d of %d packets were forgotten", got, n)
	}
}
