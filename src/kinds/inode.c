/* SPDX-License-Identifier: MIT */
/*
 * Files: found again by path and checked, or carried along with their content when they have
 * no name (deleted files, memfds, shared anonymous memory). Both directions.
 *
 * A file that was deleted while open is made again under its old name where that is free, and
 * deleted again, so that /proc/PID/fd shows the same text as before.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include "kinds/kinds.h"

#define DELETED " (deleted)"
#define CHUNK_BYTES (1u << 20)

struct inode_key {
	uint64_t dev, ino;
	int content;      /* descriptor to read content from; -1 for what has a path */
	struct list seen; /* struct window: when there is no descriptor, where it is mapped */
};

/* A mapping of a file that we may not open: its content is read through the task. */
struct window {
	pid_t pid;
	uint64_t address, offset, bytes;
};

static int64_t mtime_of(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static int reopen(int fd, int flags)
{
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = open(path, flags | O_CLOEXEC);
	return r < 0 ? -errno : r;
}

/* ---- dump ------------------------------------------------------------------------------ */

static int dump_nameless(struct dump *d, pid_t pid, int local, const char *path,
                         const struct stat *st, struct inode_rec *rec, struct inode_key *key)
{
	char *name = arena_text(&d->arena, path);

	if (text_ends(name, DELETED))
		name[strlen(name) - strlen(DELETED)] = 0;
	key->content = reopen(local, O_RDONLY);
	if (key->content < 0) {
		dump_obstacle(d, pid, "the deleted file %s cannot be read: %s", name,
		              strerror(-key->content));
		return 0;
	}
	rec->path = name;
	if (text_starts(path, "/memfd:")) {
		int seals = fcntl(key->content, F_GET_SEALS);

		rec->kind = INODE_MEMFD;
		rec->path = name + strlen("/memfd:");
		rec->seals = seals < 0 ? 0 : (uint32_t)seals;
		if (st->st_blksize > (long)PAGE_BYTES)
			dump_obstacle(d, pid, "the memfd %s uses huge pages", rec->path);
	} else if (!strcmp(name, "/dev/zero")) {
		rec->kind = INODE_SHMEM;
	} else {
		rec->kind = INODE_GHOST;
		if (st->st_nlink)
			dump_obstacle(d, pid,
			              "the file that was %s has that name no more but another one "
			              "(a hard link): open it by the name that it has",
			              name);
	}
	return 1;
}

static int dump_named(struct dump *d, pid_t pid, const char *path, const struct stat *st,
                      struct inode_rec *rec)
{
	struct stat now;

	rec->kind = INODE_PATH;
	rec->path = arena_text(&d->arena, path);
	if (lstat(path, &now) < 0 || (!S_ISLNK(st->st_mode) && stat(path, &now) < 0)) {
		dump_obstacle(d, pid, "the file %s cannot be found: %s", path, strerror(errno));
		return 0;
	}
	if (now.st_ino != st->st_ino || now.st_dev != st->st_dev) {
		dump_obstacle(
			d, pid,
			"%s is another file now than the one that is open: it was replaced, or "
			"something is mounted over it",
			path);
		return 0;
	}
	return 1;
}

/* What was known by its mappings only turns out to be open as well: now all of it is in reach. */
static void take_descriptor(struct dump *d, struct inode_key *key, uint32_t id, int local,
                            const struct stat *st)
{
	struct inode_rec *rec = LIST_AT(&d->image.inodes, struct inode_rec, id - 1);
	int seals;

	key->content = reopen(local, O_RDONLY);
	if (key->content < 0)
		return;
	seals = fcntl(key->content, F_GET_SEALS);
	rec->seals = rec->kind == INODE_MEMFD && seals > 0 ? (uint32_t)seals : 0;
	rec->mode = st->st_mode;
	rec->size = (uint64_t)st->st_size;
	rec->mtime_ns = mtime_of(st);
}

int dump_inode_mapped(struct dump *d, pid_t pid, const struct proc_vma *v)
{
	uint64_t dev = makedev(v->dev_major, v->dev_minor), end = v->offset + v->end - v->start;
	struct window window = {pid, v->start, v->offset, v->end - v->start};
	struct inode_rec *rec = NULL;
	struct inode_key *key;
	uint32_t id = 0;

	LIST_EACH(&d->inode_keys, struct inode_key, known) {
		id++;
		if (known->ino != v->inode || known->dev != dev)
			continue;
		rec = LIST_AT(&d->image.inodes, struct inode_rec, id - 1);
		*LIST_ADD(&known->seen, &d->arena, struct window) = window;
		if (known->content < 0)
			rec->size = MAX(rec->size, end);
		return (int)id;
	}
	key = LIST_ADD(&d->inode_keys, &d->arena, struct inode_key);
	*key = (struct inode_key){.dev = dev, .ino = v->inode, .content = -1};
	*LIST_ADD(&key->seen, &d->arena, struct window) = window;
	rec = LIST_ADD(&d->image.inodes, &d->arena, struct inode_rec);
	*rec = (struct inode_rec){.id = id + 1,
	                          .kind = INODE_GHOST,
	                          .path = v->name,
	                          .dev_major = v->dev_major,
	                          .dev_minor = v->dev_minor,
	                          .ino = v->inode,
	                          .mode = S_IFREG | 0600,
	                          .uid = geteuid(),
	                          .gid = getegid(),
	                          .size = end};
	if (text_starts(v->name, "/memfd:")) {
		rec->kind = INODE_MEMFD;
		rec->path = v->name + strlen("/memfd:");
		rec->mode = S_IFREG | 0777;
	} else if (!strcmp(v->name, "/dev/zero")) {
		rec->kind = INODE_SHMEM;
	}
	return (int)rec->id;
}

static int dump_without_path(struct dump *d, pid_t pid, const char *link)
{
	dump_obstacle(d, pid, "has a file open that has no path (%s)", link);
	return 0;
}

int dump_inode(struct dump *d, pid_t pid, int local, const char *path, struct err *e)
{
	struct inode_rec rec = {0};
	struct inode_key key = {.content = -1};
	struct stat st;
	uint32_t id = 0;
	int r;

	if (fstat(local, &st) < 0)
		return err_set(e, -errno, "%s", path);
	if (S_ISDIR(st.st_mode) && text_ends(path, DELETED)) {
		dump_obstacle(d, pid, "uses a directory that was deleted: %s", path);
		return 0;
	}
	LIST_EACH(&d->inode_keys, struct inode_key, known) {
		id++;
		if (known->ino != st.st_ino || known->dev != st.st_dev)
			continue;
		if (known->seen.count && known->content < 0)
			take_descriptor(d, known, id, local, &st);
		return (int)id;
	}
	if (!S_ISREG(st.st_mode) || (st.st_nlink && !text_ends(path, DELETED)))
		r = path[0] == '/' ? dump_named(d, pid, path, &st, &rec)
		                   : dump_without_path(d, pid, path);
	else
		r = dump_nameless(d, pid, local, path, &st, &rec, &key);
	if (r <= 0)
		return r;
	key.dev = st.st_dev;
	key.ino = st.st_ino;
	rec.id = id + 1;
	rec.dev_major = major(st.st_dev);
	rec.dev_minor = minor(st.st_dev);
	rec.ino = st.st_ino;
	rec.mode = st.st_mode;
	rec.uid = st.st_uid;
	rec.gid = st.st_gid;
	rec.size = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	rec.mtime_ns = mtime_of(&st);
	rec.rdev = st.st_rdev;
	*LIST_ADD(&d->inode_keys, &d->arena, struct inode_key) = key;
	*LIST_ADD(&d->image.inodes, &d->arena, struct inode_rec) = rec;
	return (int)rec.id;
}

/* One stretch of data, read with its last page filled up with zeros. */
static int dump_extent(struct dump *d, struct page_sink *sink, int fd, struct inode_rec *rec,
                       uint64_t at, uint64_t end, uint8_t *chunk, struct err *e)
{
	while (at < end) {
		size_t len = MIN((size_t)CHUNK_BYTES, (size_t)(end - at));
		size_t pages = (len + PAGE_BYTES - 1) / PAGE_BYTES;
		int r;

		memset(chunk + len, 0, pages * PAGE_BYTES - len);
		r = os_pread_all(fd, chunk, len, at);
		if (r < 0)
			return err_set(e, r, "%s: content", rec->path);
		r = dump_add_pages(d, sink, &rec->runs, at, chunk, pages, e);
		if (r < 0)
			return r;
		at += len;
	}
	return 0;
}

static int dump_content(struct dump *d, struct page_sink *sink, int fd, struct inode_rec *rec,
                        uint8_t *chunk, struct err *e)
{
	uint64_t at = 0;

	while (at < rec->size) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;
		int r;

		if (data < 0 && errno == ENXIO)
			return 0;
		if (data < 0)
			return err_set(e, -errno, "%s: SEEK_DATA", rec->path);
		data &= ~(off_t)(PAGE_BYTES - 1);
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole < 0 || (uint64_t)hole > rec->size)
			hole = (off_t)rec->size;
		r = dump_extent(d, sink, fd, rec, MAX(at, (uint64_t)data), (uint64_t)hole, chunk,
		                e);
		if (r < 0)
			return r;
		at = ((uint64_t)hole + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	}
	return 0;
}

static int dump_windows(struct dump *d, struct page_sink *sink, const struct inode_key *key,
                        struct inode_rec *rec, uint8_t *chunk, struct err *e)
{
	LIST_EACH(&key->seen, struct window, w)
		for (uint64_t done = 0; done < w->bytes; done += CHUNK_BYTES) {
			size_t len = MIN((size_t)CHUNK_BYTES, (size_t)(w->bytes - done));
			struct iovec here = {chunk, len};
			struct iovec there = {(void *)(uintptr_t)(w->address + done), len};
			uint64_t at = w->offset + done;
			bool known = false;
			int r;

			LIST_EACH(&rec->runs, struct run_rec, run)
				known |= at >= run->at && at < run->at + run->pages * PAGE_BYTES;
			if (known)
				continue; /* another task has it mapped as well */
			if (process_vm_readv(w->pid, &here, 1, &there, 1, 0) != (ssize_t)len)
				return err_set(e, -EIO, "%s: content", rec->path);
			r = dump_add_pages(d, sink, &rec->runs, at, chunk, len / PAGE_BYTES, e);
			if (r < 0)
				return r;
		}
	return 0;
}

int dump_inode_pages(struct dump *d, struct page_sink *sink, struct err *e)
{
	uint8_t *chunk = xalloc(CHUNK_BYTES);
	int r = 0;

	for (size_t i = 0; !r && i < d->image.inodes.count; i++) {
		struct inode_key *key = LIST_AT(&d->inode_keys, struct inode_key, i);

		struct inode_rec *rec = LIST_AT(&d->image.inodes, struct inode_rec, i);

		if (key->content >= 0)
			r = dump_content(d, sink, key->content, rec, chunk, e);
		else if (key->seen.count)
			r = dump_windows(d, sink, key, rec, chunk, e);
	}
	free(chunk);
	return r;
}

void dump_inodes_free(struct dump *d)
{
	LIST_EACH(&d->inode_keys, struct inode_key, key)
		os_close(&key->content);
}

/* ---- restore --------------------------------------------------------------------------- */

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a file";
	case S_IFDIR:
		return "a directory";
	case S_IFCHR:
		return "a character device";
	case S_IFIFO:
		return "a FIFO";
	case S_IFSOCK:
		return "a socket";
	default:
		return "something else";
	}
}

static int find_path(struct restore *r, const struct inode_rec *rec, int *out, struct err *e)
{
	AUTO(fd)
	int fd = open(rec->path, O_PATH | O_CLOEXEC | (S_ISLNK(rec->mode) ? O_NOFOLLOW : 0));
	struct stat st;

	if (fd < 0)
		return err_set(e, -errno, "%s", rec->path);
	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "%s", rec->path);
	if ((st.st_mode & S_IFMT) != (rec->mode & S_IFMT))
		return err_say(e, OBSTACLE, "%s was %s and is %s now", rec->path,
		               type_name(rec->mode), type_name(st.st_mode));
	if (S_ISCHR(st.st_mode) && st.st_rdev != rec->rdev)
		return err_say(e, OBSTACLE, "%s is another device than it was", rec->path);
	if (S_ISREG(st.st_mode) && !r->options->changed_files &&
	    ((uint64_t)st.st_size != rec->size || mtime_of(&st) != rec->mtime_ns))
		return err_say(e, OBSTACLE,
		               "the file %s has changed since the snapshot (%" PRIu64
		               " bytes then, %" PRIu64
		               " now): put it back, or accept changed files with --changed-files",
		               rec->path, rec->size, (uint64_t)st.st_size);
	*out = take_fd(&fd);
	return 0;
}

static int fill(struct restore *r, int fd, const struct inode_rec *rec, struct err *e)
{
	uint8_t *chunk;
	int ret = 0;

	if (ftruncate(fd, (off_t)rec->size) < 0)
		return err_set(e, -errno, "%s: size", rec->path);
	chunk = xalloc(CHUNK_BYTES);
	LIST_EACH(&rec->runs, struct run_rec, run) {
		for (uint64_t done = 0; !ret && done < run->pages;) {
			size_t pages = MIN((size_t)(CHUNK_BYTES / PAGE_BYTES),
			                   (size_t)(run->pages - done));
			uint64_t at = run->at + done * PAGE_BYTES;

			ret = r->pages->read(r->pages, run->first + done, pages, chunk, e);
			if (!ret) {
				ret = os_pwrite_all(
					fd, chunk,
					MIN((size_t)(pages * PAGE_BYTES), (size_t)(rec->size - at)),
					at);
				if (ret < 0)
					err_set(e, ret, "%s: content", rec->path);
			}
			done += pages;
		}
	}
	free(chunk);
	return ret;
}

static int make_ghost(struct restore *r, const struct inode_rec *rec, int *out, struct err *e)
{
	AUTO(text) char *path = xstrdup(rec->path);
	AUTO(fd) int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int ret;

	if (fd < 0 && errno == EEXIST) {
		char *slash = strrchr(path, '/');
		char *other = xprintf("%.*s/.wslx-%d-%u", (int)(slash ? slash - path : 0), path,
		                      getpid(), rec->id);

		free(path);
		path = other;
		fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	}
	if (fd < 0)
		return err_set(e, -errno, "the deleted file %s cannot be made again", path);
	ret = unlink(path) < 0 ? -errno : 0;
	if (!ret && fchown(fd, rec->uid, rec->gid) < 0 && errno != EPERM)
		ret = -errno;
	if (!ret && fchmod(fd, rec->mode & 07777) < 0)
		ret = -errno;
	if (ret < 0)
		return err_set(e, ret, "the deleted file %s", path);
	ret = fill(r, fd, rec, e);
	if (!ret)
		*out = take_fd(&fd);
	return ret;
}

static int make_memfd(struct restore *r, const struct inode_rec *rec, int *out, struct err *e)
{
	AUTO(fd) int fd = memfd_create(rec->path, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int ret;

	if (fd < 0)
		return err_set(e, -errno, "memfd %s", rec->path);
	ret = fill(r, fd, rec, e);
	if (ret < 0)
		return ret;
	if (fchmod(fd, rec->mode & 07777) < 0)
		return err_set(e, -errno, "memfd %s: mode", rec->path);
	*out = take_fd(&fd);
	return 0;
}

/*
 * Shared anonymous memory has no call that gives a descriptor of it: it is mapped here, and
 * its file is taken from map_files. Without the right to do so, a memfd serves.
 */
static int make_shmem(struct restore *r, const struct inode_rec *rec, int *out, struct err *e)
{
	size_t bytes = ((size_t)rec->size + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	AUTO(fd) int fd = -1;
	char path[96];
	int ret;

	if (map == MAP_FAILED)
		return err_set(e, -errno, "shared memory of %" PRIu64 " bytes", rec->size);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (unsigned long)map,
	         (unsigned long)map + bytes);
	fd = open(path, O_RDWR | O_CLOEXEC);
	munmap(map, bytes);
	if (fd < 0)
		fd = memfd_create("shared", MFD_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "shared memory of %" PRIu64 " bytes", rec->size);
	ret = fill(r, fd, rec, e);
	if (!ret)
		*out = take_fd(&fd);
	return ret;
}

/*
 * While we have a file open for writing nobody can run it: what we keep does not count as open.
 */
static int keep_by_path(int *fd, struct err *e)
{
	int path = reopen(*fd, O_PATH);

	if (path < 0)
		return err_set(e, path, "reopening");
	close(*fd);
	*fd = path;
	return 0;
}

int restore_inode_open(struct restore *r, uint32_t inode, int flags, int *out, struct err *e)
{
	const struct inode_rec *rec = LIST_AT(&r->image->inodes, struct inode_rec, inode - 1);
	int *fd = &r->inodes[inode - 1];
	int ret = 0;

	if (*fd < 0) {
		switch (rec->kind) {
		case INODE_PATH:
			ret = find_path(r, rec, fd, e);
			break;
		case INODE_GHOST:
			ret = make_ghost(r, rec, fd, e);
			break;
		case INODE_MEMFD:
			ret = make_memfd(r, rec, fd, e);
			break;
		default:
			ret = make_shmem(r, rec, fd, e);
		}
		if (!ret && rec->kind != INODE_PATH)
			ret = keep_by_path(fd, e);
		if (ret < 0)
			return ret;
	}
	if (flags & O_PATH) {
		*out = fcntl(*fd, F_DUPFD_CLOEXEC, 0);
		return *out < 0 ? err_set(e, -errno, "%s", rec->path) : 0;
	}
	flags &= ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW);
	if ((flags & O_TMPFILE) == O_TMPFILE)
		flags &= ~O_TMPFILE;
	ret = reopen(*fd, flags | O_NOCTTY);
	if (ret < 0)
		return err_set(e, ret, "%s", rec->path);
	*out = ret;
	return 0;
}

int restore_seal_memfds(struct restore *r, struct err *e)
{
	for (size_t i = 0; i < r->image->inodes.count; i++) {
		const struct inode_rec *rec = LIST_AT(&r->image->inodes, struct inode_rec, i);

		AUTO(fd) int fd = -1;

		if (rec->kind != INODE_MEMFD || !rec->seals || r->inodes[i] < 0)
			continue;
		fd = reopen(r->inodes[i], O_RDWR);
		if (fd < 0 || fcntl(fd, F_ADD_SEALS, rec->seals) < 0)
			return err_set(e, -errno, "memfd %s: seals", rec->path);
	}
	return 0;
}
