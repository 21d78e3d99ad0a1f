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

// func prefetchAll(at *uintptr, n, lines int)
TEXT ·prefetchAll(SB), NOSPLIT, $0-24
	MOVQ at+0(FP), SI
	MOVQ n+8(FP), BX
	MOVQ lines+16(FP), DX
	CMPQ DX, $1
	JNE  each
single:
	MOVQ (SI), AX
	ADDQ $8, SI
	PREFETCHT0 (AX)
	DECQ BX
	JGT  single
	RET
each:
	MOVQ (SI), AX
	ADDQ $8, SI
	MOVQ DX, CX
line:
	PREFETCHT0 (AX)
	ADDQ $64, AX
	DECQ CX
	JGT  line
	DECQ BX
	JGT  each
	RET
