/* SPDX-License-Identifier: MIT */
/*
 * What belongs to a process and is listed nowhere: found by a harmless question whose answer
 * depends on it.
 *
 *	Landlock	a task in a domain may not look at one outside of it: it is asked to
 *			compare itself with a witness, a process of ours with its rights and no
 *			domain (kcmp(2) needs the right to look)
 *	keyrings	a session keyring with keys of its own; one that holds only what every
 *			login links there is replaced by the caller's
 *	SEM_UNDO	see dump-undo.c
 *	MCL_FUTURE	what is mapped from now on will be locked: a task that may lock nothing is
 *			then refused a page, and in another way (EAGAIN) than for want of room,
 *			which is looked at later; what it has mapped for us says whether that is
 *			on a fault only (MCL_ONFAULT)
 *	I/O ports	a task without the right to it may ask for the level (iopl(2)) that it has
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/engine-int.h"

#define KEY_DESCRIPTION_BYTES 256
#define SESSION_KEYS_MAX 16
#define SPARE_MAPPINGS 8 /* what a restore has in a task, beside the task's own */

/* ---- Landlock ----------------------------------------------------------------------------- */

/*
 * The witness runs a program of 129 bytes, so that the task's user, who may look at it, finds
 * nothing of ours there: pause(2) for ever. An ELF header, one program header, code.
 */
static const uint8_t witness_elf[] = {
	0x7f, 'E',  'L',  'F', 2,  1,    1,    0,    0,
	0,    0,    0,    0,   0,  0,    0, /* 64 bits, little endian */
	2,    0,    62,   0,   1,  0,    0,    0,    0x78,
	0,    0x40, 0,    0,   0,  0,    0, /* executable, x86-64, entry */
	64,   0,    0,    0,   0,  0,    0,    0,    0,
	0,    0,    0,    0,   0,  0,    0, /* program headers at 64 */
	0,    0,    0,    0,   64, 0,    56,   0,    1,
	0,    0,    0,    0,   0,  0,    0, /* one of them */
	1,    0,    0,    0,   5,  0,    0,    0,    0,
	0,    0,    0,    0,   0,  0,    0, /* PT_LOAD, r-x, offset 0 */
	0,    0,    0x40, 0,   0,  0,    0,    0,    0,
	0,    0x40, 0,    0,   0,  0,    0, /* at 0x400000 */
	0x81, 0,    0,    0,   0,  0,    0,    0,    0x81,
	0,    0,    0,    0,   0,  0,    0,                /* 129 bytes */
	0,    0x10, 0,    0,   0,  0,    0,    0,          /* page alignment */
	0xb8, 34,   0,    0,   0,  0x0f, 0x05, 0xeb, 0xf7, /* pause; jmp */
};

static _Noreturn void witness_main(const struct proc_status *st, int elf, int failed, pid_t dump)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	char *argv[] = {(char *)(uintptr_t) "wslx-witness", NULL}, *envp[] = {NULL};

	if (geteuid() != 0 ||
	    (setgroups(0, NULL) == 0 && setresgid(st->gid[0], st->gid[0], st->gid[0]) == 0 &&
	     setresuid(st->uid[0], st->uid[0], st->uid[0]) == 0)) {
		/* Fewer rights than the task has: else that alone would be a refusal. */
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		prctl(PR_SET_SECUREBITS, SECBIT_NOROOT);
		syscall(SYS_capset, &head, none);
		/* Last, because a change of credentials takes it back. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != dump)
			_exit(1);
		fexecve(elf, argv, envp);
	}
	(void)!write(failed, "f", 1);
	_exit(1);
}

static void end_witness(struct dump *d)
{
	if (!d->witness)
		return;
	kill(d->witness, SIGKILL);
	waitpid(d->witness, NULL, 0);
	d->witness = 0;
}

static int start_witness(struct dump *d, const struct dtask *t, struct err *e)
{
	AUTO(fd) int elf = -1;
	int failed[2];
	char byte;
	pid_t dump = getpid();

	if (d->witness && d->witness_uid == t->status.uid[0])
		return 0;
	end_witness(d);
	elf = memfd_create("wslx-witness", MFD_CLOEXEC);
	if (elf < 0 || os_write_all(elf, witness_elf, sizeof(witness_elf)) < 0 ||
	    fchmod(elf, 0755) < 0 || pipe2(failed, O_CLOEXEC) < 0)
		return err_set(e, -errno, "witness");
	d->witness = fork();
	if (!d->witness)
		witness_main(&t->status, elf, failed[1], dump);
	close(failed[1]);
	d->witness_uid = t->status.uid[0];
	if (d->witness < 0)
		d->witness = 0;
	/* The end of the pipe closes when the witness runs its program. */
	else if (read(failed[0], &byte, 1) != 0)
		end_witness(d);
	close(failed[0]);
	return 0;
}

static bool landlock_exists(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

static bool one_user(const struct proc_status *st)
{
	return st->uid[0] == st->uid[1] && st->uid[0] == st->uid[2] && st->uid[0] == st->uid[3] &&
	       st->gid[0] == st->gid[1] && st->gid[0] == st->gid[2] && st->gid[0] == st->gid[3];
}

/* Where the answers to the questions stand. */
struct questions {
	bool landlock;
	size_t i_landlock, i_mapping, i_ports, i_session, i_process;
};

static int queue_landlock(struct questions *q, struct dump *d, struct dtask *t, struct remote *r,
                          struct err *e)
{
	int ret;

	/* With mixed ids no witness is in the task's reach; such a task has capabilities, mostly.
	 */
	if (!landlock_exists() || !one_user(&t->status))
		return 0;
	ret = start_witness(d, t, e);
	q->landlock = !ret && d->witness;
	if (q->landlock)
		q->i_landlock =
			REMOTE_QUEUE(r, SYS_kcmp, U(t->pid), U(d->witness), U(KCMP_VM), U(0), U(0));
	return ret;
}

static void hear_landlock(const struct questions *q, struct dump *d, struct dtask *t,
                          const struct remote *r)
{
	if (q->landlock && remote_result(r, q->i_landlock) == -EPERM)
		dump_obstacle(
			d, t->pid,
			"is in a Landlock domain, which cannot be carried over: run the program "
			"without its sandbox");
}

/* ---- keyrings ------------------------------------------------------------------------------ */

/* "type;uid;gid;perm;name": the keyring of a user, which every login links to its session. */
static bool is_user_keyring(const char *description)
{
	const char *name = strrchr(description, ';');

	return text_starts(description, "keyring;") && name && text_starts(name, ";_uid");
}

/* Are there keys in its session keyring that the task brought there? */
static int own_session_keys(struct remote *r, bool *found, struct err *e)
{
	char descriptions[SESSION_KEYS_MAX][KEY_DESCRIPTION_BYTES] = {{0}};
	int32_t keys[SESSION_KEYS_MAX] = {0};
	size_t read, describe[SESSION_KEYS_MAX];
	int ret;
	int64_t n;

	read = REMOTE_QUEUE(r, SYS_keyctl, U(KEYCTL_READ), U((int64_t)KEY_SPEC_SESSION_KEYRING),
	                    remote_out(r, keys, sizeof(keys)), U(sizeof(keys)));
	ret = remote_run(r, e);
	n = ret ? 0 : remote_result(r, read) / (int64_t)sizeof(keys[0]);
	*found = n > SESSION_KEYS_MAX;
	if (ret < 0 || n <= 0 || *found)
		return ret;
	for (int64_t i = 0; i < n; i++)
		describe[i] =
			REMOTE_QUEUE(r, SYS_keyctl, U(KEYCTL_DESCRIBE), U((int64_t)keys[i]),
		                     remote_out(r, descriptions[i], KEY_DESCRIPTION_BYTES - 1),
		                     U(KEY_DESCRIPTION_BYTES - 1));
	ret = remote_run(r, e);
	for (int64_t i = 0; !ret && i < n; i++)
		*found |= remote_result(r, describe[i]) > 0 && !is_user_keyring(descriptions[i]);
	return ret;
}

static void queue_keyrings(struct questions *q, struct remote *r)
{
	q->i_session = REMOTE_QUEUE(r, SYS_keyctl, U(KEYCTL_GET_KEYRING_ID),
	                            U((int64_t)KEY_SPEC_SESSION_KEYRING), U(0));
	q->i_process = REMOTE_QUEUE(r, SYS_keyctl, U(KEYCTL_GET_KEYRING_ID),
	                            U((int64_t)KEY_SPEC_PROCESS_KEYRING), U(0));
}

/* Last of all, because there may be more to ask. */
static int hear_keyrings(const struct questions *q, struct dump *d, struct dtask *t,
                         struct remote *r, struct err *e)
{
	long own = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
	int64_t id = remote_result(r, q->i_session);
	bool found = false;
	int ret = 0;

	if (remote_result(r, q->i_process) > 0)
		dump_obstacle(d, t->pid, "has a process keyring with keys of its own");
	if (id > 0 && id != own)
		ret = own_session_keys(r, &found, e);
	if (!ret && found)
		dump_obstacle(d, t->pid,
		              "has a session keyring with keys of its own (keyctl session), which "
		              "stay in the kernel");
	return ret;
}

/* ---- locks of what is not mapped yet, ports ------------------------------------------------ */

static uint64_t max_map_count(void)
{
	AUTO(buf) struct buf text = {0};
	uint64_t n = UINT64_MAX;

	if (os_read_file_at(AT_FDCWD, "/proc/sys/vm/max_map_count", &text) < 0 || !text.len)
		return UINT64_MAX;
	text.len--; /* the newline */
	return text_to_u64(buf_text(&text), 10, UINT64_MAX, &n) < 0 ? UINT64_MAX : n;
}

/* The effective capabilities of a thread, those of @without aside. */
static void queue_capset(struct remote *r, const struct proc_status *st, uint64_t without)
{
	const struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct caps[2];

	for (int i = 0; i < 2; i++)
		caps[i] = (struct __user_cap_data_struct){
			.effective = (uint32_t)((st->cap_eff & ~without) >> (32 * i)),
			.permitted = (uint32_t)(st->cap_prm >> (32 * i)),
			.inheritable = (uint32_t)(st->cap_inh >> (32 * i))};
	REMOTE_QUEUE(r, SYS_capset, remote_in(r, &head, sizeof(head)),
	             remote_in(r, caps, sizeof(caps)));
}

static void queue_locked_limit(struct remote *r, uint64_t soft, uint64_t hard)
{
	const struct rlimit limit = {soft, hard};

	REMOTE_QUEUE(r, SYS_setrlimit, U(RLIMIT_MEMLOCK), remote_in(r, &limit, sizeof(limit)));
}

/*
 * Two things are asked while the task is without the rights that would change the answer. The
 * mapping has no type, and so is refused too (EINVAL) when nothing would be locked: none is made.
 */
static void queue_without_rights(struct questions *q, const struct dtask *t,
                                 const struct task_rec *rec, struct remote *r)
{
	const struct limit_rec *limit = LIST_AT(&rec->limits, struct limit_rec, RLIMIT_MEMLOCK);
	const uint64_t rights = t->status.cap_eff & (1ull << CAP_IPC_LOCK | 1ull << CAP_SYS_RAWIO);

	if (rights)
		queue_capset(r, &t->status, rights);
	queue_locked_limit(r, 0, limit->hard);
	q->i_mapping = REMOTE_QUEUE(r, SYS_mmap, U(0), U(PAGE_BYTES), U(PROT_NONE),
	                            U(MAP_ANONYMOUS), U(-1), U(0));
	queue_locked_limit(r, limit->soft, limit->hard);
	q->i_ports = REMOTE_QUEUE(r, SYS_iopl, U(3));
	if (rights)
		queue_capset(r, &t->status, 0);
}

static int is_on_fault(struct dtask *t, uint64_t at, bool *out, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	AUTO(arena) struct arena a = {0};
	struct list now = {0};
	int ret = os_read_file_at(t->proc, "smaps", &text);

	if (ret < 0)
		return err_set(e, ret, "mappings");
	ret = proc_parse_maps(buf_span(&text), &a, &now, e);
	LIST_EACH(&now, struct proc_vma, v)
		if (v->start <= at && at < v->end)
			*out = (v->flags & PROC_VM_LOCKONFAULT) != 0;
	return ret;
}

/*
 * Is what is mapped from now on locked when it is touched, and not at once? The latest mapping tells,
 * which is our working page. Where the task lends us memory of its own instead, a page is mapped for
 * this; if there is no room even for that, we go by what the task has mapped.
 */
static int ask_on_fault(struct dtask *t, struct remote *r, bool *out, struct err *e)
{
	int64_t at, ignored;
	int ret, unmapped;

	*out = false;
	if (r->own_page)
		return is_on_fault(t, r->page.at, out, e);
	ret = REMOTE_CALL(r, &at, e, SYS_mmap, U(0), U(PAGE_BYTES), U(PROT_NONE),
	                  U(MAP_PRIVATE | MAP_ANONYMOUS), U(-1), U(0));
	if (ret < 0)
		return ret;
	if (at < 0) {
		LIST_EACH(&t->vmas, struct proc_vma, v)
			*out |= (v->flags & PROC_VM_LOCKONFAULT) != 0;
		return 0;
	}
	ret = is_on_fault(t, (uint64_t)at, out, e);
	unmapped = REMOTE_CALL(r, &ignored, ret ? NULL : e, SYS_munmap, U(at), U(PAGE_BYTES));
	return ret ? ret : unmapped;
}

static int hear_without_rights(const struct questions *q, struct dump *d, struct dtask *t,
                               struct remote *r, struct err *e)
{
	bool on_fault;
	int ret;

	if (remote_result(r, q->i_ports) == 0)
		dump_obstacle(d, t->pid, "may use all I/O ports (iopl)");
	if (remote_result(r, q->i_mapping) != -EAGAIN || !t->mm_owner)
		return 0;
	ret = ask_on_fault(t, r, &on_fault, e);
	if (!ret)
		LIST_AT(&d->image.mms, struct mm_rec, t->mm - 1)->mlock_future =
			MCL_FUTURE | (on_fault ? MCL_ONFAULT : 0u);
	return ret;
}

/* A restore has some mappings of its own in every task. */
static void check_room(struct dump *d, struct dtask *t)
{
	if (!d->max_mappings)
		d->max_mappings = max_map_count();
	if (t->vmas.count + SPARE_MAPPINGS > d->max_mappings)
		dump_obstacle(
			d, t->pid,
			"has as many mappings as vm.max_map_count allows, and a restore needs "
			"room for a few more: raise it");
}

/* ---- all ------------------------------------------------------------------------------------ */

int dump_hidden(struct dump *d, struct dtask *t, const struct task_rec *rec, struct remote *r,
                struct err *e)
{
	struct questions q = {0};
	int ret = queue_landlock(&q, d, t, r, e);

	if (ret < 0)
		return ret;
	queue_without_rights(&q, t, rec, r);
	queue_keyrings(&q, r);
	ret = remote_run(r, e);
	if (ret < 0)
		return ret;
	check_room(d, t);
	hear_landlock(&q, d, t, r);
	ret = hear_without_rights(&q, d, t, r, e);
	if (!ret)
		ret = hear_keyrings(&q, d, t, r, e);
	return ret ? ret : dump_undo(d, t, r, e);
}

void dump_hidden_finish(struct dump *d)
{
	end_witness(d);
}
