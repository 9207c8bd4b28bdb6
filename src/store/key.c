/* SPDX-License-Identifier: MIT */
/*
 * The store's key. As a file it is one line,
 *
 *	wslx-store-key-v1 <64 hexadecimal digits> <8 hexadecimal digits>
 *
 * where the last word is the beginning of the key's SHA-256: a damaged key is then called
 * damaged, and not every snapshot broken.
 *
 * A key appears by link(2) of a complete, synced file, so two programs that start at the same
 * moment end up with one key, and a crash leaves either a whole key or none.
 */
#include "store/parts.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define KEY_NAME "key"
#define KEY_MAGIC "wslx-store-key-v1 "
#define KEY_CHECK_BYTES 4
#define KEY_TEXT_BYTES (sizeof(KEY_MAGIC) - 1 + 64 + 1 + 8 + 1)

int keys_derive(struct keys *keys, const uint8_t key[STORE_KEY_BYTES], struct err *e)
{
	int r = derive_key(key, "wslx store: wrap", keys->wrap, sizeof(keys->wrap), e);

	if (!r)
		r = derive_key(key, "wslx store: name", keys->name, sizeof(keys->name), e);
	if (!r)
		r = derive_key(key, "wslx store: id", keys->id, sizeof(keys->id), e);
	return r;
}

static int wrapper_init(struct sealer *out, const struct keys *keys, const uint8_t id[ID_BYTES],
                        struct err *e)
{
	char use[sizeof("wslx store: wrap ") + ID_TEXT_BYTES] = "wslx store: wrap ";
	uint8_t key[STORE_KEY_BYTES];
	int r;

	text_hex(use + strlen(use), id, ID_BYTES);
	r = derive_key(keys->wrap, use, key, sizeof(key), e);
	if (!r)
		r = sealer_init(out, key, id, e);
	secret_forget(key, sizeof(key));
	return r;
}

int key_wrap(const struct keys *keys, const uint8_t id[ID_BYTES],
             const uint8_t key[STORE_KEY_BYTES], uint8_t out[WRAPPED_KEY_BYTES], struct err *e)
{
	AUTO(sealer) struct sealer wrapper = {0};
	int r = wrapper_init(&wrapper, keys, id, e);

	return r < 0 ? r : sealer_seal(&wrapper, SEAL_KEY, 0, key, STORE_KEY_BYTES, out, e);
}

int key_unwrap(const struct keys *keys, const uint8_t id[ID_BYTES],
               const uint8_t wrapped[WRAPPED_KEY_BYTES], uint8_t out[STORE_KEY_BYTES],
               struct err *e)
{
	AUTO(sealer) struct sealer wrapper = {0};
	int r = wrapper_init(&wrapper, keys, id, e);

	if (r < 0)
		return r;
	if (sealer_open(&wrapper, SEAL_KEY, 0, wrapped, WRAPPED_KEY_BYTES, out) < 0)
		return err_say(e, -EBADMSG, "its key was not wrapped by this store's key");
	return 0;
}

static int key_print(char out[KEY_TEXT_BYTES + 1], const uint8_t key[STORE_KEY_BYTES],
                     struct err *e)
{
	uint8_t digest[DIGEST_BYTES];
	int r = digest_of(SPAN(key, STORE_KEY_BYTES), digest, e);

	if (r < 0)
		return r;
	memcpy(out, KEY_MAGIC, sizeof(KEY_MAGIC));
	out += sizeof(KEY_MAGIC) - 1;
	text_hex(out, key, STORE_KEY_BYTES);
	out[64] = ' ';
	text_hex(out + 65, digest, KEY_CHECK_BYTES);
	memcpy(out + 73, "\n", 2);
	return 0;
}

/* Exactly what key_print() writes, so that each byte of the file counts. */
static int key_parse(uint8_t key[STORE_KEY_BYTES], struct span in, struct err *e)
{
	char again[KEY_TEXT_BYTES + 1], digits[2 * STORE_KEY_BYTES + 1] = "";
	uint8_t found[STORE_KEY_BYTES];
	int r = -EINVAL;

	if (in.len == KEY_TEXT_BYTES) {
		memcpy(digits, in.data + sizeof(KEY_MAGIC) - 1, 2 * STORE_KEY_BYTES);
		r = text_unhex(found, digits, STORE_KEY_BYTES);
	}
	if (!r)
		r = key_print(again, found, e);
	if (!r && memcmp(again, in.data, KEY_TEXT_BYTES))
		r = -EINVAL;
	if (!r)
		memcpy(key, found, STORE_KEY_BYTES);
	secret_forget(again, sizeof(again));
	secret_forget(digits, sizeof(digits));
	secret_forget(found, sizeof(found));
	if (r < 0)
		return err_say(e, -EBADMSG,
		               "the store's key file is damaged: put back a copy of it, or "
		               "nothing in this store can be read");
	return 0;
}

static int key_file_read(int root_fd, uint8_t key[STORE_KEY_BYTES], struct err *e)
{
	AUTO(fd) int fd = openat(root_fd, KEY_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	uint8_t text[KEY_TEXT_BYTES + 1];
	struct stat st;
	ssize_t n;
	int r;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0 && errno == ELOOP)
		return err_say(e, -EPERM, "store: key is a symbolic link");
	if (fd < 0)
		return err_set(e, -errno, "store: the file key cannot be opened");
	if (fstat(fd, &st) < 0)
		return err_set(e, -errno, "store: the file key");
	if (!S_ISREG(st.st_mode))
		return err_say(e, -EPERM, "store: key is not a regular file");
	if (st.st_mode & 077)
		return err_say(e, -EPERM,
		               "store: the file key is open to others (mode %04o): run chmod 600 "
		               "on it, and treat what it sealed as read by them",
		               (unsigned)st.st_mode & 07777);
	if (st.st_uid != geteuid())
		return err_say(e, -EPERM, "store: the file key belongs to uid %u, not to you",
		               (unsigned)st.st_uid);
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return err_set(e, -errno, "store: the file key cannot be read");
	r = key_parse(key, SPAN(text, (size_t)n), e);
	secret_forget(text, sizeof(text));
	return r;
}

static int key_file_write(int root_fd, const char *name, const uint8_t key[STORE_KEY_BYTES],
                          struct err *e)
{
	AUTO(fd) int fd = openat(root_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	char text[KEY_TEXT_BYTES + 1];
	int r;

	if (fd < 0)
		return err_set(e, -errno, "store: making its key");
	FAULT_STEP("store-key-write", e);
	r = key_print(text, key, e);
	if (!r)
		r = write_all(fd, text, KEY_TEXT_BYTES, e, "the store's key");
	secret_forget(text, sizeof(text));
	if (r < 0)
		return r;
	if (fsync(fd) < 0)
		return err_set(e, -errno, "store: syncing its key");
	FAULT_STEP("store-key-link", e);
	if (linkat(root_fd, name, root_fd, KEY_NAME, 0) < 0 && errno != EEXIST)
		return err_set(e, -errno, "store: making its key");
	return sync_dir(root_fd, "store-key-dir-sync", e);
}

static int key_file_create(int root_fd, struct err *e)
{
	uint8_t key[STORE_KEY_BYTES], salt[8];
	char name[sizeof(KEY_NEW_PREFIX) + 16] = KEY_NEW_PREFIX;
	int r = random_bytes(key, sizeof(key), e);

	if (!r)
		r = random_bytes(salt, sizeof(salt), e);
	if (r < 0)
		return r;
	text_hex(name + strlen(name), salt, sizeof(salt));
	r = key_file_write(root_fd, name, key, e);
	secret_forget(key, sizeof(key));
	unlinkat(root_fd, name, 0);
	return r;
}

static int key_file_load(const struct store_key_source *source, int root_fd, bool create,
                         uint8_t key[STORE_KEY_BYTES], struct err *e)
{
	int r = key_file_read(root_fd, key, e);

	if (r != -ENOENT)
		return r;
	if (!create)
		return err_say(e, -ENOENT,
		               "store: the file key is missing, without which its snapshots "
		               "cannot be read");
	r = key_file_create(root_fd, e);
	return r < 0 ? r : key_file_read(root_fd, key, e);
}

const struct store_key_source store_key_file = {.name = "the file key", .load = key_file_load};
