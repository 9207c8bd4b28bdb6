/* SPDX-License-Identifier: MIT */
/* A bake, for the verb of that name and for the first run of an image. */
#ifndef WSLX_CMD_BAKE_H
#define WSLX_CMD_BAKE_H

#include "cmd/bake-machine.h"
#include "cmd/cmd.h"
#include "flow/container.h"

/* Of an image that is pulled, or fetched to be baked, unless --limit says otherwise. */
#define IMAGE_LIMIT_BYTES (UINT64_C(64) << 30)

/* Options of both verbs that say what the machine is; they belong to what a bake is known by. */
#define BAKE_OPTIONS                                                                               \
	{"memory", "SIZE", "RAM of the machine; 256M if it is not given", false},                  \
		{"cmd", "WORDS", "start this instead of what the image says", false},              \
	{                                                                                          \
		"kernel", "FILE",                                                                  \
			"a bzImage whose modules are beside it; found if it is not given", false   \
	}

struct bake {
	const char *image;          /* as rootfs_build() takes it, or a reference */
	const char *name;           /* of the snapshot; NULL for bake_write_disk() */
	const char *words;          /* to start instead of what the image says; or NULL */
	const char *kernel, *guest; /* NULL: found */
	struct container_source from;
	uint64_t ram_bytes;
	unsigned timeout_s;
	struct settle_rule rule;
	bool has_net; /* the machine has a network device */
	bool fast;    /* compressed less: somebody waits, and it may never be sent anywhere */
	bool replace, sealed, verbose, quiet;
	bool one_line; /* progress in one line, which goes away */
};

/* Defaults, and what BAKE_OPTIONS say. Return: 0; EXIT_USAGE, said. */
int bake_take_options(struct args *args, struct bake *b);
/* Make the snapshot. Tells its progress. */
MUST_CHECK int bake_image(const struct bake *b, struct err *e);
/* Make the image's disk only. */
MUST_CHECK int bake_write_disk(const struct bake *b, const char *path, struct err *e);

/* The file of a kernel, as the label "bake.kernel" knows it; the caller frees it. */
char *bake_kernel_id(const char *kernel);
/* What the label "bake.options" says of a bake; the caller frees it. */
char *bake_options_text(const struct bake *b);

#endif
