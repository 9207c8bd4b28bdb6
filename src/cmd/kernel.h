/* SPDX-License-Identifier: MIT */
/* What a machine is started from: a kernel, its modules, and our guest program. */
#ifndef WSLX_CMD_KERNEL_H
#define WSLX_CMD_KERNEL_H

#include "cmd/cmd.h"
#include "kernel/initramfs.h"

#define KERNEL_COMMAND_LINE "console=ttyS0 pci=off tsc=reliable panic=-1 reboot=acpi rdinit=/init"

/* Map a file for the rest of the program's life. */
MUST_CHECK int cmd_map_file(const char *path, struct span *out, struct err *e);
/* lib/modules/VERSION of the package that a kernel came from; the caller frees it; NULL. */
char *cmd_modules_beside(const char *kernel);
/* Where wslx-guest is; the caller frees it. */
char *cmd_guest_beside(void);
/**
 * cmd_find_kernel() - a kernel of this host that can have shares
 *
 * The newest linux-image-amd64 below $WSLX_KERNELS, the store's kernels folder, or /.
 * Return: its path, which the caller frees; NULL with a sentence that says how to get one.
 */
char *cmd_find_kernel(const char *store_root, struct err *e);
/* Directories, the console's device, and the guest program as /init. @guest: NULL finds it. */
MUST_CHECK int cmd_begin_initramfs(struct initramfs *i, const char *guest, struct err *e);

#endif
