/* SPDX-License-Identifier: MIT */
/*
 * kernel: what a machine is started from. Kernels in every form in which distributions ship them,
 * and initramfs, are read, looked at before a guest does, unpacked and made; initramfs.h makes
 * them. All input is untrusted. Nothing here knows the machine but its RAM.
 *
 *	kernel.c     a bzImage or a vmlinux, to its physical addresses
 *	initrd.c     whether an initramfs is whole
 *	unpack.c     what distributions compress with
 *	initramfs.c  an initramfs of our own, with a kernel's modules
 */
#ifndef WSLX_KERNEL_H
#define WSLX_KERNEL_H

#include "base/base.h"
#include "dev/dev.h"

#define KERNEL_LOAD_MIN (1ull << 20) /* no kernel is loaded below; a PC has its own things there */

struct kernel {
	struct span setup_header; /* boot_params bytes 0x1f1 and on; empty for plain ELF */
	struct span elf;          /* the vmlinux: in the input, or in @unpacked */
	struct buf unpacked;
};

/**
 * kernel_open() - look at a kernel's file, and unpack it
 * @k:     finish it always
 * @file:  has to outlive @k
 * @limit: refuse one that unpacks to more bytes
 *
 * Return: 0; -ENOEXEC if it is none that could be started; -EFBIG; -EBADMSG for damaged data;
 * -ENOTSUP for another compression.
 */
MUST_CHECK int kernel_open(struct kernel *k, struct span file, uint64_t limit, struct err *e);
void kernel_finish(struct kernel *k);

/**
 * kernel_load() - copy the program to its physical addresses
 * @entry: guest-physical address of its first instruction
 * @end:   first byte after it
 *
 * Return: 0; -ENOEXEC for a program that is damaged or no kernel; -EFBIG if RAM is too small.
 */
MUST_CHECK int kernel_load(const struct kernel *k, const struct dev_ram *ram, uint64_t *entry,
                           uint64_t *end, struct err *e);

/**
 * initrd_check() - whether a kernel would find all of an initramfs
 * @limit: refuse one that unpacks to more bytes
 *
 * Return: 0, also for none; or -EBADMSG, -ENOEXEC, -EFBIG with a sentence.
 */
MUST_CHECK int initrd_check(struct span in, size_t limit, struct err *e);

/**
 * kernel_unpack() - decompress what a kernel's build has compressed: gzip, xz, lz4 (legacy), zstd
 * @limit: refuse to produce more bytes
 * @out:   appended to
 * @used:  how much of @in that was; may be NULL
 *
 * Return: 0; -EBADMSG for damaged data; -EFBIG; -ENOTSUP for another compression; -ENOMEM.
 */
MUST_CHECK int kernel_unpack(struct span in, size_t limit, struct buf *out, size_t *used,
                             struct err *e);

#endif
