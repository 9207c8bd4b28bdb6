/* SPDX-License-Identifier: MIT */
#include "cmd/kernel.h"

#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

int cmd_map_file(const char *path, struct span *out, struct err *e)
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

/* lib/modules/VERSION of the package that a kernel at ROOT/boot/vmlinuz-VERSION came from. */
char *cmd_modules_beside(const char *kernel)
{
	const char *name = strrchr(kernel, '/'), *version;

	name = name ? name + 1 : kernel;
	version = strchr(name, '-');
	if (!version)
		return NULL;
	return xprintf("%.*s../lib/modules/%s", (int)(name - kernel), kernel, version + 1);
}

/* Beside this program, where it is installed, or in the build directory. */
char *cmd_guest_beside(void)
{
	static const char *const places[] = {"wslx-guest", "../libexec/wslx-guest",
	                                     "src/guest/wslx-guest"};
	char self[512], *slash, *path;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[MAX(n, 0)] = '\0';
	slash = strrchr(self, '/');
	for (size_t i = 0; slash && i < ARRAY_LEN(places); i++) {
		path = xprintf("%.*s/%s", (int)(slash - self), self, places[i]);
		if (!access(path, R_OK))
			return path;
		free(path);
	}
	return xstrdup(places[0]);
}

int cmd_begin_initramfs(struct initramfs *i, const char *guest, struct err *e)
{
	static const char *const dirs[] = {"bin", "dev",  "etc",  "lib",    "lib/wslx",
	                                   "mnt", "proc", "root", "run",    "sbin",
	                                   "sys", "tmp",  "usr",  "usr/bin"};
	AUTO(text) char *path = guest ? xstrdup(guest) : cmd_guest_beside();
	struct span data = {0};
	int r = cmd_map_file(path, &data, e);

	if (r)
		return err_wrap(e, r, "guest program");
	for (size_t n = 0; n < ARRAY_LEN(dirs); n++)
		initramfs_add_dir(i, dirs[n]);
	/* The kernel opens it for PID 1 before anything is mounted. */
	initramfs_add_device(i, "dev/console", 5, 1);
	initramfs_add_file(i, "init", 0755, data);
	return 0;
}

/* ---- finding one -------------------------------------------------------------------------- */

static bool has_9p(const char *kernel)
{
	AUTO(text) char *modules = cmd_modules_beside(kernel);
	AUTO(text) char *dir = modules ? xprintf("%s/kernel/net/9p", modules) : NULL;

	return dir && !access(dir, F_OK);
}

static char *newest_of(const char *pattern)
{
	glob_t found = {0};
	char *out = NULL;

	if (!glob(pattern, 0, NULL, &found))
		for (size_t i = 0; i < found.gl_pathc; i++) {
			const char *path = found.gl_pathv[i];

			if (!has_9p(path) || (out && strverscmp(path, out) < 0))
				continue;
			free(out);
			out = xstrdup(path);
		}
	globfree(&found);
	return out;
}

char *cmd_find_kernel(const char *store_root, struct err *e)
{
	const char *given = getenv("WSLX_KERNELS");
	AUTO(text) char *ours = xprintf("%s/kernels", store_root);
	const char *const places[] = {given, ours, ""};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		for (size_t k = 0; places[i] && k < 2; k++) {
			AUTO(text)
			char *pattern = k ? xprintf("%s/*/boot/vmlinuz-*", places[i])
			                  : xprintf("%s/boot/vmlinuz-*", places[i]);
			char *found = *places[i] || !k ? newest_of(pattern) : NULL;

			if (found)
				return found;
		}
	}
	err_say(e, -ENOENT,
	        "no kernel with its modules was found; give one with --kernel, or: cd %s && "
	        "apt-get "
	        "download linux-image-$(apt-cache depends linux-image-amd64 | sed -n "
	        "'s/.*Depends: linux-image-//p') && dpkg-deb -x linux-image-*.deb .",
	        ours);
	return NULL;
}
