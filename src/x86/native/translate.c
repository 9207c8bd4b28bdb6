/* SPDX-License-Identifier: MIT */
/*
 * A hot trace becomes code of an x86-64 host.
 *
 * Theory of operation
 *
 *	Generated code is a handler: it is entered with the CPU in RDI and jumps to other handlers
 *	with an op in RSI. An op's handler is replaced where generated code can be entered: at the
 *	trace's start, and behind each op that is left to its handler ("foreign"), which goes on to
 *	the next op as it always does. All other ops keep their handlers. So every instruction is
 *	there from the first day, and what can go wrong has one answer: where an address is not in
 *	the TLB, a divisor is 0, or a jump's target is not in the jump cache, everything is written
 *	back to struct x86_cpu and the op's own handler is run, which faults, or does the work and
 *	goes on with the rest of the trace as an interpreter.
 *
 *	From trace to trace it goes through op->fn, as in the interpreter. Whoever forgets a trace
 *	replaces those handlers; nothing that was generated is ever changed.
 *
 *	Guest registers live in eight registers of the host from their first use in the trace on,
 *	and are written back, if they were changed, where the trace is left. Between operations
 *	RAX, RCX, RDX and RSI are free.
 *
 *	Flags: an operation of the guest is the same operation of the host, so a condition right
 *	after it is a condition of the host. For later, its result and second operand are kept in
 *	two registers (struct lazy) and stored in the interpreter's form (flags.h) where the trace
 *	is left.
 *
 *	A trace that jumps to its own start, uses no more registers than there are, and has no
 *	foreign op is made again with all its registers loaded before the start and kept over the jump.
 *
 *	Ways out that are taken rarely stand behind all of the trace's code ("aside").
 *
 *	Memory for code is mapped twice, once to be written and once to be run, by whoever creates
 *	the CPU. It is used from its start to its end, and then everything is forgotten.
 */
#include "x86/native/native.h"

#if X86_NATIVE

#include "x86/branch.h"
#include "x86/cache.h"
#include "x86/native/native-int.h"

/* No trace needs more than that, with all that stands aside. */
#define TRACE_BYTES_MAX (128u << 10)

const uint8_t x86_native_pool[GUEST_REGS] = {RBX, RBP, R8, R9, R12, R13, R14, R15};

/* ---- guest registers ---------------------------------------------------------------------- */

void native_forget(struct native *t)
{
	memset(t->now.guest, NO_REG, sizeof(t->now.guest));
	t->now.dirty = 0;
	t->now.xmm = t->now.xmm_dirty = 0;
	t->now.fp_masked = false;
	t->now.lazy = (struct lazy){.kind = LAZY_MEMORY};
	t->host = 0;
}

static void write_back(struct native *t, unsigned i)
{
	if (t->now.dirty >> i & 1)
		store(&t->c, 3, guest_reg(t->now.guest[i]), x86_native_pool[i]);
	t->now.dirty &= (uint8_t) ~(1u << i);
}

/* The pool register where @guest is, or is going to be. */
static unsigned place_of(struct native *t, unsigned guest, bool *there)
{
	unsigned best = GUEST_REGS;

	*there = true;
	for (unsigned i = 0; i < GUEST_REGS; i++)
		if (t->now.guest[i] == guest)
			best = i;
	if (best == GUEST_REGS) {
		*there = false;
		for (unsigned i = 0; i < GUEST_REGS; i++)
			if (!(t->pinned >> i & 1) &&
			    (best == GUEST_REGS || t->used[i] < t->used[best]))
				best = i;
		assert(best < GUEST_REGS);
		if (t->now.guest[best] != NO_REG) {
			write_back(t, best);
			t->evicted = true;
		}
		t->now.guest[best] = (uint8_t)guest;
	}
	t->pinned |= 1u << best;
	t->used[best] = ++t->stamp;
	t->ever |= 1u << guest;
	return best;
}

unsigned native_use(struct native *t, unsigned guest)
{
	bool there;
	unsigned i = place_of(t, guest, &there);

	if (!there)
		load(&t->c, 3, x86_native_pool[i], guest_reg(guest));
	return x86_native_pool[i];
}

unsigned native_def(struct native *t, unsigned guest)
{
	bool there;
	unsigned i = place_of(t, guest, &there);

	t->now.dirty |= (uint8_t)(1u << i);
	t->ever_dirty |= 1u << guest;
	return x86_native_pool[i];
}

unsigned native_mod(struct native *t, unsigned guest)
{
	native_use(t, guest);
	return native_def(t, guest);
}

static struct place guest_xmm(unsigned number)
{
	return cpu_field(offsetof(struct x86_cpu, xmm) + sizeof(union x86_vec) * number);
}

void native_xmm_use(struct native *t, unsigned number)
{
	if (!(t->now.xmm >> number & 1))
		emit_vector(&t->c, 0, false, 0, 0x28, number, guest_xmm(number)); /* movaps */
	t->now.xmm |= (uint16_t)(1u << number);
	t->ever_xmm |= (uint16_t)(1u << number);
}

void native_xmm_def(struct native *t, unsigned number)
{
	const uint16_t bit = (uint16_t)(1u << number);

	t->now.xmm |= bit;
	t->now.xmm_dirty |= bit;
	t->ever_xmm |= bit;
	t->ever_xmm_dirty |= bit;
}

/* ---- flags -------------------------------------------------------------------------------- */

void native_capture(struct native *t)
{
	struct code *c = &t->c;

	emit(c, 0, 0x0f90, 0, in_reg(RAX)); /* seto al */
	put8(c, 0x9f);                      /* lahf */
	put8(c, 0x0f);                      /* movzx esi, ah */
	put8(c, 0xb6);
	put8(c, 0xf4);
	/* What ends up above OF is nobody's. */
	shift_imm(c, 2, 4, RAX, 11);
	alu_to_rm(c, 2, ASM_OR, in_reg(RAX), RSI);
}

void native_keep_flags(struct native *t)
{
	struct code *c = &t->c;

	emit(c, 0, 0x0f90, 0, in_reg(RAX)); /* seto al */
	put8(c, 0x9f);                      /* lahf */
	mov_rr(c, 2, FLAG_SRC, RAX);
}

static void restore_flags(struct native *t)
{
	struct code *c = &t->c;

	mov_rr(c, 2, RAX, FLAG_SRC);
	alu_imm(c, 0, ASM_ADD, in_reg(RAX), 0x7f); /* overflows if AL is 1 */
	put8(c, 0x9e);                             /* sahf leaves OF */
}

static void store_res(struct native *t, unsigned size)
{
	struct code *c = &t->c;
	unsigned from = FLAG_RES;

	if (size < 3) {
		static const unsigned extend[3] = {0x0fbe, 0x0fbf, ASM_MOVSXD};

		from = RSI;
		emit(c, 3, extend[size], RSI, in_reg(FLAG_RES));
	}
	store(c, 3, CPU_FIELD(cc_res), from);
}

/* INC and DEC once more, this time with the carry, which is in memory. */
static void repeat_step(struct native *t, const struct lazy *f)
{
	struct code *c = &t->c;

	call_to(c, t->carry);
	mov_rr(c, 3, RAX, FLAG_RES);
	emit(c, f->size, 0xff, !f->down, in_reg(RAX));
	emit(c, f->size, 0xff, f->down, in_reg(RAX));
}

void native_flush_flags(struct native *t)
{
	struct code *c = &t->c;
	const struct lazy f = t->now.lazy;
	unsigned kind = CC_RES;

	t->now.lazy.kind = LAZY_MEMORY;
	t->host = 0;
	switch ((enum lazy_kind)f.kind) {
	case LAZY_MEMORY:
		return;
	case LAZY_ADD:
	case LAZY_SUB:
		kind = (f.kind == LAZY_ADD ? CC_ADD8 + 0u : CC_SUB8 + 0u) + f.size;
		if (f.constant)
			store_imm(c, 3, CPU_FIELD(cc_src), f.imm);
		else
			store(c, 3, CPU_FIELD(cc_src), FLAG_SRC);
		break;
	case LAZY_LOGIC:
		store_imm(c, 3, CPU_FIELD(cc_src), 0);
		break;
	case LAZY_STEP:
		repeat_step(t, &f);
		native_capture(t);
		store(c, 3, CPU_FIELD(cc_src), RAX);
		break;
	case LAZY_SHIFT:
		mov_rr(c, 3, RAX, FLAG_SRC);
		shift_imm(c, f.size, f.shift, RAX, f.count);
		native_capture(t);
		store(c, 3, CPU_FIELD(cc_src), RAX);
		break;
	case LAZY_MUL:
		emit(c, 2, 0x0fb6, RAX, in_reg(FLAG_SRC));
		emit(c, 2, 0x69, RAX, in_reg(RAX)); /* imul eax, eax, CF | OF */
		put32(c, EFLAGS_CF | EFLAGS_OF);
		store(c, 3, CPU_FIELD(cc_src), RAX);
		break;
	case LAZY_RAW:
		restore_flags(t);
		native_capture(t);
		store(c, 3, CPU_FIELD(cc_src), RAX);
		/* See cc_set_explicit(). */
		emit(c, 2, 0xf7, 2, in_reg(RAX)); /* not */
		alu_imm(c, 2, ASM_AND, in_reg(RAX), EFLAGS_ZF);
		store(c, 3, CPU_FIELD(cc_res), RAX);
		store_imm(c, 2, CPU_FIELD(cc_kind), CC_EXPLICIT);
		return;
	}
	store_res(t, f.size);
	store_imm(c, 2, CPU_FIELD(cc_kind), (int64_t)kind);
}

static const uint8_t needs[8] = {
	HOST_O, HOST_C, HOST_Z,          HOST_C | HOST_Z,
	HOST_S, HOST_P, HOST_S | HOST_O, HOST_Z | HOST_S | HOST_O,
};

bool native_can_test(const struct native *t, unsigned cond, unsigned host)
{
	unsigned need = needs[cond / 2];

	if (!(need & ~host))
		return true;
	switch ((enum lazy_kind)t->now.lazy.kind) {
	case LAZY_MEMORY:
		return need == HOST_Z;
	case LAZY_STEP:
		return !(need & HOST_C);
	case LAZY_MUL:
		return !(need & (HOST_C | HOST_O));
	default:
		return true;
	}
}

void native_test(struct native *t, unsigned cond, unsigned host)
{
	const struct lazy *f = &t->now.lazy;
	struct code *c = &t->c;
	unsigned need = needs[cond / 2];

	if (!(need & ~host)) {
		t->host = host;
		return;
	}
	t->host = HOST_ALL;
	switch ((enum lazy_kind)f->kind) {
	case LAZY_MEMORY:
		alu_imm(c, 3, ASM_CMP, CPU_FIELD(cc_res), 0);
		t->host = HOST_Z;
		break;
	case LAZY_ADD:
	case LAZY_SUB: {
		unsigned again = f->kind == LAZY_ADD ? ASM_ADD : ASM_CMP;
		unsigned back = f->kind == LAZY_ADD ? ASM_SUB : ASM_ADD;

		mov_rr(c, 3, RAX, FLAG_RES);
		if (f->constant) {
			alu_imm(c, f->size, back, in_reg(RAX), f->imm);
			alu_imm(c, f->size, again, in_reg(RAX), f->imm);
		} else {
			alu_to_rm(c, f->size, back, in_reg(RAX), FLAG_SRC);
			alu_to_rm(c, f->size, again, in_reg(RAX), FLAG_SRC);
		}
		break;
	}
	case LAZY_SHIFT:
		mov_rr(c, 3, RAX, FLAG_SRC);
		shift_imm(c, f->size, f->shift, RAX, f->count);
		break;
	case LAZY_STEP:
		mov_rr(c, 3, RAX, FLAG_RES);
		emit(c, f->size, 0xff, !f->down, in_reg(RAX));
		emit(c, f->size, 0xff, f->down, in_reg(RAX));
		t->host &= ~HOST_C;
		break;
	case LAZY_RAW:
		restore_flags(t);
		break;
	case LAZY_LOGIC:
	case LAZY_MUL:
		emit(c, f->size, ASM_TEST, FLAG_RES, in_reg(FLAG_RES));
		if (f->kind != LAZY_LOGIC)
			t->host &= ~(HOST_C | HOST_O);
		break;
	}
}

/* ---- ways out ------------------------------------------------------------------------------ */

void native_spill(struct native *t)
{
	for (unsigned i = 0; i < GUEST_REGS; i++)
		write_back(t, i);
	for (unsigned i = 0; i < 16; i++)
		if (t->now.xmm_dirty >> i & 1)
			emit_vector(&t->c, 0, false, 0, 0x29, i, guest_xmm(i)); /* movaps */
	t->now.xmm_dirty = 0;
	native_flush_flags(t);
}

static void aside(struct native *t, enum aside_kind kind, uint8_t *from)
{
	struct aside *a = &t->asides[t->n_asides];

	if (t->n_asides == ASIDES_MAX) {
		t->full = true;
		return;
	}
	t->n_asides++;
	*a = (struct aside){.kind = kind, .from = from, .op = t->op, .fn = t->fn, .where = t->now};
}

void native_slow_if(struct native *t, unsigned cond)
{
	aside(t, ASIDE_SLOW, jcc_later(&t->c, cond));
	t->host = 0;
}

void native_jump_if(struct native *t, unsigned cond)
{
	unsigned host = t->host;

	aside(t, ASIDE_TAKEN, jcc_later(&t->c, cond));
	t->host = host;
}

/* The op's own handler, when everything is written back. */
static void run_handler(struct native *t, const struct op *op, op_fn *fn)
{
	lea(&t->c, RSI, op_field(t, op, 0));
	mov_imm(&t->c, RAX, (uint64_t)(uintptr_t)fn);
	jmp_place(&t->c, in_reg(RAX));
}

static void jump(struct native *t)
{
	struct code *c = &t->c;
	const struct op *op = t->op;
	const struct op *stub = op->link;
	bool leaves;

	/* What the stub of a link that never changes knows; links in the page may still change. */
	leaves = !stub->len && stub->fn == x86_op_stub && (uint32_t)stub->disp >= PAGE_BYTES;
	alu_imm(c, 3, ASM_ADD, CPU_FIELD(icount), op->n);
	if (leaves)
		lea(c, RSI, op_field(t, stub, 0));
	else
		load(c, 3, RSI, op_field(t, op, offsetof(struct op, link)));
	alu_imm(c, 2, ASM_CMP, CPU_FIELD(attention), 0);
	jump_to(jcc_later(c, COND_NE), t->leave_at_link);
	if (leaves) {
		uint8_t *miss;

		load(c, 3, RAX, CPU_FIELD(code_tag));
		alu_to_reg(c, 3, ASM_CMP, RAX, in_memory(RSI, offsetof(struct op, tag)));
		miss = jcc_later(c, COND_NE);
		store(c, 3, CPU_FIELD(via), RSI);
		alu_imm(c, 3, ASM_ADD, guest_reg(REG_PAGE),
		        stub->disp & ~(int32_t)(PAGE_BYTES - 1));
		load(c, 3, RSI, in_memory(RSI, offsetof(struct op, link)));
		jump_here(c, miss);
	}
	jmp_place(c, in_memory(RSI, offsetof(struct op, fn)));
}

/* To where the loop's registers are in theirs, as they have been since it was entered. */
static void jump_to_start(struct native *t)
{
	struct code *c = &t->c;
	uint8_t *leave;

	assert(!memcmp(t->now.guest, t->at_loop.guest, sizeof(t->now.guest)) &&
	       t->now.xmm == t->at_loop.xmm);
	native_flush_flags(t);
	alu_imm(c, 3, ASM_ADD, CPU_FIELD(icount), t->op->n);
	alu_imm(c, 2, ASM_CMP, CPU_FIELD(attention), 0);
	leave = jcc_later(c, COND_NE);
	jump_to(jmp_later(c), t->loop_start);
	jump_here(c, leave);
	native_spill(t);
	load(c, 3, RSI, op_field(t, t->op, offsetof(struct op, link)));
	jump_to(jmp_later(c), t->leave_at_link);
}

/* Whether the op's jump leads to the start of its trace, taken before or not. */
static bool is_loop(const struct native *t, const struct op *op)
{
	const struct op *to = op->link;

	return to == t->ops || (!to->len && to->fn == x86_op_stub && to->disp == t->ops[0].off);
}

void native_leave(struct native *t)
{
	if (t->looping && is_loop(t, t->op)) {
		jump_to_start(t);
		return;
	}
	native_spill(t);
	jump(t);
}

/*
 * Two parts, so that a handler can do all of it if the first does not succeed: first RIP (in RCX)
 * is looked for in the jump cache, and then, with what the op does done, jumped to.
 * RAX keeps the entry in between.
 */
void native_jump_lookup(struct native *t)
{
	struct code *c = &t->c;
	struct place entry;

	_Static_assert(sizeof(struct jump_entry) == 32, "shifted by 5");
	mov_rr(c, 3, RAX, RCX);
	shift_imm(c, 3, 5, RAX, JUMP_CACHE_BITS);
	alu_to_rm(c, 2, ASM_XOR, in_reg(RAX), RCX);
	alu_imm(c, 2, ASM_AND, in_reg(RAX), JUMP_CACHE_ENTRIES - 1);
	shift_imm(c, 2, 4, RAX, 5);
	emit(c, 3, 0x03, RAX, in_reg(CPU)); /* add rax, cpu */
	entry = in_memory(RAX, offsetof(struct x86_cpu, jump_cache));
	alu_to_reg(c, 3, ASM_CMP, RCX, entry);
	native_slow_if(t, COND_NE);
	load(c, 3, RDX, CPU_FIELD(code_tag));
	entry.disp += (int32_t)offsetof(struct jump_entry, tag);
	alu_to_reg(c, 3, ASM_CMP, RDX, entry);
	native_slow_if(t, COND_NE);
	alu_imm(c, 2, ASM_CMP, CPU_FIELD(attention), 0);
	native_slow_if(t, COND_NE);
}

void native_jump_found(struct native *t)
{
	struct code *c = &t->c;

	load(c, 3, RSI,
	     in_memory(RAX,
	               offsetof(struct x86_cpu, jump_cache) + offsetof(struct jump_entry, op)));
	alu_imm(c, 3, ASM_AND, in_reg(RCX), -(int64_t)PAGE_BYTES);
	store(c, 3, guest_reg(REG_PAGE), RCX);
	alu_imm(c, 3, ASM_ADD, CPU_FIELD(icount), t->op->n);
	jmp_place(c, in_memory(RSI, offsetof(struct op, fn)));
}

static void make_aside(struct native *t, const struct aside *a)
{
	jump_here(&t->c, a->from);
	t->now = a->where;
	t->op = a->op;
	if (a->kind == ASIDE_TAKEN) {
		native_leave(t);
		return;
	}
	native_spill(t);
	run_handler(t, a->op, a->fn);
}

/* ---- traces -------------------------------------------------------------------------------- */

static op_fn *runnable(const struct native *t, const uint8_t *written)
{
	return (op_fn *)(uintptr_t)(written + t->shift);
}

/* Everything that the loop uses, loaded before it starts; what it changes may be newer. */
static void enter_loop(struct native *t, unsigned ever, unsigned ever_dirty, unsigned xmm,
                       unsigned xmm_dirty)
{
	for (unsigned i = 0; i < 16; i++)
		if (xmm >> i & 1)
			native_xmm_use(t, i);
	t->now.xmm_dirty = t->ever_xmm_dirty = (uint16_t)xmm_dirty;
	for (unsigned guest = 0; guest < REG_COUNT; guest++) {
		if (!(ever >> guest & 1))
			continue;
		if (ever_dirty >> guest & 1)
			native_mod(t, guest);
		else
			native_use(t, guest);
	}
	t->at_loop = t->now;
	t->loop_start = t->c.at;
}

/*
 * All ops of the trace, and then what stands aside. @entries: for each op where generated code
 * may be entered, or NULL.
 */
static void make_all(struct native *t, uint8_t **entries)
{
	unsigned ever = t->ever, ever_dirty = t->ever_dirty; /* as found the first time */
	uint16_t xmm = t->ever_xmm, xmm_dirty = t->ever_xmm_dirty;
	uint8_t *begin = t->c.at;
	bool reached = true; /* from the op before */

	native_forget(t);
	t->n_asides = 0;
	t->ever_xmm = t->ever_xmm_dirty = 0;
	t->stamp = t->ever = t->ever_dirty = t->pinned = 0;
	t->full = t->evicted = t->foreign = false;
	memset(t->used, 0, sizeof(t->used));
	if (t->looping)
		enter_loop(t, ever, ever_dirty, xmm, xmm_dirty);
	for (unsigned i = 0; i < t->n && !t->full; i++) {
		uint8_t *start = i ? t->c.at : begin;

		t->op = &t->ops[i];
		t->fn = t->op->fn;
		t->form = x86_form_of(t->forms, t->fn);
		t->pinned = 0;
		t->before = t->host;
		t->host = 0;
		if (t->form && native_op(t)) {
			if (!reached || i == 0)
				entries[i] = start;
			reached = true;
			continue;
		}
		/* Its handler goes on to the next op's. */
		t->foreign = true;
		if (reached && i) {
			native_spill(t);
			run_handler(t, t->op, t->fn);
		}
		native_forget(t);
		reached = false;
	}
}

static void make_asides(struct native *t)
{
	for (unsigned i = 0; i < t->n_asides; i++)
		make_aside(t, &t->asides[i]);
}

static bool jumps_to_start(const struct native *t)
{
	for (unsigned i = 0; i < t->n_asides; i++)
		if (t->asides[i].kind == ASIDE_TAKEN && is_loop(t, t->asides[i].op))
			return true;
	return t->form && t->form->what == FORM_JMP && is_loop(t, t->op);
}

bool x86_native_make(struct x86_cpu *cpu, struct op *ops, unsigned n)
{
	struct native *t = cpu->native;
	uint8_t *start = t->c.at + -(uintptr_t)t->c.at % 16, *entries[TRACE_OPS_MAX] = {NULL};

	if (t->end - start < TRACE_BYTES_MAX)
		return false;
	if (!t->forms_filled)
		x86_forms_fill(t->forms);
	t->forms_filled = true;
	t->ops = ops;
	t->n = n;
	t->looping = false;
	t->c.at = start;
	make_all(t, entries);
	if (!t->full && !t->evicted && !t->foreign && jumps_to_start(t)) {
		t->c.at = start;
		t->looping = true;
		make_all(t, entries);
	}
	if (!t->full)
		make_asides(t);
	if (t->full) {
		/* It stays as it is. */
		t->c.at = start;
		return true;
	}
	for (unsigned i = 0; i < n; i++)
		if (entries[i])
			ops[i].fn = runnable(t, entries[i]);
	return true;
}

/* ---- memory for code ------------------------------------------------------------------------ */

/* A function that calls the first handler: it keeps what the host's functions may expect. */
static void make_entry(struct code *c)
{
	static const uint8_t kept[] = {RBX, RBP, R12, R13, R14, R15};

	for (unsigned i = 0; i < ARRAY_LEN(kept); i++)
		push_reg(c, kept[i]);
	alu_imm(c, 3, ASM_SUB, in_reg(RSP), 8);
	emit(c, 2, 0xff, 2, in_memory(RSI, offsetof(struct op, fn))); /* call */
	alu_imm(c, 3, ASM_ADD, in_reg(RSP), 8);
	for (unsigned i = ARRAY_LEN(kept); i-- > 0;)
		pop_reg(c, kept[i]);
	put8(c, 0xc3);
}

/*
 * CF becomes what cc_cf() says. For additions it is "sum < operand", for subtractions
 * "difference + operand < operand", in as many bits as the operation had: they are shifted up.
 */
static void make_carry(struct code *c)
{
	uint8_t *other, *sum;

	load(c, 2, RCX, CPU_FIELD(cc_kind));
	alu_imm(c, 2, ASM_CMP, in_reg(RCX), CC_RES);
	other = jcc_later(c, COND_B);
	emit(c, 2, 0x0fba, 4, CPU_FIELD(cc_src)); /* bt */
	put8(c, 0);
	put8(c, 0xc3);
	jump_here(c, other);
	_Static_assert(CC_ADD64 == 3 && CC_SUB8 == 4 && CC_SUB64 == 7, "size and one bit");
	load(c, 3, RAX, CPU_FIELD(cc_res));
	load(c, 3, RSI, CPU_FIELD(cc_src));
	emit(c, 0, 0xf7, 0, in_reg(RCX)); /* test */
	put8(c, CC_SUB8);
	sum = jcc_later(c, COND_E);
	alu_to_rm(c, 3, ASM_ADD, in_reg(RAX), RSI);
	jump_here(c, sum);
	alu_imm(c, 2, ASM_AND, in_reg(RCX), 3);
	mov_imm(c, RDX, 8);
	emit(c, 2, 0xd3, 4, in_reg(RDX)); /* shl: the bits of an operand */
	emit(c, 2, 0xf7, 3, in_reg(RDX)); /* neg: 64 less them, as shifts count */
	mov_rr(c, 2, RCX, RDX);
	emit(c, 3, 0xd3, 4, in_reg(RAX));
	emit(c, 3, 0xd3, 4, in_reg(RSI));
	alu_to_rm(c, 3, ASM_CMP, in_reg(RAX), RSI);
	put8(c, 0xc3);
}

struct native *x86_native_create(struct x86_cpu *cpu)
{
	const struct x86_code_memory *m = &cpu->config.code;
	struct native *t;

	if (!m->bytes)
		return NULL;
	assert(m->bytes >= X86_CODE_BYTES_MIN);
	t = x86_take_memory(cpu, sizeof(*t));
	t->forms = x86_take_memory(cpu, sizeof(*t->forms));
	t->cpu = cpu;
	t->write = t->c.at = m->write;
	t->end = m->write + m->bytes;
	t->shift = (const uint8_t *)m->run - (const uint8_t *)m->write;
	make_entry(&t->c);
	t->leave_at_link = t->c.at;
	mov_imm(&t->c, RAX, (uint64_t)(uintptr_t)x86_leave_at_link);
	jmp_place(&t->c, in_reg(RAX));
	t->carry = t->c.at;
	make_carry(&t->c);
	t->first = t->c.at;
	return t;
}

/*
 * The host may have fetched from where new code will be written, through another mapping than it
 * is written through: CPUID makes it forget.
 */
void x86_native_flush(struct native *t)
{
	unsigned a = 0, b, c = 0, d;

	if (!t || t->c.at == t->first)
		return;
	t->c.at = t->first;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d) : : "memory");
}

void x86_native_run(struct x86_cpu *cpu, const struct op *op)
{
	runnable(cpu->native, cpu->native->write)(cpu, op);
}

#else

struct native *x86_native_create(struct x86_cpu *cpu)
{
	return NULL;
}

void x86_native_flush(struct native *native)
{
}

bool x86_native_make(struct x86_cpu *cpu, struct op *ops, unsigned n)
{
	return true;
}

void x86_native_run(struct x86_cpu *cpu, const struct op *op)
{
}

#endif
