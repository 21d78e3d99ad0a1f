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
	__u16 type = ntohs((__u16)ctx->protocol);
	int next;

	__builtin_memset(&w, 0, sizeof(w));
	w.end = w.wire = ctx->len;
	/* The kernel has read the link header, and taken the outermost VLAN tag
	 * out of the frame. Below 0x600 it gives numbers of its own. */
	if (type >= ETHER_MIN)
		next = ether_type(&w, type);
	else if (type == 4) /* ETH_P_802_2 */
		next = llc(ctx, &w);
	else
		next = fail(&w, NOT_IP);
	parse(ctx, &w, next);
	return flow_hash(&w) % rings;
}

char __license[] SEC("license") = "Dual BSD/GPL";
