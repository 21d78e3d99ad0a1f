// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore
/*
 * The same policy as the pre-filter's, in front of an AF_PACKET socket: which
 * frames it takes, and how much of them. Frames that it does not take go on to
 * the stack as without it.
 */
#define CONTEXT struct __sk_buff
#define WALK_SKB
#define SMALL /* a socket is charged for it: net.core.optmem_max, 20 KiB on older kernels */
#include "judge.h"
#include "trim.h"

/* Octets from where the socket's frames start to the network header: 14 for
 * Ethernet, as the kernel takes the outermost tag out, 0 without link header. */
volatile const __u32 link_header = 14;

#define WHOLE (-1)

SEC("socket")
int filter(struct __sk_buff *ctx)
{
	__u32 gen, verdict, keep, len = ctx->len;
	const struct policy *p = current_policy(&gen);
	struct walk w;
	int next;

	if (!p || p->flags & TAKES_ALL) {
		count(TO_SOCKET, len);
		return WHOLE;
	}
	__builtin_memset(&w, 0, sizeof(w));
	next = from_stack(ctx, &w, link_header);
	parse(ctx, &w, next);
	count(VERDICTS + w.outcome, len);
	verdict = judge(ctx, &w, p, gen, len);
	if (verdict != TO_STACK) {
		count(verdict, len);
		return 0;
	}
	count(TO_SOCKET, len);
	keep = p->trim ? cut_at(ctx, &w, p) : 0;
	if (!keep || keep + link_header + TRIM_GAIN > len)
		return WHOLE;
	keep += link_header;
	count(TRIMMED_OFF, len - keep);
	return keep;
}

char __license[] SEC("license") = "Dual BSD/GPL";
