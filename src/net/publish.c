/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <string.h>

#include "net/net-int.h"

static int parse_port(const char *text, uint16_t *out)
{
	uint64_t port;

	if (text_to_u64(text, 10, UINT16_MAX, &port) || !port)
		return -EINVAL;
	*out = (uint16_t)port;
	return 0;
}

static int parse_address(const char *text, uint16_t port, struct net_publish *p)
{
	size_t len = strlen(text);

	p->host.v4.sin_family = AF_INET;
	p->host.v4.sin_port = htons(port);
	if (text[0] == '[' && text[len - 1] == ']') {
		AUTO(text) char *inner = xprintf("%.*s", (int)len - 2, text + 1);

		p->host.v6.sin6_family = AF_INET6;
		return inet_pton(AF_INET6, inner, &p->host.v6.sin6_addr) == 1 ? 0 : -EINVAL;
	}
	return inet_pton(AF_INET, text, &p->host.v4.sin_addr) == 1 ? 0 : -EINVAL;
}

int net_parse_publish(const char *text, struct net_publish *out, struct err *e)
{
	AUTO(text) char *copy = xstrdup(text);
	struct net_publish p = {.text = text};
	char *slash = strrchr(copy, '/'), *guest, *host, *address = NULL;
	uint16_t port = 0;
	bool known = true;

	if (slash) {
		*slash++ = '\0';
		p.is_udp = !strcmp(slash, "udp");
		known = p.is_udp || !strcmp(slash, "tcp");
	}
	guest = strrchr(copy, ':');
	if (guest) {
		*guest++ = '\0';
		host = strrchr(copy, ':');
		/* The colons of an address in brackets are its own. */
		if (host && host[1] && !strchr(host, ']')) {
			*host++ = '\0';
			address = copy;
		} else {
			host = copy;
		}
	}
	if (!guest || !known || parse_port(guest, &p.guest_port) || parse_port(host, &port) ||
	    parse_address(address ? address : "127.0.0.1", port, &p))
		return err_say(e, -EINVAL,
		               "--publish %s: this is not [ADDRESS:]PORT:GUESTPORT[/udp], with "
		               "ports from 1 to 65535 and an IPv6 address in brackets",
		               text);
	*out = p;
	return 0;
}
