/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/os.h"
#include "p9/p9-int.h"

static const struct {
	uint8_t type;
	p9_handler *handle;
} messages[] = {
	{P9_VERSION, answer_version},   {P9_ATTACH, answer_attach},
	{P9_FLUSH, answer_flush},       {P9_WALK, answer_walk},
	{P9_CLUNK, answer_clunk},       {P9_LOPEN, answer_lopen},
	{P9_READ, answer_read},         {P9_WRITE, answer_write},
	{P9_FSYNC, answer_fsync},       {P9_READDIR, answer_readdir},
	{P9_GETATTR, answer_getattr},   {P9_SETATTR, answer_setattr},
	{P9_READLINK, answer_readlink}, {P9_STATFS, answer_statfs},
	{P9_LOCK, answer_lock},         {P9_GETLOCK, answer_getlock},
	{P9_LCREATE, change_create},    {P9_SYMLINK, change_symlink},
	{P9_MKNOD, change_mknod},       {P9_MKDIR, change_mkdir},
	{P9_LINK, change_link},         {P9_RENAME, change_rename},
	{P9_RENAMEAT, change_renameat}, {P9_UNLINKAT, change_unlinkat},
	{P9_REMOVE, change_remove},
};

static p9_handler *handler_of(unsigned type)
{
	for (size_t i = 0; i < ARRAY_LEN(messages); i++)
		if (messages[i].type == type)
			return messages[i].handle;
	return NULL;
}

/* The room that the guest has left for an answer is never more than what it asked for. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the answer is written through it */
static size_t answer(struct share *share, struct span request, uint8_t *reply, size_t room)
{
	struct p9_server *s = (struct p9_server *)share;
	struct p9_in in = {.in = request};
	struct p9_out out = {.data = reply, .room = room, .len = P9_HEADER_BYTES};
	uint32_t size = (uint32_t)p9_get(&in, 4);
	unsigned type = (unsigned)p9_get(&in, 1);
	unsigned tag = (unsigned)p9_get(&in, 2);
	p9_handler *handle = handler_of(type);
	int r = -EOPNOTSUPP;

	if (room < P9_HEADER_BYTES + 4)
		return 0;
	if (in.bad || size != request.len)
		r = -EPROTO;
	else if (handle)
		r = handle(s, &in, &out);
	if (!r && (in.bad || out.full))
		r = in.bad ? -EPROTO : -EMSGSIZE;
	if (r) {
		out.len = P9_HEADER_BYTES;
		p9_put(&out, (uint64_t)-r, 4);
		type = P9_RLERROR - 1;
	}
	room = out.len;
	out.len = 0;
	p9_put(&out, room, 4);
	p9_put(&out, type + 1, 1);
	p9_put(&out, tag, 2);
	return room;
}

static void reset(struct share *share)
{
	fid_remove_all((struct p9_server *)share);
}

struct p9_server *p9_create(const char *tag)
{
	struct p9_server *s = xalloc(sizeof(*s));

	s->tag = xstrdup(tag);
	s->scratch = xalloc(P9_MESSAGE_MAX);
	s->message_max = P9_MESSAGE_MAX;
	s->share = (struct share){
		.tag = s->tag, .answer = answer, .reset = reset, .save = p9_save, .load = p9_load};
	return s;
}

void p9_destroy(struct p9_server *s)
{
	if (!s)
		return;
	fid_remove_all(s);
	for (int i = 0; i < s->n_exports; i++) {
		os_close(&s->export[i].dir);
		if (s->export[i].data.len)
			explicit_bzero(s->export[i].data.data, s->export[i].data.len);
		buf_finish(&s->export[i].data);
	}
	free(s->fids);
	free(s->scratch);
	free(s->tag);
	free(s);
}

struct share *p9_share(struct p9_server *s)
{
	return &s->share;
}

/* Return: NULL with a reason in @code. */
static struct p9_export *add_export(struct p9_server *s, const char *name, int *code, struct err *e)
{
	struct p9_export *x = &s->export[s->n_exports];

	*code = 0;
	if (!name_is_valid(name))
		*code = err_say(e, -EINVAL, "\"%s\" cannot be the name of a share", name);
	else if (s->n_exports == P9_EXPORTS_MAX)
		*code = err_say(e, -ENOSPC, "a machine has at most %d shares", P9_EXPORTS_MAX);
	for (int i = 0; !*code && i < s->n_exports; i++)
		if (!strcmp(s->export[i].name, name))
			*code = err_say(e, -EINVAL, "there are two shares named %s", name);
	if (*code)
		return NULL;
	*x = (struct p9_export){.dir = -1, .read_only = true};
	snprintf(x->name, sizeof(x->name), "%s", name);
	s->n_exports++;
	return x;
}

int p9_add_dir(struct p9_server *s, const char *name, int fd, bool read_only, struct err *e)
{
	struct p9_export *x = NULL;
	struct stat st;
	int r = fstat(fd, &st) ? -errno : 0;

	if (!r && !S_ISDIR(st.st_mode))
		r = -ENOTDIR;
	if (r)
		r = err_set(e, r, "share %s", name);
	else
		x = add_export(s, name, &r, e);
	if (!x) {
		close(fd);
		return r;
	}
	x->dir = fd;
	x->read_only = read_only;
	return 0;
}

int p9_add_file(struct p9_server *s, const char *name, struct span data, bool once, struct err *e)
{
	int r;
	struct p9_export *x = add_export(s, name, &r, e);

	if (!x)
		return r;
	x->once = once;
	buf_add(&x->data, data.data, data.len);
	return 0;
}

/* ---- confinement ------------------------------------------------------------------------ */

#define RIGHTS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define RIGHTS_ALL ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1) /* those of its first version */

int p9_confine(struct p9_server *const *servers, size_t n)
{
	const struct landlock_ruleset_attr attributes = {.handled_access_fs = RIGHTS_ALL};
	AUTO(fd)
	int rules = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);

	if (rules < 0)
		return -errno;
	for (size_t i = 0; i < n; i++) {
		for (int k = 0; k < servers[i]->n_exports; k++) {
			const struct p9_export *x = &servers[i]->export[k];
			struct landlock_path_beneath_attr rule = {
				.parent_fd = x->dir,
				.allowed_access =
					x->read_only
						? RIGHTS_READ
						: RIGHTS_ALL &
							  ~(uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE |
			                                              LANDLOCK_ACCESS_FS_MAKE_CHAR |
			                                              LANDLOCK_ACCESS_FS_MAKE_BLOCK)};

			if (x->dir >= 0 && syscall(SYS_landlock_add_rule, rules,
			                           LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
				return -errno;
		}
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, rules, 0))
		return -errno;
	return 0;
}
