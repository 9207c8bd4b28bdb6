/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../random.h"
#include "tap.h"
#include "vm/sandbox.h"

#define OTHERWISE (SECCOMP_RET_ERRNO | EXDEV)

/* What the kernel makes of a filter; UINT32_MAX: it would not take it. */
static uint32_t answer_of(const struct call_filter *f, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (unsigned at = 0; at < f->n; at++) {
		const struct sock_filter *i = &f->code[at];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k % 4 || i->k + 4 > sizeof(*d))
				return UINT32_MAX;
			memcpy(&a, (const uint8_t *)d + i->k, sizeof(a));
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += a == i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += a >= i->k ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			return UINT32_MAX;
		}
	}
	return UINT32_MAX;
}

static bool holds(const struct call_rule *r, const struct seccomp_data *d)
{
	for (unsigned i = 0; i < CALL_CONDITIONS_MAX; i++)
		if ((d->args[r->when[i].argument] & r->when[i].mask) != r->when[i].value)
			return false;
	return r->call == d->nr;
}

static uint32_t wanted(const struct call_rule *rules, size_t n, const struct seccomp_data *d)
{
	for (size_t i = 0; i < n; i++)
		if (holds(&rules[i], d))
			return SECCOMP_RET_ALLOW;
	return OTHERWISE;
}

/* Few bits, so that chance finds what is equal. */
static uint64_t sparse(uint64_t *state)
{
	return random_next(state) & random_next(state) & random_next(state) & random_next(state) &
	       0x8000000300000003;
}

static void make_rules(struct call_rule *rules, size_t n, int calls, uint64_t *state)
{
	for (size_t i = 0; i < n; i++) {
		rules[i] = (struct call_rule){.call = (int)(random_next(state) % (unsigned)calls)};
		for (uint64_t k = random_next(state) % 3; k < CALL_CONDITIONS_MAX; k++) {
			struct call_condition *c = &rules[i].when[k];

			c->argument = (unsigned)(random_next(state) % 6);
			c->mask = random_next(state) % 3 ? sparse(state) : UINT64_MAX;
			c->value = sparse(state) & c->mask;
		}
	}
}

static void a_filter_allows_what_its_rules_say(void)
{
	static struct call_filter filter;
	unsigned wrong = 0, allowed = 0, longest = 0;
	uint64_t state = 7;

	for (unsigned round = 0; round < 3000; round++) {
		int calls = 1 + (int)(random_next(&state) % 90);
		size_t n = 1 + random_next(&state) % 45;
		struct call_rule rules[45];

		make_rules(rules, n, calls, &state);
		call_filter_make(&filter, rules, n, OTHERWISE);
		longest = filter.n > longest ? filter.n : longest;
		for (unsigned k = 0; k < 200; k++) {
			struct seccomp_data d = {
				.nr = (int)(random_next(&state) % (unsigned)(calls + 2)),
				.arch = AUDIT_ARCH_X86_64};

			for (unsigned i = 0; i < 6; i++)
				d.args[i] = sparse(&state);
			wrong += answer_of(&filter, &d) != wanted(rules, n, &d);
			allowed += wanted(rules, n, &d) == SECCOMP_RET_ALLOW;
		}
	}
	ok(!wrong, "%u of 600000 are wrong", wrong);
	ok(allowed > 10000 && allowed < 590000, "%u are allowed", allowed);
	ok(longest > 200, "the longest has %u instructions", longest);
}

static void numbers_of_other_tables_are_not_taken_for_these(void)
{
	struct call_rule rules[] = {CALL(getpid), CALL(exit_group), CALL(write)};
	static struct call_filter filter;
	struct seccomp_data d = {.nr = SYS_getpid, .arch = AUDIT_ARCH_X86_64};

	call_filter_make(&filter, rules, ARRAY_LEN(rules), OTHERWISE);
	ok(answer_of(&filter, &d) == SECCOMP_RET_ALLOW);
	d.nr |= 0x40000000; /* x32 */
	ok(answer_of(&filter, &d) == OTHERWISE);
	d.nr = -1;
	ok(answer_of(&filter, &d) == OTHERWISE);
	d = (struct seccomp_data){.nr = SYS_getpid, .arch = AUDIT_ARCH_I386};
	ok(answer_of(&filter, &d) == SECCOMP_RET_KILL_PROCESS);
}

static void the_kernel_agrees(void)
{
	struct call_rule rules[] = {
		CALL(exit_group), CALL(write), CALL_IF_EQUAL(prctl, 0, PR_GET_DUMPABLE),
#ifdef WITH_ASAN
		CALL(sigaltstack), /* its runtime asks for it before _exit(2) */
#endif
	};
	static struct call_filter filter;
	pid_t child = fork();
	int status = -1;

	call_filter_make(&filter, rules, ARRAY_LEN(rules), OTHERWISE);
	if (!child) {
		struct err e = {0};
		bool works = !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
		             !call_filter_load(&filter, &e) && syscall(SYS_getppid) == -1 &&
		             errno == EXDEV && prctl(PR_GET_DUMPABLE) >= 0 &&
		             prctl(PR_GET_KEEPCAPS) == -1;

		_exit(works ? 0 : 1);
	}
	ok(waitpid(child, &status, 0) == child && !status, "status %d", status);
}

int main(void)
{
	RUN(a_filter_allows_what_its_rules_say);
	RUN(numbers_of_other_tables_are_not_taken_for_these);
	RUN(the_kernel_agrees);
	return tap_done();
}
