/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Protection keys: which are allocated, which mapping has which, and each thread's rights register.
 */
#include "zoo.h"

#include <setjmp.h>

static sigjmp_buf back;
static volatile int fault_key;

static uint32_t rights(void)
{
	uint32_t pkru, high;

	__asm__ volatile("rdpkru" : "=a"(pkru), "=d"(high) : "c"(0));
	return pkru;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	fault_key = info->si_code == SEGV_PKUERR ? (int)info->si_pkey : -1;
	siglongjmp(back, 1);
}

/* The key that a write to an address trips over; 0: none; -1: another fault. */
static int key_in_the_way(volatile uint8_t *p)
{
	volatile uint32_t pkru = rights();

	/* The kernel gives a handler its own rights, and siglongjmp() leaves them so. */
	if (sigsetjmp(back, 1)) {
		__asm__ volatile("wrpkru" : : "a"(pkru), "c"(0), "d"(0));
		return fault_key;
	}
	*p = *p;
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t *m;
	int a, b, c;

	zoo_init(argc, argv);
	a = pkey_alloc(0, PKEY_DISABLE_ACCESS);
	if (a < 0)
		zoo_skip("no protection keys here");
	sigaction(SIGSEGV, &(struct sigaction){.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO},
	          NULL);
	b = must(pkey_alloc(0, PKEY_DISABLE_WRITE));
	c = must(pkey_alloc(0, 0));
	must(pkey_free(a)); /* a hole among the allocated */
	m = must(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	zoo_fill(m, 4 * PAGE, 1);
	must(pkey_mprotect(m + PAGE, PAGE, PROT_READ | PROT_WRITE, b));
	must(pkey_mprotect(m + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE, c));
	check_eq(key_in_the_way(m + PAGE), b);

	zoo_snapshot_here();
	zoo_spoil(must(pkey_set(b, 0)));
	zoo_spoil(must(pkey_mprotect(m + 2 * PAGE, PAGE, PROT_READ | PROT_WRITE, 0)));
	zoo_spoil(must(pkey_free(c)));
	zoo_spoil(must(pkey_alloc(0, 0)));
	check_eq(pkey_get(b), PKEY_DISABLE_WRITE);
	check_eq(pkey_get(c), 0);
	check_eq(key_in_the_way(m), 0);
	check_eq(key_in_the_way(m + PAGE), b);
	check_eq(key_in_the_way(m + 2 * PAGE), 0);
	must(pkey_set(c, PKEY_DISABLE_ACCESS));
	check_eq(key_in_the_way(m + 2 * PAGE), c);
	must(pkey_set(c, 0));
	check_eq(zoo_first_wrong(m, 4 * PAGE, 1), -1);
	check_eq(pkey_alloc(0, 0), a); /* the lowest free one */
	check(pkey_alloc(0, 0) > c, "an allocated key was given out again");
	zoo_pass();
}
