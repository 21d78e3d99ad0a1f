package quic

import "mirrorscope/tlsmeta"

// maxVersions bounds what is kept, and believed, of a list of versions.
const maxVersions = 64

// Info is what one QUIC connection told. It owns its memory.
type Info struct {
	tlsmeta.Info // SNI, ALPN, cipher, group, JA4 … of the hellos in the Initial packets; Version is TLS's

	Version            uint32   // of QUIC, of the latest long header; 1 is RFC 9000, 0x6b3343cf RFC 9369
	ServerVersions     []uint32 // of a Version Negotiation packet
	VersionNegotiation bool
	Retry              bool
	ZeroRTT            bool // 0-RTT packets were recorded
	Close              Close

	Initials, Long, Short int64 // packets by kind; Long without Initials
	Undecryptable         int64 // Initials that no key opened, while hellos were still to be read
	Cut                   int64 // packets of which the mirror left out a part
	Duplicates            int64 // opened Initials with a packet number that was there before
	Malformed             int64 // headers and opened Initials that contradict themselves
	Dropped               int64 // Initials or CRYPTO frames beyond the bounds, or for which there was no memory

	// Record times, ns; 0 not known. See the package comment for what they mean.
	ClientInitial, ServerInitial, ClientAnswer, ClientFinished, ClientShort int64

	Spin Spin
}

// Close is the CONNECTION_CLOSE of an Initial packet (RFC 9000 section 19.19).
type Close struct {
	Known  bool
	Client bool   // who sent it
	Code   uint64 // RFC 9000 section 20.1; 0x100 to 0x1ff are alerts of TLS, which stand in Alert as well
}

// Spin is the round trip that the spin bit showed (RFC 9000 section 17.4). The
// halves are those on either side of the observation point.
type Spin struct {
	Edges                int64 // flanks that were the answer to one of the other direction; fewer than 8 in each direction: not known
	Known                bool
	Samples              int64
	Min, P50             int64 // ns; of the full round trip
	ClientMin, ServerMin int64 // ns; 0 not known
}

// Report gives what the flow told. ended says that it is known to be over, for
// it fell silent; else the input or the memory ended, and it might have gone on.
//
// The handshake is Completed once a packet with a short header of the client
// was recorded; Failed if CONNECTION_CLOSE was, in an Initial packet. What an
// end encrypts when it gives up later looks like silence: Abandoned. So does a
// flow of which the server's direction is not recorded at all: the caller knows
// whether it ever is. A flow without a client's first packet, and without that
// proof, has no outcome.
func (c *Conn) Report(ended bool) Info {
	i := c.info
	i.Spin = c.spin.report(c.Handshake().RTT)
	switch {
	case i.ClientShort != 0 && (i.ServerInitial != 0 || i.ClientFinished != 0):
		i.Outcome = tlsmeta.Completed
	case i.Close.Known:
		i.Outcome = tlsmeta.Failed
	case i.ClientInitial == 0:
	case ended:
		i.Outcome = tlsmeta.Abandoned
	default:
		i.Outcome = tlsmeta.Incomplete
	}
	return i
}
