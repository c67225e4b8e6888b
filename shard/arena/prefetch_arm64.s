#include "textflag.h"

// func Prefetch(addr uintptr)
TEXT ·Prefetch(SB), NOSPLIT, $0-8
	MOVD addr+0(FP), R0
	PRFM (R0), PLDL1KEEP
	RET

// func PrefetchSpan(addr, span uintptr)
TEXT ·PrefetchSpan(SB), NOSPLIT, $0-16
	MOVD addr+0(FP), R0
	MOVD span+8(FP), R1
loop:
	PRFM (R0), PLDL1KEEP
	ADD  $64, R0
	SUBS $64, R1
	BHI  loop
	ADD  R1, R0
	SUB  $1, R0
	PRFM (R0), PLDL1KEEP // the last byte's line, if addr is not the start of one
	RET
