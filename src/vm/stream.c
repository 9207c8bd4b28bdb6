/* SPDX-License-Identifier: MIT */
/*
 * A machine as a stream of bytes, from a machine process, which may open no files, to the one
 * that stores it.
 *
 * | bytes    | what                                                                    |
 * |----------|-------------------------------------------------------------------------|
 * | 8        | "WSLXVMS1"                                                              |
 * | 16 + n   | runs: page, count (little-endian, 8 bytes each), count pages            |
 * | 16       | page 2^64-1, length of what follows: the machine's record, at most 1 GiB |
 * | 16       | page 2^64-2, length of what follows instead: a sentence, why it failed  |
 *
 * The stream is complete with one of the last two; one that ends before is refused.
 */
#include "vm/vm-int.h"

#include <string.h>
#include <unistd.h>

#define MAGIC "WSLXVMS1"
#define MARK_RECORD UINT64_MAX
#define MARK_FAILED (UINT64_MAX - 1)
#define RUN_MAX 256u
#define RECORD_MAX (1u << 30)
#define RECORD_STEP (1u << 20)
#define SENTENCE_MAX 1024u

static int write_all(int fd, const void *data, size_t len, struct err *e)
{
	const uint8_t *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return err_set(e, -errno, "writing the machine's stream");
		at += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return 0;
}

static int read_all(int fd, void *out, size_t len, struct err *e)
{
	uint8_t *at = out;

	while (len) {
		ssize_t n = read(fd, at, len);

		if (n < 0 && errno != EINTR)
			return err_set(e, -errno, "reading the machine's stream");
		if (!n)
			return err_say(e, -EPIPE,
			               "the machine's stream ends early; did its process "
			               "die?");
		at += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
	return 0;
}

static void put_header(uint8_t header[16], uint64_t page, uint64_t count)
{
	for (unsigned i = 0; i < 8; i++) {
		header[i] = (uint8_t)(page >> (8 * i));
		header[8 + i] = (uint8_t)(count >> (8 * i));
	}
}

static uint64_t get_le(const uint8_t *p)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static int write_part(int fd, uint64_t page, uint64_t count, const void *data, size_t len,
                      struct err *e)
{
	uint8_t header[16];
	int r;

	put_header(header, page, count);
	r = write_all(fd, header, sizeof(header), e);
	return r ? r : write_all(fd, data, len, e);
}

static int write_run(void *arg, uint64_t page, const uint8_t *data, uint64_t count, struct err *e)
{
	return write_part(*(const int *)arg, page, count, data, count * PAGE_BYTES, e);
}

static int write_machine(struct vm *vm, int fd)
{
	const struct vm_page_writer w = {write_run, &fd};
	AUTO(buf) struct buf state = {0};
	struct err e = {0};
	int r = write_all(fd, MAGIC, strlen(MAGIC), &e);

	if (!r)
		r = save_machine(vm, &state, &w, &e);
	if (!r)
		r = write_part(fd, MARK_RECORD, state.len, state.data, state.len, &e);
	/* If that was the pipe's fault, this fails too, and the reader has noticed. */
	if (r)
		write_part(fd, MARK_FAILED, strlen(e.text), e.text, strlen(e.text), NULL);
	return r;
}

int vm_stream_live(struct vm *vm, int fd, uint64_t *pause_ns, struct err *e)
{
	uint64_t before = host_monotonic_ns();
	pid_t pid;

	vm_clock_stop(&vm->clock);
	pid = fork();
	if (!pid)
		_exit(write_machine(vm, fd) ? 1 : 0);
	vm_clock_start(&vm->clock);
	if (pid < 0)
		return err_set(e, -errno, "fork of the machine");
	*pause_ns = host_monotonic_ns() - before;
	return 0;
}

static int read_record(int fd, uint64_t len, struct buf *out, struct err *e)
{
	if (len > RECORD_MAX)
		return err_say(e, -EBADMSG, "the machine's stream has a record of impossible size");
	/* Room is made as it is filled: the sender's word for the length costs us nothing. */
	while (len) {
		size_t n = (size_t)MIN(len, RECORD_STEP);
		int r = read_all(fd, buf_extend(out, n), n, e);

		if (r)
			return r;
		len -= n;
	}
	return 0;
}

static int read_sentence(int fd, uint64_t len, struct err *e)
{
	char text[SENTENCE_MAX + 1];
	int r = read_all(fd, text, MIN(len, SENTENCE_MAX), e);

	if (r)
		return r;
	text[MIN(len, SENTENCE_MAX)] = '\0';
	return err_say(e, -EIO, "the machine could not be saved: %s", text);
}

int vm_stream_read(int fd, const struct vm_page_writer *w, struct buf *state, struct err *e)
{
	AUTO(buf) struct buf pages = {0};
	uint8_t header[16];
	uint64_t next = 0;
	int r = read_all(fd, header, strlen(MAGIC), e);

	if (r)
		return r;
	if (memcmp(header, MAGIC, strlen(MAGIC)) != 0)
		return err_say(e, -EBADMSG, "this is not a machine's stream");
	buf_reserve(&pages, RUN_MAX * PAGE_BYTES);
	for (;;) {
		uint64_t page, count;

		r = read_all(fd, header, sizeof(header), e);
		if (r)
			return r;
		page = get_le(header);
		count = get_le(header + 8);
		if (page == MARK_RECORD)
			return read_record(fd, count, state, e);
		if (page == MARK_FAILED)
			return read_sentence(fd, count, e);
		if (!count || count > RUN_MAX || page < next ||
		    page + count > VM_RAM_MAX / PAGE_BYTES)
			return err_say(e, -EBADMSG, "the machine's stream is damaged");
		r = read_all(fd, pages.data, count * PAGE_BYTES, e);
		if (!r)
			r = w->write(w->arg, page, pages.data, count, e);
		if (r)
			return r;
		next = page + count;
	}
}
