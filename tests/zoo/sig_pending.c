/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Pending signals: per thread and shared, with their siginfo, real-time ones in their order. */
#include "zoo.h"

#include <pthread.h>
#include <semaphore.h>

static sem_t ready, go;
static volatile pid_t thread_id;
static sigset_t all;

static void take(const char *who, int want_sig, int want_code, int want_value, pid_t want_pid)
{
	struct timespec none = {0};
	siginfo_t i;
	int sig;

	memset(&i, 0, sizeof(i));
	/* The raw call: libc would hide SI_TKILL. */
	sig = (int)syscall(SYS_rt_sigtimedwait, &all, &i, &none, 8);
	if (sig != want_sig)
		zoo_fail("%s: signal %d, want %d", who, sig, want_sig);
	check(sig < 0 || i.si_code == want_code, "%s: signal %d: code %d, want %d", who, sig,
	      i.si_code, want_code);
	check(sig < 0 || i.si_pid == want_pid, "%s: signal %d: from %d, want %d", who, sig,
	      i.si_pid, want_pid);
	check(sig < 0 || i.si_uid == getuid(), "%s: signal %d: from user %d", who, sig, i.si_uid);
	check(want_value < 0 || i.si_int == want_value, "%s: signal %d: value %d, want %d", who,
	      sig, i.si_int, want_value);
}

static void queue(pid_t tid, int sig, int value)
{
	siginfo_t i = {.si_signo = sig, .si_code = SI_QUEUE};

	i.si_pid = getpid();
	i.si_uid = getuid();
	i.si_int = value;
	if (tid)
		must(syscall(SYS_rt_tgsigqueueinfo, getpid(), tid, sig, &i));
	else
		must(syscall(SYS_rt_sigqueueinfo, getpid(), sig, &i));
}

static void *thread(void *unused)
{
	thread_id = zoo_tid();
	sem_post(&ready);
	while (sem_wait(&go))
		;
	/* Our own first, lowest number first, each number in the order in which it was sent. */
	zoo_spoil(sigtimedwait(&all, NULL, &(struct timespec){0, 0}));
	take("thread", SIGQUIT, SI_TKILL, -1, getpid());
	take("thread", SIGUSR2, SI_QUEUE, 12, getpid());
	for (int k = 0; k < 5; k++)
		take("thread", SIGRTMIN + 3, SI_QUEUE, 500 + k, getpid());
	take("thread", SIGRTMIN + 7, SI_QUEUE, 9, getpid());
	return NULL;
}

int main(int argc, char **argv)
{
	pid_t child;
	pthread_t t;

	zoo_init(argc, argv);
	sigfillset(&all);
	sigdelset(&all, SIGUSR1);
	sigdelset(&all, SIGCHLD);
	must(sigprocmask(SIG_BLOCK, &all, NULL));
	must_zero(pthread_create(&t, NULL, thread, NULL));
	sem_wait(&ready);
	must(syscall(SYS_tgkill, getpid(), thread_id, SIGQUIT));
	/* What is blocked is kept, ignored or not. */
	signal(SIGUSR2, SIG_IGN);
	queue(thread_id, SIGUSR2, 12);
	queue(thread_id, SIGRTMIN + 7, 9);
	for (int k = 0; k < 5; k++)
		queue(thread_id, SIGRTMIN + 3, 500 + k);
	/* Shared by all threads. */
	queue(0, SIGRTMIN + 9, 1);
	queue(0, SIGRTMIN + 8, 2);
	queue(0, SIGRTMIN + 9, 3);
	queue(0, SIGRTMIN + 8, 4);
	must(kill(getpid(), SIGTERM));
	must(kill(getpid(), SIGTERM)); /* an ordinary one counts once */
	must(kill(getpid(), SIGHUP));
	child = must(fork());
	if (!child) {
		sigqueue(getppid(), SIGRTMIN + 10, (union sigval){.sival_int = 77});
		_exit(0);
	}
	waitpid(child, NULL, 0);
	/* And the main thread's own. */
	queue(zoo_tid(), SIGRTMIN + 8, 100);
	must(syscall(SYS_tgkill, getpid(), zoo_tid(), SIGWINCH));

	zoo_snapshot_here();
	zoo_spoil(sigtimedwait(&all, NULL, &(struct timespec){0, 0}));
	zoo_spoil(queue(0, SIGRTMIN + 9, 5));
	zoo_spoil(must(kill(getpid(), SIGTRAP)));
	sem_post(&go);
	must_zero(pthread_join(t, NULL)); /* takes only its own */
	take("main", SIGWINCH, SI_TKILL, -1, getpid());
	take("main", SIGRTMIN + 8, SI_QUEUE, 100, getpid());
	take("main", SIGHUP, SI_USER, -1, getpid());
	take("main", SIGTERM, SI_USER, -1, getpid());
	take("main", SIGRTMIN + 8, SI_QUEUE, 2, getpid());
	take("main", SIGRTMIN + 8, SI_QUEUE, 4, getpid());
	take("main", SIGRTMIN + 9, SI_QUEUE, 1, getpid());
	take("main", SIGRTMIN + 9, SI_QUEUE, 3, getpid());
	take("main", SIGRTMIN + 10, SI_QUEUE, 77, child);
	take("main", -1, 0, -1, 0);
	zoo_pass();
}
