/* SPDX-License-Identifier: MIT */
/*
 * libarchive is opened at run time: it brings seven libraries, which would cost every start of the
 * program some milliseconds that only the making of images needs.
 */
#include "rootfs/tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "oci/hash.h"
#include "os/os.h"

#define READ_BYTES (256u << 10)
#define LIBRARY "libarchive.so.13"

/* X(function): everything that is used of it. */
#define FUNCTIONS(X)                                                                               \
	X(archive_read_new)                                                                        \
	X(archive_read_free)                                                                       \
	X(archive_read_support_filter_all)                                                         \
	X(archive_read_support_format_tar)                                                         \
	X(archive_read_support_format_empty)                                                       \
	X(archive_read_open)                                                                       \
	X(archive_read_next_header)                                                                \
	X(archive_read_data_block)                                                                 \
	X(archive_error_string)                                                                    \
	X(archive_entry_pathname)                                                                  \
	X(archive_entry_hardlink)                                                                  \
	X(archive_entry_symlink)                                                                   \
	X(archive_entry_mode)                                                                      \
	X(archive_entry_uid)                                                                       \
	X(archive_entry_gid)                                                                       \
	X(archive_entry_mtime)                                                                     \
	X(archive_entry_mtime_nsec)                                                                \
	X(archive_entry_rdevmajor)                                                                 \
	X(archive_entry_rdevminor)                                                                 \
	X(archive_entry_size)                                                                      \
	X(archive_entry_xattr_reset)                                                               \
	X(archive_entry_xattr_next)

#define AS_MEMBER(f) __typeof__(&f) f;
static struct {
	FUNCTIONS(AS_MEMBER)
} la;

static int load_library(struct err *e)
{
	static void *library;

	if (library)
		return 0;
	library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return err_say(e, -ENOTSUP,
		               "reading archives needs " LIBRARY "; apt-get install libarchive13");
#define AS_LOOKUP(f)                                                                               \
	*(void **)&la.f = dlsym(library, #f);                                                      \
	if (!la.f)                                                                                 \
		return err_say(e, -ENOTSUP, LIBRARY " has no " #f);
	FUNCTIONS(AS_LOOKUP)
	return 0;
}

/* ---- digests ---------------------------------------------------------------------------- */

int stretch_digest(struct stretch in, char out[OCI_DIGEST_TEXT])
{
	AUTO(sha256) struct sha256 hash = {0};
	uint8_t *buffer = xalloc(READ_BYTES);
	int r = sha256_begin(&hash, NULL);

	for (uint64_t done = 0; !r && done < in.bytes;) {
		size_t n = (size_t)MIN(in.bytes - done, READ_BYTES);

		r = os_pread_all(in.fd, buffer, n, in.at + done);
		if (!r)
			r = sha256_add(&hash, buffer, n, NULL);
		done += n;
	}
	free(buffer);
	return r ? r : sha256_text(&hash, out, NULL);
}

int stretch_check(struct stretch in, const char *digest, struct err *e)
{
	char got[OCI_DIGEST_TEXT];
	int r = stretch_digest(in, got);

	if (r)
		return err_set(e, r, "blob %s", digest);
	return !strcmp(got, digest)
	               ? 0
	               : err_say(e, -EBADMSG, "blob %s does not have that digest: it is damaged",
	                         digest);
}

/* ---- archives --------------------------------------------------------------------------- */

struct archive_member {
	struct archive *archive;
	struct stretch in;
	uint64_t done;
	struct sha256 hash; /* without a context: nobody asked */
	int error;          /* of reading the file */
	uint8_t buffer[READ_BYTES];
};

static la_ssize_t read_some(struct archive *archive, void *arg, const void **out)
{
	struct archive_member *m = arg;
	size_t n = (size_t)MIN(m->in.bytes - m->done, sizeof(m->buffer));

	m->error = os_pread_all(m->in.fd, m->buffer, n, m->in.at + m->done);
	if (!m->error && m->hash.ctx)
		m->error = sha256_add(&m->hash, m->buffer, n, NULL);
	if (m->error)
		return -1;
	m->done += n;
	*out = m->buffer;
	return (la_ssize_t)n;
}

static int broken(struct archive_member *m, struct err *e)
{
	AUTO(buf) struct buf why = {0};
	const char *text = la.archive_error_string(m->archive);

	if (m->error)
		return err_set(e, m->error, "reading the archive");
	/* It may quote names from the archive. */
	text = text ? text : "damaged";
	text_add_printable(&why, text, strlen(text));
	return err_say(e, -EBADMSG, "the archive is damaged: %s", buf_text(&why));
}

static void add_xattrs(struct archive_entry *entry, struct arena *a, struct list *out)
{
	const char *name;
	const void *value;
	size_t len;

	la.archive_entry_xattr_reset(entry);
	while (la.archive_entry_xattr_next(entry, &name, &value, &len) == ARCHIVE_OK)
		if (name && len <= TREE_XATTR_BYTES_MAX)
			*LIST_ADD(out, a, struct tree_xattr) =
				(struct tree_xattr){name, SPAN(value, len)};
}

/* Return: 1 for a member of a kind that is left out. */
static int item_of(struct archive_entry *entry, struct arena *a, struct tree_item *item,
                   struct err *e)
{
	struct tree_inode *i = &item->inode;

	*item = (struct tree_item){.path = la.archive_entry_pathname(entry),
	                           .hardlink = la.archive_entry_hardlink(entry)};
	if (!item->path)
		return err_say(e, -EBADMSG, "the archive has a member without a name");
	i->mode = (uint32_t)la.archive_entry_mode(entry);
	i->uid = (uint32_t)la.archive_entry_uid(entry);
	i->gid = (uint32_t)la.archive_entry_gid(entry);
	i->mtime_s = la.archive_entry_mtime(entry);
	i->mtime_ns = (uint32_t)la.archive_entry_mtime_nsec(entry);
	if (item->hardlink)
		return 0;
	switch (i->mode & S_IFMT) {
	case S_IFREG:
		i->bytes = (uint64_t)MAX(la.archive_entry_size(entry), 0);
		break;
	case S_IFLNK:
		i->target = la.archive_entry_symlink(entry);
		if (!i->target || !*i->target || strlen(i->target) >= TREE_PATH_MAX)
			return err_say(e, -EBADMSG, "%s is a symbolic link to nowhere", item->path);
		break;
	case S_IFCHR:
	case S_IFBLK:
		i->major = (uint32_t)la.archive_entry_rdevmajor(entry);
		i->minor = (uint32_t)la.archive_entry_rdevminor(entry);
		break;
	case S_IFDIR:
	case S_IFIFO:
		break;
	default:
		return 1;
	}
	add_xattrs(entry, a, &i->xattrs);
	return 0;
}

static int each(struct archive_member *m,
                int (*member)(void *arg, struct archive_member *m, const struct tree_item *item,
                              struct err *e),
                void *arg, struct err *e)
{
	struct archive_entry *entry;
	int r = 0, status;

	if (la.archive_read_support_filter_all(m->archive) < ARCHIVE_WARN ||
	    la.archive_read_support_format_tar(m->archive) < ARCHIVE_WARN ||
	    la.archive_read_support_format_empty(m->archive) < ARCHIVE_WARN ||
	    la.archive_read_open(m->archive, m, NULL, read_some, NULL) != ARCHIVE_OK)
		return broken(m, e);
	while (!r && (status = la.archive_read_next_header(m->archive, &entry)) != ARCHIVE_EOF) {
		AUTO(arena) struct arena a = {0};
		struct tree_item item;

		if (status < ARCHIVE_WARN)
			return broken(m, e);
		r = item_of(entry, &a, &item, e);
		if (!r)
			r = member(arg, m, &item, e);
		else if (r > 0)
			r = 0;
	}
	return r;
}

int archive_each(struct stretch in, const char *digest,
                 int (*member)(void *arg, struct archive_member *m, const struct tree_item *item,
                               struct err *e),
                 void *arg, struct err *e)
{
	struct archive_member *m;
	char got[OCI_DIGEST_TEXT];
	int r = load_library(e);

	if (r)
		return r;
	m = xalloc(sizeof(*m));
	m->in = in;
	m->archive = la.archive_read_new();
	r = digest ? sha256_begin(&m->hash, e) : 0;
	if (!r)
		r = each(m, member, arg, e);
	/* What follows the archive's end is part of the blob too. */
	while (!r && digest && m->done < in.bytes) {
		const void *unused;

		if (read_some(m->archive, m, &unused) < 0)
			r = broken(m, e);
	}
	if (!r && digest)
		r = sha256_text(&m->hash, got, e);
	if (!r && digest && strcmp(got, digest))
		r = err_say(e, -EBADMSG, "layer %s does not have that digest: it is damaged",
		            digest);
	la.archive_read_free(m->archive);
	sha256_finish(&m->hash);
	free(m);
	return r;
}

int archive_spool(struct archive_member *m, const struct tree_item *item, int spool, uint64_t *end,
                  struct err *e)
{
	uint64_t size = item->inode.bytes;
	const void *data;
	la_int64_t at;
	size_t len;
	int status, r = 0;

	while (!r &&
	       (status = la.archive_read_data_block(m->archive, &data, &len, &at)) != ARCHIVE_EOF) {
		if (status < ARCHIVE_WARN)
			return broken(m, e);
		if (at < 0 || (uint64_t)at > size || len > size - (uint64_t)at)
			return err_say(e, -EBADMSG, "%s has more bytes than its header says",
			               item->path);
		r = os_pwrite_all(spool, data, len, *end + (uint64_t)at);
	}
	*end += size;
	if (!r && ftruncate(spool, (off_t)*end))
		r = -errno;
	return r ? err_set(e, r, "spool file in TMPDIR") : 0;
}
