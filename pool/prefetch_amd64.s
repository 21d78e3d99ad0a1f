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
