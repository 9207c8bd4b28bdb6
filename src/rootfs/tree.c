/* SPDX-License-Identifier: MIT */
#include "rootfs/tree.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 40 /* symbolic links followed in one path, as in Linux */
#define BUCKETS_MIN 1024u

/* ---- names ------------------------------------------------------------------------------ */

static size_t bucket_of(const struct tree *t, const struct tree_inode *dir, const char *name,
                        size_t len)
{
	uint64_t h = 0xcbf29ce484222325 ^ (uintptr_t)dir;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3;
	return (h ^ h >> 29) & (t->n_buckets - 1);
}

static struct tree_entry *look_up(const struct tree *t, const struct tree_inode *dir,
                                  const char *name, size_t len)
{
	struct tree_entry *it = t->bucket[bucket_of(t, dir, name, len)];

	for (; it; it = it->next_in_bucket)
		if (it->dir == dir && !strncmp(it->name, name, len) && !it->name[len])
			return it;
	return NULL;
}

static void grow(struct tree *t)
{
	struct tree_entry **old = t->bucket;
	size_t n_old = t->n_buckets;

	t->n_buckets = n_old ? 2 * n_old : BUCKETS_MIN;
	t->bucket = xalloc(t->n_buckets * sizeof(*t->bucket));
	for (size_t i = 0; i < n_old; i++) {
		for (struct tree_entry *it = old[i], *next; it; it = next) {
			size_t at = bucket_of(t, it->dir, it->name, strlen(it->name));

			next = it->next_in_bucket;
			it->next_in_bucket = t->bucket[at];
			t->bucket[at] = it;
		}
	}
	free(old);
}

/* Takes the entry out of the table; its directory's list drops it in tree_finish(). */
static void unhash(struct tree *t, struct tree_entry *entry)
{
	struct tree_entry **at =
		&t->bucket[bucket_of(t, entry->dir, entry->name, strlen(entry->name))];

	while (*at != entry)
		at = &(*at)->next_in_bucket;
	*at = entry->next_in_bucket;
	entry->dir = NULL;
	t->n_entries--;
}

/* What is below a removed directory can not be reached any more and so needs no removing. */
static struct tree_entry *link_in(struct tree *t, struct tree_inode *dir, const char *name,
                                  size_t len, struct tree_inode *inode, unsigned layer)
{
	struct tree_entry *entry = ARENA_NEW(&t->arena, struct tree_entry);
	char *copy = arena_alloc(&t->arena, len + 1);
	size_t at;

	memcpy(copy, name, len);
	if (t->n_entries >= t->n_buckets)
		grow(t);
	at = bucket_of(t, dir, copy, len);
	*entry = (struct tree_entry){copy, dir, inode, t->bucket[at], layer};
	t->bucket[at] = entry;
	t->n_entries++;
	*LIST_ADD(&dir->entries, &t->arena, struct tree_entry *) = entry;
	return entry;
}

static struct tree_inode *new_inode(struct tree *t, const struct tree_inode *like)
{
	struct tree_inode *i = ARENA_NEW(&t->arena, struct tree_inode);

	*i = *like;
	t->n_inodes++;
	return i;
}

static const struct tree_inode plain_directory = {.mode = S_IFDIR | 0755};

void tree_init(struct tree *t)
{
	*t = (struct tree){0};
	grow(t);
	t->root = new_inode(t, &plain_directory);
	t->root->parent = t->root;
}

void tree_finish_memory(struct tree *t)
{
	free(t->bucket);
	arena_finish(&t->arena);
	*t = (struct tree){0};
}

/* ---- paths ------------------------------------------------------------------------------ */

/* The next part of a path; NULL at its end. */
static const char *next_part(const char **rest, size_t *len)
{
	const char *at = *rest;

	for (;;) {
		at += strspn(at, "/");
		*len = strcspn(at, "/");
		if (*len == 1 && *at == '.') {
			at++;
			continue;
		}
		*rest = at + *len;
		return *len ? at : NULL;
	}
}

static bool is_last(const char *rest)
{
	size_t len;

	return !next_part(&rest, &len);
}

int tree_path_check(const char *path, struct err *e)
{
	const char *rest = path, *part;
	unsigned depth = 0;
	size_t len;

	if (strlen(path) >= TREE_PATH_MAX)
		return err_say(e, -EBADMSG, "a name in it is longer than a path may be");
	while ((part = next_part(&rest, &len))) {
		if (len > TREE_NAME_MAX || ++depth > TREE_DEPTH_MAX)
			return err_say(e, -EBADMSG, "a name in it is too long or too deep");
		if (len == 2 && part[0] == '.' && part[1] == '.')
			return err_say(e, -EBADMSG, "a name in it has \"..\" in it");
	}
	return 0;
}

/* A place in the tree: the directory, and the last part of the path in it. */
struct place {
	struct tree_inode *dir;
	const char *name; /* NULL: the path is the root itself */
	size_t len;
};

/**
 * walk_to() - find the directory of a path, following symbolic links on the way
 * @rest:  a buffer of 2 * TREE_PATH_MAX with the path; @out points into it
 * @layer: make missing directories on its behalf; 0: do not
 *
 * Return: 0; -ENOENT, -ENOTDIR, -ELOOP, -ENAMETOOLONG, without a sentence.
 */
static int walk_to(struct tree *t, char *rest, unsigned layer, struct place *out)
{
	struct tree_inode *dir = t->root;
	const char *at = rest, *part;
	unsigned links = 0;
	size_t len;

	while ((part = next_part(&at, &len))) {
		struct tree_entry *entry;
		const char *target;

		if (len == 2 && part[0] == '.' && part[1] == '.') {
			dir = dir->parent;
			continue;
		}
		if (is_last(at)) {
			*out = (struct place){dir, part, len};
			return 0;
		}
		entry = look_up(t, dir, part, len);
		if (!entry && !layer)
			return -ENOENT;
		if (!entry) {
			if (dir->depth >= TREE_DEPTH_MAX || len > TREE_NAME_MAX)
				return -ENAMETOOLONG;
			entry = link_in(t, dir, part, len, new_inode(t, &plain_directory), layer);
			entry->inode->parent = dir;
			entry->inode->depth = dir->depth + 1;
		}
		if (S_ISDIR(entry->inode->mode)) {
			dir = entry->inode;
			continue;
		}
		target = entry->inode->target;
		if (!S_ISLNK(entry->inode->mode))
			return -ENOTDIR;
		if (++links > LINKS_MAX)
			return -ELOOP;
		if (strlen(target) + 1 + strlen(at) >= 2 * TREE_PATH_MAX)
			return -ENAMETOOLONG;
		memmove(rest + strlen(target), at, strlen(at) + 1);
		memcpy(rest, target, strlen(target));
		at = rest;
		if (*target == '/')
			dir = t->root;
	}
	*out = (struct place){.dir = dir};
	return 0;
}

static int find_place(struct tree *t, const char *path, char *rest, unsigned layer,
                      struct place *out, struct err *e)
{
	int r = tree_path_check(path, e);

	if (r)
		return r;
	snprintf(rest, (size_t)2 * TREE_PATH_MAX, "%s", path);
	r = walk_to(t, rest, layer, out);
	if (!r || r == -ENOENT)
		return r;
	err_say(e, -EBADMSG, "%s: its directory: %s", path, strerror(-r));
	return -EBADMSG;
}

struct tree_inode *tree_find(struct tree *t, const char *path)
{
	char rest[2 * TREE_PATH_MAX];
	struct tree_entry *entry;
	struct place p;

	/* A final "." makes the last part one that is followed. */
	if (tree_path_check(path, NULL))
		return NULL;
	snprintf(rest, (size_t)2 * TREE_PATH_MAX, "%s", path);
	if (walk_to(t, rest, 0, &p))
		return NULL;
	if (!p.name)
		return p.dir;
	entry = look_up(t, p.dir, p.name, p.len);
	return entry ? entry->inode : NULL;
}

/* ---- changes ---------------------------------------------------------------------------- */

/* Metadata for a directory that is there already. */
static void overwrite(struct tree_inode *dir, const struct tree_inode *from)
{
	dir->mode = from->mode;
	dir->uid = from->uid;
	dir->gid = from->gid;
	dir->mtime_s = from->mtime_s;
	dir->mtime_ns = from->mtime_ns;
	dir->xattrs = from->xattrs;
}

/* The tree's own copy of what an item points to. */
static void own(struct tree *t, struct tree_inode *i)
{
	struct list xattrs = {0};

	if (i->target)
		i->target = arena_text(&t->arena, i->target);
	LIST_EACH(&i->xattrs, const struct tree_xattr, x) {
		*LIST_ADD(&xattrs, &t->arena, struct tree_xattr) = (struct tree_xattr){
			arena_text(&t->arena, x->name),
			SPAN(arena_copy(&t->arena, x->value.data, x->value.len), x->value.len)};
	}
	i->xattrs = xattrs;
	i->entries = (struct list){0};
}

static int find_link(struct tree *t, const struct tree_item *item, struct tree_inode **out,
                     struct err *e)
{
	char rest[2 * TREE_PATH_MAX];
	struct tree_entry *entry = NULL;
	struct place p;
	int r = find_place(t, item->hardlink, rest, 0, &p, e);

	if (!r && p.name)
		entry = look_up(t, p.dir, p.name, p.len);
	if (r && r != -ENOENT)
		return r;
	if (!entry || S_ISDIR(entry->inode->mode))
		return err_say(e, -EBADMSG, "%s is a link to %s, which is no file in it",
		               item->path, item->hardlink);
	*out = entry->inode;
	return 0;
}

int tree_add(struct tree *t, unsigned layer, const struct tree_item *item, struct err *e)
{
	char rest[2 * TREE_PATH_MAX];
	struct tree_inode inode = item->inode, *other = NULL;
	struct tree_entry *old;
	struct place p;
	int r = find_place(t, item->path, rest, layer, &p, e);

	if (!r && item->hardlink)
		r = find_link(t, item, &other, e);
	if (r)
		return r;
	if (t->n_inodes >= TREE_INODES_MAX)
		return err_say(e, -EFBIG, "it has more than %u files", TREE_INODES_MAX);
	if (p.dir->depth >= TREE_DEPTH_MAX)
		return err_say(e, -EBADMSG, "a name in it is too deep");
	own(t, &inode);
	if (!p.name) {
		if (S_ISDIR(inode.mode))
			overwrite(t->root, &inode);
		return 0;
	}
	old = look_up(t, p.dir, p.name, p.len);
	if (old && S_ISDIR(old->inode->mode) && S_ISDIR(inode.mode) && !other) {
		overwrite(old->inode, &inode);
		old->layer = layer;
		return 0;
	}
	/* A link to itself would lose the file. */
	if (old && other == old->inode)
		return 0;
	if (old)
		unhash(t, old);
	if (!other) {
		other = new_inode(t, &inode);
		other->parent = p.dir;
		other->depth = p.dir->depth + 1;
	}
	link_in(t, p.dir, p.name, p.len, other, layer);
	return 0;
}

/* Whether an entry is gone: a directory stays for what this layer has put into it. */
static bool remove_older(struct tree *t, struct tree_entry *entry, unsigned layer)
{
	bool keep = entry->layer >= layer;

	if (S_ISDIR(entry->inode->mode))
		LIST_EACH(&entry->inode->entries, struct tree_entry *, child)
			if ((*child)->dir && !remove_older(t, *child, layer))
				keep = true;
	if (!keep)
		unhash(t, entry);
	return !keep;
}

int tree_whiteout(struct tree *t, unsigned layer, const char *path, struct err *e)
{
	char rest[2 * TREE_PATH_MAX];
	struct tree_entry *entry;
	struct place p;
	int r = find_place(t, path, rest, 0, &p, e);

	if (r)
		return r == -ENOENT ? 0 : r;
	entry = p.name ? look_up(t, p.dir, p.name, p.len) : NULL;
	if (entry)
		remove_older(t, entry, layer);
	return 0;
}

int tree_opaque(struct tree *t, unsigned layer, const char *path, struct err *e)
{
	char rest[2 * TREE_PATH_MAX];
	struct tree_inode *dir;
	struct place p;
	int r = find_place(t, path, rest, 0, &p, e);

	if (r)
		return r == -ENOENT ? 0 : r;
	dir = p.dir;
	if (p.name) {
		struct tree_entry *entry = look_up(t, p.dir, p.name, p.len);

		if (!entry || !S_ISDIR(entry->inode->mode))
			return 0;
		dir = entry->inode;
	}
	LIST_EACH(&dir->entries, struct tree_entry *, child)
		if ((*child)->dir)
			remove_older(t, *child, layer);
	return 0;
}

/* ---- the end ---------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct tree_entry *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static void finish_dir(struct tree_inode *dir, uint32_t *number)
{
	size_t kept = 0;

	dir->number = ++*number;
	dir->n_links = 2;
	for (size_t n = 0; n < dir->entries.count; n++) {
		struct tree_entry *entry = *LIST_AT(&dir->entries, struct tree_entry *, n);

		if (entry->dir)
			*LIST_AT(&dir->entries, struct tree_entry *, kept++) = entry;
	}
	dir->entries.count = kept;
	if (kept)
		qsort(dir->entries.items, kept, sizeof(struct tree_entry *), by_name);
	LIST_EACH(&dir->entries, struct tree_entry *, it) {
		struct tree_inode *i = (*it)->inode;

		if (S_ISDIR(i->mode)) {
			dir->n_links++;
			finish_dir(i, number);
			continue;
		}
		i->n_links++;
		if (!i->number)
			i->number = ++*number;
	}
}

void tree_finish(struct tree *t)
{
	uint32_t number = 0;

	finish_dir(t->root, &number);
	t->n_inodes = number;
}

static int walk_dir(struct tree_inode *dir, uint32_t *last,
                    int (*visit)(void *arg, struct tree_inode *i), void *arg)
{
	int r = visit(arg, dir);

	*last = dir->number;
	for (size_t n = 0; !r && n < dir->entries.count; n++) {
		struct tree_inode *i = (*LIST_AT(&dir->entries, struct tree_entry *, n))->inode;

		if (S_ISDIR(i->mode)) {
			r = walk_dir(i, last, visit, arg);
		} else if (i->number > *last) {
			/* A file with several names was met before if its number is lower. */
			*last = i->number;
			r = visit(arg, i);
		}
	}
	return r;
}

int tree_walk(struct tree *t, int (*visit)(void *arg, struct tree_inode *i), void *arg)
{
	uint32_t last = 0;

	return walk_dir(t->root, &last, visit, arg);
}
