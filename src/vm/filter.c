/* SPDX-License-Identifier: MIT */
/*
 * Filters of system calls, as programs for the kernel. It is a tree: the kernel tries every number that
 * there is when it loads one, and a guest's process waits for that.
 *
 *	load the architecture; another one: end
 *	load the number
 *	number >= MIDDLE: go to the right half	(and so on)
 *	number != CALL: otherwise
 *	(argument & MASK) != VALUE: the next rule of this call	(for each rule, and argument)
 *	allow
 *	otherwise
 */
#include "vm/sandbox.h"

#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <sys/prctl.h>

#define LOAD (BPF_LD | BPF_W | BPF_ABS)
#define AND (BPF_ALU | BPF_AND | BPF_K)
#define IF_EQUAL (BPF_JMP | BPF_JEQ | BPF_K)
#define IF_AT_LEAST (BPF_JMP | BPF_JGE | BPF_K)
#define RETURN (BPF_RET | BPF_K)

/* Return: its place. A jump goes to the next instruction until it is told otherwise. */
static unsigned put(struct call_filter *f, uint16_t code, uint32_t k)
{
	assert(f->n < CALL_FILTER_MAX);
	f->code[f->n] = (struct sock_filter){.code = code, .k = k};
	return f->n++;
}

/* How far it is from an instruction to the end. */
static uint8_t to_here(const struct call_filter *f, unsigned from)
{
	assert(f->n - from - 1 <= UINT8_MAX);
	return (uint8_t)(f->n - from - 1);
}

/* Half of an argument. @unequal: gains the place of the jump */
static void put_half(struct call_filter *f, size_t at, uint32_t mask, uint32_t value,
                     unsigned *unequal, unsigned *n)
{
	if (!mask)
		return;
	put(f, LOAD, (uint32_t)at);
	if (mask != UINT32_MAX)
		put(f, AND, mask);
	unequal[(*n)++] = put(f, IF_EQUAL, value);
}

static void put_rule(struct call_filter *f, const struct call_rule *rule)
{
	unsigned unequal[2 * CALL_CONDITIONS_MAX], n = 0;

	for (unsigned i = 0; i < CALL_CONDITIONS_MAX; i++) {
		const struct call_condition *c = &rule->when[i];
		size_t low = offsetof(struct seccomp_data, args) + c->argument * sizeof(uint64_t);

		assert(!(c->value & ~c->mask));
		put_half(f, low, (uint32_t)c->mask, (uint32_t)c->value, unequal, &n);
		put_half(f, low + 4, (uint32_t)(c->mask >> 32), (uint32_t)(c->value >> 32), unequal,
		         &n);
	}
	put(f, RETURN, SECCOMP_RET_ALLOW);
	while (n--)
		f->code[unequal[n]].jf = to_here(f, unequal[n]);
}

/* @rule: sorted, at least one */
static void put_tree(struct call_filter *f, const struct call_rule *rule, size_t n,
                     uint32_t otherwise)
{
	size_t middle = n / 2;
	unsigned jump;

	/* Rules of one call stay together. */
	while (middle && rule[middle].call == rule[middle - 1].call)
		middle--;
	if (!middle)
		for (middle = n / 2; middle < n && rule[middle].call == rule[0].call;)
			middle++;
	if (middle < n) {
		jump = put(f, IF_AT_LEAST, (uint32_t)rule[middle].call);
		put_tree(f, rule, middle, otherwise);
		f->code[jump].jt = to_here(f, jump);
		put_tree(f, rule + middle, n - middle, otherwise);
		return;
	}
	jump = put(f, IF_EQUAL, (uint32_t)rule->call);
	for (size_t i = 0; i < n; i++)
		put_rule(f, &rule[i]);
	f->code[jump].jf = to_here(f, jump);
	put(f, RETURN, otherwise);
}

static int by_call(const void *a, const void *b)
{
	return ((const struct call_rule *)a)->call - ((const struct call_rule *)b)->call;
}

void call_filter_make(struct call_filter *out, struct call_rule *rules, size_t n,
                      uint32_t otherwise)
{
	out->n = 0;
	put(out, LOAD, offsetof(struct seccomp_data, arch));
	out->code[put(out, IF_EQUAL, AUDIT_ARCH_X86_64)].jt = 1;
	put(out, RETURN, SECCOMP_RET_KILL_PROCESS);
	put(out, LOAD, offsetof(struct seccomp_data, nr));
	qsort(rules, n, sizeof(*rules), by_call);
	put_tree(out, rules, n, otherwise);
}

int call_filter_load(const struct call_filter *f, struct err *e)
{
	const struct sock_fprog program = {
		.len = (unsigned short)f->n,
		.filter = (struct sock_filter *)(uintptr_t)f->code,
	};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)
	               ? err_set(e, -errno, "system call filter")
	               : 0;
}
