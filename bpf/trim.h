/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Trimming: payload that the sensor does not read is cut off before it is
 * copied.
 *
 * What it reads of payload are heads: TLS handshakes, HTTP heads, DNS messages.
 * They stand where a direction of a connection starts, or where a message
 * starts later on; their octets tell. So a frame stays whole
 *
 *   - for the first trim_head octets of a direction (a ClientHello with
 *     certificates and the answer to it, what goes before STARTTLS, HTTP/2
 *     settings and the requests behind them),
 *   - where its payload begins as a TLS handshake record or an HTTP/1 head
 *     does, and for some octets behind that, as such a head goes on in the
 *     next segment,
 *   - for DNS, for QUIC packets with a long header and for DTLS handshakes,
 *     which are datagrams of their own,
 *   - for ICMP, which quotes other packets.
 *
 * Everything else keeps its headers and the first octets of its payload, where
 * a TLS record's header stands.
 *
 * The octets of a direction are counted in a table without chains: a place by
 * hash, a tag, and a count. A flow that takes another's place starts anew, and
 * so does the other when it comes back, which leaves more whole than needed.
 * Less than needed is left only where two directions have place and tag in
 * common, 58 bits of their hash with the usual size of the table: then one goes
 * on with the other's count, until a SYN. An LRU map would do the same when
 * full, without that, and costs five times as much at each packet.
 */
#ifndef MIRRORSCOPE_TRIM_H
#define MIRRORSCOPE_TRIM_H

#include "parse.h"
#include "policy.h"

/* The table's size is a power of two, set before load; heads_mask is one less. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << 18);
	__type(key, __u32);
	__type(value, __u64); /* tag << 24 | octets */
} heads SEC(".maps");

volatile const __u32 heads_mask = (1 << 18) - 1;

enum {
	TRIM_GAIN = 64,		/* octets that are worth a cut */
	HTTP_GOES_ON = 8 << 10, /* octets behind the start of an HTTP head that stay whole */
	TLS_GOES_ON = 16 << 10, /* behind that of a TLS record: one of the largest size */
	SYN_FLAG = 2,
	OCTET_BITS = 24, /* of a count; trim_head is below their maximum */
	OCTETS_MAX = (1 << OCTET_BITS) - 1,
};

/* word gives the first four octets of b in network order. */
#define WORD(a, b, c, d) ((__u32)(a) << 24 | (b) << 16 | (c) << 8 | (d))

/* goes_on tells how many octets stay whole because of what a segment begins
 * with, 0 where it begins nothing. */
static __always_inline __u32 goes_on(__u32 first)
{
	/* Change of cipher, alert or handshake; version 3.0 to 3.4. */
	if ((first >> 24 >= 20 && first >> 24 <= 22) && (first >> 16 & 0xff) == 3 && (first >> 8 & 0xff) <= 4)
		return TLS_GOES_ON;
	switch (first) {
	case WORD('H', 'T', 'T', 'P'):
	case WORD('G', 'E', 'T', ' '):
	case WORD('P', 'O', 'S', 'T'):
	case WORD('P', 'U', 'T', ' '):
	case WORD('H', 'E', 'A', 'D'):
	case WORD('D', 'E', 'L', 'E'):
	case WORD('O', 'P', 'T', 'I'):
	case WORD('P', 'A', 'T', 'C'):
	case WORD('C', 'O', 'N', 'N'):
	case WORD('T', 'R', 'A', 'C'):
	case WORD('P', 'R', 'O', 'P'): /* PROPFIND */
	case WORD('R', 'E', 'P', 'O'): /* REPORT */
	case WORD('P', 'R', 'I', ' '): /* HTTP/2 */
		return HTTP_GOES_ON;
	}
	return 0;
}

/* is_quic_long tells QUIC's long header (RFC 8999 section 5.1). A client that
 * clears the fixed bit (RFC 9287) must be of a version that is known, as RTP
 * looks the same otherwise. */
static __always_inline int is_quic_long(__u8 first, __u32 version)
{
	return (first & 0xc0) == 0xc0 ||
	       ((first & 0x80) && (version <= 1 || version == 0x6b3343cf || version >> 8 == 0xff0000));
}

static __always_inline int is_dns(const struct walk *w)
{
	return w->sport == 53 || w->dport == 53 || w->sport == 5353 || w->dport == 5353 || w->sport == 5355 ||
	       w->dport == 5355;
}

/* is_forward tells the directions of a connection apart. */
static __always_inline int is_forward(const struct walk *w)
{
	if (w->src.lo != w->dst.lo)
		return w->src.lo < w->dst.lo;
	if (w->src.hi != w->dst.hi)
		return w->src.hi < w->dst.hi;
	return w->sport < w->dport;
}

/* is_head tells whether the payload of a TCP segment stays whole, and counts
 * it. */
static __always_inline int is_head(struct walk *w, const struct policy *p, __u32 first, __u32 size)
{
	__u64 hash = flow_hash(w) * 2 + is_forward(w); /* of one direction */
	__u32 at = (__u32)hash & heads_mask, seen, more;
	__u64 *place = bpf_map_lookup_elem(&heads, &at), was;

	if (!place)
		return 1;
	was = *(volatile __u64 *)place;
	seen = (was ^ hash) >> OCTET_BITS ? 0 : was & OCTETS_MAX; /* the hash's high bits are the tag */
	if (w->tcp_flags & SYN_FLAG)
		seen = 0;
	if (seen > p->trim_head)
		seen = p->trim_head;
	more = goes_on(first);
	if (more > p->trim_head)
		more = p->trim_head;
	if (p->trim_head - seen < more)
		seen = p->trim_head - more;
	if (seen == p->trim_head)
		return 0;
	seen += size;
	if (seen > OCTETS_MAX)
		seen = OCTETS_MAX;
	*(volatile __u64 *)place = hash >> OCTET_BITS << OCTET_BITS | seen;
	return 1;
}

/* cut_at tells after how many octets a frame is to be cut, 0 for not at all. */
__noinline int cut_at(CONTEXT *ctx, struct walk *w, const struct policy *p)
{
	union head h;
	__u32 size;

	if (!w || !p || !p->trim || w->outcome != PARSED || !w->payload || w->payload > w->wire)
		return 0;
	size = w->wire - w->payload; /* of payload */
	if (w->proto == PROTO_TCP) {
		if (!size && !(w->tcp_flags & SYN_FLAG))
			return 0;
		if (is_dns(w))
			return 0;
		h.w[0] = 0;
		if (w->payload + 4 <= w->end)
			load(ctx, w->payload, &h, 4);
		if (is_head(w, p, ntohl(h.w[0]), size))
			return 0;
	} else if (w->proto == PROTO_UDP) {
		if (w->payload + 5 > w->end || is_dns(w) || load(ctx, w->payload, &h, 5))
			return 0;
		/* DTLS change of cipher, alert, handshake. */
		if (h.b[0] >= 20 && h.b[0] <= 22 && h.b[1] == 0xfe)
			return 0;
		if (is_quic_long(h.b[0], h.b[1] << 24 | h.b[2] << 16 | h.b[3] << 8 | h.b[4]))
			return 0;
	} else if (w->proto == PROTO_ICMP || w->proto == PROTO_ICMPV6) {
		return 0;
	}
	return w->payload + p->trim;
}

#endif
