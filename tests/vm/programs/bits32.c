/* SPDX-License-Identifier: MIT */
/* A 32-bit program: system calls by INT 0x80 and by the vDSO's SYSENTER, signals, threads, TLS. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static long by_int80(long n, long a, long b, long c)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}

static long by_vdso(long n, long a, long b, long c)
{
	long r, entry = (long)getauxval(AT_SYSINFO);

	if (!entry)
		return -ENOSYS;
	__asm__ volatile("call *%%esi"
	                 : "=a"(r)
	                 : "a"(n), "b"(a), "c"(b), "d"(c), "S"(entry)
	                 : "memory");
	return r;
}

static void both_ways(const char *name, long (*call)(long, long, long, long))
{
	int fds[2];
	char text[16] = "";
	uint64_t sum = 0;

	printf("%s: pid %d", name, call(SYS_getpid, 0, 0, 0) == getpid());
	printf(" bad %ld", call(9999, 0, 0, 0));
	printf(" fault %ld", call(SYS_pipe, 8, 0, 0));
	printf(" pipe %ld", call(SYS_pipe, (long)fds, 0, 0));
	printf(" write %ld", call(SYS_write, fds[1], (long)"thirty-two", 10));
	printf(" read %ld %s", call(SYS_read, fds[0], (long)text, 15), text);
	printf(" close %ld %ld", call(SYS_close, fds[0], 0, 0), call(SYS_close, fds[1], 0, 0));
	for (int i = 0; i < 20000; i++)
		sum += (uint64_t)(call(SYS_getppid, 0, 0, 0) == getppid());
	printf(" calls %llu\n", (unsigned long long)sum);
}

static sigjmp_buf back;
static volatile sig_atomic_t seen;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	seen = info->si_addr == (void *)16 ? sig : -sig;
	siglongjmp(back, 1);
}

static void on_user(int sig)
{
	volatile long double x = 1;

	for (int i = 1; i < 20; i++)
		x = x / 3 + i; /* its registers are not those of what it interrupts */
	seen = (int)x;
}

static void signals(void)
{
	struct sigaction sa = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
	volatile long double kept = 1.0L / 3;

	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	if (!sigsetjmp(back, 1))
		*(volatile int *)16 = 1;
	printf("fault %d", (int)seen);
	if (!sigsetjmp(back, 1))
		__asm__ volatile("divl %%ecx" : : "a"(1), "d"(0), "c"(0));
	printf(" divide %d", (int)seen);
	signal(SIGUSR1, on_user);
	raise(SIGUSR1);
	printf(" user %d %La\n", (int)seen, kept);
}

static __thread int mine;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t total;

static void *work(void *number)
{
	for (int i = 0; i < 20000; i++) {
		mine += (int)(intptr_t)number;
		pthread_mutex_lock(&lock);
		total += (uint32_t)mine;
		pthread_mutex_unlock(&lock);
	}
	return (void *)(intptr_t)mine;
}

static void threads(void)
{
	pthread_t t[4];
	void *result;

	for (intptr_t i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, work, (void *)(i + 1));
	for (int i = 0; i < 4; i++) {
		pthread_join(t[i], &result);
		printf("thread %d ", (int)(intptr_t)result);
	}
	printf("total %u\n", total);
}

static int descending(const void *a, const void *b)
{
	return *(const int *)a < *(const int *)b ? 1 : -(*(const int *)a > *(const int *)b);
}

static void work_on_numbers(void)
{
	static int numbers[50000];
	uint64_t h = 7, q = 0x123456789abcdefull;
	uint32_t seed = 1;

	for (int i = 0; i < 50000; i++)
		numbers[i] = (int)(seed = seed * 1103515245u + 12345u);
	qsort(numbers, 50000, sizeof(*numbers), descending);
	for (int i = 0; i < 50000; i++) {
		h = h * 31 + (uint32_t)numbers[i];
		q = q / ((uint32_t)numbers[i] % 1000 + 1) + h % 1000003 + (h << 32);
	}
	printf("sorted %llx divided %llx\n", (unsigned long long)h, (unsigned long long)q);
}

/* 8- and 16-bit operands, the old decimal instructions, ENTER, PUSHA, far pointers of this code. */
static void old_instructions(void)
{
	uint32_t al, flags, sum = 0;

	for (uint32_t i = 0; i < 65536; i += 7) {
		al = i & 0xffff;
		__asm__("add $0x19, %%al; daa; lahf; movzwl %%ax, %%eax" : "+a"(al) : : "cc");
		sum = sum * 33 + (al & 0xd5ff); /* without OF's place, which is not there */
		al = i & 0xff;
		__asm__("sub $0x27, %%al; das" : "+a"(al) : : "cc");
		sum = sum * 33 + (al & 0xff);
		al = i & 0x0fff;
		__asm__("aam $10; aad $7" : "+a"(al) : : "cc");
		sum = sum * 33 + (al & 0xffff);
		__asm__("aaa" : "+a"(al) : : "cc");
		sum = sum * 33 + (al & 0xffff);
	}
	__asm__ volatile("pusha; mov $5, %%eax; popa; pushf; pop %0" : "=r"(flags));
	__asm__ volatile("push %%ebp; enter $16, $2; mov %%esp, %0; leave; pop %%ebp"
	                 : "=a"(al)
	                 :
	                 : "memory");
	printf("decimal %x\n", sum);
}

int main(void)
{
	int status;

	both_ways("int80", by_int80);
	both_ways("vdso", by_vdso);
	signals();
	threads();
	work_on_numbers();
	old_instructions();
	fflush(stdout);
	if (!fork())
		_exit(by_int80(SYS_brk, 0, 0, 0) ? 37 : 1);
	wait(&status);
	printf("child %d\n", WEXITSTATUS(status));
	return 0;
}
