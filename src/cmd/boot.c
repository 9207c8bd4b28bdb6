/* SPDX-License-Identifier: MIT */
/* Start a kernel in a machine, on this terminal: the plain door to the machine. */
#include "cmd/kernel.h"
#include "cmd/machine.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "os/os.h"

#define DEFAULT_MEMORY (256u << 20)

static const struct verb_option options[] = {
	{"kernel", "FILE", "a bzImage or an ELF vmlinux", true},
	{"initrd", "FILE", "its initramfs; by default one is made of the next three", false},
	{"modules", "DIR", "lib/modules/VERSION of the kernel's package; found beside it", false},
	{"guest", "FILE", "the program that is PID 1 there; found beside wslx", false},
	{"add", "FILE:PATH", "also put a file of the host there; may repeat", false},
	{"append", "TEXT", "more for the kernel's command line", false},
	{"disk", "FILE[,HOW]", "a disk; HOW is ro, cow or cow=OVERLAY; may repeat", false},
	{"memory", "SIZE", "RAM; 256M if it is not given", false},
	{"name", "NAME", "call the machine so: wslx snap vm --distro NAME finds it", false},
	{"control", "SOCKET", "listen there for requests, such as wslx snap vm", false},
	{"write-initrd", "FILE", "write the initramfs there and do not start", false},
	{"share", "HOSTDIR:GUESTDIR[:ro]", "a directory of the host; may repeat", false},
	NET_OPTIONS,
	{"stats", NULL, "say at the end what the machine did", false},
};

/* ---- disks -------------------------------------------------------------------------------- */

/* "FILE", "FILE,ro", "FILE,cow" or "FILE,cow=OVERLAY". */
struct disk_option {
	char *path;
	const char *overlay; /* NULL: in a file that lives as long as this process */
	bool read_only, cow;
};

static int parse_disk(const char *text, struct disk_option *d, struct err *e)
{
	char *comma;

	*d = (struct disk_option){.path = xstrdup(text)};
	comma = strrchr(d->path, ',');
	if (!comma)
		return 0;
	*comma++ = '\0';
	d->read_only = !strcmp(comma, "ro");
	d->cow = !strcmp(comma, "cow") || text_starts(comma, "cow=");
	if (text_starts(comma, "cow="))
		d->overlay = comma + 4;
	if (d->read_only || d->cow)
		return 0;
	return err_say(e, -EINVAL, "--disk %s: \"%s\" is none of ro, cow, cow=OVERLAY", text,
	               comma);
}

/* Return: a descriptor, or negative errno with a sentence. */
static int open_overlay(const char *path, struct err *e)
{
	int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : os_open_temporary();

	return fd < 0 ? err_set(e, path ? -errno : fd, "overlay %s", path ? path : "in TMPDIR")
	              : fd;
}

static struct disk *open_disk(const struct disk_option *o, struct err *e)
{
	bool writes = !o->read_only && !o->cow;
	int fd = open(o->path, (writes ? O_RDWR : O_RDONLY) | O_CLOEXEC), overlay;
	struct disk *base;

	if (fd < 0) {
		err_set(e, -errno, "disk %s", o->path);
		return NULL;
	}
	base = disk_open_raw(fd, o->read_only, e);
	if (!base || !o->cow)
		return base;
	overlay = open_overlay(o->overlay, e);
	if (overlay < 0) {
		disk_close(base);
		return NULL;
	}
	return disk_open_overlay(base, overlay, false, e);
}

/* @a: gets the names of the files */
static int open_disks(const struct args *args, struct control *c, struct arena *a, struct err *e)
{
	const char *text;
	int at = 0;

	while ((text = arg_next(args, "disk", &at))) {
		struct control_disk *d = &c->disk[c->n_disks];
		struct disk_option o;
		int r;

		if (c->n_disks == VM_DISKS_MAX)
			return err_say(e, -EINVAL, "--disk: a machine has at most %d disks",
			               VM_DISKS_MAX);
		r = parse_disk(text, &o, e);
		if (!r) {
			AUTO(text) char *path = realpath(o.path, NULL);

			/* What has no path any more is named as it was given. */
			d->base = arena_text(a, path ? path : o.path);
			d->disk = open_disk(&o, e);
			r = d->disk ? 0 : e->code;
		}
		free(o.path);
		if (r)
			return r;
		c->n_disks++;
	}
	return 0;
}

static int open_shares(const struct args *args, struct session *s, struct vm_config *config,
                       struct err *e)
{
	int r = session_share(s, args, e);

	return r || !arg_is_set(args, "share") ? r : shares_attach(&s->shares, config, e);
}

/* ---- the initramfs ------------------------------------------------------------------------ */

static int add_modules(const struct args *args, bool has_net, struct initramfs *i, struct err *e)
{
	static const char *const always[] = {"virtio_mmio",    "virtio_console", "virtio_rng",
	                                     "virtio_balloon", "button",         "evdev",
	                                     "pvpanic_mmio"};
	static const char *const for_disks[] = {"virtio_blk", "crc32c_generic", "ext4"};
	static const char *const for_shares[] = {"9pnet_virtio", "9p"};
	const char *modules[ARRAY_LEN(always) + ARRAY_LEN(for_disks) + ARRAY_LEN(for_shares) + 1];
	size_t n = 0;
	const char *given = arg_value(args, "modules");
	AUTO(text)
	char *dir = given ? xstrdup(given) : cmd_modules_beside(arg_value(args, "kernel"));

	if (!dir || (!given && access(dir, F_OK)))
		return 0;
	for (size_t k = 0; k < ARRAY_LEN(always); k++)
		modules[n++] = always[k];
	for (size_t k = 0; k < ARRAY_LEN(for_disks) && arg_is_set(args, "disk"); k++)
		modules[n++] = for_disks[k];
	for (size_t k = 0; k < ARRAY_LEN(for_shares) && arg_is_set(args, "share"); k++)
		modules[n++] = for_shares[k];
	if (has_net)
		modules[n++] = "virtio_net";
	return initramfs_add_modules(i, dir, modules, n, e);
}

/* A file that is wanted under several names is there once: busybox and its tools. */
static bool add_again(const struct args *args, struct initramfs *i, const char *text, size_t from)
{
	const char *earlier;
	int at = 0;

	while ((earlier = arg_next(args, "add", &at)) && earlier != text) {
		AUTO(text) char *target = NULL;

		if (strncmp(earlier, text, from + 1) != 0)
			continue;
		target = xprintf("/%s", earlier + from + 1 + (earlier[from + 1] == '/'));
		initramfs_add_link(i, text + from + 1 + (text[from + 1] == '/'), target);
		return true;
	}
	return false;
}

static int add_files(const struct args *args, struct initramfs *i, struct err *e)
{
	const char *text;
	int at = 0;

	while ((text = arg_next(args, "add", &at))) {
		const char *colon = strchr(text, ':');
		AUTO(text) char *path = NULL;
		struct span data = {0};
		int r;

		if (!colon)
			return err_say(e, -EINVAL, "--add %s: this is not FILE:PATH", text);
		/* The kernel drops, without a word, what has no directory to be in. */
		initramfs_add_parents(i, colon + 1 + (colon[1] == '/'));
		if (add_again(args, i, text, (size_t)(colon - text)))
			continue;
		path = xprintf("%.*s", (int)(colon - text), text);
		r = cmd_map_file(path, &data, e);
		if (r)
			return r;
		initramfs_add_file(i, colon + 1 + (colon[1] == '/'), 0755, data);
	}
	return 0;
}

static int build_initramfs(const struct args *args, bool has_net, struct initramfs *i,
                           struct err *e)
{
	int r = cmd_begin_initramfs(i, arg_value(args, "guest"), e);

	if (r)
		return r;
	r = add_modules(args, has_net, i, e);
	return r ? r : add_files(args, i, e);
}

/* ---- the verb ----------------------------------------------------------------------------- */

static void write_command_line(const struct args *args, struct buf *out)
{
	const char *append = arg_value(args, "append");

	buf_printf(out, "%s%s%s", KERNEL_COMMAND_LINE, append ? " " : "", append ? append : "");
	/* The kernel hands what follows to PID 1, split at spaces. */
	if (args->n_operands)
		buf_add_text(out, " --");
	for (int i = 0; i < args->n_operands; i++)
		buf_printf(out, " %s", args->operands[i]);
}

static int write_file(const char *path, struct span data, struct err *e)
{
	FILE *f = fopen(path, "we");

	if (!f)
		return err_set(e, -errno, "%s", path);
	if (fwrite(data.data, 1, data.len, f) != data.len) {
		fclose(f);
		return err_set(e, -EIO, "%s", path);
	}
	return fclose(f) ? err_set(e, -errno, "%s", path) : 0;
}

/* Fill in what vm_boot() wants. @made owns an initramfs of ours. */
static int gather(const struct args *args, bool has_net, struct vm_boot *b, struct initramfs *made,
                  struct err *e)
{
	const char *initrd = arg_value(args, "initrd");
	int r = cmd_map_file(arg_value(args, "kernel"), &b->kernel, e);

	if (r)
		return r;
	if (initrd)
		return cmd_map_file(initrd, &b->initrd, e);
	r = build_initramfs(args, has_net, made, e);
	b->initrd = initramfs_end(made);
	return r;
}

/* The store is not kept open: the machine process must not have its key. */
static int name_session(const struct args *args, struct session *s, struct err *e)
{
	const char *name = arg_value(args, "name");
	AUTO(store) struct store *store = NULL;
	int r = name ? cmd_open_store(&store, e) : 0;

	return r ? r : session_name(s, store, name, arg_value(args, "control"), e);
}

static int run(struct args *args)
{
	AUTO(initramfs) struct initramfs made = {0};
	AUTO(arena) struct arena names = {0};
	AUTO(buf) struct buf line = {0};
	const char *memory = arg_value(args, "memory"), *write_to = arg_value(args, "write-initrd");
	struct vm_config config = {.ram_bytes = DEFAULT_MEMORY, .ram_fd = -1};
	struct vm_boot b = {0};
	struct session s;
	struct err e = {0};
	int r, code;

	if (memory && text_to_bytes(memory, VM_RAM_MAX, &config.ram_bytes))
		return say_usage(args, "--memory %s: not a size; try 256M", memory);
	session_config(&s, &config);
	r = net_choose(args, false, &s.choice, &e);
	config.has_net = s.choice.on;
	net_make_mac(config.mac);
	if (!r)
		r = gather(args, config.has_net, &b, &made, &e);
	if (!r && write_to)
		r = write_file(write_to, b.initrd, &e);
	if (r || write_to)
		return r ? say_error(&e) : EXIT_DONE;
	write_command_line(args, &line);
	b.command_line = buf_text(&line);
	r = name_session(args, &s, &e);
	if (!r)
		r = open_shares(args, &s, &config, &e);
	if (!r)
		r = open_disks(args, &s.control, &names, &e);
	for (unsigned i = 0; i < s.control.n_disks; i++)
		config.disk[config.n_disks++] = s.control.disk[i].disk;
	if (!r)
		r = net_attach(&s.choice, &config, &s.net, &e);
	if (!r) {
		s.vm = vm_create(&config, &e);
		r = s.vm ? vm_boot(s.vm, &b, &e) : e.code;
	}
	code = r ? say_error(&e) : session_run(&s, arg_is_set(args, "stats"));
	session_finish(&s);
	for (unsigned i = 0; i < s.control.n_disks; i++)
		disk_close(s.control.disk[i].disk);
	return code;
}

const struct verb verb_boot = {
	.name = "boot",
	.operands = "[-- COMMAND ARGUMENT...]",
	.max_operands = 1000,
	.summary = "Start a kernel in a machine, on this terminal",
	.options = options,
	.n_options = ARRAY_LEN(options),
	.run = run,
};
