/* SPDX-License-Identifier: MIT */
/*
 * How fast a snapshot's pages go to the store and come back:
 *
 *	bench-store [MIB [FOLDER...]]		default: 1024 /dev/shm /var/tmp
 *
 * Each row writes MIB of one sort of content and reads them again. A write is from begin to
 * commit, so it includes all syncing. "copy" hands pages over from memory; "process" has
 * process_vm_readv(2) put them in the sink's own frames, as an engine does. Reads go to memory
 * that was touched before, from files that are in the page cache. Each row tells the best time
 * and, in brackets, the median of ROUNDS, then the least CPU time of all threads, which says
 * more where others use the machine too. The limits of the machine are measured in the same run.
 */
#include "store/store.h"
#include "../tests/random.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 5

static uint64_t seed = 88172645463325252u;

static uint64_t next_random(void)
{
	return random_next(&seed);
}

static void fill_zero(uint8_t *p, size_t bytes)
{
	memset(p, 0, bytes);
}

/* Each page holds its own number, over and over: what a test program touches memory with. */
static void fill_pattern(uint8_t *p, size_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i++)
		((uint64_t *)(void *)p)[i] = i / (PAGE_BYTES / 8) + 1;
}

/* Objects of a heap: pointers near each other, small numbers, lengths, words of text. */
static void fill_heap(uint8_t *p, size_t bytes)
{
	static const char words[] = "name=value; path=/usr/lib/x86_64-linux-gnu; state=ready; ";
	uint64_t *at = (uint64_t *)(void *)p;

	for (size_t i = 0; i < bytes / 8; i += 8) {
		uint64_t r = next_random();

		at[i] = 0x7f3a00000000u + (r & 0xfffff8);
		at[i + 1] = 0x7f3a00000000u + (r >> 24 & 0xfffff8);
		at[i + 2] = r >> 56;
		at[i + 3] = 1;
		memcpy(&at[i + 4], words + (r & 15), 24);
		at[i + 7] = 0;
	}
	for (size_t page = 0; page < bytes / PAGE_BYTES; page++)
		if (next_random() % 8 == 0)
			memset(p + page * PAGE_BYTES, 0, PAGE_BYTES);
}

static void fill_random(uint8_t *p, size_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i++)
		((uint64_t *)(void *)p)[i] = next_random();
}

static const struct content {
	const char *name;
	void (*fill)(uint8_t *p, size_t bytes);
} contents[] = {
	{"zero", fill_zero},
	{"pattern", fill_pattern},
	{"heap", fill_heap},
	{"random", fill_random},
};

struct times {
	double wall[ROUNDS], cpu[ROUNDS]; /* seconds; a round's start, then how long it took */
};

static double seconds_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void begin(struct times *t, int round)
{
	t->wall[round] = seconds_of(CLOCK_MONOTONIC);
	t->cpu[round] = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

static void end(struct times *t, int round)
{
	t->wall[round] = seconds_of(CLOCK_MONOTONIC) - t->wall[round];
	t->cpu[round] = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - t->cpu[round];
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_times(const char *what, struct times *t, size_t bytes)
{
	qsort(t->wall, ROUNDS, sizeof(t->wall[0]), by_size);
	qsort(t->cpu, ROUNDS, sizeof(t->cpu[0]), by_size);
	printf("  %-24s %7.1f ms (%7.1f) %7.2f GiB/s %9.1f ms of CPU\n", what, t->wall[0] * 1e3,
	       t->wall[ROUNDS / 2] * 1e3, (double)bytes / (1u << 30) / t->wall[0], t->cpu[0] * 1e3);
	fflush(stdout);
}

static void die(const struct err *e)
{
	fprintf(stderr, "bench-store: %s\n", e->text);
	exit(1);
}

/* ---- limits ---------------------------------------------------------------------------- */

static void measure_memcpy(uint8_t *from, uint8_t *to, size_t bytes)
{
	struct times t;

	for (int i = 0; i < ROUNDS; i++) {
		begin(&t, i);
		memcpy(to, from, bytes);
		end(&t, i);
	}
	print_times("memcpy", &t, bytes);
}

static void measure_file(const char *dir, const uint8_t *from, size_t bytes, bool sync)
{
	char path[4096];
	struct times t;

	snprintf(path, sizeof(path), "%s/bench-store.file", dir);
	for (int i = 0; i < ROUNDS; i++) {
		int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		struct err e = {0};

		begin(&t, i);
		for (size_t at = 0; fd >= 0 && at < bytes; at += 1u << 20)
			if (write(fd, from + at, 1u << 20) < 0)
				break;
		if (fd < 0 || (sync && fdatasync(fd) < 0)) {
			err_set(&e, -errno, "%s", path);
			die(&e);
		}
		end(&t, i);
		close(fd);
		unlink(path);
	}
	print_times(sync ? "write(2) and fdatasync" : "write(2)", &t, bytes);
}

/* ---- the store ------------------------------------------------------------------------- */

static int read_own(const struct page_reader *from, const struct stretch *what, size_t n,
                    uint8_t *to, struct err *e)
{
	(void)from;
	for (size_t i = 0; i < n; i++) {
		size_t bytes = what[i].pages * PAGE_BYTES;
		struct iovec local = {.iov_base = to, .iov_len = bytes};
		struct iovec remote = {.iov_base = (void *)(uintptr_t)what[i].at, .iov_len = bytes};

		if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != (ssize_t)bytes)
			return err_set(e, -errno, "process_vm_readv");
		to += bytes;
	}
	return 0;
}

static int hand_over(struct page_sink *sink, uint8_t *pages, size_t n, bool process, struct err *e)
{
	static const struct page_reader own = {read_own};
	int r;

	if (!process)
		return sink->write(sink, pages, n, e);
	r = sink->fetch(sink, &own, (struct stretch){(uint64_t)(uintptr_t)pages, n}, e);
	return r < 0 ? r : sink->drain(sink, e);
}

static void write_once(struct store *s, uint8_t *pages, size_t bytes, bool process)
{
	AUTO(store_writer) struct store_writer *w = NULL;
	struct err e = {0};
	int r = store_writer_begin(s, "proc", NULL, &w, &e);

	if (!r)
		r = hand_over(store_writer_sink(w), pages, bytes / PAGE_BYTES, process, &e);
	if (!r)
		r = store_writer_commit(w, "bench", SPAN("\xa0", 1), NULL, &e);
	if (r < 0)
		die(&e);
}

/* Not part of any time: giving a large file's pages back takes a while. */
static void remove_last(struct store *s)
{
	struct err e = {0};
	int r = store_remove(s, "bench", &e);

	if (r < 0 && r != -ENOENT)
		die(&e);
}

struct part {
	pthread_t thread;
	struct page_source *source;
	uint64_t first;
	size_t pages;
	uint8_t *out;
	struct err e;
};

static void *read_part(void *arg)
{
	struct part *p = arg;

	if (p->source->read(p->source, p->first, p->pages, p->out, &p->e) < 0)
		die(&p->e);
	return NULL;
}

static void read_once(struct store *s, uint8_t *out, unsigned threads)
{
	AUTO(store_reader) struct store_reader *reader = NULL;
	struct part parts[2] = {0};
	struct err e = {0};
	uint64_t n;

	if (store_reader_open(s, "bench", &reader, &e) < 0)
		die(&e);
	n = store_reader_source(reader)->n_pages;
	for (unsigned i = 0; i < threads; i++) {
		parts[i].source = store_reader_source(reader);
		parts[i].first = i * (n / threads);
		parts[i].pages = (size_t)(n / threads);
		parts[i].out = out + parts[i].first * PAGE_BYTES;
		if (pthread_create(&parts[i].thread, NULL, read_part, &parts[i]))
			die(&e);
	}
	for (unsigned i = 0; i < threads; i++)
		pthread_join(parts[i].thread, NULL);
}

static void measure_content(struct store *s, const struct content *c, uint8_t *pages, uint8_t *back,
                            size_t bytes)
{
	AUTO(store_reader) struct store_reader *reader = NULL;
	struct times copy, process, one, two;
	struct err e = {0};

	c->fill(pages, bytes);
	for (int i = 0; i < ROUNDS; i++) {
		remove_last(s);
		begin(&copy, i);
		write_once(s, pages, bytes, false);
		end(&copy, i);
		remove_last(s);
		begin(&process, i);
		write_once(s, pages, bytes, true);
		end(&process, i);
		begin(&one, i);
		read_once(s, back, 1);
		end(&one, i);
		begin(&two, i);
		read_once(s, back, 2);
		end(&two, i);
		if (memcmp(pages, back, bytes)) {
			fprintf(stderr, "bench-store: %s: read what was not written\n", c->name);
			exit(1);
		}
	}
	if (store_reader_open(s, "bench", &reader, &e) < 0)
		die(&e);
	printf(" %s, stored as %.1f %%\n", c->name,
	       100.0 * (double)store_reader_meta(reader)->stored_bytes / (double)bytes);
	print_times("write, copy", &copy, bytes);
	print_times("write, process", &process, bytes);
	print_times("read, 1 thread", &one, bytes);
	print_times("read, 2 threads", &two, bytes);
}

static uint8_t *touched_memory(size_t bytes)
{
	uint8_t *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED) {
		perror("bench-store: mmap");
		exit(1);
	}
	return p;
}

static void remove_empty_store(const char *root)
{
	static const char *const paths[] = {"blobs/sha256", "blobs", "tmp",  "index.json",
	                                    "oci-layout",   "key",   "lock", ""};

	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		char path[4200];

		snprintf(path, sizeof(path), "%s/%s", root, paths[i]);
		if (remove(path) < 0)
			perror(path);
	}
}

static void measure_folder(const char *dir, uint8_t *pages, uint8_t *back, size_t bytes)
{
	char root[4096];
	struct store *s;
	struct err e = {0};

	snprintf(root, sizeof(root), "%s/bench-store.%d", dir, (int)getpid());
	if (store_open(root, NULL, &s, &e) < 0)
		die(&e);
	printf("%s\n", dir);
	measure_file(dir, pages, bytes, false);
	measure_file(dir, pages, bytes, true);
	for (size_t i = 0; i < ARRAY_LEN(contents); i++)
		measure_content(s, &contents[i], pages, back, bytes);
	remove_last(s);
	store_close(s);
	remove_empty_store(root);
}

int main(int argc, char **argv)
{
	static const char *default_dirs[] = {"/dev/shm", "/var/tmp", NULL};
	char **dirs = argc > 2 ? argv + 2 : (char **)default_dirs;
	uint64_t mib = 1024;
	uint8_t *pages, *back;
	size_t bytes;

	if (argc > 1 && text_to_u64(argv[1], 10, 1u << 20, &mib) < 0) {
		fprintf(stderr, "usage: bench-store [MIB [FOLDER...]]\n");
		return 2;
	}
	bytes = (size_t)mib << 20;
	pages = touched_memory(bytes);
	back = touched_memory(bytes);
	fill_random(pages, bytes);
	printf("%llu MiB, best of %d (median)\n", (unsigned long long)mib, ROUNDS);
	measure_memcpy(pages, back, bytes);
	for (; *dirs; dirs++)
		measure_folder(*dirs, pages, back, bytes);
	return 0;
}
