/* SPDX-License-Identifier: MIT */
#include "cmd/share.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "os/os.h"

#define SEED_BYTES 32

enum { SERVER_DIRS, SERVER_TOLD };

static void make_servers(struct shares *s)
{
	if (s->servers[0])
		return;
	s->servers[SERVER_DIRS] = p9_create("wasi0");
	s->servers[SERVER_TOLD] = p9_create("wasi1");
}

void shares_open_barrier(struct vm *vm)
{
	static const uint8_t line[] = {'=', '\n'};

	vm_agent_spare(vm);
	vm_console_input(vm, line, sizeof(line));
}

void shares_tell(struct shares *s, const char *key, const char *value)
{
	buf_printf(&s->info, "%s: ", key);
	for (; *value; value++) {
		if (*value == '\n')
			buf_add_byte(&s->info, '\\');
		buf_add_byte(&s->info, (uint8_t)*value);
	}
	buf_add_byte(&s->info, '\n');
}

void shares_tell_clock(struct shares *s)
{
	uint64_t now = os_clock_ns(CLOCK_REALTIME);
	AUTO(text)
	char *clock = xprintf("%llu.%09llu", (unsigned long long)(now / 1000000000),
	                      (unsigned long long)(now % 1000000000));

	shares_tell(s, "t", clock);
}

void shares_tell_mac(struct shares *s, const uint8_t *mac)
{
	AUTO(text)
	char *text = xprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
	                     mac[4], mac[5]);

	shares_tell(s, "n", text);
}

/*
 * A share is known by where the guest has it: what was mounted there before a snapshot finds the
 * same share again after it, or none.
 */
static void name_share(const char *guest, struct buf *out)
{
	for (const char *c = guest; *c; c++) {
		if (*c == '/' || *c == ' ' || *c == '%')
			buf_printf(out, "%%%02x", *c);
		else
			buf_add_byte(out, (uint8_t)*c);
	}
}

int shares_add(struct shares *s, const char *text, struct err *e)
{
	AUTO(text) char *host = xstrdup(text);
	AUTO(buf) struct buf name = {0};
	AUTO(text) char *line = NULL;
	char *guest, *how;
	bool read_only;
	int fd;

	make_servers(s);
	how = strrchr(host, ':');
	read_only = how && !strcmp(how, ":ro");
	if (how && (read_only || !strcmp(how, ":rw")))
		*how = '\0';
	guest = strrchr(host, ':');
	if (!guest || guest == host || guest[1] != '/' || !guest[2])
		return err_say(e, -EINVAL,
		               "--share %s: this is not HOSTDIR:GUESTDIR or HOSTDIR:GUESTDIR:ro, "
		               "with a GUESTDIR that begins with /",
		               text);
	*guest++ = '\0';
	fd = open(host, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, -errno, "--share %s", host);
	name_share(guest, &name);
	s->n_dirs++;
	line = xprintf("%s %s", buf_text(&name), guest);
	shares_tell(s, read_only ? "sr" : "s", line);
	return p9_add_dir(s->servers[SERVER_DIRS], buf_text(&name), fd, read_only, e);
}

int shares_attach(struct shares *s, struct vm_config *config, struct err *e)
{
	uint8_t seed[SEED_BYTES];
	char hex[2 * SEED_BYTES + 1];
	int r;

	make_servers(s);
	if (getrandom(seed, sizeof(seed), 0) != sizeof(seed))
		return err_set(e, -errno, "entropy for the machine");
	text_hex(hex, seed, sizeof(seed));
	r = p9_add_file(s->servers[SERVER_TOLD], "info", buf_span(&s->info), false, e);
	if (!r && !fallback_forced("twins") && fault_point("share-entropy") != FAULT_FAIL)
		r = p9_add_file(s->servers[SERVER_TOLD], "entropy", span_of_text(hex), true, e);
	explicit_bzero(seed, sizeof(seed));
	explicit_bzero(hex, sizeof(hex));
	for (unsigned i = 0; i < VM_SHARES_MAX; i++)
		config->share[i] = p9_share(s->servers[i]);
	config->n_shares = VM_SHARES_MAX;
	return r;
}

void shares_add_word(struct buf *out, const char *word)
{
	if (out->len)
		buf_add_byte(out, ' ');
	for (; *word; word++) {
		if (*word == ' ' || *word == '\\')
			buf_add_byte(out, '\\');
		buf_add_byte(out, (uint8_t)*word);
	}
}

int shares_prepare(struct shares *s, struct err *e)
{
	s->filter = vm_filter_make(s->servers[0] != NULL, e);
	return s->filter ? 0 : e->code;
}

int shares_confine(const struct shares *s, struct err *e)
{
	bool any = s->servers[0] != NULL;
	int r = any ? p9_confine(s->servers, VM_SHARES_MAX) : 0;

	if (r && r != -ENOSYS && r != -EOPNOTSUPP)
		return err_set(e, r, "confining the machine to its shares");
	return s->filter ? vm_sandbox_by(s->filter, e) : vm_sandbox(any, e);
}

void shares_finish(struct shares *s)
{
	for (unsigned i = 0; i < VM_SHARES_MAX; i++)
		p9_destroy(s->servers[i]);
	buf_finish(&s->info);
	free(s->filter);
	*s = (struct shares){0};
}
