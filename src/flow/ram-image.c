/* SPDX-License-Identifier: MIT */
/*
 * A restore must not take longer because RAM is large, so it maps a file. Snapshots are sealed on
 * disk, and a mapped file holds plain memory; so the file is on a tmpfs:
 *
 *	$XDG_RUNTIME_DIR/wslx, else /dev/shm/wslx-UID	0700, ours
 *	  DEVICE-INODE/					one for each store, named by its folder
 *	    store					symbolic link to that folder
 *	    DIGEST.ram					0400; DIGEST is the manifest's
 *	    DIGEST.BUILD.code, .log			what code-image.c keeps
 *
 * The manifest's digest covers all that the snapshot is. A file appears under it when every page
 * was opened and authenticated; from then on the directory's mode protects it, as it protects
 * the memory of a running machine: whoever can write there has our uid and could do worse. Nothing
 * of it survives the host's memory, but a tmpfs may be swapped: a host whose swap is not
 * encrypted leaks it as it leaks any program's memory.
 *
 * A file on a full tmpfs would be a SIGBUS in the guest, since reading a hole takes a page. So an
 * image is used only while there is room for its holes. Without such a directory, on anything but
 * a tmpfs, or without room, each restore unpacks its own image into a memfd: slower, not
 * different.
 *
 * The machine process is not trusted and gets a descriptor that is open for reading, else
 * one guest that breaks out could change what all others are made from.
 */
#include "flow/ram-image.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "flow/code-image.h"
#include "flow/vm.h"
#include "os/os.h"

#define SUFFIX ".ram"

/* ---- directories -------------------------------------------------------------------------- */

static char *images_path(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	return runtime && *runtime ? xprintf("%s/wslx", runtime)
	                           : xprintf("/dev/shm/wslx-%u", geteuid());
}

/* A directory that nobody else can have prepared or can write to. Return: -errno. */
static int open_private(int at, const char *path, bool create)
{
	struct stat st;
	int fd;

	if (create && mkdirat(at, path, 0700) && errno != EEXIST)
		return -errno;
	fd = openat(at, path, O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && st.st_uid == geteuid() && !(st.st_mode & 077))
		return fd;
	close(fd);
	return -EPERM;
}

static int open_images(bool create)
{
	AUTO(text) char *path = images_path();
	struct statfs fs;
	int fd = open_private(AT_FDCWD, path, create);

	if (fd < 0 || (!fstatfs(fd, &fs) && fs.f_type == TMPFS_MAGIC))
		return fd;
	close(fd);
	return -EPERM;
}

static char *name_of_store(const char *root)
{
	struct stat st;

	if (stat(root, &st))
		return NULL;
	return xprintf("%llx-%llx", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
}

/* A store's directory of images. Return: -errno. */
static int open_images_of(const char *store, bool create)
{
	AUTO(text) char *name = name_of_store(store);
	AUTO(text) char *root = realpath(store, NULL);
	AUTO(fd) int images = open_images(create);
	int fd;

	if (!name || !root)
		return -ENOENT;
	if (images < 0)
		return images;
	fd = open_private(images, name, create);
	/* For sweeping only: an image without it is swept too early, which costs time. */
	if (fd >= 0 && create && symlinkat(root, fd, "store") && errno != EEXIST)
		os_close(&fd);
	return fd;
}

/* ---- huge pages ----------------------------------------------------------------------------- */

#define HUGE_BYTES ((size_t)2 << 20)
#define HUGE_PAGES (HUGE_BYTES / PAGE_BYTES)
#ifndef MADV_COLLAPSE /* Linux 6.1 */
#define MADV_COLLAPSE 25
#endif

/* Whether at most a quarter of it is holes, which would take memory then. */
static bool is_worth_gathering(void *at)
{
	unsigned char there[HUGE_PAGES];
	size_t n = 0;

	if (mincore(at, HUGE_BYTES, there))
		return false;
	for (size_t i = 0; i < HUGE_PAGES; i++)
		n += there[i] & 1;
	return n >= HUGE_PAGES / 4 * 3;
}

/*
 * What is full enough lies in huge pages then, which are mapped by one fault instead of dozens;
 * restores find most of what they read there. Kernels before 6.1 leave it as it is, and so does one
 * that has no huge page left: nothing depends on it.
 */
static void gather(int fd, uint64_t bytes)
{
	uint8_t *at, *map = MAP_FAILED;
	void *image;

	if (!fallback_forced("no-huge-image"))
		map = mmap(NULL, bytes + HUGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map == MAP_FAILED)
		return;
	at = map + -(uintptr_t)map % HUGE_BYTES;
	image = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	if (image != MAP_FAILED)
		for (uint64_t done = 0; done + HUGE_BYTES <= bytes; done += HUGE_BYTES)
			if (is_worth_gathering(at + done) &&
			    madvise(at + done, HUGE_BYTES, MADV_COLLAPSE))
				break;
	munmap(map, bytes + HUGE_BYTES);
}

/* ---- making and opening ------------------------------------------------------------------- */

static int write_page(void *arg, uint64_t page, const uint8_t *data, uint64_t count, struct err *e)
{
	int r = os_pwrite_all(*(const int *)arg, data, (size_t)count * PAGE_BYTES,
	                      page * PAGE_BYTES);

	return r ? err_set(e, r, "image of RAM") : 0;
}

static int unpack(struct store_reader *reader, struct span machine, uint64_t bytes, int fd,
                  struct err *e)
{
	const struct vm_page_writer w = {write_page, &fd};

	if (ftruncate(fd, (off_t)bytes))
		return err_set(e, -errno, "image of RAM");
	return vm_unpack_ram(machine, store_reader_source(reader), &w, e);
}

static bool has_room_for_holes(int fd, uint64_t bytes)
{
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) || fstatfs(fd, &fs))
		return false;
	return (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize + (uint64_t)st.st_blocks * 512 >= bytes;
}

/* Whether half of the tmpfs would still be free if all of RAM were used. */
static bool leaves_half(int dir, uint64_t bytes)
{
	struct statfs fs;

	return !fstatfs(dir, &fs) &&
	       (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize >=
	               bytes + (uint64_t)fs.f_blocks / 2 * (uint64_t)fs.f_bsize;
}

/* The image under its name, if it is there and can be used. Return: -1 if not. */
static int open_made(int dir, const char *name, uint64_t bytes)
{
	AUTO(fd) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || (uint64_t)st.st_size != bytes ||
	    !has_room_for_holes(fd, bytes))
		return -1;
	return take_fd(&fd);
}

/* Make the image and give it its name at the end. Return: -1 if it has to be done elsewhere. */
static int make(struct store_reader *reader, struct span machine, uint64_t bytes, int dir,
                const char *name)
{
	AUTO(fd) int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
	AUTO(text) char *self = xprintf("/proc/self/fd/%d", fd);

	/* Damage is found again, and told, by the one that does it elsewhere. */
	if (fd < 0 || !has_room_for_holes(fd, bytes) || unpack(reader, machine, bytes, fd, NULL))
		return -1;
	gather(fd, bytes);
	/* Another restore may have been faster: then its image is ours too. */
	if (linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW) && errno != EEXIST)
		return -1;
	return open_made(dir, name, bytes);
}

static int make_unnamed(struct store_reader *reader, struct span machine, uint64_t bytes,
                        struct err *e)
{
	AUTO(fd) int fd = memfd_create("wslx-ram", MFD_CLOEXEC);
	AUTO(text) char *self = xprintf("/proc/self/fd/%d", fd);
	int r;

	if (fd < 0)
		return err_set(e, -errno, "image of RAM");
	r = unpack(reader, machine, bytes, fd, e);
	if (r)
		return r;
	r = open(self, O_RDONLY | O_CLOEXEC);
	return r < 0 ? err_set(e, -errno, "image of RAM") : r;
}

int ram_image_dir(struct store *store)
{
	return fallback_forced("no-ram-image") ? -1 : open_images_of(store_root(store), true);
}

/* "sha256:HEX" without its beginning. */
static const char *hex_of(const char *digest)
{
	const char *colon = strchr(digest, ':');

	return colon ? colon + 1 : digest;
}

const char *ram_image_digest(struct store_reader *reader)
{
	return hex_of(store_reader_meta(reader)->digest);
}

/* The image that all share. Return: -1 if there can be none. */
static int open_shared(struct store *store, struct store_reader *reader, struct span machine,
                       uint64_t bytes, bool leave_half)
{
	AUTO(text) char *name = xprintf("%s" SUFFIX, ram_image_digest(reader));
	AUTO(fd) int dir = ram_image_dir(store);
	int fd;

	if (dir < 0)
		return -1;
	fd = open_made(dir, name, bytes);
	if (fd < 0 && !(leave_half && !leaves_half(dir, bytes)))
		fd = make(reader, machine, bytes, dir, name);
	return fd;
}

int ram_image_find(const char *store_path, const char *digest, int *out_dir, uint64_t *bytes)
{
	AUTO(text) char *name = xprintf("%s" SUFFIX, digest);
	AUTO(fd) int dir = fallback_forced("no-ram-image") ? -1 : open_images_of(store_path, false);
	struct stat st;
	int fd;

	if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return -1;
	fd = open_made(dir, name, (uint64_t)st.st_size);
	if (fd < 0)
		return -1;
	*bytes = (uint64_t)st.st_size;
	*out_dir = take_fd(&dir);
	return fd;
}

int ram_image_open(struct store *store, struct store_reader *reader, struct span machine,
                   uint64_t bytes, struct err *e)
{
	int fd = open_shared(store, reader, machine, bytes, false);

	return fd >= 0 ? fd : make_unnamed(reader, machine, bytes, e);
}

void ram_image_prepare(struct store *store, struct store_reader *reader, struct span machine,
                       uint64_t bytes)
{
	int fd = open_shared(store, reader, machine, bytes, true);

	if (fd >= 0)
		close(fd);
}

int ram_image_begin(struct store *store, uint64_t bytes, int *out, int *readable, struct err *e)
{
	AUTO(fd) int dir = ram_image_dir(store);
	AUTO(fd) int fd = dir < 0 ? -1 : openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
	AUTO(text) char *self = NULL;

	if (fd < 0 || !has_room_for_holes(fd, bytes)) {
		os_close(&fd);
		fd = memfd_create("wslx-ram", MFD_CLOEXEC);
	}
	if (fd < 0 || ftruncate(fd, (off_t)bytes))
		return err_set(e, -errno, "image of RAM");
	self = xprintf("/proc/self/fd/%d", fd);
	*readable = open(self, O_RDONLY | O_CLOEXEC);
	if (*readable < 0)
		return err_set(e, -errno, "image of RAM");
	*out = take_fd(&fd);
	return 0;
}

void ram_image_name(struct store *store, const char *digest, int fd)
{
	AUTO(text) char *name = xprintf("%s" SUFFIX, hex_of(digest));
	AUTO(text) char *self = xprintf("/proc/self/fd/%d", fd);
	AUTO(fd) int dir = ram_image_dir(store);

	/* Without it the next restore makes one. */
	if (dir >= 0)
		(void)!linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW);
}

/* ---- sweeping ----------------------------------------------------------------------------- */

static bool is_image(const char *name)
{
	return text_ends(name, SUFFIX) || text_ends(name, CODE_IMAGE_SUFFIX) ||
	       text_ends(name, CODE_LOG_SUFFIX);
}

static bool is_of_one(const char *name, const struct list *snapshots)
{
	LIST_EACH(snapshots, const struct store_meta, m) {
		const char *hex = m->damage ? NULL : hex_of(m->digest);

		if (hex && text_starts(name, hex) && name[strlen(hex)] == '.')
			return true;
	}
	return false;
}

/* Remove a store's images but those of @snapshots. Consumes @dir. */
static void sweep_images(int dir, const struct list *snapshots, uint64_t *freed)
{
	DIR *d = fdopendir(dir);
	struct dirent *it;

	if (!d) {
		close(dir);
		return;
	}
	while ((it = readdir(d))) {
		struct stat st;

		if (!is_image(it->d_name) || is_of_one(it->d_name, snapshots))
			continue;
		if (!fstatat(dir, it->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    !unlinkat(dir, it->d_name, 0))
			*freed += (uint64_t)st.st_blocks * 512;
	}
	closedir(d);
}

/* Whether the store that a directory of images belongs to is still where it was. */
static bool store_is_there(int dir, const char *name)
{
	AUTO(arena) struct arena a = {0};
	AUTO(text) char *found = NULL;
	const char *root;

	if (os_readlink_at(dir, "store", &a, &root))
		return false;
	found = name_of_store(root);
	return found && !strcmp(found, name);
}

static void sweep_stores(int images, uint64_t *freed)
{
	const struct list none = {0};
	int copy = openat(images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *it;

	while (d && (it = readdir(d))) {
		int dir = it->d_name[0] == '.' ? -1 : open_private(images, it->d_name, false);

		if (dir < 0)
			continue;
		if (store_is_there(dir, it->d_name)) {
			close(dir);
			continue;
		}
		unlinkat(dir, "store", 0);
		sweep_images(dir, &none, freed);
		unlinkat(images, it->d_name, AT_REMOVEDIR);
	}
	if (d)
		closedir(d);
}

int flow_sweep_ram(struct store *store, uint64_t *freed, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(fd) int images = open_images(false);
	struct list snapshots = {0};
	int dir = open_images_of(store_root(store), false), r;

	if (images >= 0)
		sweep_stores(images, freed);
	if (dir < 0)
		return 0; /* no machine of this store was ever restored */
	r = store_list(store, &a, &snapshots, e);
	if (r) {
		close(dir);
		return r;
	}
	sweep_images(dir, &snapshots, freed);
	return 0;
}
