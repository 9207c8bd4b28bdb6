/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore unprivileged=obstacle */
/* Mappings of a file that has no name any more: shared ones stay one file, private ones a copy. */
#include "zoo.h"

#define BYTES (6 * PAGE)

int main(int argc, char **argv)
{
	uint8_t *shared, *again, *private;
	struct stat st;
	int fd;

	zoo_init(argc, argv);
	fd = must(open(zoo_beside("gone"), O_RDWR | O_CREAT | O_TRUNC, 0600));
	must_zero(ftruncate(fd, BYTES));
	shared = must(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	again = must(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 2 * PAGE));
	private = must(mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
	zoo_fill(shared, BYTES, 3);
	zoo_fill(private + PAGE, PAGE, 4);
	must(unlink(zoo_beside("gone")));
	close(fd);

	zoo_snapshot_here();
	zoo_spoil(shared[4 * PAGE] ^= 1);
	zoo_spoil(private[PAGE] ^= 1);
	zoo_spoil(
		must(mmap(again, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)));
	check_eq(zoo_first_wrong(shared, BYTES, 3), -1);
	check_eq(zoo_first_wrong(private + PAGE, PAGE, 4), -1);
	shared[2 * PAGE + 5] = 'Z';
	check_eq(again[5], 'Z');
	check_eq(private[2 * PAGE + 5], 'Z');
	check(stat(zoo_beside("gone"), &st) && errno == ENOENT,
	      "the deleted file has its name back");
	check(strstr(zoo_smaps(shared), "(deleted)"), "the mapping is of a file with a name");
	zoo_pass();
}
