/* SPDX-License-Identifier: MIT */
#include "guest.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/random.h>
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

static void random_hex(char *out, size_t digits)
{
	uint8_t bytes[32];

	if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
		complain("read", "random numbers");
	for (size_t i = 0; i < digits; i++)
		out[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
	out[digits] = '\0';
}

/* Only where the image has one: one that is made at first use is new by itself. */
static void fresh_machine_id(void)
{
	static const char *const places[] = {"/etc/machine-id", "/var/lib/dbus/machine-id"};
	char id[33];

	random_hex(id, 32);
	id[12] = '4'; /* as a random UUID (machine-id(5)) */
	id[16] = "89ab"[id[16] & 3];
	id[32] = '\n';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct stat st;

		/* A link leads to the other one. */
		if (!lstat(places[i], &st) && S_ISREG(st.st_mode))
			write_whole(places[i], id, sizeof(id), 0444);
	}
}

/* The kernel's own stays for the life of a boot; a file before it is what programs read. */
static void fresh_boot_id(void)
{
	static bool is_shown;
	char hex[33], id[40];

	random_hex(hex, 32);
	snprintf(id, sizeof(id), "%.8s-%.4s-4%.3s-%c%.3s-%.12s\n", hex, hex + 8, hex + 13,
	         "89ab"[hex[16] & 3], hex + 17, hex + 20);
	if (!write_whole("/run/wslx/boot_id", id, strlen(id), 0444) || is_shown)
		return;
	is_shown = true;
	if (mount("/run/wslx/boot_id", BOOT_ID, NULL, MS_BIND, NULL))
		complain("mount", BOOT_ID);
}

static void fresh_seed_file(void)
{
	char seed[SEED_FILE_BYTES];

	if (!access(SEED_FILE, F_OK) && getrandom(seed, sizeof(seed), 0) == sizeof(seed))
		write_whole(SEED_FILE, seed, sizeof(seed), 0600);
}

/* Keys that every holder of the image knows are none. New ones are made beside, as that takes. */
void fresh_ssh_keys(void)
{
	struct dirent *entry;
	DIR *d = opendir("/etc/ssh");
	bool any = false;

	while (d && (entry = readdir(d)))
		if (!strncmp(entry->d_name, "ssh_host_", 9) && strstr(entry->d_name, "_key"))
			any |= !unlinkat(dirfd(d), entry->d_name, 0);
	if (d)
		closedir(d);
	if (any && !access("/usr/bin/ssh-keygen", X_OK) && !fork()) {
		int null = open("/dev/null", O_RDWR);

		for (int fd = 0; null >= 0 && fd < 3; fd++)
			dup2(null, fd);
		execl("/usr/bin/ssh-keygen", "ssh-keygen", "-A", (char *)NULL);
		_exit(127);
	}
}

void fresh_identity(const char *hostname)
{
	mkdir("/run/wslx", 0755);
	if (hostname && *hostname) {
		if (sethostname(hostname, strlen(hostname)))
			complain("set", "hostname");
		if (!access("/etc/hostname", F_OK)) {
			char line[256];
			int n = snprintf(line, sizeof(line), "%s\n", hostname);

			if (n > 0 && n < (int)sizeof(line))
				write_whole("/etc/hostname", line, (size_t)n, 0644);
		}
	}
	fresh_machine_id();
	fresh_boot_id();
	fresh_seed_file();
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
