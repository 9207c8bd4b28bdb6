/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A listening TCP socket (IPv6, on all addresses, without IPv4). */
#define FAMILY AF_INET6
#define ADDRESS struct sockaddr_in6
#define PORT sin6_port
#define LISTEN_AT                                                                                  \
	{                                                                                          \
		.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_ANY_INIT                             \
	}
#define CONNECT_TO(a) (a).sin6_addr = in6addr_loopback
#define OWN_OPTIONS                                                                                \
	{IPPROTO_IPV6, IPV6_V6ONLY, 1},                                                            \
	{                                                                                          \
		IPPROTO_IPV6, IPV6_TCLASS, 0x20                                                    \
	}
#include "listen_tcp.h"
