/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <unistd.h>

#include "image/rec.h"
#include "os/os.h"
#include "p9/p9-int.h"

struct fid_rec {
	uint32_t number;
	const char *export; /* "": the directory of exports */
	const char *path;
	bool is_open, is_stale, is_dir;
	uint32_t flags;
	uint64_t device, inode;
};

struct p9_rec {
	uint32_t message_max;
	struct list fids; /* struct fid_rec */
};

#define F(m, n, lim, ...) FIELD(struct fid_rec, m, n, lim, __VA_ARGS__)
static const struct field fid_fields[] = {
	F(number, 1, UINT32_MAX, "as the guest calls it"),
	F(export, 2, P9_NAME_MAX, "of which share; empty: the directory of shares"),
	F(path, 3, P9_PATH_MAX - 1, "name below it"),
	F(is_open, 4, 1, "whether it is open"),
	F(is_stale, 5, 1, "whether it was lost at an earlier restore"),
	F(is_dir, 6, 1, "whether what is open is a directory"),
	F(flags, 7, UINT32_MAX, "of open(2)"),
	F(device, 8, UINT64_MAX, "where what is open was"),
	F(inode, 9, UINT64_MAX, "its number there"),
};
#undef F
static const struct rec_type fid_type = REC_TYPE(fid_rec, fid_fields, .doc = "fid", .key = 1);

static const struct field p9_fields[] = {
	FIELD(struct p9_rec, message_max, 1, P9_MESSAGE_MAX, "bytes of a message"),
	FIELD_LIST(struct p9_rec, fids, 2, &fid_type, P9_FIDS_MAX, "names in use"),
};

/* Only our own form of a path can be joined and renamed: "a/b", nothing else. */
static bool path_is_plain(const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (!len || len > P9_NAME_MAX || (len == 1 && path[0] == '.') ||
		    (len == 2 && path[0] == '.' && path[1] == '.'))
			return false;
		path += len;
		if (*path && !*++path)
			return false;
	}
	return true;
}

static int check_state(const void *rec, struct err *e)
{
	const struct p9_rec *p = rec;
	uint64_t next = 0, n_open = 0;

	LIST_EACH(&p->fids, const struct fid_rec, f) {
		if (f->number < next || f->number == P9_NO_FID)
			return err_say(e, -EBADMSG, "fids of a share that are not in order");
		if (f->path && !path_is_plain(f->path))
			return err_say(e, -EBADMSG, "a fid of a share without a proper name");
		next = (uint64_t)f->number + 1;
		n_open += f->is_open;
	}
	if (n_open > P9_OPEN_MAX || p->message_max < P9_HEADER_BYTES)
		return err_say(e, -EBADMSG, "a share with impossible limits");
	return 0;
}

static const struct rec_type p9_type =
	REC_TYPE(p9_rec, p9_fields, .doc = "share", .check = check_state);

void p9_save(struct share *share, struct buf *out)
{
	struct p9_server *s = (struct p9_server *)share;
	struct p9_rec rec = {.message_max = s->message_max};
	AUTO(arena) struct arena a = {0};

	for (size_t i = 0; i < s->n_fids; i++) {
		const struct fid *f = &s->fids[i];
		struct stat st;

		*LIST_ADD(&rec.fids, &a, struct fid_rec) = (struct fid_rec){
			.number = f->number,
			.export = f->export == EXPORT_NONE ? NULL : s->export[f->export].name,
			.path = f->path,
			.is_open = f->is_open,
			.is_stale = f->is_stale,
			.is_dir = f->fd >= 0 && !fstat(f->fd, &st) && S_ISDIR(st.st_mode),
			.flags = f->flags,
			.device = f->device,
			.inode = f->inode,
		};
	}
	rec_encode(out, &p9_type, &rec);
}

/*
 * On the file system where it was it has to be the same file; elsewhere, where numbers mean
 * nothing, the same name and kind.
 */
static bool is_found(struct p9_server *s, struct fid *f, const struct fid_rec *rec)
{
	struct stat st;

	if (fid_open(s, f, rec->flags) || stat_fid(s, f, &st))
		return false;
	if (f->fd < 0)
		return true;
	if (S_ISDIR(st.st_mode) != rec->is_dir)
		return false;
	return st.st_dev != rec->device || st.st_ino == rec->inode;
}

int p9_load(struct share *share, struct span in, struct err *e)
{
	struct p9_server *s = (struct p9_server *)share;
	AUTO(arena) struct arena a = {0};
	struct p9_rec rec;
	int r = rec_decode(in, &p9_type, &a, &rec, e);

	if (r)
		return r;
	fid_remove_all(s);
	s->message_max = rec.message_max;
	LIST_EACH(&rec.fids, const struct fid_rec, it) {
		int export = EXPORT_NONE;
		struct fid *f;

		for (int i = 0; it->export && *it->export && i < s->n_exports; i++)
			if (!strcmp(s->export[i].name, it->export))
				export = i;
		r = fid_add(s, it->number, export, it->path ? it->path : "", &f);
		if (r)
			return err_set(e, r, "share");
		f->is_stale = it->is_stale || (export == EXPORT_NONE && it->export && *it->export);
		if (it->is_open && !f->is_stale && !is_found(s, f, it))
			f->is_stale = true;
	}
	return 0;
}
