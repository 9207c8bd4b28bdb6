/* SPDX-License-Identifier: MIT */
/* Disks with overlays, against a model: an array of bytes that is written alike. */
#include "dev/virtio.h"
#include "tap.h"
#include "vm/vm.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define DISK_BYTES (100u * 4096u + 1536u) /* the last cluster is not whole */

static uint8_t model[DISK_BYTES];

static int file_of(const void *data, size_t len)
{
	int fd = memfd_create("disk", MFD_CLOEXEC);

	ok(fd >= 0 && pwrite(fd, data, len, 0) == (ssize_t)len);
	return fd;
}

static void fill_model(void)
{
	for (size_t i = 0; i < DISK_BYTES; i++)
		model[i] = (uint8_t)(i >> 9);
}

static bool same_as_model(struct disk *d)
{
	static uint8_t got[DISK_BYTES];

	return !d->read(d, 0, got, DISK_BYTES) && !memcmp(got, model, DISK_BYTES);
}

static void scribble(struct disk *d, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		size_t at = (size_t)rand() % (DISK_BYTES / 512) * 512;
		size_t len = (size_t)(rand() % 24 + 1) * 512;
		uint8_t value = (uint8_t)rand();

		len = MIN(len, DISK_BYTES - at);
		memset(model + at, value, len);
		ok(!d->write(d, at, model + at, len));
	}
}

static void an_overlay_keeps_the_base_as_it_was(void)
{
	static uint8_t base[DISK_BYTES], after[DISK_BYTES];
	struct err e = {0};
	int base_fd, overlay;
	struct disk *d;

	srand(1);
	fill_model();
	memcpy(base, model, DISK_BYTES);
	base_fd = file_of(model, DISK_BYTES);
	overlay = file_of("", 0);
	d = disk_open_overlay(disk_open_raw(dup(base_fd), true, &e), dup(overlay), false, &e);
	ok(d && d->bytes == DISK_BYTES && same_as_model(d), "%s", e.text);
	for (int round = 0; round < 50; round++) {
		scribble(d, 10);
		ok(same_as_model(d), "round %d", round);
	}
	ok(pread(base_fd, after, DISK_BYTES, 0) == DISK_BYTES && !memcmp(base, after, DISK_BYTES));
	disk_close(d);

	d = disk_open_overlay(disk_open_raw(base_fd, true, &e), overlay, true, &e);
	ok(d && same_as_model(d), "it is all there when it is opened again: %s", e.text);
	disk_close(d);
}

static void a_frozen_overlay_does_not_change(void)
{
	static uint8_t then[DISK_BYTES];
	struct err e = {0};
	int base, first, second;
	struct disk *d, *old;

	srand(2);
	fill_model();
	base = file_of(model, DISK_BYTES);
	first = file_of("", 0);
	second = file_of("", 0);
	d = disk_open_overlay(disk_open_raw(dup(base), true, &e), dup(first), false, &e);
	scribble(d, 100);
	memcpy(then, model, DISK_BYTES);
	ok(!disk_push_overlay(d, dup(second), &e), "%s", e.text);
	scribble(d, 100);
	ok(same_as_model(d));

	old = disk_open_overlay(disk_open_raw(dup(base), true, &e), dup(first), true, &e);
	memcpy(model, then, DISK_BYTES);
	ok(old && same_as_model(old), "the snapshot's view");
	disk_close(old);
	disk_close(d);
	close(base);
	close(first);
	close(second);
}

static void an_overlay_of_another_disk_is_refused(void)
{
	struct err e = {0};
	uint8_t data[8192] = "no overlay";
	struct disk *d;
	int overlay = file_of("", 0);

	fill_model();
	d = disk_open_overlay(disk_open_raw(file_of(model, DISK_BYTES), true, &e), dup(overlay),
	                      false, &e);
	disk_close(d);
	d = disk_open_overlay(disk_open_raw(file_of(model, 8192), true, &e), overlay, false, &e);
	ok(!d && strstr(e.text, "not an overlay"), "%s", e.text);
	d = disk_open_overlay(disk_open_raw(file_of(model, 8192), true, &e),
	                      file_of(data, sizeof(data)), false, &e);
	ok(!d && strstr(e.text, "not an overlay"), "%s", e.text);
}

int main(void)
{
	RUN(an_overlay_keeps_the_base_as_it_was);
	RUN(a_frozen_overlay_does_not_change);
	RUN(an_overlay_of_another_disk_is_refused);
	return tap_done();
}
