/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SEED_MAX 64
#define SEED_FILE "/var/lib/systemd/random-seed"
#define SEED_FILE_BYTES 512
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Up to the first character that is none. Return: bytes. */
static size_t unhex(uint8_t *out, size_t max, const char *hex)
{
	size_t n = 0;

	for (; n < max; n++, hex += 2) {
		int high = hex_digit(hex[0]), low = high < 0 ? -1 : hex_digit(hex[1]);

		if (low < 0)
			break;
		out[n] = (uint8_t)(high << 4 | low);
	}
	return n;
}

bool fresh_entropy(int random, const char *hex)
{
	struct {
		int entropy_count, buf_size;
		uint8_t seed[SEED_MAX];
	} pool = {0};
	size_t n = unhex(pool.seed, SEED_MAX, hex);
	bool ok;

	pool.entropy_count = (int)(8 * n);
	pool.buf_size = (int)n;
	errno = EBADMSG;
	ok = n >= 32 && !ioctl(random, RNDADDENTROPY, &pool) && !ioctl(random, RNDRESEEDCRNG);
	explicit_bzero(&pool, sizeof(pool));
	return ok;
}

bool fresh_clock(long long ns)
{
	struct timespec t = {.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = ns % 1000000000};

	return ns > 0 && !clock_settime(CLOCK_REALTIME, &t);
}

/* ---- identity ----------------------------------------------------------------------------- */

/*
 * After a restore every lookup of a name and every page that is touched for the first time counts.
 * So the files are opened before the barrier, and what is in them has the same length as before.
 */
static struct {
	bool is_kept; /* the others are opened each time */
	int machine_id[2], boot_id, seed, hostname;
} files;

static void close_file(int *fd)
{
	if (files.is_kept && *fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Only where the image has one: one that is made at first use is new by itself. */
static void open_machine_ids(void)
{
	static const char *const places[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct stat st;

		close_file(&files.machine_id[i]);
		/* A link leads to the other one. */
		if (!lstat(places[i], &st) && S_ISREG(st.st_mode))
			files.machine_id[i] = open(places[i], O_WRONLY | O_TRUNC | O_CLOEXEC);
		if (files.machine_id[i] >= 0)
			fchmod(files.machine_id[i], 0444);
	}
}

/* The kernel's own stays for the life of a boot; a file before it is what programs read. */
static void open_boot_id(void)
{
	bool is_shown = files.is_kept;

	mkdir("/run/wslx", 0755);
	close_file(&files.boot_id);
	files.boot_id = open("/run/wslx/boot_id", O_WRONLY | O_CREAT | O_CLOEXEC, 0444);
	if (!is_shown && files.boot_id >= 0 &&
	    mount("/run/wslx/boot_id", BOOT_ID, NULL, MS_BIND, NULL))
		complain("mount", BOOT_ID);
}

void fresh_open(void)
{
	open_machine_ids();
	open_boot_id();
	close_file(&files.seed);
	files.seed = open(SEED_FILE, O_WRONLY | O_CLOEXEC);
	close_file(&files.hostname);
	files.hostname = open("/etc/hostname", O_WRONLY | O_CLOEXEC);
	files.is_kept = true;
}

static void rewrite(int fd, const char *data, size_t len, const char *what)
{
	if (fd >= 0 && pwrite(fd, data, len, 0) != (ssize_t)len)
		complain("write", what);
}

static void put_hex(char *out, const uint8_t *bytes, size_t digits)
{
	for (size_t i = 0; i < digits; i++)
		out[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
}

/* As a random UUID (machine-id(5)). */
static void fresh_machine_id(const uint8_t bytes[16])
{
	char id[33];

	put_hex(id, bytes, 32);
	id[12] = '4';
	id[16] = "89ab"[id[16] & 3];
	id[32] = '\n';
	for (size_t i = 0; i < sizeof(files.machine_id) / sizeof(files.machine_id[0]); i++)
		rewrite(files.machine_id[i], id, sizeof(id), "machine-id");
}

static void fresh_boot_id(const uint8_t bytes[16])
{
	char id[37] = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx\n", hex[32];
	const char *from = hex;

	put_hex(hex, bytes, 32);
	for (size_t i = 0; i < sizeof(id); i++) {
		if (id[i] == 'x')
			id[i] = *from++;
		else if (id[i] == 'y')
			id[i] = "89ab"[*from++ & 3];
	}
	rewrite(files.boot_id, id, sizeof(id), BOOT_ID);
}

static void fresh_hostname(const char *name)
{
	char line[256];
	size_t len = strlen(name);

	if (sethostname(name, len))
		complain("set", "hostname");
	if (files.hostname < 0 || len >= sizeof(line))
		return;
	memcpy(line, name, len);
	line[len++] = '\n';
	rewrite(files.hostname, line, len, "/etc/hostname");
	if (ftruncate(files.hostname, (off_t)len))
		complain("write", "/etc/hostname");
}

void fresh_identity(const char *hostname)
{
	struct {
		uint8_t machine_id[16], boot_id[16];
		char seed[SEED_FILE_BYTES];
	} random;
	size_t needed = files.seed < 0 ? offsetof(typeof(random), seed) : sizeof(random);

	if (hostname && *hostname)
		fresh_hostname(hostname);
	/* Up to 256 bytes never come in pieces; of more the rest may be missing after a signal. */
	for (size_t done = 0; done < needed;) {
		ssize_t n = getrandom((char *)&random + done, needed - done, 0);

		if (n < 0 && errno != EINTR) {
			complain("read", "random numbers");
			return;
		}
		done += n > 0 ? (size_t)n : 0;
	}
	fresh_machine_id(random.machine_id);
	fresh_boot_id(random.boot_id);
	if (files.seed >= 0)
		rewrite(files.seed, random.seed, sizeof(random.seed), SEED_FILE);
	explicit_bzero(&random, sizeof(random));
}

/* ---- keys --------------------------------------------------------------------------------- */

bool fresh_drop_ssh_keys(void)
{
	struct dirent *entry;
	DIR *d = opendir("/etc/ssh");
	bool any = false;

	while (d && (entry = readdir(d)))
		if (!strncmp(entry->d_name, "ssh_host_", 9) && strstr(entry->d_name, "_key"))
			any |= !unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		closedir(d);
	return any && !access("/usr/bin/ssh-keygen", X_OK);
}

/* Beside what runs, as that takes. */
void fresh_ssh_keys(void)
{
	if (!fork()) {
		int null = open("/dev/null", O_RDWR);

		for (int fd = 0; null >= 0 && fd < 3; fd++)
			dup2(null, fd);
		execl("/usr/bin/ssh-keygen", "ssh-keygen", "-A", (char *)NULL);
		_exit(127);
	}
}

/* ---- hooks -------------------------------------------------------------------------------- */

static int runnable(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

void fresh_hooks(void)
{
	static char *const environment[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	struct dirent **entries;
	int n = scandir(HOOKS_DIR, &entries, runnable, alphasort);

	for (int i = 0; i < n; i++) {
		char path[512];
		pid_t child;

		snprintf(path, sizeof(path), HOOKS_DIR "/%s", entries[i]->d_name);
		free(entries[i]);
		child = access(path, X_OK) ? -1 : fork();
		if (!child) {
			execle(path, path, (char *)NULL, environment);
			_exit(127);
		}
		if (child > 0) {
			int status = 0;

			while (waitpid(child, &status, 0) < 0)
				;
			if (status)
				complain("hook failed", path);
		}
	}
	if (n >= 0)
		free(entries);
}
