/* SPDX-License-Identifier: MIT */
/*
 * Death at every durable step, failures of every step, full disks, and many at once: what was
 * in the store stays, what was being written is there as a whole or not at all, and gc leaves
 * nothing behind.
 */
#include "store-kit.h"

#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static struct content keep, old, fresh;
static uint64_t unsettled_bytes; /* of the options that old and fresh are written with */

static void make_contents(void)
{
	make_pages(&keep.pages, 40, 1);
	make_pages(&old.pages, 50, 2);
	make_pages(&fresh.pages, 300, 3);
	keep.state = "kept";
	old.state = "old";
	fresh.state = "fresh";
}

/* ---- what is done, in a child ------------------------------------------------------------ */

typedef int action(struct store *s, struct err *e);

static int commit_new(struct store *s, struct err *e)
{
	const struct store_options options = {.workers = 1, .unsettled_bytes = unsettled_bytes};

	return commit(s, "new", &fresh, &options, e);
}

static int replace_old(struct store *s, struct err *e)
{
	const struct store_options options = {
		.workers = 1, .replace = true, .unsettled_bytes = unsettled_bytes};

	return commit(s, "it", &fresh, &options, e);
}

static int remove_old(struct store *s, struct err *e)
{
	return store_remove(s, "it", e);
}

static int settle_old(struct store *s, struct err *e)
{
	return store_settle(s, "it", e);
}

static int collect(struct store *s, struct err *e)
{
	struct store_report report;

	return store_gc(s, &report, e);
}

static int only_open(struct store *s, struct err *e)
{
	return 0;
}

/* Return: the wait status; exit code 0 done, 1 refused with a sentence, 2 without one. */
static int in_child(const char *root, const char *fault, action *what)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		struct store *s = NULL;
		struct err e = {0};
		int r;

		fault_arm(fault);
		r = store_open(root, NULL, &s, &e);
		if (!r)
			r = what(s, &e);
		_exit(!r ? 0 : strlen(e.text) > 10 && !strchr(e.text, '\n') ? 1 : 2);
	}
	ok(pid > 0 && waitpid(pid, &status, 0) == pid);
	return status;
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

/* Something for gc to do: a blob without a name, a dead writer's folder, a stray file. */
static void litter(const char *root)
{
	AUTO(text) char *orphan = xprintf("%s/blobs/sha256/%064d", root, 7);
	AUTO(text) char *folder = xprintf("%s/tmp/dead", root);
	AUTO(text) char *file = xprintf("%s/tmp/dead/pages0", root);
	AUTO(text) char *stray = xprintf("%s/tmp/index.json", root);

	spew(orphan, SPAN("orphan", 6));
	mkdir(folder, 0700);
	spew(file, SPAN("x", 1));
	spew(stray, SPAN("y", 1));
}

static bool is_empty(const char *root, const char *folder)
{
	AUTO(text) char *path = xprintf("%s/%s", root, folder);
	DIR *dir = opendir(path);
	unsigned entries = 0;

	while (dir && readdir(dir))
		entries++;
	if (dir)
		closedir(dir);
	return entries == 2; /* itself and its parent */
}

/* gc, and then nothing is there that no snapshot needs. */
static void is_clean_after_gc(const char *root, struct store *s, const char *what)
{
	AUTO(text) char *blobs = xprintf("%s/blobs", root);
	AUTO(arena) struct arena a = {0};
	struct list files = {0};
	struct store_report report, verified;
	struct err e = {0};

	ok(store_gc(s, &report, &e) == 0, "%s: %s", what, e.text);
	ok(store_verify(s, NULL, &verified, &e) == 0, "%s: %s", what, e.text);
	find_files(blobs, &a, &files);
	ok(files.count == verified.blobs, "%s: %zu blobs, %llu needed", what, files.count,
	   (unsigned long long)verified.blobs);
	ok(is_empty(root, "tmp"), "%s: tmp is not empty", what);
}

/* ---- death ----------------------------------------------------------------------------- */

static char *make_victim(void)
{
	char *root = make_folder();
	AUTO(store) struct store *s = open_store(root);
	struct err e = {0};

	const struct store_options options = {.unsettled_bytes = unsettled_bytes};

	must(commit(s, "keep", &keep, NULL, &e), &e);
	must(commit(s, "it", &old, &options, &e), &e);
	return root;
}

/* @name is as @before says, or as @after says; NULL: it is not there. */
static void is_old_or_new(struct store *s, const char *name, const struct content *before,
                          const struct content *after, const char *what)
{
	struct err e = {0};
	bool is_before, is_after;
	static const struct content nothing = {.state = ""};

	is_before = before ? compare(s, name, before, &e) == 0
	                   : compare(s, name, &nothing, &e) == -ENOENT;
	is_after = after ? compare(s, name, after, &e) == 0
	                 : compare(s, name, &nothing, &e) == -ENOENT;
	ok(is_before || is_after, "%s: %s is neither old nor new: %s", what, name, e.text);
}

/*
 * Kills @what at every passage of @point, and looks at the store after each death. At least one
 * passage there must be, else the point guards nothing.
 */
static void die_at(const char *root, const char *point, action *what)
{
	for (int passage = 1;; passage++) {
		AUTO(text) char *fault = xprintf("%s:%d:kill", point, passage);
		struct store *s;
		struct err e = {0};
		int status;

		litter(root);
		status = in_child(root, fault, what);
		if (!was_killed(status)) {
			ok(passage > 1 && WIFEXITED(status), "%s was never passed", fault);
			ok(WEXITSTATUS(status) == 0, "%s: exit %d", fault, WEXITSTATUS(status));
		}
		s = open_store(root);
		ok(compare(s, "keep", &keep, &e) == 0, "%s: %s", fault, e.text);
		is_old_or_new(s, "it", &old,
		              what == replace_old  ? &fresh
		              : what == remove_old ? NULL
		                                   : &old,
		              fault);
		is_old_or_new(s, "new", NULL, what == commit_new ? &fresh : NULL, fault);
		is_clean_after_gc(root, s, fault);
		/* As it was, for the next death. */
		if (compare(s, "new", &fresh, &e) == 0)
			must(store_remove(s, "new", &e), &e);
		if (unsettled_bytes || compare(s, "it", &old, &e) != 0) {
			const struct store_options options = {.replace = true,
			                                      .unsettled_bytes = unsettled_bytes};

			must(commit(s, "it", &old, &options, &e), &e);
		}
		store_close(s);
		if (!was_killed(status))
			return;
	}
}

static const char *const commit_points[] = {
	"store-writer-begin",  "store-page-write",     "store-blob-write",  "store-blob-sync",
	"store-index-write",   "store-index-sync",     "store-blob-rename", "store-index-rename",
	"store-root-dir-sync", "store-blobs-dir-sync", "store-writer-end",
};
static const char *const remove_points[] = {
	"store-index-write",   "store-index-sync",  "store-index-rename",
	"store-root-dir-sync", "store-blob-unlink",
};
static const char *const settle_points[] = {
	"store-settle-hash",    "store-settle-manifest", "store-settle-link",
	"store-blobs-dir-sync", "store-index-write",     "store-index-sync",
	"store-index-rename",   "store-root-dir-sync",   "store-blob-unlink",
};
static const char *const gc_points[] = {"store-gc-leftover", "store-blob-unlink"};

static void a_commit_that_dies_leaves_old_or_new(void)
{
	AUTO(text) char *root = make_victim();

	for (size_t i = 0; i < ARRAY_LEN(commit_points); i++)
		die_at(root, commit_points[i], commit_new);
	remove_tree(root);
}

static void a_replacement_that_dies_leaves_old_or_new(void)
{
	AUTO(text) char *root = make_victim();

	for (size_t i = 0; i < ARRAY_LEN(commit_points); i++)
		die_at(root, commit_points[i], replace_old);
	die_at(root, "store-blob-unlink", replace_old);
	remove_tree(root);
}

static void a_removal_that_dies_leaves_all_or_nothing(void)
{
	AUTO(text) char *root = make_victim();

	for (size_t i = 0; i < ARRAY_LEN(remove_points); i++)
		die_at(root, remove_points[i], remove_old);
	remove_tree(root);
}

static void a_gc_that_dies_takes_no_snapshot_along(void)
{
	AUTO(text) char *root = make_victim();

	for (size_t i = 0; i < ARRAY_LEN(gc_points); i++)
		die_at(root, gc_points[i], collect);
	remove_tree(root);
}

static void a_settling_that_dies_leaves_the_snapshot_whole(void)
{
	AUTO(text) char *root = NULL;

	unsettled_bytes = 1;
	root = make_victim();
	for (size_t i = 0; i < ARRAY_LEN(settle_points); i++)
		die_at(root, settle_points[i], settle_old);
	/* gc settles as well. */
	for (size_t i = 0; i < ARRAY_LEN(settle_points); i++)
		die_at(root, settle_points[i], collect);
	remove_tree(root);
	unsettled_bytes = 0;
}

static void the_same_holds_for_what_is_not_settled(void)
{
	unsettled_bytes = 1;
	a_commit_that_dies_leaves_old_or_new();
	a_replacement_that_dies_leaves_old_or_new();
	a_removal_that_dies_leaves_all_or_nothing();
	a_gc_that_dies_takes_no_snapshot_along();
	unsettled_bytes = 0;
}

static void a_first_use_that_dies_can_be_repeated(void)
{
	static const char *const points[] = {
		"store-key-write",     "store-key-link",      "store-key-dir-sync",
		"store-layout-rename", "store-root-dir-sync",
	};

	for (size_t i = 0; i < ARRAY_LEN(points); i++)
		for (int passage = 1;; passage++) {
			AUTO(text) char *root = make_folder();
			AUTO(text) char *fault = xprintf("%s:%d:kill", points[i], passage);
			AUTO(arena) struct arena a = {0};
			struct list files = {0};
			struct store_report report;
			int status = in_child(root, fault, only_open);
			struct store *s = open_store(root);
			struct err e = {0};

			ok(passage > 1 || was_killed(status), "%s was never passed", fault);
			ok(commit(s, "it", &old, NULL, &e) == 0, "%s: %s", fault, e.text);
			ok(compare(s, "it", &old, &e) == 0, "%s: %s", fault, e.text);
			ok(store_gc(s, &report, &e) == 0, "%s: %s", fault, e.text);
			find_files(root, &a, &files);
			LIST_EACH(&files, char *, path)
				ok(!strstr(*path, "key.new"), "%s left %s", fault, *path);
			store_close(s);
			remove_tree(root);
			if (!was_killed(status))
				break;
		}
}

/* ---- failure --------------------------------------------------------------------------- */

/* A step that fails: the operation says so, and the store is as it was. */
static void fail_at(const char *root, const char *point, action *what)
{
	uint8_t before[DIGEST_BYTES], after[DIGEST_BYTES];

	for (int passage = 1;; passage++) {
		AUTO(text) char *fault = xprintf("%s:%d", point, passage);
		int status;

		fingerprint(root, before);
		status = in_child(root, fault, what);
		ok(WIFEXITED(status) && WEXITSTATUS(status) < 2, "%s: status %x", fault, status);
		if (!WIFEXITED(status) || !WEXITSTATUS(status)) {
			AUTO(store) struct store *s = open_store(root);
			struct err e = {0};

			ok(passage > 1, "%s was never passed", fault);
			must(store_remove(s, "new", &e), &e);
			return;
		}
		fingerprint(root, after);
		ok(!memcmp(before, after, sizeof(after)), "%s changed the store", fault);
	}
}

static void a_step_that_fails_leaves_the_store_as_it_was(void)
{
	AUTO(text) char *root = make_victim();

	for (size_t i = 0; i < ARRAY_LEN(commit_points); i++) {
		/* These two come too late: the snapshot is there when they are passed. */
		if (strcmp(commit_points[i], "store-root-dir-sync") &&
		    strcmp(commit_points[i], "store-writer-end"))
			fail_at(root, commit_points[i], commit_new);
	}
	remove_tree(root);
}

static void a_settling_that_fails_is_told_and_can_be_repeated(void)
{
	struct err e = {0};

	unsettled_bytes = 1;
	for (size_t i = 0; i < ARRAY_LEN(settle_points); i++) {
		AUTO(text) char *root = make_victim();
		AUTO(store) struct store *s = NULL;
		/* Blobs that stay are gc's, and no failure. */
		bool told = strcmp(settle_points[i], "store-blob-unlink") != 0;
		int status = in_child(root, settle_points[i], settle_old);

		ok(WIFEXITED(status) && WEXITSTATUS(status) == told, "%s: status %x",
		   settle_points[i], status);
		s = open_store(root);
		ok(compare(s, "it", &old, &e) == 0, "%s: %s", settle_points[i], e.text);
		ok(store_settle(s, NULL, &e) == 0, "%s: %s", settle_points[i], e.text);
		ok(compare(s, "it", &old, &e) == 0, "%s: %s", settle_points[i], e.text);
		is_clean_after_gc(root, s, settle_points[i]);
		remove_tree(root);
	}
	unsettled_bytes = 0;
}

static void a_snapshot_that_may_not_be_durable_is_told(void)
{
	AUTO(text) char *root = make_victim();
	AUTO(store) struct store *s = NULL;
	struct err e = {0};
	int status = in_child(root, "store-root-dir-sync", commit_new);

	ok(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	s = open_store(root);
	ok(compare(s, "new", &fresh, &e) == 0, "%s", e.text);
	is_clean_after_gc(root, s, "root-dir-sync");
	remove_tree(root);
}

/* ---- full disks ------------------------------------------------------------------------ */

static void tries_to_commit(const char *root, int expected, unsigned *failed, unsigned *done)
{
	AUTO(store) struct store *s = open_store(root);
	uint8_t before[DIGEST_BYTES], after[DIGEST_BYTES];
	struct store_report report;
	struct err e = {0};
	int r;

	fingerprint(root, before);
	r = commit_new(s, &e);
	fingerprint(root, after);
	if (r) {
		ok(r == expected && strlen(e.text) > 10, "%d %s", r, e.text);
		ok(!memcmp(before, after, sizeof(after)), "changed by: %s", e.text);
		++*failed;
	} else {
		ok(compare(s, "new", &fresh, &e) == 0, "%s", e.text);
		++*done;
	}
	ok(compare(s, "keep", &keep, &e) == 0, "%s", e.text);
	ok(store_verify(s, NULL, &report, &e) == 0, "%s", e.text);
}

/* A mount namespace of our own, in a user namespace if we are not root. */
static bool enter_mount_namespace(void)
{
	AUTO(text) char *users = xprintf("0 %u 1", (unsigned)geteuid());
	AUTO(text) char *groups = xprintf("0 %u 1", (unsigned)getegid());

	if (geteuid() == 0) {
		if (unshare(CLONE_NEWNS) < 0)
			return false;
	} else {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			return false;
		spew("/proc/self/setgroups", SPAN("deny", 4));
		spew("/proc/self/uid_map", span_of_text(users));
		spew("/proc/self/gid_map", span_of_text(groups));
	}
	return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* Return: whether there can be a file system of our own here. */
static bool fill_disks(const char *root, unsigned *failed, unsigned *done)
{
	if (!enter_mount_namespace())
		return false;
	for (unsigned kib = 256; !*done && kib < 4096; kib += 4) {
		AUTO(text) char *size = xprintf("size=%uk,mode=700", kib);
		struct store *s;
		struct err e = {0};

		if (mount("tmpfs", root, "tmpfs", 0, size) < 0)
			return false;
		s = open_store(root);
		must(commit(s, "keep", &keep, NULL, &e), &e);
		store_close(s);
		tries_to_commit(root, -ENOSPC, failed, done);
		umount2(root, MNT_DETACH);
	}
	return true;
}

/* In a child of its own, whose failures are told by its exit code. */
static void a_full_disk_leaves_the_store_as_it_was(void)
{
	AUTO(text) char *root = make_folder();
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		unsigned failed = 0, done = 0;

		if (!fill_disks(root, &failed, &done))
			_exit(77);
		ok(failed > 50 && done == 1, "%u failed, %u done", failed, done);
		fflush(stdout);
		_exit(tap_now_failed);
	}
	ok(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		printf("# no file system can be mounted here: only file sizes are limited\n");
	else
		ok(WEXITSTATUS(status) == 0);
	remove_tree(root);
}

static void a_file_size_limit_leaves_the_store_as_it_was(void)
{
	AUTO(text) char *root = make_victim();
	unsigned failed = 0, done = 0;
	struct rlimit was, now;

	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &was);
	for (rlim_t limit = 1; limit < 4u << 20 && !done; limit += 1 + limit / 4) {
		now = (struct rlimit){.rlim_cur = limit, .rlim_max = was.rlim_max};
		setrlimit(RLIMIT_FSIZE, &now);
		tries_to_commit(root, -EFBIG, &failed, &done);
		setrlimit(RLIMIT_FSIZE, &was);
	}
	ok(failed > 20 && done == 1, "%u failed, %u done", failed, done);
	remove_tree(root);
}

/* ---- many at once ---------------------------------------------------------------------- */

static int collect_often(struct store *s, struct err *e)
{
	int r = 0;

	for (int i = 0; i < 200 && !r; i++)
		r = collect(s, e);
	return r;
}

static int commit_often(struct store *s, struct err *e)
{
	int r = 0;

	for (int i = 0; i < 10 && !r; i++) {
		AUTO(text) char *name = xprintf("p%d.%d", (int)getpid(), i);

		r = commit(s, name, &old, NULL, e);
	}
	return r;
}

static int read_often(struct store *s, struct err *e)
{
	struct store_report report;
	int r = 0;

	for (int i = 0; i < 20 && !r; i++) {
		r = compare(s, "keep", &keep, e);
		if (!r)
			r = store_verify(s, NULL, &report, e);
	}
	return r;
}

/* A name that comes and goes is always one of its two contents, or not there. */
static int replace_often(struct store *s, struct err *e)
{
	struct store_options options = {.replace = true};
	int r = 0;

	for (int i = 0; i < 20 && !r; i++) {
		options.unsettled_bytes = (uint64_t)i % 3;
		r = commit(s, "changing", i % 2 ? &old : &fresh, &options, e);
		if (!r && i % 5 == 4)
			r = store_remove(s, "changing", e);
	}
	return r;
}

static int settle_often(struct store *s, struct err *e)
{
	int r = 0;

	for (int i = 0; i < 200 && !r; i++)
		r = store_settle(s, NULL, e);
	return r;
}

/* Each in a process of its own. */
static void act_at_once(const char *root, action *const *actions, size_t n)
{
	pid_t pids[16];

	ok(n <= ARRAY_LEN(pids));
	fflush(stdout);
	for (size_t i = 0; i < n; i++) {
		pids[i] = fork();
		if (!pids[i]) {
			struct store *s = open_store(root);
			struct err e = {0};

			if (actions[i](s, &e) < 0) {
				printf("# %s\n", e.text);
				fflush(stdout);
				_exit(1);
			}
			_exit(0);
		}
	}
	for (size_t i = 0; i < n; i++) {
		int status = 0;

		ok(waitpid(pids[i], &status, 0) == pids[i] && status == 0, "action %zu", i);
	}
}

static void many_processes_do_not_disturb_each_other(void)
{
	static action *const actions[] = {commit_often,  commit_often, collect_often,
	                                  commit_often,  read_often,   read_often,
	                                  replace_often, settle_often, settle_often};
	AUTO(text) char *root = make_victim();
	struct store_report report;
	struct store *s;
	struct err e = {0};

	act_at_once(root, actions, ARRAY_LEN(actions));
	s = open_store(root);
	is_clean_after_gc(root, s, "many");
	ok(store_verify(s, NULL, &report, &e) == 0 && report.snapshots == 32, "%llu",
	   (unsigned long long)report.snapshots);
	store_close(s);
	remove_tree(root);
}

/*
 * What others take away without the store's lock, between two looks of gc at it: a writer its folder
 * in tmp/, a restore its mark. The C library's functions that gc looks with are stepped on.
 */
static void (*at_readdir)(void), (*at_flock)(void);
static struct store_writer *leaving_writer;
static struct store_claim *leaving_claim;

static void step_on(void (**hook)(void))
{
	void (*leave)(void) = *hook;

	*hook = NULL;
	if (leave)
		leave();
}

struct dirent *readdir(DIR *dir)
{
	static struct dirent *(*original)(DIR *);
	struct dirent *entry;

	if (!original)
		*(void **)&original = dlsym(RTLD_NEXT, "readdir64");
	entry = original(dir);
	/* Folders of writers and marks are named by an id. */
	if (entry && strlen(entry->d_name) == ID_TEXT_BYTES - 1)
		step_on(&at_readdir);
	return entry;
}

int flock(int fd, int how)
{
	if (how & LOCK_NB)
		step_on(&at_flock);
	return (int)syscall(SYS_flock, fd, how);
}

static void writer_leaves(void)
{
	store_writer_close(leaving_writer);
	leaving_writer = NULL;
}

static void claim_leaves(void)
{
	store_claim_end(leaving_claim);
	leaving_claim = NULL;
}

static void gc_sees_a_writer_leave(void (**hook)(void), const char *when)
{
	AUTO(text) char *root = make_victim();
	struct store *s = open_store(root);
	struct err e = {0};

	must(store_writer_begin(s, "proc", NULL, &leaving_writer, &e), &e);
	*hook = writer_leaves;
	ok(collect(s, &e) == 0, "at %s: %s", when, e.text);
	ok(!leaving_writer, "%s: the writer is still there", when);
	is_clean_after_gc(root, s, when);
	store_close(s);
	remove_tree(root);
}

static void a_gc_does_not_mind_that_a_writer_ends(void)
{
	gc_sees_a_writer_leave(&at_readdir, "readdir");
	gc_sees_a_writer_leave(&at_flock, "flock");
}

static void a_gc_does_not_mind_that_a_restore_ends(void)
{
	AUTO(text) char *root = make_victim();
	struct store *s = open_store(root);
	struct store_reader *reader = NULL;
	struct err e = {0};

	/* Removed since the restore has opened it: the mark is nobody's. */
	must(store_reader_open(s, "it", &reader, &e), &e);
	must(store_remove(s, "it", &e), &e);
	must(store_claim(s, store_reader_meta(reader), false, &leaving_claim, &e), &e);
	at_readdir = claim_leaves;
	ok(collect(s, &e) == 0, "%s", e.text);
	ok(!leaving_claim, "the restore is still there");
	store_reader_close(reader);
	is_clean_after_gc(root, s, "a restore that ends");
	store_close(s);
	remove_tree(root);
}

static void many_first_users_agree_on_one_key(void)
{
	for (int round = 0; round < 10; round++) {
		AUTO(text) char *root = make_folder();
		pid_t pids[6];
		struct store *s;
		struct store_report report;
		struct err e = {0};

		for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
			pids[i] = fork();
			if (!pids[i]) {
				AUTO(text) char *name = xprintf("n%zu", i);

				s = open_store(root);
				_exit(commit(s, name, &old, NULL, &e) < 0);
			}
		}
		for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
			int status = 0;

			ok(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
		}
		s = open_store(root);
		ok(store_verify(s, NULL, &report, &e) == 0 && report.snapshots == 6, "%s", e.text);
		store_close(s);
		remove_tree(root);
	}
}

int main(void)
{
	make_contents();
	RUN(a_commit_that_dies_leaves_old_or_new);
	RUN(a_replacement_that_dies_leaves_old_or_new);
	RUN(a_removal_that_dies_leaves_all_or_nothing);
	RUN(a_gc_that_dies_takes_no_snapshot_along);
	RUN(a_settling_that_dies_leaves_the_snapshot_whole);
	RUN(the_same_holds_for_what_is_not_settled);
	RUN(a_first_use_that_dies_can_be_repeated);
	RUN(a_step_that_fails_leaves_the_store_as_it_was);
	RUN(a_settling_that_fails_is_told_and_can_be_repeated);
	RUN(a_snapshot_that_may_not_be_durable_is_told);
	RUN(a_full_disk_leaves_the_store_as_it_was);
	RUN(a_file_size_limit_leaves_the_store_as_it_was);
	RUN(many_processes_do_not_disturb_each_other);
	RUN(a_gc_does_not_mind_that_a_writer_ends);
	RUN(a_gc_does_not_mind_that_a_restore_ends);
	RUN(many_first_users_agree_on_one_key);
	buf_finish(&keep.pages);
	buf_finish(&old.pages);
	buf_finish(&fresh.pages);
	return tap_done();
}
