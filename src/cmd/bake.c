/* SPDX-License-Identifier: MIT */
/* A container image becomes a machine that has started already. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd/bake-machine.h"
#include "cmd/kernel.h"
#include "cmd/machine.h"
#include "flow/own-disk.h"
#include "flow/vm.h"
#include "oci/rootfs.h"
#include "os/os.h"

#define DEFAULT_MEMORY (256u << 20)
#define DEFAULT_TIMEOUT_S 120u
#define COMMAND_LINE KERNEL_COMMAND_LINE " quiet wslx.image=/dev/vda"

static const struct verb_option options[] = {
	{"name", "NAME", "what to call the snapshot", false},
	{"memory", "SIZE", "RAM of the machine; 256M if it is not given", false},
	{"cmd", "WORDS", "start this instead of what the image says", false},
	{"kernel", "FILE", "a bzImage whose modules are beside it; found if it is not given",
         false},
	{"guest", "FILE", "the program that is PID 1 there; found beside wslx", false},
	{"timeout", "SECONDS", "give up when the guest has not settled by then; 120", false},
	{"settle-window", "MS", "how long it must have been quiet; 1000", false},
	{"settle-halt", "MS", "from which length on a halt counts; 20", false},
	{"settle-share", "PERMILLE", "of the window that such halts must fill; 900", false},
	{"net", "user|none", "none: a machine without a network device; user if not given", false},
	{"write-disk", "FILE", "write the image's disk there and do not start", false},
	{"replace", NULL, "an existing snapshot of that name gives way", false},
	{"sealed", NULL, "encrypt it: the image is not for everybody", false},
	{"verbose", NULL, "show what the guest prints", false},
	{"quiet", NULL, "say nothing when it went well", false},
};

/* A bake: from the image to the snapshot. */
struct bake {
	const struct args *args;
	struct store *store;
	struct arena arena;
	struct rootfs_report image;
	char *kernel, *disk, *socket;
	struct initramfs initramfs;
	struct vm_boot boot;
	struct bake_machine machine;
	uint64_t started_ns;
	bool quiet;
};

static void bake_finish(struct bake *b)
{
	if (b->socket)
		unlink(b->socket);
	free(b->kernel);
	free(b->disk);
	free(b->socket);
	initramfs_finish(&b->initramfs);
	store_close(b->store);
	arena_finish(&b->arena);
}

static void say(struct bake *b, const char *fmt, ...) PRINTF(2, 3);

/* A line of progress with the time since the start. */
static void say(struct bake *b, const char *fmt, ...)
{
	AUTO(buf) struct buf text = {0};
	AUTO(buf) struct buf line = {0};
	va_list ap;

	if (b->quiet)
		return;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	text_add_printable(&line, buf_text(&text), text.len);
	fprintf(stderr, "%6.1f s  %s\n",
	        (double)(os_clock_ns(CLOCK_MONOTONIC) - b->started_ns) / 1e9, buf_text(&line));
}

static void on_step(void *arg, const char *step, uint64_t done, uint64_t total)
{
	if (total > 1)
		say(arg, "%s %llu of %llu", step, (unsigned long long)done,
		    (unsigned long long)total);
	else
		say(arg, "%s", step);
}

/* ---- the image ---------------------------------------------------------------------------- */

static int build_disk(struct bake *b, int fd, struct err *e)
{
	const struct rootfs_options how = {.progress = on_step, .arg = b};
	char size[16];
	int r = rootfs_build(b->args->operands[0], fd, &how, &b->arena, &b->image, e);

	if (!r)
		say(b, "%s, %u layers, %llu files, disk of %s", b->image.source, b->image.layers,
		    (unsigned long long)b->image.inodes, text_of_bytes(size, b->image.disk_bytes));
	return r;
}

static int write_disk(struct bake *b, const char *path, struct err *e)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0644), r;

	if (fd < 0)
		return err_set(e, -errno, "%s", path);
	r = build_disk(b, fd, e);
	close(fd);
	if (r)
		unlink(path);
	return r;
}

static int keep_disk(struct bake *b, struct err *e)
{
	AUTO(fd) int fd = own_disk_begin(b->store, e);
	AUTO(text) char *path = NULL;
	int r = fd < 0 ? fd : build_disk(b, fd, e);

	if (!r)
		r = own_disk_commit(b->store, fd, b->image.disk_digest, e);
	if (r)
		return r;
	path = own_disk_path(b->store, b->image.disk_digest);
	b->disk = realpath(path, NULL);
	return b->disk ? 0 : err_set(e, -errno, "%s", path);
}

/* ---- what is started ---------------------------------------------------------------------- */

static void tell_words(struct shares *to, const char *key, const struct list *words)
{
	AUTO(buf) struct buf line = {0};

	LIST_EACH(words, const char *, word)
		shares_add_word(&line, *word);
	if (words->count)
		shares_tell(to, key, buf_text(&line));
}

/* What the guest's init reads before anything of the image runs: its configuration. */
static void write_image(struct bake *b, struct buf *out)
{
	const struct rootfs_config *c = &b->image.config;
	const char *cmd = arg_value(b->args, "cmd");
	AUTO(text) char *hostname = machine_name_of(arg_value(b->args, "name"));
	struct shares lines = {0};

	shares_tell(&lines, "h", hostname);
	if (cmd) {
		shares_tell(&lines, "c", cmd);
	} else {
		tell_words(&lines, "e", &c->entrypoint);
		tell_words(&lines, "c", &c->cmd);
	}
	LIST_EACH(&c->env, const char *, word)
		shares_tell(&lines, "env", *word);
	if (c->workdir)
		shares_tell(&lines, "w", c->workdir);
	if (c->user)
		shares_tell(&lines, "u", c->user);
	buf_add(out, lines.info.data, lines.info.len);
	shares_finish(&lines);
}

static int gather(struct bake *b, struct err *e)
{
	static const char *const modules[] = {
		"virtio_mmio",    "virtio_console", "virtio_rng",   "virtio_balloon",
		"button",         "virtio_blk",     "9pnet_virtio", "9p",
		"crc32c_generic", "erofs",          "overlay",      "virtio_net"};
	size_t n_modules = ARRAY_LEN(modules) - !b->machine.has_net;
	const char *given = arg_value(b->args, "kernel");
	AUTO(text) char *dir = NULL;
	AUTO(buf) struct buf image = {0};
	int r;

	b->kernel = given ? xstrdup(given) : cmd_find_kernel(store_root(b->store), e);
	if (!b->kernel)
		return e->code;
	dir = cmd_modules_beside(b->kernel);
	if (!dir || access(dir, F_OK))
		return err_say(e, -ENOENT,
		               "kernel %s: its modules are not beside it, in ../lib/modules",
		               b->kernel);
	r = cmd_map_file(b->kernel, &b->boot.kernel, e);
	if (!r)
		r = cmd_begin_initramfs(&b->initramfs, arg_value(b->args, "guest"), e);
	if (!r)
		r = initramfs_add_modules(&b->initramfs, dir, modules, n_modules, e);
	if (r)
		return r;
	write_image(b, &image);
	initramfs_add_file(&b->initramfs, "lib/wslx/image", 0600, buf_span(&image));
	b->boot.initrd = initramfs_end(&b->initramfs);
	b->boot.command_line = COMMAND_LINE;
	return 0;
}

/* ---- the machine -------------------------------------------------------------------------- */

static int take_snapshot(struct bake *b, struct err *e)
{
	const char *name = arg_value(b->args, "name"), *digest = b->image.config.digest;
	const char *kernel = strrchr(b->kernel, '/');
	const struct store_label labels[] = {
		{"machine.state", "barrier"},
		{"machine.kernel", kernel ? kernel + 1 : b->kernel},
		{"image", b->args->operands[0]},
		{"image.digest", digest ? digest : b->image.disk_digest},
	};
	const struct snap_vm what = {
		.socket = b->socket,
		.machine = b->args->operands[0],
		.name = name,
		.replace = arg_is_set(b->args, "replace"),
		/* Nothing has happened in it yet but what its image does for everybody. */
		.is_public = !arg_is_set(b->args, "sealed"),
		.labels = labels,
		.n_labels = ARRAY_LEN(labels),
	};
	struct snap_vm_result result = {0};
	struct control_message answer;
	char size[16];
	int r = flow_snap_vm(b->store, &what, &result, e);

	if (r)
		return r;
	say(b, "%s: %s of memory and disk", name, text_of_bytes(size, result.pages * PAGE_BYTES));
	/* It has done what it was for; that it ends is not worth an error. */
	if (!control_call(b->socket, "stop", NULL, 0, &answer, NULL))
		control_message_close(&answer);
	return 0;
}

static int explain_timeout(const struct bake *b, const char *rest, struct err *e)
{
	unsigned reached = 0, permille = 0;
	int names = 0;

	if (sscanf(rest, "%u %u %n", &reached, &permille, &names) < 2)
		return err_say(e, -EBADMSG, "the machine talks nonsense");
	if (!reached)
		return err_say(
			e, -ETIMEDOUT,
			"the guest has not reached its barrier within %u s; running were: %s",
			b->machine.timeout_s, rest + names);
	return err_say(e, -ETIMEDOUT,
	               "the guest has not settled within %u s: it was halted for only %u in a "
	               "thousand of the last window; running were: %s",
	               b->machine.timeout_s, permille, rest + names);
}

/* Return: 1 when the snapshot is taken; 0 to go on. */
static int on_line(struct bake *b, const char *line, struct err *e)
{
	unsigned long long ns;
	unsigned permille;

	if (sscanf(line, "barrier %llu", &ns) == 1) {
		say(b, "at the barrier, %.2f s after power on", (double)ns / 1e9);
	} else if (sscanf(line, "settled %llu %u", &ns, &permille) == 2) {
		int r;

		say(b, "settled, %.2f s after power on: halted for %u in a thousand",
		    (double)ns / 1e9, permille);
		r = take_snapshot(b, e);
		return r ? r : 1;
	} else if (text_starts(line, "timeout ")) {
		return explain_timeout(b, line + 8, e);
	} else if (text_starts(line, "ended ")) {
		return err_say(e, -EIO, "%s", line + 6);
	}
	return 0;
}

static int run_machine(struct bake *b, struct err *e)
{
	char line[4096];
	int lines, r = 0;
	pid_t child = bake_machine_start(&b->machine, &lines, e);
	FILE *f;

	if (child < 0)
		return child;
	f = fdopen(lines, "r");
	while (f && !r && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		r = on_line(b, line, e);
	}
	if (f)
		fclose(f);
	if (!r)
		r = err_say(e, -EIO, "the machine has ended without a word");
	if (r < 0)
		kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return r < 0 ? r : 0;
}

static int bake(struct bake *b, struct err *e)
{
	const char *name = arg_value(b->args, "name");
	bool taken = false;
	int r = store_name_check(name, e);

	if (!r)
		r = cmd_open_store(&b->store, e);
	if (!r && !arg_is_set(b->args, "replace"))
		r = store_has(b->store, name, &taken, e);
	if (!r && taken)
		r = err_say(e, -EEXIST,
		            "there is a snapshot %s already; --replace makes it give way", name);
	if (!r)
		r = keep_disk(b, e);
	if (!r)
		r = gather(b, e);
	if (r)
		return r;
	b->socket = xprintf("%s/run/bake-%d.sock", store_root(b->store), getpid());
	{
		AUTO(text) char *dir = xprintf("%s/run", store_root(b->store));

		r = os_make_dirs(dir, 0700);
		if (r)
			return err_set(e, r, "%s", dir);
	}
	say(b, "starting %s", b->kernel);
	b->machine.boot = &b->boot;
	b->machine.disk = b->disk;
	b->machine.control = b->socket;
	return run_machine(b, e);
}

/* ---- the verb ----------------------------------------------------------------------------- */

static int take_number(struct args *args, const char *option, uint64_t max, uint64_t *out)
{
	const char *text = arg_value(args, option);

	if (text && (text_to_u64(text, 10, max, out) || !*out))
		return say_usage(args, "--%s %s: not a number from 1 to %llu", option, text,
		                 (unsigned long long)max);
	return 0;
}

static int take_options(struct args *args, struct bake_machine *m)
{
	uint64_t timeout = DEFAULT_TIMEOUT_S, window = settle_rule_default.window_ns / 1000000;
	uint64_t halt = settle_rule_default.long_ns / 1000000, share = settle_rule_default.permille;
	const char *memory = arg_value(args, "memory"), *net = arg_value(args, "net");
	int code = 0;

	m->has_net = !net || !strcmp(net, "user");
	if (!m->has_net && strcmp(net, "none") != 0)
		return say_usage(args, "--net %s: neither user nor none", net);

	m->ram_bytes = DEFAULT_MEMORY;
	if (memory && text_to_bytes(memory, VM_RAM_MAX, &m->ram_bytes))
		return say_usage(args, "--memory %s: not a size; try 256M", memory);
	code = take_number(args, "timeout", 86400, &timeout);
	if (!code)
		code = take_number(args, "settle-window", 60000, &window);
	if (!code)
		code = take_number(args, "settle-halt", 10000, &halt);
	if (!code)
		code = take_number(args, "settle-share", 1000, &share);
	m->timeout_s = (unsigned)timeout;
	m->rule = (struct settle_rule){window * 1000000, halt * 1000000, (unsigned)share};
	m->verbose = arg_is_set(args, "verbose");
	return code;
}

static int run(struct args *args)
{
	const char *path = arg_value(args, "write-disk");
	struct bake b = {.args = args,
	                 .quiet = arg_is_set(args, "quiet"),
	                 .started_ns = os_clock_ns(CLOCK_MONOTONIC)};
	struct err e = {0};
	int code = take_options(args, &b.machine), r;

	if (code)
		return code;
	if (!path == !arg_value(args, "name"))
		return say_usage(args, "either --name or --write-disk is needed");
	r = path ? write_disk(&b, path, &e) : bake(&b, &e);
	bake_finish(&b);
	return r ? say_error(&e) : EXIT_DONE;
}

const struct verb verb_bake = {
	.name = "bake",
	.operands = "IMAGE",
	.min_operands = 1,
	.max_operands = 1,
	.summary = "Start a container image once, so that nobody waits for it again",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
