/* SPDX-License-Identifier: MIT */
/*
 * What belongs to a process and is listed nowhere: found by a harmless question whose answer
 * depends on it.
 *
 *	Landlock	a task in a domain may not look at one outside of it: it is asked to
 *			compare itself with a witness, a process of ours with its rights and no
 *			domain (kcmp(2) needs the right to look)
 *	keyrings	a session keyring of its own is named by keyctl(2); those that a login
 *			makes are replaced by the caller's
 *	SEM_UNDO	kcmp(2) compares undo lists; we have none
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
#include <sys/syscall.h>
#include <sys/wait.h>

#include "engine/engine-int.h"

#define KEY_DESCRIPTION_BYTES 512

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

static _Noreturn void witness_main(const struct proc_status *st, int elf, int failed)
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

	if (d->witness && d->witness_uid == t->status.uid[0])
		return 0;
	end_witness(d);
	elf = memfd_create("wslx-witness", MFD_CLOEXEC);
	if (elf < 0 || os_write_all(elf, witness_elf, sizeof(witness_elf)) < 0 ||
	    fchmod(elf, 0755) < 0 || pipe2(failed, O_CLOEXEC) < 0)
		return err_set(e, -errno, "witness");
	d->witness = fork();
	if (!d->witness)
		witness_main(&t->status, elf, failed[1]);
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

static int check_landlock(struct dump *d, struct dtask *t, struct remote *r, struct err *e)
{
	size_t call;
	int ret;

	/* With mixed ids no witness is in the task's reach; such a task has capabilities, mostly.
	 */
	if (!landlock_exists() || !one_user(&t->status))
		return 0;
	ret = start_witness(d, t, e);
	if (ret < 0 || !d->witness)
		return ret;
	call = REMOTE_QUEUE(r, SYS_kcmp, U(t->pid), U(d->witness), U(KCMP_VM), U(0), U(0));
	ret = remote_run(r, e);
	if (!ret && remote_result(r, call) == -EPERM)
		dump_obstacle(
			d, t->pid,
			"is in a Landlock domain, which cannot be carried over: run the program "
			"without its sandbox");
	return ret;
}

/* ---- keyrings ------------------------------------------------------------------------------ */

/* Does a keyring's description ("type;uid;gid;perm;name") name one that every login has? */
static bool is_usual(const char *description)
{
	const char *name = strrchr(description, ';');

	return name && (!strcmp(name, ";_ses") || text_starts(name, ";_uid_ses.") ||
	                text_starts(name, ";_uid."));
}

static int check_keyrings(struct dump *d, struct dtask *t, struct remote *r, struct err *e)
{
	char description[KEY_DESCRIPTION_BYTES] = "";
	long own = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
	size_t id, describe, process;
	int ret;

	id = REMOTE_QUEUE(r, SYS_keyctl, U(KEYCTL_GET_KEYRING_ID),
	                  U((int64_t)KEY_SPEC_SESSION_KEYRING), U(0));
	process = REMOTE_QUEUE(r, SYS_keyctl, U(KEYCTL_GET_KEYRING_ID),
	                       U((int64_t)KEY_SPEC_PROCESS_KEYRING), U(0));
	describe = REMOTE_QUEUE(
		r, SYS_keyctl, U(KEYCTL_DESCRIBE), U((int64_t)KEY_SPEC_SESSION_KEYRING),
		remote_out(r, description, sizeof(description)), U(sizeof(description)));
	ret = remote_run(r, e);
	if (ret < 0)
		return ret;
	description[sizeof(description) - 1] = 0;
	if (remote_result(r, process) > 0)
		dump_obstacle(d, t->pid, "has a process keyring with keys of its own");
	if (remote_result(r, id) > 0 && remote_result(r, id) != own &&
	    remote_result(r, describe) > 0 && !is_usual(description))
		dump_obstacle(
			d, t->pid,
			"has a session keyring of its own (keyctl session), whose keys stay in "
			"the kernel");
	return 0;
}

/* ---- all ------------------------------------------------------------------------------------ */

int dump_hidden(struct dump *d, struct dtask *t, struct remote *r, struct err *e)
{
	int ret = check_landlock(d, t, r, e);

	if (!ret)
		ret = check_keyrings(d, t, r, e);
	if (!ret && os_kcmp(getpid(), t->pid, KCMP_SYSVSEM, 0, 0) > 0)
		dump_obstacle(d, t->pid,
		              "holds System V semaphores with SEM_UNDO, which its end would undo: "
		              "POSIX semaphores can be snapshotted");
	return ret;
}

void dump_hidden_finish(struct dump *d)
{
	end_witness(d);
}
