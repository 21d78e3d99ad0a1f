/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What becomes of a frame. A condition drops it only where the frame is known
 * not to meet it: what parsing could not find out is no reason.
 */
#ifndef MIRRORSCOPE_JUDGE_H
#define MIRRORSCOPE_JUDGE_H

#include "count.h"
#include "parse.h"
#include "policy.h"

/* Frames that each rule decided: index generation * MAX_RULES + rule. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GENERATIONS *MAX_RULES);
	__type(key, __u32);
	__type(value, struct counter);
} rule_counts SEC(".maps");

/* The packets of which fragments have come that are from or to the machine's
 * own addresses: 1: its own, 0: a mirror's. */
struct fragment_key {
	struct addr src, dst;
	__u32 id;
	__u32 proto; /* 0 for IPv6 */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, struct fragment_key);
	__type(value, __u32);
} fragments SEC(".maps");

/* Kernel 6.1 takes keys from the stack alone. */
static __always_inline int has_own_address(const struct walk *w)
{
	struct addr a = w->dst;

	if (bpf_map_lookup_elem(&own, &a))
		return 1;
	a = w->src;
	return bpf_map_lookup_elem(&own, &a) != 0;
}

/* mapped_ipv4 gives an IPv4 address out of its IPv6-mapped form. */
static __always_inline __u32 mapped_ipv4(const struct addr *a)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return ntohl(a->lo >> 32);
#else
	return a->lo;
#endif
}

static __always_inline __u8 first_octet(const struct addr *a)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	return a->hi;
#else
	return a->hi >> 56;
#endif
}

/* to_listed_port tells whether the outermost packet goes to a port of the
 * policy. */
static __always_inline int to_listed_port(const struct walk *w, const struct policy *p)
{
	return w->outer_is == OUTER_UDP && p->udp_ports[w->outer_port >> 6] >> (w->outer_port & 63) & 1;
}

/*
 * is_own_fragment tells whether an outermost packet from or to one of the
 * machine's addresses is its own, by a fragment: the first one shows what a
 * whole packet would, and the others follow it. Of one that comes ahead of the
 * first, or whose first one does not show enough, nobody knows, and so it is
 * handed on.
 */
__noinline int is_own_fragment(CONTEXT *ctx, struct walk *w, const struct policy *p)
{
	struct fragment_key k;
	const __u32 *known;
	__u32 own;
	int next = AT_PROTO;

	if (!w || !p)
		return 0;
	k.src = w->src;
	k.dst = w->dst;
	k.id = w->fragment_id;
	k.proto = w->version == 4 ? w->proto : 0;
	if (w->flags & LATER) {
		known = bpf_map_lookup_elem(&fragments, &k);
		return known && *known;
	}
	for (int i = 0; i < 4 && next == AT_PROTO; i++)
		next = at_proto(ctx, w);
	own = w->outer_is != OUTER_UNKNOWN && !w->entered && !(w->flags & TO_MIRROR) && !to_listed_port(w, p);
	/* The rest judges all fragments alike. */
	w->outcome = FRAGMENT;
	w->outer_is = OUTER_UNKNOWN;
	w->tunnel = NO_TUNNEL;
	w->entered = w->gateway = 0;
	bpf_map_update_elem(&fragments, &k, &own, 0);
	return own;
}

/*
 * is_own tells the machine's own traffic on a shared interface: not in a
 * tunnel, from or to one of its addresses, or what a host needs that has none
 * to be known by yet: ARP, neighbour discovery and the like to a multicast
 * group, and answers of DHCP to everyone. Mirror traffic to its address is not
 * its own, even if what is inside is not understood.
 */
static __always_inline int is_own(CONTEXT *ctx, struct walk *w, const struct policy *p, int to_udp_port)
{
	if (w->entered)
		return 0;
	if (!w->layers)
		return w->outcome == NOT_IP && w->ether == ETHER_ARP;
	if (w->flags & TO_MIRROR || to_udp_port)
		return 0;
	if (has_own_address(w))
		return w->outcome != FRAGMENT || is_own_fragment(ctx, w, p);
	if (w->version == 6)
		return w->proto == PROTO_ICMPV6 && first_octet(&w->dst) == 0xff;
	return w->outer_is == OUTER_UDP && w->outer_port == 68 && mapped_ipv4(&w->dst) == 0xffffffff;
}

/* is_settled tells whether the observation point is known for good: parsing
 * that broke off inside a gateway load balancer's GENEVE might have met the
 * VXLAN that it gives way to. */
static __always_inline int is_settled(const struct walk *w)
{
	return w->outcome == PARSED || !w->gateway || w->gateway != w->entered;
}

/* outside judges by the headers around the innermost packet. TO_STACK stands
 * for no objection. */
static __always_inline __u32 outside(const struct walk *w, const struct policy *p, __u32 gen, int to_udp_port)
{
	int bare = !w->layers && w->outcome == NOT_IP; /* no IP at all, and known so */

	if (p->flags & HAS_UDP_PORTS && !to_udp_port && (bare || w->outer_is != OUTER_UNKNOWN))
		return NOT_UDP_PORT;
	if (p->flags & HAS_SOURCES) {
		struct prefix_key k = { .bits = 32 + 128, .generation = gen, .addr = w->outer };
		const __u32 *listed = w->layers ? bpf_map_lookup_elem(&sources, &k) : 0;

		if (bare || (w->layers && is_settled(w) && !(listed && *listed)))
			return NOT_SOURCE;
	}
	if (p->flags & HAS_VNIS) {
		struct vni_key k = { .generation = gen, .id = w->id };

		if (w->tunnel == NO_TUNNEL) {
			if (w->outcome == PARSED || w->outcome == NOT_IP)
				return NOT_VNI;
		} else if (is_settled(w) && !bpf_map_lookup_elem(&vnis, &k)) {
			return NOT_VNI;
		}
	}
	return TO_STACK;
}

/* judge gives the verdict on a frame of len octets: OWN, one of those that
 * drop it, or TO_STACK where it goes on to the sensor. */
__noinline int judge(CONTEXT *ctx, struct walk *w, const struct policy *p, __u32 gen, __u32 len)
{
	struct counter *c;
	__u64 set;
	__u32 verdict, at;
	int to_udp_port; /* one of the list */

	if (!w || !p)
		return TO_STACK;
	to_udp_port = to_listed_port(w, p);
	if (p->flags & SHARED && is_own(ctx, w, p, to_udp_port))
		return OWN;
	verdict = outside(w, p, gen, to_udp_port);
	if (verdict != TO_STACK || w->outcome != PARSED)
		return verdict;
	set = p->rules ? matching(w, p, gen) : 0;
	if (set) {
		at = first_rule(set);
		if (!(p->allow >> (at & 63) & 1))
			verdict = DENIED_BY_RULE;
		at += gen * MAX_RULES;
		c = bpf_map_lookup_elem(&rule_counts, &at);
		if (c) {
			c->packets++;
			c->octets += len;
		}
	} else if (p->flags & DEFAULT_DENY) {
		verdict = DENIED_BY_DEFAULT;
	}
	if (verdict == TO_STACK && !is_sampled(p->sample > 1 ? flow_hash(w) : 0, p->sample))
		verdict = NOT_SAMPLED;
	return verdict;
}

#endif
