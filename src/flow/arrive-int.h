/* SPDX-License-Identifier: MIT */
/*
 * Between the files of an arrival; arrive.c has the theory.
 *
 *	arrive.c           the caller's side, and what is said and handed from one to the other
 *	carrier.c          the carrier is made, and where each page belongs
 *	carrier-threads.c  the carrier's life: pages come
 */
#ifndef WSLX_FLOW_ARRIVE_INT_H
#define WSLX_FLOW_ARRIVE_INT_H

#include <pthread.h>

#include "flow/arrive.h"
#include "flow/vm-snapshot.h"
#include "vm/arrival.h"

/* What the carrier says first, with the descriptors of state, board and files if it is begun. */
struct arrive_rec {
	int32_t code;
	const char *why; /* it failed, or is offline */
	uint32_t state;  /* enum pull_state */
	const char *name, *origin, *digest;
	const char *id; /* of the snapshot that is begun */
};

/* State, board, image of RAM, disks; and the line, if it is that of another's carrier. */
#define HANDED_MAX (3 + ARRIVAL_TARGETS_MAX)

/**
 * arrive_hand_over() - the carrier's first and only message of this kind
 * @fds: up to HANDED_MAX; they remain the caller's
 *
 * Return: 0; a negative errno, among them -EPIPE when nobody listens any more.
 */
int arrive_hand_over(int line, const struct arrive_rec *rec, const int *fds, unsigned n);
/* The other end of it. @fds: room for HANDED_MAX; @n of them are the caller's, also on failure. */
MUST_CHECK int arrive_take_over(int line, struct arena *a, struct arrive_rec *rec, int *fds,
                                unsigned *n, struct err *e);

enum frame_state { FRAME_WAITS = 0, FRAME_CLAIMED, FRAME_PLACED };

/* Pages of one frame, and where they belong. */
struct place {
	uint64_t first, count, page;
	uint32_t target;
};

struct carrier {
	struct arena arena;
	struct store *store;
	struct remote *remote;
	struct store_reader *reader;
	const char *origin;
	struct arrive_rec rec; /* what is handed over */
	struct vm_snapshot snapshot;
	struct list ram_runs; /* struct vm_run */
	uint64_t ram_bytes;

	struct arrival_board board;
	int board_fd;
	int file[ARRIVAL_TARGETS_MAX]; /* to be filled; -1: it is there */
	int open[ARRIVAL_TARGETS_MAX]; /* the same for reading; the machine's */
	unsigned n_targets;
	int line;
	int door; /* where others knock who want the same snapshot */

	struct list places; /* struct place, ascending by .first; none crosses a frame's end */
	size_t *place_of;   /* index of the first place of each frame, and of the end */
	uint64_t n_frames;
	uint64_t n_start, n_soon; /* frames that a start uses, and those with what it does first */

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t moved;
	uint8_t *frame; /* enum frame_state */
	uint64_t next;  /* no frame before it waits */
	uint64_t n_placed;
	uint64_t busy_ns;    /* when something was waited for last */
	uint64_t started_ns; /* when what a start uses was there */
	struct arrival_ask asked;
	bool is_behind; /* the rest is being brought */
	unsigned n_fillers;
	unsigned n_machines; /* that may wait for a page */
	bool is_asked, wants_all, says_trouble, keeps, is_kept;
	struct err failed; /* of keeping it, or of what nobody waited for */
};

/**
 * carrier_main() - what the carrier's process does, to its end
 * @root: of the store; NULL: the usual one
 * @line: to the machine; a SOCK_SEQPACKET
 */
void carrier_main(const char *root, const struct arrive_vm *what, int line);

/* Give a machine what it needs for its start. Return: 0; negative errno. */
MUST_CHECK int carrier_hand_over(struct carrier *c, int line, struct err *e);

/* The machine was handed over: brings its pages, until all are there or nobody wants them. */
void carrier_carry(struct carrier *c);

/* The frame that holds a page; c->n_frames if it is in none. */
uint64_t carrier_frame_of(const struct carrier *c, uint32_t target, uint64_t page);

/**
 * carrier_place_frame() - write a frame's pages where they belong, and then say so on the board
 * @room: STORE_FRAME_PAGES pages, for whatever
 *
 * Return: 0; -EBADMSG if the frame is damaged; the errno of writing.
 */
MUST_CHECK int carrier_place_frame(struct carrier *c, uint64_t frame, uint8_t *room, struct err *e);

#endif
