/* SPDX-License-Identifier: MIT */
/* A container image becomes a machine that has started already. */
#include <fcntl.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "oci/rootfs.h"

static const struct verb_option options[] = {
	{"write-disk", "FILE", "write the image's disk there and do not start", false},
	{"quiet", NULL, "say nothing when it went well", false},
};

static void say_step(void *arg, const char *step, uint64_t done, uint64_t total)
{
	if (total > 1)
		fprintf(stderr, "%s %llu of %llu\n", step, (unsigned long long)done,
		        (unsigned long long)total);
	else
		fprintf(stderr, "%s\n", step);
}

static int write_disk(struct args *args, const char *path)
{
	const struct rootfs_options how = {.progress = arg_is_set(args, "quiet") ? NULL : say_step};
	AUTO(arena) struct arena a = {0};
	struct rootfs_report report;
	struct err e = {0};
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644), r;
	char size[16];

	if (fd < 0) {
		err_set(&e, -errno, "%s", path);
		return say_error(&e);
	}
	r = rootfs_build(args->operands[0], fd, &how, &a, &report, &e);
	close(fd);
	if (r) {
		unlink(path);
		return say_error(&e);
	}
	if (!arg_is_set(args, "quiet"))
		printf("%s: %s of %u layers, %llu files, %s\n", path, report.source, report.layers,
		       (unsigned long long)report.inodes, text_of_bytes(size, report.disk_bytes));
	return EXIT_DONE;
}

static int run(struct args *args)
{
	const char *disk = arg_value(args, "write-disk");

	if (disk)
		return write_disk(args, disk);
	return say_usage(args, "--write-disk is needed");
}

const struct verb verb_bake = {
	.name = "bake",
	.operands = "IMAGE",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Start a container image once, so that nobody waits for it again",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
