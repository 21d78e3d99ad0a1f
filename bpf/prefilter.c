// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore
/*
 * The XDP pre-filter: judges each frame by the policy and hands it on to its
 * queue's AF_XDP socket, or to the stack for AF_PACKET behind it.
 */
#define CONTEXT struct xdp_md
#include "judge.h"
#include "trim.h"
#include "deliver.h"

volatile const __u32 to_socket = 1; /* else to the stack */

/* trim cuts a frame of len octets after keep of them. */
static __always_inline void trim(struct xdp_md *ctx, __u32 keep, __u32 len)
{
	if (!keep || keep + TRIM_GAIN > len)
		return;
	if (bpf_xdp_adjust_tail(ctx, (int)keep - (int)len)) {
		count(NOT_TRIMMED, len);
		return;
	}
	count(TRIMMED_OFF, len - keep);
}

static __always_inline int prefilter_of(struct xdp_md *ctx, __u32 len)
{
	struct meta with = { .mono_ns = bpf_ktime_get_ns(), .wire_len = len, .weight = 1 };
	const struct policy *p;
	__u32 gen, verdict;
	struct walk w;

	__builtin_memset(&w, 0, sizeof(w));
	w.end = w.wire = len;
	parse(ctx, &w, AT_ETHERNET);
	count(VERDICTS + w.outcome, len);
	p = current_policy(&gen);
	if (p) {
		verdict = judge(ctx, &w, p, gen, len);
		if (verdict != TO_STACK) {
			count(verdict, len);
			return verdict == OWN ? XDP_PASS : XDP_DROP;
		}
		with.weight = p->sample;
		if (p->trim)
			trim(ctx, cut_at(ctx, &w, p), len);
	}
	if (to_socket)
		return to_queue(ctx, &with);
	count(TO_STACK, len);
	return XDP_PASS;
}

SEC("xdp")
int prefilter(struct xdp_md *ctx)
{
	return prefilter_of(ctx, ctx->data_end - ctx->data);
}

/* The same for frames of more than one buffer (kernel 5.18): MTU above about
 * 3500. */
SEC("xdp.frags")
int prefilter_frags(struct xdp_md *ctx)
{
	return prefilter_of(ctx, bpf_xdp_get_buff_len(ctx));
}

char __license[] SEC("license") = "Dual BSD/GPL";
