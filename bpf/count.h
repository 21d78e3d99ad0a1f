/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters, per CPU. */
#ifndef MIRRORSCOPE_COUNT_H
#define MIRRORSCOPE_COUNT_H

#include "walk.h"

/* What became of a frame; each gets exactly one. bpf.go has the names. */
enum verdict {
	TO_SOCKET,
	TO_STACK,	/* for AF_PACKET behind the filter */
	OWN,		/* to the stack, for the machine itself */
	NOT_UDP_PORT,	/* dropped: the outermost packet is known not to go to one of the ports */
	NOT_SOURCE,	/* dropped: sent by nobody on the list */
	NOT_VNI,	/* dropped: of no tunnel on the list */
	DENIED_BY_RULE, /* dropped */
	DENIED_BY_DEFAULT,
	NOT_SAMPLED, /* dropped */
	NO_SOCKET,   /* lost: no socket reads this queue */
	NO_ROOM,     /* lost: no room for the stamp */
	VERDICTS
};

struct counter {
	__u64 packets;
	__u64 octets; /* of frames, before trimming */
};

/* Verdicts, then outcomes of parsing, then what was trimmed off,
 * and frames that the driver did not let be trimmed. */
enum { TRIMMED_OFF = VERDICTS + OUTCOMES, NOT_TRIMMED, COUNTS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTS);
	__type(key, __u32);
	__type(value, struct counter);
} counts SEC(".maps");

ONCE int count(__u32 what, __u32 octets)
{
	struct counter *c = bpf_map_lookup_elem(&counts, &what);

	if (!c)
		return 0;
	c->packets++;
	c->octets += octets;
	return 1;
}

#endif
