/* SPDX-License-Identifier: MIT */
/*
 * Pairs: two ops that often follow each other, done by one handler.
 *
 * What an interpreter loses its time with is the jump from one handler to the next: with code
 * that is large and calls a lot, the host guesses its target wrongly. A pair saves one.
 *
 * Only the first op's handler is replaced; the second op stays in the trace as it was, with its
 * own handler, and is stepped over. So there is a way out at every point: if the TLB does not
 * hit for the first, the first's own handler is run, which goes on to the second; if it does not
 * hit for the second, the second's own handler is run, when all of the first is done. Faults,
 * instruction counts and overwritten code need nothing of their own: what writes to a page
 * with code misses in the TLB.
 */
#include "x86/pairs.h"
#include "x86/branch.h"
#include "x86/mmu.h"
#include "x86/ops.h"

#define HIT(tlb, host, linear, bytes, miss)                                                        \
	do {                                                                                       \
		const struct tlb_entry *e_ = tlb_slot(cpu->tlb, linear);                           \
                                                                                                   \
		if (UNLIKELY(e_->tag != tlb_tag(cpu, linear, bytes)))                              \
			miss;                                                                      \
		host = (void *)((linear) + e_->addend);                                            \
	} while (0)

/* ---- pieces ---------------------------------------------------------------------------- */

/*
 * PIECE_x(miss) does what the handler *PLAIN_x does, for `op`; `miss` is a statement that leaves
 * the pair. Those in ENDS jump, and go on to the next op only if they do not.
 */
#define PLAIN_push &push_r
#define PIECE_push(miss)                                                                           \
	const uint64_t at = cpu->reg[X86_RSP] - 8;                                                 \
	guest64_t *host;                                                                           \
                                                                                                   \
	HIT(tlb_write, host, at, 8, miss);                                                         \
	*host = rd64(cpu, op->src);                                                                \
	cpu->reg[X86_RSP] = at;

#define PLAIN_pop &pop_r
#define PIECE_pop(miss)                                                                            \
	const uint64_t at = cpu->reg[X86_RSP];                                                     \
	const guest64_t *host;                                                                     \
                                                                                                   \
	HIT(tlb_read, host, at, 8, miss);                                                          \
	cpu->reg[X86_RSP] = at + 8;                                                                \
	wr64(cpu, op->dst, *host);

#define PLAIN_mov_rr64 &x86_mov_rr[3]
#define PIECE_mov_rr64(miss) wr64(cpu, op->dst, rd64(cpu, op->src));

#define PLAIN_mov_rr32 &x86_mov_rr[2]
#define PIECE_mov_rr32(miss) wr32(cpu, op->dst, rd32(cpu, op->src));

#define PLAIN_mov_ri32 &x86_mov_ri[2]
#define PIECE_mov_ri32(miss) wr32(cpu, op->dst, (uint32_t)op->imm);

#define PLAIN_zero &x86_alu_rr[1][ALU_XOR][2]
#define PIECE_zero(miss) wr32(cpu, op->dst, rd32(cpu, op->dst) ^ rd32(cpu, op->src));

#define PLAIN_lea64 &x86_lea[3][EA_BASE]
#define PIECE_lea64(miss) wr64(cpu, op->dst, op_ea(cpu, op, EA_BASE, 0, false));

#define PIECE_LOAD(S, miss)                                                                        \
	const uint64_t at = op_ea(cpu, op, EA_BASE, S / 8, false);                                 \
	const guest##S##_t *host;                                                                  \
                                                                                                   \
	HIT(tlb_read, host, at, S / 8, miss);                                                      \
	wr##S(cpu, op->dst, *host);
#define PLAIN_load64 &x86_mov_rm[3][EA_BASE]
#define PIECE_load64(miss) PIECE_LOAD(64, miss)
#define PLAIN_load32 &x86_mov_rm[2][EA_BASE]
#define PIECE_load32(miss) PIECE_LOAD(32, miss)
#define PLAIN_load8 &x86_mov_rm[0][EA_BASE]
#define PIECE_load8(miss) PIECE_LOAD(8, miss)

#define PIECE_STORE(S, miss)                                                                       \
	const uint64_t at = op_ea(cpu, op, EA_BASE, S / 8, true);                                  \
	guest##S##_t *host;                                                                        \
                                                                                                   \
	HIT(tlb_write, host, at, S / 8, miss);                                                     \
	*host = rd##S(cpu, op->src);
#define PLAIN_store64 &x86_mov_mr[3][EA_BASE]
#define PIECE_store64(miss) PIECE_STORE(64, miss)
#define PLAIN_store32 &x86_mov_mr[2][EA_BASE]
#define PIECE_store32(miss) PIECE_STORE(32, miss)

#define PLAIN_movzx8 &x86_movx_m[0][0][2][EA_BASE]
#define PIECE_movzx8(miss)                                                                         \
	const uint64_t at = op_ea(cpu, op, EA_BASE, 1, false);                                     \
	const guest8_t *host;                                                                      \
                                                                                                   \
	HIT(tlb_read, host, at, 1, miss);                                                          \
	wr32(cpu, op->dst, *host);

#define PIECE_CMP_MI(S, miss)                                                                      \
	const uint64_t at = op_ea(cpu, op, EA_BASE, S / 8, false);                                 \
	const uint##S##_t b = (uint##S##_t)op->imm;                                                \
	const guest##S##_t *host;                                                                  \
                                                                                                   \
	HIT(tlb_read, host, at, S / 8, miss);                                                      \
	cc_set(cpu, CC_SUB##S, SX##S(*host - b), b);
#define PLAIN_cmp_mi8 &x86_alu_mi[ALU_CMP][0][EA_BASE]
#define PIECE_cmp_mi8(miss) PIECE_CMP_MI(8, miss)
#define PLAIN_cmp_mi32 &x86_alu_mi[ALU_CMP][2][EA_BASE]
#define PIECE_cmp_mi32(miss) PIECE_CMP_MI(32, miss)
#define PLAIN_cmp_mi64 &x86_alu_mi[ALU_CMP][3][EA_BASE]
#define PIECE_cmp_mi64(miss) PIECE_CMP_MI(64, miss)

#define PLAIN_je &x86_jcc[COND_E]
#define PIECE_je(miss)                                                                             \
	if (cc_zf(cpu))                                                                            \
		TAKE_LINK;

#define PLAIN_jne &x86_jcc[COND_NE]
#define PIECE_jne(miss)                                                                            \
	if (!cc_zf(cpu))                                                                           \
		TAKE_LINK;

#define PIECE_TEST(S, zero)                                                                        \
	int##S##_t r = (int##S##_t)(rd##S(cpu, op->dst) & rd##S(cpu, op->src));                    \
                                                                                                   \
	cc_set(cpu, CC_RES, SX##S(r), 0);                                                          \
	if ((r == 0) == (zero))                                                                    \
		TAKE_LINK;
#define PLAIN_test_je64 &x86_test_rr_jcc[COND_E][3]
#define PIECE_test_je64(miss) PIECE_TEST(64, true)
#define PLAIN_test_jne64 &x86_test_rr_jcc[COND_NE][3]
#define PIECE_test_jne64(miss) PIECE_TEST(64, false)
#define PLAIN_test_je32 &x86_test_rr_jcc[COND_E][2]
#define PIECE_test_je32(miss) PIECE_TEST(32, true)
#define PLAIN_test_jne32 &x86_test_rr_jcc[COND_NE][2]
#define PIECE_test_jne32(miss) PIECE_TEST(32, false)
#define PLAIN_test_je8 &x86_test_rr_jcc[COND_E][0]
#define PIECE_test_je8(miss) PIECE_TEST(8, true)
#define PLAIN_test_jne8 &x86_test_rr_jcc[COND_NE][0]
#define PIECE_test_jne8(miss) PIECE_TEST(8, false)

#define PLAIN_call &call
#define PIECE_call(miss)                                                                           \
	const uint64_t at = cpu->reg[X86_RSP] - 8;                                                 \
	guest64_t *host;                                                                           \
                                                                                                   \
	HIT(tlb_write, host, at, 8, miss);                                                         \
	*host = cpu->reg[REG_PAGE] + op->off + op->len;                                            \
	cpu->reg[X86_RSP] = at;                                                                    \
	TAKE_LINK_THROUGH_STUB;

#define PLAIN_ret &ret
#define PIECE_ret(miss)                                                                            \
	const uint64_t at = cpu->reg[X86_RSP];                                                     \
	const guest64_t *host;                                                                     \
                                                                                                   \
	HIT(tlb_read, host, at, 8, miss);                                                          \
	if (UNLIKELY(!is_canonical(*host)))                                                        \
		miss;                                                                              \
	cpu->reg[X86_RSP] = at + 8;                                                                \
	cpu->icount += op->n;                                                                      \
	return x86_jump(cpu, *host);

static op_fn *const push_r = x86_op_push_r, *const pop_r = x86_op_pop_r;
static op_fn *const call = x86_op_call, *const ret = x86_op_ret;

/* ---- pairs ----------------------------------------------------------------------------- */

/* Those that may come first ... */
#define FOR_MOVES(M)                                                                               \
	M(push)                                                                                    \
	M(pop)                                                                                     \
	M(mov_rr64)                                                                                \
	M(mov_rr32)                                                                                \
	M(mov_ri32)                                                                                \
	M(zero)                                                                                    \
	M(lea64)                                                                                   \
	M(load64)                                                                                  \
	M(load32)                                                                                  \
	M(load8)                                                                                   \
	M(store64)                                                                                 \
	M(store32)                                                                                 \
	M(movzx8)
/* ... and, with a jump after them only, */
#define FOR_COMPARES(M)                                                                            \
	M(cmp_mi8)                                                                                 \
	M(cmp_mi32)                                                                                \
	M(cmp_mi64)
/* those that only come second, */
#define FOR_ENDS(M)                                                                                \
	M(je)                                                                                      \
	M(jne)                                                                                     \
	M(test_je64)                                                                               \
	M(test_jne64)                                                                              \
	M(test_je32)                                                                               \
	M(test_jne32)                                                                              \
	M(test_je8)                                                                                \
	M(test_jne8)                                                                               \
	M(call)                                                                                    \
	M(ret)
/* and all that may come after @a, in full, for a macro cannot expand itself. */
#define FOR_SECONDS(M, a)                                                                          \
	M(push, a)                                                                                 \
	M(pop, a)                                                                                  \
	M(mov_rr64, a)                                                                             \
	M(mov_rr32, a)                                                                             \
	M(mov_ri32, a)                                                                             \
	M(zero, a)                                                                                 \
	M(lea64, a)                                                                                \
	M(load64, a)                                                                               \
	M(load32, a)                                                                               \
	M(load8, a)                                                                                \
	M(store64, a)                                                                              \
	M(store32, a)                                                                              \
	M(movzx8, a)                                                                               \
	M(je, a)                                                                                   \
	M(jne, a)                                                                                  \
	M(test_je64, a)                                                                            \
	M(test_jne64, a)                                                                           \
	M(test_je32, a)                                                                            \
	M(test_jne32, a)                                                                           \
	M(test_je8, a)                                                                             \
	M(test_jne8, a)                                                                            \
	M(call, a)                                                                                 \
	M(ret, a)

#define DEFINE_PAIR(b, a)                                                                          \
	static OP(a##_then_##b)                                                                    \
	{                                                                                          \
		{PIECE_##a(return (*PLAIN_##a)(cpu, op))} op++;                                    \
		{PIECE_##b(return op->fn(cpu, op))} NEXT;                                          \
	}
#define DEFINE_PAIRS_OF(a) FOR_SECONDS(DEFINE_PAIR, a)
#define DEFINE_COMPARE_PAIRS(a) DEFINE_PAIR(je, a) DEFINE_PAIR(jne, a)
FOR_MOVES(DEFINE_PAIRS_OF)
FOR_COMPARES(DEFINE_COMPARE_PAIRS)

/* ---- finding them ---------------------------------------------------------------------- */

enum piece {
#define NAME_PIECE(x) IS_##x,
	FOR_MOVES(NAME_PIECE) FOR_COMPARES(NAME_PIECE) N_FIRST,
	LAST_FIRST = N_FIRST - 1,
	FOR_ENDS(NAME_PIECE) N_PIECES
};

static op_fn *const *const plain[N_PIECES] = {
#define PLAIN_OF(x) [IS_##x] = PLAIN_##x,
	FOR_MOVES(PLAIN_OF) FOR_COMPARES(PLAIN_OF) FOR_ENDS(PLAIN_OF)};

static op_fn *const pairs[N_FIRST][N_PIECES] = {
#define PAIR_OF(b, a) [IS_##a][IS_##b] = a##_then_##b,
#define PAIRS_OF(a) FOR_SECONDS(PAIR_OF, a)
#define COMPARE_PAIRS_OF(a) PAIR_OF(je, a) PAIR_OF(jne, a)
	FOR_MOVES(PAIRS_OF) FOR_COMPARES(COMPARE_PAIRS_OF)};

static enum piece piece_of(op_fn *fn)
{
	unsigned i = 0;

	while (i < N_PIECES && *plain[i] != fn)
		i++;
	return (enum piece)i;
}

void x86_pair_ops(struct op *ops, unsigned n)
{
	enum piece first = N_PIECES;

	for (unsigned i = 0; i < n; i++) {
		enum piece second = piece_of(ops[i].fn);
		op_fn *fn = NULL;

		if (first < N_FIRST && second < N_PIECES)
			fn = pairs[first][second];
		if (fn)
			ops[i - 1].fn = fn;
		first = fn ? N_PIECES : second;
	}
}
