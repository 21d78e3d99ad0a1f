// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore
/*
 * PACKET_FANOUT_EBPF: which ring of a fanout group takes a frame. Both
 * directions of an inner connection, and all fragments of a packet, go to one.
 */
#define CONTEXT struct __sk_buff
#define WALK_SKB
#include "parse.h"

volatile const __u32 rings = 1;

SEC("socket")
int fanout(struct __sk_buff *ctx)
{
	struct walk w;
	int next;

	__builtin_memset(&w, 0, sizeof(w));
	next = from_stack(ctx, &w, 0);
	parse(ctx, &w, next);
	return flow_hash(&w) % rings;
}

char __license[] SEC("license") = "Dual BSD/GPL";
