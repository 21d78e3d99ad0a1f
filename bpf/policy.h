/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The policy in maps. There are two generations of it: the one that judges,
 * and an idle one, which the loader fills before it switches (update_linux.go).
 * A program reads the generation once for each frame, and nothing of the other
 * after that.
 *
 * Rules are classified by bit vectors: each condition gives the set of rules
 * that it lets through as a word of 64 bits, the sets are intersected, and the
 * lowest bit is the first rule that matches. So the cost does not grow with
 * the number of rules.
 */
#ifndef MIRRORSCOPE_POLICY_H
#define MIRRORSCOPE_POLICY_H

#include "walk.h"

enum { MAX_RULES = 64, GENERATIONS = 2 };

/* policy.flags */
enum {
	SHARED = 1,	   /* the machine's own traffic is there as well */
	HAS_UDP_PORTS = 2, /* only mirror traffic to udp_ports */
	HAS_SOURCES = 4,
	HAS_VNIS = 8,
	HAS_PREFIXES = 16, /* some rule has a prefix */
	HAS_PORT_RULES = 32,
	DEFAULT_DENY = 64,
	TAKES_ALL = 128, /* there is nothing to judge, and nothing to trim */
};

struct policy {
	__u64 rules;	       /* the rules that there are */
	__u64 allow;	       /* those of them that allow */
	__u64 any_port;	       /* those without a port */
	__u64 proto[256];      /* those that a protocol is in */
	__u64 udp_ports[1024]; /* bit set */
	__u32 flags;
	__u32 sample;	 /* one connection of this many */
	__u32 trim;	 /* octets of payload to keep; 0: all */
	__u32 trim_head; /* octets of each direction that stay whole */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} generation SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GENERATIONS);
	__type(key, __u32);
	__type(value, struct policy);
} policies SEC(".maps");

/* prefix_key holds an address with the generation in front of it, so that one
 * trie serves both. */
struct prefix_key {
	__u32 bits; /* of generation and addr */
	__u32 generation;
	struct addr addr;
};

/* The rules that an address is in, less specific prefixes included. Rules
 * without a condition take every address. */
struct prefix_rules {
	__u64 src, dst, net;
};

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, GENERATIONS *(4096 + 2));
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix_key);
	__type(value, struct prefix_rules);
} prefixes SEC(".maps");

/* The rules that a port is in: index generation << 16 | port. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, GENERATIONS << 16);
	__type(key, __u32);
	__type(value, __u64);
} port_rules SEC(".maps");

/* Who may mirror: 1, or 0 for a prefix that is there to hide a shorter one. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, GENERATIONS *(1024 + 1));
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct prefix_key);
	__type(value, __u32);
} sources SEC(".maps");

struct vni_key {
	__u32 generation;
	__u32 id;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GENERATIONS * 4096);
	__type(key, struct vni_key);
	__type(value, __u32);
} vnis SEC(".maps");

/* The machine's own addresses, with SHARED. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct addr);
	__type(value, __u32);
} own SEC(".maps");

static __always_inline const struct policy *current_policy(__u32 *gen)
{
	__u32 key = 0;
	const __u32 *g = bpf_map_lookup_elem(&generation, &key);

	*gen = g ? *(const volatile __u32 *)g : 0;
	return bpf_map_lookup_elem(&policies, gen);
}

/* first_rule gives the lowest bit that is set, by a de Bruijn sequence: BPF has
 * no instruction for it. */
static __always_inline __u32 first_rule(__u64 set)
{
	static const __u8 position[64] = {
		0, 1, 48, 2, 57, 49, 28, 3, 61, 58, 50, 42, 38, 29, 17, 4,
		62, 55, 59, 36, 53, 51, 43, 22, 45, 39, 33, 30, 24, 18, 12, 5,
		63, 47, 56, 27, 60, 41, 37, 16, 54, 35, 52, 21, 44, 32, 23, 11,
		46, 26, 40, 15, 34, 20, 31, 10, 25, 14, 19, 9, 13, 8, 7, 6,
	};

	return position[(set & -set) * 0x03f79d71b4cb0a89ULL >> 58];
}

/* matching gives the rules that the innermost packet is in. */
__noinline __u64 matching(struct walk *w, const struct policy *p, __u32 gen)
{
	const struct prefix_rules *a, *b;
	struct prefix_key k;
	const __u64 *rules;
	__u64 set, ports;
	__u32 at;

	if (!w || !p)
		return 0;
	set = p->rules & p->proto[w->proto];
	if (!set)
		return 0;
	if (p->flags & HAS_PREFIXES) {
		k.bits = 32 + 128;
		k.generation = gen;
		k.addr = w->src;
		a = bpf_map_lookup_elem(&prefixes, &k);
		k.addr = w->dst;
		b = bpf_map_lookup_elem(&prefixes, &k);
		if (!a || !b)
			return 0;
		/* A rule asks for one end and the other, whoever sent the packet. */
		set &= ((a->src & b->dst) | (a->dst & b->src)) & (a->net | b->net);
	}
	if (!(p->flags & HAS_PORT_RULES))
		return set;
	if (!(w->flags & HAS_PORTS))
		return set & p->any_port;
	at = gen << 16 | w->sport;
	rules = bpf_map_lookup_elem(&port_rules, &at);
	ports = rules ? *rules : 0;
	at = gen << 16 | w->dport;
	rules = bpf_map_lookup_elem(&port_rules, &at);
	return set & (rules ? ports | *rules : ports);
}

#endif
