/* SPDX-License-Identifier: MIT */
/*
 * The files and folders of a store:
 *
 *	oci-layout          says what this folder is
 *	index.json          names; replaced by rename(2), under the lock
 *	blobs/sha256/HEX    everything else, immutable
 *	blobs/sealed/HEX    page blobs that wait for their SHA-256 (settle.c); immutable too
 *	key                 the store's key, if it is kept in a file
 *	lock                flock(2): shared to read names or to begin a writer, exclusive to
 *	                    change index.json or blobs
 *	tmp/ID/             what one writer has not committed; the writer holds a flock on it
 */
#include "store/parts.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"
#define INDEX_EMPTY                                                                                \
	"{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\","          \
	"\"manifests\":[]}"

int write_all(int fd, const void *data, size_t len, struct err *e, const char *what)
{
	int r = os_write_all(fd, data, len);

	return r < 0 ? err_set(e, r, "store: writing %s", what) : 0;
}

int read_at(int fd, void *data, size_t len, uint64_t offset, struct err *e, const char *what)
{
	int r = os_pread_all(fd, data, len, offset);

	return r < 0 ? err_set(e, r, "store: reading %s", what) : 0;
}

/* A descriptor of a regular file; O_NONBLOCK so that a FIFO of that name cannot hang us. */
static int open_regular(int dir_fd, const char *name, uint64_t *bytes, int *out_fd, struct err *e)
{
	AUTO(fd) int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 && errno == ELOOP)
		return err_say(e, -EBADMSG, "store: %s is a symbolic link", name);
	if (fd < 0)
		return err_set(e, -errno, "store: opening %s", name);
	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "store: %s", name);
	if (!S_ISREG(st.st_mode))
		return err_say(e, -EBADMSG, "store: %s is not a regular file", name);
	*bytes = (uint64_t)st.st_size;
	*out_fd = take_fd(&fd);
	return 0;
}

int read_file(int dir_fd, const char *name, uint64_t max, struct buf *out, struct err *e)
{
	AUTO(fd) int fd = -1;
	uint64_t bytes;
	int r = open_regular(dir_fd, name, &bytes, &fd, e);

	if (r < 0)
		return r;
	if (bytes > max)
		return err_say(e, -EBADMSG, "store: %s is larger than anything we write", name);
	buf_reserve(out, (size_t)bytes + 1);
	r = read_at(fd, out->data + out->len, (size_t)bytes, 0, e, name);
	if (!r)
		out->len += (size_t)bytes;
	return r;
}

void push_file(int fd, uint64_t from)
{
	(void)sync_file_range(fd, (off_t)from, 0, SYNC_FILE_RANGE_WRITE);
}

int sync_dir(int fd, const char *point, struct err *e)
{
	FAULT_STEP(point, e);
	return fsync(fd) < 0 ? err_set(e, -errno, "store: syncing a folder") : 0;
}

int remove_leftover(struct store *s, const char *name, int dir_fd, struct store_report *report,
                    struct err *e)
{
	int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *it;
	int r = 0;

	if (!dir)
		return err_set(e, -errno, "store: reading tmp/%s", name);
	while ((it = readdir(dir))) {
		struct stat st;

		if (!strcmp(it->d_name, ".") || !strcmp(it->d_name, ".."))
			continue;
		if (report && !fstatat(dir_fd, it->d_name, &st, AT_SYMLINK_NOFOLLOW))
			report->bytes += (uint64_t)st.st_size;
		if (unlinkat(dir_fd, it->d_name, 0) < 0)
			r = err_set(e, -errno, "store: removing tmp/%s/%s", name, it->d_name);
	}
	closedir(dir);
	if (!r && unlinkat(s->tmp_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = err_set(e, -errno, "store: removing tmp/%s", name);
	return r;
}

void digest_text(char out[72], const uint8_t digest[DIGEST_BYTES])
{
	memcpy(out, ALGORITHM_SHA256, DIGEST_HEX_AT);
	text_hex(out + DIGEST_HEX_AT, digest, DIGEST_BYTES);
}

int digest_parse(uint8_t out[DIGEST_BYTES], const char *text)
{
	char again[72];
	uint8_t found[DIGEST_BYTES];

	if (strlen(text) != 71 || text_unhex(found, text + DIGEST_HEX_AT, DIGEST_BYTES) < 0)
		return -EINVAL;
	digest_text(again, found);
	if (strcmp(again, text)) /* also refuses capitals, which would be another file name */
		return -EINVAL;
	memcpy(out, found, DIGEST_BYTES);
	return 0;
}

void blob_unsettled(struct blob *blob, const uint8_t id[ID_BYTES], unsigned n)
{
	memset(blob->digest, 0, DIGEST_BYTES);
	memcpy(blob->digest, id, ID_BYTES);
	blob->digest[DIGEST_BYTES - 1] = (uint8_t)n;
	blob->unsettled = true;
}

void blob_text(char out[72], const struct blob *blob)
{
	digest_text(out, blob->digest);
	if (blob->unsettled)
		memcpy(out, ALGORITHM_SEALED, DIGEST_HEX_AT);
}

int blob_parse(struct blob *out, const char *text)
{
	char sha256[72] = ALGORITHM_SHA256;
	bool unsettled = text_starts(text, ALGORITHM_SEALED) && strlen(text) == 71;
	int r;

	if (unsettled)
		strcpy(sha256 + DIGEST_HEX_AT, text + DIGEST_HEX_AT);
	r = digest_parse(out->digest, unsettled ? sha256 : text);
	if (!r)
		out->unsettled = unsettled;
	return r;
}

int blob_folder(const struct store *s, const struct blob *blob)
{
	return blob->unsettled ? s->sealed_fd : s->blobs_fd;
}

int blob_open(struct store *s, const struct blob *blob, int *out_fd, struct err *e)
{
	AUTO(fd) int fd = -1;
	char name[72];
	uint64_t bytes;
	int r;

	blob_text(name, blob);
	r = open_regular(blob_folder(s, blob), name + DIGEST_HEX_AT, &bytes, &fd, e);
	if (r == -ENOENT)
		return err_say(e, -EBADMSG, "store: blob %s is missing", name);
	if (r < 0)
		return r;
	if (bytes != blob->bytes)
		return err_say(e, -EBADMSG, "store: blob %s has %llu bytes and not %llu", name,
		               (unsigned long long)bytes, (unsigned long long)blob->bytes);
	*out_fd = take_fd(&fd);
	return 0;
}

int blob_read(struct store *s, const struct blob *blob, uint64_t max, struct buf *out,
              struct err *e)
{
	uint8_t digest[DIGEST_BYTES];
	AUTO(fd) int fd = -1;
	char name[72];
	int r;

	digest_text(name, blob->digest);
	if (blob->bytes > max)
		return err_say(e, -EBADMSG, "store: blob %s is larger than anything we write",
		               name);
	r = blob_open(s, blob, &fd, e);
	if (r < 0)
		return r;
	out->len = 0;
	buf_reserve(out, (size_t)blob->bytes + 1);
	r = read_at(fd, out->data, (size_t)blob->bytes, 0, e, name);
	if (!r)
		r = digest_of(SPAN(out->data, blob->bytes), digest, e);
	if (r < 0)
		return r;
	if (memcmp(digest, blob->digest, DIGEST_BYTES))
		return err_say(e, -EBADMSG,
		               "store: blob %s does not have its digest: it was "
		               "damaged or exchanged",
		               name);
	out->len = (size_t)blob->bytes;
	return 0;
}

int store_lock(struct store *s, int how, int *out_fd, struct err *e)
{
	AUTO(fd)
	int fd = openat(s->root_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
	                0600);

	if (fd < 0)
		return err_set(e, -errno, "store: opening its lock");
	while (flock(fd, how) < 0)
		if (errno != EINTR)
			return err_set(e, -errno, "store: taking its lock");
	*out_fd = take_fd(&fd);
	return 0;
}

int store_name_check(const char *name, struct err *e)
{
	size_t len = strlen(name);
	bool after_separator = true;

	if (!len || len > STORE_NAME_MAX)
		return err_say(e, -EINVAL, "a snapshot's name has 1 to %d characters",
		               STORE_NAME_MAX);
	for (size_t i = 0; i < len; i++) {
		bool word = (name[i] >= 'a' && name[i] <= 'z') ||
		            (name[i] >= 'A' && name[i] <= 'Z') ||
		            (name[i] >= '0' && name[i] <= '9');

		if (!word && (after_separator || !strchr("._-/:@+", name[i]) || i + 1 == len))
			return err_say(
				e, -EINVAL,
				"a snapshot's name is made of letters and digits, with single "
				"characters of \"._-/:@+\" between them");
		after_separator = !word;
	}
	return 0;
}

/* ---- opening --------------------------------------------------------------------------- */

static char *default_root(struct err *e)
{
	const char *dir = getenv("WSLX_HOME");

	if (dir && *dir)
		return xstrdup(dir);
	dir = getenv("XDG_DATA_HOME");
	if (dir && dir[0] == '/') /* the base directory specification ignores relative ones */
		return xprintf("%s/wslx", dir);
	dir = getenv("HOME");
	if (dir && *dir)
		return xprintf("%s/.local/share/wslx", dir);
	err_say(e, -ENOENT, "neither WSLX_HOME, XDG_DATA_HOME nor HOME says where the store is");
	return NULL;
}

static int open_dir(int at, const char *name, bool make, int *out_fd, struct err *e)
{
	int fd;

	if (make && mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return err_set(e, -errno, "store: making the folder %s", name);
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "store: opening the folder %s", name);
	*out_fd = fd;
	return 0;
}

static int put_file(struct store *s, const char *name, const char *text, struct err *e)
{
	AUTO(fd) int fd = openat(s->tmp_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_set(e, -errno, "store: making %s", name);
	r = write_all(fd, text, strlen(text), e, name);
	if (r < 0)
		return r;
	if (fsync(fd) < 0)
		return err_set(e, -errno, "store: syncing %s", name);
	FAULT_STEP("store-layout-rename", e);
	if (renameat(s->tmp_fd, name, s->root_fd, name) < 0)
		return err_set(e, -errno, "store: making %s", name);
	return 0;
}

static int check_layout(struct store *s, struct err *e)
{
	AUTO(buf) struct buf text = {0};
	json_t *json;
	const char *version;
	int r = read_file(s->root_fd, "oci-layout", 4096, &text, e);

	if (r == -ENOENT)
		return put_file(s, "oci-layout", LAYOUT_TEXT, e);
	if (r < 0)
		return r;
	json = json_loadb((const char *)text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
	version = json_string_value(json_object_get(json, "imageLayoutVersion"));
	if (!version || strcmp(version, "1.0.0"))
		r = err_say(e, -EBADMSG,
		            "%s/oci-layout does not say that this is an OCI image "
		            "layout of version 1.0.0",
		            s->root);
	json_decref(json);
	return r;
}

/* What is missing is made, unless it must have been lost: then nothing is touched. */
static int init_content(struct store *s, struct err *e)
{
	uint8_t key[STORE_KEY_BYTES];
	bool fresh = faccessat(s->root_fd, "index.json", F_OK, AT_SYMLINK_NOFOLLOW) < 0;
	int r;

	if (fresh) {
		struct stat st;

		/* A folder's link count does not tell of files, so an earlier key does. */
		if (!fstatat(s->root_fd, "oci-layout", &st, AT_SYMLINK_NOFOLLOW))
			return err_say(
				e, -EBADMSG,
				"%s/index.json is missing: put back a copy of it, or no name "
				"leads to a snapshot",
				s->root);
	}
	r = s->source->load(s->source, s->root_fd, fresh, key, e);
	if (!r)
		r = keys_derive(&s->keys, key, e);
	secret_forget(key, sizeof(key));
	if (!r && fresh)
		r = put_file(s, "index.json", INDEX_EMPTY, e);
	/* Last, so that a store that says what it is has all of it. */
	if (!r)
		r = check_layout(s, e);
	if (!r && fresh)
		r = sync_dir(s->root_fd, "store-root-dir-sync", e);
	return r;
}

static int open_content(struct store *s, struct err *e)
{
	AUTO(fd) int blobs_fd = -1, lock = -1;
	struct stat st;
	int r = open_dir(AT_FDCWD, s->root, false, &s->root_fd, e);

	if (r < 0)
		return r;
	if (fstat(s->root_fd, &st) < 0)
		return err_set(e, -errno, "store: %s", s->root);
	if (st.st_uid != geteuid())
		return err_say(e, -EPERM, "%s belongs to uid %u, not to you", s->root,
		               (unsigned)st.st_uid);
	if (st.st_mode & 022)
		return err_say(e, -EPERM,
		               "%s can be written by others (mode %04o): run chmod 700 on it",
		               s->root, (unsigned)st.st_mode & 07777);
	r = store_lock(s, LOCK_EX, &lock, e);
	if (!r)
		r = open_dir(s->root_fd, "blobs", true, &blobs_fd, e);
	if (!r)
		r = open_dir(blobs_fd, "sha256", true, &s->blobs_fd, e);
	if (!r)
		r = open_dir(blobs_fd, "sealed", true, &s->sealed_fd, e);
	if (!r)
		r = open_dir(s->root_fd, "tmp", true, &s->tmp_fd, e);
	return r < 0 ? r : init_content(s, e);
}

int store_open(const char *root, const struct store_key_source *key, struct store **out,
               struct err *e)
{
	struct store *s = xalloc(sizeof(*s));
	int r = 0;

	seal_init();
	s->root_fd = s->blobs_fd = s->sealed_fd = s->tmp_fd = -1;
	s->source = key ? key : &store_key_file;
	s->root = root ? xstrdup(root) : default_root(e);
	if (!s->root)
		r = -ENOENT;
	if (!r)
		r = os_make_dirs(s->root, 0700);
	if (r < 0 && s->root)
		err_set(e, r, "store: making the folder %s", s->root);
	if (!r)
		r = open_content(s, e);
	if (r < 0) {
		store_close(s);
		return r;
	}
	*out = s;
	return 0;
}

bool store_guess(const char *const *names, size_t n, struct store_guess *out)
{
	AUTO(text) char *root = default_root(NULL);
	AUTO(fd) int fd = root ? open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	struct store s = {.root = root, .root_fd = fd};
	AUTO(arena) struct arena a = {0};
	AUTO(index) struct index x = {0};
	const struct entry *entry = NULL;

	if (fd < 0 || index_read(&s, &a, &x, NULL))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!index_find(&x, names[i], &entry, NULL))
			break;
	if (!entry || !entry->sealed)
		return false;
	text_hex(out->digest, entry->manifest.digest, DIGEST_BYTES);
	out->root = root;
	root = NULL;
	return true;
}

bool store_exists(const char *root)
{
	AUTO(text) char *dir = root ? xstrdup(root) : default_root(NULL);
	AUTO(text) char *index = dir ? xprintf("%s/index.json", dir) : NULL;

	return index && !access(index, F_OK);
}

void store_close(struct store *s)
{
	if (!s)
		return;
	os_close(&s->root_fd);
	os_close(&s->blobs_fd);
	os_close(&s->sealed_fd);
	os_close(&s->tmp_fd);
	secret_forget(&s->keys, sizeof(s->keys));
	free(s->root);
	free(s);
}

const char *store_root(const struct store *s)
{
	return s->root;
}
