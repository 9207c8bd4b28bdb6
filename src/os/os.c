/* SPDX-License-Identifier: MIT */
#include "os/os.h"

#include <dirent.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

int os_read_all(int fd, struct buf *out)
{
	size_t chunk = 4096;

	for (;;) {
		ssize_t n;

		buf_reserve(out, chunk);
		n = read(fd, out->data + out->len, out->cap - out->len);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!n)
			return 0;
		out->len += (size_t)n;
		if (chunk < (1u << 20))
			chunk *= 2;
	}
}

int os_read_file_at(int dir, const char *path, struct buf *out)
{
	AUTO(fd) int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return os_read_all(fd, out);
}

int os_write_all(int fd, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

int os_pwrite_all(int fd, const void *data, size_t len, uint64_t offset)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = pwrite(fd, p, len, (off_t)offset);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		len -= (size_t)n;
		offset += (size_t)n;
	}
	return 0;
}

int os_pread_all(int fd, void *data, size_t len, uint64_t offset)
{
	uint8_t *p = data;

	while (len) {
		ssize_t n = pread(fd, p, len, (off_t)offset);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (!n)
			return -EIO;
		p += n;
		len -= (size_t)n;
		offset += (size_t)n;
	}
	return 0;
}

int os_readlink_at(int dir, const char *path, struct arena *a, const char **out)
{
	char text[4097];
	ssize_t n = readlinkat(dir, path, text, sizeof(text) - 1);

	if (n < 0)
		return -errno;
	text[n] = 0;
	*out = arena_text(a, text);
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

int os_read_status_at(int dir, const char *path, struct arena *a, struct proc_status *out,
                      struct err *e)
{
	AUTO(buf) struct buf text = {0};
	int r = os_read_file_at(dir, path, &text);

	return r < 0 ? err_set(e, r, "%s", path) : proc_parse_status(buf_span(&text), a, out, e);
}

int os_read_stat_at(int dir, const char *path, struct proc_stat *out, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	int r = os_read_file_at(dir, path, &text);

	return r < 0 ? err_set(e, r, "%s", path) : proc_parse_stat(buf_span(&text), out, e);
}

int os_list_numbers_at(int dir, const char *path, struct arena *a, struct list *out)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *stream;
	int r = 0;

	if (fd < 0)
		return -errno;
	stream = fdopendir(fd);
	if (!stream) {
		r = -errno;
		close(fd);
		return r;
	}
	for (;;) {
		uint64_t number;

		errno = 0;
		entry = readdir(stream);
		if (!entry)
			break;
		if (!text_to_u64(entry->d_name, 10, UINT64_MAX, &number))
			*LIST_ADD(out, a, uint64_t) = number;
	}
	r = -errno;
	closedir(stream);
	if (out->count)
		qsort(out->items, out->count, sizeof(uint64_t), by_number);
	return r;
}

int os_open_temporary(void)
{
	const char *dir = getenv("TMPDIR");
	int fd = open(dir && *dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

int os_make_dirs(const char *path, mode_t mode)
{
	AUTO(text) char *copy = xstrdup(path);

	for (char *p = copy + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	if (mkdir(copy, mode) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

uint64_t os_clock_ns(int clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int os_pidfd_open(pid_t pid, unsigned flags)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, flags);

	return fd < 0 ? -errno : fd;
}

int os_pidfd_getfd(int pidfd, int fd)
{
	int r = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	return r < 0 ? -errno : r;
}

int os_kcmp(pid_t a, pid_t b, int type, unsigned long index_a, unsigned long index_b)
{
	int r = (int)syscall(SYS_kcmp, a, b, type, index_a, index_b);

	return r < 0 ? -errno : r;
}

int os_boot_id(char out[37])
{
	AUTO(buf) struct buf text = {0};
	int r = os_read_file_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", &text);

	if (r < 0)
		return r;
	if (text.len < 36)
		return -EBADMSG;
	memcpy(out, text.data, 36);
	out[36] = 0;
	return 0;
}

uint64_t os_quick_hash(const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3;
	return h;
}

/* ---- this program ------------------------------------------------------------------------ */

/* Only of the first object, which is the program. */
static int find_build_id(struct dl_phdr_info *object, size_t size, void *out)
{
	for (unsigned i = 0; i < object->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &object->dlpi_phdr[i];
		const char *at = (const char *)(object->dlpi_addr + p->p_vaddr);
		const char *end = at + p->p_memsz;

		while (p->p_type == PT_NOTE && at + sizeof(ElfW(Nhdr)) <= end) {
			const ElfW(Nhdr) *note = (const void *)at;
			const char *name = at + sizeof(*note);
			const char *id = name + ((note->n_namesz + 3u) & ~3u);

			if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
			    !memcmp(name, "GNU", 4)) {
				char *text = xalloc(2 * note->n_descsz + 1);

				text_hex(text, (const uint8_t *)id, note->n_descsz);
				*(char **)out = text;
				return 1;
			}
			at = id + ((note->n_descsz + 3u) & ~3u);
		}
	}
	return 1;
}

char *os_build_id(void)
{
	char *id = NULL;

	dl_iterate_phdr(find_build_id, &id);
	return id;
}
