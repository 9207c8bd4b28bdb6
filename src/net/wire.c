/* SPDX-License-Identifier: MIT */
/* The machine's end: frames to and from the helper, and the connections seen among them. */
#include "net/net-int.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/os.h"

#define SOCKET_BYTES (1 << 20) /* asked for; the kernel has its own limit */
#define SENTENCE_MAX 399

struct net {
	struct wire wire;
	int verdict;
	bool is_cut;
	uint8_t guest_mac[NET_MAC_BYTES]; /* as it was last seen */
	struct flows *flows;
	struct arena arena;
	struct list resets; /* struct flow: from before a restore, not yet reset */
	size_t n_reset;
};

/* ---- frames ------------------------------------------------------------------------------- */

static bool wire_send(struct wire *w, struct span frame)
{
	struct net *n = (struct net *)w;
	struct iovec iov = {(void *)(uintptr_t)frame.data, frame.len};
	const struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (sendmsg(w->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return false;
		n->is_cut = true;
		return true;
	}
	memcpy(n->guest_mac, frame.data + NET_MAC_BYTES, NET_MAC_BYTES);
	flows_note(n->flows, frame, true);
	return true;
}

/*
 * A connection from before a restore is asked for anew, by the peer it had. Whatever state it is
 * in, the guest answers with where it stands (RFC 5961, 4.2), and since libslirp knows of no such
 * connection it resets just that. Its end need not be known here: only the guest knows it exactly.
 */
static size_t next_reset(struct net *n, uint8_t *frame)
{
	const struct flow *flow = LIST_AT(&n->resets, struct flow, n->n_reset++);

	return packet_make_syn(frame, flow, n->guest_mac);
}

static size_t wire_receive(struct wire *w, uint8_t *frame)
{
	struct net *n = (struct net *)w;
	struct iovec iov = {frame, NET_FRAME_MAX};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t got;

	if (n->n_reset < n->resets.count)
		return next_reset(n, frame);
	got = recvmsg(w->fd, &m, MSG_DONTWAIT);
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (got <= 0) {
		n->is_cut = true;
		return 0;
	}
	flows_note(n->flows, SPAN(frame, (size_t)got), false);
	return (size_t)got;
}

static bool wire_is_cut(struct wire *w)
{
	return ((struct net *)w)->is_cut;
}

/* ---- what is kept ------------------------------------------------------------------------- */

struct flow_rec {
	struct span guest, peer; /* addresses, 4 or 16 bytes each */
	uint16_t guest_port, peer_port;
	uint8_t ended;
};

struct net_rec {
	uint8_t guest_mac[NET_MAC_BYTES];
	struct list flows; /* struct flow_rec */
};

#define F(m, n, lim, ...) FIELD(struct flow_rec, m, n, lim, __VA_ARGS__)
static const struct field flow_fields[] = {
	F(guest, 1, 16, "the guest's address"),
	F(peer, 2, 16, "and that of the other end"),
	F(guest_port, 3, UINT16_MAX, "ports"),
	F(peer_port, 4, UINT16_MAX),
	F(ended, 5, FLOW_GUEST_ENDED | FLOW_PEER_ENDED,
          "1: the guest has sent its FIN, 2: its peer"),
};
#undef F

static int check_flow(const void *rec, struct err *e)
{
	const struct flow_rec *f = rec;

	if (f->guest.len != f->peer.len || (f->guest.len != 4 && f->guest.len != 16))
		return err_say(e, -EBADMSG, "a connection without proper addresses");
	return 0;
}

static const struct rec_type flow_type =
	REC_TYPE(flow_rec, flow_fields, .doc = "TCP connection", .check = check_flow);

static const struct field net_fields[] = {
	FIELD(struct net_rec, guest_mac, 1, NET_MAC_BYTES, "the guest's address on the wire"),
	FIELD_LIST(struct net_rec, flows, 2, &flow_type, FLOWS_MAX,
                   "what the guest is connected to; a restore resets it"),
};
static const struct rec_type net_type = REC_TYPE(net_rec, net_fields, .doc = "network");

static void wire_save(struct wire *w, struct buf *out)
{
	struct net *n = (struct net *)w;
	AUTO(arena) struct arena a = {0};
	struct list flows = {0};
	struct net_rec rec = {0};

	memcpy(rec.guest_mac, n->guest_mac, NET_MAC_BYTES);
	flows_list(n->flows, &flows, &a);
	LIST_EACH(&flows, const struct flow, f)
		*LIST_ADD(&rec.flows, &a, struct flow_rec) = (struct flow_rec){
			.guest = SPAN(f->guest, f->address_bytes),
			.peer = SPAN(f->peer, f->address_bytes),
			.guest_port = f->guest_port,
			.peer_port = f->peer_port,
			.ended = f->ended,
		};
	rec_encode(out, &net_type, &rec);
}

/* They stay known until their reset has passed: a snapshot may be taken before that. */
static int wire_load(struct wire *w, struct span in, struct err *e)
{
	struct net *n = (struct net *)w;
	AUTO(arena) struct arena a = {0};
	struct net_rec rec = {0};
	/* Of a machine that never had a wire there is nothing. */
	int r = in.len ? rec_decode(in, &net_type, &a, &rec, e) : 0;

	if (r)
		return r;
	memcpy(n->guest_mac, rec.guest_mac, NET_MAC_BYTES);
	flows_clear(n->flows);
	n->resets = (struct list){0};
	n->n_reset = 0;
	LIST_EACH(&rec.flows, const struct flow_rec, f) {
		struct flow flow = {.guest_port = f->guest_port,
		                    .peer_port = f->peer_port,
		                    .address_bytes = (uint8_t)f->guest.len,
		                    .ended = f->ended};

		span_copy(flow.guest, f->guest);
		span_copy(flow.peer, f->peer);
		flows_add(n->flows, &flow);
	}
	flows_list(n->flows, &n->resets, &n->arena);
	return 0;
}

/* ---- its life ----------------------------------------------------------------------------- */

static int open_lines(int wire[2], int verdict[2], struct err *e)
{
	const int bytes = SOCKET_BYTES;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, wire))
		return err_set(e, -errno, "network");
	for (int i = 0; i < 2; i++)
		if (setsockopt(wire[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)))
			return err_set(e, -errno, "network");
	return pipe2(verdict, O_CLOEXEC) ? err_set(e, -errno, "network") : 0;
}

struct net *wire_create(int fd)
{
	struct net *n = xalloc(sizeof(*n));

	n->wire = (struct wire){.fd = fd,
	                        .send = wire_send,
	                        .receive = wire_receive,
	                        .is_cut = wire_is_cut,
	                        .save = wire_save,
	                        .load = wire_load};
	n->verdict = -1;
	n->flows = flows_create();
	return n;
}

struct net *net_start(const struct net_options *options, struct err *e)
{
	int wire[2] = {-1, -1}, verdict[2] = {-1, -1};
	struct net *n = NULL;
	pid_t machine = getpid(), helper = -1;

	if (!open_lines(wire, verdict, e)) {
		helper = fork();
		if (!helper)
			helper_run(options, wire[1], verdict[1], machine);
		if (helper < 0)
			err_set(e, -errno, "network");
	}
	os_close(&wire[1]);
	os_close(&verdict[1]);
	if (helper < 0) {
		os_close(&wire[0]);
		os_close(&verdict[0]);
		return NULL;
	}
	n = wire_create(wire[0]);
	n->verdict = verdict[0];
	return n;
}

int net_wait(struct net *n, struct err *e)
{
	char text[SENTENCE_MAX + 1];
	size_t len = 0;
	ssize_t got;

	do {
		got = read(n->verdict, text + len, SENTENCE_MAX - len);
		len += got > 0 ? (size_t)got : 0;
	} while ((got > 0 && len < SENTENCE_MAX) || (got < 0 && errno == EINTR));
	os_close(&n->verdict);
	text[len] = '\0';
	if (!strcmp(text, NET_READY))
		return 0;
	return err_say(e, -EIO, "%s", len ? text : "the network's process has ended by itself");
}

struct wire *net_wire(struct net *n)
{
	return &n->wire;
}

void net_destroy(struct net *n)
{
	if (!n)
		return;
	os_close(&n->wire.fd);
	os_close(&n->verdict);
	/* It sees that its wire has ended. A machine that is confined cannot wait for it. */
	flows_destroy(n->flows);
	arena_finish(&n->arena);
	free(n);
}

void net_make_mac(uint8_t mac[NET_MAC_BYTES])
{
	ssize_t n = getrandom(mac, NET_MAC_BYTES, 0);

	assert(n == NET_MAC_BYTES);
	mac[0] = (uint8_t)((mac[0] & ~1u) | 2); /* to one, and locally administered */
}
