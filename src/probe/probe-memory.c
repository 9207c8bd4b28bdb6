/* SPDX-License-Identifier: MIT */
/* Probes of what can be learnt about memory, and done with it. */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "os/abi.h"
#include "os/os.h"
#include "probe/probe-int.h"

/* Newer than this distribution's headers: */
#define USER_MODE_ONLY 1                           /* Linux 5.11 */
#define FEATURE_WP_UNPOPULATED (UINT64_C(1) << 13) /* Linux 6.4 */
#define FEATURE_WP_ASYNC (UINT64_C(1) << 15)       /* Linux 6.7 */

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SOFT_DIRTY (UINT64_C(1) << 55)

/* PROCMAP_QUERY, Linux 6.11: Documentation/filesystems/proc.rst */
struct query_arg {
	uint64_t size, flags, address;
	uint64_t start, end, vma_flags, page_bytes, offset, inode;
	uint32_t dev_major, dev_minor, name_bytes, build_id_bytes;
	uint64_t name, build_id;
};
#define QUERY_REQUEST _IOWR('f', 17, struct query_arg)

/* Private anonymous pages without huge pages, so that each page is one of its own. */
static uint8_t *pages(size_t n, struct probe_result *r)
{
	void *p = mmap(NULL, n * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	               -1, 0);

	if (p == MAP_FAILED) {
		probe_unknown(r, "mmap: %s", strerror(errno));
		return NULL;
	}
	madvise(p, n * PAGE_BYTES, MADV_NOHUGEPAGE);
	return p;
}

static bool pagemap_entry(const void *address, uint64_t *entry)
{
	AUTO(fd) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	return fd >= 0 &&
	       pread(fd, entry, sizeof(*entry),
	             (off_t)((uintptr_t)address / PAGE_BYTES * sizeof(*entry))) == sizeof(*entry);
}

void probe_pagemap(int root, struct probe_result *r)
{
	uint8_t *p = pages(2, r);
	uint64_t touched, untouched;

	if (!p)
		return;
	p[0] = 1;
	if (!pagemap_entry(p, &touched) || !pagemap_entry(p + PAGE_BYTES, &untouched))
		probe_no_errno(r, "/proc/self/pagemap");
	else if (touched & PAGEMAP_PRESENT && !(untouched & PAGEMAP_PRESENT))
		probe_yes(r, "a touched page is told from an untouched one");
	else
		probe_no(r, "a touched page reads %#" PRIx64 ", an untouched one %#" PRIx64,
		         touched, untouched);
}

/* Pages of [start, end) with all categories of @mask. Return: their number, -1 with errno. */
static long scan(const uint8_t *start, size_t n_pages, uint64_t mask)
{
	AUTO(fd) int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	struct page_region regions[8] = {0};
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)start,
		.end = (uintptr_t)start + n_pages * PAGE_BYTES,
		.vec = (uintptr_t)regions,
		.vec_len = ARRAY_LEN(regions),
		.category_mask = mask,
		.return_mask = mask,
	};
	long found = 0;
	int n;

	if (fd < 0)
		return -1;
	n = ioctl(fd, PAGEMAP_SCAN, &arg);
	for (int i = 0; i < n; i++)
		found += (long)((regions[i].end - regions[i].start) / PAGE_BYTES);
	return n < 0 ? -1 : found;
}

void probe_pagemap_scan(int root, struct probe_result *r)
{
	uint8_t *p = pages(4, r);
	long n;

	if (!p)
		return;
	p[0] = p[2 * PAGE_BYTES] = 1;
	n = scan(p, 4, PAGE_IS_PRESENT);
	if (n < 0)
		probe_no_errno(r, "PAGEMAP_SCAN");
	else if (n == 2)
		probe_yes(r, "2 of 4 pages were found present");
	else
		probe_no(r, "%ld pages were found present where 2 are", n);
}

void probe_procmap_query(int root, struct probe_result *r)
{
	AUTO(fd) int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	uint8_t *p = pages(1, r);
	struct query_arg q = {.size = sizeof(q), .address = (uintptr_t)p};

	if (!p)
		return;
	if (fd < 0 || ioctl(fd, QUERY_REQUEST, &q))
		probe_no_errno(r, "PROCMAP_QUERY");
	else if (q.start <= (uintptr_t)p && (uintptr_t)p < q.end)
		probe_yes(r, "a mapping was found by its address");
	else
		probe_no(r, "PROCMAP_QUERY found another mapping");
}

void probe_soft_dirty(int root, struct probe_result *r)
{
	AUTO(fd) int fd = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
	uint8_t *p = pages(1, r);
	uint64_t cleared, written;

	if (!p)
		return;
	p[0] = 1;
	/* This succeeds on a kernel without soft-dirty too, which is why bit 55 decides. */
	if (fd < 0 || write(fd, "4", 1) != 1) {
		probe_no_errno(r, "/proc/self/clear_refs");
		return;
	}
	if (!pagemap_entry(p, &cleared)) {
		probe_no_errno(r, "/proc/self/pagemap");
		return;
	}
	*(volatile uint8_t *)p = 2;
	if (!pagemap_entry(p, &written))
		probe_no_errno(r, "/proc/self/pagemap");
	else if (!(cleared & PAGEMAP_SOFT_DIRTY) && written & PAGEMAP_SOFT_DIRTY)
		probe_yes(r, "bit 55 of a page went away and came back");
	else
		probe_no(r, "bit 55 of a page is %d after clearing and %d after writing",
		         !!(cleared & PAGEMAP_SOFT_DIRTY), !!(written & PAGEMAP_SOFT_DIRTY));
}

/* ---- userfaultfd ----------------------------------------------------------------------- */

/* Return: a userfaultfd with @features, or -1 with the answer in @r. */
static int userfaultfd_open(int flags, uint64_t features, struct probe_result *r)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	AUTO(fd) int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | flags);

	if (fd < 0) {
		probe_no_errno(r, "userfaultfd");
		return -1;
	}
	if (ioctl(fd, UFFDIO_API, &api)) {
		probe_no_errno(r, "UFFDIO_API");
		return -1;
	}
	return take_fd(&fd);
}

/* Fill a missing page before it is touched: no second thread is needed to see that it works. */
static void fill_missing(int flags, struct probe_result *r)
{
	AUTO(fd) int fd = userfaultfd_open(flags, 0, r);
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	struct uffdio_copy copy = {0};
	static uint8_t content[PAGE_BYTES];
	uint8_t *p = pages(1, r);

	if (fd < 0 || !p)
		return;
	memset(content, 0x5a, sizeof(content));
	reg.range = (struct uffdio_range){(uintptr_t)p, PAGE_BYTES};
	copy.dst = (uintptr_t)p;
	copy.src = (uintptr_t)content;
	copy.len = PAGE_BYTES;
	if (ioctl(fd, UFFDIO_REGISTER, &reg))
		probe_no_errno(r, "UFFDIO_REGISTER");
	else if (ioctl(fd, UFFDIO_COPY, &copy))
		probe_no_errno(r, "UFFDIO_COPY");
	else if (memcmp(p, content, PAGE_BYTES) != 0)
		probe_no(r, "UFFDIO_COPY filled a page with something else");
	else
		probe_yes(r, "a missing page was filled");
}

void probe_userfaultfd(int root, struct probe_result *r)
{
	fill_missing(USER_MODE_ONLY, r);
}

void probe_userfaultfd_kernel(int root, struct probe_result *r)
{
	fill_missing(0, r);
}

void probe_userfaultfd_wp_async(int root, struct probe_result *r)
{
	AUTO(fd)
	int fd = userfaultfd_open(USER_MODE_ONLY, FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED, r);
	struct uffdio_register reg = {.mode = UFFDIO_REGISTER_MODE_WP};
	struct uffdio_writeprotect wp = {.mode = UFFDIO_WRITEPROTECT_MODE_WP};
	uint8_t *p = pages(4, r);
	long n;

	if (fd < 0 || !p)
		return;
	for (size_t i = 0; i < 4; i++)
		p[i * PAGE_BYTES] = 1;
	reg.range = wp.range = (struct uffdio_range){(uintptr_t)p, 4 * PAGE_BYTES};
	if (ioctl(fd, UFFDIO_REGISTER, &reg)) {
		probe_no_errno(r, "UFFDIO_REGISTER");
		return;
	}
	if (ioctl(fd, UFFDIO_WRITEPROTECT, &wp)) {
		probe_no_errno(r, "UFFDIO_WRITEPROTECT");
		return;
	}
	/* Without the asynchronous mode this would wait for ever, and the probe be killed. */
	*(volatile uint8_t *)(p + PAGE_BYTES) = 2;
	n = scan(p, 4, PAGE_IS_WRITTEN);
	if (n < 0)
		probe_no_errno(r, "PAGEMAP_SCAN");
	else if (n == 1)
		probe_yes(r, "1 of 4 protected pages was found written");
	else
		probe_no(r, "%ld protected pages were found written where 1 is", n);
}

/* ---- mappings and files ---------------------------------------------------------------- */

void probe_map_files(int root, struct probe_result *r)
{
	AUTO(fd) int memfd = (int)syscall(SYS_memfd_create, "probe", 1);
	AUTO(fd) int again = -1;
	char path[80], byte = 0;
	void *p;

	if (memfd < 0 || write(memfd, "m", 1) != 1) {
		probe_unknown(r, "memfd_create: %s", strerror(errno));
		return;
	}
	p = mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, memfd, 0);
	if (p == MAP_FAILED) {
		probe_unknown(r, "mmap: %s", strerror(errno));
		return;
	}
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)(uintptr_t)p,
	         (unsigned long)(uintptr_t)p + PAGE_BYTES);
	again = open(path, O_RDONLY | O_CLOEXEC);
	if (again < 0)
		probe_no_errno(r, "/proc/self/map_files");
	else if (pread(again, &byte, 1, 0) != 1 || byte != 'm')
		probe_no(r, "map_files opened another file");
	else
		probe_yes(r, "a mapped file without a name was opened");
}

void probe_memfd(int root, struct probe_result *r)
{
	AUTO(fd) int fd = (int)syscall(SYS_memfd_create, "probe", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		probe_no_errno(r, "memfd_create");
	else if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) || fcntl(fd, F_GET_SEALS) != F_SEAL_WRITE)
		probe_no_errno(r, "F_ADD_SEALS");
	else
		probe_yes(r, "a file was made and sealed");
}

void probe_mseal(int root, struct probe_result *r)
{
	uint8_t *p = pages(1, r);

	if (!p)
		return;
	if (syscall(SYS_mseal, p, PAGE_BYTES, 0))
		probe_no_errno(r, "mseal");
	else if (!munmap(p, PAGE_BYTES))
		probe_no(r, "a sealed page was unmapped");
	else
		probe_yes(r, "a sealed page cannot be unmapped");
}

void probe_guard_regions(int root, struct probe_result *r)
{
	uint8_t *p = pages(1, r);

	if (!p)
		return;
	if (madvise(p, PAGE_BYTES, MADV_GUARD_INSTALL))
		probe_no_errno(r, "MADV_GUARD_INSTALL");
	else
		probe_yes(r, "a guard page was set");
}
