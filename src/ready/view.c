/* SPDX-License-Identifier: MIT */
#include "ready/view.h"

#include <dirent.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#define WSLINFO_TIMEOUT_MS 2000

/* ---- files ----------------------------------------------------------------------------- */

static int open_below(const struct view *v, const char *path, int flags)
{
	struct open_how how = {.flags = (unsigned)(flags | O_CLOEXEC), .resolve = RESOLVE_IN_ROOT};
	int fd = (int)syscall(SYS_openat2, v->root, path, &how, sizeof(how));

	/* Sandboxes forbid openat2(2); of our own machine's links there is nothing to fear. */
	if (fd < 0 && v->live && (errno == ENOSYS || errno == EPERM))
		fd = openat(v->root, path, flags | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

struct list view_numbers(const struct view *v, const char *path)
{
	AUTO(fd) int fd = open_below(v, path, O_RDONLY | O_DIRECTORY);
	struct list numbers = {0};

	if (fd < 0 || os_list_numbers_at(fd, ".", v->a, &numbers) < 0)
		return (struct list){0};
	return numbers;
}

int view_read(const struct view *v, const char *path, struct buf *out)
{
	AUTO(fd) int fd = open_below(v, path, O_RDONLY | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? fd : os_read_all(fd, out);
}

const char *view_line(const struct view *v, const char *path)
{
	AUTO(buf) struct buf text = {0};
	char *line;

	if (view_read(v, path, &text) < 0)
		return NULL;
	line = arena_text(v->a, buf_text(&text));
	line[strcspn(line, "\n")] = 0;
	return line;
}

const char *view_link(const struct view *v, const char *path)
{
	AUTO(fd) int fd = open_below(v, path, O_PATH | O_NOFOLLOW);
	const char *target;

	if (fd < 0 || os_readlink_at(fd, "", v->a, &target) < 0)
		return NULL;
	return target;
}

bool view_exists(const struct view *v, const char *path)
{
	AUTO(fd) int fd = open_below(v, path, O_PATH | O_NOFOLLOW);

	return fd >= 0;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct list view_glob(const struct view *v, const char *pattern)
{
	const char *star = strchr(pattern, '*'), *start, *rest;
	struct list found = {0};
	struct dirent *d;
	DIR *dir;
	int fd;

	if (!star) {
		if (view_exists(v, pattern))
			*LIST_ADD(&found, v->a, const char *) = arena_text(v->a, pattern);
		return found;
	}
	for (start = star; start > pattern && start[-1] != '/'; start--)
		;
	rest = star + strcspn(star, "/");
	fd = open_below(
		v,
		start > pattern ? arena_printf(v->a, "%.*s", (int)(start - pattern), pattern) : ".",
		O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return found;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return found;
	}
	while ((d = readdir(dir))) {
		const char *path;

		if (d->d_name[0] == '.' ||
		    fnmatch(arena_printf(v->a, "%.*s", (int)(rest - start), start), d->d_name, 0))
			continue;
		path = arena_printf(v->a, "%.*s%s%s", (int)(start - pattern), pattern, d->d_name,
		                    rest);
		if (view_exists(v, path))
			*LIST_ADD(&found, v->a, const char *) = path;
	}
	closedir(dir);
	if (found.count)
		qsort(found.items, found.count, sizeof(const char *), compare_texts);
	return found;
}

/* ---- facts of a recording -------------------------------------------------------------- */

/* The cell after a line's first @n cells if they are @key; NULL if they are not. */
static const char *fact(const struct view *v, const char *key)
{
	size_t n = strlen(key);

	LIST_EACH(&v->facts, const char *, line) {
		if (!strncmp(*line, key, n) && (*line)[n] == '\t')
			return *line + n + 1;
	}
	return NULL;
}

static int read_facts(struct view *v, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	int r = view_read(v, "facts", &text);
	char *line, *rest;

	if (r < 0)
		return err_set(e, r, "the recording has no file \"facts\"");
	for (line = arena_text(v->a, buf_text(&text)); line; line = rest) {
		rest = strchr(line, '\n');
		if (rest)
			*rest++ = 0;
		if (*line != '#' && *line)
			*LIST_ADD(&v->facts, v->a, const char *) = line;
	}
	return 0;
}

/* ---- processes ------------------------------------------------------------------------- */

static const char *join_arguments(struct view *v, pid_t pid)
{
	AUTO(buf) struct buf text = {0};
	char path[48];

	snprintf(path, sizeof(path), "proc/%d/cmdline", pid);
	if (view_read(v, path, &text) < 0)
		return "";
	while (text.len && !text.data[text.len - 1])
		text.len--;
	for (size_t i = 0; i < text.len; i++)
		text.data[i] = text.data[i] ? text.data[i] : ' ';
	return arena_text(v->a, buf_text(&text));
}

static uint64_t inode_of_link(const char *link)
{
	const char *open = strchr(link, '[');
	char *end;
	uint64_t inode;

	if (!open || (!text_starts(link, "pipe:[") && !text_starts(link, "socket:[")))
		return 0;
	inode = strtoull(open + 1, &end, 10);
	return !strcmp(end, "]") ? inode : 0;
}

static void read_descriptors(struct view *v, pid_t pid)
{
	struct list numbers;
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/fd", pid);
	/* Of a process of another user this may not be read; its tree is told so later. */
	numbers = view_numbers(v, path);
	LIST_EACH(&numbers, uint64_t, n) {
		const char *link;
		struct view_fd *fd;

		snprintf(path, sizeof(path), "proc/%d/fd/%u", pid, (unsigned)*n);
		link = view_link(v, path);
		if (!link)
			continue;
		fd = LIST_ADD(&v->fds, v->a, struct view_fd);
		*fd = (struct view_fd){pid, (uint32_t)*n, link, inode_of_link(link)};
	}
}

static int read_processes(struct view *v, struct err *e)
{
	struct list pids = view_numbers(v, "proc");

	LIST_EACH(&pids, uint64_t, pid) {
		AUTO(buf) struct buf text = {0};
		struct view_proc p = {0}, *kept;
		char path[48];
		int r;

		/* A process may end while we look: then it was not there. */
		snprintf(path, sizeof(path), "proc/%u/stat", (unsigned)*pid);
		if (view_read(v, path, &text) < 0)
			continue;
		r = proc_parse_stat(buf_span(&text), &p.stat, e);
		if (r < 0)
			return err_wrap(e, r, "%s", path);
		/* Processes are found by a search that relies on the order of their pids. */
		if (p.stat.pid < 0 || (uint64_t)p.stat.pid != *pid)
			return err_say(e, -EINVAL, "%s is of process %d", path, p.stat.pid);
		text.len = 0;
		snprintf(path, sizeof(path), "proc/%u/status", (unsigned)*pid);
		if (view_read(v, path, &text) == 0) {
			r = proc_parse_status(buf_span(&text), v->a, &p.status, e);
			if (r < 0)
				return err_wrap(e, r, "%s", path);
			p.has_status = true;
		}
		p.command = join_arguments(v, p.stat.pid);
		kept = LIST_ADD(&v->procs, v->a, struct view_proc);
		*kept = p;
		read_descriptors(v, p.stat.pid);
	}
	if (!v->procs.count)
		return err_say(e, -EINVAL, "no process can be seen under proc");
	return 0;
}

static int compare_pid(const void *pid, const void *proc)
{
	int32_t a = *(const pid_t *)pid, b = ((const struct view_proc *)proc)->stat.pid;

	return a < b ? -1 : a > b;
}

const struct view_proc *view_find(const struct view *v, pid_t pid)
{
	if (!v->procs.count)
		return NULL;
	return bsearch(&pid, v->procs.items, v->procs.count, sizeof(struct view_proc), compare_pid);
}

size_t view_tree(struct view *v, pid_t pid)
{
	size_t count = 0, before;

	LIST_EACH(&v->procs, struct view_proc, p) {
		p->in_tree = p->stat.pid == pid;
		count += p->in_tree;
	}
	/* A child may have a smaller pid than its parent: go round until nothing is added. */
	do {
		before = count;
		LIST_EACH(&v->procs, struct view_proc, p) {
			const struct view_proc *parent =
				p->in_tree ? NULL : view_find(v, p->stat.ppid);

			if (parent && parent->in_tree) {
				p->in_tree = true;
				count++;
			}
		}
	} while (count > before);
	return count;
}

/* ---- mounts and sockets ---------------------------------------------------------------- */

static void read_tables(struct view *v)
{
	AUTO(buf) struct buf text = {0};

	/* Without its mounts or sockets a machine can still be told about: both may be hidden. */
	if (view_read(v, "proc/self/mountinfo", &text) < 0 ||
	    proc_parse_mountinfo(buf_span(&text), v->a, &v->mounts, NULL))
		v->mounts = (struct list){0};
	text.len = 0;
	if (view_read(v, "proc/net/unix", &text) < 0 ||
	    proc_parse_net_unix(buf_span(&text), v->a, &v->socks, NULL))
		v->socks = (struct list){0};
}

static bool cells_u64(const char **at, uint64_t max, uint64_t *out)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	*out = strtoull(*at, &end, 10);
	*at = *end == '\t' ? end + 1 : end;
	return *out <= max && (*end == '\t' || !*end);
}

static void read_peers(struct view *v)
{
	if (v->live) {
		v->has_peers = !os_unix_peers(v->a, &v->peers, NULL);
		return;
	}
	LIST_EACH(&v->facts, const char *, line) {
		struct os_unix_peer p;
		const char *at = *line + strlen("unix-peer\t");

		if (!text_starts(*line, "unix-peer\t") || !cells_u64(&at, UINT64_MAX, &p.inode) ||
		    !cells_u64(&at, UINT64_MAX, &p.peer))
			continue;
		*LIST_ADD(&v->peers, v->a, struct os_unix_peer) = p;
		v->has_peers = true;
	}
}

uint64_t view_unix_peer(const struct view *v, uint64_t inode)
{
	LIST_EACH(&v->peers, struct os_unix_peer, p) {
		if (p->inode == inode)
			return p->peer;
	}
	return v->has_peers ? 0 : UINT64_MAX;
}

const struct proc_unix *view_unix(const struct view *v, uint64_t inode)
{
	LIST_EACH(&v->socks, struct proc_unix, u) {
		if (u->inode == inode)
			return u;
	}
	return NULL;
}

const char *view_socket_name(const struct view *v, pid_t pid, uint32_t fd)
{
	char key[64], name[64];
	ssize_t n;

	if (!v->live) {
		snprintf(key, sizeof(key), "socket\t%d\t%u", pid, fd);
		return fact(v, key);
	}
	snprintf(key, sizeof(key), "/proc/%d/fd/%u", pid, fd);
	n = getxattr(key, "system.sockprotoname", name, sizeof(name) - 1);
	if (n <= 0)
		return NULL;
	name[n] = 0;
	return arena_text(v->a, name);
}

bool view_vsock_peer(const struct view *v, pid_t pid, uint32_t fd, uint32_t *cid, uint32_t *port)
{
	AUTO(fd) int pidfd = -1, copy = -1;
	struct sockaddr_vm peer = {0};
	socklen_t len = sizeof(peer);
	uint64_t cell[2];
	const char *cells;
	char key[64];

	if (!v->live) {
		snprintf(key, sizeof(key), "vsock\t%d\t%u", pid, fd);
		cells = fact(v, key);
		if (!cells || !cells_u64(&cells, UINT32_MAX, &cell[0]) ||
		    !cells_u64(&cells, UINT32_MAX, &cell[1]))
			return false;
		*cid = (uint32_t)cell[0];
		*port = (uint32_t)cell[1];
		return true;
	}
	pidfd = os_pidfd_open(pid, 0);
	copy = pidfd < 0 ? pidfd : os_pidfd_getfd(pidfd, (int)fd);
	if (copy < 0 || getpeername(copy, (struct sockaddr *)&peer, &len) ||
	    peer.svm_family != AF_VSOCK)
		return false;
	*cid = peer.svm_cid;
	*port = peer.svm_port;
	return true;
}

/* ---- wslinfo --------------------------------------------------------------------------- */

/* The first line that `wslinfo --networking-mode` prints, or NULL. */
static const char *ask_wslinfo(const struct view *v)
{
	AUTO(fd) int in = -1;
	struct pollfd pfd;
	char text[32];
	int ends[2];
	ssize_t n;
	pid_t pid;

	if (access("/usr/bin/wslinfo", X_OK) || pipe2(ends, O_CLOEXEC))
		return NULL;
	in = ends[0];
	pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		if (dup2(ends[1], STDOUT_FILENO) >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
		    dup2(null, STDERR_FILENO) >= 0)
			execl("/usr/bin/wslinfo", "wslinfo", "--networking-mode", (char *)NULL);
		_exit(127);
	}
	close(ends[1]);
	if (pid < 0)
		return NULL;
	/* It asks the service through init, which may be the very thing that is broken. */
	pfd = (struct pollfd){.fd = in, .events = POLLIN};
	n = poll(&pfd, 1, WSLINFO_TIMEOUT_MS) > 0 ? read(in, text, sizeof(text) - 1) : 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (n <= 0)
		return NULL;
	text[n] = 0;
	text[strcspn(text, "\r\n")] = 0;
	return arena_text(v->a, text);
}

const char *view_networking_mode(const struct view *v)
{
	return v->live ? ask_wslinfo(v) : fact(v, "networking-mode");
}

/* ---- life ------------------------------------------------------------------------------ */

int view_open(struct view *v, const char *root, struct arena *a, struct err *e)
{
	int r = 0;

	*v = (struct view){.root = -1, .live = !root, .a = a};
	v->root = open(root ? root : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (v->root < 0)
		return err_set(e, -errno, "%s", root ? root : "/");
	if (root)
		r = read_facts(v, e);
	if (!r)
		r = read_processes(v, e);
	if (r < 0) {
		view_close(v);
		return root ? err_wrap(e, r, "%s is not a recording", root) : r;
	}
	read_tables(v);
	read_peers(v);
	return 0;
}

void view_close(struct view *v)
{
	if (v->a)
		os_close(&v->root);
	*v = (struct view){0};
}
