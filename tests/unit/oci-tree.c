/* SPDX-License-Identifier: MIT */
/* Layers applied to a tree, without archives. tests/oci has those. */
#include "rootfs/tree.h"
#include "tap.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int put_full(struct tree *t, unsigned layer, const char *path, uint32_t mode,
                    const char *target, const char *hardlink)
{
	struct tree_item item = {.path = path,
	                         .hardlink = hardlink,
	                         .inode = {.mode = mode, .target = target, .uid = layer}};
	struct err e = {0};
	int r = tree_add(t, layer, &item, &e);

	ok(!r || *e.text, "an error without a sentence");
	return r;
}

static int put(struct tree *t, unsigned layer, const char *path, uint32_t mode)
{
	return put_full(t, layer, path, mode, NULL, NULL);
}

static bool has(struct tree *t, const char *path)
{
	return tree_find(t, path) != NULL;
}

static void a_whiteout_removes_what_is_below_and_not_beside(void)
{
	AUTO(tree) struct tree t;

	tree_init(&t);
	ok(!put(&t, 1, "etc/a", S_IFREG | 0644));
	ok(!put(&t, 1, "etc/b", S_IFREG | 0644));
	ok(!put(&t, 2, "etc/a", S_IFREG | 0600));
	ok(!tree_whiteout(&t, 2, "etc/a", NULL));
	ok(!tree_whiteout(&t, 2, "etc/b", NULL));
	ok(!tree_whiteout(&t, 2, "no/such/file", NULL));
	ok(has(&t, "etc/a") && tree_find(&t, "etc/a")->uid == 2, "the layer's own file stays");
	ok(!has(&t, "etc/b") && has(&t, "etc"));
}

static void an_opaque_directory_keeps_what_its_own_layer_has_put_there(void)
{
	AUTO(tree) struct tree t;

	tree_init(&t);
	ok(!put(&t, 1, "d/old", S_IFREG | 0644));
	ok(!put(&t, 1, "d/sub/old", S_IFREG | 0644));
	ok(!put(&t, 2, "d/sub/new", S_IFREG | 0644));
	ok(!tree_opaque(&t, 2, "d", NULL));
	ok(!put(&t, 2, "d/late", S_IFREG | 0644));
	ok(!has(&t, "d/old") && !has(&t, "d/sub/old"));
	ok(has(&t, "d/sub/new") && has(&t, "d/late"));
}

static void a_directory_keeps_its_files_and_anything_else_gives_way(void)
{
	AUTO(tree) struct tree t;

	tree_init(&t);
	ok(!put(&t, 1, "d/f", S_IFREG | 0644));
	ok(!put(&t, 2, "d", S_IFDIR | 0700));
	ok(has(&t, "d/f") && (tree_find(&t, "d")->mode & 0777) == 0700);
	ok(!put(&t, 3, "d", S_IFREG | 0644));
	ok(!has(&t, "d/f") && S_ISREG(tree_find(&t, "d")->mode));
	ok(!put(&t, 4, "d", S_IFDIR | 0755));
	ok(has(&t, "d") && !has(&t, "d/f"), "what was hidden does not come back");
}

static void links_in_a_path_lead_within_the_tree(void)
{
	AUTO(tree) struct tree t;

	tree_init(&t);
	ok(!put(&t, 1, "usr/lib", S_IFDIR | 0755));
	ok(!put_full(&t, 1, "lib", S_IFLNK | 0777, "usr/lib", NULL));
	ok(!put_full(&t, 1, "up", S_IFLNK | 0777, "../../../usr/lib", NULL));
	ok(!put_full(&t, 1, "top", S_IFLNK | 0777, "/usr", NULL));
	ok(!put(&t, 2, "lib/a", S_IFREG | 0644));
	ok(!put(&t, 2, "up/b", S_IFREG | 0644));
	ok(!put(&t, 2, "top/lib/c", S_IFREG | 0644));
	ok(has(&t, "usr/lib/a") && has(&t, "usr/lib/b") && has(&t, "usr/lib/c"));
	ok(S_ISLNK(tree_find(&t, "lib")->mode), "the link itself is still one");
}

static void hostile_names_are_refused(void)
{
	AUTO(tree) struct tree t;
	char longest[400], deep[2 * TREE_DEPTH_MAX + 8] = "";

	tree_init(&t);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (unsigned i = 0; i < TREE_DEPTH_MAX + 2; i++)
		strcat(deep, "d/");
	ok(put(&t, 1, "../x", S_IFREG) == -EBADMSG);
	ok(put(&t, 1, "a/../../x", S_IFREG) == -EBADMSG);
	ok(put(&t, 1, longest, S_IFREG) == -EBADMSG);
	ok(put(&t, 1, deep, S_IFDIR) == -EBADMSG);
	ok(!put_full(&t, 1, "loop", S_IFLNK, "loop", NULL));
	ok(put(&t, 1, "loop/x", S_IFREG) == -EBADMSG);
	ok(put_full(&t, 1, "h", S_IFREG, NULL, "nowhere") == -EBADMSG);
	ok(!put(&t, 1, "/absolute", S_IFREG) && has(&t, "absolute"));
}

static void a_file_with_two_names_is_one_file(void)
{
	AUTO(tree) struct tree t;

	tree_init(&t);
	ok(!put(&t, 1, "a", S_IFREG | 0644));
	ok(!put_full(&t, 1, "z/b", 0, NULL, "a"));
	ok(!put_full(&t, 1, "a", 0, NULL, "a"), "a link to itself changes nothing");
	tree_finish(&t);
	ok(tree_find(&t, "a") == tree_find(&t, "z/b"));
	ok(tree_find(&t, "a")->n_links == 2 && t.n_inodes == 3, "root, z and the file");
	ok(t.root->n_links == 3);
}

/* The disk of a tree, as bytes. */
static struct span disk_of(struct tree *t, struct arena *a)
{
	int spool = memfd_create("spool", MFD_CLOEXEC), out = memfd_create("disk", MFD_CLOEXEC);
	uint64_t bytes = 0;
	uint8_t *data;

	ok(pwrite(spool, "0123456789", 10, 0) == 10);
	tree_finish(t);
	ok(!erofs_write(t, spool, out, &bytes, NULL));
	data = arena_alloc(a, bytes);
	ok(pread(out, data, bytes, 0) == (ssize_t)bytes);
	close(spool);
	close(out);
	return SPAN(data, bytes);
}

static void the_way_to_a_tree_does_not_show_in_its_disk(void)
{
	AUTO(arena) struct arena a = {0};
	AUTO(tree) struct tree one;
	AUTO(tree) struct tree two;
	struct span x, y;

	tree_init(&one);
	tree_init(&two);
	for (unsigned i = 0; i < 600; i++) {
		char path[32];

		snprintf(path, sizeof(path), "d/file%u", i);
		ok(!put(&one, 1, path, S_IFREG | 0644));
		snprintf(path, sizeof(path), "d/file%u", 599 - i);
		ok(!put(&two, 1, path, S_IFREG | 0644));
	}
	ok(!put(&two, 1, "gone", S_IFREG | 0644));
	ok(!tree_whiteout(&two, 2, "gone", NULL));
	x = disk_of(&one, &a);
	y = disk_of(&two, &a);
	ok(x.len % 4096 == 0 && span_equal(x, y), "%zu and %zu bytes", x.len, y.len);
}

int main(void)
{
	RUN(a_whiteout_removes_what_is_below_and_not_beside);
	RUN(an_opaque_directory_keeps_what_its_own_layer_has_put_there);
	RUN(a_directory_keeps_its_files_and_anything_else_gives_way);
	RUN(links_in_a_path_lead_within_the_tree);
	RUN(hostile_names_are_refused);
	RUN(a_file_with_two_names_is_one_file);
	RUN(the_way_to_a_tree_does_not_show_in_its_disk);
	return tap_done();
}
