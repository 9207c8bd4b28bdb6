/* SPDX-License-Identifier: MIT */
/*
 * vm: a machine: RAM, one CPU, devices, a clock, a way to start Linux in it, and a way to save
 * all of it and go on elsewhere.
 *
 *	vm_create() -> vm_boot() or vm_load() -> vm_sandbox() -> vm_run() -> vm_destroy()
 *
 * The room prints nothing and opens no files of its own accord: kernels, disks and snapshots
 * come in as descriptors or bytes, output leaves through sinks.
 */
#ifndef WSLX_VM_H
#define WSLX_VM_H

#include "base/base.h"
#include "dev/virtio.h"
#include "image/image.h"
#include "vm/settle.h"
#include "x86/x86.h"

#define VM_DISKS_MAX 8
#define VM_SHARES_MAX 2
#define VM_WATCHES_MAX 25
#define VM_RAM_MIN (32ull << 20)
#define VM_RAM_MAX (64ull << 30)
#define VM_TSC_HZ 1000000000ull /* one tick is one nanosecond */

struct vm;
struct vm_rec;

/* ---- making one ------------------------------------------------------------------------- */

/*
 * Who wants to know what a machine uses: told before bytes of RAM, by their place in a flat image,
 * or of a disk are looked at or changed for the first time (or again). When it returns they are
 * what they have to be.
 */
struct vm_need {
	void (*need)(void *arg, uint64_t at, uint64_t bytes); /* NULL: everything is there */
	/* Whole pages of RAM are zero from now on: what they were is not needed. May be NULL. */
	void (*forget)(void *arg, uint64_t at, uint64_t bytes);
	void *arg;
};

struct vm_config {
	uint64_t ram_bytes; /* multiple of 1 MiB */
	int ram_fd;         /* -1, or a flat image of RAM, mapped privately */
	struct vm_need ram_need;
	/* How long was waited for what was not there yet: its clock stands still then; or NULL. */
	const uint64_t *waited_ns;
	struct disk *disk[VM_DISKS_MAX]; /* borrowed for the machine's life */
	unsigned n_disks;
	struct share *share[VM_SHARES_MAX]; /* likewise */
	unsigned n_shares;
	bool has_net;               /* it has a network device; what is plugged in there: */
	struct wire *wire;          /* borrowed for the machine's life; NULL: nothing */
	uint8_t mac[NET_MAC_BYTES]; /* all zero: that of the snapshot */
	struct byte_sink console;   /* what the guest prints, on its serial or virtio console */
	/* One line, without its newline, that the guest's agent has written. */
	void (*agent)(void *arg, const char *line);
	void *agent_arg;
	struct x86_code_image code;    /* decoded code, or empty; borrowed */
	struct x86_code_log *code_log; /* NULL, or where what it has not is noted; borrowed */
	struct vm *begun;              /* NULL, or what vm_begin() made; taken, also on failure */
};

/**
 * vm_create() - a machine that is switched off
 * Return: NULL with a reason.
 */
struct vm *vm_create(const struct vm_config *config, struct err *e);

/**
 * vm_begin() - have a thread make what does not depend on a machine's record: its RAM and CPU
 * @config: ram_bytes, ram_fd, code and code_log count, and have to be those of vm_create()
 *
 * Of an image of RAM of which it is known what is used first; all of that is there when vm_create()
 * returns. A child that is forked before that has none of its memory.
 * Return: NULL if nothing was begun; something else may be given to vm_destroy() as well.
 */
struct vm *vm_begin(const struct vm_config *config);
void vm_destroy(struct vm *vm); /* NULL is fine */

/* ---- starting Linux --------------------------------------------------------------------- */

struct vm_boot {
	struct span kernel; /* bzImage, or ELF vmlinux */
	struct span initrd; /* empty: none */
	const char *command_line;
};

/**
 * vm_boot() - put a kernel, its initramfs, the ACPI tables and the CPU where they belong
 *
 * Return: 0; -ENOEXEC if that is no kernel we can start, -EFBIG if RAM is too small: with one
 * sentence either way. The bytes may be hostile.
 */
MUST_CHECK int vm_boot(struct vm *vm, const struct vm_boot *boot, struct err *e);

/* ---- running ---------------------------------------------------------------------------- */

enum vm_outcome {
	VM_STOPPED,   /* vm_stop() was called; vm_run() may be called again */
	VM_POWER_OFF, /* the guest has switched itself off */
	VM_RESET,     /* the guest wants to be started again */
	VM_PANICKED,  /* it does because its kernel has panicked */
	VM_HALTED,    /* halted with interrupts off: nothing can wake it */
	VM_CRASHED,   /* triple fault, or the CPU cannot go on: vm_error() */
};

/**
 * vm_run() - run until something ends it
 *
 * While the guest is idle the process sleeps until its next timer or until a watched
 * descriptor is ready.
 */
enum vm_outcome vm_run(struct vm *vm);
const char *vm_error(const struct vm *vm);
/* From a watch's callback. */
void vm_stop(struct vm *vm);

/**
 * vm_watch() - have a function called, between two instructions, when a descriptor is ready
 * @events: of poll(2)
 */
void vm_watch(struct vm *vm, int fd, short events, void (*ready)(void *arg, int fd, short revents),
              void *arg);
/* As vm_watch(), for typed input: only called while VM_INPUT_ROOM bytes would be taken. */
#define VM_INPUT_ROOM 4096u
void vm_watch_input(struct vm *vm, int fd, void (*ready)(void *arg, int fd, short revents),
                    void *arg);
bool vm_takes_input(const struct vm *vm); /* so many bytes */
bool vm_can_watch(const struct vm *vm);   /* there is a place left */
void vm_unwatch(struct vm *vm, int fd);

/**
 * vm_console_input() - what was typed
 *
 * It goes to the virtio console once the guest listens there, to the serial port before.
 * Return: how many bytes were taken; the rest has to be offered again.
 */
size_t vm_console_input(struct vm *vm, const uint8_t *data, size_t len);
void vm_console_resize(struct vm *vm, uint16_t cols, uint16_t rows);
/* Return: false if the agent does not read, and what it was told is lost. */
bool vm_agent_say(struct vm *vm, const char *line);
/*
 * After vm_load(), of a guest that goes on behind its barrier: PID 1 makes it a fresh one there, not the
 * agent, who need not even know before the guest is idle. It is the host who says so, and not the guest
 * who remembers: a machine may be kept before the agent has heard of its first restore.
 */
void vm_agent_spare(struct vm *vm);
/* Have a function called with the agent's lines that are of sessions (control.h), without "x ". */
void vm_watch_sessions(struct vm *vm, void (*line)(void *arg, const char *line), void *arg);
void vm_power_button(struct vm *vm);

/**
 * vm_watch_settling() - have a function called once when the guest has settled (settle.h)
 *
 * vm_barrier() says that the guest has reached its barrier. vm_halted_permille() is for telling
 * why it has not settled yet.
 */
void vm_watch_settling(struct vm *vm, const struct settle_rule *rule, void (*settled)(void *arg),
                       void *arg);
void vm_barrier(struct vm *vm);
unsigned vm_halted_permille(struct vm *vm);

struct vm_stats {
	uint64_t instructions;
	uint64_t machine_ns;     /* the machine's clock */
	uint64_t idle_ns;        /* of which halted */
	uint64_t reported_bytes; /* by free page reporting and ballooning */
};
void vm_get_stats(struct vm *vm, struct vm_stats *out);

/* ---- snapshots -------------------------------------------------------------------------- */

/*
 * Pages are numbered through RAM, the hole below 4 GiB left out: page n of a flat image of RAM
 * is page n here.
 */
struct vm_page_writer {
	int (*write)(void *arg, uint64_t page, const uint8_t *data, uint64_t count, struct err *e);
	void *arg;
};

/**
 * vm_save() - all of the machine: its record, and the pages of RAM that are not zero
 * @state: the record is appended
 *
 * The machine does not run meanwhile: between two calls of vm_run(), or in a fork()ed child.
 */
MUST_CHECK int vm_save(struct vm *vm, struct buf *state, struct page_sink *pages, struct err *e);

/* What vm_save() appends; for showing it. */
extern const struct rec_type vm_record_type;

/* What has to be there before a machine can be loaded. */
struct vm_needs {
	uint64_t ram_bytes;
	unsigned n_shares;
	bool has_net;
	const struct vm_rec *rec; /* the whole record, decoded, for vm_load() */
};

/**
 * vm_peek() - decode a machine's record, and see what that machine needs; disks and devices are
 *             checked by vm_load()
 * @state: untrusted
 * @a:     owns needs->rec
 */
MUST_CHECK int vm_peek(struct span state, struct arena *a, struct vm_needs *needs, struct err *e);

/**
 * vm_load() - become the machine that was saved, whose RAM is mapped from a flat image
 * @rec: of vm_peek()
 *
 * The guest's clock goes on where it stood. It gets a new generation, and its agent is told
 * the time and fresh entropy.
 */
MUST_CHECK int vm_load(struct vm *vm, const struct vm_rec *rec, struct err *e);

/**
 * vm_unpack_ram() - hand over the pages of a snapshot with their places in RAM
 *
 * To make a flat image that vm_config.ram_fd can map. What is not written is zero.
 */
MUST_CHECK int vm_unpack_ram(struct span state, struct page_source *pages,
                             const struct vm_page_writer *w, struct err *e);

/* From page @page of RAM or of a disk on, @count pages are pages @first and so on of the snapshot. */
struct vm_run {
	uint64_t page, count, first;
};

/* Where the pages of RAM are: struct vm_run, ascending by .page; what is in none is zero. */
MUST_CHECK int vm_get_runs(struct span state, struct arena *a, struct list *out, struct err *e);
/**
 * vm_set_runs() - the same machine, whose pages are at other places of its snapshot
 * @n_pages: of the snapshot
 * @out:     the record is appended
 */
MUST_CHECK int vm_set_runs(struct span state, const struct list *runs, uint64_t n_pages,
                           struct buf *out, struct err *e);

/**
 * vm_stream_live() - fork a copy of the machine that writes itself to @fd and ends
 * @fd:       a pipe or file; the caller closes its own end afterwards
 * @pause_ns: for how long this machine stood still
 *
 * Between two calls of vm_run(), or from a watch's callback. The copy shares no descriptor
 * position but @fd with us and never touches disks. SIGCHLD is the caller's business.
 */
MUST_CHECK int vm_stream_live(struct vm *vm, int fd, uint64_t *pause_ns, struct err *e);

/**
 * vm_stream_read() - take what vm_stream_live() writes
 * @w:     called for every run of pages that is not zero, in ascending order
 * @state: the machine's record is appended
 *
 * Untrusted. Return: 0; -EPIPE if the stream ends early; the sender's error.
 */
MUST_CHECK int vm_stream_read(int fd, const struct vm_page_writer *w, struct buf *state,
                              struct err *e);

/* ---- safety ----------------------------------------------------------------------------- */

/**
 * vm_sandbox() - give up what running a guest does not need
 * @with_shares: leave the system calls that name files; the caller has confined them to the
 *               shares (p9_confine()) as far as the kernel can
 *
 * no_new_privs, no capabilities, no dumping, and only the system calls that vm_run(), its
 * watches on a terminal or socket, and a forked vm_save() to open files use. Irrevocable.
 */
MUST_CHECK int vm_sandbox(bool with_shares, struct err *e);
/*
 * The same in two parts: to make the filter takes half a millisecond, in which something else may be
 * waited for. free() the filter. Return: NULL with a reason.
 */
struct vm_filter;
struct vm_filter *vm_filter_make(bool with_shares, struct err *e);
MUST_CHECK int vm_sandbox_by(const struct vm_filter *filter, struct err *e);

/* ---- disks ------------------------------------------------------------------------------ */

/**
 * disk_open_raw() - a file or block device as it is
 * @fd: the disk's own from now on, also on failure
 */
struct disk *disk_open_raw(int fd, bool read_only, struct err *e);
/* Have somebody told before a raw disk is read. */
void disk_watch(struct disk *d, struct vm_need need);
/**
 * disk_open_overlay() - a base that is never written, and what was written since
 * @base: owned; the disk that is seen where nothing was written
 * @fd:   overlay file, empty or as an earlier overlay of a base of this size left it; owned
 */
struct disk *disk_open_overlay(struct disk *base, int fd, bool read_only, struct err *e);
void disk_close(struct disk *d); /* NULL is fine */
/* Whether what is written goes to an overlay, which a snapshot can leave behind. */
bool disk_is_overlay(const struct disk *d);
/**
 * disk_push_overlay() - freeze what was written so far; write to a new overlay from now on
 * @fd: an empty file; owned
 */
MUST_CHECK int disk_push_overlay(struct disk *d, int fd, struct err *e);
/**
 * disk_is_written() - whether any overlay holds a page of the disk
 * @page: PAGE_BYTES at @page * PAGE_BYTES; the last one may be shorter
 */
bool disk_is_written(const struct disk *d, uint64_t page);
/**
 * disk_layers() - the overlays, lowest first
 * @fds: borrowed descriptors
 * Return: how many there are, at most @max of them in @fds; 0 for a raw disk.
 */
unsigned disk_layers(const struct disk *d, int *fds, unsigned max);

#endif
