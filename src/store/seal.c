/* SPDX-License-Identifier: MIT */
/*
 * Ciphers, digests and MACs, as the rest of the room wants them. The only file that includes
 * OpenSSL; quick.c has the one cipher of another library.
 *
 * Sealing is AES-256-GCM. A key belongs to one snapshot and is random, and under it a pair of
 * kind and index is sealed once, so the pair is the nonce. The associated data repeats it after
 * the snapshot's id. A failed open leaves zeros: no byte is seen that was not authenticated.
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* EVP_CIPHER_meth_dup(), EVP_MD_meth_dup() */
#include "store/parts.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <string.h>

/*
 * The two algorithms. To ask OpenSSL 3 for one of its own makes it load its provider and then every
 * algorithm of that kind: a millisecond, a tenth of a restore. One that an application has made is
 * used as it is; so these are copies of its own. Should it not let itself be copied any more, what it
 * has is asked for.
 */
static const EVP_CIPHER *found_cipher;
static const EVP_MD *found_digest;

static void find_algorithms(void)
{
	EVP_CIPHER *cipher;
	EVP_MD *md;

	found_cipher = EVP_aes_256_gcm();
	found_digest = EVP_sha256();
	if (fallback_forced("openssl-provider"))
		return;
	cipher = EVP_CIPHER_meth_dup(found_cipher);
	if (cipher)
		found_cipher = cipher;
	md = EVP_MD_meth_dup(found_digest);
	if (md && EVP_MD_meth_set_app_datasize(md, sizeof(SHA256_CTX)) == 1)
		found_digest = md;
}

static pthread_once_t found_algorithms = PTHREAD_ONCE_INIT;

static const EVP_CIPHER *aes_256_gcm(void)
{
	pthread_once(&found_algorithms, find_algorithms);
	return found_cipher;
}

static const EVP_MD *sha_256(void)
{
	pthread_once(&found_algorithms, find_algorithms);
	return found_digest;
}

#define SHA_BLOCK_BYTES 64

static int crypto_failed(struct err *e, const char *what)
{
	return err_say(e, -EIO, "store: the crypto library failed at %s", what);
}

static void put_le(uint8_t *out, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> (8 * i));
}

int sealer_init(struct sealer *s, const uint8_t key[STORE_KEY_BYTES], const uint8_t id[ID_BYTES],
                struct err *e)
{
	*s = (struct sealer){.seal_ctx = EVP_CIPHER_CTX_new(), .open_ctx = EVP_CIPHER_CTX_new()};
	memcpy(s->id, id, ID_BYTES);
	if (!s->seal_ctx || !s->open_ctx ||
	    EVP_EncryptInit_ex2(s->seal_ctx, aes_256_gcm(), key, NULL, NULL) != 1 ||
	    EVP_DecryptInit_ex2(s->open_ctx, aes_256_gcm(), key, NULL, NULL) != 1) {
		sealer_finish(s);
		return crypto_failed(e, "preparing AES-256-GCM");
	}
	return 0;
}

void sealer_finish(struct sealer *s)
{
	EVP_CIPHER_CTX_free(s->seal_ctx);
	EVP_CIPHER_CTX_free(s->open_ctx);
	s->seal_ctx = s->open_ctx = NULL;
	quick_gcm_free(s->quick);
	s->quick = NULL;
}

struct seal_place {
	uint8_t nonce[SEAL_NONCE_BYTES];
	uint8_t aad[ID_BYTES + SEAL_NONCE_BYTES];
};

static void seal_place_init(struct seal_place *p, const struct sealer *s, enum seal_kind kind,
                            uint64_t index)
{
	put_le(p->nonce, (uint64_t)kind, 4);
	put_le(p->nonce + 4, index, 8);
	memcpy(p->aad, s->id, ID_BYTES);
	memcpy(p->aad + ID_BYTES, p->nonce, SEAL_NONCE_BYTES);
}

int sealer_seal(struct sealer *s, enum seal_kind kind, uint64_t index, const uint8_t *in,
                size_t len, uint8_t *out, struct err *e)
{
	EVP_CIPHER_CTX *ctx = s->seal_ctx;
	struct seal_place place;
	int n;

	if (len > INT32_MAX)
		return err_say(e, -EFBIG, "store: %zu bytes are too many for one seal", len);
	seal_place_init(&place, s, kind, index);
	if (s->quick) {
		quick_gcm_seal(s->quick, place.nonce, SPAN(place.aad, sizeof(place.aad)),
		               SPAN(in, len), out);
		return 0;
	}
	if (EVP_EncryptInit_ex2(ctx, NULL, NULL, place.nonce, NULL) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &n, place.aad, sizeof(place.aad)) != 1 ||
	    EVP_EncryptUpdate(ctx, out, &n, in, (int)len) != 1 ||
	    EVP_EncryptFinal_ex(ctx, out + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_BYTES, out + len) != 1)
		return crypto_failed(e, "sealing");
	return 0;
}

int sealer_open(struct sealer *s, enum seal_kind kind, uint64_t index, const uint8_t *in,
                size_t len, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = s->open_ctx;
	struct seal_place place;
	uint8_t tag[SEAL_TAG_BYTES];
	size_t plain;
	int n;

	if (len < SEAL_TAG_BYTES || len > INT32_MAX)
		return -EBADMSG;
	plain = len - SEAL_TAG_BYTES;
	memcpy(tag, in + plain, sizeof(tag));
	seal_place_init(&place, s, kind, index);
	if (EVP_DecryptInit_ex2(ctx, NULL, NULL, place.nonce, NULL) != 1 ||
	    EVP_DecryptUpdate(ctx, NULL, &n, place.aad, sizeof(place.aad)) != 1 ||
	    EVP_DecryptUpdate(ctx, out, &n, in, (int)plain) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) != 1 ||
	    EVP_DecryptFinal_ex(ctx, out + plain, &n) != 1) {
		memset(out, 0, plain);
		return -EBADMSG;
	}
	return 0;
}

/*
 * Whether it seals as OpenSSL does. The key is not the snapshot's, under which this would be a
 * second use of a nonce.
 */
static bool is_as_good(void)
{
	static const uint8_t key[STORE_KEY_BYTES] = "a key that nothing is sealed by";
	static const uint8_t id[ID_BYTES] = {1};
	uint8_t plain[1021], one[sizeof(plain) + SEAL_TAG_BYTES], other[sizeof(one)];
	AUTO(sealer) struct sealer s = {0};

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * i + 7 * i);
	if (sealer_init(&s, key, id, NULL) < 0 ||
	    sealer_seal(&s, SEAL_PAGES, 77, plain, sizeof(plain), one, NULL) < 0)
		return false;
	s.quick = quick_gcm_new(key);
	return s.quick && !sealer_seal(&s, SEAL_PAGES, 77, plain, sizeof(plain), other, NULL) &&
	       !memcmp(one, other, sizeof(one));
}

void sealer_quicken(struct sealer *s, const uint8_t key[STORE_KEY_BYTES])
{
	if (!s->quick && is_as_good())
		s->quick = quick_gcm_new(key);
}

int hasher_init(struct hasher *h, struct err *e)
{
	h->ctx = EVP_MD_CTX_new();
	if (!h->ctx || EVP_DigestInit_ex2(h->ctx, sha_256(), NULL) != 1) {
		hasher_finish(h);
		return crypto_failed(e, "preparing SHA-256");
	}
	return 0;
}

int hasher_add(struct hasher *h, const void *data, size_t len, struct err *e)
{
	return EVP_DigestUpdate(h->ctx, data, len) == 1 ? 0 : crypto_failed(e, "SHA-256");
}

int hasher_end(struct hasher *h, uint8_t out[DIGEST_BYTES], struct err *e)
{
	return EVP_DigestFinal_ex(h->ctx, out, NULL) == 1 ? 0 : crypto_failed(e, "SHA-256");
}

void hasher_finish(struct hasher *h)
{
	EVP_MD_CTX_free(h->ctx);
	h->ctx = NULL;
}

int digest_of(struct span data, uint8_t out[DIGEST_BYTES], struct err *e)
{
	if (EVP_Digest(data.data, data.len, out, NULL, sha_256(), NULL) != 1)
		return crypto_failed(e, "SHA-256");
	return 0;
}

/* SHA-256 of a block with the key in it, then @data: half of an HMAC. */
static int keyed_digest(const uint8_t key[STORE_KEY_BYTES], uint8_t with, struct span data,
                        uint8_t out[DIGEST_BYTES], struct err *e)
{
	uint8_t block[SHA_BLOCK_BYTES];
	AUTO(hasher) struct hasher h = {0};
	int r = hasher_init(&h, e);

	memset(block, with, sizeof(block));
	for (size_t i = 0; i < STORE_KEY_BYTES; i++)
		block[i] ^= key[i];
	if (!r)
		r = hasher_add(&h, block, sizeof(block), e);
	if (!r)
		r = hasher_add(&h, data.data, data.len, e);
	if (!r)
		r = hasher_end(&h, out, e);
	secret_forget(block, sizeof(block));
	return r;
}

/* RFC 2104. */
int mac_of(const uint8_t key[STORE_KEY_BYTES], struct span data, uint8_t out[DIGEST_BYTES],
           struct err *e)
{
	uint8_t inner[DIGEST_BYTES];
	int r = keyed_digest(key, 0x36, data, inner, e);

	if (!r)
		r = keyed_digest(key, 0x5c, SPAN(inner, sizeof(inner)), out, e);
	secret_forget(inner, sizeof(inner));
	return r;
}

bool secret_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void secret_forget(void *data, size_t len)
{
	OPENSSL_cleanse(data, len);
}

/* HKDF (RFC 5869) without salt; one block is enough. */
int derive_key(const uint8_t key[STORE_KEY_BYTES], const char *use, uint8_t *out, size_t len,
               struct err *e)
{
	static const uint8_t no_salt[STORE_KEY_BYTES];
	uint8_t extracted[DIGEST_BYTES], block[DIGEST_BYTES];
	AUTO(buf) struct buf info = {0};
	int r = mac_of(no_salt, SPAN(key, STORE_KEY_BYTES), extracted, e);

	assert(len <= sizeof(block));
	buf_add_text(&info, use);
	buf_add_byte(&info, 1);
	if (!r)
		r = mac_of(extracted, buf_span(&info), block, e);
	if (!r)
		memcpy(out, block, len);
	secret_forget(extracted, sizeof(extracted));
	secret_forget(block, sizeof(block));
	return r;
}

int random_bytes(void *out, size_t len, struct err *e)
{
	return RAND_priv_bytes(out, (int)len) == 1 ? 0 : crypto_failed(e, "random numbers");
}

void seal_init(void)
{
	/*
	 * Nothing that we do not use: reading openssl.cnf, the sentences of its errors and the
	 * names of all algorithms takes longer than a small restore, as does tidying up at exit.
	 */
	OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
	                            OPENSSL_INIT_NO_ADD_ALL_CIPHERS |
	                            OPENSSL_INIT_NO_ADD_ALL_DIGESTS | OPENSSL_INIT_NO_ATEXIT,
	                    NULL);
}
