// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//go:build ignore
/*
 * Makes TCP connections of one template frame: each run writes the headers of
 * the next packet into it. All frames have the same size; what a packet does
 * not fill is Ethernet padding. Payload is zero, which keeps checksums cheap
 * enough to be right.
 *
 * A connection has `packets` packets:
 *   SYN, SYN-ACK, ACK, request, then data, data, ACK, data, data, ACK ...,
 *   FIN of the server, FIN of the client, ACK.
 * After its last one the next connection of the same hosts begins, from the
 * next port. Flows take turns, a packet each.
 *
 * The program runs on one thread: its variables need no atomics.
 */
#include "../../bpf/headers/bpf.h"

enum { XDP_TX = 3 };
enum { FIN = 1, SYN = 2, PSH = 8, ACK = 16 };

#define TCP_AND_IP 40

volatile const __u32 ip_at;      /* offset of the inner IPv4 header */
volatile const __u32 outer_port; /* offset of the outer UDP source port; 0: none */
volatile const __u32 payload;    /* octets in a packet with data */
volatile const __u32 flows;
volatile const __u32 packets; /* of a connection, at least 8 */
volatile const __u32 stagger; /* each flow begins one packet further on than the one before */
volatile const __u32 verdict; /* XDP_TX or XDP_PASS */
volatile const __u64 total;   /* frames */
volatile const __u64 gap;     /* from frame to frame, ns / 1024; 0: none */

volatile __u64 sent;
volatile __u64 octets; /* of payload sent */
volatile __u64 late;   /* ns that pacing gave up on */
volatile __u32 stop;

static __u64 start; /* ns, when frame 0 was due */
static __u32 flow, offset, position, generation;

struct ipv4 {
	__u8 version, tos;
	__u16 length, id, fragment;
	__u8 ttl, protocol;
	__u16 checksum;
	__u32 src, dst;
} __attribute__((packed));

struct tcp {
	__u16 src, dst;
	__u32 seq, ack;
	__u8 size, flags;
	__u16 window, checksum, urgent;
} __attribute__((packed));

static __always_inline __u32 words(__u32 v)
{
	return (v & 0xffff) + (v >> 16);
}

/* fold ends a sum of 16-bit words of any order (RFC 1071). */
static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* wait until the next frame is due. Frames that are a millisecond late or more
 * are not made up for: that would be a burst. */
static __always_inline void pace(void)
{
	__u64 now = bpf_ktime_get_ns(), due;
	int i;

	if (!start)
		start = now;
	due = start + (sent * gap >> 10);
	if (now > due + 1000000) {
		late += now - due;
		start += now - due;
		return;
	}
	for (i = 0; i < 8192 && now < due; i++)
		now = bpf_ktime_get_ns();
}

SEC("xdp")
int flood(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 at = position, g = generation, f = flow, first, second, pl = 0, seq, ack, flags = ACK, k, sum;
	__u32 client, server, from_server = 0, id;
	struct ipv4 *ip = data + ip_at;
	struct tcp *tcp = (void *)(ip + 1);
	__u8 *mac = (void *)ip - 14;
	__u16 port;

	if (ip_at < 14 || ip_at > 128 || outer_port > 64 || (void *)(tcp + 1) > end || data + outer_port + 2 > end)
		return XDP_DROP;
	if (stop || sent >= total)
		return XDP_DROP;
	if (gap)
		pace();

	if (stagger) {
		at += offset;
		if (at >= packets) {
			at -= packets;
			g++;
		}
		if (++offset == packets)
			offset = 0;
	}
	if (++flow >= flows) {
		flow = offset = 0;
		if (++position == packets) {
			position = 0;
			generation++;
		}
	}

	/* first and second: what client and server have sent and the other has
	 * acknowledged, from their initial numbers. */
	first = 1 + payload;
	k = packets - 7; /* packets between request and FIN */
	second = 1 + (k / 3 * 2 + (k % 3)) * payload;
	/* Each side counts its own packets, as Linux does in a connection. */
	id = at;
	switch (at) {
	case 0:
		flags = SYN;
		first = second = 0;
		break;
	case 1:
		flags = SYN | ACK;
		from_server = 1;
		id = 0;
		first = 1;
		second = 0;
		break;
	case 2:
		first = second = 1;
		id = 1;
		break;
	case 3:
		flags = PSH | ACK;
		pl = payload;
		first = second = 1;
		id = 2;
		break;
	default:
		if (at == packets - 3) {
			flags = FIN | ACK;
			from_server = 1;
			id = 1 + k / 3 * 2 + k % 3;
		} else if (at == packets - 2) {
			flags = FIN | ACK;
			second++;
			id = 3 + k / 3;
		} else if (at == packets - 1) {
			from_server = 1;
			first++;
			second++;
			id = 2 + k / 3 * 2 + k % 3;
		} else {
			k = at - 4;
			second = 1 + (k / 3 * 2 + k % 3) * payload;
			if (k % 3 < 2) {
				from_server = 1;
				pl = payload;
				id = 1 + k / 3 * 2 + k % 3;
			} else {
				id = 3 + k / 3;
			}
		}
	}
	seq = (f + 1) * 2654435761u + g * 40503u;
	ack = seq * 2246822519u;
	first += seq;
	second += ack;

	client = htonl(0x0a100000 + f); /* 10.16.0.0 and on */
	server = htonl(0x0a010001 + (f & 15));
	port = htons(16384 + g % 40000);

	ip->version = 0x45;
	ip->tos = 0;
	ip->length = htons(TCP_AND_IP + pl);
	ip->id = htons((__u16)id);
	ip->fragment = htons(0x4000);
	ip->ttl = 64;
	ip->protocol = 6;
	tcp->size = 0x50;
	tcp->flags = flags;
	tcp->window = 0xffff;
	tcp->urgent = 0;
	if (from_server) {
		mac[5] = 0x11;
		mac[11] = 0x12;
		ip->src = server;
		ip->dst = client;
		tcp->src = htons(8080);
		tcp->dst = port;
		tcp->seq = htonl(second);
		tcp->ack = htonl(first);
	} else {
		mac[5] = 0x12;
		mac[11] = 0x11;
		ip->src = client;
		ip->dst = server;
		tcp->src = port;
		tcp->dst = htons(8080);
		tcp->seq = htonl(first);
		tcp->ack = at ? htonl(second) : 0;
	}
	sum = words(ip->src) + words(ip->dst);
	ip->checksum = fold(sum + htons(0x4500) + ip->length + ip->id + ip->fragment + htons(64 << 8 | 6));
	sum += htons(6) + htons(20 + pl) + tcp->src + tcp->dst + words(tcp->seq) + words(tcp->ack);
	tcp->checksum = fold(sum + htons(0x5000 | flags) + 0xffff);
	if (outer_port)
		*(__u16 *)(data + outer_port) = htons(49152 + ((f * 40503u + g * 8191u) >> 4 & 16383));
	octets += pl;
	sent++;
	return verdict;
}

char __license[] SEC("license") = "Dual BSD/GPL";
