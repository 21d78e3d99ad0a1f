// Package quic reads what one flow of QUIC tells without keys but those that
// anyone on the path can compute: the hellos in its Initial packets, the times
// of its handshake, and the round trip that the spin bit shows.
//
// # What is read
//
// Long headers of versions 1 and 2, of the drafts from 22 on and of the
// versions of Google and Facebook that protect Initial packets alike. Initial
// packets are opened, and checked, with keys derived from the Destination
// Connection ID of the client's first one (RFC 9001 section 5.2); a Retry, or
// a Version Negotiation, makes the client begin anew with another. Who the
// client is follows from the keys; where Initial packets cannot be opened (cut
// by the mirror, or of an unknown version), from the first one: a connection id
// of at least 8 octets in a datagram of at least 1200 (RFC 9000 sections 7.2
// and 14.1). Of the packets behind the hellos only kind and time count, of
// those with a short header the spin bit. Everything else is encrypted:
// CONNECTION_CLOSE is seen in Initial packets alone.
//
// One flow is taken for one connection. Before the server has answered, a new
// connection id without Retry or Version Negotiation in front is a new attempt,
// and all is told of the latest; further connections on the same ports are
// only counted with the first.
//
// # Times
//
// All are record times, ns.
//
//   - ClientInitial, ServerInitial: the first Initial packet of either side.
//   - ClientAnswer: the first packet of the client that proves that it has the
//     server's: an Initial with an ACK frame, or a Handshake packet, whose keys
//     follow from the ServerHello (RFC 9001 section 5).
//   - ClientShort: the first packet with a short header of the client, which it
//     may send once it has the server's Finished, and has sent its own (RFC
//     9001 section 5.7).
//   - ClientFinished: the client's latest Handshake packet when ClientShort is
//     recorded; the datagram that holds the short header counts. The Finished
//     itself is encrypted: an acknowledgement that the client sent behind it,
//     and before its first short header, is taken for it.
//
// Handshake gives the durations. As for a SYN, the server's half is
// ServerInitial less the client's Initial that it answers, the client's half is
// ClientAnswer less the server's Initial that it answers, and either holds the
// time that the endpoint took. Which packet is answered is told by the ACK
// frame, for a repeat has a packet number of its own (RFC 9000 section 12.3); so
// repeats, and a ClientHello in several datagrams, are no doubt. Where a packet
// has no such frame, and is a repeat of one that was not recorded, or where it
// cannot be read and there are several before it, the latest before it is taken,
// which is ambiguous. Total runs from ClientInitial to ClientFinished: the
// further round trips of a Retry, a Version Negotiation and a HelloRetryRequest
// are in it, but not in the halves, which are those of the attempt that was
// answered.
//
// # Spin bit
//
// The client sends the inverse of the bit that it received last, the server the
// same (RFC 9000 section 17.4). So a flank runs round and round, and the
// flanks that pass the observation point alternate between the directions:
// from one to the next in the same direction is a round trip, from the
// opposite one to it the half of the side that answered. A flank counts only
// where it is the answer to the opposite one, and once three packets have shown
// the new value, or the other side has answered it, before three show the old
// one: else its packets came late. A sample shorter than a tenth of the least
// counts only if eight follow each other. Where the order breaks for good
// (packets were not recorded), or an end takes a new connection id and begins at
// 0, what is under way is forgotten, and the next eight flanks are not measured.
// The round trip is known only if
//
//   - each direction has at least 8 flanks: an endpoint that does not take part
//     sends a constant bit, or one for each connection id (section 17.4);
//   - each direction's bits are not those of a coin, which is what the other way
//     of not taking part looks like. If bits were drawn for each packet, the
//     number of changes among n pairs of neighbours would be n/2 with a standard
//     deviation of √n/2, and likewise that of changes that are followed by their
//     like. One of both must be off by more than four deviations. An endpoint
//     that draws shows it in its own direction however the other reflects it;
//   - no more than one packet in eight contradicts the order above;
//   - there are 16 flanks for each time that this happened;
//   - the least sample is not above four handshake round trips: an application
//     that talks in turns, with pauses, shows the pauses.
//
// # Memory
//
// A Conn is some 700 octets. While the hellos are read it holds up to 210
// KiB more, typically 10: keys, CRYPTO data of at most 64 KiB a direction, four
// packets of up to 2 KiB that came before their keys, and room for one packet.
// It takes that from the Budget, and gives it back when both hellos were read
// and the client has gone on, or 256 packets were tried; what does not fit is not
// read. The samples of the spin bit take 1 KiB, once the bit moves as it should.
//
// A Conn is owned by one goroutine. Outside of the handshake a datagram
// allocates nothing.
//
// RFC 8999, 9000, 9001, 9369 (version 2), 9312 (manageability), 9287 (greased
// fixed bit).
package quic
