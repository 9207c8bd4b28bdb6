/* SPDX-License-Identifier: MIT */
/*
 * x87 instructions: the register stack, tags, stack faults and the response to exceptions. The
 * numbers themselves are in x87-host.h or x87-soft.h.
 *
 * Every arithmetic instruction has the same course: if a source register is empty (or the
 * destination of a push is not), it is a stack fault, which writes the indefinite NaN when
 * invalid operations are masked and nothing when not; else the operation is done and its status
 * word merged; an unmasked exception that is found before the result exists (invalid, denormal,
 * division by zero) leaves registers and TOP as they are, one that is found after it (overflow,
 * underflow, inexact) does not, if the result goes to a register.
 */
#include "x87/x87-stack.h"

/* ---- arithmetic ------------------------------------------------------------------------ */

typedef uint16_t (*binary_fn)(uint16_t cw, struct x86_f80 *r, const struct x86_f80 *a,
                              const struct x86_f80 *b);

static bool is_nan(const struct x86_f80 *a)
{
	return (a->sign_exponent & 0x7fff) == 0x7fff && a->mantissa << 1;
}

/* ST(to) = ST(0) op ST(i), then pops. */
static inline void arithmetic(struct x87 *f, binary_fn op, unsigned i, unsigned to, bool popping,
                              unsigned keep)
{
	struct x86_f80 r;
	uint16_t sw;

	if (is_empty(f, 0) || is_empty(f, i)) {
		f->sw = (uint16_t)(f->sw & ~(keep & X87_C2));
		if (!underflow(f))
			return;
		r = indefinite;
	} else {
		begin(f);
		sw = op(f->cw, &r, st(f, 0), st(f, i));
		/* Without a remainder there are no quotient bits: C0 and C3 stay as they are. */
		if (sw & unmasked(f) & PRE_COMPUTATION || is_nan(&r))
			keep &= X87_C1 | X87_C2;
		if (merge(f, sw, keep) & PRE_COMPUTATION)
			return;
	}
	put(f, to, &r);
	if (popping)
		pop(f);
}

/* ST(0) = ST(0) op number in memory */
#define ARITHMETIC_MEMORY(name, suffix, argument)                                                  \
	static X87_FN(f##name##_##suffix)                                                          \
	{                                                                                          \
		struct x86_f80 r;                                                                  \
                                                                                                   \
		if (is_empty(f, 0)) {                                                              \
			if (underflow(f))                                                          \
				put(f, 0, &indefinite);                                            \
			return false;                                                              \
		}                                                                                  \
		begin(f);                                                                          \
		if (!(merge(f, MATH(name##_##suffix)(f->cw, &r, st(f, 0), argument), X87_C1) &     \
		      PRE_COMPUTATION))                                                            \
			*st(f, 0) = r;                                                             \
		return false;                                                                      \
	}

struct x86_f80 x87_f80_of_int(int64_t value)
{
	const uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	const unsigned sign = value < 0 ? 0x8000 : 0;
	int shift;

	if (!value)
		return (struct x86_f80){0, 0};
	shift = __builtin_clzll(magnitude);
	return (struct x86_f80){magnitude << shift,
	                        (uint16_t)(sign | (unsigned)(0x3fff + 63 - shift))};
}

static inline bool integer_operand(struct x87 *f, binary_fn op, int64_t value)
{
	const struct x86_f80 b = x87_f80_of_int(value);
	struct x86_f80 r;

	if (is_empty(f, 0)) {
		if (underflow(f))
			put(f, 0, &indefinite);
		return false;
	}
	begin(f);
	if (!(merge(f, op(f->cw, &r, st(f, 0), &b), X87_C1) & PRE_COMPUTATION))
		*st(f, 0) = r;
	return false;
}

#define ARITHMETIC(name, reversed)                                                                 \
	static X87_FN(f##name##_st0)                                                               \
	{                                                                                          \
		arithmetic(f, MATH(name), i, 0, false, X87_C1);                                    \
		return false;                                                                      \
	}                                                                                          \
	static X87_FN(f##name##_sti) /* ST(i) = ST(i) op ST(0) */                                  \
	{                                                                                          \
		arithmetic(f, MATH(reversed), i, i, false, X87_C1);                                \
		return false;                                                                      \
	}                                                                                          \
	static X87_FN(f##name##p)                                                                  \
	{                                                                                          \
		arithmetic(f, MATH(reversed), i, i, true, X87_C1);                                 \
		return false;                                                                      \
	}                                                                                          \
	ARITHMETIC_MEMORY(name, f32, &m->d[0])                                                     \
	ARITHMETIC_MEMORY(name, f64, &m->q[0])                                                     \
	static X87_FN(f##name##_i16)                                                               \
	{                                                                                          \
		return integer_operand(f, MATH(name), (int16_t)m->w[0]);                           \
	}                                                                                          \
	static X87_FN(f##name##_i32)                                                               \
	{                                                                                          \
		return integer_operand(f, MATH(name), (int32_t)m->d[0]);                           \
	}
ARITHMETIC(add, add)
ARITHMETIC(mul, mul)
ARITHMETIC(sub, subr)
ARITHMETIC(subr, sub)
ARITHMETIC(div, divr)
ARITHMETIC(divr, div)

/* ST(0) = op(ST(0), ST(1)) */
#define OF_TWO(name, keep)                                                                         \
	static X87_FN(f##name)                                                                     \
	{                                                                                          \
		arithmetic(f, MATH(name), 1, 0, false, keep);                                      \
		return false;                                                                      \
	}
OF_TWO(scale, X87_C1)
OF_TWO(prem, X87_CC)
OF_TWO(prem1, X87_CC)

/* ST(1) = op(ST(0), ST(1)), then pops */
#define OF_TWO_POP(name)                                                                           \
	static X87_FN(f##name)                                                                     \
	{                                                                                          \
		arithmetic(f, MATH(name), 1, 1, true, X87_C1);                                     \
		return false;                                                                      \
	}
OF_TWO_POP(patan)
OF_TWO_POP(yl2x)
OF_TWO_POP(yl2xp1)

#define OF_ONE(name, keep)                                                                         \
	static X87_FN(f##name)                                                                     \
	{                                                                                          \
		struct x86_f80 r;                                                                  \
                                                                                                   \
		if (is_empty(f, 0)) {                                                              \
			f->sw = (uint16_t)(f->sw & ~((keep)&X87_C2));                              \
			if (underflow(f))                                                          \
				put(f, 0, &indefinite);                                            \
			return false;                                                              \
		}                                                                                  \
		begin(f);                                                                          \
		if (!(merge(f, MATH(name)(f->cw, &r, st(f, 0)), keep) & PRE_COMPUTATION))          \
			*st(f, 0) = r;                                                             \
		return false;                                                                      \
	}
OF_ONE(sqrt, X87_C1)
OF_ONE(rndint, X87_C1)
OF_ONE(f2xm1, X87_C1)
OF_ONE(sin, X87_C1 | X87_C2)
OF_ONE(cos, X87_C1 | X87_C2)

/* One operand, a result in its place and another pushed over it. */
#define OF_ONE_PUSH(name, keep)                                                                    \
	static X87_FN(f##name)                                                                     \
	{                                                                                          \
		struct x86_f80 top, below;                                                         \
                                                                                                   \
		if (is_empty(f, 0) || !is_empty(f, 7)) {                                           \
			f->sw = (uint16_t)(f->sw & ~((keep)&X87_C2));                              \
			if (stack_fault(f, !is_empty(f, 0))) {                                     \
				put(f, 0, &indefinite);                                            \
				push(f, &indefinite);                                              \
			}                                                                          \
			return false;                                                              \
		}                                                                                  \
		begin(f);                                                                          \
		if (merge(f, MATH(name)(f->cw, &top, &below, st(f, 0)), keep) & PRE_COMPUTATION)   \
			return false;                                                              \
		if ((keep)&f->sw & X87_C2) /* the argument is out of range: nothing is done */     \
			return false;                                                              \
		*st(f, 0) = below;                                                                 \
		push(f, &top);                                                                     \
		return false;                                                                      \
	}
OF_ONE_PUSH(ptan, X87_C1 | X87_C2)
OF_ONE_PUSH(sincos, X87_C1 | X87_C2)
OF_ONE_PUSH(xtract, X87_C1)

static X87_FN(fchs)
{
	if (!is_empty(f, 0)) {
		clear_c1(f);
		st(f, 0)->sign_exponent ^= 0x8000;
	} else if (underflow(f)) {
		put(f, 0, &indefinite);
	}
	return false;
}

static X87_FN(fabs_)
{
	if (!is_empty(f, 0)) {
		clear_c1(f);
		st(f, 0)->sign_exponent &= 0x7fff;
	} else if (underflow(f)) {
		put(f, 0, &indefinite);
	}
	return false;
}

/* ---- moves ----------------------------------------------------------------------------- */

static inline bool push_fault(struct x87 *f)
{
	if (is_empty(f, 7))
		return false;
	if (stack_fault(f, true))
		push(f, &indefinite);
	return true;
}

static X87_FN(fld_st)
{
	if (is_empty(f, i)) {
		if (underflow(f))
			push(f, &indefinite);
	} else if (!push_fault(f)) {
		clear_c1(f);
		push(f, st(f, i));
	}
	return false;
}

static X87_FN(fxch)
{
	struct x86_f80 t;

	if (is_empty(f, 0) || is_empty(f, i)) {
		if (!underflow(f))
			return false;
		if (is_empty(f, 0))
			put(f, 0, &indefinite);
		if (is_empty(f, i))
			put(f, i, &indefinite);
	} else {
		clear_c1(f);
	}
	t = *st(f, 0);
	*st(f, 0) = *st(f, i);
	*st(f, i) = t;
	return false;
}

/* Return: whether it was done. */
static inline bool store_register(struct x87 *f, unsigned i)
{
	if (is_empty(f, 0)) {
		if (!underflow(f))
			return false;
		put(f, i, &indefinite);
		set_valid(f, 0); /* for the pop */
		return true;
	}
	clear_c1(f);
	put(f, i, st(f, 0));
	return true;
}

static X87_FN(fst_st)
{
	const bool was_empty = is_empty(f, 0);

	if (store_register(f, i) && was_empty && i)
		set_empty(f, 0);
	return false;
}

static X87_FN(fstp_st)
{
	pops(f, store_register(f, i), 1);
	return false;
}

/* FSTP1, an alias at D9 D8 that faults not at all: from an empty register nothing is moved. */
static X87_FN(fstp1)
{
	clear_c1(f);
	if (!is_empty(f, 0))
		put(f, i, st(f, 0));
	pop(f);
	return false;
}

#define MOVE_IF(name, condition)                                                                   \
	static X87_FN(name)                                                                        \
	{                                                                                          \
		if (is_empty(f, 0) || is_empty(f, i)) {                                            \
			if (underflow(f))                                                          \
				put(f, 0, &indefinite);                                            \
			return false;                                                              \
		}                                                                                  \
		if (condition)                                                                     \
			*st(f, 0) = *st(f, i);                                                     \
		return false;                                                                      \
	}
#define CF 0x01u
#define PF 0x04u
#define ZF 0x40u
MOVE_IF(fcmovb, f->eflags &CF)
MOVE_IF(fcmove, f->eflags &ZF)
MOVE_IF(fcmovbe, f->eflags &(CF | ZF))
MOVE_IF(fcmovu, f->eflags &PF)
MOVE_IF(fcmovnb, !(f->eflags & CF))
MOVE_IF(fcmovne, !(f->eflags & ZF))
MOVE_IF(fcmovnbe, !(f->eflags & (CF | ZF)))
MOVE_IF(fcmovnu, !(f->eflags & PF))

/* An unmasked denormal exception does not keep a load from being done. */
#define LOAD(name, kind, argument)                                                                 \
	static X87_FN(name)                                                                        \
	{                                                                                          \
		struct x86_f80 r;                                                                  \
                                                                                                   \
		if (push_fault(f))                                                                 \
			return false;                                                              \
		begin(f);                                                                          \
		if (!(merge(f, MATH(kind)(f->cw, &r, argument), X87_C1) & X87_IE))                 \
			push(f, &r);                                                               \
		return false;                                                                      \
	}
LOAD(fld_f32, from_f32, &m->d[0])
LOAD(fld_f64, from_f64, &m->q[0])
LOAD(fbld, from_bcd, (const struct x87_bcd *)m)

static bool push_exact(struct x87 *f, struct x86_f80 value)
{
	if (!push_fault(f)) {
		clear_c1(f);
		push(f, &value);
	}
	return false;
}

static X87_FN(fld_f80)
{
	return push_exact(f, m->f80);
}
static X87_FN(fild_i16)
{
	return push_exact(f, x87_f80_of_int((int16_t)m->w[0]));
}
static X87_FN(fild_i32)
{
	return push_exact(f, x87_f80_of_int((int32_t)m->d[0]));
}
static X87_FN(fild_i64)
{
	return push_exact(f, x87_f80_of_int((int64_t)m->q[0]));
}

#define CONSTANT(name, kind)                                                                       \
	static X87_FN(name)                                                                        \
	{                                                                                          \
		struct x86_f80 r;                                                                  \
                                                                                                   \
		MATH(kind)(f->cw, &r);                                                             \
		return push_exact(f, r);                                                           \
	}
CONSTANT(fld1, one)
CONSTANT(fldl2t, l2t)
CONSTANT(fldl2e, l2e)
CONSTANT(fldpi, pi)
CONSTANT(fldlg2, lg2)
CONSTANT(fldln2, ln2)
CONSTANT(fldz, zero)

/*
 * Stores to memory: an unmasked overflow or underflow suppresses the store too, since there is
 * no register in which the handler would find a scaled result; an unmasked inexact does not.
 */
#define STORE(name, kind, type, empty, popping)                                                    \
	static X87_FN(name)                                                                        \
	{                                                                                          \
		type *const to = (type *)m;                                                        \
		const type if_empty = empty;                                                       \
                                                                                                   \
		*to = if_empty;                                                                    \
		if (is_empty(f, 0)) {                                                              \
			if (!underflow(f))                                                         \
				return false;                                                      \
		} else {                                                                           \
			begin(f);                                                                  \
			if (merge(f, MATH(kind)(f->cw, to, st(f, 0)), X87_C1) & ~X87_PE)           \
				return false;                                                      \
		}                                                                                  \
		pops(f, popping, 1);                                                               \
		return true;                                                                       \
	}
#define BCD_INDEFINITE                                                                             \
	{                                                                                          \
		{                                                                                  \
			0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff                                      \
		}                                                                                  \
	}
STORE(fst_f32, to_f32, uint32_t, 0xffc00000u, false)
STORE(fstp_f32, to_f32, uint32_t, 0xffc00000u, true)
STORE(fst_f64, to_f64, uint64_t, 0xfff8000000000000u, false)
STORE(fstp_f64, to_f64, uint64_t, 0xfff8000000000000u, true)
STORE(fist_i16, to_i16, uint16_t, 0x8000u, false)
STORE(fistp_i16, to_i16, uint16_t, 0x8000u, true)
STORE(fist_i32, to_i32, uint32_t, 0x80000000u, false)
STORE(fistp_i32, to_i32, uint32_t, 0x80000000u, true)
STORE(fistp_i64, to_i64, uint64_t, 0x8000000000000000u, true)
STORE(fisttp_i16, trunc_i16, uint16_t, 0x8000u, true)
STORE(fisttp_i32, trunc_i32, uint32_t, 0x80000000u, true)
STORE(fisttp_i64, trunc_i64, uint64_t, 0x8000000000000000u, true)
STORE(fbstp, to_bcd, struct x87_bcd, BCD_INDEFINITE, true)

static X87_FN(fstp_f80)
{
	if (is_empty(f, 0)) {
		if (!underflow(f))
			return false;
		m->f80 = indefinite;
	} else {
		clear_c1(f);
		m->f80 = *st(f, 0);
	}
	pop(f);
	return true;
}

/* ---- the table ------------------------------------------------------------------------- */

#define MEMORY(op, reg_, text, fn_, load_, store_, ...)                                            \
	{                                                                                          \
		.name = text, .fn = fn_, .opcode = op, .reg = reg_, .load = load_,                 \
		.store = store_, __VA_ARGS__                                                       \
	}
#define REGISTER(op, first, n, text, fn_, ...)                                                     \
	{                                                                                          \
		.name = text, .fn = fn_, .opcode = op, .reg = X87_REG_FORM, .modrm = first,        \
		.count = n, __VA_ARGS__                                                            \
	}
#define EIGHT(op, first, text, fn_, ...) REGISTER(op, first, 8, text, fn_, __VA_ARGS__)
#define ONE(op, first, text, fn_, ...) REGISTER(op, first, 1, text, fn_, __VA_ARGS__)

#define MEMORY_ARITHMETIC(op, suffix, bytes)                                                       \
	MEMORY(op, 0, "fadd_" #suffix, fadd_##suffix, bytes, 0),                                   \
		MEMORY(op, 1, "fmul_" #suffix, fmul_##suffix, bytes, 0),                           \
		MEMORY(op, 2, "fcom_" #suffix, x87_fcom_##suffix, bytes, 0),                       \
		MEMORY(op, 3, "fcomp_" #suffix, x87_fcomp_##suffix, bytes, 0),                     \
		MEMORY(op, 4, "fsub_" #suffix, fsub_##suffix, bytes, 0),                           \
		MEMORY(op, 5, "fsubr_" #suffix, fsubr_##suffix, bytes, 0),                         \
		MEMORY(op, 6, "fdiv_" #suffix, fdiv_##suffix, bytes, 0),                           \
		MEMORY(op, 7, "fdivr_" #suffix, fdivr_##suffix, bytes, 0)

const struct x87_row x87_rows[] = {
	MEMORY_ARITHMETIC(0xd8, f32, 4),
	EIGHT(0xd8, 0xc0, "fadd_st0", fadd_st0),
	EIGHT(0xd8, 0xc8, "fmul_st0", fmul_st0),
	EIGHT(0xd8, 0xd0, "fcom", x87_fcom),
	EIGHT(0xd8, 0xd8, "fcomp", x87_fcomp),
	EIGHT(0xd8, 0xe0, "fsub_st0", fsub_st0),
	EIGHT(0xd8, 0xe8, "fsubr_st0", fsubr_st0),
	EIGHT(0xd8, 0xf0, "fdiv_st0", fdiv_st0),
	EIGHT(0xd8, 0xf8, "fdivr_st0", fdivr_st0),

	MEMORY(0xd9, 0, "fld_f32", fld_f32, 4, 0),
	MEMORY(0xd9, 2, "fst_f32", fst_f32, 0, 4),
	MEMORY(0xd9, 3, "fstp_f32", fstp_f32, 0, 4),
	MEMORY(0xd9, 4, "fldenv", x87_fldenv, X87_ENV32_BYTES, 0, .flags = X87_CONTROL | X87_ENV),
	MEMORY(0xd9, 5, "fldcw", x87_fldcw, 2, 0, .flags = X87_CONTROL),
	MEMORY(0xd9, 6, "fnstenv", x87_fnstenv, 0, X87_ENV32_BYTES,
               .flags = X87_CONTROL | X87_ENV | X87_NO_WAIT),
	MEMORY(0xd9, 7, "fnstcw", x87_fnstcw, 0, 2, .flags = X87_CONTROL | X87_NO_WAIT),
	EIGHT(0xd9, 0xc0, "fld_st", fld_st),
	EIGHT(0xd9, 0xc8, "fxch", fxch),
	ONE(0xd9, 0xd0, "fnop", x87_fnop),
	EIGHT(0xd9, 0xd8, "fstp1", fstp1),
	ONE(0xd9, 0xe0, "fchs", fchs),
	ONE(0xd9, 0xe1, "fabs", fabs_),
	ONE(0xd9, 0xe4, "ftst", x87_ftst),
	ONE(0xd9, 0xe5, "fxam", x87_fxam),
	ONE(0xd9, 0xe8, "fld1", fld1),
	ONE(0xd9, 0xe9, "fldl2t", fldl2t),
	ONE(0xd9, 0xea, "fldl2e", fldl2e),
	ONE(0xd9, 0xeb, "fldpi", fldpi),
	ONE(0xd9, 0xec, "fldlg2", fldlg2),
	ONE(0xd9, 0xed, "fldln2", fldln2),
	ONE(0xd9, 0xee, "fldz", fldz),
	ONE(0xd9, 0xf0, "f2xm1", ff2xm1),
	ONE(0xd9, 0xf1, "fyl2x", fyl2x),
	ONE(0xd9, 0xf2, "fptan", fptan),
	ONE(0xd9, 0xf3, "fpatan", fpatan),
	ONE(0xd9, 0xf4, "fxtract", fxtract),
	ONE(0xd9, 0xf5, "fprem1", fprem1),
	ONE(0xd9, 0xf6, "fdecstp", x87_fdecstp),
	ONE(0xd9, 0xf7, "fincstp", x87_fincstp),
	ONE(0xd9, 0xf8, "fprem", fprem),
	ONE(0xd9, 0xf9, "fyl2xp1", fyl2xp1),
	ONE(0xd9, 0xfa, "fsqrt", fsqrt),
	ONE(0xd9, 0xfb, "fsincos", fsincos),
	ONE(0xd9, 0xfc, "frndint", frndint),
	ONE(0xd9, 0xfd, "fscale", fscale),
	ONE(0xd9, 0xfe, "fsin", fsin),
	ONE(0xd9, 0xff, "fcos", fcos),

	MEMORY_ARITHMETIC(0xda, i32, 4),
	EIGHT(0xda, 0xc0, "fcmovb", fcmovb, .flags = X87_READS_EFLAGS),
	EIGHT(0xda, 0xc8, "fcmove", fcmove, .flags = X87_READS_EFLAGS),
	EIGHT(0xda, 0xd0, "fcmovbe", fcmovbe, .flags = X87_READS_EFLAGS),
	EIGHT(0xda, 0xd8, "fcmovu", fcmovu, .flags = X87_READS_EFLAGS),
	ONE(0xda, 0xe9, "fucompp", x87_fucompp),

	MEMORY(0xdb, 0, "fild_i32", fild_i32, 4, 0),
	MEMORY(0xdb, 1, "fisttp_i32", fisttp_i32, 0, 4),
	MEMORY(0xdb, 2, "fist_i32", fist_i32, 0, 4),
	MEMORY(0xdb, 3, "fistp_i32", fistp_i32, 0, 4),
	MEMORY(0xdb, 5, "fld_f80", fld_f80, 10, 0),
	MEMORY(0xdb, 7, "fstp_f80", fstp_f80, 0, 10),
	EIGHT(0xdb, 0xc0, "fcmovnb", fcmovnb, .flags = X87_READS_EFLAGS),
	EIGHT(0xdb, 0xc8, "fcmovne", fcmovne, .flags = X87_READS_EFLAGS),
	EIGHT(0xdb, 0xd0, "fcmovnbe", fcmovnbe, .flags = X87_READS_EFLAGS),
	EIGHT(0xdb, 0xd8, "fcmovnu", fcmovnu, .flags = X87_READS_EFLAGS),
	/* FENI, FDISI of the 8087 and FSETPM of the 287 do nothing. */
	REGISTER(0xdb, 0xe0, 2, "fneni", x87_fnop, .flags = X87_CONTROL | X87_NO_WAIT),
	ONE(0xdb, 0xe2, "fnclex", x87_fnclex, .flags = X87_CONTROL | X87_NO_WAIT),
	ONE(0xdb, 0xe3, "fninit", x87_fninit, .flags = X87_CONTROL | X87_NO_WAIT),
	ONE(0xdb, 0xe4, "fnsetpm", x87_fnop, .flags = X87_CONTROL | X87_NO_WAIT),
	EIGHT(0xdb, 0xe8, "fucomi", x87_fucomi, .flags = X87_WRITES_EFLAGS),
	EIGHT(0xdb, 0xf0, "fcomi", x87_fcomi, .flags = X87_WRITES_EFLAGS),

	MEMORY_ARITHMETIC(0xdc, f64, 8),
	EIGHT(0xdc, 0xc0, "fadd_sti", fadd_sti),
	EIGHT(0xdc, 0xc8, "fmul_sti", fmul_sti),
	EIGHT(0xdc, 0xd0, "fcom_dc", x87_fcom),
	EIGHT(0xdc, 0xd8, "fcomp_dc", x87_fcomp),
	EIGHT(0xdc, 0xe0, "fsubr_sti", fsubr_sti),
	EIGHT(0xdc, 0xe8, "fsub_sti", fsub_sti),
	EIGHT(0xdc, 0xf0, "fdivr_sti", fdivr_sti),
	EIGHT(0xdc, 0xf8, "fdiv_sti", fdiv_sti),

	MEMORY(0xdd, 0, "fld_f64", fld_f64, 8, 0),
	MEMORY(0xdd, 1, "fisttp_i64", fisttp_i64, 0, 8),
	MEMORY(0xdd, 2, "fst_f64", fst_f64, 0, 8),
	MEMORY(0xdd, 3, "fstp_f64", fstp_f64, 0, 8),
	MEMORY(0xdd, 4, "frstor", x87_frstor, X87_STATE32_BYTES, 0,
               .flags = X87_CONTROL | X87_STATE),
	MEMORY(0xdd, 6, "fnsave", x87_fnsave, 0, X87_STATE32_BYTES,
               .flags = X87_CONTROL | X87_STATE | X87_NO_WAIT),
	MEMORY(0xdd, 7, "fnstsw", x87_fnstsw, 0, 2, .flags = X87_CONTROL | X87_NO_WAIT),
	EIGHT(0xdd, 0xc0, "ffree", x87_ffree),
	EIGHT(0xdd, 0xc8, "fxch_dd", fxch),
	EIGHT(0xdd, 0xd0, "fst_st", fst_st),
	EIGHT(0xdd, 0xd8, "fstp_st", fstp_st),
	EIGHT(0xdd, 0xe0, "fucom", x87_fucom),
	EIGHT(0xdd, 0xe8, "fucomp", x87_fucomp),

	MEMORY_ARITHMETIC(0xde, i16, 2),
	EIGHT(0xde, 0xc0, "faddp", faddp),
	EIGHT(0xde, 0xc8, "fmulp", fmulp),
	EIGHT(0xde, 0xd0, "fcomp_de", x87_fcomp),
	ONE(0xde, 0xd9, "fcompp", x87_fcompp),
	EIGHT(0xde, 0xe0, "fsubrp", fsubrp),
	EIGHT(0xde, 0xe8, "fsubp", fsubp),
	EIGHT(0xde, 0xf0, "fdivrp", fdivrp),
	EIGHT(0xde, 0xf8, "fdivp", fdivp),

	MEMORY(0xdf, 0, "fild_i16", fild_i16, 2, 0),
	MEMORY(0xdf, 1, "fisttp_i16", fisttp_i16, 0, 2),
	MEMORY(0xdf, 2, "fist_i16", fist_i16, 0, 2),
	MEMORY(0xdf, 3, "fistp_i16", fistp_i16, 0, 2),
	MEMORY(0xdf, 4, "fbld", fbld, 10, 0),
	MEMORY(0xdf, 5, "fild_i64", fild_i64, 8, 0),
	MEMORY(0xdf, 6, "fbstp", fbstp, 0, 10),
	MEMORY(0xdf, 7, "fistp_i64", fistp_i64, 0, 8),
	EIGHT(0xdf, 0xc0, "ffreep", x87_ffreep),
	EIGHT(0xdf, 0xc8, "fxch_df", fxch),
	EIGHT(0xdf, 0xd0, "fstp_st_df0", fstp_st),
	EIGHT(0xdf, 0xd8, "fstp_st_df8", fstp_st),
	ONE(0xdf, 0xe0, "fnstsw_ax", x87_fnstsw, .flags = X87_CONTROL | X87_NO_WAIT | X87_AX),
	EIGHT(0xdf, 0xe8, "fucomip", x87_fucomip, .flags = X87_WRITES_EFLAGS),
	EIGHT(0xdf, 0xf0, "fcomip", x87_fcomip, .flags = X87_WRITES_EFLAGS),
};
const size_t x87_row_count = ARRAY_LEN(x87_rows);

const struct x87_row *x87_lookup(uint8_t opcode, uint8_t modrm)
{
	for (size_t k = 0; k < x87_row_count; k++) {
		const struct x87_row *row = &x87_rows[k];

		if (row->opcode != opcode)
			continue;
		if (modrm < 0xc0 ? row->reg == (modrm >> 3 & 7)
		                 : row->reg == X87_REG_FORM && modrm >= row->modrm &&
		                           modrm < row->modrm + row->count)
			return row;
	}
	return NULL;
}
