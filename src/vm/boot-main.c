/* SPDX-License-Identifier: MIT */
/*
 * wslx-boot: start a kernel in a machine, on this terminal. The plain door to the machine.
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "vm/initramfs.h"
#include "vm/snapdir.h"

#define ESCAPE 0x01 /* Ctrl-a */
#define EXIT_FAILED 1
#define EXIT_USAGE 2
#define ADD_MAX 64
#define COMMAND_LINE "console=ttyS0 pci=off tsc=reliable panic=-1 rdinit=/init"

static const char usage[] =
	"Usage: wslx-boot --kernel FILE [options] [-- COMMAND ARGUMENT...]\n"
	"       wslx-boot --restore DIR [options]\n"
	"       wslx-boot --snap SOCKET DIR\n"
	"\n"
	"  --kernel FILE       bzImage or ELF vmlinux\n"
	"  --initrd FILE       its initramfs (default: one that is made of --guest, --modules, --add)\n"
	"  --modules DIR       lib/modules/VERSION of the kernel's package (default: found beside it)\n"
	"  --guest FILE        the guest program (default: wslx-guest beside this program)\n"
	"  --add FILE:PATH     put a file of the host into the initramfs (repeatable)\n"
	"  --append TEXT       more for the kernel's command line\n"
	"  --disk FILE[,ro|,cow[=OVERLAY]]\n"
	"                      a disk: written in place; read-only; or with what is written kept\n"
	"                      in an overlay, by default for this run only (repeatable)\n"
	"  --memory SIZE       RAM (default 256M)\n"
	"  --write-initrd FILE write the initramfs there and do not start\n"
	"  --control SOCKET    listen there for requests, such as for a snapshot\n"
	"  --snap SOCKET DIR   snapshot the machine that listens there to a new directory; it runs on\n"
	"  --restore DIR       go on from such a snapshot; disks get fresh overlays\n"
	"  --stats             say at the end what the machine did\n"
	"\n"
	"On the terminal, Ctrl-a x switches the machine off at once, Ctrl-a p presses its power\n"
	"button, Ctrl-a Ctrl-a is a Ctrl-a. What the guest's COMMAND returns is the exit status.\n";

struct disk_option {
	const char *path;
	const char *overlay; /* NULL: in an unlinked file */
	bool read_only, cow;
};

struct options {
	const char *kernel, *initrd, *modules, *guest, *append, *write_initrd;
	const char *control, *restore, *snap;
	const char *add[ADD_MAX];
	unsigned n_add;
	struct disk_option disk[VM_DISKS_MAX];
	unsigned n_disks;
	uint64_t memory;
	bool stats;
	char **command;
};

struct session {
	struct vm *vm;
	struct control control;
	bool escape;     /* the last byte was Ctrl-a */
	bool left;       /* by Ctrl-a x or a signal */
	int status;      /* what the guest's command returned, or -1 */
	int signals;
};

static struct termios saved_mode;
static bool has_saved_mode;

static void restore_terminal(void)
{
	if (has_saved_mode)
		tcsetattr(0, TCSADRAIN, &saved_mode);
	has_saved_mode = false;
}

static void raw_terminal(void)
{
	struct termios t;

	if (!isatty(0) || tcgetattr(0, &saved_mode))
		return;
	has_saved_mode = true;
	atexit(restore_terminal);
	t = saved_mode;
	cfmakeraw(&t);
	tcsetattr(0, TCSADRAIN, &t);
}

/* ---- between the terminal and the machine ----------------------------------------------- */

static void print(void *arg, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(1, data, len);

		if (n < 0 && errno != EINTR)
			return; /* nobody reads any more; the guest need not care */
		data += MAX(n, 0);
		len -= (size_t)MAX(n, 0);
	}
}

static void on_agent(void *arg, const char *line)
{
	struct session *s = arg;
	int status;

	if (sscanf(line, "exit %d", &status) == 1)
		s->status = status & 0xff;
}

static void typed(struct session *s, uint8_t byte)
{
	if (s->escape) {
		s->escape = false;
		if (byte == 'x') {
			s->left = true;
			vm_stop(s->vm);
			return;
		}
		if (byte == 'p') {
			vm_power_button(s->vm);
			return;
		}
	} else if (byte == ESCAPE && has_saved_mode) {
		s->escape = true;
		return;
	}
	vm_console_input(s->vm, &byte, 1);
}

static void on_input(void *arg, int fd, short revents)
{
	struct session *s = arg;
	uint8_t bytes[1024];
	ssize_t n;

	if (!vm_console_has_room(s->vm))
		return;
	n = read(fd, bytes, sizeof(bytes));
	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		vm_unwatch(s->vm, fd);
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		typed(s, bytes[i]);
}

static void resize(struct session *s)
{
	struct winsize w;

	if (!ioctl(1, TIOCGWINSZ, &w) && w.ws_col && w.ws_row)
		vm_console_resize(s->vm, w.ws_col, w.ws_row);
}

static void on_signal(void *arg, int fd, short revents)
{
	struct session *s = arg;
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGWINCH) {
		resize(s);
	} else {
		s->left = true;
		vm_stop(s->vm);
	}
}

static int watch_signals(struct session *s, struct err *e)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_IGN); /* the copies that write snapshots */
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signals < 0)
		return err_set(e, -errno, "signalfd");
	vm_watch(s->vm, s->signals, POLLIN, on_signal, s);
	return 0;
}

/* ---- files ------------------------------------------------------------------------------ */

static int map_file(const char *path, struct span *out, struct err *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;
	struct stat st;
	void *at;

	if (fd < 0)
		return err_set(e, -errno, "%s", path);
	if (fstat(fd, &st)) {
		r = err_set(e, -errno, "%s", path);
	} else if (!S_ISREG(st.st_mode)) {
		r = err_say(e, -EINVAL, "%s: this is not a file", path);
	} else if (st.st_size) {
		at = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (at == MAP_FAILED)
			r = err_set(e, -errno, "%s", path);
		else
			*out = SPAN(at, (size_t)st.st_size);
	}
	close(fd);
	return r;
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
	overlay = o->overlay ? open(o->overlay, O_RDWR | O_CREAT | O_CLOEXEC, 0600)
			     : snapdir_temporary();
	if (overlay < 0) {
		err_set(e, -errno, "overlay %s", o->overlay ? o->overlay : "in TMPDIR");
		disk_close(base);
		return NULL;
	}
	return disk_open_overlay(base, overlay, false, e);
}

/* lib/modules/VERSION of the package that a kernel at ROOT/boot/vmlinuz-VERSION came from. */
static char *modules_beside(const char *kernel)
{
	const char *name = strrchr(kernel, '/'), *version;

	name = name ? name + 1 : kernel;
	version = strchr(name, '-');
	if (!version)
		return NULL;
	return xprintf("%.*s../lib/modules/%s", (int)(name - kernel), kernel, version + 1);
}

static char *guest_beside(void)
{
	char path[512], *slash, *beside;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (n <= 0)
		return xstrdup("wslx-guest");
	path[n] = '\0';
	slash = strrchr(path, '/');
	beside = xprintf("%.*s/wslx-guest", (int)(slash - path), path);
	if (!access(beside, R_OK))
		return beside;
	/* In the build directory each room has its own. */
	free(beside);
	return xprintf("%.*s/../guest/wslx-guest", (int)(slash - path), path);
}

static int build_initramfs(const struct options *o, struct initramfs *i, struct err *e)
{
	static const char *const modules[] = {
		"virtio_mmio", "virtio_console", "virtio_rng", "virtio_balloon",
		"button", "virtio_blk", "crc32c_generic", "ext4",
	};
	static const char *const dirs[] = {"bin", "dev", "etc", "lib", "lib/wslx", "proc",
					   "root", "run", "sbin", "sys", "tmp", "usr",
					   "usr/bin"};
	/* Those from virtio_blk on are of use with a disk only. */
	size_t n_modules = o->n_disks ? ARRAY_LEN(modules) : 5;
	AUTO(text) char *guest = o->guest ? xstrdup(o->guest) : guest_beside();
	AUTO(text) char *dir = o->modules ? xstrdup(o->modules) : modules_beside(o->kernel);
	struct span data = {0};
	int r;

	for (size_t n = 0; n < ARRAY_LEN(dirs); n++)
		initramfs_add_dir(i, dirs[n]);
	/* The kernel opens it for PID 1 before anything is mounted. */
	initramfs_add_device(i, "dev/console", 5, 1);
	r = map_file(guest, &data, e);
	if (r)
		return err_wrap(e, r, "guest program");
	initramfs_add_file(i, "init", 0755, data);
	if (dir && (o->modules || !access(dir, F_OK))) {
		r = initramfs_add_modules(i, dir, modules, n_modules, e);
		if (r)
			return r;
	}
	for (unsigned n = 0; n < o->n_add; n++) {
		const char *colon = strchr(o->add[n], ':');
		AUTO(text) char *from = xprintf("%.*s", (int)(colon - o->add[n]), o->add[n]);
		const char *to = colon + 1 + (colon[1] == '/');

		size_t len = (size_t)(colon - o->add[n]) + 1;
		unsigned first = 0;

		/* A file that is wanted under several names is there once: busybox and its tools. */
		while (strncmp(o->add[first], o->add[n], len) != 0)
			first++;
		if (first < n) {
			AUTO(text) char *target = xprintf("/%s", o->add[first] + len +
									 (o->add[first][len] == '/'));

			initramfs_add_link(i, to, target);
			continue;
		}
		data = (struct span){0};
		r = map_file(from, &data, e);
		if (r)
			return r;
		initramfs_add_file(i, to, 0755, data);
	}
	return 0;
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

/* ---- the command line ------------------------------------------------------------------- */

static int parse_disk(struct options *o, char *text, struct err *e)
{
	struct disk_option *d = &o->disk[o->n_disks];
	char *comma = strrchr(text, ',');

	if (o->n_disks == VM_DISKS_MAX)
		return err_say(e, -EINVAL, "--disk: at most %d disks", VM_DISKS_MAX);
	if (comma) {
		*comma++ = '\0';
		d->read_only = !strcmp(comma, "ro");
		d->cow = !strcmp(comma, "cow") || text_starts(comma, "cow=");
		if (text_starts(comma, "cow="))
			d->overlay = comma + 4;
		if (!d->read_only && !d->cow)
			return err_say(e, -EINVAL, "--disk: \"%s\" is none of ro, cow, cow=FILE",
				       comma);
	}
	d->path = text;
	o->n_disks++;
	return 0;
}

static int parse(int argc, char **argv, struct options *o, struct err *e)
{
	enum { KERNEL = 1, INITRD, MODULES, GUEST, ADD, APPEND, DISK, MEMORY, WRITE, STATS, CONTROL,
	       RESTORE, SNAP, HELP };
	static const struct option table[] = {
		{"kernel", required_argument, NULL, KERNEL},
		{"initrd", required_argument, NULL, INITRD},
		{"modules", required_argument, NULL, MODULES},
		{"guest", required_argument, NULL, GUEST},
		{"add", required_argument, NULL, ADD},
		{"append", required_argument, NULL, APPEND},
		{"disk", required_argument, NULL, DISK},
		{"memory", required_argument, NULL, MEMORY},
		{"write-initrd", required_argument, NULL, WRITE},
		{"control", required_argument, NULL, CONTROL},
		{"restore", required_argument, NULL, RESTORE},
		{"snap", required_argument, NULL, SNAP},
		{"stats", no_argument, NULL, STATS},
		{"help", no_argument, NULL, HELP},
		{0},
	};
	int c, r = 0;

	o->memory = 256u << 20;
	while (!r && (c = getopt_long(argc, argv, "+", table, NULL)) != -1) {
		switch (c) {
		case KERNEL:
			o->kernel = optarg;
			break;
		case INITRD:
			o->initrd = optarg;
			break;
		case MODULES:
			o->modules = optarg;
			break;
		case GUEST:
			o->guest = optarg;
			break;
		case ADD:
			if (o->n_add == ADD_MAX || !strchr(optarg, ':'))
				return err_say(e, -EINVAL, "--add: FILE:PATH, at most %d times",
					       ADD_MAX);
			o->add[o->n_add++] = optarg;
			break;
		case APPEND:
			o->append = optarg;
			break;
		case DISK:
			r = parse_disk(o, optarg, e);
			break;
		case MEMORY:
			if (text_to_bytes(optarg, VM_RAM_MAX, &o->memory))
				r = err_say(e, -EINVAL, "--memory: \"%s\" is no size; try 256M",
					    optarg);
			break;
		case WRITE:
			o->write_initrd = optarg;
			break;
		case CONTROL:
			o->control = optarg;
			break;
		case RESTORE:
			o->restore = optarg;
			break;
		case SNAP:
			o->snap = optarg;
			break;
		case STATS:
			o->stats = true;
			break;
		case HELP:
			fputs(usage, stdout);
			exit(0);
		default:
			return err_say(e, -EINVAL, "see wslx-boot --help");
		}
	}
	o->command = argv + optind;
	if (r)
		return r;
	if (!o->kernel + !o->restore + !o->snap != 2)
		return err_say(e, -EINVAL, "one of --kernel, --restore and --snap is needed; see "
					   "wslx-boot --help");
	if (o->snap && !*o->command)
		return err_say(e, -EINVAL, "--snap SOCKET needs a directory to write to");
	return 0;
}

static void say(const char *text)
{
	restore_terminal();
	fprintf(stderr, "wslx-boot: %s\n", text);
}

static void say_stats(struct vm *vm)
{
	struct vm_stats s;
	double busy;

	vm_get_stats(vm, &s);
	busy = (double)(s.machine_ns - s.idle_ns) / 1e9;
	restore_terminal();
	fprintf(stderr,
		"wslx-boot: %.3f s, %.3f s of them busy, %llu instructions (%.0f million a second), "
		"%llu MiB reported free\n",
		(double)s.machine_ns / 1e9, busy, (unsigned long long)s.instructions,
		busy > 0 ? (double)s.instructions / busy / 1e6 : 0,
		(unsigned long long)(s.reported_bytes >> 20));
}

static int finish(struct session *s, enum vm_outcome outcome)
{
	switch (outcome) {
	case VM_POWER_OFF:
		return s->status < 0 ? 0 : s->status;
	case VM_STOPPED:
		return 0;
	case VM_RESET:
		say("the guest wants to be started again; it panicked, or it was told to");
		return EXIT_FAILED;
	case VM_HALTED:
		say("the guest has halted for good");
		return s->status < 0 ? EXIT_FAILED : s->status;
	case VM_CRASHED:
		say(vm_error(s->vm));
		return EXIT_FAILED;
	}
	return EXIT_FAILED;
}

static int boot(const struct options *o, struct vm *vm, struct err *e)
{
	AUTO(initramfs) struct initramfs made = {0};
	AUTO(buf) struct buf line = {0};
	struct vm_boot b = {0};
	int r = map_file(o->kernel, &b.kernel, e);

	if (!r && o->initrd) {
		r = map_file(o->initrd, &b.initrd, e);
	} else if (!r) {
		r = build_initramfs(o, &made, e);
		b.initrd = initramfs_end(&made);
	}
	if (r)
		return r;
	if (o->write_initrd)
		return write_file(o->write_initrd, b.initrd, e);
	buf_printf(&line, "%s%s%s", COMMAND_LINE, o->append ? " " : "", o->append ? o->append : "");
	if (*o->command)
		buf_add_text(&line, " --");
	for (char **word = o->command; *word; word++)
		buf_printf(&line, " %s", *word);
	b.command_line = buf_text(&line);
	return vm_boot(vm, &b, e);
}

static int take_snapshot(const struct options *o)
{
	struct err e = {0};
	uint64_t pause_ns;

	if (snapdir_save(o->snap, o->command[0], &pause_ns, &e)) {
		say(e.text);
		return EXIT_FAILED;
	}
	fprintf(stderr, "wslx-boot: the machine stood still for %.3f ms\n", (double)pause_ns / 1e6);
	return 0;
}

static int open_disks(const struct options *o, struct session *s, struct err *e)
{
	for (unsigned i = 0; i < o->n_disks; i++) {
		struct control_disk *d = &s->control.disk[i];

		d->base = realpath(o->disk[i].path, NULL);
		d->disk = open_disk(&o->disk[i], e);
		if (!d->disk)
			return e->code;
		s->control.n_disks++;
	}
	return 0;
}

static int start(const struct options *o, struct session *s, struct err *e)
{
	struct vm_config config = {
		.ram_bytes = o->memory, .ram_fd = -1, .console = {.write = print},
		.agent = on_agent, .agent_arg = s};
	struct snapdir from = {.ram_fd = -1};
	int r = o->restore ? snapdir_open(&from, o->restore, e) : open_disks(o, s, e);

	if (!r && o->restore) {
		r = vm_peek(buf_span(&from.state), &config.ram_bytes, e);
		config.ram_fd = from.ram_fd;
		memcpy(s->control.disk, from.disk, sizeof(from.disk));
		s->control.n_disks = from.n_disks;
	}
	if (r)
		return r;
	for (unsigned i = 0; i < s->control.n_disks; i++)
		config.disk[config.n_disks++] = s->control.disk[i].disk;
	s->vm = vm_create(&config, e);
	if (!s->vm)
		return e->code;
	s->control.vm = s->vm;
	return o->restore ? vm_load(s->vm, buf_span(&from.state), NULL, e) : boot(o, s->vm, e);
}

int main(int argc, char **argv)
{
	struct session s = {.status = -1};
	struct options o = {0};
	struct err e = {0};
	enum vm_outcome outcome;
	int status;

	if (parse(argc, argv, &o, &e)) {
		say(e.text);
		return EXIT_USAGE;
	}
	if (o.snap)
		return take_snapshot(&o);
	if (start(&o, &s, &e))
		goto fail;
	if (o.write_initrd)
		return 0;
	if (watch_signals(&s, &e) || (o.control && control_listen(&s.control, o.control, &e)))
		goto fail;
	vm_watch(s.vm, 0, POLLIN, on_input, &s);
	resize(&s);
	raw_terminal();
	if (vm_sandbox(&e))
		goto fail;
	outcome = vm_run(s.vm);
	status = finish(&s, outcome);
	if (o.stats)
		say_stats(s.vm);
	vm_destroy(s.vm);
	for (unsigned i = 0; i < s.control.n_disks; i++)
		disk_close(s.control.disk[i].disk);
	restore_terminal();
	return status;
fail:
	say(e.text);
	return EXIT_FAILED;
}
