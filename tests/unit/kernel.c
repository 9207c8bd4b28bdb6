/* SPDX-License-Identifier: MIT */
/* Kernels, whole and damaged, in each compression; initramfs archives. */
#include "kernel/kernel.h"
#include "kernel/initramfs.h"
#include "tap.h"

#include <elf.h>
#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#define RAM_BYTES (3u << 20)
#define ENTRY 0x200000u
#define CODE_BYTES 5000u

static uint8_t bytes[RAM_BYTES];
static const struct dev_ram ram = {.host = bytes, .bytes = RAM_BYTES, .low_bytes = RAM_BYTES};

struct program {
	Elf64_Ehdr h;
	Elf64_Phdr p[2];
	uint8_t code[CODE_BYTES];
};

static struct program make_program(void)
{
	struct program k = {
		.h = {.e_ident = ELFMAG,
	              .e_type = ET_EXEC,
	              .e_machine = EM_X86_64,
	              .e_entry = ENTRY + 16,
	              .e_phoff = offsetof(struct program, p),
	              .e_phentsize = sizeof(Elf64_Phdr),
	              .e_phnum = 2},
		.p = {{.p_type = PT_NOTE, .p_offset = UINT64_MAX},
	              {.p_type = PT_LOAD,
	               .p_offset = offsetof(struct program, code),
	               .p_vaddr = 0xffffffff81000000,
	               .p_paddr = ENTRY,
	               .p_filesz = CODE_BYTES,
	               .p_memsz = 3 * CODE_BYTES}},
	};

	k.h.e_ident[EI_CLASS] = ELFCLASS64;
	k.h.e_ident[EI_DATA] = ELFDATA2LSB;
	for (unsigned i = 0; i < CODE_BYTES; i++)
		k.code[i] = (uint8_t)(i * i >> 3);
	return k;
}

enum packing { GZIP, XZ, LZ4, ZSTD, PACKINGS };
static const char *const packing_names[] = {"gzip", "xz", "lz4", "zstd"};

static void pack(struct buf *out, enum packing how, const void *data, size_t len)
{
	uint8_t *at;
	size_t n = 0;

	buf_reserve(out, 2 * len + 1000);
	at = out->data + out->len;
	if (how == GZIP) {
		z_stream z = {.next_in = (uint8_t *)(uintptr_t)data,
		              .avail_in = (uInt)len,
		              .next_out = at,
		              .avail_out = (uInt)(2 * len + 1000)};

		deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
		deflate(&z, Z_FINISH);
		n = z.total_out;
		deflateEnd(&z);
	} else if (how == XZ) {
		lzma_easy_buffer_encode(1, LZMA_CHECK_CRC32, NULL, data, len, at, &n,
		                        2 * len + 1000);
	} else if (how == LZ4) {
		memcpy(at, "\x02\x21\x4c\x18", 4);
		n = (size_t)LZ4_compress_default(data, (char *)at + 8, (int)len,
		                                 (int)(2 * len + 900));
		for (unsigned i = 0; i < 4; i++)
			at[4 + i] = (uint8_t)(n >> (8 * i));
		n += 8;
	} else {
		n = ZSTD_compress(at, 2 * len + 1000, data, len, 3);
	}
	out->len += n;
	/* The unpacked size follows, as the kernel's build appends it. */
	for (unsigned i = 0; i < 4; i++)
		buf_add_byte(out, (uint8_t)(len >> (8 * i)));
}

static void put(uint8_t *p, uint64_t v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void make_bzimage(struct buf *out, enum packing how)
{
	struct program k = make_program();
	size_t setup = 2 * 512;

	memset(buf_extend(out, setup), 0, setup);
	pack(out, how, &k, sizeof(k));
	out->data[0x1f1] = 1;
	put(out->data + 0x1fe, 0xaa55, 2);
	out->data[0x201] = 0x66;
	memcpy(out->data + 0x202, "HdrS", 4);
	put(out->data + 0x206, 0x20f, 2);
	put(out->data + 0x236, 1, 2);
	put(out->data + 0x248, 0, 4);
	put(out->data + 0x24c, out->len - setup, 4);
}

static int try(struct span file, struct err *e)
{
	uint64_t entry = 0, end = 0;
	struct kernel k;
	int r;

	*e = (struct err){0};
	memset(bytes, 0xee, sizeof(bytes));
	r = kernel_open(&k, file, RAM_BYTES, e);
	if (!r)
		r = kernel_load(&k, &ram, &entry, &end, e);
	kernel_finish(&k);
	if (!r)
		ok(entry == ENTRY + 16 && end == ENTRY + 3 * CODE_BYTES);
	return r;
}

static void ok_loaded(const char *what)
{
	struct program k = make_program();

	ok(!memcmp(bytes + ENTRY, k.code, CODE_BYTES), "%s: content", what);
	ok(bytes[ENTRY + CODE_BYTES] == 0 && bytes[ENTRY + 3 * CODE_BYTES - 1] == 0, "%s: bss",
	   what);
	ok(bytes[ENTRY - 1] == 0xee && bytes[ENTRY + 3 * CODE_BYTES] == 0xee, "%s: no more", what);
}

static void an_elf_kernel_is_loaded_where_it_says(void)
{
	struct program k = make_program();
	struct err e;

	ok(!try(SPAN(&k, sizeof(k)), &e), "%s", e.text);
	ok_loaded("elf");
}

static void every_compression_is_unpacked(void)
{
	for (unsigned how = 0; how < PACKINGS; how++) {
		AUTO(buf) struct buf b = {0};
		struct err e;

		make_bzimage(&b, how);
		ok(!try(buf_span(&b), &e), "%s: %s", packing_names[how], e.text);
		ok_loaded(packing_names[how]);
	}
}

/* A copy at the end of its allocation, so that a sanitizer sees what is read beyond it. */
static int try_copy(const uint8_t *data, size_t len, struct err *e)
{
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	memcpy(copy, data, len);
	r = try(SPAN(copy, len), e);
	free(copy);
	return r;
}

static void a_kernel_cut_short_anywhere_is_refused_with_a_sentence(void)
{
	for (unsigned how = 0; how < PACKINGS; how++) {
		AUTO(buf) struct buf b = {0};

		make_bzimage(&b, how);
		for (size_t len = 0; len < b.len; len += len < 1100 ? 1 : 37) {
			struct err e;

			ok(try_copy(b.data, len, &e) < 0 && text_starts(e.text, "kernel: "),
			   "%s cut to %zu: %s", packing_names[how], len, e.text);
		}
	}
}

static void a_damaged_kernel_is_refused_or_loaded_within_ram(void)
{
	unsigned refused = 0;

	for (unsigned how = 0; how < PACKINGS; how++) {
		AUTO(buf) struct buf b = {0};

		make_bzimage(&b, how);
		for (size_t at = 0x1f1; at < b.len; at += 3) {
			uint8_t was = b.data[at];
			uint64_t entry, end;
			struct err e = {0};
			struct kernel k;
			int r;

			b.data[at] ^= 0x5a;
			r = kernel_open(&k, buf_span(&b), RAM_BYTES, &e);
			if (!r)
				r = kernel_load(&k, &ram, &entry, &end, &e);
			kernel_finish(&k);
			refused += r < 0;
			ok(!r || *e.text, "a refusal without a sentence");
			b.data[at] = was;
		}
	}
	ok(refused > 100, "%u", refused);
}

static void headers_that_lie_are_refused(void)
{
	static const struct {
		const char *what;
		size_t at;
		uint64_t value;
		unsigned bytes;
	} lies[] = {
#define EH(m) offsetof(struct program, h.m)
#define PH(m) offsetof(struct program, p[1].m)
		{"32-bit", EH(e_ident) + EI_CLASS, ELFCLASS32, 1},
		{"another machine", EH(e_machine), EM_AARCH64, 2},
		{"headers beyond the file", EH(e_phoff), UINT64_MAX - 8, 8},
		{"65535 headers", EH(e_phnum), 65535, 2},
		{"headers of another size", EH(e_phentsize), 8, 2},
		{"entry outside", EH(e_entry), 0x100, 8},
		{"content beyond the file", PH(p_offset), UINT64_MAX - 100, 8},
		{"content that wraps", PH(p_filesz), UINT64_MAX - 100, 8},
		{"address beyond RAM", PH(p_paddr), RAM_BYTES - 10, 8},
		{"address that wraps", PH(p_paddr), UINT64_MAX - 10, 8},
		{"below 1 MiB", PH(p_paddr), 0x1000, 8},
		{"larger than RAM", PH(p_memsz), 1ull << 40, 8},
	};

	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		struct program k = make_program();
		struct err e;

		put((uint8_t *)&k + lies[i].at, lies[i].value, lies[i].bytes);
		ok(try(SPAN(&k, sizeof(k)), &e) < 0 && text_starts(e.text, "kernel: "), "%s: %s",
		   lies[i].what, e.text);
	}
}

static void an_unpacked_size_has_a_limit(void)
{
	AUTO(buf) struct buf zeros = {0};

	memset(buf_extend(&zeros, 3u << 20), 0, 3u << 20);
	for (unsigned how = 0; how < PACKINGS; how++) {
		AUTO(buf) struct buf packed = {0};
		AUTO(buf) struct buf out = {0};
		struct err e = {0};

		pack(&packed, how, zeros.data, zeros.len);
		ok(kernel_unpack(buf_span(&packed), 2u << 20, &out, NULL, &e) == -EFBIG, "%s: %s",
		   packing_names[how], e.text);
	}
}

static void an_archive_has_what_was_put_in(void)
{
	AUTO(initramfs) struct initramfs i = {0};
	struct span s;

	initramfs_add_dir(&i, "bin");
	initramfs_add_file(&i, "bin/x", 0755, SPAN("hello", 5));
	s = initramfs_end(&i);
	ok(s.len % 4 == 0);
	/* header 110, "bin\0" 114, padded to 116; header, "bin/x\0" 232, data */
	ok(!memcmp(s.data, "070701", 6) && !memcmp(s.data + 110, "bin", 4));
	ok(!memcmp(s.data + 116 + 54, "00000005", 8), "size");
	ok(!memcmp(s.data + 116 + 110, "bin/x", 6) && !memcmp(s.data + 232, "hello", 5));
	ok(!memcmp(s.data + 240 + 110, "TRAILER!!!", 11));
}

/* Two files: an archive, as it is or packed. */
static void add_archive(struct buf *out, int how, const char *text)
{
	AUTO(initramfs) struct initramfs i = {0};
	struct span s;

	initramfs_add_dir(&i, "bin");
	initramfs_add_file(&i, "bin/x", 0755, SPAN(text, strlen(text)));
	s = initramfs_end(&i);
	if (how < 0)
		buf_add(out, s.data, s.len);
	else
		pack(out, (enum packing)how, s.data, s.len);
	if (how >= 0)
		out->len -= 4; /* no unpacked size behind it */
	while (out->len % 4 || out->len < 512)
		buf_add_byte(out, 0);
}

static int check_copy(const uint8_t *data, size_t len, struct err *e)
{
	uint8_t *copy = malloc(len ? len : 1);
	int r;

	*e = (struct err){0};
	memcpy(copy, data, len);
	r = initrd_check(SPAN(copy, len), 1u << 20, e);
	free(copy);
	return r;
}

static void whole_archives_are_taken(void)
{
	for (int how = -1; how < PACKINGS; how++) {
		AUTO(buf) struct buf b = {0};
		struct err e;

		add_archive(&b, how, "hello");
		ok(!check_copy(b.data, b.len, &e), "%d: %s", how, e.text);
		/* As Debian's, whose first archive is for the processor. */
		add_archive(&b, -1, "more");
		add_archive(&b, GZIP, "more");
		ok(!check_copy(b.data, b.len, &e), "%d, and more: %s", how, e.text);
		buf_add(&b, "junk", 4);
		ok(check_copy(b.data, b.len, &e) == -ENOEXEC, "%d and junk: %s", how, e.text);
		buf_add(&b, "#BOOTCONFIG\n", 12);
		ok(!check_copy(b.data, b.len, &e), "boot configuration: %s", e.text);
	}
}

static void an_archive_cut_short_is_refused_with_a_sentence(void)
{
	for (int how = -1; how < PACKINGS; how++) {
		AUTO(buf) struct buf b = {0};
		size_t end;
		struct err e;

		add_archive(&b, how, "a text that takes some room in the archive");
		for (end = b.len; !b.data[end - 1]; end--)
			;
		for (size_t len = 1; len < end; len++) {
			int r = check_copy(b.data, len, &e);

			/* Between two files an archive may end, and padding is no loss. */
			if (how < 0 && (len == 116 || (len >= 274 && len <= 276)))
				ok(!r, "cut to %zu: %s", len, e.text);
			else
				ok(r < 0 && text_starts(e.text, "initrd: "), "%d cut to %zu: %s",
				   how, len, e.text);
		}
	}
}

static void a_damaged_archive_is_refused_or_taken(void)
{
	for (int how = -1; how < PACKINGS; how++) {
		AUTO(buf) struct buf b = {0};
		unsigned refused = 0;

		add_archive(&b, how, "hello");
		for (size_t at = 0; at < b.len; at++) {
			struct err e;

			for (unsigned bit = 0; bit < 8; bit++) {
				b.data[at] ^= (uint8_t)(1u << bit);
				if (check_copy(b.data, b.len, &e)) {
					refused++;
					ok(text_starts(e.text, "initrd: "), "%s", e.text);
				}
				b.data[at] ^= (uint8_t)(1u << bit);
			}
		}
		ok(refused > 100, "%d: %u", how, refused);
	}
}

int main(void)
{
	RUN(an_elf_kernel_is_loaded_where_it_says);
	RUN(every_compression_is_unpacked);
	RUN(a_kernel_cut_short_anywhere_is_refused_with_a_sentence);
	RUN(a_damaged_kernel_is_refused_or_loaded_within_ram);
	RUN(headers_that_lie_are_refused);
	RUN(an_unpacked_size_has_a_limit);
	RUN(an_archive_has_what_was_put_in);
	RUN(whole_archives_are_taken);
	RUN(an_archive_cut_short_is_refused_with_a_sentence);
	RUN(a_damaged_archive_is_refused_or_taken);
	return tap_done();
}
