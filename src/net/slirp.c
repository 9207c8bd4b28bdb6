/* SPDX-License-Identifier: MIT */
/*
 * The only file that knows libslirp, which is loaded when it is needed: with GLib it takes a
 * millisecond, which a machine that says nothing on its network should not pay for.
 */
#include "net/net-int.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <limits.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <string.h>
#include <time.h>

#include "os/os.h"

#define LIBRARY "libslirp.so.0"
#define CONFIG_VERSION 1 /* libslirp 4.0 */
#define BACKLOG 128      /* of published ports */
#define NS_PER_MS 1000000
#define NEVER INT64_MAX

static struct {
	Slirp *(*new)(const SlirpConfig *config, const SlirpCb *callbacks, void *opaque);
	int (*add_hostfwd)(Slirp *slirp, int is_udp, struct in_addr host, int host_port,
	                   struct in_addr guest, int guest_port);
	/* libslirp 4.6; NULL before that */
	int (*add_hostxfwd)(Slirp *slirp, const struct sockaddr *host, socklen_t host_len,
	                    const struct sockaddr *guest, socklen_t guest_len, int flags);
	void (*fill)(Slirp *slirp, uint32_t *timeout, SlirpAddPollCb add, void *opaque);
	void (*poll)(Slirp *slirp, int error, SlirpGetREventsCb get, void *opaque);
	void (*input)(Slirp *slirp, const uint8_t *frame, int len);
} lib;

struct timer {
	SlirpTimerCb expire;
	void *arg;
	int64_t at_ms;
	struct timer *next;
};

struct slirp {
	Slirp *slirp;
	struct slirp_host host;
	struct timer *timers;
	struct pollfd *fds;
	unsigned n_fds, room;
	bool is_made;
};

/* ---- the library -------------------------------------------------------------------------- */

static int load(struct err *e)
{
	const struct {
		void *to;
		const char *name;
		bool optional;
	} functions[] = {
		{&lib.new, "slirp_new", false},
		{&lib.add_hostfwd, "slirp_add_hostfwd", false},
		{&lib.add_hostxfwd, "slirp_add_hostxfwd", true},
		{&lib.fill, "slirp_pollfds_fill", false},
		{&lib.poll, "slirp_pollfds_poll", false},
		{&lib.input, "slirp_input", false},
	};
	void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return err_say(e, -ELIBACC,
		               LIBRARY " is missing, which is a machine's network: install the "
		                       "package libslirp0, or use --net none");
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		void *found = dlsym(library, functions[i].name);

		if (!found && !functions[i].optional)
			return err_say(e, -ELIBACC, LIBRARY " has no %s: it is too old",
			               functions[i].name);
		memcpy(functions[i].to, &found, sizeof(found));
	}
	return 0;
}

/* ---- what it asks of us ------------------------------------------------------------------- */

static int64_t now_ns(void *arg)
{
	return (int64_t)os_clock_ns(CLOCK_MONOTONIC);
}

static ssize_t on_packet(const void *data, size_t len, void *arg)
{
	struct slirp *s = arg;

	s->host.send(s->host.arg, SPAN(data, len));
	return (ssize_t)len;
}

/* It has dropped what it did not like; a guest must not fill anybody's terminal with that. */
static void on_guest_error(const char *text, void *arg)
{
}

static void *timer_new(SlirpTimerCb expire, void *timer_arg, void *arg)
{
	struct slirp *s = arg;
	struct timer *t = xalloc(sizeof(*t));

	*t = (struct timer){expire, timer_arg, NEVER, s->timers};
	s->timers = t;
	return t;
}

static void timer_free(void *timer, void *arg)
{
	struct slirp *s = arg;

	for (struct timer **at = &s->timers; *at; at = &(*at)->next) {
		if (*at == timer) {
			*at = (*at)->next;
			free(timer);
			return;
		}
	}
}

static void timer_mod(void *timer, int64_t at_ms, void *arg)
{
	((struct timer *)timer)->at_ms = at_ms;
}

/* It has published ports listen for one connection at a time. */
static void register_fd(int fd, void *arg)
{
	if (!((struct slirp *)arg)->is_made)
		(void)listen(fd, BACKLOG); /* of UDP there is nothing to listen for */
}

static void unregister_fd(int fd, void *arg)
{
}

static void notify(void *arg)
{
}

/* ---- making one --------------------------------------------------------------------------- */

static struct in_addr v4(const char *text)
{
	struct in_addr a;
	int ok = inet_pton(AF_INET, text, &a);

	assert(ok == 1);
	return a;
}

static struct in6_addr v6(const char *text)
{
	struct in6_addr a;
	int ok = inet_pton(AF_INET6, text, &a);

	assert(ok == 1);
	return a;
}

static int publish(struct slirp *s, const struct net_publish *p, struct err *e)
{
	const struct sockaddr_in6 guest = {.sin6_family = AF_INET6,
	                                   .sin6_port = htons(p->guest_port),
	                                   .sin6_addr = v6(NET_GUEST6)};
	int r;

	errno = 0;
	if (p->host.any.sa_family == AF_INET)
		r = lib.add_hostfwd(s->slirp, p->is_udp, p->host.v4.sin_addr,
		                    ntohs(p->host.v4.sin_port), v4(NET_GUEST), p->guest_port);
	else if (lib.add_hostxfwd)
		r = lib.add_hostxfwd(s->slirp, &p->host.any, sizeof(p->host.v6),
		                     (const struct sockaddr *)&guest, sizeof(guest),
		                     p->is_udp ? SLIRP_HOSTFWD_UDP : 0);
	else
		return err_say(e, -ELIBACC, "--publish %s: " LIBRARY " is too old for IPv6",
		               p->text);
	if (r < 0 && errno == EADDRINUSE)
		return err_say(e, -EADDRINUSE,
		               "--publish %s: something on this host uses that port already",
		               p->text);
	return r < 0 ? err_set(e, errno ? -errno : -EIO, "--publish %s", p->text) : 0;
}

struct slirp *slirp_create(const struct net_options *options, const struct slirp_host *host,
                           struct err *e)
{
	static const SlirpCb callbacks = {
		.send_packet = on_packet,
		.guest_error = on_guest_error,
		.clock_get_ns = now_ns,
		.timer_new = timer_new,
		.timer_free = timer_free,
		.timer_mod = timer_mod,
		.register_poll_fd = register_fd,
		.unregister_poll_fd = unregister_fd,
		.notify = notify,
	};
	const SlirpConfig config = {
		.version = CONFIG_VERSION,
		.in_enabled = true,
		.vnetwork = v4("10.0.2.0"),
		.vnetmask = v4("255.255.255.0"),
		.vhost = v4("10.0.2.2"),
		.vdhcp_start = v4(NET_GUEST),
		.vnameserver = v4("10.0.2.3"),
		.in6_enabled = true,
		.vprefix_addr6 = v6("fec0::"),
		.vprefix_len = 64,
		.vhost6 = v6("fec0::2"),
		.vnameserver6 = v6("fec0::3"),
		.if_mtu = NET_MTU,
		.if_mru = NET_MTU,
		.disable_host_loopback = !options->host_loopback,
	};
	struct slirp *s;

	if (load(e))
		return NULL;
	s = xalloc(sizeof(*s));
	s->host = *host;
	s->slirp = lib.new(&config, &callbacks, s);
	if (!s->slirp) {
		err_say(e, -EIO, LIBRARY " does not make a network");
		return NULL;
	}
	for (unsigned i = 0; i < options->n_publish; i++)
		if (publish(s, &options->publish[i], e))
			return NULL;
	s->is_made = true;
	return s;
}

/* ---- running ------------------------------------------------------------------------------ */

void slirp_receive(struct slirp *s, struct span frame)
{
	lib.input(s->slirp, frame.data, (int)frame.len);
}

/* Its bits are poll(2)'s under other names. */
static const struct {
	int theirs;
	short ours;
} bits[] = {{SLIRP_POLL_IN, POLLIN},
            {SLIRP_POLL_OUT, POLLOUT},
            {SLIRP_POLL_PRI, POLLPRI},
            {SLIRP_POLL_ERR, POLLERR},
            {SLIRP_POLL_HUP, POLLHUP}};

static struct pollfd *add_fd(struct slirp *s)
{
	if (s->n_fds == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->fds = xrealloc(s->fds, s->room * sizeof(*s->fds));
	}
	return &s->fds[s->n_fds++];
}

static int add_poll(int fd, int events, void *arg)
{
	struct pollfd p = {.fd = fd};

	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		if (events & bits[i].theirs)
			p.events |= bits[i].ours;
	*add_fd(arg) = p;
	return (int)((struct slirp *)arg)->n_fds - 1;
}

static int get_revents(int index, void *arg)
{
	const struct slirp *s = arg;
	int events = 0;

	for (size_t i = 0; i < ARRAY_LEN(bits); i++)
		if (s->fds[index].revents & bits[i].ours)
			events |= bits[i].theirs;
	return events;
}

static uint32_t until_timer(const struct slirp *s, uint32_t timeout)
{
	int64_t now = now_ns(NULL) / NS_PER_MS;

	for (const struct timer *t = s->timers; t; t = t->next)
		if (t->at_ms != NEVER)
			timeout = (uint32_t)MIN((int64_t)timeout, MAX(t->at_ms - now, 0));
	return timeout;
}

static void expire_timers(struct slirp *s)
{
	int64_t now = now_ns(NULL) / NS_PER_MS;

	for (struct timer *t = s->timers; t; t = t->next) {
		if (t->at_ms > now)
			continue;
		t->at_ms = NEVER;
		t->expire(t->arg);
	}
}

void slirp_wait(struct slirp *s, struct pollfd *own, bool paused)
{
	uint32_t timeout = UINT32_MAX;
	int r;

	s->n_fds = 0;
	*add_fd(s) = *own;
	lib.fill(s->slirp, &timeout, add_poll, s);
	for (unsigned i = 1; paused && i < s->n_fds; i++)
		s->fds[i].fd = -1;
	timeout = until_timer(s, timeout);
	r = poll(s->fds, s->n_fds, timeout > INT_MAX ? -1 : (int)timeout);
	for (unsigned i = 0; r < 0 && i < s->n_fds; i++)
		s->fds[i].revents = 0;
	own->revents = s->fds[0].revents;
	lib.poll(s->slirp, r < 0, get_revents, s);
	expire_timers(s);
}
