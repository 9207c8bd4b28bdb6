/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* The vDSO works where it was: clocks are read without a system call, and time goes on. */
#include "zoo.h"

#include <sys/auxv.h>
#include <sys/time.h>

int main(int argc, char **argv)
{
	static const clockid_t clocks[] = {
		CLOCK_REALTIME,      CLOCK_MONOTONIC,       CLOCK_BOOTTIME,        CLOCK_TAI,
		CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE};
	uintptr_t vdso;
	double before[ZOO_LEN(clocks)];
	unsigned int cpu, node;
	struct timeval tv;
	struct timespec t;
	char first[64];

	zoo_init(argc, argv);
	vdso = getauxval(AT_SYSINFO_EHDR);
	memcpy(first, (void *)vdso, sizeof(first));
	for (size_t i = 0; i < ZOO_LEN(clocks); i++)
		before[i] = zoo_now(clocks[i]);

	zoo_snapshot_here();
	zoo_spoil(vdso += PAGE);
	zoo_spoil(before[3] += 1000);
	check(!memcmp(first, (void *)vdso, sizeof(first)), "the vDSO changed");
	check(strstr(zoo_smaps((void *)vdso), "[vdso]"), "no [vdso] where AT_SYSINFO_EHDR says");
	for (size_t i = 0; i < ZOO_LEN(clocks); i++) {
		double now = zoo_now(clocks[i]), kernel;

		must(syscall(SYS_clock_gettime, clocks[i], &t));
		kernel = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
		check(now >= before[i], "clock %d went back from %f to %f", clocks[i], before[i],
		      now);
		check(kernel >= now && kernel < now + 1, "clock %d: vDSO %f, kernel %f", clocks[i],
		      now, kernel);
	}
	must(gettimeofday(&tv, NULL));
	check(llabs((long long)tv.tv_sec - (long long)time(NULL)) <= 1, "gettimeofday");
	must(getcpu(&cpu, &node));
	zoo_pass();
}
