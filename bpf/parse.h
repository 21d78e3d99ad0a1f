/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From the outer Ethernet frame to the innermost IP packet's 5-tuple.
 *
 * One loop over "which header comes next", bounded in depth, as package
 * packet has it: both give the same 5-tuple, hash, observation point's id and
 * source, or this gives a reason (enum outcome) why it gives none.
 *
 * The steps are global functions on purpose: the verifier checks each by
 * itself, once, so that the loop costs it nothing, on any kernel. It loses
 * what it knew of the walk at each of them, which is why the offset is bounded
 * anew at each read.
 */
#ifndef MIRRORSCOPE_PARSE_H
#define MIRRORSCOPE_PARSE_H

#include "tunnel.h"

/* What UDP destination ports carry, set before load and never changed after:
 * a value of enum port_kind for each port. */
enum port_kind {
	PORT_PLAIN,
	PORT_VXLAN,
	PORT_GENEVE,
	PORT_UNREAD_MIRROR, /* VXLAN-GPE, TZSP */
	PORT_UNREAD,	    /* other tunnels, which mirror nothing */
};

struct port_kinds {
	__u8 kind[65536];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct port_kinds);
} port_kinds SEC(".maps");

enum {
	GTPU_PORT = 2152, /* answers come from it */
	UDP_HEADER = 8,
	TCP_HEADER = 20,
	SCTP_HEADER = 12,
	ICMP_HEADER = 8,
};

/* ports takes two ports, and the end of a header of size octets. */
ONCE int ports(CONTEXT *ctx, struct walk *w, __u32 size)
{
	union head h;

	if (!w || have(w) < 4)
		return DONE;
	if (load(ctx, w->off, &h, 4))
		return fail(w, UNREACHABLE);
	w->sport = ntohs(h.h[0]);
	w->dport = ntohs(h.h[1]);
	w->flags |= HAS_PORTS;
	if (have(w) >= size)
		w->payload = w->off + size;
	return DONE;
}

__noinline int udp(CONTEXT *ctx, struct walk *w)
{
	__u32 key = 0, there, length;
	struct port_kinds *kinds;
	union head h;
	__u8 kind = PORT_PLAIN;
	int next;

	if (!w)
		return STOP;
	/* All four fields; those that are not there stay 0. */
	h.q[0] = 0;
	there = have(w);
	if (there < 4)
		return DONE;
	if (there >= UDP_HEADER ? load(ctx, w->off, &h, 8) : load(ctx, w->off, &h, 4))
		return fail(w, UNREACHABLE);
	w->sport = ntohs(h.h[0]);
	w->dport = ntohs(h.h[1]);
	w->flags |= HAS_PORTS;
	if (w->layers == 1) {
		w->outer_is = OUTER_UDP;
		w->outer_port = w->dport;
	}
	kinds = bpf_map_lookup_elem(&port_kinds, &key);
	if (kinds)
		kind = kinds->kind[w->dport];
	if (w->layers == 1 && kind > PORT_PLAIN && kind < PORT_UNREAD)
		w->flags |= TO_MIRROR;
	if (there < UDP_HEADER) {
		if (left(w) > UDP_HEADER && kind)
			return fail(w, TRUNCATED);
		return DONE;
	}
	length = ntohs(h.h[2]);
	if (!(w->flags & LENGTH_UNKNOWN && (!length || left(w) > MAX_IPV4)) && length >= UDP_HEADER)
		clip(w, length); /* no effect where length > left */
	if (!kind && w->sport == GTPU_PORT)
		kind = PORT_UNREAD;
	if (kind) {
		w->off += UDP_HEADER;
		switch (kind) {
		case PORT_VXLAN:
			next = vxlan(ctx, w);
			break;
		case PORT_GENEVE:
			next = geneve(ctx, w);
			break;
		default:
			next = fail(w, UNREAD_TUNNEL);
		}
		if (next != DECLINED) {
			w->flags &= ~HAS_PORTS;
			w->sport = w->dport = 0;
			return next;
		}
		w->off -= UDP_HEADER;
	}
	w->payload = w->off + UDP_HEADER;
	return DONE;
}

static __always_inline int tcp(CONTEXT *ctx, struct walk *w)
{
	union head h;
	__u32 head;

	if (have(w) < TCP_HEADER)
		return ports(ctx, w, TCP_HEADER + 40);
	if (load(ctx, w->off, &h, 16))
		return fail(w, UNREACHABLE);
	w->sport = ntohs(h.h[0]);
	w->dport = ntohs(h.h[1]);
	w->flags |= HAS_PORTS;
	w->tcp_flags = h.b[13];
	head = h.b[12] >> 4 << 2;
	if (head >= TCP_HEADER && head <= have(w))
		w->payload = w->off + head;
	return DONE;
}

/* icmp sets both ports to the identifier, or to type and code. */
static __always_inline int icmp(CONTEXT *ctx, struct walk *w)
{
	union head h;
	__u8 type;

	if (have(w) >= ICMP_HEADER)
		w->payload = w->off + ICMP_HEADER;
	if (have(w) < 2)
		return DONE;
	if (load(ctx, w->off, &h, 2))
		return fail(w, UNREACHABLE);
	type = h.b[0];
	if (w->proto == PROTO_ICMPV6 ? type != 128 && type != 129 : type != 0 && type != 8 && (type < 13 || type > 18)) {
		w->kind = ICMP_OTHER;
		w->sport = w->dport = ntohs(h.h[0]);
		return DONE;
	}
	w->kind = ICMP_ECHO;
	if (have(w) < 6)
		return DONE;
	if (load(ctx, w->off + 4, &h, 2))
		return fail(w, UNREACHABLE);
	w->sport = w->dport = ntohs(h.h[0]);
	return DONE;
}

/* other ends at a protocol without a transport header that is read here. */
static __always_inline int other(struct walk *w)
{
	w->payload = w->off;
	return DONE;
}

__noinline int transport(CONTEXT *ctx, struct walk *w)
{
	int next;
	__u64 first;

	if (!w)
		return STOP;
	switch (w->proto) {
	case PROTO_TCP:
		return tcp(ctx, w);
	case PROTO_ICMP:
	case PROTO_ICMPV6:
		if (w->version != (w->proto == PROTO_ICMP ? 4 : 6))
			break;
		return icmp(ctx, w);
	case PROTO_SCTP:
	case PROTO_UDPLITE:
		return ports(ctx, w, w->proto == PROTO_SCTP ? SCTP_HEADER : UDP_HEADER);
	case PROTO_GRE:
		next = gre(ctx, w);
		if (next == DECLINED)
			break;
		return next;
	case PROTO_IPIP:
	case PROTO_IPV6:
		if (have(w)) {
			if (load(ctx, w->off, &first, 1))
				return fail(w, UNREACHABLE);
			if (*(__u8 *)&first >> 4 != (w->proto == PROTO_IPIP ? 4 : 6))
				break;
		}
		enter(w);
		return w->proto == PROTO_IPIP ? AT_IPV4 : AT_IPV6;
	case PROTO_MPLS:
		return fail(w, UNREAD_TUNNEL);
	}
	return other(w);
}

static __always_inline int at_proto(CONTEXT *ctx, struct walk *w)
{
	int next;

	if (w->proto == PROTO_UDP)
		return udp(ctx, w);
	if (w->proto != PROTO_TCP) {
		next = at_extension(ctx, w);
		if (next != DECLINED)
			return next;
	}
	if (w->layers == 1)
		w->outer_is = OUTER_OTHER;
	return transport(ctx, w);
}

static __always_inline int at_ip(CONTEXT *ctx, struct walk *w)
{
	__u64 first;

	if (!have(w))
		return fail(w, TRUNCATED);
	if (load(ctx, w->off, &first, 1))
		return fail(w, UNREACHABLE);
	switch (*(__u8 *)&first >> 4) {
	case 4:
		return AT_IPV4;
	case 6:
		return AT_IPV6;
	}
	return fail(w, NOT_IP);
}

/* parse walks from step next to the end. Afterwards w->outcome is PARSED and
 * src … kind are the innermost packet's, or it says why they are not: then src
 * and dst are those of the last IP header met (layers of them), if any. */
static __always_inline void parse(CONTEXT *ctx, struct walk *w, int next)
{
	for (int i = 0; i < MAX_DEPTH; i++) {
		if (next == AT_PROTO)
			next = at_proto(ctx, w);
		else if (next == AT_ETHERNET)
			next = at_link(ctx, w, ETHER_HEADER);
		else if (next == AT_IPV4)
			next = at_ipv4(ctx, w);
		else if (next == AT_IPV6)
			next = at_ipv6(ctx, w);
		else if (next == AT_VLAN)
			next = at_link(ctx, w, VLAN_HEADER);
		else if (next == AT_IP)
			next = at_ip(ctx, w);
		else
			return;
	}
	if (next != DONE && next != STOP)
		w->outcome = TOO_DEEP;
}

/* flow_hash is packet.Packet.Hash of what parse found. Of a fragment it is the
 * same for all of its packet's: addresses alone, and the protocol for IPv4
 * (IPv6 may name another header in later ones). */
ONCE __u64 flow_hash(struct walk *w)
{
	__u16 sport = 0, dport = 0;
	__u8 proto = 0, kind = 0;

	if (!w || !w->layers)
		return 0;
	if (w->outcome == PARSED) {
		sport = w->sport;
		dport = w->dport;
		proto = w->proto;
		kind = w->kind;
	} else if (w->outcome == FRAGMENT && w->version == 4) {
		proto = w->proto;
	}
	return symmetric_hash(&w->src, &w->dst, sport, dport, proto, kind);
}

#endif
