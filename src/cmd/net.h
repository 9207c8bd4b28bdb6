/* SPDX-License-Identifier: MIT */
/* --net and --publish, for the verbs that run a machine. */
#ifndef WSLX_CMD_NET_H
#define WSLX_CMD_NET_H

#include "cmd/cmd.h"
#include "net/net.h"
#include "vm/vm.h"

#define NET_HELP "user: a network by libslirp; user,host: the host's loopback too; none"
#define PUBLISH_HELP "[ADDRESS:]PORT:GUESTPORT[/udp]"

/* clang-format off */
#define NET_OPTIONS                                                                                \
	{"net", "user|none", NET_HELP, false},                                                     \
	{"publish", PUBLISH_HELP, "a port of the host leads into the machine; may repeat", false}
/* clang-format on */

/* What was asked for. */
struct net_choice {
	bool on;
	bool wanted; /* in so many words, or by a port: then it has to be possible */
	struct net_options options;
};

/**
 * net_choose() - read the two options
 * @on: what is chosen if neither is there
 */
MUST_CHECK int net_choose(const struct args *args, bool on, struct net_choice *out, struct err *e);
/**
 * net_begin() - start what net_attach() will probably need, while this process is small
 * @out: the network; NULL if none was chosen, or it publishes ports: these have to wait for a machine
 */
MUST_CHECK int net_begin(const struct net_choice *choice, struct net **out, struct err *e);
/**
 * net_attach() - plug a machine in that has a network device
 * @out: NULL or of net_begin(). The network, to be destroyed after the machine; NULL if none was
 *       chosen
 */
MUST_CHECK int net_attach(const struct net_choice *choice, struct vm_config *config,
                          struct net **out, struct err *e);
/* Of a machine that is restored: @has_net says whether it was started with the device. */
MUST_CHECK int net_check_restored(const struct net_choice *choice, bool has_net, struct err *e);

#endif
