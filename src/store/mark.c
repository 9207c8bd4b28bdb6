/* SPDX-License-Identifier: MIT */
/*
 * Which snapshots were restored: `restored/HEX` with the snapshot's id, which stays when the
 * snapshot is settled and its manifest becomes another. The file of one that was restored holds
 * the time; that of one that is being restored is empty and locked; an empty one that nobody has
 * locked was left by a restore that was killed, and means nothing.
 */
#include "store/parts.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define MARK_MAX_BYTES 32

struct store_claim {
	int dir_fd, fd; /* fd: -1 for a copy, which locks nothing before the end */
	char hex[ID_TEXT_BYTES];
	bool kept;
};

static int mark_dir(struct store *s, int *out_fd, struct err *e)
{
	AUTO(fd) int fd = -1;

	if (mkdirat(s->root_fd, "restored", 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "store: making the folder restored");
	fd = openat(s->root_fd, "restored", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return err_set(e, -errno, "store: opening the folder restored");
	*out_fd = take_fd(&fd);
	return 0;
}

/* The file, locked. Return: 0; -EWOULDBLOCK if it is locked and @how has LOCK_NB. */
static int open_locked(const struct store_claim *c, int how, int *out_fd, struct err *e)
{
	for (;;) {
		AUTO(fd)
		int fd = openat(c->dir_fd, c->hex,
		                O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
		struct stat st;

		if (fd < 0)
			return err_set(e, -errno, "store: opening restored/%s", c->hex);
		while (flock(fd, how) < 0) {
			if (errno == EWOULDBLOCK)
				return -EWOULDBLOCK;
			if (errno != EINTR)
				return err_set(e, -errno, "store: locking restored/%s", c->hex);
		}
		if (fstat(fd, &st) < 0)
			return err_set(e, -errno, "store: restored/%s", c->hex);
		/* Given back between our two steps: what we have is no file any more. */
		if (!st.st_nlink)
			continue;
		*out_fd = take_fd(&fd);
		return 0;
	}
}

/* When it was restored, for a person; "" if it was not. */
static int read_mark(int fd, char text[MARK_MAX_BYTES], struct err *e)
{
	struct stat st;
	int r;

	*text = 0;
	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "store: restored");
	if (st.st_size >= MARK_MAX_BYTES)
		return err_say(e, -EBADMSG, "store: a mark in restored is larger than any of ours");
	r = read_at(fd, text, (size_t)st.st_size, 0, e, "restored");
	text[r ? 0 : st.st_size] = 0;
	text[strcspn(text, "\n")] = 0;
	return r;
}

static int claim_once(struct store_claim *c, const struct store_meta *meta, struct err *e)
{
	char text[MARK_MAX_BYTES];
	int r = open_locked(c, LOCK_EX | LOCK_NB, &c->fd, e);

	if (r == -EWOULDBLOCK)
		return err_say(e, -EALREADY, "snapshot %s is being restored by another wslx now",
		               meta->name);
	if (!r)
		r = read_mark(c->fd, text, e);
	if (!r && *text) {
		c->kept = true;
		r = err_say(e, -EALREADY,
		            "snapshot %s was restored on %s, and a program goes on only once: "
		            "--clone restores it again",
		            meta->name, text);
	}
	return r;
}

int store_claim(struct store *s, const struct store_meta *meta, bool again,
                struct store_claim **out, struct err *e)
{
	struct store_claim *c = xalloc(sizeof(*c));
	int r;

	*c = (struct store_claim){.dir_fd = -1, .fd = -1};
	snprintf(c->hex, sizeof(c->hex), "%s", meta->id);
	r = mark_dir(s, &c->dir_fd, e);
	if (!r && !again)
		r = claim_once(c, meta, e);
	if (r < 0) {
		store_claim_end(c);
		return r;
	}
	*out = c;
	return 0;
}

int store_claim_keep(struct store_claim *c, struct err *e)
{
	char text[MARK_MAX_BYTES], now[MARK_MAX_BYTES];
	time_t seconds = time(NULL);
	struct tm tm;
	int r = c->fd < 0 ? open_locked(c, LOCK_EX, &c->fd, e) : 0;

	if (!r)
		r = read_mark(c->fd, text, e);
	if (r < 0)
		return r;
	if (*text) { /* a copy of what was restored already */
		c->kept = true;
		return 0;
	}
	strftime(now, sizeof(now), "%Y-%m-%d %H:%M:%S %z\n", localtime_r(&seconds, &tm));
	r = fault_point("restore-mark") == FAULT_FAIL ? -EIO : 0;
	if (!r)
		r = os_pwrite_all(c->fd, now, strlen(now), 0);
	if (!r && (fdatasync(c->fd) < 0 || fsync(c->dir_fd) < 0))
		r = -errno;
	c->kept = !r;
	return r < 0 ? err_set(e, r, "store: noting that it was restored") : 0;
}

void store_claim_end(struct store_claim *c)
{
	if (!c)
		return;
	/* While it is locked: whoever has it open looks whether it is still there. */
	if (c->fd >= 0 && !c->kept)
		unlinkat(c->dir_fd, c->hex, 0);
	os_close(&c->fd);
	os_close(&c->dir_fd);
	free(c);
}

void mark_forget(struct store *s, const struct entry *entry)
{
	AUTO(arena) struct arena a = {0};
	AUTO(text) char *path = NULL;
	struct store_meta meta;
	struct head head;

	/* The mark of one that is damaged is for gc. */
	if (head_read(s, entry, &a, &head, &meta, NULL) < 0)
		return;
	path = xprintf("restored/%s", meta.id);
	unlinkat(s->root_fd, path, 0);
}

static int list_ids(struct store *s, struct arena *a, struct list *out, struct err *e)
{
	AUTO(index) struct index x = {0};
	int r = index_read(s, a, &x, e);

	LIST_EACH(&x.entries, const struct entry, entry) {
		struct store_meta meta;
		struct head head;

		if (!r && entry->ours)
			r = head_read(s, entry, a, &head, &meta, e);
		if (!r && entry->ours)
			*LIST_ADD(out, a, char *) = arena_text(a, meta.id);
	}
	return r;
}

int mark_sweep(struct store *s, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	AUTO(fd) int fd = openat(s->root_fd, "restored", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct list ids = {0};
	struct dirent *it;
	int r = 0;

	if (!dir)
		return errno == ENOENT ? 0 : err_set(e, -errno, "store: reading restored");
	take_fd(&fd);
	/* A mark could be that of a snapshot which cannot be read now: then all are kept. */
	if (list_ids(s, &a, &ids, NULL) < 0) {
		closedir(dir);
		return 0;
	}
	while ((it = readdir(dir))) {
		bool wanted = strlen(it->d_name) != 2 * ID_BYTES;

		LIST_EACH(&ids, char *, id)
			wanted |= !strcmp(*id, it->d_name);
		/* ENOENT: a restore has ended, and taken its mark back. */
		if (!wanted && unlinkat(dirfd(dir), it->d_name, 0) < 0 && errno != ENOENT)
			r = err_set(e, -errno, "store: removing restored/%s", it->d_name);
	}
	closedir(dir);
	return r;
}
