/* SPDX-License-Identifier: MIT */
/*
 * One request and its answer: the only file that knows libcurl.
 *
 * The library is loaded by the first request. It brings some thirty others along, and mapping and
 * relocating them takes longer than a restore: verbs that need no network must not pay for it.
 *
 * Redirects are not followed here, because who may be told what is decided by the caller.
 */
#include "oci/oci-int.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <string.h>
#include <strings.h>

#define CONNECT_S 15
#define STALL_S 60
#define FIELDS_MAX 256
#define HANDLES_MAX 16

/* ---- the library ------------------------------------------------------------------------- */

static struct {
	void *library;
	CURLcode (*global_init)(long flags);
	CURL *(*init)(void);
	void (*cleanup)(CURL *h);
	void (*reset)(CURL *h);
	CURLcode (*setopt)(CURL *h, CURLoption option, ...);
	CURLcode (*getinfo)(CURL *h, CURLINFO info, ...);
	CURLcode (*perform)(CURL *h);
	const char *(*strerror)(CURLcode code);
	struct curl_slist *(*append)(struct curl_slist *list, const char *text);
	void (*free_all)(struct curl_slist *list);
} curl;

static void load(void)
{
	static const struct {
		void *to;
		const char *name;
	} functions[] = {
		{&curl.global_init, "curl_global_init"}, {&curl.init, "curl_easy_init"},
		{&curl.cleanup, "curl_easy_cleanup"},    {&curl.reset, "curl_easy_reset"},
		{&curl.setopt, "curl_easy_setopt"},      {&curl.getinfo, "curl_easy_getinfo"},
		{&curl.perform, "curl_easy_perform"},    {&curl.strerror, "curl_easy_strerror"},
		{&curl.append, "curl_slist_append"},     {&curl.free_all, "curl_slist_free_all"},
	};
	void *library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);

	for (size_t i = 0; library && i < ARRAY_LEN(functions); i++) {
		void *found = dlsym(library, functions[i].name);

		if (!found)
			return;
		memcpy(functions[i].to, &found, sizeof(found));
	}
	if (library && curl.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		curl.library = library;
}

static int need_curl(struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return curl.library ? 0
	                    : err_say(e, -ELIBACC,
	                              "libcurl.so.4 is missing, through which registries are "
	                              "reached: install the package libcurl4");
}

/* ---- handles --------------------------------------------------------------------------- */

/* A handle keeps its connections; it is borrowed for one exchange. */
struct http {
	pthread_mutex_t lock;
	CURL *idle[HANDLES_MAX];
	size_t n_idle;
};

struct http *http_create(void)
{
	struct http *h = xalloc(sizeof(*h));

	pthread_mutex_init(&h->lock, NULL);
	return h;
}

void http_destroy(struct http *h)
{
	if (!h)
		return;
	while (h->n_idle)
		curl.cleanup(h->idle[--h->n_idle]);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static CURL *borrow(struct http *h)
{
	CURL *handle = NULL;

	pthread_mutex_lock(&h->lock);
	if (h->n_idle)
		handle = h->idle[--h->n_idle];
	pthread_mutex_unlock(&h->lock);
	return handle ? handle : curl.init();
}

static void give_back(struct http *h, CURL *handle)
{
	curl.reset(handle); /* options; connections stay */
	pthread_mutex_lock(&h->lock);
	if (h->n_idle < HANDLES_MAX) {
		h->idle[h->n_idle++] = handle;
		handle = NULL;
	}
	pthread_mutex_unlock(&h->lock);
	if (handle)
		curl.cleanup(handle);
}

/* ---- an exchange ------------------------------------------------------------------------- */

void exchange_finish(struct exchange *x)
{
	buf_finish(&x->body);
	arena_finish(&x->arena);
}

void exchange_header(struct exchange *x, const char *name, const char *value)
{
	*LIST_ADD(&x->headers, &x->arena, const char *) =
		arena_printf(&x->arena, "%s: %s", name, value);
}

const char *exchange_field(const struct exchange *x, const char *name, size_t *at)
{
	while (*at < x->fields.count) {
		const struct http_field *f = LIST_AT(&x->fields, struct http_field, (*at)++);

		if (!strcasecmp(f->name, name))
			return f->value;
	}
	return NULL;
}

/* What the callbacks of one exchange know. */
struct moving {
	struct exchange *x;
	CURL *handle;
	uint64_t sent;
	bool begun; /* the sink was told */
	int failed; /* what a callback found; curl reports only that one did */
	struct err *e;
};

static size_t on_field(char *data, size_t one, size_t len, void *arg)
{
	struct moving *m = arg;
	struct exchange *x = m->x;
	const char *colon = memchr(data, ':', len);
	struct http_field *f;
	char *name, *value;
	size_t n;

	if (len > 5 && !memcmp(data, "HTTP/", 5)) {
		x->fields.count = 0; /* what came before was an interim answer */
		return len;
	}
	if (!colon || x->fields.count >= FIELDS_MAX)
		return len;
	n = (size_t)(colon - data);
	name = arena_copy(&x->arena, data, n + 1);
	name[n] = 0;
	value = arena_copy(&x->arena, colon + 1, len - n);
	value[len - n - 1] = 0;
	value += strspn(value, " \t");
	value[strcspn(value, "\r\n")] = 0;
	f = LIST_ADD(&x->fields, &x->arena, struct http_field);
	*f = (struct http_field){.name = name, .value = value};
	return len;
}

static int take_body(struct moving *m, const uint8_t *data, size_t len)
{
	struct exchange *x = m->x;
	bool good = x->status >= 200 && x->status < 300;
	size_t max = good && x->body_max ? x->body_max : BODY_MAX_BYTES;
	int r = 0;

	if (x->sink && (x->status == 200 || x->status == 206)) {
		if (!m->begun)
			r = x->sink->begin(x->sink, x, m->e);
		m->begun = x->sink_used = true;
		return r < 0 ? r : x->sink->write(x->sink, data, len, m->e);
	}
	if (x->body.len + len > max && good)
		return err_say(m->e, -EFBIG, "the answer is longer than %zu bytes", max);
	/* Of a refusal the beginning says enough. */
	buf_add(&x->body, data, MIN(len, max - MIN(max, x->body.len)));
	return 0;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
	struct moving *m = arg;
	long status = 0;

	curl.getinfo(m->handle, CURLINFO_RESPONSE_CODE, &status);
	m->x->status = (int)status;
	m->failed = take_body(m, (const uint8_t *)data, len);
	return m->failed < 0 ? 0 : len;
}

static size_t on_send(char *out, size_t one, size_t room, void *arg)
{
	struct moving *m = arg;
	const struct exchange *x = m->x;
	uint64_t all = x->data.data ? x->data.len : x->bytes;
	size_t n = (size_t)MIN(room, all - m->sent);

	if (x->data.data) {
		memcpy(out, x->data.data + m->sent, n);
	} else {
		m->failed = os_pread_all(x->fd, out, n, x->offset + m->sent);
		if (m->failed < 0) {
			err_set(m->e, m->failed, "reading what is to be sent");
			return CURL_READFUNC_ABORT;
		}
	}
	m->sent += n;
	if (x->progress && n)
		x->progress->moved(x->progress, n);
	return n;
}

/* curl begins again, on another connection. What was told as sent then counts twice, no more. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct moving *m = arg;

	if (origin != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_CANTSEEK;
	m->sent = (uint64_t)offset;
	return CURL_SEEKFUNC_OK;
}

static void set_options(CURL *h, struct exchange *x, struct moving *m, struct curl_slist *fields)
{
	struct url url = {0};
	uint64_t stall = x->trust.stall_s ? x->trust.stall_s : STALL_S;

	curl.setopt(h, CURLOPT_URL, x->url);
	curl.setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
	curl.setopt(h, CURLOPT_NOSIGNAL, 1L);
	curl.setopt(h, CURLOPT_USERAGENT, "wslx/" WSLX_VERSION);
	curl.setopt(h, CURLOPT_HTTPHEADER, fields);
	curl.setopt(h, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
	curl.setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl.setopt(h, CURLOPT_LOW_SPEED_TIME, (long)stall);
	curl.setopt(h, CURLOPT_HEADERFUNCTION, on_field);
	curl.setopt(h, CURLOPT_HEADERDATA, m);
	curl.setopt(h, CURLOPT_WRITEFUNCTION, on_body);
	curl.setopt(h, CURLOPT_WRITEDATA, m);
	curl.setopt(h, CURLOPT_BUFFERSIZE, 256L << 10);
	if (url_parse(x->url, &x->arena, &url) && host_is_loopback(url.host))
		curl.setopt(h, CURLOPT_NOPROXY, "*");
	if (x->trust.insecure) {
		curl.setopt(h, CURLOPT_SSL_VERIFYPEER, 0L);
		curl.setopt(h, CURLOPT_SSL_VERIFYHOST, 0L);
	}
	if (x->trust.ca)
		curl.setopt(h, CURLOPT_CAINFO, x->trust.ca);
	curl.setopt(h, CURLOPT_CUSTOMREQUEST, x->method);
	if (!strcmp(x->method, "HEAD"))
		curl.setopt(h, CURLOPT_NOBODY, 1L);
	if (!x->has_body)
		return;
	curl.setopt(h, CURLOPT_UPLOAD, 1L);
	curl.setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
	curl.setopt(h, CURLOPT_READFUNCTION, on_send);
	curl.setopt(h, CURLOPT_READDATA, m);
	curl.setopt(h, CURLOPT_SEEKFUNCTION, on_seek);
	curl.setopt(h, CURLOPT_SEEKDATA, m);
	curl.setopt(h, CURLOPT_INFILESIZE_LARGE,
	            (curl_off_t)(x->data.data ? x->data.len : x->bytes));
}

static int code_of(CURLcode code)
{
	switch (code) {
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return -EHOSTUNREACH;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_SSL_CONNECT_ERROR:
		return -EPROTO;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CERTPROBLEM:
		return -EKEYREJECTED;
	default:
		return -ECONNRESET;
	}
}

static int perform(CURL *h, struct exchange *x, struct err *e)
{
	char text[CURL_ERROR_SIZE] = "";
	struct moving m = {.x = x, .handle = h, .e = e};
	/* Asking for "100 Continue" first costs a round trip, and some wait for it in vain. */
	struct curl_slist *fields = curl.append(NULL, "Expect:");
	struct url url = {.host = "?"};
	long status = 0;
	CURLcode code;

	LIST_EACH(&x->headers, const char *, header)
		fields = curl.append(fields, *header);
	set_options(h, x, &m, fields);
	curl.setopt(h, CURLOPT_ERRORBUFFER, text);
	code = curl.perform(h);
	curl.free_all(fields);
	curl.getinfo(h, CURLINFO_RESPONSE_CODE, &status);
	x->status = (int)status;
	if (m.failed < 0)
		return m.failed;
	if (code == CURLE_OK)
		return 0;
	url_parse(x->url, &x->arena, &url);
	return err_say(e, code_of(code), "%s: %s", url.host, text[0] ? text : curl.strerror(code));
}

int http_exchange(struct http *h, struct exchange *x, struct err *e)
{
	CURL *handle;
	int r = need_curl(e);

	if (r < 0)
		return r;
	handle = borrow(h);
	if (!handle)
		return err_say(e, -ENOMEM, "libcurl: no memory");
	x->status = 0;
	x->fields.count = 0;
	x->body.len = 0;
	r = perform(handle, x, e);
	give_back(h, handle);
	return r;
}
