/* SPDX-License-Identifier: MIT */
/*
 * The bytes that wait inside of a pty. Both directions.
 *
 * There is no way to look at them: they are read and put back. While they are out, the program
 * would lose them if we died; so a process of its own does it, which no signal but SIGKILL ends
 * and which needs less than a millisecond, while the program stands still.
 *
 *	to the slave	what was typed. In line mode each read gives one line, which ended with a
 *			newline, with another character (VEOL), or with the end-of-file character,
 *			which leaves no byte. What remains is a line begun; it can only be read with
 *			line mode off, and is a line begun again when it is put back with it on.
 *	to the master	what the program wrote
 *
 * Bytes are put back by writing them on the other side, under settings that let them pass, as they
 * came there. A worker of the kernel carries them; asking whether there is something to read waits
 * for it, so that afterwards the settings can be what they were. A slave whose output was stopped
 * (Ctrl-S), which nothing tells, takes nothing; so what waits for the master is put back with
 * TIOCSTI, and without the right to do so that side is not touched.
 */
#include "kinds/tty-queue.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* ---- putting ----------------------------------------------------------------------------- */

static int push_bytes(int fd, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ioctl(fd, TIOCSTI, &data[i]) < 0)
			return -errno;
	return 0;
}

bool tty_queue_allowed(void)
{
	AUTO(fd) int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	uint8_t byte = 'x';

	return master >= 0 && !push_bytes(master, &byte, 1);
}

/* Write to one side, and see it arrive on the other. */
static int put_bytes(int from, int to, const uint8_t *data, size_t n)
{
	struct pollfd p = {.fd = to, .events = POLLIN};
	int r = n ? os_write_all(from, data, n) : 0;

	return r < 0 ? r : poll(&p, 1, 0) < 0 ? -errno : 0;
}

/* A character that ends a line without being in one. */
static uint8_t end_of_file(const struct tty_queue *q, uint8_t usual)
{
	uint8_t c = usual ? usual : 4;

	while (memchr(q->to_slave, c, q->n_slave) || !c || c == '\n')
		if (++c == (usual ? usual : 4))
			break;
	return c;
}

/* The settings under which bytes that were processed once already pass unchanged. */
static struct termios2 untouched(const struct tty_queue *q, const struct termios2 *t)
{
	struct termios2 pass = *t;

	pass.c_iflag &= ~(tcflag_t)(IGNBRK | BRKINT | IGNPAR | PARMRK | INPCK | ISTRIP | INLCR |
	                            IGNCR | ICRNL | IUCLC | IXANY | IMAXBEL);
	/* A flow control character among them was quoted when it was typed. */
	if (memchr(q->to_slave, t->c_cc[VSTOP], q->n_slave) ||
	    memchr(q->to_slave, t->c_cc[VSTART], q->n_slave))
		pass.c_iflag &= ~(tcflag_t)IXON;
	pass.c_lflag &= ICANON | IEXTEN | EXTPROC;
	for (size_t i = 0; i < NCCS; i++)
		if (i != VEOF && i != VEOL && i != VEOL2 && i != VSTART && i != VSTOP &&
		    i != VMIN && i != VTIME)
			pass.c_cc[i] = 0;
	pass.c_cc[VEOF] = end_of_file(q, t->c_cc[VEOF]);
	return pass;
}

static int put_lines(const struct tty_queue *q, int master, int slave, uint8_t eof)
{
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; !r && i < q->n_ends; i++) {
		size_t end = q->ends[i] / 2;

		r = put_bytes(master, slave, q->to_slave + at, end - at);
		if (!r && q->ends[i] % 2)
			r = put_bytes(master, slave, &eof, 1);
		at = end;
	}
	return r ? r : put_bytes(master, slave, q->to_slave + at, q->n_slave - at);
}

/* A fresh pty takes what is written to its slave; its settings change that as little as can be. */
static int put_to_master(const struct tty_queue *q, int master, int slave)
{
	struct termios2 t, plain;
	int r = push_bytes(master, q->to_master, q->n_master);

	if (r != -EPERM || slave < 0)
		return r;
	if (ioctl(slave, TCGETS2, &t) < 0)
		return -errno;
	plain = t;
	plain.c_oflag &= ~(tcflag_t)OPOST;
	if (ioctl(slave, TCSETS2, &plain) < 0)
		return -errno;
	r = put_bytes(slave, master, q->to_master, q->n_master);
	return ioctl(slave, TCSETS2, &t) < 0 && !r ? -errno : r;
}

int tty_queue_put(const struct tty_queue *q, int master, int slave)
{
	struct termios2 t, pass;
	int r = 0;

	if (slave >= 0 && (q->n_slave || q->n_ends)) {
		if (ioctl(slave, TCGETS2, &t) < 0)
			return -errno;
		pass = untouched(q, &t);
		if (ioctl(slave, TCSETS2, &pass) < 0)
			return -errno;
		r = put_lines(q, master, slave, pass.c_cc[VEOF]);
		if (ioctl(slave, TCSETS2, &t) < 0 && !r)
			r = -errno;
	}
	return r ? r : put_to_master(q, master, slave);
}

/* ---- taking ------------------------------------------------------------------------------ */

static bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && p.revents & POLLIN;
}

static void take_lines(struct tty_queue *q, int slave, const struct termios2 *t)
{
	while (readable(slave) && q->n_ends < TTY_QUEUE_MAX) {
		ssize_t n = read(slave, q->to_slave + q->n_slave, TTY_QUEUE_MAX - q->n_slave);
		uint8_t last;

		if (n < 0)
			return;
		q->n_slave += (size_t)n;
		last = n ? q->to_slave[q->n_slave - 1] : 0;
		q->ends[q->n_ends++] =
			2 * q->n_slave + !(last && (last == '\n' || last == t->c_cc[VEOL] ||
		                                    last == t->c_cc[VEOL2]));
	}
}

static void take_bytes(int fd, uint8_t *to, size_t *have, bool packets)
{
	uint8_t chunk[TTY_QUEUE_MAX + 1];

	while (readable(fd) && *have < TTY_QUEUE_MAX) {
		ssize_t n = read(fd, chunk, TTY_QUEUE_MAX - *have + packets);

		if (n <= packets)
			return;
		/* In packet mode a byte that says "data" comes first. */
		memcpy(to + *have, chunk + packets, (size_t)n - packets);
		*have += (size_t)n - packets;
	}
}

static int take(struct tty_queue *q, int master, int slave, bool to_master_too)
{
	struct termios2 t, raw;
	int packets = 0;

	ioctl(master, TIOCGPKT, &packets);
	if (slave >= 0) {
		if (ioctl(slave, TCGETS2, &t) < 0)
			return -errno;
		raw = t;
		if (t.c_lflag & ICANON) {
			take_lines(q, slave, &t);
			raw.c_lflag &= ~(tcflag_t)ICANON;
			raw.c_cc[VMIN] = 1;
			raw.c_cc[VTIME] = 0;
			if (ioctl(slave, TCSETS2, &raw) < 0)
				return -errno;
		}
		take_bytes(slave, q->to_slave, &q->n_slave, false);
		if (t.c_lflag & ICANON && ioctl(slave, TCSETS2, &t) < 0)
			return -errno;
	}
	if (to_master_too)
		take_bytes(master, q->to_master, &q->n_master, packets);
	return 0;
}

static int take_and_put(struct tty_queue *q, int master, bool has_slave)
{
	AUTO(fd) int slave = -1;
	int r, put, n = 0;

	if (has_slave) {
		/* A description of our own: flags of the program's stay as they are. */
		slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
		if (slave < 0)
			return -errno;
		/* More may wait behind what the line discipline holds. */
		if (readable(slave) && ioctl(slave, FIONREAD, &n) == 0 && n >= TTY_QUEUE_MAX)
			return -EFBIG;
	}
	r = take(q, master, slave, tty_queue_allowed());
	put = tty_queue_put(q, master, slave);
	return r ? r : put;
}

int tty_queue_look(int master, bool has_slave, struct tty_queue *out)
{
	struct shared {
		struct tty_queue queue;
		int result;
	} *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
	                 -1, 0);
	pid_t child;
	int r = 0;

	if (shared == MAP_FAILED)
		return -errno;
	shared->result = -ECHILD;
	child = fork();
	if (!child) {
		sigset_t all;

		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		shared->result = take_and_put(&shared->queue, master, has_slave);
		_exit(0);
	}
	if (child < 0)
		r = -errno;
	while (!r && waitpid(child, NULL, 0) < 0)
		if (errno != EINTR)
			r = -errno;
	if (!r)
		r = shared->result;
	if (!r)
		*out = shared->queue;
	munmap(shared, sizeof(*shared));
	return r;
}
