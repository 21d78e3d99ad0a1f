#include "textflag.h"

// func Prefetch(p unsafe.Pointer, lines int)
TEXT ·Prefetch(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ lines+8(FP), CX
next:
	PREFETCHT0 (AX)
	ADDQ $64, AX
	DECQ CX
	JGT  next
	RET

// func PrefetchWrite(p unsafe.Pointer, lines int)
TEXT ·PrefetchWrite(SB), NOSPLIT, $0-16
	MOVQ p+0(FP), AX
	MOVQ lines+8(FP), CX
next:
	BYTE $0x0f; BYTE $0x0d; BYTE $0x08 // PREFETCHW (AX), which the assembler does not know; processors without it do nothing
	ADDQ $64, AX
	DECQ CX
	JGT  next
	RET

// ITEMS begins to load the items of a list: SI is that list of uint16, BX how many, DI where item 0 is, DX
// how many octets an item has, CX how many lines.
#define ITEMS(PREFETCH) \
	LEAQ    (SI)(BX*2), SI \
	NEGQ    BX             \
each:                     \
	MOVWLZX (SI)(BX*2), AX \
	IMULQ   DX, AX         \
	ADDQ    DI, AX         \
	MOVQ    CX, R8         \
line:                     \
	PREFETCH (AX)          \
	ADDQ    $64, AX        \
	DECQ    R8             \
	JGT     line           \
	INCQ    BX             \
	JNZ     each

// func prefetchItems(base unsafe.Pointer, size int, at *uint16, n, lines int)
TEXT ·prefetchItems(SB), NOSPLIT, $0-40
	MOVQ base+0(FP), DI
	MOVQ size+8(FP), DX
	MOVQ at+16(FP), SI
	MOVQ n+24(FP), BX
	MOVQ lines+32(FP), CX
	ITEMS(PREFETCHT0)
	RET

// func prefetchItemsSoon(base unsafe.Pointer, size int, at *uint16, n, lines int)
TEXT ·prefetchItemsSoon(SB), NOSPLIT, $0-40
	MOVQ base+0(FP), DI
	MOVQ size+8(FP), DX
	MOVQ at+16(FP), SI
	MOVQ n+24(FP), BX
	MOVQ lines+32(FP), CX
	ITEMS(PREFETCHT1)
	RET

// What batches of packets need is more than the first cache has room for, and that has few lines on
// their way at a time: this goes into the second one.

// func prefetchAll(at *uintptr, n, lines int)
TEXT ·prefetchAll(SB), NOSPLIT, $0-24
	MOVQ at+0(FP), SI
	MOVQ n+8(FP), BX
	MOVQ lines+16(FP), DX
	CMPQ DX, $1
	JEQ  single
	CMPQ DX, $2
	JEQ  double
	CMPQ DX, $4
	JEQ  four
each:
	MOVQ (SI), AX
	ADDQ $8, SI
	MOVQ DX, CX
line:
	PREFETCHT1 (AX)
	ADDQ $64, AX
	DECQ CX
	JGT  line
	DECQ BX
	JGT  each
	RET
single:
	LEAQ (SI)(BX*8), SI
	NEGQ BX
one:
	MOVQ (SI)(BX*8), AX
	PREFETCHT1 (AX)
	INCQ BX
	JNZ  one
	RET
double:
	MOVQ (SI), AX
	ADDQ $8, SI
	PREFETCHT1 (AX)
	PREFETCHT1 64(AX)
	DECQ BX
	JGT  double
	RET
four:
	MOVQ (SI), AX
	ADDQ $8, SI
	PREFETCHT1 (AX)
	PREFETCHT1 64(AX)
	PREFETCHT1 128(AX)
	PREFETCHT1 192(AX)
	DECQ BX
	JGT  four
	RET

#define EACH(at) \
	MOVQ       at(SI), AX \
	MOVQ       (at+8)(SI), BX \
	PREFETCHT1 (AX) \
	PREFETCHT1 (BX)

// func PrefetchEach(at *[Together]uintptr)
TEXT ·PrefetchEach(SB), NOSPLIT, $0-8
	MOVQ at+0(FP), SI
	EACH(0)
	EACH(16)
	EACH(32)
	EACH(48)
	EACH(64)
	EACH(80)
	EACH(96)
	EACH(112)
	EACH(128)
	EACH(144)
	EACH(160)
	EACH(176)
	EACH(192)
	EACH(208)
	EACH(224)
	EACH(240)
	RET
