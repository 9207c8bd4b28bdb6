/* SPDX-License-Identifier: MIT */
/*
 * A file system in memory: names, inodes, and where in the spool a file's bytes are. Layers are
 * applied to it; erofs.c writes it out.
 */
#ifndef WSLX_ROOTFS_TREE_H
#define WSLX_ROOTFS_TREE_H

#include "base/base.h"

#define TREE_INODES_MAX (8u << 20)
#define TREE_DEPTH_MAX 512
#define TREE_NAME_MAX 255u
#define TREE_PATH_MAX 4096u
#define TREE_XATTR_BYTES_MAX 65535u

struct tree_xattr {
	const char *name; /* with its prefix, "user.x" */
	struct span value;
};

struct tree_entry;

struct tree_inode {
	uint32_t mode; /* type and permissions, as in struct stat */
	uint32_t uid, gid;
	uint32_t major, minor;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint64_t bytes;      /* of a regular file's content */
	uint64_t data_at;    /* in the spool */
	const char *target;  /* of a symbolic link */
	struct list xattrs;  /* struct tree_xattr, sorted by name */
	struct list entries; /* of a directory: struct tree_entry *, sorted by tree_finish() */
	struct tree_inode *parent; /* of a directory */
	uint32_t depth;
	uint32_t n_links; /* set by tree_finish(), as everything below */
	uint32_t number;
	uint64_t meta_at; /* erofs.c: where its inode is, and its data */
	uint32_t block;
	uint32_t xattr_bytes;
	bool is_inline;
};

struct tree_entry {
	const char *name;
	struct tree_inode *dir; /* NULL once it is removed */
	struct tree_inode *inode;
	struct tree_entry *next_in_bucket;
	unsigned layer; /* that has put it here */
};

struct tree {
	struct arena arena;
	struct tree_inode *root;
	struct tree_entry **bucket;
	size_t n_buckets, n_entries;
	uint64_t n_inodes;
};

/* One member of a layer. Everything is borrowed. */
struct tree_item {
	const char *path;
	const char *hardlink;    /* NULL, or the path of which this is another name */
	struct tree_inode inode; /* mode, owner, device, times, target, xattrs, bytes, data_at */
};

void tree_init(struct tree *t);
void tree_finish_memory(struct tree *t);
static inline void auto_tree(struct tree *t)
{
	tree_finish_memory(t);
}

/**
 * tree_path_check() - whether a member's name is one that can be put into a tree
 * Return: 0; -EBADMSG for "..", a name that is too long, or bytes after a NUL.
 */
MUST_CHECK int tree_path_check(const char *path, struct err *e);

/**
 * tree_add() - put a member of layer @layer into the tree
 *
 * A directory that is there already keeps what is in it; anything else gives way. Parents that
 * are missing are made. Symbolic links in the path, but for its last part, are followed within
 * the tree, as extracting there would.
 * Return: 0; -EBADMSG with a sentence.
 */
MUST_CHECK int tree_add(struct tree *t, unsigned layer, const struct tree_item *item,
                        struct err *e);

/* Remove what layers below @layer have put at @path; nothing there is fine. */
MUST_CHECK int tree_whiteout(struct tree *t, unsigned layer, const char *path, struct err *e);
/* Remove everything in the directory @path that layers below @layer have put there. */
MUST_CHECK int tree_opaque(struct tree *t, unsigned layer, const char *path, struct err *e);

/**
 * tree_finish() - sort, number and count: afterwards nothing may be added
 *
 * Inodes are numbered from 1 in the order of a walk by name, so that equal trees are equal
 * whatever layers they came from.
 */
void tree_finish(struct tree *t);

/**
 * tree_walk() - call @visit for every inode once, in the order of their numbers
 */
int tree_walk(struct tree *t, int (*visit)(void *arg, struct tree_inode *i), void *arg);

/* The inode at @path, followed like a parent's; NULL if there is none. */
struct tree_inode *tree_find(struct tree *t, const char *path);

/* ---- erofs.c ---------------------------------------------------------------------------- */

/**
 * erofs_write() - write a finished tree as an EROFS file system
 * @spool: where file contents are
 * @out:   an empty file
 */
MUST_CHECK int erofs_write(struct tree *t, int spool, int out, uint64_t *disk_bytes, struct err *e);

#endif
