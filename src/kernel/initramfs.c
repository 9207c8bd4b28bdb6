/* SPDX-License-Identifier: MIT */
/*
 * cpio "newc" (Documentation/driver-api/early-userspace/buffer-format.rst): for each file a
 * header of hexadecimal numbers, its name and its data, both padded to four bytes.
 */
#include "kernel/initramfs.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernel/kernel.h"

#define MODULE_MAX (64u << 20)
#define DEPTH_MAX 16

void initramfs_finish(struct initramfs *i)
{
	buf_finish(&i->cpio);
}

static void pad(struct initramfs *i)
{
	while (i->cpio.len % 4)
		buf_add_byte(&i->cpio, 0);
}

static void add(struct initramfs *i, const char *path, unsigned mode, unsigned n_links,
                unsigned major, unsigned minor, struct span data)
{
	/* inode, mode, uid, gid, links, mtime, size, device, rdevice, name with its NUL, check */
	buf_printf(&i->cpio, "070701%08x%08x%08x%08x%08x%08x%08zx%08x%08x%08x%08x%08zx%08x",
	           ++i->inode, mode, 0, 0, n_links, 0, data.len, 0, 0, major, minor,
	           strlen(path) + 1, 0);
	buf_add(&i->cpio, path, strlen(path) + 1);
	pad(i);
	buf_add(&i->cpio, data.data, data.len);
	pad(i);
}

void initramfs_add_dir(struct initramfs *i, const char *path)
{
	add(i, path, S_IFDIR | 0755, 2, 0, 0, (struct span){0});
}

void initramfs_add_parents(struct initramfs *i, const char *path)
{
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		AUTO(text) char *dir = xprintf("%.*s", (int)(slash - path), path);

		if (slash > path && slash[-1] != '/')
			initramfs_add_dir(i, dir);
	}
}

void initramfs_add_file(struct initramfs *i, const char *path, unsigned mode, struct span data)
{
	add(i, path, S_IFREG | mode, 1, 0, 0, data);
}

void initramfs_add_link(struct initramfs *i, const char *path, const char *target)
{
	add(i, path, S_IFLNK | 0777, 1, 0, 0, SPAN(target, strlen(target)));
}

void initramfs_add_device(struct initramfs *i, const char *path, unsigned major, unsigned minor)
{
	add(i, path, S_IFCHR | 0600, 1, major, minor, (struct span){0});
}

struct span initramfs_end(struct initramfs *i)
{
	add(i, "TRAILER!!!", 0, 1, 0, 0, (struct span){0});
	return buf_span(&i->cpio);
}

/* ---- modules ---------------------------------------------------------------------------- */

struct module {
	const char *name; /* with underscores, as the kernel has it */
	const char *path;
	bool added;
};

struct modules {
	struct initramfs *out;
	struct arena arena;
	struct list found; /* struct module */
	struct buf order;
};

/* "virtio-rng.ko.xz" is module virtio_rng. NULL if it is no module. */
static char *module_name(struct arena *a, const char *file)
{
	const char *end = strstr(file, ".ko");
	char *name;

	if (!end || (end[3] && end[3] != '.'))
		return NULL;
	name = arena_copy(a, file, (size_t)(end - file) + 1);
	name[end - file] = '\0';
	for (char *c = name; *c; c++)
		if (*c == '-')
			*c = '_';
	return name;
}

static int find_modules(struct modules *m, const char *dir, unsigned depth, struct err *e)
{
	struct dirent *entry;
	DIR *d;
	int r = 0;

	if (depth > DEPTH_MAX)
		return 0;
	d = opendir(dir);
	if (!d)
		return err_set(e, -errno, "%s", dir);
	while (!r && (entry = readdir(d))) {
		char *path, *name;

		if (entry->d_name[0] == '.')
			continue;
		path = arena_printf(&m->arena, "%s/%s", dir, entry->d_name);
		name = module_name(&m->arena, entry->d_name);
		if (entry->d_type == DT_DIR)
			r = find_modules(m, path, depth + 1, e);
		else if (name)
			*LIST_ADD(&m->found, &m->arena, struct module) =
				(struct module){.name = name, .path = path};
	}
	closedir(d);
	return r;
}

static int read_file(const char *path, struct buf *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return err_set(e, -errno, "%s", path);
	do {
		uint8_t *room = buf_extend(out, 65536);

		n = read(fd, room, 65536);
		out->len -= 65536 - (size_t)MAX(n, 0);
	} while (n > 0 && out->len <= MODULE_MAX);
	close(fd);
	return n < 0 ? err_set(e, -errno, "%s", path) : 0;
}

/* The .modinfo section: NUL-terminated "key=value" words. */
static int modinfo(struct span file, struct span *out)
{
	Elf64_Shdr names, s;
	Elf64_Ehdr h;

	if (file.len < sizeof(h))
		return -EBADMSG;
	memcpy(&h, file.data, sizeof(h));
	if (memcmp(h.e_ident, ELFMAG, SELFMAG) || h.e_shentsize != sizeof(s) ||
	    h.e_shoff > file.len || h.e_shnum * sizeof(s) > file.len - h.e_shoff ||
	    h.e_shstrndx >= h.e_shnum)
		return -EBADMSG;
	memcpy(&names, file.data + h.e_shoff + h.e_shstrndx * sizeof(s), sizeof(s));
	if (names.sh_offset > file.len || names.sh_size > file.len - names.sh_offset)
		return -EBADMSG;
	for (unsigned i = 0; i < h.e_shnum; i++) {
		static const char wanted[] = ".modinfo";

		memcpy(&s, file.data + h.e_shoff + i * sizeof(s), sizeof(s));
		if (s.sh_name > names.sh_size || names.sh_size - s.sh_name < sizeof(wanted) ||
		    memcmp(file.data + names.sh_offset + s.sh_name, wanted, sizeof(wanted)))
			continue;
		if (s.sh_offset > file.len || s.sh_size > file.len - s.sh_offset)
			return -EBADMSG;
		*out = SPAN(file.data + s.sh_offset, s.sh_size);
		return 0;
	}
	return -EBADMSG;
}

static char *depends(struct arena *a, struct span info)
{
	static const char key[] = "depends=";

	for (size_t at = 0; at < info.len;) {
		const char *word = (const char *)info.data + at;
		size_t len = strnlen(word, info.len - at);

		if (len > sizeof(key) - 1 && !memcmp(word, key, sizeof(key) - 1)) {
			char *list = arena_alloc(a, len + 1);

			memcpy(list, word + sizeof(key) - 1, len - (sizeof(key) - 1));
			return list;
		}
		at += len + 1;
	}
	return arena_text(a, "");
}

static int add_module(struct modules *m, const char *name, unsigned depth, struct err *e)
{
	AUTO(buf) struct buf file = {0};
	AUTO(buf) struct buf unpacked = {0};
	struct module *found = NULL;
	struct span data, info;
	char *path, *list, *save = NULL;
	int r;

	LIST_EACH(&m->found, struct module, it) {
		if (!strcmp(it->name, name))
			found = it;
	}
	if (!found || found->added || depth > DEPTH_MAX)
		return 0;
	found->added = true;
	r = read_file(found->path, &file, e);
	if (r)
		return r;
	data = buf_span(&file);
	if (!text_ends(found->path, ".ko")) {
		r = kernel_unpack(data, MODULE_MAX, &unpacked, NULL, e);
		if (r)
			return err_wrap(e, r, "module %s", name);
		data = buf_span(&unpacked);
	}
	if (modinfo(data, &info))
		return err_say(e, -EBADMSG, "module %s: this is not a kernel module", name);
	list = depends(&m->arena, info);
	for (char *dep = strtok_r(list, ",", &save); dep; dep = strtok_r(NULL, ",", &save)) {
		for (char *c = dep; *c; c++)
			if (*c == '-')
				*c = '_';
		r = add_module(m, dep, depth + 1, e);
		if (r)
			return r;
	}
	path = arena_printf(&m->arena, "lib/wslx/%s.ko", name);
	initramfs_add_file(m->out, path, 0644, data);
	buf_printf(&m->order, "/%s\n", path);
	return 0;
}

int initramfs_add_modules(struct initramfs *i, const char *dir, const char *const *names,
                          size_t n_names, struct err *e)
{
	struct modules m = {.out = i};
	int r = find_modules(&m, dir, 0, e);

	for (size_t n = 0; !r && n < n_names; n++)
		r = add_module(&m, names[n], 0, e);
	if (!r)
		initramfs_add_file(i, "lib/wslx/modules", 0644, buf_span(&m.order));
	buf_finish(&m.order);
	arena_finish(&m.arena);
	return r;
}
