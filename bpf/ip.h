/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* IP headers, as packet/ipv4.go, ipv6.go and extension.go read them. */
#ifndef MIRRORSCOPE_IP_H
#define MIRRORSCOPE_IP_H

#include "walk.h"

enum {
	PROTO_HOP_BY_HOP = 0,
	PROTO_ICMP = 1,
	PROTO_IPIP = 4,
	PROTO_TCP = 6,
	PROTO_UDP = 17,
	PROTO_IPV6 = 41,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_GRE = 47,
	PROTO_AH = 51,
	PROTO_ICMPV6 = 58,
	PROTO_NO_NEXT = 59,
	PROTO_DESTINATION = 60,
	PROTO_SCTP = 132,
	PROTO_MOBILITY = 135,
	PROTO_UDPLITE = 136,
	PROTO_MPLS = 137,
	PROTO_HIP = 139,
	PROTO_SHIM6 = 140,
};

/* is_oversize is for frames that are longer than IP's length field can tell. */
static __always_inline int is_oversize(const struct walk *w, __u32 length)
{
	return have(w) > MAX_IPV4 || length == (left(w) & 0xffff);
}

/* ip_header is what both versions do once lengths are known: total octets of
 * packet at off, head of them header. */
static __always_inline int ip_header(struct walk *w, __u32 total, __u32 head, __u8 version)
{
	__u32 to = w->off + total;

	if (to < w->end)
		w->end = to;
	w->wire = to;
	w->off += head;
	w->flags &= ~TRIMMED;
	w->version = version;
	if (!w->layers)
		w->outer = w->src;
	if (w->layers < 255)
		w->layers++;
	return AT_PROTO;
}

/* at_fragment ends the walk at a fragment of a packet of that id. */
static __always_inline int at_fragment(struct walk *w, __u32 id, int is_later)
{
	w->fragment_id = id;
	if (is_later)
		w->flags |= LATER;
	return fail(w, FRAGMENT);
}

__noinline int at_ipv4(CONTEXT *ctx, struct walk *w)
{
	union head h;
	__u32 head, total;
	__u16 fragment;

	if (!w)
		return STOP;
	if (have(w) < 20)
		return fail(w, TRUNCATED);
	if (load(ctx, w->off, &h, 20))
		return fail(w, UNREACHABLE);
	head = (h.b[0] & 15) << 2;
	if (h.b[0] >> 4 != 4 || head < 20)
		return fail(w, BAD_IP);
	total = ntohs(h.h[1]);
	w->flags &= ~LENGTH_UNKNOWN;
	if (!total || (left(w) > MAX_IPV4 && is_oversize(w, total))) {
		total = left(w);
		w->flags |= LENGTH_UNKNOWN;
	}
	if (total > left(w) && w->flags & TRIMMED)
		total = left(w);
	if (total < head)
		return fail(w, BAD_IP);
	if (have(w) < head)
		return fail(w, TRUNCATED);
	w->proto = h.b[9];
	w->src.hi = 0;
	w->dst.hi = 0;
	/* ::ffff:0:0/96, in memory order. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	w->src.lo = 0xffff0000ULL | (__u64)h.w[3] << 32;
	w->dst.lo = 0xffff0000ULL | (__u64)h.w[4] << 32;
#else
	w->src.lo = 0xffff00000000ULL | h.w[3];
	w->dst.lo = 0xffff00000000ULL | h.w[4];
#endif
	ip_header(w, total, head, 4);
	fragment = ntohs(h.h[3]);
	if (fragment & 0x3fff)
		return at_fragment(w, h.h[2], fragment & 0x1fff);
	return AT_PROTO;
}

__noinline int at_ipv6(CONTEXT *ctx, struct walk *w)
{
	union head h;
	__u32 length, total;

	if (!w)
		return STOP;
	if (have(w) < 40)
		return fail(w, TRUNCATED);
	if (load(ctx, w->off, &h, 40))
		return fail(w, UNREACHABLE);
	if (h.b[0] >> 4 != 6)
		return fail(w, BAD_IP);
	length = ntohs(h.h[2]);
	total = length + 40;
	w->flags &= ~LENGTH_UNKNOWN;
	if ((!length && (h.b[6] == PROTO_TCP || h.b[6] == PROTO_HOP_BY_HOP) && left(w) > total) ||
	    (left(w) > MAX_IPV4 + 40 && (!length || is_oversize(w, total)))) {
		total = left(w);
		w->flags |= LENGTH_UNKNOWN;
	}
	if (total > left(w) && w->flags & TRIMMED)
		total = left(w);
	w->proto = h.b[6];
	w->src.hi = h.q[1];
	w->src.lo = h.q[2];
	w->dst.hi = h.q[3];
	w->dst.lo = h.q[4];
	return ip_header(w, total, 40, 6);
}

/* at_extension steps over the header of protocol proto, when it is one of
 * those that stand in front of another; DECLINED otherwise. */
__noinline int at_extension(CONTEXT *ctx, struct walk *w)
{
	union head h;
	__u32 n;
	__u8 this;

	if (!w)
		return STOP;
	this = w->proto;
	switch (this) {
	case PROTO_AH:
		break;
	case PROTO_HOP_BY_HOP:
	case PROTO_ROUTING:
	case PROTO_DESTINATION:
	case PROTO_MOBILITY:
	case PROTO_HIP:
	case PROTO_SHIM6:
	case PROTO_FRAGMENT:
		if (w->version == 6)
			break;
		return DECLINED;
	default:
		return DECLINED;
	}
	n = this == PROTO_AH ? 12 : 8;
	if (have(w) < n)
		return fail(w, left(w) < n ? BAD_IP : TRUNCATED);
	if (load(ctx, w->off, &h, 8))
		return fail(w, UNREACHABLE);
	if (this == PROTO_FRAGMENT) {
		w->proto = h.b[0];
		w->off += 8;
		n = ntohs(h.h[1]);
		if (n & ~6)
			return at_fragment(w, h.w[1], n & ~7);
		return AT_PROTO;
	}
	n = this == PROTO_AH ? 8 + 4 * h.b[1] : 8 + 8 * h.b[1];
	if ((this == PROTO_AH && n < 12) || n > left(w))
		return fail(w, BAD_IP);
	if (have(w) < n)
		return fail(w, TRUNCATED);
	if (h.b[0] == PROTO_NO_NEXT && (this == PROTO_MOBILITY || this == PROTO_HIP || this == PROTO_SHIM6))
		return DECLINED;
	w->proto = h.b[0];
	w->off += n;
	return AT_PROTO;
}

#endif
