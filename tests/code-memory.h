/* SPDX-License-Identifier: MIT */
/*
 * Memory for generated code, for tests of the CPU: little, so that it is often full.
 */
#ifndef WSLX_TESTS_CODE_MEMORY_H
#define WSLX_TESTS_CODE_MEMORY_H

#include "x86/x86.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define CODE_MEMORY_BYTES ((size_t)1 << 20)

/* Code is generated for whatever is run @after times. */
static inline struct x86_code_memory code_memory(unsigned after)
{
	struct x86_code_memory m = {.bytes = CODE_MEMORY_BYTES, .after = after};
	int fd = memfd_create("code", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)m.bytes))
		abort();
	m.write = mmap(NULL, m.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	m.run = mmap(NULL, m.bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
	if (m.write == MAP_FAILED || m.run == MAP_FAILED)
		abort();
	close(fd);
	return m;
}

#endif
