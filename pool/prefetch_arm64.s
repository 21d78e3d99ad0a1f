#include "textflag.h"

// func Prefetch(p unsafe.Pointer, lines int)
TEXT ·Prefetch(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD lines+8(FP), R1
next:
	PRFM (R0), PLDL1KEEP
	ADD  $64, R0
	SUBS $1, R1, R1
	BGT  next
	RET

// func PrefetchWrite(p unsafe.Pointer, lines int)
TEXT ·PrefetchWrite(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD lines+8(FP), R1
next:
	PRFM (R0), PSTL1KEEP
	ADD  $64, R0
	SUBS $1, R1, R1
	BGT  next
	RET

// func prefetchAll(at *uintptr, n, lines int)
TEXT ·prefetchAll(SB), NOSPLIT, $0-24
	MOVD at+0(FP), R0
	MOVD n+8(FP), R1
	MOVD lines+16(FP), R2
each:
	MOVD.P 8(R0), R3
	MOVD R2, R4
line:
	PRFM (R3), PLDL1KEEP
	ADD  $64, R3
	SUBS $1, R4, R4
	BGT  line
	SUBS $1, R1, R1
	BGT  each
	RET

// func PrefetchEach(at *[Together]uintptr)
TEXT ·PrefetchEach(SB), NOSPLIT, $0-8
	MOVD at+0(FP), R0
	MOVD $32, R2
one:
	MOVD.P 8(R0), R3
	PRFM   (R3), PLDL1KEEP
	SUBS   $1, R2, R2
	BGT    one
	RET

// ITEMS begins to load the items of a list, by what hint says: R0 is where item 0 is, R1 how many octets
// an item has, R2 the list of uint16, R3 how many, R4 how many lines.
#define ITEMS(hint) \
each:                      \
	MOVHU.P 2(R2), R5      \
	MADD    R1, R0, R5, R5 \
	MOVD    R4, R6         \
line:                      \
	PRFM (R5), hint        \
	ADD  $64, R5           \
	SUBS $1, R6, R6        \
	BGT  line              \
	SUBS $1, R3, R3        \
	BGT  each

// func prefetchItems(base unsafe.Pointer, size int, at *uint16, n, lines int)
TEXT ·prefetchItems(SB), NOSPLIT, $0-40
	MOVD base+0(FP), R0
	MOVD size+8(FP), R1
	MOVD at+16(FP), R2
	MOVD n+24(FP), R3
	MOVD lines+32(FP), R4
	ITEMS(PLDL1KEEP)
	RET

// func prefetchItemsSoon(base unsafe.Pointer, size int, at *uint16, n, lines int)
TEXT ·prefetchItemsSoon(SB), NOSPLIT, $0-40
	MOVD base+0(FP), R0
	MOVD size+8(FP), R1
	MOVD at+16(FP), R2
	MOVD n+24(FP), R3
	MOVD lines+32(FP), R4
	ITEMS(PLDL2KEEP)
	RET
