/* SPDX-License-Identifier: MIT */
/*
 * The network, without a DHCP client: every machine's is the same (net.h on the host's side), and
 * static addresses need neither frames nor timers, so that a guest with a network settles, and is
 * woken up, like one without.
 */
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ipv6.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEVICE "eth0"
#define ADDRESS "10.0.2.15"
#define MASK "255.255.255.0"
#define GATEWAY "10.0.2.2"
#define ADDRESS6 "fec0::15"
#define PREFIX6 64
#define GATEWAY6 "fec0::2"
#define SETTINGS6 "/proc/sys/net/ipv6/conf/" DEVICE "/"
#define RESOLVER "/etc/resolv.conf"
#define HOSTS "/etc/hosts"

static const char resolver[] = "nameserver 10.0.2.3\nnameserver fec0::3\n";
static const char hosts[] = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n";

static bool ask(int fd, unsigned long request, void *what, const char *about)
{
	if (!ioctl(fd, request, what))
		return true;
	complain("configure", about);
	return false;
}

static void bring_up(int fd, const char *device)
{
	struct ifreq r = {0};

	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", device);
	if (!ask(fd, SIOCGIFFLAGS, &r, device))
		return;
	r.ifr_flags |= IFF_UP;
	ask(fd, SIOCSIFFLAGS, &r, device);
}

static struct sockaddr address(const char *text)
{
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct sockaddr out;

	inet_pton(AF_INET, text, &in.sin_addr);
	memcpy(&out, &in, sizeof(out));
	return out;
}

static void configure(int fd)
{
	struct ifreq r = {.ifr_name = DEVICE, .ifr_addr = address(ADDRESS)};
	struct rtentry route = {.rt_dst = address("0.0.0.0"),
	                        .rt_genmask = address("0.0.0.0"),
	                        .rt_gateway = address(GATEWAY),
	                        .rt_flags = RTF_UP | RTF_GATEWAY};

	if (!ask(fd, SIOCSIFADDR, &r, ADDRESS))
		return;
	r.ifr_netmask = address(MASK);
	ask(fd, SIOCSIFNETMASK, &r, MASK);
	bring_up(fd, DEVICE);
	ask(fd, SIOCADDRT, &route, GATEWAY);
}

static void set(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), SETTINGS6 "%s", name);
	write_whole(path, value, strlen(value), 0644);
}

/*
 * Before the device is up, so that the kernel does nothing by itself. A root with its own init is
 * free to change all of this again; until then no address appears later, to which a program such
 * as agetty would listen.
 */
static void prepare6(void)
{
	/* Nobody else is on this network, and so nobody can have the address already. */
	set("accept_dad", "0\n");
	set("accept_ra", "0\n");
	set("addr_gen_mode", "1\n"); /* none */
}

static void configure6(void)
{
	struct in6_ifreq r = {.ifr6_prefixlen = PREFIX6};
	struct in6_rtmsg route = {.rtmsg_metric = 1024, .rtmsg_flags = RTF_UP | RTF_GATEWAY};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* A kernel without IPv6. */
	if (fd < 0)
		return;
	r.ifr6_ifindex = route.rtmsg_ifindex = (int)if_nametoindex(DEVICE);
	inet_pton(AF_INET6, ADDRESS6, &r.ifr6_addr);
	inet_pton(AF_INET6, GATEWAY6, &route.rtmsg_gateway);
	if (ask(fd, SIOCSIFADDR, &r, ADDRESS6))
		ask(fd, SIOCADDRT, &route, GATEWAY6);
	close(fd);
}

bool net_configure(void)
{
	struct ifreq r = {.ifr_name = DEVICE};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool found;

	if (fd < 0) {
		complain("configure", "network");
		return false;
	}
	bring_up(fd, "lo");
	found = !ioctl(fd, SIOCGIFINDEX, &r);
	if (found) {
		prepare6();
		configure(fd);
		configure6();
	}
	close(fd);
	return found;
}

void net_name_servers(bool is_ours)
{
	struct stat st;

	/* A link whose target is made at run time leads nowhere here. */
	if (!lstat(RESOLVER, &st)) {
		if (!is_ours)
			return;
		if (S_ISLNK(st.st_mode))
			unlink(RESOLVER);
	}
	write_whole(RESOLVER, resolver, sizeof(resolver) - 1, 0644);
	if (access(HOSTS, F_OK))
		write_whole(HOSTS, hosts, sizeof(hosts) - 1, 0644);
}

void net_set_mac(const char *text)
{
	struct ifreq r = {.ifr_name = DEVICE, .ifr_hwaddr.sa_family = ARPHRD_ETHER};
	uint8_t *mac = (uint8_t *)r.ifr_hwaddr.sa_data;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (sscanf(text, "%hhx:%hhx:%hhx:%hhx:%hhx:%hhx", &mac[0], &mac[1], &mac[2], &mac[3],
	           &mac[4], &mac[5]) == 6 &&
	    fd >= 0)
		ask(fd, SIOCSIFHWADDR, &r, text);
	if (fd >= 0)
		close(fd);
}
