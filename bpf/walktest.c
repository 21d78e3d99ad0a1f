// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore
/*
 * For tests: the parser alone, as XDP sees frames and, with WALK_SKB, as a
 * socket program does. What it finds goes into a map.
 */
#ifdef WALK_SKB
#define CONTEXT struct __sk_buff
#else
#define CONTEXT struct xdp_md
#endif
#include "parse.h"

struct found {
	struct walk walk;
	__u64 hash;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct found);
} result SEC(".maps");

static __always_inline void find(CONTEXT *ctx, int next, struct walk *w)
{
	__u32 key = 0;
	struct found *f = bpf_map_lookup_elem(&result, &key);

	if (!f)
		return;
	parse(ctx, w, next);
	f->walk = *w;
	f->hash = flow_hash(w);
}

#ifdef WALK_SKB
SEC("socket")
int walk_test(struct __sk_buff *ctx)
{
	struct walk w;
	int next;

	__builtin_memset(&w, 0, sizeof(w));
	next = from_stack(ctx, &w, 0);
	find(ctx, next, &w);
	return 0;
}
#else
SEC("xdp")
int walk_test(struct xdp_md *ctx)
{
	struct walk w;

	__builtin_memset(&w, 0, sizeof(w));
	w.end = w.wire = ctx->data_end - ctx->data;
	find(ctx, AT_ETHERNET, &w);
	return XDP_DROP;
}
#endif

char __license[] SEC("license") = "Dual BSD/GPL";
