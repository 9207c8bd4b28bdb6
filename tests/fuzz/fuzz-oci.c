/* SPDX-License-Identifier: MIT */
/*
 * Container images on any bytes. The first byte chooses: a configuration; a layer, applied twice
 * and written as a disk; or an archive that should hold an image.
 */
#include "rootfs/layout.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_config(struct span in)
{
	AUTO(arena) struct arena a = {0};
	struct rootfs_config config = {0};
	struct err e = {0};

	assert(!image_config_parse(in, &a, &config, &e) || *e.text);
}

static int file_of(struct span in)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	assert(fd >= 0 && write(fd, in.data, in.len) == (ssize_t)in.len);
	return fd;
}

static void fuzz_layer(struct span in)
{
	struct spool s = {.fd = memfd_create("spool", MFD_CLOEXEC)};
	int fd = file_of(in), out = memfd_create("disk", MFD_CLOEXEC);
	struct stretch all = {fd, 0, in.len};
	AUTO(tree) struct tree t;
	struct err e = {0};
	uint64_t bytes = 0;

	tree_init(&t);
	if (!layer_apply(&t, &s, 1, all, NULL, &e) && !layer_apply(&t, &s, 2, all, NULL, &e)) {
		tree_finish(&t);
		/* A header may claim any size; holes that large are not worth writing here. */
		if (s.end < 64 << 20)
			assert(!erofs_write(&t, s.fd, out, &bytes, &e) && bytes % 4096 == 0);
	} else {
		assert(*e.text);
	}
	close(s.fd);
	close(fd);
	close(out);
}

static void fuzz_archive(struct span in)
{
	AUTO(arena) struct arena a = {0};
	struct image_parts parts;
	struct image_files files;
	int fd = file_of(in);

	if (!image_files_of_archive(&files, (struct stretch){fd, 0, in.len}, NULL)) {
		if (!layout_read(&files, NULL, &a, &parts, NULL))
			assert(parts.layers.count <= LAYERS_MAX);
		if (!docker_read(&files, &a, &parts, NULL))
			assert(parts.layers.count <= LAYERS_MAX);
		image_files_finish(&files);
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] % 3 == 0)
		fuzz_config(SPAN(data + 1, size - 1));
	else if (data[0] % 3 == 1)
		fuzz_layer(SPAN(data + 1, size - 1));
	else
		fuzz_archive(SPAN(data + 1, size - 1));
	return 0;
}
