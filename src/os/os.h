/* SPDX-License-Identifier: MIT */
/*
 * os: Linux made pleasant. System calls that return 0 or a negative errno, descriptors that
 * close themselves, whole files as buffers. Knows nothing of snapshots.
 */
#ifndef WSLX_OS_H
#define WSLX_OS_H

#include <sys/types.h>
#include <unistd.h>

#include "base/base.h"
#include "os/proc.h"

/* ---- descriptors ----------------------------------------------------------------------- */

static inline void os_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
static inline void auto_fd(int *fd)
{
	os_close(fd);
}
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* ---- files ----------------------------------------------------------------------------- */

/**
 * os_read_file_at() - append a whole file to @out; for /proc too, whose files have no size
 * @dir: directory descriptor or AT_FDCWD
 * Return: 0 or negative errno; without a sentence, because callers know better what it means.
 */
MUST_CHECK int os_read_file_at(int dir, const char *path, struct buf *out);
MUST_CHECK int os_read_all(int fd, struct buf *out);
MUST_CHECK int os_write_all(int fd, const void *data, size_t len);
MUST_CHECK int os_pwrite_all(int fd, const void *data, size_t len, uint64_t offset);
MUST_CHECK int os_pread_all(int fd, void *data, size_t len, uint64_t offset); /* -EIO if short */
/* The target of a symbolic link, in @a. Return: 0 or negative errno. */
MUST_CHECK int os_readlink_at(int dir, const char *path, struct arena *a, const char **out);
/*
 * /proc/PID/status and stat of a process or thread: "123/status" of /proc, "task/124/stat" of a
 * process. Lists are in @a. Return: 0; negative errno with a sentence.
 */
MUST_CHECK int os_read_status_at(int dir, const char *path, struct arena *a,
                                 struct proc_status *out, struct err *e);
MUST_CHECK int os_read_stat_at(int dir, const char *path, struct proc_stat *out, struct err *e);
/* Numbers that name entries of a directory, ascending, as uint64_t: /proc/PID/task, fd. */
MUST_CHECK int os_list_numbers_at(int dir, const char *path, struct arena *a, struct list *out);
/* What tells this build of this program from others, in hexadecimal; NULL if nothing does. */
char *os_build_id(void);
/* An unnamed file in TMPDIR, else /tmp, to be read and written. Return: its descriptor or -errno. */
int os_open_temporary(void);
/* mkdir -p; existing directories are fine. */
MUST_CHECK int os_make_dirs(const char *path, mode_t mode);

/* ---- time ------------------------------------------------------------------------------ */

uint64_t os_clock_ns(int clock); /* CLOCK_* */

/* ---- system calls without a wrapper, or with an errno instead of -1 ----------------------- */

int os_pidfd_open(pid_t pid, unsigned flags);
int os_pidfd_getfd(int pidfd, int fd);
/* kcmp(2): 0 same, 1 or 2 different (and ordered), negative errno. @type: KCMP_*. */
int os_kcmp(pid_t a, pid_t b, int type, unsigned long index_a, unsigned long index_b);

/* The boot's own id (/proc/sys/kernel/random/boot_id), 36 characters. Return: 0, -errno. */
MUST_CHECK int os_boot_id(char out[37]);

/* SHA-256 is the store's business; this is a quick digest for "is it the same?" (FNV-1a 64). */
uint64_t os_quick_hash(const void *data, size_t len);

#endif
