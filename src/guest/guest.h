/* SPDX-License-Identifier: MIT */
/*
 * guest: the small static program that is PID 1 in a machine's initramfs, and its agent.
 *
 * It stands alone: C library and system calls only, because it is built against another C
 * library than the rest, and every byte of it is in every snapshot.
 */
#ifndef WSLX_GUEST_H
#define WSLX_GUEST_H

#include <stdbool.h>
#include <stddef.h>

/* The lines between agent and host (see agent.c). */
#define AGENT_TTY "/dev/hvc1"

/* Say on the kernel log what went wrong; there may be no console yet. */
void complain(const char *what, const char *about);

/**
 * agent_start() - fork the process that answers the host
 * Return: a descriptor on which agent_say() can be used; -1 if the machine has no channel.
 */
int agent_start(void);
void agent_say(int fd, const char *line);

#endif
