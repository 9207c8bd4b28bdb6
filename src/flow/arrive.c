/* SPDX-License-Identifier: MIT */
/*
 * Machines that start before they have arrived.
 *
 *	registry --ranges--> carrier --> partial/ (frames, for the next time)
 *	                        |------> a flat image of RAM, disks: files that the machine has open
 *	                        |------> the board: which of their pages are there
 *	                     machine <-- line --> carrier: "page n of disk 0", "it is there"
 *
 * The carrier is a process that is forked before anything is asked of the network. It fetches the
 * records, makes the files, hands them over, and then has threads:
 *
 *	listener	reads the line. When nobody is at its other end any more the machine has
 *			ended. The carrier then lets go of the terminal and brings the rest, as a
 *			pull would have done, or stops if somebody removes it. What has been fetched
 *			stays in partial/ whatever happens.
 *	server		brings the page that the machine stands still for.
 *	porter		opens the door; a server for each machine that comes in
 *	fillers		bring the rest, frame by frame in the order in which they are stored: first
 *			what a start uses, which the snapshot says, as fast as it comes; then, once the
 *			machine waits for nothing, the others behind.
 *
 * A frame is claimed by one thread, fetched and authenticated (store/lazy.c), opened, written to
 * every place that a page of it has, and then its pages are put on the board. When the last one is
 * there the disks get their names, the snapshot its own, and the image of RAM that of the
 * snapshot: nothing is fetched twice, and the next start is that of any snapshot of the store.
 *
 * Another start of the same snapshot meanwhile has a carrier too, which asks the registry what the tag
 * leads to. When that is what arrives here already it knocks at the first carrier's door, is given the
 * same files and the same board with a line of its own, hands these to its machine, and is done. So
 * that start waits for nobody, and what has come for one machine is there for all.
 *
 * A link that breaks is told once and tried again, less and less often; the machine waits. What
 * will not get better by waiting ends the machine when it needs a page, with the sentence.
 */
#include "flow/arrive.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "flow/arrive-int.h"
#include "flow/own-disk.h"
#include "os/os.h"

/* ---- handing over --------------------------------------------------------------------------- */

static const struct field arrive_fields[] = {
	FIELD(struct arrive_rec, code, 1, 0, "0 or negative errno"),
	FIELD(struct arrive_rec, why, 2, 2048, "sentence"),
	FIELD(struct arrive_rec, state, 3, PULL_BEGUN, "enum pull_state"),
	FIELD(struct arrive_rec, name, 4, STORE_NAME_MAX, "in the store"),
	FIELD(struct arrive_rec, origin, 5, STORE_ORIGIN_MAX, "whole reference"),
	FIELD(struct arrive_rec, digest, 6, 80, "of the manifest"),
	FIELD(struct arrive_rec, id, 7, 40, "of the snapshot"),
};
static const struct rec_type arrive_type = REC_TYPE(arrive_rec, arrive_fields, .doc = "hand-over");

#define HANDED_BYTES 8192u

int arrive_hand_over(int line, const struct arrive_rec *rec, const int *fds, unsigned n)
{
	AUTO(buf) struct buf text = {0};
	char control[CMSG_SPACE(sizeof(int) * HANDED_MAX)] = {0};
	struct iovec part;
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	struct cmsghdr *head;

	rec_encode(&text, &arrive_type, rec);
	part = (struct iovec){text.data, text.len};
	if (n) {
		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * n);
		head = CMSG_FIRSTHDR(&m);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int) * n);
		memcpy(CMSG_DATA(head), fds, sizeof(int) * n);
	}
	return sendmsg(line, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int arrive_take_over(int line, struct arena *a, struct arrive_rec *rec, int *fds, unsigned *n,
                     struct err *e)
{
	char control[CMSG_SPACE(sizeof(int) * HANDED_MAX)];
	uint8_t *text = arena_alloc(a, HANDED_BYTES);
	struct iovec part = {text, HANDED_BYTES};
	struct msghdr m = {.msg_iov = &part,
	                   .msg_iovlen = 1,
	                   .msg_control = control,
	                   .msg_controllen = sizeof(control)};
	ssize_t len;

	*n = 0;
	do
		len = recvmsg(line, &m, MSG_CMSG_CLOEXEC);
	while (len < 0 && errno == EINTR);
	if (len <= 0)
		return err_say(e, -EPIPE, "the process that talks to the registry has ended");
	for (struct cmsghdr *head = CMSG_FIRSTHDR(&m); head; head = CMSG_NXTHDR(&m, head)) {
		*n = MIN((unsigned)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int)), HANDED_MAX);
		memcpy(fds, CMSG_DATA(head), sizeof(int) * *n);
	}
	return rec_decode(SPAN(text, (size_t)len), &arrive_type, a, rec, e);
}

/* ---- the caller's side ---------------------------------------------------------------------- */

static int open_arrived(struct store *store, struct arrived_vm *out, const int *fds, unsigned n,
                        int line, struct err *e)
{
	AUTO(buf) struct buf state = {0};
	struct opened_vm *vm = &out->vm;
	struct vm_snapshot snapshot;
	int r = lseek(fds[0], 0, SEEK_SET) < 0 ? -errno : os_read_all(fds[0], &state);

	if (r)
		return err_set(e, r, "state of the machine");
	r = rec_decode(SPAN(arena_copy(&vm->arena, state.data, state.len), state.len),
	               &vm_snapshot_type, &vm->arena, &snapshot, e);
	if (!r)
		r = vm_peek(snapshot.machine, &vm->arena, &vm->needs, e);
	/* A line that comes along leads to the carrier of another machine. */
	if (!r && n == 4 + snapshot.disks.count)
		line = fds[--n];
	if (!r && n != 3 + snapshot.disks.count)
		r = err_say(e, -EBADMSG, "files of the machine are missing");
	if (r)
		return r;
	vm->at_barrier = true;
	vm->ram_fd = fcntl(fds[2], F_DUPFD_CLOEXEC, 0);
	vm->arrives = true;
	vm->board_fd = fcntl(fds[1], F_DUPFD_CLOEXEC, 0);
	vm->line = fcntl(line, F_DUPFD_CLOEXEC, 0);
	if (vm->ram_fd < 0 || vm->board_fd < 0 || vm->line < 0)
		return err_set(e, -errno, "files of the machine");
	LIST_EACH(&snapshot.disks, const struct disk_rec, rec) {
		AUTO(text) char *path = own_disk_path(store, rec->base);
		struct control_disk *d = &vm->disk[vm->n_disks];
		int fd = fcntl(fds[3 + vm->n_disks], F_DUPFD_CLOEXEC, 0);

		d->base = arena_text(&vm->arena, path);
		d->disk = fd < 0 ? NULL : disk_open_raw(fd, true, e);
		if (!d->disk)
			return fd < 0 ? err_set(e, -errno, "disk %s", path) : e->code;
		vm->n_disks++;
		if (d->disk->bytes != rec->bytes)
			return err_say(e, -ESTALE, "disk %s has another size than it had", path);
	}
	return 0;
}

static int take(struct store *store, struct arrived_vm *out, int line, struct err *e)
{
	struct arena *a = &out->pull.arena;
	int fds[HANDED_MAX], r;
	struct arrive_rec rec;
	unsigned n;

	r = arrive_take_over(line, a, &rec, fds, &n, e);
	if (!r && rec.code)
		r = err_say(e, rec.code, "%s", rec.why ? rec.why : "the registry");
	if (!r) {
		out->pull.state = (enum pull_state)rec.state;
		out->pull.name = rec.name;
		out->pull.origin = rec.origin;
		out->pull.digest = rec.digest;
		out->pull.why_offline = rec.why ? rec.why : "";
	}
	if (!r && out->pull.state == PULL_BEGUN)
		r = n < 3 ? err_say(e, -EBADMSG, "files of the machine are missing")
		          : open_arrived(store, out, fds, n, line, e);
	if (!r && rec.id)
		out->vm.id = arena_text(&out->vm.arena, rec.id);
	for (unsigned i = 0; i < n; i++)
		close(fds[i]);
	return r;
}

int flow_arrive_begin(const char *root, const struct arrive_vm *what, struct arrived_vm *out,
                      struct err *e)
{
	int ends[2];
	pid_t child;

	*out = (struct arrived_vm){.vm.ram_fd = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return err_set(e, -errno, "socket");
	fflush(NULL);
	child = fork();
	if (!child) {
		close(ends[0]);
		carrier_main(root, what, ends[1]);
		_exit(0);
	}
	close(ends[1]);
	if (child < 0) {
		close(ends[0]);
		return err_set(e, -errno, "starting a process for the registry");
	}
	out->carrier = child;
	out->is_begun = true;
	out->line = ends[0];
	return 0;
}

int flow_arrive_vm(struct store *store, struct arrived_vm *out, struct err *e)
{
	int r;

	assert(out->is_begun);
	out->is_begun = false;
	r = take(store, out, out->line, e);
	close(out->line);
	return r;
}

void arrived_vm_finish(struct arrived_vm *a)
{
	bool is_needless = a->is_begun || a->pull.state == PULL_BEGUN;

	opened_vm_finish(&a->vm);
	if (a->is_begun)
		close(a->line);
	/* One whose machine was started goes on by itself. */
	if (a->carrier > 0 && is_needless && !a->is_started)
		kill(a->carrier, SIGTERM);
	if (a->carrier > 0 && !a->is_started)
		while (waitpid(a->carrier, NULL, 0) < 0 && errno == EINTR)
			;
	a->carrier = 0;
	a->is_begun = false;
	pull_result_finish(&a->pull);
}
