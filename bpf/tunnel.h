/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tunnels, as packet/udp.go, vxlan.go, geneve.go, gre.go and erspan.go enter
 * them: only where port or protocol number and content agree. DECLINED leaves
 * the walk as it was.
 */
#ifndef MIRRORSCOPE_TUNNEL_H
#define MIRRORSCOPE_TUNNEL_H

#include "ip.h"
#include "link.h"

enum {
	VXLAN_HEADER = 8,
	GENEVE_HEADER = 8,
	GENEVE_OPTIONS = 63, /* options of 4 octets that fit into the header */
	CLASS_AWS = 0x0108,
	CLASS_GOOGLE = 0x0132,

	GRE_CHECKSUM = 0x8000,
	GRE_ROUTING = 0x4000,
	GRE_KEY = 0x2000,
	GRE_SEQUENCE = 0x1000,
	GRE_VERSION = 0x0007,
	GRE_ERSPAN = 0x88be,
	GRE_ERSPAN3 = 0x22eb,
};

__noinline int vxlan(CONTEXT *ctx, struct walk *w)
{
	union head h;

	if (!w)
		return STOP;
	if (left(w) < VXLAN_HEADER + ETHER_HEADER)
		return DECLINED;
	if (have(w) < VXLAN_HEADER)
		return fail(w, TRUNCATED);
	if (load(ctx, w->off, &h, 8))
		return fail(w, UNREACHABLE);
	/* Anything but the plain flags proves nothing, a frame inside does. */
	if ((h.w[0] != htonl(0x08000000) || h.b[7]) && !plausible_ethernet(ctx, w, VXLAN_HEADER)) {
		if (have(w) < left(w) && have(w) < VXLAN_HEADER + ETHER_HEADER + 4 && h.b[0] & 8)
			return fail(w, TRUNCATED);
		return DECLINED;
	}
	identify(w, VXLAN, ntohl(h.w[1]) >> 8, 0);
	w->off += VXLAN_HEADER;
	return AT_ETHERNET;
}

/* geneve_class finds what packet's Cookies.Class comes to: the class of the
 * last option that identifies a mirrored interface. */
__noinline int geneve_class(CONTEXT *ctx, __u32 off, __u32 end)
{
	__u16 class = 0;
	union head h;
	__u32 n;

	for (int i = 0; i < GENEVE_OPTIONS; i++) {
		if (off + 4 > end || load(ctx, off, &h, 4))
			break;
		n = (h.b[3] & 0x1f) * 4;
		if (off + 4 + n > end)
			break;
		if (ntohs(h.h[0]) == CLASS_AWS && (h.b[2] == 1 || h.b[2] == 2) && n == 8)
			class = CLASS_AWS;
		else if (ntohs(h.h[0]) == CLASS_GOOGLE && ((h.b[2] == 1 && n == 4) || (h.b[2] == 2 && n == 16)))
			class = CLASS_GOOGLE;
		off += 4 + n;
	}
	return class;
}

__noinline int geneve(CONTEXT *ctx, struct walk *w)
{
	union head h;
	__u32 n;
	int next;

	if (!w || left(w) < GENEVE_HEADER)
		return DECLINED;
	if (have(w) < GENEVE_HEADER)
		return fail(w, TRUNCATED);
	if (load(ctx, w->off, &h, 8))
		return fail(w, UNREACHABLE);
	n = GENEVE_HEADER + 4 * (h.b[0] & 0x3f);
	/* Control packets are for the tunnel's ends. */
	if (h.b[0] >> 6 || h.b[1] & 0x80 || n > left(w))
		return DECLINED;
	switch (ntohs(h.h[1])) {
	case ETHER_TEB:
		next = AT_ETHERNET;
		break;
	case ETHER_IPV4:
		next = AT_IPV4;
		break;
	case ETHER_IPV6:
		next = AT_IPV6;
		break;
	case ETHER_MPLS:
	case ETHER_MPLS_MULTICAST:
	case ETHER_NSH:
		next = STOP;
		break;
	default:
		return DECLINED;
	}
	if (have(w) < n)
		return fail(w, TRUNCATED);
	identify(w, GENEVE, ntohl(h.w[1]) >> 8,
		 geneve_class(ctx, w->off + GENEVE_HEADER, w->off + n) == CLASS_AWS);
	w->off += n;
	if (next == STOP)
		return fail(w, UNREAD_TUNNEL);
	return next;
}

/* erspan enters type I or II behind n octets of GRE. */
static __always_inline int erspan(CONTEXT *ctx, struct walk *w, __u32 n, int sequence)
{
	union head h;

	if (!sequence) {
		identify(w, ERSPAN, 0, 0);
		w->off += n;
		return AT_ETHERNET;
	}
	if (left(w) < n + 8)
		return DECLINED;
	if (have(w) < n + 8)
		return fail(w, TRUNCATED);
	if (load(ctx, w->off + n, &h, 4))
		return fail(w, UNREACHABLE);
	if (h.b[0] >> 4 != 1)
		return DECLINED;
	identify(w, ERSPAN, ntohs(h.h[1]) & 0x3ff, 0);
	w->off += n + 8;
	return AT_ETHERNET;
}

static __always_inline int erspan3(CONTEXT *ctx, struct walk *w, __u32 n)
{
	union head h;
	__u32 total = n + 12;
	__u16 last;
	int next = AT_ETHERNET;

	if (left(w) < total)
		return DECLINED;
	if (have(w) < total)
		return fail(w, TRUNCATED);
	if (load(ctx, w->off + n, &h, 12))
		return fail(w, UNREACHABLE);
	if (h.b[0] >> 4 != 2)
		return DECLINED;
	last = ntohs(h.h[5]);
	if (last & 1)
		total += 8;
	if (left(w) < total)
		return DECLINED;
	if (have(w) < total)
		return fail(w, TRUNCATED);
	if (!(last & 0x8000) && (last >> 10 & 0x1f)) {
		if ((last >> 10 & 0x1f) != 2)
			return DECLINED;
		next = AT_IP;
	}
	identify(w, ERSPAN, ntohs(h.h[1]) & 0x3ff, 0);
	w->off += total;
	return next;
}

__noinline int gre(CONTEXT *ctx, struct walk *w)
{
	union head h;
	__u16 flags, protocol;
	__u32 n = 4;

	if (!w || left(w) < 4)
		return DECLINED;
	if (have(w) < 4)
		return fail(w, TRUNCATED);
	if (load(ctx, w->off, &h, 4))
		return fail(w, UNREACHABLE);
	flags = ntohs(h.h[0]);
	protocol = ntohs(h.h[1]);
	if (flags & (GRE_ROUTING | GRE_VERSION))
		return DECLINED;
	if (w->layers == 1 && (protocol == GRE_ERSPAN || protocol == GRE_ERSPAN3))
		w->flags |= TO_MIRROR;
	if (flags & GRE_CHECKSUM)
		n += 4;
	if (flags & GRE_KEY)
		n += 4;
	if (flags & GRE_SEQUENCE)
		n += 4;
	if (n > left(w))
		return DECLINED;
	if (have(w) < n)
		return fail(w, TRUNCATED);
	switch (protocol) {
	case GRE_ERSPAN:
		return erspan(ctx, w, n, flags & GRE_SEQUENCE);
	case GRE_ERSPAN3:
		return erspan3(ctx, w, n);
	case ETHER_TEB: /* NVGRE as well */
	case ETHER_IPV4:
	case ETHER_IPV6:
	case ETHER_VLAN:
	case ETHER_QINQ:
		enter(w);
		w->off += n;
		return protocol == ETHER_TEB ? AT_ETHERNET : ether_type(w, protocol);
	case ETHER_PPP:
	case ETHER_CISCO:
	case ETHER_MPLS:
	case ETHER_MPLS_MULTICAST:
	case ETHER_NSH:
		return fail(w, UNREAD_TUNNEL);
	}
	return DECLINED;
}

#endif
