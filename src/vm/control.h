/* SPDX-License-Identifier: MIT */
/*
 * The line between a running machine and those who ask something of it: a SOCK_SEQPACKET
 * socket. The machine process can open nothing, so whatever it needs comes as a descriptor.
 *
 * | request | descriptors                         | answer                                    |
 * |---------|-------------------------------------|-------------------------------------------|
 * | disks   | -                                   | "ok", then a line for each disk           |
 * | snap    | where the stream goes, then an      | "ok NANOSECONDS" that it stood still, then|
 * |         | empty overlay for each "cow" disk   | a line for each disk; frozen overlays     |
 * | button  | -                                   | "ok"                                      |
 * | stop    | -                                   | "ok"; the machine is switched off         |
 * | session | -                                   | "ok"; from then on the connection is a    |
 * |         |                                     | session's: lines to and from the guest    |
 *
 * A machine that has not all arrived stands still until it has, before it answers the first two.
 * A disk's line is "KIND LAYERS PATH": KIND is ro, raw or cow, LAYERS the number of frozen
 * overlays (of a "snap"), PATH its base. Anything that fails is answered "error SENTENCE".
 *
 * A session is a command that is started in the guest beside what runs there. Its lines are those of
 * src/guest/session.c without "x ID "; the machine passes them on and looks into none. When the
 * connection ends the session is hung up; when the machine ends, or does not get rid of what the
 * session says, the connection ends.
 */
#ifndef WSLX_VM_CONTROL_H
#define WSLX_VM_CONTROL_H

#include "vm/arrival.h"

#define CONTROL_FDS_MAX 64
#define CONTROL_TEXT_MAX 8192
#define CONTROL_SESSIONS_MAX 12

/* As the guest has them (guest.h). */
#define SESSION_WINDOW (64u << 10)
#define SESSION_LINE_COST 512u
#define SESSION_LINE_BYTES 1984u /* of a command's bytes in a line, as they are written there */
/* How these bytes are written; 0xf7, 0xfb and 0xfd, which become two, are in no UTF-8. */
#define SESSION_MASK 0xf7u
#define SESSION_ESCAPE '\f'
#define SESSION_FLIP 0x40u

struct control_message {
	char text[CONTROL_TEXT_MAX];
	int fds[CONTROL_FDS_MAX]; /* the receiver's own */
	unsigned n_fds;
};

/* What the machine's owner knows of a disk. */
struct control_disk {
	struct disk *disk;
	const char *base; /* path */
};

struct control_session {
	int sock;
	unsigned id; /* never used again; 0: this place is free */
};

struct control {
	struct vm *vm;
	struct control_session sessions[CONTROL_SESSIONS_MAX];
	unsigned last_session;
	struct control_disk disk[VM_DISKS_MAX];
	unsigned n_disks;
	struct arrival *arrival; /* NULL: all of the machine is here */
	int listener;
	uid_t owner;  /* who may ask, beside root */
	bool stopped; /* by request */
};

/**
 * control_listen() - make the socket, before vm_sandbox(), and have the machine watch it
 */
MUST_CHECK int control_listen(struct control *c, const char *path, struct err *e);
/* The machine has ended: who waits for an answer has none. The socket's name stays. */
void control_finish(struct control *c);

/**
 * control_call() - ask a machine and wait for its answer
 * @answer: without its "ok"; the caller closes its descriptors
 */
MUST_CHECK int control_call(const char *path, const char *request, const int *fds, unsigned n_fds,
                            struct control_message *answer, struct err *e);
void control_message_close(struct control_message *m);

/* Begin a session. Return: its connection. */
int control_open_session(const char *path, struct err *e);
MUST_CHECK int control_say(int session, const char *line);
/**
 * session_encode() - a command's bytes as they stand in a line, without NUL and newline
 * @out:  at least SESSION_LINE_BYTES + 1
 * @used: how many of them the line takes
 */
void session_encode(char *out, struct span data, size_t *used);
/* @out: at least SESSION_LINE_BYTES. Return: how many; -EBADMSG. */
MUST_CHECK int session_decode(uint8_t *out, const char *text);
/* Return: 0; -ECONNRESET when the machine or the session has ended. */
MUST_CHECK int control_hear(int session, struct control_message *out);

#endif
