/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A listening TCP socket (IPv4). */
#define FAMILY AF_INET
#define ADDRESS struct sockaddr_in
#define PORT sin_port
#define LISTEN_AT                                                                                  \
	{                                                                                          \
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)                   \
	}
#define CONNECT_TO(a) (void)(a)
#define OWN_OPTIONS                                                                                \
	{IPPROTO_IP, IP_TOS, 0x10},                                                                \
	{                                                                                          \
		IPPROTO_IP, IP_TTL, 33                                                             \
	}
#include "listen_tcp.h"
