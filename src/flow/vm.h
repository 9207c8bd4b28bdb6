/* SPDX-License-Identifier: MIT */
/* Machine snapshots: a running machine on one side, the store on the other. */
#ifndef WSLX_FLOW_VM_H
#define WSLX_FLOW_VM_H

#include "store/store.h"
#include "vm/control.h"

/* The state of a snapshot of kind "vm". */
extern const struct rec_type vm_snapshot_type;

#define SNAP_LABELS_MAX 16

/* A page that a machine has used. */
struct vm_touch {
	uint64_t page;
	uint32_t target; /* 0: of RAM; n: of disk n - 1 */
};

struct opened_vm;

struct snap_vm {
	const char *socket;  /* where the machine listens */
	const char *machine; /* its name, for the snapshot's label; NULL: it has none */
	const char *name;
	bool replace;
	enum store_compression compression;
	bool is_public; /* for others: not encrypted */
	bool local;     /* for this store only: its own disks are named, and not copied */
	const struct store_label *labels; /* more of them, at most SNAP_LABELS_MAX */
	unsigned n_labels;
	/**
	 * rehearse() - start the machine that is about to be stored, and see what it uses
	 * @touches: gains struct vm_touch, in the order of first use
	 * @n_start: how many of them come until it is of use
	 *
	 * The snapshot is then stored in that order, equal pages once. For machines all of whose
	 * disks are the store's own. NULL: in the order of places.
	 */
	int (*rehearse)(void *arg, const struct opened_vm *from, struct arena *a,
	                struct list *touches, size_t *n_start, struct err *e);
	void *rehearse_arg;
};

struct snap_vm_result {
	uint64_t pause_ns;    /* for which the machine stood still */
	uint64_t pages;       /* of RAM and of overlays; zero ones are not among them */
	uint64_t start_pages; /* of which a start uses so many; 0: nobody has looked */
	uint64_t total_ns;
};

/**
 * flow_snap_vm() - snapshot the machine that listens on a socket, into the store
 *
 * The machine runs on. Its disks' overlays are frozen and go into the snapshot with their
 * pages; their bases are named by path and size and have to stay as they are. Where memory
 * allows it the image that restores map is made at once (ram-image.c).
 * Return: 0; OBSTACLE for a disk that is written in place; negative errno.
 */
MUST_CHECK int flow_snap_vm(struct store *store, const struct snap_vm *what,
                            struct snap_vm_result *result, struct err *e);

/* What a machine is made from: vm_create() and vm_load() take it, with what it needs besides. */
struct opened_vm {
	struct arena arena;
	struct vm_needs needs;         /* and its record, in the arena */
	int ram_fd;                    /* flat image of RAM, open for reading */
	struct vm *begun;              /* what vm_begin() made of that, or NULL */
	char digest[65];               /* of the manifest that was guessed, in hexadecimal; or "" */
	struct x86_code_image code;    /* decoded code, if any is known: code-image.c */
	struct x86_code_log *code_log; /* of what is not; or NULL */
	int code_lock;                 /* the log's, if there is one */
	struct control_disk disk[VM_DISKS_MAX];
	unsigned n_disks;
	bool at_barrier; /* it was baked, and waits there */
	/* Its pages are still on their way (vm/arrival.h): */
	bool arrives;
	int board_fd, line;
	const char *id;   /* the snapshot's; it is the same wherever that was pulled to */
	const char *base; /* of a distro that was kept: id of what it was started from; or NULL */
	const char *from; /* and its name */
};

/**
 * flow_guess_vm() - open what a snapshot's machine will need, if all is right
 * @names: of snapshots; the first one that there is
 * @out:   .ram_fd is -1, the rest zero; for flow_open_vm()
 *
 * To be called before the store is opened, whose name comes from the environment. A favour: without
 * a guess .ram_fd stays -1.
 */
void flow_guess_vm(const char *const *names, size_t n, struct opened_vm *out);
/*
 * Let a thread begin with what is open, in the process that will run it. What shall be forked is best
 * forked before: it would wait for the thread, and the thread for it.
 */
void opened_vm_begin(struct opened_vm *o);

/**
 * flow_open_vm() - open a machine snapshot, with fresh overlays on its disks
 * @out: as flow_guess_vm() has left it, or .ram_fd is -1 and the rest zero
 *
 * All restores of a snapshot map one flat image of its RAM (ram-image.c); the first one makes it
 * if it is not there.
 * Return: 0; -ENOENT; -EBADMSG for a damaged snapshot; -ESTALE if a base has changed its size.
 */
MUST_CHECK int flow_open_vm(struct store *store, const char *name, struct opened_vm *out,
                            struct err *e);
void opened_vm_finish(struct opened_vm *o);

/**
 * flow_sweep_ram() - remove the images of RAM of snapshots that the store does not have any more,
 *                    and those of stores that are gone
 * @freed: bytes of memory, added to
 *
 * Machines that run from an image keep it until they end. Return: 0 or negative errno.
 */
MUST_CHECK int flow_sweep_ram(struct store *store, uint64_t *freed, struct err *e);

/* ---- machines by name --------------------------------------------------------------------- */

/**
 * flow_name_machine() - take a name for a machine that is about to run
 * @socket: where it listens, for control_listen(); the caller frees it
 * @lock:   the name is taken until this descriptor and its copies are closed
 *
 * Return: 0; -EEXIST if a running machine has it; -EINVAL if it is no name.
 */
MUST_CHECK int flow_name_machine(struct store *store, const char *name, char **socket, int *lock,
                                 struct err *e);

/**
 * flow_find_machine() - where a running machine listens
 * @socket: the caller frees it
 *
 * One that is just starting is waited for.
 *
 * Return: 0; -ENOENT if none of that name is running.
 */
MUST_CHECK int flow_find_machine(struct store *store, const char *name, char **socket,
                                 struct err *e);

/* Names of the machines that are running, as const char *, in @a. */
MUST_CHECK int flow_running_machines(struct store *store, struct arena *a, struct list *out,
                                     struct err *e);

/* ---- distros ------------------------------------------------------------------------------ */

/* The snapshot in which a machine called @distro is kept while it does not run; in @a. */
const char *flow_saved_name(struct arena *a, const char *distro);
/* What a user would call a machine of a snapshot: the last part of its name, without a tag. */
char *flow_distro_name(const char *snapshot); /* the caller frees it */

/* A distro that is about to run. */
struct distro {
	char *name;
	char *socket; /* where it shall listen */
	int lock;     /* on its name */
	struct opened_vm vm;
	bool resumes;  /* what was kept */
	bool outdated; /* and the snapshot is another by now than the one it was started from */
	char *left;    /* another one, of an older snapshot, that keeps the name; or NULL */
};

struct distro_choice {
	const char *snapshot; /* to start from; NULL: only what was kept */
	const char *name;     /* NULL: flow_distro_name() of the snapshot */
	bool fresh;           /* what was kept under the name is removed */
	/* The snapshot, if it is not in the store yet; taken if nothing was kept. Or NULL. */
	struct opened_vm *coming;
};

/**
 * flow_guess_distro() - as flow_guess_vm(), of what flow_open_distro() will probably open
 * @out: for flow_open_distro()
 */
void flow_guess_distro(const struct distro_choice *what, struct distro *out);

/**
 * flow_open_distro() - open what a distro goes on with: what was kept under its name, else the
 *                      snapshot
 * @out: as flow_guess_distro() has left it, or .lock and .vm.ram_fd are -1 and the rest zero;
 *       finish it always
 *
 * Of what was kept it is known which snapshot it was started from. If the snapshot is another by
 * now, and no name was said, what was kept is left alone: the new machine is called NAME-ID,
 * after the snapshot's id.
 * Return: 0; -EEXIST if it is running; -ENOENT if there is neither.
 */
MUST_CHECK int flow_open_distro(struct store *store, const struct distro_choice *what,
                                struct distro *out, struct err *e);
void distro_finish(struct distro *d);

/**
 * flow_stop_machine() - end a running machine
 * @save: keep it under flow_saved_name() first
 *
 * Return: 0; if it could not be kept it runs on.
 */
MUST_CHECK int flow_stop_machine(struct store *store, const char *distro, bool save, struct err *e);

/**
 * flow_forget_distro() - remove what was kept of a distro
 * Return: 0; -ENOENT if nothing was; -EBUSY if it is running.
 */
MUST_CHECK int flow_forget_distro(struct store *store, const char *distro, struct err *e);

/* A machine that has a name: it runs, or it was kept, or both. */
struct distro_state {
	const char *name;
	bool runs, is_kept;
	uint64_t kept_ns, stored_bytes; /* of what was kept */
	const char *from;               /* name of the snapshot that it was started from; or "" */
};
/* All of them by name, as struct distro_state, in @a. */
MUST_CHECK int flow_distros(struct store *store, struct arena *a, struct list *out, struct err *e);

#endif
