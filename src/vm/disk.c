/* SPDX-License-Identifier: MIT */
/*
 * Disks: a raw file, or a base that is never written with overlays on it. Only the topmost
 * overlay is written. A snapshot freezes it and has a new one put on top, so that the machine
 * and its snapshot share what lies below, and both go on at once.
 *
 * An overlay file has clusters of 4 KiB:
 *
 * | at                 | what                                                           |
 * |--------------------|----------------------------------------------------------------|
 * | 0                  | "WSLXOVL1", then the disk's size in bytes, little-endian       |
 * | cluster 1          | a bit for each cluster of the disk: set if it is in this file  |
 * | after the bitmap   | the disk's clusters at their own places; unwritten ones a hole |
 *
 * The bitmap is written when the guest flushes, after the data is on disk: a crash leaves an
 * overlay in which every cluster that is said to be there is there.
 */
#include "vm/vm-int.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLUSTER 4096u
#define MAGIC "WSLXOVL1"
#define LAYERS_MAX 64

struct overlay {
	int fd;
	uint8_t *bitmap;
	size_t bitmap_bytes;
	uint64_t data_at; /* where cluster 0 of the disk would be */
	bool dirty;       /* the bitmap has changed since it was written */
};

struct file_disk {
	struct disk disk;
	int fd;
	struct vm_need need;
};

struct overlay_disk {
	struct disk disk;
	struct disk *base;
	struct overlay layer[LAYERS_MAX]; /* the last one is written */
	unsigned n_layers;
};

static int read_all(int fd, uint64_t at, uint8_t *out, size_t len)
{
	while (len) {
		ssize_t n = pread(fd, out, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		/* Beyond the end of a file whose size is no multiple of a sector. */
		if (!n) {
			memset(out, 0, len);
			return 0;
		}
		out += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

static int write_all(int fd, uint64_t at, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = pwrite(fd, data, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data += n;
		at += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* ---- raw files -------------------------------------------------------------------------- */

static int raw_read(struct disk *d, uint64_t at, uint8_t *out, size_t len)
{
	struct file_disk *f = (struct file_disk *)d;

	if (f->need.need)
		f->need.need(f->need.arg, at, len);
	return read_all(f->fd, at, out, len);
}

static int raw_write(struct disk *d, uint64_t at, const uint8_t *data, size_t len)
{
	return write_all(((struct file_disk *)d)->fd, at, data, len);
}

static int raw_flush(struct disk *d)
{
	return fdatasync(((struct file_disk *)d)->fd) ? -errno : 0;
}

struct disk *disk_open_raw(int fd, bool read_only, struct err *e)
{
	struct file_disk *f;
	uint64_t bytes = 0;
	struct stat st;

	if (fstat(fd, &st)) {
		err_set(e, -errno, "disk");
	} else if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, &bytes)) {
		err_set(e, -errno, "disk: size of a block device");
	} else if (!S_ISBLK(st.st_mode) && !S_ISREG(st.st_mode)) {
		err_say(e, -EINVAL, "disk: this is neither a file nor a block device");
	} else {
		f = xalloc(sizeof(*f));
		f->fd = fd;
		f->disk = (struct disk){
			.bytes = (S_ISBLK(st.st_mode) ? bytes : (uint64_t)st.st_size) & ~511ull,
			.read_only = read_only,
			.read = raw_read,
			.write = raw_write,
			.flush = raw_flush,
		};
		return &f->disk;
	}
	close(fd);
	return NULL;
}

void disk_watch(struct disk *d, struct vm_need need)
{
	assert(d->read == raw_read);
	((struct file_disk *)d)->need = need;
}

/* ---- overlays --------------------------------------------------------------------------- */

static bool bit_get(const struct overlay *o, uint64_t cluster)
{
	return o->bitmap[cluster / 8] >> (cluster % 8) & 1;
}

static void bit_set(struct overlay *o, uint64_t cluster)
{
	o->bitmap[cluster / 8] |= (uint8_t)(1u << (cluster % 8));
	o->dirty = true;
}

static struct overlay *top(struct overlay_disk *d)
{
	return &d->layer[d->n_layers - 1];
}

/* The layer that holds a cluster: 0 is the base, n is layer[n - 1]. */
static unsigned holder(const struct overlay_disk *d, uint64_t cluster)
{
	unsigned n = d->n_layers;

	while (n && !bit_get(&d->layer[n - 1], cluster))
		n--;
	return n;
}

static int overlay_read(struct disk *disk, uint64_t at, uint8_t *out, size_t len)
{
	struct overlay_disk *d = (struct overlay_disk *)disk;

	while (len) {
		unsigned h = holder(d, at / CLUSTER);
		size_t n = MIN(len, CLUSTER - at % CLUSTER);
		int r;

		/* One read for as much as lies in the same layer. */
		while (n < len && holder(d, (at + n) / CLUSTER) == h)
			n += MIN(len - n, CLUSTER);
		r = h ? read_all(d->layer[h - 1].fd, d->layer[h - 1].data_at + at, out, n)
		      : d->base->read(d->base, at, out, n);
		if (r)
			return r;
		out += n;
		at += n;
		len -= n;
	}
	return 0;
}

/* A cluster of which only a part is written needs the rest from below first. */
static int fill_cluster(struct overlay_disk *d, uint64_t cluster)
{
	uint64_t at = cluster * CLUSTER;
	size_t len = MIN(CLUSTER, d->disk.bytes - at);
	uint8_t data[CLUSTER];
	int r = overlay_read(&d->disk, at, data, len);

	return r ? r : write_all(top(d)->fd, top(d)->data_at + at, data, len);
}

static int overlay_write(struct disk *disk, uint64_t at, const uint8_t *data, size_t len)
{
	struct overlay_disk *d = (struct overlay_disk *)disk;
	uint64_t end = at + len, first = at / CLUSTER, last = (end - 1) / CLUSTER;
	int r = 0;

	if (!len)
		return 0;
	if (at % CLUSTER && !bit_get(top(d), first))
		r = fill_cluster(d, first);
	if (!r && end % CLUSTER && end != d->disk.bytes && !bit_get(top(d), last) &&
	    (last != first || !(at % CLUSTER)))
		r = fill_cluster(d, last);
	if (!r)
		r = write_all(top(d)->fd, top(d)->data_at + at, data, len);
	if (r)
		return r;
	for (uint64_t c = first; c <= last; c++)
		bit_set(top(d), c);
	return 0;
}

static int overlay_flush(struct disk *disk)
{
	struct overlay *o = top((struct overlay_disk *)disk);
	int r;

	if (fdatasync(o->fd))
		return -errno;
	if (!o->dirty)
		return 0;
	r = write_all(o->fd, CLUSTER, o->bitmap, o->bitmap_bytes);
	if (r)
		return r;
	o->dirty = false;
	return fdatasync(o->fd) ? -errno : 0;
}

static void put_header(uint8_t header[16], uint64_t bytes)
{
	memcpy(header, MAGIC, 8);
	for (unsigned i = 0; i < 8; i++)
		header[8 + i] = (uint8_t)(bytes >> (8 * i));
}

static int add_layer(struct overlay_disk *d, int fd, struct err *e)
{
	uint64_t clusters = (d->disk.bytes + CLUSTER - 1) / CLUSTER;
	struct overlay o = {.fd = fd, .bitmap_bytes = (clusters + 7) / 8};
	uint8_t header[16], found[16];
	struct stat st;
	int r;

	if (d->n_layers == LAYERS_MAX)
		return err_say(e, -E2BIG,
		               "disk: %u overlays lie on each other already; start it "
		               "anew from one of its snapshots",
		               LAYERS_MAX);
	if (fstat(fd, &st))
		return err_set(e, -errno, "disk: overlay");
	o.data_at = CLUSTER + (o.bitmap_bytes + CLUSTER - 1) / CLUSTER * CLUSTER;
	put_header(header, d->disk.bytes);
	if (!st.st_size) {
		r = write_all(fd, 0, header, sizeof(header));
		if (!r && ftruncate(fd, (off_t)(o.data_at + clusters * CLUSTER)))
			r = -errno;
		if (r)
			return err_set(e, r, "disk: new overlay");
		o.bitmap = xalloc(o.bitmap_bytes + 1);
	} else {
		r = read_all(fd, 0, found, sizeof(found));
		if (!r && memcmp(found, header, sizeof(header)))
			return err_say(e, -EBADMSG,
			               "disk: this is not an overlay of a disk of "
			               "%llu bytes",
			               (unsigned long long)d->disk.bytes);
		o.bitmap = xalloc(o.bitmap_bytes + 1);
		if (!r)
			r = read_all(fd, CLUSTER, o.bitmap, o.bitmap_bytes);
		if (r) {
			free(o.bitmap);
			return err_set(e, r, "disk: overlay");
		}
	}
	d->layer[d->n_layers++] = o;
	return 0;
}

struct disk *disk_open_overlay(struct disk *base, int fd, bool read_only, struct err *e)
{
	struct overlay_disk *d = xalloc(sizeof(*d));

	d->base = base;
	d->disk = (struct disk){
		.bytes = base->bytes,
		.read_only = read_only,
		.read = overlay_read,
		.write = overlay_write,
		.flush = overlay_flush,
	};
	if (!add_layer(d, fd, e))
		return &d->disk;
	close(fd);
	disk_close(&d->disk);
	return NULL;
}

bool disk_is_overlay(const struct disk *d)
{
	return d->read == overlay_read;
}

int disk_push_overlay(struct disk *disk, int fd, struct err *e)
{
	struct overlay_disk *d = (struct overlay_disk *)disk;
	struct overlay *o = top(d);
	int r;

	assert(disk_is_overlay(disk));
	/* What is frozen has to be complete in its file; whether it is on disk is fsync's matter.
	 */
	r = o->dirty ? write_all(o->fd, CLUSTER, o->bitmap, o->bitmap_bytes) : 0;
	if (r) {
		close(fd);
		return err_set(e, r, "disk: overlay");
	}
	o->dirty = false;
	r = add_layer(d, fd, e);
	if (r)
		close(fd);
	return r;
}

bool disk_is_written(const struct disk *disk, uint64_t page)
{
	static_assert(CLUSTER == PAGE_BYTES, "a cluster is a page of a snapshot");
	return disk_is_overlay(disk) && holder((const struct overlay_disk *)disk, page);
}

unsigned disk_layers(const struct disk *disk, int *fds, unsigned max)
{
	const struct overlay_disk *d = (const struct overlay_disk *)disk;

	if (!disk_is_overlay(disk))
		return 0;
	for (unsigned i = 0; i < d->n_layers && i < max; i++)
		fds[i] = d->layer[i].fd;
	return d->n_layers;
}

void disk_close(struct disk *disk)
{
	if (!disk)
		return;
	if (disk_is_overlay(disk)) {
		struct overlay_disk *d = (struct overlay_disk *)disk;

		if (d->n_layers)
			overlay_flush(disk);
		for (unsigned i = 0; i < d->n_layers; i++) {
			close(d->layer[i].fd);
			free(d->layer[i].bitmap);
		}
		disk_close(d->base);
	} else {
		close(((struct file_disk *)disk)->fd);
	}
	free(disk);
}
