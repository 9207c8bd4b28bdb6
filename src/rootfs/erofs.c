/* SPDX-License-Identifier: MIT */
/*
 * EROFS, written without compression (Documentation/filesystems/erofs.rst, fs/erofs/erofs_fs.h):
 *
 * | block  | what                                                                       |
 * |--------|----------------------------------------------------------------------------|
 * | 0      | superblock at byte 1024                                                    |
 * | 1...   | whole blocks of files and directories, in the order of a walk by name      |
 * | meta.. | inodes of 64 bytes, each followed by its attributes and the last, partial  |
 * |        | block of its data                                                          |
 *
 * Not compressed, because the store compresses what it keeps in larger frames and finds equal
 * ones, and because unpacking inside of the guest would be done by an interpreted CPU. Metadata
 * stands behind the data so that both can be written in one pass once sizes are known.
 *
 * The superblock's uuid and time are zero: nothing in the file depends on when it was made.
 */
#include <string.h>
#include <sys/stat.h>

#include "os/os.h"
#include "rootfs/tree.h"

#define BLOCK 4096u
#define SUPER_AT 1024u
#define SUPER_BYTES 128u
#define MAGIC 0xe0f5e1e2u
#define INODE_BYTES 64u
#define NID_BYTES 32u
#define DIRENT_BYTES 12u
#define XATTR_HEADER_BYTES 12u
#define XATTR_ENTRY_BYTES 4u
#define XATTR_BYTES_MAX 65536u
#define FORMAT_EXTENDED 1u
#define FORMAT_PLAIN (0u << 1)
#define FORMAT_INLINE (2u << 1)

enum file_type {
	TYPE_UNKNOWN,
	TYPE_REG,
	TYPE_DIR,
	TYPE_CHR,
	TYPE_BLK,
	TYPE_FIFO,
	TYPE_SOCK,
	TYPE_LNK
};

static void put(uint8_t *at, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t blocks_of(uint64_t bytes)
{
	return (bytes + BLOCK - 1) / BLOCK;
}

/* ---- attributes ------------------------------------------------------------------------- */

/* Attribute names are kept without their prefix. Return: 0 for one that EROFS cannot hold. */
static unsigned xattr_index(const char *name, const char **rest)
{
	static const struct {
		const char *prefix;
		unsigned index;
		bool whole;
	} known[] = {
		{"user.", 1, false},
		{"system.posix_acl_access", 2, true},
		{"system.posix_acl_default", 3, true},
		{"trusted.", 4, false},
		{"security.", 6, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		*rest = name + strlen(known[i].prefix);
		if (text_starts(name, known[i].prefix) && known[i].whole == !**rest)
			return known[i].index;
	}
	return 0;
}

static uint32_t xattr_entry_bytes(const struct tree_xattr *x)
{
	const char *rest;

	if (!xattr_index(x->name, &rest) || strlen(rest) > UINT8_MAX ||
	    x->value.len > TREE_XATTR_BYTES_MAX)
		return 0;
	return (uint32_t)(XATTR_ENTRY_BYTES + strlen(rest) + x->value.len + 3) & ~3u;
}

/* 0, or the header and all entries. */
static uint32_t xattr_bytes(const struct tree_inode *i)
{
	uint64_t sum = 0;

	LIST_EACH(&i->xattrs, const struct tree_xattr, x)
		sum += xattr_entry_bytes(x);
	return !sum || sum > XATTR_BYTES_MAX ? 0 : (uint32_t)sum + XATTR_HEADER_BYTES;
}

static void put_xattrs(uint8_t *at, const struct tree_inode *i)
{
	at += XATTR_HEADER_BYTES; /* no shared ones: all zero */
	LIST_EACH(&i->xattrs, const struct tree_xattr, x) {
		uint32_t bytes = xattr_entry_bytes(x);
		const char *rest;

		if (!bytes)
			continue;
		at[1] = (uint8_t)xattr_index(x->name, &rest);
		at[0] = (uint8_t)strlen(rest);
		put(at + 2, x->value.len, 2);
		memcpy(at + 4, rest, at[0]);
		if (x->value.len)
			memcpy(at + 4 + at[0], x->value.data, x->value.len);
		at += bytes;
	}
}

/* ---- directories ------------------------------------------------------------------------ */

/* A directory's n-th name of those it has on disk: its own and its parent's among them, sorted. */
struct dir_cursor {
	const struct tree_inode *dir;
	size_t next;
	unsigned dots; /* of "." and "..": how many were given */
};

struct dir_name {
	const char *name;
	const struct tree_inode *inode;
};

static bool next_name(struct dir_cursor *c, struct dir_name *out)
{
	static const char *const dots[] = {".", ".."};
	struct tree_entry *entry = NULL;

	if (c->next < c->dir->entries.count)
		entry = *LIST_AT(&c->dir->entries, struct tree_entry *, c->next);
	if (c->dots < 2 && (!entry || strcmp(dots[c->dots], entry->name) < 0)) {
		*out = (struct dir_name){dots[c->dots], c->dots ? c->dir->parent : c->dir};
		c->dots++;
		return true;
	}
	if (!entry)
		return false;
	c->next++;
	*out = (struct dir_name){entry->name, entry->inode};
	return true;
}

static enum file_type type_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return TYPE_REG;
	case S_IFDIR:
		return TYPE_DIR;
	case S_IFCHR:
		return TYPE_CHR;
	case S_IFBLK:
		return TYPE_BLK;
	case S_IFIFO:
		return TYPE_FIFO;
	case S_IFSOCK:
		return TYPE_SOCK;
	case S_IFLNK:
		return TYPE_LNK;
	default:
		return TYPE_UNKNOWN;
	}
}

/* One block's worth of names from @from on: entries first, then the names, without a NUL. */
static unsigned names_in_block(struct dir_cursor from, uint32_t *used)
{
	struct dir_name name;
	unsigned n = 0;

	*used = 0;
	while (next_name(&from, &name)) {
		uint32_t more = DIRENT_BYTES + (uint32_t)strlen(name.name);

		if (*used + more > BLOCK)
			break;
		*used += more;
		n++;
	}
	return n;
}

static uint64_t dir_bytes(const struct tree_inode *dir)
{
	struct dir_cursor c = {.dir = dir};
	uint64_t whole = 0;

	for (;;) {
		struct dir_name name;
		uint32_t used;
		unsigned n = names_in_block(c, &used);

		while (n--)
			next_name(&c, &name);
		if (c.dots == 2 && c.next == dir->entries.count)
			return whole + used;
		whole += BLOCK;
	}
}

/* @out is zeroed and has room for all of it, rounded up to blocks. */
static void put_dir(uint8_t *out, const struct tree_inode *dir)
{
	struct dir_cursor c = {.dir = dir};
	uint32_t used;
	unsigned n;

	for (; (n = names_in_block(c, &used)); out += BLOCK) {
		uint32_t name_at = n * DIRENT_BYTES;

		for (unsigned k = 0; k < n; k++) {
			uint8_t *entry = out + k * DIRENT_BYTES;
			struct dir_name name;

			if (!next_name(&c, &name))
				return;
			put(entry, name.inode->meta_at / NID_BYTES, 8);
			put(entry + 8, name_at, 2);
			entry[10] = (uint8_t)type_of(name.inode->mode);
			memcpy(out + name_at, name.name, strlen(name.name));
			name_at += (uint32_t)strlen(name.name);
		}
	}
}

/* ---- places ----------------------------------------------------------------------------- */

struct layout {
	uint64_t next_block;
	uint64_t next_meta; /* bytes from the first metadata block */
};

static uint64_t bytes_of(const struct tree_inode *i)
{
	return S_ISDIR(i->mode)   ? dir_bytes(i)
	       : S_ISLNK(i->mode) ? strlen(i->target)
	       : S_ISREG(i->mode) ? i->bytes
	                          : 0;
}

static uint32_t tail_of(const struct tree_inode *i)
{
	return i->is_inline ? (uint32_t)(i->bytes % BLOCK) : 0;
}

static int place(void *arg, struct tree_inode *i)
{
	struct layout *l = arg;
	uint64_t blocks;
	uint32_t room;

	i->bytes = bytes_of(i);
	i->xattr_bytes = xattr_bytes(i);
	room = INODE_BYTES + i->xattr_bytes;
	/* What stands behind the inode must not cross a block (erofs_read_metabuf). */
	i->is_inline = i->bytes % BLOCK && room + i->bytes % BLOCK <= BLOCK;
	room += tail_of(i);
	l->next_meta = (l->next_meta + INODE_BYTES - 1) / INODE_BYTES * INODE_BYTES;
	if (i->is_inline && l->next_meta % BLOCK + room > BLOCK)
		l->next_meta = blocks_of(l->next_meta) * BLOCK;
	i->meta_at = l->next_meta;
	l->next_meta += room;
	blocks = i->is_inline ? i->bytes / BLOCK : blocks_of(i->bytes);
	if (l->next_block + blocks > UINT32_MAX)
		return -EFBIG;
	i->block = blocks ? (uint32_t)l->next_block : 0;
	l->next_block += blocks;
	return 0;
}

/* ---- bytes ------------------------------------------------------------------------------ */

struct writing {
	int spool, out;
	uint8_t *meta;
	struct err *e;
};

static bool is_zero(const uint8_t *data, size_t len)
{
	return !len || (!data[0] && !memcmp(data, data + 1, len - 1));
}

/* Copy whole blocks; those that are zero stay holes. */
static int copy(struct writing *w, uint64_t from, uint64_t to, uint64_t bytes)
{
	static uint8_t buffer[64 * BLOCK];
	int r = 0;

	for (uint64_t done = 0; !r && done < bytes;) {
		size_t n = (size_t)MIN(bytes - done, sizeof(buffer));

		r = os_pread_all(w->spool, buffer, n, from + done);
		if (!r && !is_zero(buffer, n))
			r = os_pwrite_all(w->out, buffer, n, to + done);
		done += n;
	}
	return r;
}

static int write_dir(struct writing *w, const struct tree_inode *i)
{
	uint64_t room = blocks_of(i->bytes) * BLOCK, whole = i->bytes - tail_of(i);
	uint8_t *data = xalloc((size_t)room);
	int r;

	put_dir(data, i);
	r = os_pwrite_all(w->out, data, (size_t)whole, (uint64_t)i->block * BLOCK);
	if (tail_of(i))
		memcpy(w->meta + i->meta_at + INODE_BYTES + i->xattr_bytes, data + whole,
		       tail_of(i));
	free(data);
	return r;
}

static int write_data(struct writing *w, const struct tree_inode *i)
{
	uint64_t whole = i->bytes - tail_of(i);
	uint8_t *tail = w->meta + i->meta_at + INODE_BYTES + i->xattr_bytes;
	int r;

	if (S_ISDIR(i->mode))
		return write_dir(w, i);
	if (S_ISLNK(i->mode)) {
		if (tail_of(i))
			memcpy(tail, i->target + whole, tail_of(i));
		return whole ? os_pwrite_all(w->out, i->target, (size_t)whole,
		                             (uint64_t)i->block * BLOCK)
		             : 0;
	}
	r = copy(w, i->data_at, (uint64_t)i->block * BLOCK, whole);
	if (!r && tail_of(i))
		r = os_pread_all(w->spool, tail, tail_of(i), i->data_at + whole);
	return r;
}

static void put_inode(uint8_t *at, const struct tree_inode *i)
{
	uint32_t u = i->block;

	if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
		u = (i->minor & 0xff) | i->major << 8 | (i->minor & ~0xffu) << 12;
	put(at, FORMAT_EXTENDED | (i->is_inline ? FORMAT_INLINE : FORMAT_PLAIN), 2);
	put(at + 2, i->xattr_bytes ? (i->xattr_bytes - XATTR_HEADER_BYTES) / 4 + 1 : 0, 2);
	put(at + 4, i->mode, 2);
	put(at + 8, i->bytes, 8);
	put(at + 16, u, 4);
	put(at + 20, i->number, 4);
	put(at + 24, i->uid, 4);
	put(at + 28, i->gid, 4);
	put(at + 32, (uint64_t)i->mtime_s, 8);
	put(at + 40, i->mtime_ns, 4);
	put(at + 44, i->n_links, 4);
	if (i->xattr_bytes)
		put_xattrs(at + INODE_BYTES, i);
}

static int write_inode(void *arg, struct tree_inode *i)
{
	struct writing *w = arg;
	int r = i->bytes ? write_data(w, i) : 0;

	put_inode(w->meta + i->meta_at, i);
	return r ? err_set(w->e, r, "writing the disk") : 0;
}

static int write_super(struct tree *t, const struct layout *l, int out)
{
	uint8_t super[SUPER_BYTES] = {0};

	put(super, MAGIC, 4);
	super[12] = 12; /* log2 of a block */
	put(super + 14, t->root->meta_at / NID_BYTES, 2);
	put(super + 16, t->n_inodes, 8);
	put(super + 36, l->next_block + blocks_of(l->next_meta), 4);
	put(super + 40, l->next_block, 4); /* where metadata begins */
	memcpy(super + 64, "wslx", 4);     /* the volume's name */
	return os_pwrite_all(out, super, sizeof(super), SUPER_AT);
}

int erofs_write(struct tree *t, int spool, int out, uint64_t *disk_bytes, struct err *e)
{
	/* Number 0 would be no inode: readdir(3) leaves out names that have it. */
	struct layout l = {.next_block = 1, .next_meta = INODE_BYTES};
	struct writing w = {.spool = spool, .out = out, .e = e};
	uint64_t meta_bytes, total;
	int r = tree_walk(t, place, &l);

	if (r || l.next_block + blocks_of(l.next_meta) > UINT32_MAX)
		return err_say(e, -EFBIG, "it is larger than a disk of 16 TiB");
	meta_bytes = blocks_of(l.next_meta) * BLOCK;
	total = l.next_block * BLOCK + meta_bytes;
	/* Everything that is not written is zero. */
	if (ftruncate(out, 0) || ftruncate(out, (off_t)total))
		return err_set(e, -errno, "making a disk of %llu bytes", (unsigned long long)total);
	w.meta = xalloc((size_t)meta_bytes);
	r = tree_walk(t, write_inode, &w);
	if (!r) {
		r = os_pwrite_all(out, w.meta, (size_t)meta_bytes, l.next_block * BLOCK);
		if (!r)
			r = write_super(t, &l, out);
		if (r)
			err_set(e, r, "writing the disk");
	}
	free(w.meta);
	*disk_bytes = total;
	return r;
}
