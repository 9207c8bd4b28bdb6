/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* Pipes: bytes inside, capacity, flags of each end, a full one, ends that are closed. */
#include "zoo.h"

static size_t fill_up(int fd)
{
	static uint8_t data[1 << 20];
	size_t total = 0;
	ssize_t n;

	zoo_fill(data, sizeof(data), 2);
	must(fcntl(fd, F_SETFL, O_NONBLOCK));
	while ((n = write(fd, data + total, 5000)) > 0)
		total += (size_t)n;
	while ((n = write(fd, data + total, 1)) > 0)
		total++;
	return total;
}

int main(int argc, char **argv)
{
	static uint8_t got[1 << 20];
	int some[2], full[2], wide[2], no_writer[2], no_reader[2], empty[2];
	size_t full_bytes, at;
	ssize_t n;

	zoo_init(argc, argv);
	signal(SIGPIPE, SIG_IGN);
	must(pipe2(some, O_CLOEXEC));
	must(write(some[1], "hello", 5));
	must(write(some[1], " world", 6));
	must(fcntl(some[0], F_SETFL, O_NONBLOCK));
	must(pipe(full));
	full_bytes = fill_up(full[1]);
	must(pipe(wide));
	must(fcntl(wide[1], F_SETPIPE_SZ, 1 << 18));
	zoo_fill(got, 200000, 3);
	check_eq(write(wide[1], got, 200000), 200000);
	must(pipe(no_writer));
	must(write(no_writer[1], "last", 4));
	close(no_writer[1]);
	must(pipe(no_reader));
	close(no_reader[0]);
	must(pipe(empty));
	must(fcntl(empty[1], F_SETPIPE_SZ, 4096));

	zoo_snapshot_here();
	zoo_spoil(must(read(some[0], got, 1)));
	zoo_spoil(must(read(wide[0], got, 1)));
	zoo_spoil(must(fcntl(empty[1], F_SETPIPE_SZ, 65536)));
	zoo_spoil(must(fcntl(some[1], F_SETFL, O_NONBLOCK)));
	zoo_spoil(must(pipe(no_reader)));
	zoo_spoil(must(read(full[0], got, 4096)));
	check_eq(fcntl(some[0], F_GETPIPE_SZ), 65536);
	check_eq(fcntl(wide[0], F_GETPIPE_SZ), 1 << 18);
	check_eq(fcntl(empty[0], F_GETPIPE_SZ), 4096);
	check_eq(fcntl(some[0], F_GETFD), FD_CLOEXEC);
	check_eq(must(fcntl(some[0], F_GETFL)) & ~O_LARGEFILE, O_RDONLY | O_NONBLOCK);
	check_eq(must(fcntl(some[1], F_GETFL)) & ~O_LARGEFILE, O_WRONLY);
	check_eq(read(some[0], got, 100), 11);
	check(!memcmp(got, "hello world", 11), "bytes in the pipe");
	must_refuse(read(some[0], got, 1), EAGAIN);
	must(write(some[1], "x", 1));
	check_eq(read(some[0], got, 1), 1);
	must_refuse(write(full[1], "x", 1), EAGAIN);
	must(fcntl(full[0], F_SETFL, O_NONBLOCK));
	for (at = 0; (n = read(full[0], got + at, 3000)) > 0; at += (size_t)n)
		;
	check_eq(at, full_bytes);
	check_eq(zoo_first_wrong(got, at, 2), -1);
	must(fcntl(wide[0], F_SETFL, O_NONBLOCK));
	for (at = 0; (n = read(wide[0], got + at, sizeof(got) - at)) > 0; at += (size_t)n)
		;
	check_eq(at, 200000);
	check_eq(zoo_first_wrong(got, 200000, 3), -1);
	check_eq(read(no_writer[0], got, 100), 4);
	check_eq(read(no_writer[0], got, 100), 0);
	must_refuse(write(no_reader[1], "x", 1), EPIPE);
	zoo_pass();
}
