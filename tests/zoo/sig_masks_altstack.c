/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Blocked signals and the alternate stack, of the main thread and of another, and a handler that is
 * running on it. */
#include "zoo.h"

#include <pthread.h>
#include <semaphore.h>

#define AUTODISARM ((int)(1u << 31)) /* SS_AUTODISARM of linux/signal.h */

static char main_stack[65536], thread_stack[32768];
static sem_t ready, go;
static pthread_t waiter;
static volatile bool in_handler, on_stack;

static void check_own(const sigset_t *want, const void *stack, size_t bytes, int flags)
{
	sigset_t now;
	stack_t ss;

	must_zero(pthread_sigmask(SIG_BLOCK, NULL, &now));
	for (int sig = 1; sig < 65; sig++)
		check(sigismember(&now, sig) == sigismember(want, sig), "signal %d", sig);
	must(sigaltstack(NULL, &ss));
	check(ss.ss_sp == stack, "the alternate stack is at %p, not %p", ss.ss_sp, stack);
	check_eq(ss.ss_size, bytes);
	check_eq(ss.ss_flags, flags);
}

static void *thread(void *unused)
{
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGRTMAX);
	sigaddset(&mask, SIGHUP);
	must_zero(pthread_sigmask(SIG_SETMASK, &mask, NULL));
	must(sigaltstack(&(stack_t){.ss_sp = thread_stack, .ss_size = sizeof(thread_stack)}, NULL));
	sem_post(&ready);
	while (sem_wait(&go))
		;
	zoo_spoil(must_zero(pthread_sigmask(SIG_BLOCK, &(sigset_t){{2}}, NULL)));
	zoo_spoil(must(sigaltstack(&(stack_t){.ss_flags = SS_DISABLE}, NULL)));
	check_own(&mask, thread_stack, sizeof(thread_stack), 0);
	return NULL;
}

static void handler(int sig)
{
	char here;

	(void)sig;
	on_stack = &here > main_stack && &here < main_stack + sizeof(main_stack);
	in_handler = true;
	zoo_snapshot_here();
}

int main(int argc, char **argv)
{
	struct sigaction a = {.sa_handler = handler, .sa_flags = SA_ONSTACK};
	sigset_t mask;
	stack_t ss;

	zoo_init(argc, argv);
	must_zero(pthread_create(&waiter, NULL, thread, NULL));
	while (sem_wait(&ready))
		;
	sigfillset(&mask);
	sigdelset(&mask, SIGKILL);
	sigdelset(&mask, SIGSTOP);
	sigdelset(&mask, 32);
	sigdelset(&mask, 33);
	sigdelset(&mask, SIGWINCH);
	sigdelset(&mask, SIGTERM);
	must(sigprocmask(SIG_SETMASK, &mask, NULL));
	must(sigaltstack(&(stack_t){.ss_sp = main_stack,
	                            .ss_size = sizeof(main_stack),
	                            .ss_flags = AUTODISARM},
	                 NULL));
	sigfillset(&a.sa_mask);
	must(sigaction(SIGTERM, &a, NULL));
	raise(SIGTERM); /* the snapshot is taken inside the handler */

	zoo_spoil(must(sigprocmask(SIG_UNBLOCK, &(sigset_t){{1}}, NULL)));
	check(in_handler && on_stack, "the handler ran elsewhere");
	must(sigaltstack(NULL, &ss));
	check_own(&mask, main_stack, sizeof(main_stack), AUTODISARM);
	sem_post(&go);
	must_zero(pthread_join(waiter, NULL));
	zoo_pass();
}
