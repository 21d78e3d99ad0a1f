/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Link headers, as packet/ethernet.go and packet/vlan.go read them. */
#ifndef MIRRORSCOPE_LINK_H
#define MIRRORSCOPE_LINK_H

#include "walk.h"

enum {
	ETHER_IPV4 = 0x0800,
	ETHER_ARP = 0x0806,
	ETHER_TEB = 0x6558,
	ETHER_VLAN = 0x8100,
	ETHER_IPV6 = 0x86dd,
	ETHER_MPLS = 0x8847,
	ETHER_MPLS_MULTICAST = 0x8848,
	ETHER_PPPOE = 0x8864,
	ETHER_PPP = 0x880b,
	ETHER_QINQ = 0x88a8,
	ETHER_LLDP = 0x88cc,
	ETHER_CISCO = 0x8909,
	ETHER_NSH = 0x894f,
	ETHER_QINQ_9100 = 0x9100,
	ETHER_QINQ_9200 = 0x9200,
	ETHER_MIN = 0x0600, /* below, the field is a length */
	ETHER_HEADER = 14,
	VLAN_HEADER = 4,
};

static __always_inline int is_snap(const __u8 *b)
{
	return b[0] == 0xaa && b[1] == 0xaa && b[2] == 3;
}

static __always_inline int is_vlan(__u16 type)
{
	return type == ETHER_VLAN || type == ETHER_QINQ || type == ETHER_QINQ_9100 || type == ETHER_QINQ_9200;
}

ONCE int other_ether_type(struct walk *w, __u16 type)
{
	if (!w)
		return STOP;
	if (type == ETHER_IPV6)
		return AT_IPV6;
	if (is_vlan(type))
		return AT_VLAN;
	switch (type) {
	case ETHER_MPLS:
	case ETHER_MPLS_MULTICAST:
	case ETHER_PPPOE:
	case ETHER_CISCO:
	case ETHER_NSH:
		return fail(w, UNREAD_TUNNEL);
	}
	w->ether = type;
	return fail(w, NOT_IP);
}

static __always_inline int ether_type(struct walk *w, __u16 type)
{
	if (likely(type == ETHER_IPV4))
		return AT_IPV4;
	return other_ether_type(w, type);
}

/* llc reads an IEEE 802.2 header with SNAP. */
ONCE int llc(CONTEXT *ctx, struct walk *w)
{
	union head h;
	__u32 oui;
	__u16 type;

	if (!w)
		return STOP;
	if (have(w) < 8) {
		if (left(w) < 8)
			return fail(w, NOT_IP);
		if (have(w) >= 3) {
			if (load(ctx, w->off, &h, 3))
				return fail(w, UNREACHABLE);
			if (!is_snap(h.b))
				return fail(w, NOT_IP);
		}
		return fail(w, TRUNCATED);
	}
	if (load(ctx, w->off, &h, 8))
		return fail(w, UNREACHABLE);
	oui = h.b[3] << 16 | h.b[4] << 8 | h.b[5];
	type = ntohs(h.h[3]);
	if (!is_snap(h.b) || (oui != 0 && oui != 0x0000f8) || type < ETHER_MIN)
		return fail(w, NOT_IP);
	w->off += 8;
	return ether_type(w, type);
}

static __always_inline int ether(CONTEXT *ctx, struct walk *w, __u16 type)
{
	if (type >= ETHER_MIN)
		return ether_type(w, type);
	trim_to(w, type);
	return llc(ctx, w);
}

/* at_link reads a header of size octets that ends in an EtherType: Ethernet's,
 * or a VLAN tag. */
ONCE int at_link(CONTEXT *ctx, struct walk *w, __u32 size)
{
	__u64 type;

	if (!w)
		return STOP;
	if (have(w) < size)
		return fail(w, TRUNCATED);
	if (load(ctx, w->off + size - 2, &type, 2))
		return fail(w, UNREACHABLE);
	w->off += size;
	return ether(ctx, w, ntohs(*(__u16 *)&type));
}

#ifdef WALK_SKB
/* from_stack starts a walk where the kernel's own reading of the link header
 * ended: it knows the protocol, and took the outermost VLAN tag out of the
 * frame. Protocols below 0x600 are numbers of its own. link octets stand in
 * front of the network header and count in ctx->len. */
static __always_inline int from_stack(struct __sk_buff *ctx, struct walk *w, __u32 link)
{
	__u16 type = ntohs((__u16)ctx->protocol);

	w->end = w->wire = ctx->len > link ? ctx->len - link : 0;
	if (type >= ETHER_MIN)
		return ether_type(w, type);
	if (type == 4) /* ETH_P_802_2 */
		return llc(ctx, w);
	return fail(w, NOT_IP);
}
#endif

/* plausible_ethernet answers for the octets skip further on, as
 * packet.plausibleEthernet does. What cannot be read is not plausible. */
__noinline int plausible_ethernet(CONTEXT *ctx, struct walk *w, __u32 skip)
{
	union head h;
	__u32 there, wire, off;
	__u16 type, total;

	if (!w)
		return 0;
	there = have(w);
	wire = left(w);
	if (skip > 64 || there < skip + ETHER_HEADER)
		return 0;
	off = w->off + skip;
	if (load(ctx, off + 12, &h, 2))
		return 0;
	type = ntohs(h.h[0]);
	off += ETHER_HEADER;
	there -= skip + ETHER_HEADER;
	wire -= skip + ETHER_HEADER;
	switch (type) {
	case ETHER_ARP:
	case ETHER_VLAN:
	case ETHER_QINQ:
	case ETHER_QINQ_9100:
	case ETHER_QINQ_9200:
	case ETHER_MPLS:
	case ETHER_MPLS_MULTICAST:
	case ETHER_PPPOE:
	case ETHER_LLDP:
	case ETHER_CISCO:
	case ETHER_NSH:
		return 1;
	case ETHER_IPV4:
		if (there < 4 || wire < 20 || load(ctx, off, &h, 4))
			return 0;
		total = ntohs(h.h[1]);
		return h.b[0] >> 4 == 4 && (h.b[0] & 15) >= 5 && (!total || total >= (h.b[0] & 15) << 2);
	case ETHER_IPV6:
		if (there < 1 || wire < 40 || load(ctx, off, &h, 1))
			return 0;
		return h.b[0] >> 4 == 6;
	}
	if (type > wire || type < 3 || type >= ETHER_MIN || there < 3 || load(ctx, off, &h, 3))
		return 0;
	return is_snap(h.b) || (h.b[0] == h.b[1] && h.b[2] == 3);
}

#endif
