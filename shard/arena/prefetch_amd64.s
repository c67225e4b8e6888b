#include "textflag.h"

// func Prefetch(addr uintptr)
TEXT ·Prefetch(SB), NOSPLIT, $0-8
	MOVQ addr+0(FP), AX
	PREFETCHT0 (AX)
	RET

// func PrefetchSpan(addr, span uintptr)
TEXT ·PrefetchSpan(SB), NOSPLIT, $0-16
	MOVQ addr+0(FP), AX
	MOVQ span+8(FP), CX
loop:
	PREFETCHT0 (AX)
	ADDQ $64, AX
	SUBQ $64, CX
	JHI  loop
	PREFETCHT0 -1(AX)(CX*1) // the last byte's line, if addr is not the start of one
	RET
