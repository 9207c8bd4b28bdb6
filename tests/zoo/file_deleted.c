/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Files without a name: small, larger than a MiB, sparse, read only, and one held twice. */
#include "zoo.h"

#define BIG (3 << 20)

static int make(const char *name, int flags)
{
	int fd = must(open(zoo_beside(name), flags | O_CREAT | O_TRUNC, 0640));

	must(unlink(zoo_beside(name)));
	return fd;
}

int main(int argc, char **argv)
{
	int small, big, sparse, reader, twin;
	uint8_t *data = must(malloc(BIG));
	char path[64], text[32] = "";
	struct stat st;

	zoo_init(argc, argv);
	small = make("small", O_RDWR);
	must(write(small, "small content", 13));
	must(lseek(small, 6, SEEK_SET));
	big = make("big", O_RDWR | O_APPEND);
	zoo_fill(data, BIG, 5);
	check_eq(write(big, data, BIG), BIG);
	sparse = make("sparse", O_RDWR);
	must_zero(ftruncate(sparse, 1ll << 35));
	must(pwrite(sparse, "far", 3, 1ll << 34));
	must(fchmod(sparse, 0600));
	/* Two descriptions of one nameless file, one of them read only. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", small);
	reader = must(open(path, O_RDONLY));
	twin = must(dup(small));
	must(lseek(reader, 2, SEEK_SET));

	zoo_snapshot_here();
	zoo_spoil(must(pwrite(big, "x", 1, 0)));
	zoo_spoil(must_zero(ftruncate(sparse, 7)));
	zoo_spoil(must(lseek(reader, 0, SEEK_SET)));
	zoo_spoil(must(pwrite(sparse, "far", 3, 1ll << 33)));
	check_eq(read(twin, text, 3), 3);
	check_text(text, "con");
	check_eq(lseek(small, 0, SEEK_CUR), 9);
	must(pwrite(small, "SMALL", 5, 0));
	check_eq(read(reader, text, 3), 3);
	check_text(text, "ALL");
	must_refuse(write(reader, "x", 1), EBADF);
	must(fstat(small, &st));
	check_eq(st.st_nlink, 0);
	check_eq(st.st_mode & 07777, 0640);
	must(fstat(big, &st));
	check_eq(st.st_size, BIG);
	check_eq(pread(big, data, BIG, 0), BIG);
	check_eq(zoo_first_wrong(data, BIG, 5), -1);
	check_eq(lseek(big, 0, SEEK_CUR), BIG);
	check(must(fcntl(big, F_GETFL)) & O_APPEND, "O_APPEND was lost");
	must(fstat(sparse, &st));
	check_eq(st.st_size, 1ll << 35);
	check_eq(st.st_mode & 07777, 0600);
	check(st.st_blocks < 10000, "a sparse file was filled: %lld blocks",
	      (long long)st.st_blocks);
	check_eq(pread(sparse, text, 3, 1ll << 34), 3);
	check(!memcmp(text, "far", 3), "content of the sparse file");
	check_eq(lseek(sparse, 0, SEEK_DATA), 1ll << 34);
	check(access(zoo_beside("big"), F_OK), "a deleted file has its name back");
	zoo_pass();
}
