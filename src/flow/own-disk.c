/* SPDX-License-Identifier: MIT */
#include "flow/own-disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "os/os.h"

#define DIGITS (OWN_DISK_NAME_BYTES - 1)

static bool is_name(const char *name)
{
	return strlen(name) == DIGITS && strspn(name, "0123456789abcdef") == DIGITS;
}

static char *dir_of(struct store *store)
{
	return xprintf("%s/disks", store_root(store));
}

char *own_disk_path(struct store *store, const char *name)
{
	return xprintf("%s/disks/%s", store_root(store), name);
}

const char *own_disk_name(struct store *store, const char *path)
{
	AUTO(text) char *dir = dir_of(store);
	AUTO(text) char *real = realpath(dir, NULL);
	size_t len = real ? strlen(real) : 0;

	if (!real || strncmp(path, real, len) || path[len] != '/' || !is_name(path + len + 1))
		return NULL;
	return path + len + 1;
}

int own_disk_begin(struct store *store, struct err *e)
{
	AUTO(text) char *dir = dir_of(store);
	int r = os_make_dirs(dir, 0700), fd;

	if (r)
		return err_set(e, r, "%s", dir);
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
	return fd < 0 ? err_set(e, -errno, "a disk in %s", dir) : fd;
}

int own_disk_commit(struct store *store, int fd, const char *name, struct err *e)
{
	AUTO(text) char *path = own_disk_path(store, name);
	char self[64];

	assert(is_name(name));
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (fsync(fd))
		return err_set(e, -errno, "%s", path);
	if (linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) && errno != EEXIST)
		return err_set(e, -errno, "%s", path);
	return 0;
}

int own_disk_sweep(struct store *store, uint64_t *freed, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(text) char *path = dir_of(store);
	struct dirent *entry;
	struct list all = {0};
	DIR *d = opendir(path);
	int r;

	if (!d)
		return errno == ENOENT ? 0 : err_set(e, -errno, "%s", path);
	r = store_list(store, &a, &all, e);
	while (!r && (entry = readdir(d))) {
		bool used = !is_name(entry->d_name);
		struct stat st;

		LIST_EACH(&all, const struct store_meta, m) {
			const char *disk = m->damage ? NULL : store_meta_label(m, "machine.disk");

			/* What cannot be read may be the one that needs it. */
			used |= m->damage || (disk && !strcmp(disk, entry->d_name));
		}
		if (!used && !fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    !unlinkat(dirfd(d), entry->d_name, 0))
			*freed += (uint64_t)st.st_blocks * 512;
	}
	closedir(d);
	return r;
}
