/* SPDX-License-Identifier: MIT */
/*
 * Where names and passwords are kept: in the files of docker and podman, or with the helper that
 * such a file names.
 *
 *	$DOCKER_CONFIG/config.json, else ~/.docker/config.json
 *		credHelpers[host], else credsStore: docker-credential-NAME get|store|erase
 *		auths[host]: base64 of name and password
 *	$REGISTRY_AUTH_FILE, else $XDG_RUNTIME_DIR/containers/auth.json: read, in the same form
 *
 * Docker Hub is known there as https://index.docker.io/v1/.
 */
#include "oci/oci-int.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define ANSWER_MAX_BYTES (1u << 20)

static char *docker_path(void)
{
	const char *dir = getenv("DOCKER_CONFIG");

	if (dir && *dir)
		return xprintf("%s/config.json", dir);
	dir = getenv("HOME");
	return dir && *dir ? xprintf("%s/.docker/config.json", dir) : NULL;
}

static char *podman_path(void)
{
	const char *path = getenv("REGISTRY_AUTH_FILE");

	if (path && *path)
		return xstrdup(path);
	path = getenv("XDG_RUNTIME_DIR");
	return path && *path ? xprintf("%s/containers/auth.json", path) : NULL;
}

static const char *key_of(const char *host)
{
	return !strcmp(host, "docker.io") ? "https://index.docker.io/v1/" : host;
}

/* ---- helpers --------------------------------------------------------------------------- */

/* Gives a child its input and takes its output, as both become possible. Closes both. */
static int talk(int to, int from, struct span in, struct buf *out)
{
	size_t sent = 0;
	int r = 0;

	fcntl(to, F_SETFL, O_NONBLOCK);
	while (from >= 0 && !r) {
		struct pollfd fds[] = {{.fd = from, .events = POLLIN},
		                       {.fd = to, .events = POLLOUT}};
		uint8_t data[4096];
		ssize_t n;

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			r = -errno;
		if (to >= 0 && fds[1].revents) {
			n = write(to, in.data + sent, in.len - sent);
			sent += n > 0 ? (size_t)n : 0;
			/* A helper that does not read its input has its reasons. */
			if (sent == in.len || (n < 0 && errno != EAGAIN))
				os_close(&to);
		}
		if (!fds[0].revents)
			continue;
		n = read(from, data, sizeof(data));
		if (n > 0)
			buf_add(out, data, (size_t)n);
		if (n == 0 || (n < 0 && errno != EINTR))
			os_close(&from);
		if (out->len > ANSWER_MAX_BYTES)
			r = -EFBIG;
	}
	os_close(&to);
	os_close(&from);
	return r;
}

/* @status: of its exit; 127 if it could not be started */
static int run_helper(const char *name, const char *verb, struct span in, struct buf *out,
                      int *status, struct err *e)
{
	AUTO(text) char *program = xprintf("docker-credential-%s", name);
	char *argv[] = {program, (char *)(uintptr_t)verb, NULL};
	posix_spawn_file_actions_t actions;
	int in_pipe[2], out_pipe[2], r;
	pid_t pid;

	/* The name is from a file that others may have written: it is no path. */
	if (strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
	    strlen(name))
		return err_say(e, -EBADMSG, "\"%.40s\" is no credential helper", name);
	if (pipe2(in_pipe, O_CLOEXEC))
		return err_set(e, -errno, "pipe");
	if (pipe2(out_pipe, O_CLOEXEC)) {
		close(in_pipe[0]);
		close(in_pipe[1]);
		return err_set(e, -errno, "pipe");
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in_pipe[0], 0);
	posix_spawn_file_actions_adddup2(&actions, out_pipe[1], 1);
	r = -posix_spawnp(&pid, program, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(in_pipe[0]);
	close(out_pipe[1]);
	if (r < 0) {
		close(in_pipe[1]);
		close(out_pipe[0]);
		return err_set(e, r, "credential helper %s", program);
	}
	r = talk(in_pipe[1], out_pipe[0], in, out);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return r < 0 ? err_set(e, r, "credential helper %s", program) : 0;
}

static int helper_get(const char *helper, const char *key, struct arena *a, struct credentials *out,
                      struct err *e)
{
	AUTO(buf) struct buf answer = {0};
	int status = 0;
	int r = run_helper(helper, "get", span_of_text(key), &answer, &status, e);

	if (r < 0)
		return r;
	/* It says no more than that it has nothing. */
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return strstr(buf_text(&answer), "credentials not found")
		               ? 0
		               : err_say(e, -EIO, "docker-credential-%s: %.120s", helper,
		                         answer.len ? buf_text(&answer) : "it failed");
	r = json_helper_answer(buf_span(&answer), a, out, e);
	forget(answer.data, answer.len);
	return r;
}

static int helper_do(const char *helper, const char *verb, struct span in, struct err *e)
{
	AUTO(buf) struct buf answer = {0};
	int status = 0;
	int r = run_helper(helper, verb, in, &answer, &status, e);

	if (!r && (!WIFEXITED(status) || WEXITSTATUS(status)))
		r = err_say(e, -EIO, "docker-credential-%s %s: %.120s", helper, verb,
		            answer.len ? buf_text(&answer) : "it failed");
	return r;
}

/* ---- finding --------------------------------------------------------------------------- */

static int find_in(const char *path, const char *host, struct arena *a, struct credentials *out,
                   const char **helper, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	int r = path ? os_read_file_at(AT_FDCWD, path, &text) : -ENOENT;

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return err_set(e, r, "%s", path);
	r = json_auths_find(buf_span(&text), key_of(host), a, out, helper, e);
	if (text.len)
		forget(text.data, text.len);
	return r < 0 ? err_wrap(e, r, "%s", path) : 0;
}

int credentials_find(const char *host, struct arena *a, struct credentials *out, struct err *e)
{
	AUTO(text) char *docker = docker_path();
	AUTO(text) char *podman = podman_path();
	struct credentials kept = {0};
	const char *helper = NULL, *none = NULL;
	int r = find_in(docker, host, a, &kept, &helper, e);

	if (!r && helper) {
		struct credentials helped = {0};

		r = helper_get(helper, key_of(host), a, &helped, e);
		if (!r && (helped.user || helped.identity))
			kept = helped;
	}
	if (!r && !kept.user && !kept.identity)
		r = find_in(podman, host, a, &kept, &none, e);
	if (!r)
		*out = kept;
	return r;
}

/* ---- keeping --------------------------------------------------------------------------- */

/* Replaces the file; others that write it do the same. */
static int replace(const char *path, struct span text, struct err *e)
{
	AUTO(text) char *next = xprintf("%s.%d", path, (int)getpid());
	AUTO(text) char *dir = xstrdup(path);
	AUTO(fd) int fd = -1;
	int r;

	*strrchr(dir, '/') = 0;
	r = os_make_dirs(dir, 0700);
	if (r < 0)
		return err_set(e, r, "%s", dir);
	fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, -errno, "%s", next);
	r = os_write_all(fd, text.data, text.len);
	if (!r && fsync(fd) < 0)
		r = -errno;
	if (!r && rename(next, path) < 0)
		r = -errno;
	if (r < 0)
		unlink(next);
	return r < 0 ? err_set(e, r, "%s", path) : 0;
}

static int change(const char *host, const char *auth, bool *found, struct err *e)
{
	AUTO(text) char *path = docker_path();
	AUTO(buf) struct buf before = {0};
	AUTO(buf) struct buf after = {0};
	int r = path ? os_read_file_at(AT_FDCWD, path, &before)
	             : err_say(e, -ENOENT,
	                       "neither DOCKER_CONFIG nor HOME says where "
	                       "credentials are kept");

	if (!path)
		return r;
	if (r < 0 && r != -ENOENT)
		return err_set(e, r, "%s", path);
	r = json_auths_set(buf_span(&before), key_of(host), auth, &after, found, e);
	if (r < 0)
		return err_wrap(e, r, "%s", path);
	return auth || *found ? replace(path, buf_span(&after), e) : 0;
}

static int find_helper(const char *host, const char **helper, struct arena *a, struct err *e)
{
	AUTO(text) char *docker = docker_path();
	struct credentials kept = {0};

	return find_in(docker, host, a, &kept, helper, e);
}

int credentials_keep(const char *host, const char *user, const char *password, char **where,
                     bool *plain, struct err *e)
{
	AUTO(buf) struct buf question = {0};
	AUTO(buf) struct buf auth = {0};
	AUTO(arena) struct arena a = {0};
	const char *helper = NULL;
	bool found;
	int r = find_helper(host, &helper, &a, e);

	if (r < 0)
		return r;
	if (helper) {
		json_helper_question(key_of(host), user, password, &question);
		r = helper_do(helper, "store", buf_span(&question), e);
		forget(question.data, question.len);
	} else {
		buf_printf(&question, "%s:%s", user, password);
		base64_encode(buf_span(&question), &auth);
		forget(question.data, question.len);
		r = change(host, buf_text(&auth), &found, e);
	}
	if (r < 0)
		return r;
	*plain = !helper;
	*where = helper ? xprintf("docker-credential-%s", helper) : docker_path();
	return 0;
}

int oci_logout(const char *text, struct err *e)
{
	AUTO(arena) struct arena a = {0};
	struct credentials kept = {0};
	const char *host, *helper = NULL;
	bool found = false;
	int r = host_parse(text, &a, &host, e);

	if (!r)
		r = find_helper(host, &helper, &a, e);
	if (!r && helper)
		r = helper_get(helper, key_of(host), &a, &kept, e);
	if (!r && kept.user)
		r = helper_do(helper, "erase", span_of_text(key_of(host)), e);
	if (!r)
		r = change(host, NULL, &found, e);
	if (!r && !found && !kept.user)
		r = err_say(e, -ENOENT, "nothing is kept for %s", host);
	return r;
}
