/* SPDX-License-Identifier: MIT */
/*
 * PID 1 of the initramfs: mounts, modules, agent; then either a disk's own init or one command
 * on the console, after which the machine is switched off.
 *
 * What to do stands on the kernel's command line:
 *
 *	wslx.image=/dev/vda                   a container image's disk: bake.c
 *	wslx.root=/dev/vda[,TYPE[,OPTIONS]]   mount that and run its init (default: stay here)
 *	wslx.init=PATH                        instead of /sbin/init
 *	-- COMMAND ARGUMENTS                  instead of a shell; the kernel hands them to us
 *
 * /lib/wslx/modules lists the modules to load, a path a line, in an order that satisfies their
 * dependencies.
 */
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define ROOT "/newroot"

static int log_fd = -1;

void complain(const char *what, const char *about)
{
	int error = errno;

	if (log_fd < 0)
		log_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (log_fd >= 0)
		dprintf(log_fd, "<3>wslx-guest: %s %s: %s\n", what, about, strerror(error));
}

static void mount_one(const char *what, const char *where, const char *type, unsigned long flags,
                      const char *options)
{
	mkdir(where, 0755);
	if (mount(what, where, type, flags, options) && errno != EBUSY)
		complain("mount", where);
}

static void mount_all(void)
{
	mount_one("devtmpfs", "/dev", "devtmpfs", MS_NOSUID, "mode=0755");
	mount_one("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_one("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_one("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
	          "mode=0620,gid=5,ptmxmode=0666");
	mount_one("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_one("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
	mount_one("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
}

static void load_modules(void)
{
	FILE *list = fopen("/lib/wslx/modules", "re");
	char path[512];

	if (!list)
		return;
	while (fgets(path, sizeof(path), list)) {
		int fd;

		path[strcspn(path, "\n")] = '\0';
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			complain("load", path);
		if (fd >= 0)
			close(fd);
		/* What is in the initramfs is in memory, and so in every snapshot. */
		unlink(path);
	}
	fclose(list);
}

/* The value of KEY= on the kernel's command line; NULL if it is not there. */
static char *option(char *command_line, const char *key)
{
	size_t len = strlen(key);
	char *word, *save = NULL;

	for (word = strtok_r(command_line, " \n", &save); word && strcmp(word, "--");
	     word = strtok_r(NULL, " \n", &save))
		if (!strncmp(word, key, len) && word[len] == '=')
			return word + len + 1;
	return NULL;
}

static bool read_option(const char *key, char *out, size_t size)
{
	char line[4096];
	ssize_t n = -1;
	char *value;
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		n = read(fd, line, sizeof(line) - 1);
		close(fd);
	}
	if (n < 0)
		return false;
	line[n] = '\0';
	value = option(line, key);
	if (!value || strlen(value) >= size)
		return false;
	memcpy(out, value, strlen(value) + 1);
	return true;
}

/* The machine's console: the virtio one when its driver is there, the kernel's own if not. */
void open_console(void)
{
	int fd = open("/dev/hvc0", O_RDWR | O_NOCTTY);

	if (fd < 0)
		fd = open("/dev/console", O_RDWR | O_NOCTTY);
	if (fd < 0) {
		complain("open", "console");
		return;
	}
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/* ---- a disk's own init ------------------------------------------------------------------ */

bool enter_root(const char *dir)
{
	static const char *const moved[] = {"/dev", "/proc", "/sys", "/run"};

	for (size_t i = 0; i < sizeof(moved) / sizeof(moved[0]); i++) {
		char to[64];

		snprintf(to, sizeof(to), "%s%s", dir, moved[i]);
		mkdir(to, 0755);
		if (mount(moved[i], to, NULL, MS_MOVE, NULL))
			complain("move", moved[i]);
	}
	umount2("/tmp", MNT_DETACH);
	/* What stays below is a few hundred kilobytes; removing it would cost more to do right. */
	if (chdir(dir) || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/")) {
		complain("enter", dir);
		return false;
	}
	return true;
}

static void bind_shares(const char *root)
{
	char *info;

	shares_mount();
	info = read_whole(TOLD_DIR "/info", NULL);
	if (info)
		shares_bind(info, root);
	free(info);
}

static void switch_root(char *root, const char *init)
{
	char *type = strchr(root, ','), *options = NULL;

	if (type)
		*type++ = '\0';
	if (type && (options = strchr(type, ',')))
		*options++ = '\0';
	mkdir(ROOT, 0755);
	if (mount(root, ROOT, type ? type : "ext4", 0, options)) {
		complain("mount", root);
		return;
	}
	bind_shares(ROOT);
	if (!enter_root(ROOT))
		return;
	if (net_configure())
		net_name_servers(false);
	execl(init, init, (char *)NULL);
	complain("run", init);
}

/* ---- one command ------------------------------------------------------------------------ */

static void run_command(char **command)
{
	static char *const shell[] = {"/bin/sh", NULL};
	static char *const environment[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:"
		"/sbin:/bin",
		"HOME=/root", "TERM=linux", NULL};
	char *const *argv = command[0] ? command : shell;

	setsid();
	ioctl(0, TIOCSCTTY, 1);
	execve(argv[0], argv, environment);
	complain("run", argv[0]);
	_exit(127);
}

int wait_for(pid_t child)
{
	int status;

	for (;;) {
		pid_t pid = waitpid(-1, &status, 0);

		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			return 127;
		if (pid == child)
			return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
}

int main(int argc, char **argv)
{
	char root[256], init[256] = "/sbin/init", line[32], *image = NULL;
	int status = 127, agent;
	pid_t child;

	mount_all();
	load_modules();
	agent = agent_start();
	open_console();
	if (read_option("wslx.image", root, sizeof(root))) {
		if (bake_enter(root, &image))
			status = bake_run(image, agent);
	} else if (read_option("wslx.root", root, sizeof(root))) {
		read_option("wslx.init", init, sizeof(init));
		switch_root(root, init);
	} else {
		bind_shares("");
		if (net_configure())
			net_name_servers(true);
		child = fork();
		if (!child)
			run_command(argv + 1);
		status = child < 0 ? 127 : wait_for(child);
	}
	/* The host need not wait for more than this line. */
	tcdrain(1);
	snprintf(line, sizeof(line), "exit %d", status);
	agent_say(agent, line);
	/* The kernel's farewell would stand on the user's terminal. */
	if (image)
		write_whole("/proc/sys/kernel/printk", "0\n", 2, 0644);
	sync();
	reboot(RB_POWER_OFF);
	complain("switch off", "machine");
	for (;;)
		pause();
}
