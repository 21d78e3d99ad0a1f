/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The hash of package packet (packet/hash.go), value for value. */
#ifndef MIRRORSCOPE_HASH_H
#define MIRRORSCOPE_HASH_H

#include "headers/bpf.h"

/* An IP address in IPv6-mapped form, as it stands in memory. */
struct addr {
	__u64 hi, lo;
};

/* folded_mul gives the high half of the 128-bit product xor its low half. BPF
 * has no wide multiplication, so it goes by four of 32 bits. */
ONCE __u64 folded_mul(__u64 a, __u64 b)
{
	__u64 al = (__u32)a, ah = a >> 32;
	__u64 bl = (__u32)b, bh = b >> 32;
	__u64 ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
	__u64 mid = (ll >> 32) + (__u32)lh + (__u32)hl;

	return (hh + (lh >> 32) + (hl >> 32) + (mid >> 32)) ^ (a * b);
}

ONCE __u64 hash_end(const struct addr *a, __u16 port)
{
	__u64 c = port, h;

	if (!a)
		return 0;
	h = folded_mul(le64(a->hi) ^ 0xa0761d6478bd642fULL,
		       le64(a->lo) ^ 0xe7037ed1a0b428dbULL ^ c << 48 ^ c);

	return folded_mul(h ^ 0x8ebc6af09c88c6e3ULL, c ^ 0x589965cc75374cc3ULL) ^ h;
}

/* symmetric_hash is packet.SymmetricHash: equal for both directions. */
static __always_inline __u64 symmetric_hash(const struct addr *a, const struct addr *b, __u16 aport,
					    __u16 bport, __u8 proto, __u8 kind)
{
	__u64 x = hash_end(a, aport), y = hash_end(b, bport);
	__u64 d = x ^ y;

	return folded_mul((x + y) ^ 0x9e3779b97f4a7c15ULL,
			  (d << 32 | d >> 32) ^ 0xd6e8feb86659fd93ULL ^ (__u64)proto << 8 ^ kind);
}

/* is_sampled is packet.Sampled. */
static __always_inline int is_sampled(__u64 hash, __u32 n)
{
	return n <= 1 || !((hash * 0x9e3779b97f4a7c15ULL >> 32) * n >> 32);
}

#endif
