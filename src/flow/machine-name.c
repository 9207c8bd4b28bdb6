/* SPDX-License-Identifier: MIT */
/*
 * Names of running machines. The machine NAME listens at run/NAME.sock in the store's folder and
 * holds a lock on run/NAME.lock until its process ends, however it ends. Both are left behind:
 * the lock says whether there is a machine, the socket that it listens, since who takes the name
 * removes that of the one before. In the lock's file a distro notes what it was started from
 * (distro.c), as a string with its NUL; what comes after it is left of an older one.
 */
#include "flow/vm.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/os.h"

#define NAME_MAX_BYTES 64
#define START_MS 10000 /* in which a machine begins to listen */

static int check_name(const char *name, struct err *e)
{
	size_t len = strlen(name);

	if (!len || len > NAME_MAX_BYTES || name[0] == '.' ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
	            len)
		return err_say(e, -EINVAL,
		               "a machine's name has up to %u letters, digits and \"._-\", "
		               "and no dot at its beginning",
		               NAME_MAX_BYTES);
	return 0;
}

/* Return: the lock's descriptor; -EWOULDBLOCK if a machine has it. */
static int take_lock(const char *path, struct err *e)
{
	AUTO(fd) int fd = open(path, O_CREAT | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return err_set(e, -errno, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB))
		return err_set(e, -errno, "%s", path);
	return take_fd(&fd);
}

int flow_name_machine(struct store *store, const char *name, char **socket, int *lock,
                      struct err *e)
{
	AUTO(text) char *dir = xprintf("%s/run", store_root(store));
	AUTO(text) char *lock_path = xprintf("%s/%s.lock", dir, name);
	int r = check_name(name, e), fd;
	struct stat st;

	if (r)
		return r;
	r = os_make_dirs(dir, 0700);
	if (r)
		return err_set(e, r, "%s", dir);
	fd = take_lock(lock_path, e);
	if (fd == -EWOULDBLOCK)
		return err_say(e, -EEXIST, "a machine named %s is running already", name);
	if (fd < 0)
		return fd;
	*socket = xprintf("%s/%s.sock", dir, name);
	/*
	 * What the machine before us has noted, and where it listened. The note is not truncated: that
	 * waits for the disk if the note is still on its way there.
	 */
	if (fstat(fd, &st) || (st.st_size && pwrite(fd, "", 1, 0) != 1) ||
	    (unlink(*socket) && errno != ENOENT)) {
		r = err_set(e, -errno, "%s", lock_path);
		free(*socket);
		*socket = NULL;
		close(fd);
		return r;
	}
	*lock = fd;
	return 0;
}

/* Whoever can share the lock sees that nobody holds it. Return: 0; -ENOENT; -errno. */
static int find_lock(const char *path, const char *name, struct err *e)
{
	AUTO(fd) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 ? errno == ENOENT : !flock(fd, LOCK_SH | LOCK_NB))
		return err_say(e, -ENOENT,
		               "no machine named %s is running; wslx list shows those that there "
		               "are",
		               name);
	return fd < 0 ? err_set(e, -errno, "%s", path) : 0;
}

/* A machine's name is taken before it listens. It may also end instead. */
static int await_socket(const char *dir, const char *lock, const char *socket, const char *name,
                        struct err *e)
{
	AUTO(fd) int watch = inotify_init1(IN_CLOEXEC);
	uint64_t end = os_clock_ns(CLOCK_MONOTONIC) + START_MS * UINT64_C(1000000);
	struct pollfd change = {.fd = watch, .events = POLLIN};
	char events[4096];

	if (watch < 0 || inotify_add_watch(watch, dir, IN_MOVED_TO | IN_CLOSE_WRITE) < 0)
		return err_set(e, -errno, "waiting for the machine %s", name);
	for (;;) {
		uint64_t now = os_clock_ns(CLOCK_MONOTONIC);
		int r = find_lock(lock, name, e);

		if (r || !access(socket, F_OK))
			return r;
		if (now >= end)
			return err_say(e, -ETIMEDOUT,
			               "the machine %s does not listen: it is still starting",
			               name);
		if (poll(&change, 1, (int)((end - now) / 1000000 + 1)) > 0 &&
		    read(watch, events, sizeof(events)) < 0)
			return err_set(e, -errno, "waiting for the machine %s", name);
	}
}

int flow_find_machine(struct store *store, const char *name, char **socket, struct err *e)
{
	AUTO(text) char *dir = xprintf("%s/run", store_root(store));
	AUTO(text) char *lock = xprintf("%s/%s.lock", dir, name);
	AUTO(text) char *path = xprintf("%s/%s.sock", dir, name);
	int r = check_name(name, e);

	if (!r)
		r = find_lock(lock, name, e);
	if (!r && access(path, F_OK))
		r = await_socket(dir, lock, path, name, e);
	if (!r)
		*socket = xstrdup(path);
	return r;
}

static bool is_running(int dir, const char *lock)
{
	AUTO(fd) int fd = openat(dir, lock, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int flow_running_machines(struct store *store, struct arena *a, struct list *out, struct err *e)
{
	AUTO(text) char *path = xprintf("%s/run", store_root(store));
	struct dirent *entry;
	DIR *d = opendir(path);

	if (!d)
		return errno == ENOENT ? 0 : err_set(e, -errno, "%s", path);
	while ((entry = readdir(d))) {
		size_t len = strlen(entry->d_name);

		if (!text_ends(entry->d_name, ".lock") || !is_running(dirfd(d), entry->d_name))
			continue;
		*LIST_ADD(out, a, const char *) =
			arena_printf(a, "%.*s", (int)(len - strlen(".lock")), entry->d_name);
	}
	closedir(d);
	if (out->count)
		qsort(out->items, out->count, sizeof(const char *), by_text);
	return 0;
}
