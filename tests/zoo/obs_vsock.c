/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle */
/* A vsock socket that listens. */
#include "zoo.h"

#include <linux/vm_sockets.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct sockaddr_vm a = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY, .svm_port = VMADDR_PORT_ANY};
	socklen_t len = sizeof(a);
	int fd;

	zoo_init(argc, argv);
	fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0);
	if (fd < 0)
		zoo_skip("vsock: %s", strerror(errno));
	must(bind(fd, (void *)&a, sizeof(a)));
	must(listen(fd, 1));
	must(getsockname(fd, (void *)&a, &len));

	zoo_snapshot_here();
	zoo_spoil(must(dup2(must(socket(AF_UNIX, SOCK_STREAM, 0)), fd)));
	struct sockaddr_vm now = {0};
	len = sizeof(now);
	must(getsockname(fd, (void *)&now, &len));
	check_eq(now.svm_port, a.svm_port);
	must_refuse(accept(fd, NULL, NULL), EAGAIN);
	zoo_pass();
}
