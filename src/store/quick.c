/* SPDX-License-Identifier: MIT */
/*
 * AES-256-GCM by libipsec-mb, if it is installed and the CPU has AES for vectors of 512 bits: more
 * than twice as fast as OpenSSL 3.0, which does not use those. It is loaded when there is much
 * to seal, because loading costs half a millisecond; nothing depends on it, since a seal is the same
 * bytes, and that is tried once before it is used.
 *
 * Its functions for one architecture are called by name. Their types are ABI (libIPSec_MB.so.1), and
 * what they write to is given more room than any version takes.
 */
#include "store/parts.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#define LIBRARY "libIPSec_MB.so.1"
#define KEY_BYTES_MAX 8192
#define CONTEXT_BYTES_MAX 1024

struct quick_gcm {
	uint8_t key[KEY_BYTES_MAX];         /* struct gcm_key_data */
	uint8_t context[CONTEXT_BYTES_MAX]; /* struct gcm_context_data */
} __attribute__((aligned(64)));

static struct {
	void (*expand)(const void *key, void *out);
	void (*seal)(const void *key, void *context, uint8_t *out, const uint8_t *in, uint64_t len,
	             const uint8_t *nonce, const uint8_t *aad, uint64_t aad_len, uint8_t *tag,
	             uint64_t tag_len);
} library;

static void load(void)
{
	void *handle;

	__builtin_cpu_init();
	if (!__builtin_cpu_supports("vaes") || !__builtin_cpu_supports("vpclmulqdq") ||
	    !__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
	    !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
		return;
	handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return;
	*(void **)&library.expand = dlsym(handle, "aes_gcm_pre_256_vaes_avx512");
	*(void **)&library.seal = dlsym(handle, "aes_gcm_enc_256_vaes_avx512");
}

struct quick_gcm *quick_gcm_new(const uint8_t key[STORE_KEY_BYTES])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct quick_gcm *q;

	pthread_once(&once, load);
	if (!library.expand || !library.seal)
		return NULL;
	q = aligned_alloc(64, sizeof(*q));
	if (!q)
		return NULL;
	memset(q, 0, sizeof(*q));
	library.expand(key, q->key);
	return q;
}

void quick_gcm_seal(struct quick_gcm *q, const uint8_t *nonce, struct span aad, struct span in,
                    uint8_t *out)
{
	library.seal(q->key, q->context, out, in.data, in.len, nonce, aad.data, aad.len,
	             out + in.len, SEAL_TAG_BYTES);
}

void quick_gcm_free(struct quick_gcm *q)
{
	if (!q)
		return;
	secret_forget(q, sizeof(*q));
	free(q);
}
