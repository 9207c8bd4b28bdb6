/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore unprivileged=obstacle */
/* A pty pair: number, settings, window size, bytes waiting on both sides, packet mode, lock. */
#include "zoo.h"

#include <sys/ioctl.h>
#include <termios.h>

static int take(int fd, char *text, int room)
{
	ssize_t n;

	must(fcntl(fd, F_SETFL, O_NONBLOCK));
	n = read(fd, text, (size_t)room);
	return n < 0 ? -errno : (int)n;
}

int main(int argc, char **argv)
{
	int master, slave, number, now, lonely, locked = -1, packet = -1;
	struct winsize size = {33, 111, 5, 6};
	struct termios was, is;
	char name[64], text[64];

	zoo_init(argc, argv);
	master = must(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	must(grantpt(master));
	must(unlockpt(master));
	must(ioctl(master, TIOCGPTN, &number));
	must_zero(ptsname_r(master, name, sizeof(name)));
	slave = must(open(name, O_RDWR | O_NOCTTY));
	must(ioctl(slave, TIOCSWINSZ, &size));
	must(tcgetattr(slave, &was));
	was.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	was.c_iflag |= IUTF8;
	was.c_oflag &= ~(tcflag_t)OPOST;
	was.c_cc[VMIN] = 3;
	was.c_cc[VTIME] = 2;
	was.c_cc[VINTR] = 7;
	cfsetospeed(&was, B19200);
	cfsetispeed(&was, B19200);
	must(tcsetattr(slave, TCSANOW, &was));
	must(tcgetattr(slave, &was));
	must(write(slave, "to the master", 13));
	must(write(master, "to the slave", 12));
	lonely = must(posix_openpt(O_RDWR | O_NOCTTY)); /* locked, packet mode, no other side */
	must(ioctl(lonely, TIOCPKT, &(int){1}));

	zoo_snapshot_here();
	zoo_spoil(must(tcflush(master, TCIOFLUSH)));
	zoo_spoil(size.ws_row--);
	zoo_spoil(was.c_cc[VINTR] = 3; must(tcsetattr(slave, TCSANOW, &was)); was.c_cc[VINTR] = 7);
	zoo_spoil(must(unlockpt(lonely)));
	zoo_spoil(must(ioctl(lonely, TIOCPKT, &(int){0})));
	zoo_spoil(must(read(slave, text, 1)));
	must(ioctl(master, TIOCGPTN, &now));
	/* The same number, unless somebody else has taken it meanwhile. */
	check(now == number || !access(name, F_OK), "number %u, was %u", now, number);
	check_eq(fcntl(master, F_GETFD), FD_CLOEXEC);
	must(tcgetattr(slave, &is));
	check_eq(is.c_iflag, was.c_iflag);
	check_eq(is.c_oflag, was.c_oflag);
	check_eq(is.c_lflag, was.c_lflag);
	check_eq(is.c_cflag, was.c_cflag);
	check(!memcmp(is.c_cc, was.c_cc, sizeof(is.c_cc)), "control characters");
	struct winsize now_size;
	must(ioctl(slave, TIOCGWINSZ, &now_size));
	check(!memcmp(&now_size, &size, sizeof(size)), "window of %u x %u", now_size.ws_row,
	      now_size.ws_col);
	must(ioctl(lonely, TIOCGPTLCK, &locked));
	check_eq(locked, 1);
	must(ioctl(lonely, TIOCGPKT, &packet));
	check_eq(packet, 1);
	check_eq(take(master, text, 64), 13);
	check(!memcmp(text, "to the master", 13), "%.13s", text);
	check_eq(take(slave, text, 64), 12);
	check(!memcmp(text, "to the slave", 12), "%.12s", text);
	must(write(slave, "again", 5));
	check_eq(take(master, text, 64), 5);
	must(ioctl(master, TIOCGPTLCK, &locked));
	check_eq(locked, 0);
	zoo_pass();
}
