/* SPDX-License-Identifier: MIT */
#include "net/net-int.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/os.h"

#define PENDING_MAX (1u << 20)
#define FRAMES_AT_A_TIME 64

struct helper {
	const struct net_options *options;
	int wire;
	/* Frames that the machine has not taken yet: the length of each, then its bytes. */
	struct buf pending;
	size_t sent; /* of pending */
};

/* Return: false if there is no room for it. */
static bool send_now(struct helper *h, struct span frame)
{
	if (send(h->wire, frame.data, frame.len, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	if (errno == EAGAIN)
		return false;
	_exit(0); /* the machine is gone */
}

/*
 * While anything is pending no more is read from the host's sockets; what comes nevertheless
 * answers the guest, and may be lost when there is too much of it.
 */
static void to_guest(void *arg, struct span frame)
{
	struct helper *h = arg;

	if (!h->pending.len && send_now(h, frame))
		return;
	if (frame.len > NET_FRAME_MAX || h->pending.len > PENDING_MAX)
		return;
	buf_add(&h->pending, &frame.len, sizeof(frame.len));
	buf_add(&h->pending, frame.data, frame.len);
}

static void send_pending(struct helper *h)
{
	while (h->sent < h->pending.len) {
		const uint8_t *at = h->pending.data + h->sent;
		size_t len;

		memcpy(&len, at, sizeof(len));
		if (!send_now(h, SPAN(at + sizeof(len), len)))
			return;
		h->sent += sizeof(len) + len;
	}
	h->pending.len = h->sent = 0;
}

static void receive(struct helper *h, struct slirp *slirp)
{
	static uint8_t frame[NET_FRAME_MAX];

	for (unsigned i = 0; i < FRAMES_AT_A_TIME; i++) {
		ssize_t n = recv(h->wire, frame, sizeof(frame), MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			_exit(0); /* the machine is gone */
		if (filter_passes(h->options, SPAN(frame, (size_t)n)))
			slirp_receive(slirp, SPAN(frame, (size_t)n));
	}
}

static _Noreturn void carry(struct helper *h, struct slirp *slirp)
{
	for (;;) {
		bool paused = h->pending.len;
		struct pollfd own = {.fd = h->wire,
		                     .events = (short)(POLLIN | (paused ? POLLOUT : 0))};

		slirp_wait(slirp, &own, paused);
		if (paused)
			send_pending(h);
		if (own.revents)
			receive(h, slirp);
	}
}

/* Keep nothing of the machine's but two descriptors and standard error. */
static void let_go(int wire, int verdict, int null)
{
	int low = MIN(wire, verdict), high = MAX(wire, verdict);

	dup2(null, 0);
	dup2(null, 1);
	if (low > 3)
		close_range(3, (unsigned)low - 1, 0);
	if (high > low + 1)
		close_range((unsigned)low + 1, (unsigned)high - 1, 0);
	close_range((unsigned)high + 1, ~0u, 0);
}

/* Whoever publishes ports waits for it; nobody else does. */
static void say(int verdict, const char *text)
{
	if (write(verdict, text, strlen(text)) < 0)
		_exit(1); /* the machine is gone */
}

static _Noreturn void fail(const struct helper *h, int verdict, const struct err *e)
{
	if (h->options->n_publish)
		say(verdict, e->text);
	else
		dprintf(2, "wslx: the machine has no network: %s\r\n", e->text);
	_exit(1);
}

void helper_run(const struct net_options *options, int wire, int verdict, pid_t machine)
{
	struct helper h = {.options = options, .wire = wire};
	const struct slirp_host host = {to_guest, &h};
	struct pollfd first = {.fd = wire, .events = POLLIN};
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	struct slirp *slirp;
	struct err e = {0};

	setsid(); /* signals of the terminal are the machine's */
	prctl(PR_SET_NAME, "wslx-net");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != machine || null < 0)
		_exit(1);
	let_go(wire, verdict, null);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (!options->n_publish && poll(&first, 1, -1) < 0)
		if (errno != EINTR)
			_exit(1);
	slirp = slirp_create(options, &host, &e);
	if (!slirp || confine_helper(&e))
		fail(&h, verdict, &e);
	dup2(null, 2); /* what the library has to say about a guest is nobody's business */
	close(null);
	if (options->n_publish)
		say(verdict, NET_READY);
	close(verdict);
	carry(&h, slirp);
}
