/* SPDX-License-Identifier: MIT */
/*
 * What the files of this room share.
 *
 *	fid.c      exports, fids, and names below an export
 *	answer.c   messages about fids and names: walk, open, read, write, attributes
 *	change.c   messages that change a directory
 *	server.c   taking a message apart, and the table of all of them
 *	state.c    fids in a snapshot
 */
#ifndef WSLX_P9_INT_H
#define WSLX_P9_INT_H

#include <sys/stat.h>

#include "p9/p9.h"
#include "p9/wire.h"

struct p9_export {
	char name[P9_NAME_MAX + 1];
	int dir; /* -1: a file of ours */
	bool read_only;
	bool once; /* wipe @data when it was read, and never save it */
	struct buf data;
};

#define EXPORT_NONE (-1) /* the directory of exports itself */

struct fid {
	uint32_t number;
	int export; /* index, or EXPORT_NONE */
	char *path; /* below the export, "" is itself; never has "." or ".." in it */
	bool is_open;
	bool is_stale; /* what it was is gone: every use answers ESTALE */
	int fd;        /* of an open file or directory of the host; else -1 */
	uint32_t flags;
	uint64_t device, inode; /* of what is open */
};

struct p9_server {
	struct share share;
	char *tag;
	struct p9_export export[P9_EXPORTS_MAX];
	int n_exports;
	struct fid *fids; /* sorted by number */
	size_t n_fids, fids_cap;
	size_t n_open;
	uint32_t message_max;
	uint8_t *scratch; /* P9_MESSAGE_MAX, for directory entries */
};

/* fid.c; functions return 0 or a negative errno, which is what the guest gets to see */
struct fid *fid_find(struct p9_server *s, uint32_t number);
/* -EMFILE, -EEXIST. Earlier pointers to fids become stale. @path is copied. */
int fid_add(struct p9_server *s, uint32_t number, int export, const char *path, struct fid **out);
void fid_remove(struct p9_server *s, struct fid *f);
void fid_remove_all(struct p9_server *s);
int fid_set_path(struct fid *f, const char *path);
/* Names below @from are names below @to now. */
void fids_renamed(struct p9_server *s, int export, const char *from, const char *to);
bool name_is_valid(const char *name);
/* Of a path that is known to fit: those of fids do. */
void path_copy(char out[P9_PATH_MAX], const char *from);
/* "DIR/NAME". -ENAMETOOLONG. */
int path_join(char out[P9_PATH_MAX], const char *dir, const char *name);
/* Below an export that is a directory, never following a link. Return: a descriptor. */
int open_below(const struct p9_export *x, const char *path, int flags, unsigned mode);
/* The host's export that a fid is in; -EROFS if it must not be changed, -EPERM for ours. */
int export_of(struct p9_server *s, const struct fid *f, bool to_change, struct p9_export **out);
int stat_path(struct p9_server *s, int export, const char *path, struct stat *out);
int stat_fid(struct p9_server *s, const struct fid *f, struct stat *out);
struct p9_qid qid_of(int export, const struct stat *st);
/* Open the file that a fid names, once more after a restore. */
int fid_open(struct p9_server *s, struct fid *f, uint32_t flags);

/* A message's handler. Return: 0 with the answer in @out; negative errno. */
typedef int p9_handler(struct p9_server *s, struct p9_in *in, struct p9_out *out);
p9_handler answer_version, answer_attach, answer_walk, answer_lopen, answer_read, answer_write,
	answer_readdir, answer_getattr, answer_setattr, answer_readlink, answer_statfs,
	answer_fsync, answer_clunk, answer_lock, answer_getlock, answer_flush;
p9_handler change_create, change_symlink, change_mknod, change_mkdir, change_link, change_rename,
	change_renameat, change_unlinkat, change_remove;

/* state.c */
void p9_save(struct share *share, struct buf *out);
int p9_load(struct share *share, struct span in, struct err *e);

#endif
