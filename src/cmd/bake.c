/* SPDX-License-Identifier: MIT */
/* A container image becomes a machine that has started already. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cmd/bake.h"
#include "cmd/kernel.h"
#include "cmd/machine.h"
#include "cmd/progress.h"
#include "cmd/rehearse.h"
#include "flow/own-disk.h"
#include "flow/vm.h"
#include "os/os.h"
#include "rootfs/rootfs.h"

#define DEFAULT_MEMORY (256u << 20)
#define DEFAULT_TIMEOUT_S 120u
/*
 * Memory is made zero when it is freed, and not when it is allocated: free pages, which nobody
 * needs, are then not in the snapshot, and what a start allocates needs no clearing. Without the
 * ten thousand files of tracefs, which no container sees, a guest has 8 MiB less to store. Nobody
 * asks for pressure, which is accounted for at each switch between tasks.
 */
#define COMMAND_LINE                                                                               \
	KERNEL_COMMAND_LINE " quiet psi=0 init_on_alloc=0 init_on_free=1"                          \
			    " initcall_blacklist=tracer_init_tracefs wslx.image=/dev/vda"

static const struct verb_option options[] = {
	{"name", "NAME", "what to call the snapshot", false},
	BAKE_OPTIONS,
	{"guest", "FILE", "the program that is PID 1 there; found beside wslx", false},
	{"timeout", "SECONDS", "give up when the guest has not settled by then; 120", false},
	{"settle-window", "MS", "how long it must have been quiet; 1000", false},
	{"settle-halt", "MS", "from which length on a halt counts; 20", false},
	{"settle-share", "PERMILLE", "of the window that such halts must fill; 900", false},
	{"net", "user|none", "none: a machine without a network device; user if not given", false},
	{"write-disk", "FILE", "write the image's disk there and do not start", false},
	{"fast", NULL, "compress less: seconds faster, about a sixth larger", false},
	{"replace", NULL, "an existing snapshot of that name gives way", false},
	{"sealed", NULL, "encrypt it: the image is not for everybody", false},
	{"verify", "FILE", "of a registry: only if this public key (PEM) has signed it", false},
	{"limit", "BYTES", "of a registry: refuse what is larger (K, M, G); 64G", false},
	{"insecure", NULL, "allow plain http and unknown certificates of a registry", false},
	{"verbose", NULL, "show what the guest prints", false},
	{"quiet", NULL, "say nothing when it went well", false},
};

/* A bake that goes on: from the image to the snapshot. */
struct work {
	const struct bake *what;
	const char *image; /* as rootfs_build() takes it */
	struct store *store;
	struct arena arena;
	const char *source, *stamp;  /* where it is, and which one it is there */
	struct container *container; /* or NULL: it is here */
	struct rootfs_report report;
	char *kernel, *disk, *socket;
	struct initramfs initramfs;
	struct vm_boot boot;
	struct bake_machine machine;
	uint64_t started_ns;
	bool has_line;
};

static void work_finish(struct work *b)
{
	if (b->socket)
		unlink(b->socket);
	if (b->has_line)
		fprintf(stderr, "\r\033[K");
	free(b->kernel);
	free(b->disk);
	free(b->socket);
	initramfs_finish(&b->initramfs);
	container_close(b->container);
	store_close(b->store);
	arena_finish(&b->arena);
}

static void say(struct work *b, const char *fmt, ...) PRINTF(2, 3);

/* A line of progress with the time since the start. */
static void say(struct work *b, const char *fmt, ...)
{
	AUTO(buf) struct buf text = {0};
	AUTO(buf) struct buf line = {0};
	va_list ap;

	/* A line that goes away is for whoever watches. */
	if (b->what->quiet || (b->what->one_line && !isatty(STDERR_FILENO)))
		return;
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	text_add_printable(&line, buf_text(&text), text.len);
	b->has_line = b->what->one_line;
	fprintf(stderr, b->has_line ? "\r%6.1f s  %s\033[K" : "%6.1f s  %s\n",
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

/* An image of a registry is fetched into a layout, which is removed when it is a disk. */
static int fetch(struct work *b, struct err *e)
{
	struct container_source from = b->what->from;
	char all[16], rest[16];
	struct progress bar;
	uint64_t missing;
	int r = 0;

	progress_begin(&bar, "image", b->what->quiet);
	from.progress = &bar.oci;
	from.ref = b->what->image;
	r = container_open(&from, &b->container, e);
	if (!r)
		r = container_begin(b->container, b->store, &missing, e);
	if (!r) {
		progress_end(&bar);
		say(b, "%s: %u layers of %s, %s to be fetched", container_origin(b->container),
		    container_layers(b->container),
		    text_of_bytes(all, container_bytes(b->container)),
		    text_of_bytes(rest, missing));
		bar.oci.total = missing;
		r = container_fetch(b->container, e);
	}
	progress_end(&bar);
	if (r)
		return r;
	b->image = arena_printf(&b->arena, "oci:%s", container_layout(b->container));
	b->source = arena_printf(&b->arena, "docker://%s", container_origin(b->container));
	b->stamp = container_digest(b->container);
	return 0;
}

static bool is_far(const char *image)
{
	return !rootfs_is_here(image) && container_may_be_ref(image);
}

static int find_image(struct work *b, struct err *e)
{
	const char *image = b->what->image;
	int r;

	b->image = image;
	if (!is_far(image))
		return rootfs_stamp(image, &b->arena, &b->source, &b->stamp, e);
	r = fetch(b, e);
	/* "debian" may be meant as a file's name as well. */
	return r && !b->container && !strchr(image, '/')
	               ? err_wrap(e, r, "%s is nothing here, and in a registry", image)
	               : r;
}

static int build_disk(struct work *b, int fd, struct err *e)
{
	const struct rootfs_options how = {.progress = on_step, .arg = b};
	char size[16];
	int r = rootfs_build(b->image, fd, &how, &b->arena, &b->report, e);

	if (!r)
		say(b, "%s, %u layers, %llu files, disk of %s", b->report.source, b->report.layers,
		    (unsigned long long)b->report.inodes,
		    text_of_bytes(size, b->report.disk_bytes));
	return r;
}

static int write_disk(struct work *b, const char *path, struct err *e)
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

static int keep_disk(struct work *b, struct err *e)
{
	AUTO(fd) int fd = own_disk_begin(b->store, e);
	AUTO(text) char *path = NULL;
	int r = fd < 0 ? fd : build_disk(b, fd, e);

	if (!r)
		r = own_disk_commit(b->store, fd, b->report.disk_digest, e);
	if (r)
		return r;
	path = own_disk_path(b->store, b->report.disk_digest);
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
static void write_image(struct work *b, struct buf *out)
{
	const struct rootfs_config *c = &b->report.config;
	AUTO(text) char *hostname = flow_distro_name(b->what->name);
	struct shares lines = {0};

	shares_tell(&lines, "h", hostname);
	if (b->what->words) {
		shares_tell(&lines, "c", b->what->words);
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

static int gather(struct work *b, struct err *e)
{
	static const char *const modules[] = {
		"virtio_mmio", "virtio_console", "virtio_rng", "virtio_balloon", "button",
		"virtio_blk",  "9pnet_virtio",   "9p",         "crc32c_generic", "erofs",
		"overlay",     "pvpanic_mmio",   "evdev",      "virtio_net"};
	size_t n_modules = ARRAY_LEN(modules) - !b->what->has_net;
	const char *given = b->what->kernel;
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
		r = cmd_begin_initramfs(&b->initramfs, b->what->guest, e);
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

static int take_snapshot(struct work *b, struct err *e)
{
	const char *name = b->what->name, *digest = b->report.config.digest;
	AUTO(text) char *hostname = flow_distro_name(name);
	const char *kernel = strrchr(b->kernel, '/');
	AUTO(text) char *kernel_id = bake_kernel_id(b->kernel);
	AUTO(text) char *how = bake_options_text(b->what);
	const struct store_label labels[] = {
		{"machine.state", "barrier"},
		{"machine.kernel", kernel ? kernel + 1 : b->kernel},
		{"image", b->source},
		{"image.digest", digest ? digest : b->report.disk_digest},
		{"image.stamp", b->stamp},
		{"bake.kernel", kernel_id},
		{"bake.options", how},
	};
	const struct snap_vm what = {
		.socket = b->socket,
		.machine = b->what->image,
		.name = name,
		.replace = b->what->replace,
		/* Nothing has happened in it yet but what its image does for everybody. */
		.is_public = !b->what->sealed,
		.compression = b->what->fast ? STORE_COMPRESS_SMALL : STORE_COMPRESS_DENSE,
		.labels = labels,
		.n_labels = ARRAY_LEN(labels),
		.rehearse = rehearse,
		.rehearse_arg = hostname,
	};
	struct snap_vm_result result = {0};
	struct control_message answer;
	char size[16], start[16];
	int r = flow_snap_vm(b->store, &what, &result, e);

	if (r)
		return r;
	say(b, "%s: %s of memory and disk, %s of which a start uses", name,
	    text_of_bytes(size, result.pages * PAGE_BYTES),
	    text_of_bytes(start, result.start_pages * PAGE_BYTES));
	/* It has done what it was for; that it ends is not worth an error. */
	if (!control_call(b->socket, "stop", NULL, 0, &answer, NULL))
		control_message_close(&answer);
	return 0;
}

static int explain_timeout(const struct work *b, const char *rest, struct err *e)
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
static int on_line(struct work *b, const char *line, struct err *e)
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

static int run_machine(struct work *b, struct err *e)
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

static int make_socket(struct work *b, struct err *e)
{
	AUTO(text) char *dir = xprintf("%s/run", store_root(b->store));
	int r = os_make_dirs(dir, 0700);

	b->socket = xprintf("%s/bake-%d.sock", dir, getpid());
	return r ? err_set(e, r, "%s", dir) : 0;
}

static int bake(struct work *b, struct err *e)
{
	const char *name = b->what->name;
	bool taken = false;
	int r = store_name_check(name, e);

	if (!r)
		r = cmd_open_store(&b->store, e);
	if (!r && !b->what->replace)
		r = store_has(b->store, name, &taken, e);
	if (!r && taken)
		r = err_say(e, -EEXIST,
		            "there is a snapshot %s already; --replace makes it give way", name);
	if (!r)
		r = find_image(b, e);
	if (!r)
		r = keep_disk(b, e);
	if (!r && b->container)
		container_drop(b->container);
	if (!r)
		r = gather(b, e);
	if (!r)
		r = make_socket(b, e);
	if (r)
		return r;
	say(b, "starting %s", b->kernel);
	b->machine.boot = &b->boot;
	b->machine.store = b->store;
	b->machine.disk = b->disk;
	b->machine.control = b->socket;
	return run_machine(b, e);
}

static void work_begin(struct work *b, const struct bake *what)
{
	*b = (struct work){.what = what, .started_ns = os_clock_ns(CLOCK_MONOTONIC)};
	b->machine.ram_bytes = what->ram_bytes;
	b->machine.timeout_s = what->timeout_s;
	b->machine.rule = what->rule;
	b->machine.verbose = what->verbose;
	b->machine.has_net = what->has_net;
}

int bake_image(const struct bake *what, struct err *e)
{
	struct work b;
	int r;

	work_begin(&b, what);
	r = bake(&b, e);
	work_finish(&b);
	return r;
}

int bake_write_disk(const struct bake *what, const char *path, struct err *e)
{
	struct work b;
	int r = 0;

	work_begin(&b, what);
	b.image = what->image;
	/* Only what is fetched needs the store. */
	if (is_far(what->image)) {
		r = cmd_open_store(&b.store, e);
		if (!r)
			r = find_image(&b, e);
	}
	if (!r)
		r = write_disk(&b, path, e);
	if (!r && b.container)
		container_drop(b.container);
	work_finish(&b);
	return r;
}

/* ---- how it was baked --------------------------------------------------------------------- */

char *bake_kernel_id(const char *kernel)
{
	const char *slash = strrchr(kernel, '/');
	struct stat st;

	if (stat(kernel, &st))
		st = (struct stat){0};
	return xprintf("%s %lld %lld", slash ? slash + 1 : kernel, (long long)st.st_size,
	               (long long)st.st_mtim.tv_sec);
}

char *bake_options_text(const struct bake *b)
{
	return xprintf("memory=%llu%s%s%s", (unsigned long long)b->ram_bytes,
	               b->has_net ? "" : " net=none", b->words ? " cmd=" : "",
	               b->words ? b->words : "");
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

int bake_take_options(struct args *args, struct bake *b)
{
	const char *memory = arg_value(args, "memory"), *limit = arg_value(args, "limit");

	*b = (struct bake){
		.image = args->operands[0],
		.words = arg_value(args, "cmd"),
		.kernel = arg_value(args, "kernel"),
		.from = {.verify = arg_value(args, "verify"),
	                 .limit = IMAGE_LIMIT_BYTES,
	                 .insecure = arg_is_set(args, "insecure")},
		.ram_bytes = DEFAULT_MEMORY,
		.has_net = true,
		.timeout_s = DEFAULT_TIMEOUT_S,
		.rule = settle_rule_default,
	};
	if (memory && text_to_bytes(memory, VM_RAM_MAX, &b->ram_bytes))
		return say_usage(args, "--memory %s: not a size; try 256M", memory);
	if (limit && text_to_bytes(limit, INT64_MAX, &b->from.limit))
		return say_usage(args, "--limit %s: not a size; try 2G", limit);
	return 0;
}

static int take_settling(struct args *args, struct bake *b)
{
	uint64_t timeout = b->timeout_s, window = b->rule.window_ns / 1000000;
	uint64_t halt = b->rule.long_ns / 1000000, share = b->rule.permille;
	int code = take_number(args, "timeout", 86400, &timeout);

	if (!code)
		code = take_number(args, "settle-window", 60000, &window);
	if (!code)
		code = take_number(args, "settle-halt", 10000, &halt);
	if (!code)
		code = take_number(args, "settle-share", 1000, &share);
	b->timeout_s = (unsigned)timeout;
	b->rule = (struct settle_rule){window * 1000000, halt * 1000000, (unsigned)share};
	return code;
}

static int run(struct args *args)
{
	const char *path = arg_value(args, "write-disk"), *net = arg_value(args, "net");
	struct err e = {0};
	struct bake b;
	int code = bake_take_options(args, &b), r;

	if (!code)
		code = take_settling(args, &b);
	if (code)
		return code;
	if (net && strcmp(net, "user") != 0 && strcmp(net, "none") != 0)
		return say_usage(args, "--net %s: neither user nor none", net);
	b.has_net = !net || !strcmp(net, "user");
	b.name = arg_value(args, "name");
	b.guest = arg_value(args, "guest");
	b.fast = arg_is_set(args, "fast");
	b.replace = arg_is_set(args, "replace");
	b.sealed = arg_is_set(args, "sealed");
	b.verbose = arg_is_set(args, "verbose");
	b.quiet = arg_is_set(args, "quiet");
	if (!path == !b.name)
		return say_usage(args, "either --name or --write-disk is needed");
	r = path ? bake_write_disk(&b, path, &e) : bake_image(&b, &e);
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
