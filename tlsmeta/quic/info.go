package quic

import "mirrorscope/tlsmeta"

// Info is what one QUIC connection told. It owns its memory.
type Info struct {
	tlsmeta.Info // SNI, ALPN, cipher, group, JA4 … of the hellos in the Initial packets; Version is TLS's

	Version               uint32   // of QUIC, of the latest long header; 1 is RFC 9000, 0x6b3343cf RFC 9369
	ServerVersions        []uint32 // of a Version Negotiation packet
	VersionNegotiation    bool
	Retry                 bool
	ZeroRTT               bool // 0-RTT packets were recorded
	Undecryptable         int64
	Initials, Long, Short int64 // packets by kind; Long without Initials

	// Record times, ns; 0 not known. See the package comment for what they mean.
	ClientInitial, ServerInitial, ClientAnswer, ClientFinished, ClientShort int64

	Spin Spin
}

// Spin is the round trip that the spin bit showed (RFC 9000 section 17.4). The
// halves are those on either side of the observation point.
type Spin struct {
	Edges                int64 // 0, or fewer than 8 in each direction: not known
	Known                bool
	Min, P50             int64 // ns; of the full round trip
	ClientMin, ServerMin int64 // ns; 0 not known
}
