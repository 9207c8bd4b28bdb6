/* SPDX-License-Identifier: MIT */
/* SHA-256, ed25519 and base64: the only file of the room that knows OpenSSL. */
#include "oci/oci-int.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#define KEY_FILE_MAX 65536

static int failed(struct err *e, const char *what)
{
	return err_say(e, -EIO, "the crypto library failed at %s", what);
}

void forget(void *data, size_t len)
{
	OPENSSL_cleanse(data, len);
}

/* ---- SHA-256 --------------------------------------------------------------------------- */

int sha256_begin(struct sha256 *h, struct err *e)
{
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || EVP_DigestInit_ex2(h->ctx, EVP_sha256(), NULL) != 1) {
		sha256_finish(h);
		return failed(e, "preparing SHA-256");
	}
	return 0;
}

int sha256_add(struct sha256 *h, const void *data, size_t len, struct err *e)
{
	return EVP_DigestUpdate(h->ctx, data, len) == 1 ? 0 : failed(e, "SHA-256");
}

int sha256_text(const struct sha256 *h, char out[OCI_DIGEST_TEXT], struct err *e)
{
	EVP_MD_CTX *copy = EVP_MD_CTX_new();
	uint8_t digest[32];
	int done = copy && EVP_MD_CTX_copy_ex(copy, h->ctx) == 1 &&
	           EVP_DigestFinal_ex(copy, digest, NULL) == 1;

	EVP_MD_CTX_free(copy);
	if (!done)
		return failed(e, "SHA-256");
	memcpy(out, "sha256:", 7);
	text_hex(out + 7, digest, sizeof(digest));
	return 0;
}

void sha256_finish(struct sha256 *h)
{
	EVP_MD_CTX_free(h->ctx);
	h->ctx = NULL;
}

int oci_digest_of(struct span data, char out[OCI_DIGEST_TEXT], struct err *e)
{
	AUTO(sha256) struct sha256 h = {0};
	int r = sha256_begin(&h, e);

	if (!r)
		r = sha256_add(&h, data.data, data.len, e);
	return r < 0 ? r : sha256_text(&h, out, e);
}

/* ---- ed25519 --------------------------------------------------------------------------- */

static int read_key(const char *file, bool private, EVP_PKEY **out, struct err *e)
{
	AUTO(fd) int fd = open(file, O_RDONLY | O_CLOEXEC);
	AUTO(buf) struct buf text = {0};
	EVP_PKEY *key;
	BIO *bio;
	int r;

	if (fd < 0)
		return err_set(e, -errno, "key %s", file);
	r = os_read_all(fd, &text);
	if (r < 0 || text.len > KEY_FILE_MAX)
		return err_set(e, r < 0 ? r : -EFBIG, "key %s", file);
	bio = BIO_new_mem_buf(text.data, (int)text.len);
	/* The empty pass phrase keeps OpenSSL from asking for one on the terminal. */
	key = private ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "")
	              : PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	BIO_free(bio);
	forget(text.data, text.len);
	if (!key || EVP_PKEY_get_base_id(key) != EVP_PKEY_ED25519) {
		EVP_PKEY_free(key);
		return err_say(e, -EINVAL, "key %s: not an ed25519 %s key in PEM%s", file,
		               private ? "private" : "public",
		               private ? " without a pass phrase (openssl genpkey -algorithm "
		                         "ed25519 makes one)"
		                       : " (openssl pkey -pubout writes it)");
	}
	*out = key;
	return 0;
}

static int key_digest(EVP_PKEY *key, char out[OCI_DIGEST_TEXT], struct err *e)
{
	uint8_t *der = NULL;
	int len = i2d_PUBKEY(key, &der), r;

	if (len <= 0)
		return failed(e, "encoding a key");
	r = oci_digest_of(SPAN(der, (size_t)len), out, e);
	OPENSSL_free(der);
	return r;
}

int ed25519_sign(const char *key_file, struct span message, uint8_t out[SIGNATURE_BYTES],
                 char key_id[OCI_DIGEST_TEXT], struct err *e)
{
	EVP_PKEY *key = NULL;
	size_t len = SIGNATURE_BYTES;
	int r = read_key(key_file, true, &key, e);
	EVP_MD_CTX *ctx;

	if (r < 0)
		return r;
	ctx = EVP_MD_CTX_new();
	if (!ctx || EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
	    EVP_DigestSign(ctx, out, &len, message.data, message.len) != 1 ||
	    len != SIGNATURE_BYTES)
		r = failed(e, "signing");
	if (!r)
		r = key_digest(key, key_id, e);
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return r;
}

int ed25519_verify(const char *key_file, struct span message, struct span signature, struct err *e)
{
	EVP_PKEY *key = NULL;
	int r = read_key(key_file, false, &key, e);
	EVP_MD_CTX *ctx;

	if (r < 0)
		return r;
	ctx = EVP_MD_CTX_new();
	if (!ctx || EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1)
		r = failed(e, "preparing to verify");
	else if (EVP_DigestVerify(ctx, signature.data, signature.len, message.data, message.len) !=
	         1)
		r = -EKEYREJECTED;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return r;
}

/* ---- base64 (RFC 4648, 4) ---------------------------------------------------------------- */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct span in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i += 3) {
		uint32_t v = (uint32_t)in.data[i] << 16;

		if (i + 1 < in.len)
			v |= (uint32_t)in.data[i + 1] << 8;
		if (i + 2 < in.len)
			v |= in.data[i + 2];
		buf_add_byte(out, (uint8_t)letters[v >> 18]);
		buf_add_byte(out, (uint8_t)letters[v >> 12 & 63]);
		buf_add_byte(out, i + 1 < in.len ? (uint8_t)letters[v >> 6 & 63] : '=');
		buf_add_byte(out, i + 2 < in.len ? (uint8_t)letters[v & 63] : '=');
	}
}

int base64_decode(const char *text, struct buf *out)
{
	size_t len = strcspn(text, "=");
	uint32_t v = 0;

	/* Some leave the padding out. */
	if (strspn(text + len, "=") != strlen(text + len) || len % 4 == 1)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		const char *at = strchr(letters, text[i]);

		if (!at)
			return -EINVAL;
		v = v << 6 | (uint32_t)(at - letters);
		if (i % 4)
			buf_add_byte(out, (uint8_t)(v >> (6 - 2 * (i % 4))));
	}
	return 0;
}
