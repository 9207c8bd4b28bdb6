/* SPDX-License-Identifier: MIT */
/* Making an initramfs: a cpio archive (newc) with files, and a kernel's modules in load order. */
#ifndef WSLX_KERNEL_INITRAMFS_H
#define WSLX_KERNEL_INITRAMFS_H

#include "base/base.h"

struct initramfs {
	struct buf cpio;
	uint32_t inode;
};

void initramfs_finish(struct initramfs *i);
static inline void auto_initramfs(struct initramfs *i)
{
	initramfs_finish(i);
}
/* Paths have no leading slash; a directory comes before what is in it. */
void initramfs_add_dir(struct initramfs *i, const char *path);
/* All directories above a path; the kernel does not mind one that is there already. */
void initramfs_add_parents(struct initramfs *i, const char *path);
void initramfs_add_file(struct initramfs *i, const char *path, unsigned mode, struct span data);
void initramfs_add_link(struct initramfs *i, const char *path, const char *target);
void initramfs_add_device(struct initramfs *i, const char *path, unsigned major, unsigned minor);

/**
 * initramfs_add_modules() - modules and what they depend on, and the list for the guest program
 * @dir:   lib/modules/VERSION of a kernel package; no depmod is needed
 * @names: those wanted; one that the kernel does not have as a module is taken to be built in
 *
 * Dependencies come from the modules themselves (.modinfo "depends=").
 * Return: 0; negative errno with a sentence for a module that is damaged.
 */
MUST_CHECK int initramfs_add_modules(struct initramfs *i, const char *dir, const char *const *names,
                                     size_t n_names, struct err *e);

/* The archive, complete; the initramfs keeps owning it. */
struct span initramfs_end(struct initramfs *i);

#endif
