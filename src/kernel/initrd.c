/* SPDX-License-Identifier: MIT */
/*
 * Is an initramfs whole? A kernel takes one that was cut short without a word and then finds no
 * init, so we look before it does (Documentation/driver-api/early-userspace/buffer-format.rst).
 *
 * An initramfs is a sequence of cpio archives ("newc"), each as it is or compressed, with zeros
 * between them. An archive ends with a trailer, or where its last file does. What comes after it
 * and is neither is refused, except for the boot configuration that some append, which says so
 * in its last bytes.
 */
#include "kernel/kernel.h"

#include <string.h>

#define CPIO_HEADER 110u
#define CPIO_ALIGN(n) (((n) + 3) & ~(uint64_t)3)
#define CPIO_MAGIC_BYTES 6u
#define CPIO_SIZE_AT 54u
#define CPIO_NAME_BYTES_AT 94u
#define NAME_MAX_BYTES 4096u
#define BOOT_CONFIG "#BOOTCONFIG\n"

static bool begins(struct span s, const char *magic, size_t len)
{
	return s.len >= len && !memcmp(s.data, magic, len);
}

static bool is_cpio(struct span s)
{
	return begins(s, "070701", CPIO_MAGIC_BYTES) || begins(s, "070702", CPIO_MAGIC_BYTES);
}

/* Kinds that some kernels know and we do not: whether they are whole is the kernel's to say. */
static bool is_other_compression(struct span s)
{
	return begins(s, "\x5d\0\0", 3) || begins(s, "BZh", 3) || begins(s, "\x89LZO", 4);
}

static struct span after(struct span s, uint64_t n)
{
	return SPAN(s.data + n, s.len - n);
}

static int cut_short(struct err *e)
{
	return err_say(e, -EBADMSG, "initrd: it ends before its last file does; was it cut short?");
}

/* Eight hexadecimal digits. */
static bool read_number(const uint8_t *p, uint64_t *out)
{
	*out = 0;
	for (unsigned i = 0; i < 8; i++) {
		unsigned c = p[i] | 0x20u;

		if (c >= '0' && c <= '9')
			*out = *out << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			*out = *out << 4 | (c - 'a' + 10);
		else
			return false;
	}
	return true;
}

/* Walk one archive and leave @in after it. */
static int check_archive(struct span *in, struct err *e)
{
	while (is_cpio(*in)) {
		uint64_t size, name_bytes, data_at, next;
		bool is_trailer;

		if (in->len < CPIO_HEADER)
			return cut_short(e);
		if (!read_number(in->data + CPIO_SIZE_AT, &size) ||
		    !read_number(in->data + CPIO_NAME_BYTES_AT, &name_bytes) || !name_bytes ||
		    name_bytes > NAME_MAX_BYTES)
			return err_say(e, -EBADMSG,
			               "initrd: the header of one of its files is damaged");
		data_at = CPIO_ALIGN(CPIO_HEADER + name_bytes);
		if (data_at + size > in->len)
			return cut_short(e);
		is_trailer = begins(after(*in, CPIO_HEADER), "TRAILER!!!", sizeof("TRAILER!!!"));
		next = CPIO_ALIGN(data_at + size);
		*in = after(*in, MIN(next, in->len));
		if (is_trailer)
			break;
	}
	return 0;
}

static struct span skip_zeros(struct span in)
{
	while (in.len && !*in.data)
		in = after(in, 1);
	return in;
}

/* What @in begins with: an archive, or a compressed one whose content is checked as well. */
static int check_next(struct span *in, size_t limit, bool is_first, struct err *e)
{
	AUTO(buf) struct buf plain = {0};
	struct span content;
	size_t used;
	int r;

	if (is_cpio(*in))
		return check_archive(in, e);
	if (is_other_compression(*in)) {
		*in = after(*in, in->len);
		return 0;
	}
	r = kernel_unpack(*in, limit, &plain, &used, e);
	if (r == -ENOTSUP && is_first)
		return err_say(e, -ENOEXEC,
		               "initrd: this is neither a cpio archive nor a compressed one");
	if (r == -ENOTSUP)
		return err_say(
			e, -ENOEXEC,
			"initrd: what follows its first archive is neither a cpio archive nor "
			"a compressed one");
	if (r)
		return err_wrap(e, r, "initrd");
	*in = after(*in, used);
	content = buf_span(&plain);
	if (content.len && !is_cpio(content))
		return err_say(e, -ENOEXEC, "initrd: what is packed in it is not a cpio archive");
	return check_archive(&content, e);
}

int initrd_check(struct span in, size_t limit, struct err *e)
{
	const size_t config = sizeof(BOOT_CONFIG) - 1;
	bool is_first = true;
	int r = 0;

	if (in.len >= config && !memcmp(in.data + in.len - config, BOOT_CONFIG, config))
		return 0;
	for (in = skip_zeros(in); !r && in.len; in = skip_zeros(in)) {
		r = check_next(&in, limit, is_first, e);
		is_first = false;
	}
	return r;
}
