/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The state of one pass through the headers of a frame, and how octets of the
 * frame are read.
 *
 * A program includes this with CONTEXT defined: struct xdp_md, whose octets
 * are read directly (kernel 5.15 has no helper for it), or struct __sk_buff,
 * whose octets are read from the network header on, whatever the kernel has
 * pulled or pushed by then.
 *
 * The names and the rules are those of package packet (packet/walk.go), so
 * that the two can be read side by side.
 */
#ifndef MIRRORSCOPE_WALK_H
#define MIRRORSCOPE_WALK_H

#include "hash.h"

/* What a walk came to. Zero: the innermost IP packet is known. Everything else
 * is counted, and the frame is handed on as it is. */
enum outcome {
	PARSED,
	TRUNCATED,     /* the octets end inside a header */
	NOT_IP,	       /* no IPv4 or IPv6 behind the link header and the tunnels */
	BAD_IP,	       /* an IP header whose version or lengths contradict themselves */
	TOO_DEEP,      /* more than MAX_DEPTH headers */
	FRAGMENT,      /* of an IP packet: only the addresses are known */
	UNREAD_TUNNEL, /* an encapsulation that package packet reads and this does not */
	UNREACHABLE,   /* a header further in than OFFSET_MAX, or behind the first buffer of a frame of several */
	OUTCOMES
};

/* What the loop does next, as packet/walk.go's step. */
enum step {
	STOP,
	DONE,
	DECLINED,
	AT_ETHERNET,
	AT_VLAN,
	AT_IP,
	AT_IPV4,
	AT_IPV6,
	AT_PROTO,
};

/* Kinds of tunnels that name the observation point. */
enum tunnel { NO_TUNNEL, VXLAN, GENEVE, ERSPAN };

/* What is known of the outermost IP packet. */
enum outer { OUTER_UNKNOWN, OUTER_UDP, OUTER_OTHER };

/* walk.flags */
enum {
	TRIMMED = 1,	    /* see trim_to; since the last IP header */
	LENGTH_UNKNOWN = 2, /* of the last IP header */
	HAS_PORTS = 4,	    /* the innermost packet has ports, and they are known */
	TO_MIRROR = 8,	    /* the outermost packet's UDP destination port is that of a mirror, or it is ERSPAN */
	LATER = 16,	    /* with FRAGMENT: not the first one of its packet */
};

/* What the ports of an ICMP packet hold, as packet.ICMPEcho and ICMPOther. */
enum { ICMP_ECHO = 1, ICMP_OTHER = 2 };

#define MAX_DEPTH 24	  /* packet/decoder.go */
#define MAX_IPV4 65535	  /* octets that the 16-bit length fields can tell */
#define OFFSET_MAX 0x1fff /* where XDP looks for headers; the verifier needs a bound */

struct walk {
	struct addr src, dst; /* of the last IP header */
	struct addr outer;    /* source of the observation point's tunnel; without one, of the outermost IP header */
	__u32 off;	      /* of the next header */
	__u32 end;	      /* where the octets that are there end */
	__u32 wire;	      /* where they ended on the wire, for the innermost layer that knows: ≥ end */
	__u32 id;	      /* of the observation point's tunnel: VNI, ERSPAN session */
	__u32 payload;	      /* where the transport's payload starts, 0 where that is not known */
	__u32 fragment_id;    /* with FRAGMENT: of its packet, as it stands in memory */
	__u16 sport, dport;   /* host order; ICMP as in package packet */
	__u16 outer_port;     /* UDP destination port of the outermost IP packet, with OUTER_UDP */
	__u16 ether;	      /* with NOT_IP: the EtherType */
	__u8 proto;	      /* IP protocol of the octets at off; in the end of the innermost packet */
	__u8 version;	      /* of the last IP header, 0 before the first */
	__u8 kind;	      /* ICMP_ECHO, ICMP_OTHER or 0 */
	__u8 flags;
	__u8 outcome;
	__u8 layers;	/* IP headers met */
	__u8 tunnel;	/* that names the observation point */
	__u8 entered;	/* tunnels */
	__u8 gateway;	/* packet/walk.go */
	__u8 outer_is;	/* enum outer */
	__u8 tcp_flags; /* low octet */
	__u8 pad[5];
};

/* load copies n octets of the frame, n a constant; to is aligned for 8. */
static __always_inline int load(CONTEXT *ctx, __u32 off, void *to, const __u32 n);

static __always_inline void copy(void *to, const void *from, const __u32 n)
{
	__u32 i = 0;

#pragma unroll
	for (; i + 8 <= n; i += 8)
		*(__u64 *)(to + i) = *(const __u64 *)(from + i);
	if (n & 4) {
		*(__u32 *)(to + i) = *(const __u32 *)(from + i);
		i += 4;
	}
	if (n & 2) {
		*(__u16 *)(to + i) = *(const __u16 *)(from + i);
		i += 2;
	}
	if (n & 1)
		*(__u8 *)(to + i) = *(const __u8 *)(from + i);
}

#ifdef WALK_SKB
static __always_inline int load(CONTEXT *ctx, __u32 off, void *to, const __u32 n)
{
	return bpf_skb_load_bytes_relative(ctx, off, to, n, BPF_HDR_START_NET); /* refuses what is beyond 64 KiB */
}
#else
static __always_inline int load(CONTEXT *ctx, __u32 off, void *to, const __u32 n)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *at;

	if (off > OFFSET_MAX)
		return -1;
	/* The mask says the same in a way that the compiler cannot move to
	 * another register than the one that is added. */
	off &= OFFSET_MAX;
	asm volatile("" : "+r"(off));
	at = data + off;
	if (at + n > end)
		return -1;
	copy(to, at, n);
	return 0;
}
#endif

/* A header that is read into the stack. */
union head {
	__u8 b[40];
	__u16 h[20];
	__u32 w[10];
	__u64 q[5];
};

/* have tells how many octets are there, left how many were on the wire. */
static __always_inline __u32 have(const struct walk *w)
{
	return w->end - w->off;
}

static __always_inline __u32 left(const struct walk *w)
{
	return w->wire - w->off;
}

static __always_inline int fail(struct walk *w, __u8 why)
{
	w->outcome = why;
	return STOP;
}

/* clip ends the octets at hand n after off. */
static __always_inline void clip(struct walk *w, __u32 n)
{
	__u32 to = w->off + n;

	if (to < w->wire)
		w->wire = to;
	if (to < w->end)
		w->end = to;
}

/* trim_to is walk.trim: the link header says that n octets follow. */
static __always_inline void trim_to(struct walk *w, __u32 n)
{
	if (n < left(w))
		w->flags |= TRIMMED;
	clip(w, n);
}

static __always_inline void enter(struct walk *w)
{
	if (w->entered < 255)
		w->entered++;
}

/* identify lists a tunnel of a kind that can name the observation point. aws
 * says that it is the GENEVE of a gateway load balancer, which gives way to a
 * VXLAN right inside. */
ONCE int identify(struct walk *w, __u8 kind, __u32 id, int aws)
{
	if (!w)
		return 0;
	if (w->tunnel == NO_TUNNEL || (w->gateway && w->gateway == w->entered && kind == VXLAN)) {
		w->tunnel = kind;
		w->id = id;
		w->outer = w->src;
		w->gateway = aws ? w->entered + 1 : 0;
	}
	enter(w);
	return 1;
}

#endif
