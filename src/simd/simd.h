/* SPDX-License-Identifier: MIT */
/*
 * MMX, SSE to SSE4.2, AES-NI, PCLMULQDQ and SHA as functions of their operands.
 *
 * Every instruction of the 0F, 0F38 and 0F3A maps that works on MMX or XMM registers is one row
 * of a table (simd-rows.h). A row says what the decoder needs (prefix, opcode, operand form,
 * bytes of a memory operand, alignment) and names a function of two operands, the immediate
 * byte and a struct x86_fp_env. Nothing here knows the CPU or its memory.
 *
 * What the caller does for a row
 *	1. #UD/#NM as for any instruction of the row's feature (simd_row.flags: SIMD_MMX needs the
 *	   checks and x87_pending() for #MF).
 *	2. Fetch the operands as simd_form says. A memory source is simd_row.bytes bytes, put
 *	   into a union x86_vec whose other bytes are zero. SIMD_ALIGN: #GP(0) when a memory
 *	   operand is not on a 16-byte boundary.
 *	3. SIMD_MMX: x87_enter_mmx(). Then row->fn(dst, src, imm, env), or, when the row has
 *	   SIMD_FP and env->unmasked is not zero, simd_run_checked(), which returns true for #XM
 *	   and has then left *dst alone.
 *	4. Write the destination back, unless SIMD_NO_DST. SIMD_EFLAGS: CF PF AF ZF SF OF come
 *	   from env->eflags. SIMD_ECX: ECX comes from env->ecx (zero-extended).
 *	   A destination in memory is simd_row.bytes bytes of *dst.
 *	dst and src may be the same object.
 *
 * MXCSR
 *	On an x86 host the guest's rounding mode, DAZ and FTZ are loaded into the host's own
 *	MXCSR, all exceptions masked, and sticky flags gather there. The load is lazy in the sense
 *	that it happens once for a run of the CPU (simd_enter, simd_leave) and when the guest
 *	changes it (simd_set_mxcsr), never for an instruction. Between enter and leave
 *	the host's floating point therefore rounds as the guest asked: callbacks into code that
 *	computes with float or double must be put between leave and enter.
 *	Other hosts keep everything in env->mxcsr and compute with integers (softfp.h).
 */
#ifndef WSLX_SIMD_H
#define WSLX_SIMD_H

#include "base/base.h"

#if defined(__x86_64__) && !defined(X86_NO_HOST_FP)
#define X86_HOST_FP 1
#else
#define X86_HOST_FP 0
#endif

typedef long long simd_host_vec __attribute__((vector_size(16)));

/* One XMM register, or an MMX register in q[0]. Lane 0 is the least significant. */
union x86_vec {
	uint8_t b[16];
	int8_t sb[16];
	uint16_t w[8];
	int16_t sw[8];
	uint32_t d[4];
	int32_t sd[4];
	uint64_t q[2];
	int64_t sq[2];
	simd_host_vec v;
} __attribute__((aligned(16)));

#define MXCSR_IE 0x0001u
#define MXCSR_DE 0x0002u
#define MXCSR_ZE 0x0004u
#define MXCSR_OE 0x0008u
#define MXCSR_UE 0x0010u
#define MXCSR_PE 0x0020u
#define MXCSR_FLAGS 0x003fu
#define MXCSR_DAZ 0x0040u
#define MXCSR_MASKS 0x1f80u
#define MXCSR_RC_SHIFT 13
#define MXCSR_FTZ 0x8000u
#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_VALID 0xffffu /* the MXCSR_MASK that FXSAVE shows; other bits are #GP */

/* What floating-point instructions read and write besides their operands. */
struct x86_fp_env {
	uint32_t mxcsr;      /* use simd_get_mxcsr(): flags may still be in the host's */
	uint8_t unmasked;    /* exceptions that MXCSR does not mask, as MXCSR flag bits */
	bool entered;        /* between simd_enter() and simd_leave() */
	bool staged;         /* for simd_run_checked(): stages of an operation ended one by one */
	uint32_t eflags;     /* result of a row with SIMD_EFLAGS */
	uint32_t ecx;        /* result of a row with SIMD_ECX */
	int64_t rax, rdx;    /* lengths for PCMPESTRx: RAX, RDX with REX.W, else EAX, EDX signed */
	union x86_vec *xmm0; /* the guest's XMM0, an implicit operand of some rows */
};

typedef void (*simd_fn)(union x86_vec *dst, const union x86_vec *src, uint8_t imm,
                        struct x86_fp_env *env);

/*
 * Operand forms; the first letter is the destination. V, P: XMM, MMX register by ModRM.reg.
 * W, Q: XMM, MMX register or memory by ModRM.rm. E: general register or memory by ModRM.rm.
 * G: general register by ModRM.reg. A general register is read as 64 bits into q[0]; written as
 * 32 bits (zero-extended) or, with REX.W, as 64 bits from q[0].
 */
enum simd_form {
	SIMD_VW, /* the usual one */
	SIMD_WV,
	SIMD_PQ,
	SIMD_QP,
	SIMD_VE, /* MOVD, CVTSI2SS, PINSRx */
	SIMD_EV, /* MOVD, PEXTRx, EXTRACTPS */
	SIMD_PE,
	SIMD_EP,
	SIMD_GW, /* CVTSS2SI, PMOVMSKB */
	SIMD_GQ,
	SIMD_VQ,      /* CVTPI2PS, MOVQ2DQ */
	SIMD_PW,      /* CVTPS2PI, MOVDQ2Q */
	SIMD_W,       /* shifts by immediate: the XMM register by ModRM.rm is changed; no source */
	SIMD_Q,       /* the same for MMX */
	SIMD_MASK_VW, /* MASKMOVDQU: byte i of V goes to DS:rDI + i where bit i of env->ecx is set
	               */
	SIMD_MASK_PQ, /* MASKMOVQ: the same with MMX registers */
};

/* Row flags. */
#define SIMD_ALIGN 0x01u  /* a memory operand must be 16-byte aligned */
#define SIMD_IMM 0x02u    /* an immediate byte follows */
#define SIMD_FP 0x04u     /* reads MXCSR and may raise #XM */
#define SIMD_EFLAGS 0x08u /* writes the arithmetic flags */
#define SIMD_ECX 0x10u    /* writes ECX */
#define SIMD_NO_DST 0x20u /* the destination is only read */
#define SIMD_MMX 0x40u    /* touches MMX registers: x87_enter_mmx() */

/* CPUID feature a row belongs to. */
enum simd_feature {
	SIMD_F_MMX,
	SIMD_F_SSE,
	SIMD_F_SSE2,
	SIMD_F_SSE3,
	SIMD_F_SSSE3,
	SIMD_F_SSE41,
	SIMD_F_SSE42,
	SIMD_F_AES,
	SIMD_F_PCLMUL,
	SIMD_F_SHA,
	SIMD_F_COUNT,
};

enum simd_map { SIMD_0F, SIMD_0F38, SIMD_0F3A };

/* Mandatory prefix; F2 and F3 win over 66, the last of F2 and F3 wins. */
enum simd_prefix { SIMD_NP, SIMD_66, SIMD_F3, SIMD_F2 };

enum simd_mod { SIMD_ANY, SIMD_REG, SIMD_MEM };

#define SIMD_SUB_ANY 8
#define SIMD_W_ANY 2

struct simd_row {
	const char *name; /* the mnemonic, with a suffix where one has several rows */
	simd_fn fn;
	uint8_t map; /* enum simd_map */
	uint8_t opcode;
	uint8_t prefix; /* enum simd_prefix */
	uint8_t sub;    /* ModRM.reg of an opcode group, or SIMD_SUB_ANY */
	uint8_t w;      /* REX.W 0 or 1 (0 outside 64-bit mode), or SIMD_W_ANY */
	uint8_t mod;    /* enum simd_mod */
	uint8_t form;   /* enum simd_form */
	uint8_t bytes;  /* of a memory operand; 0 when there can be none */
	uint8_t flags;
	uint8_t feature; /* enum simd_feature */
};

/**
 * simd_lookup() - the row of an instruction, or NULL: #UD
 * @reg:    ModRM.reg without REX.R
 * @memory: ModRM.mod is not 3
 *
 * A row whose feature the host lacks gets a portable function.
 */
const struct simd_row *simd_lookup(enum simd_map map, enum simd_prefix prefix, uint8_t opcode,
                                   unsigned reg, bool memory, bool rex_w);

/* All rows, ordered by map and opcode: what the host executes, and the portable functions. */
#if X86_HOST_FP
extern const struct simd_row simd_rows[];
#else
#define simd_rows simd_portable_rows
#endif
extern const struct simd_row simd_portable_rows[];
extern const size_t simd_row_count;

/**
 * simd_run_checked() - run a SIMD_FP row when some exceptions are not masked
 *
 * Return: true for #XM: the flags are in MXCSR, *dst and env->eflags are as before.
 */
bool simd_run_checked(const struct simd_row *row, union x86_vec *dst, const union x86_vec *src,
                      uint8_t imm, struct x86_fp_env *env);

/* Around a run of the CPU; see MXCSR above. Nested calls are harmless. */
void simd_enter(struct x86_fp_env *env);
void simd_leave(struct x86_fp_env *env);
/* LDMXCSR, FXRSTOR, XRSTOR: @value must have no bits outside MXCSR_VALID. */
void simd_set_mxcsr(struct x86_fp_env *env, uint32_t value);
uint32_t simd_get_mxcsr(struct x86_fp_env *env);

/* CRC32 (the Castagnoli polynomial) of @bytes bytes of @data, least significant first. */
uint32_t x86_crc32c(uint32_t crc, uint64_t data, unsigned bytes);

#endif
