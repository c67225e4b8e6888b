#include "textflag.h"

// FOLD brings the 16 bytes in a line on by the factors in k, and adds what is there.
#define FOLD(line, copy, k, there) \
	MOVOA     line, copy        \
	PCLMULQDQ $0x00, k, line    \
	PCLMULQDQ $0x11, k, copy    \
	PXOR      copy, line        \
	PXOR      there, line

// func fold64(to *[16]byte, p []byte, crc uint64, factors *[4]uint64)
TEXT ·fold64(SB), NOSPLIT, $0-48
	MOVQ  to+0(FP), DI
	MOVQ  p_base+8(FP), SI
	MOVQ  p_len+16(FP), CX
	MOVQ  crc+32(FP), X4
	MOVQ  factors+40(FP), AX
	MOVOU (AX), X8           // by 512 bits
	MOVOU 16(AX), X9         // by 128
	MOVOU (SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X2
	MOVOU 48(SI), X3
	PXOR  X4, X0
	SUBQ  $64, CX
	JZ    join

step:
	ADDQ  $64, SI
	MOVOU (SI), X10
	MOVOU 16(SI), X11
	MOVOU 32(SI), X12
	MOVOU 48(SI), X13
	FOLD(X0, X4, X8, X10)
	FOLD(X1, X5, X8, X11)
	FOLD(X2, X6, X8, X12)
	FOLD(X3, X7, X8, X13)
	SUBQ  $64, CX
	JNZ   step

join:
	FOLD(X0, X4, X9, X1)
	FOLD(X0, X4, X9, X2)
	FOLD(X0, X4, X9, X3)
	MOVOU X0, (DI)
	RET
