/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Every madvise() flag that stays with the mapping is still there, each on an area of its own. */
#include "zoo.h"

static const struct {
	int advice;
	const char *flag; /* as VmFlags shows it */
	const char *name;
} advices[] = {
	{MADV_NORMAL, NULL, "normal"},         {MADV_HUGEPAGE, "hg", "hugepage"},
	{MADV_NOHUGEPAGE, "nh", "nohugepage"}, {MADV_DONTFORK, "dc", "dontfork"},
	{MADV_DONTDUMP, "dd", "dontdump"},     {MADV_WIPEONFORK, "wf", "wipeonfork"},
	{MADV_MERGEABLE, "mg", "mergeable"},   {MADV_SEQUENTIAL, "sr", "sequential"},
	{MADV_RANDOM, "rr", "random"},
};

int main(int argc, char **argv)
{
	const size_t bytes = 3 * PAGE;
	uint8_t *m[ZOO_LEN(advices)];

	zoo_init(argc, argv);
	for (size_t i = 0; i < ZOO_LEN(advices); i++) {
		m[i] = must(mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		                 -1, 0));
		zoo_fill(m[i], bytes, (uint32_t)i);
		must(madvise(m[i], bytes, advices[i].advice));
	}

	zoo_snapshot_here();
	zoo_spoil(must(madvise(m[3], bytes, MADV_DOFORK)));
	zoo_spoil(must(madvise(m[0], bytes, MADV_RANDOM)));
	zoo_spoil(must(madvise(m[1] + PAGE, PAGE, MADV_NOHUGEPAGE)));
	zoo_spoil(m[5][PAGE]++);
	for (size_t i = 0; i < ZOO_LEN(advices); i++) {
		for (size_t j = 1; j < ZOO_LEN(advices); j++)
			for (size_t page = 0; page < bytes; page += PAGE)
				check(zoo_vma_has(m[i] + page, advices[j].flag) == (i == j),
				      "area '%s' and flag '%s'", advices[i].name, advices[j].flag);
		check_eq(zoo_first_wrong(m[i], bytes, (uint32_t)i), -1);
	}
	/* What the flags do, not only what is shown. */
	pid_t child = must(fork());
	if (!child) {
		unsigned char in;

		must_refuse(mincore(m[3], PAGE, &in), ENOMEM);
		for (size_t i = 0; i < bytes; i++)
			check(!m[5][i], "a wipe-on-fork page came through fork");
		exit(0);
	}
	zoo_finish_child(child);
	zoo_pass();
}
