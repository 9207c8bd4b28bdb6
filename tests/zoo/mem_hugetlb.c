/* SPDX-License-Identifier: MIT */
/* zoo: expect=either needs=root unprivileged=no */
/* hugetlbfs pages, private and shared: restored, or refused by name. */
#include "zoo.h"

#define HUGE (2ul << 20)

int main(int argc, char **argv)
{
	uint8_t *private, *shared;

	zoo_init(argc, argv);
	private = mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (private == MAP_FAILED)
		zoo_skip("no huge pages are set aside (vm.nr_hugepages)");
	shared = must(mmap(NULL, HUGE, PROT_READ | PROT_WRITE,
	                   MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0));
	zoo_fill(private, HUGE, 1);
	zoo_fill(shared, HUGE, 2);

	zoo_snapshot_here();
	zoo_spoil(private[9]++);
	zoo_spoil(shared[9]++);
	check_eq(zoo_first_wrong(private, HUGE, 1), -1);
	check_eq(zoo_first_wrong(shared, HUGE, 2), -1);
	check(zoo_vma_has(private, "ht"), "private: no longer a huge page");
	check(zoo_vma_has(shared, "ht"), "shared: no longer a huge page");
	zoo_pass();
}
