/* SPDX-License-Identifier: MIT */
/* Machine snapshots as plain directories: format in snapdir.h. */
#include "vm/snapdir.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_MAX (1u << 30)

int snapdir_temporary(void)
{
	const char *dir = getenv("TMPDIR");

	return open(dir && *dir ? dir : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

static int create_in(const char *dir, const char *name, struct err *e)
{
	AUTO(text) char *path = xprintf("%s/%s", dir, name);
	int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	return fd < 0 ? err_set(e, -errno, "%s", path) : fd;
}

static int open_in(const char *dir, const char *name, struct err *e)
{
	AUTO(text) char *path = xprintf("%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? err_set(e, -errno, "%s", path) : fd;
}

static int write_all(int fd, const uint8_t *data, size_t len, off_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, at);

		if (n < 0 && errno != EINTR)
			return -errno;
		data += MAX(n, 0);
		at += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return 0;
}

static int put_file(const char *dir, const char *name, struct span data, struct err *e)
{
	int fd = create_in(dir, name, e), r;

	if (fd < 0)
		return fd;
	r = write_all(fd, data.data, data.len, 0);
	if (!r && fsync(fd))
		r = -errno;
	close(fd);
	return r ? err_set(e, r, "%s/%s", dir, name) : 0;
}

static int get_file(const char *dir, const char *name, struct buf *out, struct err *e)
{
	int fd = open_in(dir, name, e);
	ssize_t n;

	if (fd < 0)
		return fd;
	do {
		n = read(fd, buf_extend(out, 65536), 65536);
		out->len -= 65536 - (size_t)MAX(n, 0);
	} while (n > 0 && out->len <= STATE_MAX);
	close(fd);
	return n < 0 ? err_set(e, -errno, "%s/%s", dir, name) : 0;
}

/* ---- save ------------------------------------------------------------------------------- */

static int write_page(void *arg, uint64_t page, const uint8_t *data, uint64_t count, struct err *e)
{
	int r = write_all(*(const int *)arg, data, count * PAGE_BYTES, (off_t)(page * PAGE_BYTES));

	return r ? err_set(e, r, "image of RAM") : 0;
}

static int copy_sparse(int from, int to)
{
	uint8_t data[65536];
	struct stat st;
	off_t at = 0;

	if (fstat(from, &st) || ftruncate(to, st.st_size))
		return -errno;
	while ((at = lseek(from, at, SEEK_DATA)) >= 0 && at < st.st_size) {
		ssize_t n = pread(from, data, sizeof(data), at);
		int r = n > 0 ? write_all(to, data, (size_t)n, at) : n < 0 ? -errno : -EIO;

		if (r)
			return r;
		at += n;
	}
	return errno == ENXIO || at >= st.st_size ? 0 : -errno;
}

/* A frozen overlay never changes, so a name for it is as good as a copy of it. */
static int keep_layer(int fd, const char *dir, const char *name, struct err *e)
{
	AUTO(text) char *path = xprintf("%s/%s", dir, name);
	AUTO(text) char *self = xprintf("/proc/self/fd/%d", fd);
	int to, r = 0;

	if (!linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW))
		return 0;
	to = create_in(dir, name, e);
	if (to < 0)
		return to;
	if (ioctl(to, FICLONE, fd))
		r = copy_sparse(fd, to);
	close(to);
	return r ? err_set(e, r, "copy of overlay %s", path) : 0;
}

static int keep_layers(const char *dir, const struct control_message *answer, struct err *e)
{
	AUTO(text) char *copy = xstrdup(answer->text);
	char *save = NULL, *line = strtok_r(copy, "\n", &save);
	unsigned disk = 0, next = 0;
	int r = 0;

	/* The first line is the pause. */
	while (!r && (line = strtok_r(NULL, "\n", &save))) {
		unsigned layers;

		if (sscanf(line, "%*s %u", &layers) != 1 || layers > answer->n_fds - next)
			return err_say(e, -EBADMSG, "the machine answers nonsense");
		for (unsigned i = 0; !r && i < layers; i++) {
			AUTO(text) char *name = xprintf("disk%u.%u", disk, i);

			r = keep_layer(answer->fds[next++], dir, name, e);
		}
		disk++;
	}
	return r;
}

/* Fill @dir, which is not yet under its name. */
static int save_into(const char *socket, const char *dir, uint64_t *pause_ns, struct err *e)
{
	struct control_message m = {.n_fds = 0};
	AUTO(buf) struct buf state = {0};
	int fds[1 + VM_DISKS_MAX], ends[2], ram = -1, r;
	struct vm_page_writer w = {write_page, &ram};
	const char *disks;
	unsigned n = 0;
	uint64_t bytes;

	r = control_call(socket, "disks", NULL, 0, &m, e);
	if (r)
		return r;
	if (pipe2(ends, O_CLOEXEC))
		return err_set(e, -errno, "pipe");
	fcntl(ends[0], F_SETPIPE_SZ, 1 << 20);
	fds[n++] = ends[1];
	for (const char *at = m.text; (at = strstr(at, "\ncow ")) && n <= VM_DISKS_MAX; at++)
		fds[n++] = snapdir_temporary();
	r = control_call(socket, "snap", fds, n, &m, e);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	if (r)
		goto out;
	if (sscanf(m.text, "%llu", (unsigned long long *)pause_ns) != 1)
		*pause_ns = 0;
	r = ram = create_in(dir, "ram", e);
	if (r >= 0)
		r = vm_stream_read(ends[0], &w, &state, e);
	if (!r)
		r = vm_peek(buf_span(&state), &bytes, e);
	if (!r && (ftruncate(ram, (off_t)bytes) || fsync(ram)))
		r = err_set(e, -errno, "%s/ram", dir);
	if (!r)
		r = put_file(dir, "machine", buf_span(&state), e);
	if (!r)
		r = keep_layers(dir, &m, e);
	disks = strchr(m.text, '\n');
	if (!r)
		r = put_file(dir, "disks", disks ? span_of_text(disks + 1) : (struct span){0}, e);
	control_message_close(&m);
out:
	close(ends[0]);
	if (ram >= 0)
		close(ram);
	return r;
}

static void remove_dir(const char *dir)
{
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = {"ram", "machine", "disks"};
		AUTO(text) char *path = xprintf("%s/%s", dir, names[i]);

		unlink(path);
	}
	for (unsigned disk = 0; disk < VM_DISKS_MAX; disk++) {
		for (unsigned i = 0;; i++) {
			AUTO(text) char *path = xprintf("%s/disk%u.%u", dir, disk, i);

			if (unlink(path))
				break;
		}
	}
	rmdir(dir);
}

int snapdir_save(const char *socket, const char *dir, uint64_t *pause_ns, struct err *e)
{
	AUTO(text) char *work = xprintf("%s.%d", dir, (int)getpid());
	int r;

	if (mkdir(work, 0700))
		return err_set(e, -errno, "%s", work);
	r = save_into(socket, work, pause_ns, e);
	if (!r && rename(work, dir))
		r = err_set(e, -errno, "%s", dir);
	if (r)
		remove_dir(work);
	return r;
}

/* ---- open ------------------------------------------------------------------------------- */

static struct disk *open_disk(const char *dir, unsigned number, const char *kind, unsigned layers,
			      const char *path, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
	struct disk *d, *base;

	if (fd < 0) {
		err_set(e, -errno, "disk %s", path);
		return NULL;
	}
	base = disk_open_raw(fd, true, e);
	if (!base || strcmp(kind, "cow") != 0)
		return base;
	d = NULL;
	for (unsigned i = 0; i < layers; i++) {
		AUTO(text) char *name = xprintf("disk%u.%u", number, i);

		fd = open_in(dir, name, e);
		if (fd < 0) {
			disk_close(d ? d : base);
			return NULL;
		}
		if (!d) {
			d = disk_open_overlay(base, fd, false, e);
			if (!d)
				return NULL;
		} else {
			r = disk_push_overlay(d, fd, e);
		}
	}
	fd = snapdir_temporary();
	if (fd < 0) {
		err_set(e, -errno, "overlay in TMPDIR");
		disk_close(d ? d : base);
		return NULL;
	}
	if (!r && d)
		r = disk_push_overlay(d, fd, e);
	else if (!r)
		d = disk_open_overlay(base, fd, false, e);
	if (r) {
		disk_close(d);
		return NULL;
	}
	return d;
}

static int open_disks(struct snapdir *s, const char *dir, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	char *save = NULL;
	int r = get_file(dir, "disks", &text, e);

	if (r)
		return r;
	s->text = xstrdup(buf_text(&text));
	for (char *line = strtok_r(s->text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		int path = 0;
		unsigned layers;
		char kind[8];

		if (s->n_disks == VM_DISKS_MAX ||
		    sscanf(line, "%7s %u %n", kind, &layers, &path) != 2 || !path)
			return err_say(e, -EBADMSG, "%s/disks: damaged", dir);
		s->disk[s->n_disks].base = line + path;
		s->disk[s->n_disks].disk =
			open_disk(dir, s->n_disks, kind, layers, line + path, e);
		if (!s->disk[s->n_disks].disk)
			return e->code;
		s->n_disks++;
	}
	return 0;
}

int snapdir_open(struct snapdir *s, const char *dir, struct err *e)
{
	int r;

	*s = (struct snapdir){.ram_fd = -1};
	r = get_file(dir, "machine", &s->state, e);
	if (r)
		return r;
	s->ram_fd = open_in(dir, "ram", e);
	if (s->ram_fd < 0)
		return s->ram_fd;
	return open_disks(s, dir, e);
}
