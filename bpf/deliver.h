/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Handing a frame on to its AF_XDP socket, with a stamp in front.
 *
 * The stamp is part of the frame (bpf_xdp_adjust_head), not metadata
 * (bpf_xdp_adjust_meta): several drivers, Amazon's and Google's among them,
 * give XDP no room for metadata, but every driver leaves room for a header.
 */
#ifndef MIRRORSCOPE_DELIVER_H
#define MIRRORSCOPE_DELIVER_H

#include "count.h"

/* meta is in front of each frame that goes to a socket. */
struct meta {
	__u64 mono_ns;	/* CLOCK_MONOTONIC at arrival */
	__u32 wire_len; /* octets of the frame before trimming */
	__u32 weight;	/* one connection of this many is let through. Of frames that were not parsed
			 * all are: whoever weighs them has to sample those anew. */
};

/* The sockets by queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64); /* set before load */
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

/* stamp puts the stamp in front and tells whether there was room. */
static __always_inline int stamp(struct xdp_md *ctx, const struct meta *with)
{
	struct meta *m;

	if (bpf_xdp_adjust_head(ctx, -(int)sizeof(*m)))
		return 0;
	m = (void *)(long)ctx->data;
	if ((void *)(m + 1) > (void *)(long)ctx->data_end)
		return 0;
	*m = *with;
	return 1;
}

/* to_queue hands the frame on and counts it. */
__noinline int to_queue(struct xdp_md *ctx, const struct meta *with)
{
	int act;

	if (!with)
		return XDP_DROP;
	if (!stamp(ctx, with)) {
		count(NO_ROOM, with->wire_len);
		return XDP_DROP;
	}
	act = bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP);
	count(act == XDP_REDIRECT ? TO_SOCKET : NO_SOCKET, with->wire_len);
	return act;
}

#endif
