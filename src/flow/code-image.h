/* SPDX-License-Identifier: MIT */
/*
 * Decoded code of machine snapshots, learned from machines that ran. Theory in code-image.c.
 */
#ifndef WSLX_FLOW_CODE_IMAGE_H
#define WSLX_FLOW_CODE_IMAGE_H

#include "flow/vm.h"

/**
 * code_image_open() - the code that machines of a snapshot have run before, decoded
 * @dir:    of the store's images of RAM
 * @digest: of the snapshot's manifest, in hexadecimal
 *
 * Sets o->code, o->code_log and o->code_lock. A favour: without it, all is decoded when it runs.
 */
void code_image_open(int dir, const char *digest, struct opened_vm *o);
void code_image_close(struct opened_vm *o);

#define CODE_IMAGE_SUFFIX ".code"
#define CODE_LOG_SUFFIX ".log"

#endif
