/* SPDX-License-Identifier: MIT */
/*
 * A restored machine would spend most of its first milliseconds on decoding code and on page
 * faults, and machines of one snapshot all do the same. So they learn from each other. Beside the
 * image of RAM are, for each build of this program,
 *
 *	DIGEST.BUILD.log	where a machine ran code that was not in the image yet, and which
 *				pages of RAM it used that were not
 *	DIGEST.BUILD.code	the image: that code, decoded, and those pages
 *				(src/x86/code-image.c)
 *
 * One machine at a time has the log, under a lock that goes with the machine. The next one finds what
 * it has left, and if that is worth it an image of both is made before it starts.
 *
 * A machine may be hostile, and is believed nothing but places and pages, of which wrong ones cost
 * time: an image that it made itself would be a way from one machine into others. Decoding is done
 * by a child that has given up as much as a machine does before it reads the first byte of RAM. The
 * image then is protected as the image of RAM is. It need not be complete, nor right about RAM: the
 * CPU compares (x86.h).
 */
#include "flow/code-image.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "os/os.h"

#define WORTH 192u                  /* new places or pages for which a small image is made anew */
#define PLACES_MAX X86_CODE_LOG_MAX /* of an image: some 8 MiB */
#define PAGES_MAX X86_PAGE_LOG_MAX

static int open_log(int dir, const char *name, struct x86_code_log **out)
{
	AUTO(fd) int fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	void *at;

	/* Without a hole: to touch one on a full tmpfs would be a SIGBUS. */
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) || posix_fallocate(fd, 0, sizeof(**out)))
		return -1;
	at = mmap(NULL, sizeof(**out), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -1;
	*out = at;
	return take_fd(&fd);
}

static struct x86_code_image map_image(int dir, const char *name)
{
	AUTO(fd) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	void *at;

	if (fd < 0 || fstat(fd, &st) || st.st_size <= 0)
		return (struct x86_code_image){0};
	at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	return at == MAP_FAILED ? (struct x86_code_image){0}
	                        : (struct x86_code_image){at, (size_t)st.st_size};
}

static void unmap_image(struct x86_code_image *image)
{
	if (image->at)
		munmap((void *)image->at, image->bytes);
	*image = (struct x86_code_image){0};
}

/* ---- making ------------------------------------------------------------------------------- */

/* The child: decodes what a guest has brought. Return: its exit status. */
static int decode(const struct opened_vm *o, const struct x86_known *known, int out)
{
	AUTO(buf) struct buf image = {0};
	struct err e;
	const uint8_t *ram = mmap(NULL, o->needs.ram_bytes, PROT_READ, MAP_PRIVATE, o->ram_fd, 0);

	if (ram == MAP_FAILED || vm_sandbox(false, &e))
		return 1;
	x86_code_image_make(ram, o->needs.ram_bytes, known, &image);
	return os_write_all(out, image.data, image.len) ? 1 : 0;
}

static bool decode_in_child(const struct opened_vm *o, const struct x86_known *known, int out)
{
	int status;
	pid_t child = fork();

	if (!child)
		_exit(decode(o, known, out));
	while (child > 0 && waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return child > 0 && !status;
}

static void make_image(int dir, const char *name, const struct opened_vm *o,
                       const struct x86_known *known)
{
	AUTO(fd) int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0400);
	AUTO(text) char *self = xprintf("/proc/self/fd/%d", fd);

	/* One name cannot be given to two: the old one goes first, and machines keep it mapped. */
	if (fd < 0 || !decode_in_child(o, known, fd) || (unlinkat(dir, name, 0) && errno != ENOENT))
		return;
	if (linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW))
		return; /* the next machine tries again */
}

/* What is in the log goes into the image, if it is much: it is made while somebody waits. */
static void learn(int dir, const char *name, struct opened_vm *o)
{
	const uint32_t *old_page = NULL;
	size_t old_places = MIN(x86_code_image_count(&o->code), PLACES_MAX);
	size_t old_pages = MIN(x86_code_image_pages(&o->code, &old_page), PAGES_MAX);
	size_t new_places = MIN(atomic_load(&o->code_log->n), PLACES_MAX - old_places);
	size_t new_pages = MIN(atomic_load(&o->code_log->n_pages), PAGES_MAX - old_pages);
	struct x86_known k;

	if (new_places < MAX(WORTH, old_places / 8) && new_pages < MAX(WORTH, old_pages / 2))
		return;
	k.place = xalloc((old_places + new_places) * sizeof(*k.place));
	k.page = xalloc((old_pages + new_pages) * sizeof(*k.page));
	old_places = x86_code_image_places(&o->code, k.place, old_places);
	memcpy(k.place + old_places, o->code_log->place, new_places * sizeof(*k.place));
	if (old_pages)
		memcpy(k.page, old_page, old_pages * sizeof(*k.page));
	memcpy(k.page + old_pages, o->code_log->page, new_pages * sizeof(*k.page));
	k.n_places = old_places + new_places;
	k.n_pages = old_pages + new_pages;
	make_image(dir, name, o, &k);
	free(k.place);
	free(k.page);
	atomic_store(&o->code_log->n, 0);
	atomic_store(&o->code_log->n_pages, 0);
	unmap_image(&o->code);
	o->code = map_image(dir, name);
}

/* ---- opening ------------------------------------------------------------------------------ */

void code_image_open(int dir, const char *digest, struct opened_vm *o)
{
	AUTO(text) char *build = os_build_id();
	AUTO(text) char *image = NULL, *log = NULL;

	if (!build || fallback_forced("no-code-image"))
		return;
	image = xprintf("%s.%s" CODE_IMAGE_SUFFIX, digest, build);
	log = xprintf("%s.%s" CODE_LOG_SUFFIX, digest, build);
	o->code = map_image(dir, image);
	o->code_lock = open_log(dir, log, &o->code_log);
	if (o->code_lock >= 0)
		learn(dir, image, o);
}

void code_image_close(struct opened_vm *o)
{
	unmap_image(&o->code);
	if (!o->code_log)
		return;
	munmap(o->code_log, sizeof(*o->code_log));
	o->code_log = NULL;
	os_close(&o->code_lock);
}
