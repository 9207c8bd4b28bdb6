/* SPDX-License-Identifier: MIT */
#include "cmd/net.h"

#include <string.h>

static int choose(const char *text, struct net_choice *c, struct err *e)
{
	c->on = text_starts(text, "user");
	c->wanted = c->on;
	c->options.host_loopback = !strcmp(text, "user,host");
	if (c->options.host_loopback || !strcmp(text, "user") || !strcmp(text, "none"))
		return 0;
	return err_say(e, -EINVAL, "--net %s: this is none of user, user,host, none", text);
}

int net_choose(const struct args *args, bool on, struct net_choice *out, struct err *e)
{
	const char *text = arg_value(args, "net");
	struct net_options *o = &out->options;
	int at = 0, r;

	*out = (struct net_choice){.on = on};
	r = text ? choose(text, out, e) : 0;
	while (!r && (text = arg_next(args, "publish", &at))) {
		if (o->n_publish == NET_PUBLISH_MAX)
			return err_say(e, -EINVAL, "--publish: a machine has at most %d ports",
			               NET_PUBLISH_MAX);
		r = net_parse_publish(text, &o->publish[o->n_publish++], e);
	}
	if (r || !o->n_publish)
		return r;
	if (arg_is_set(args, "net") && !out->on)
		return err_say(e, -EINVAL, "--publish needs a network, and --net none has none");
	out->on = out->wanted = true;
	return 0;
}

int net_begin(const struct net_choice *choice, struct net **out, struct err *e)
{
	if (!choice->on || choice->options.n_publish)
		return 0;
	*out = net_start(&choice->options, e);
	return *out ? 0 : e->code;
}

int net_attach(const struct net_choice *choice, struct vm_config *config, struct net **out,
               struct err *e)
{
	if (!config->has_net || !choice->on) {
		net_destroy(*out);
		*out = NULL;
		return 0;
	}
	if (!*out)
		*out = net_start(&choice->options, e);
	if (!*out)
		return e->code;
	config->wire = net_wire(*out);
	return 0;
}

int net_check_restored(const struct net_choice *choice, bool has_net, struct err *e)
{
	if (has_net || !choice->wanted)
		return 0;
	return err_say(e, OBSTACLE,
	               "this machine was started without a network and has no device for it; start "
	               "it with --net user");
}
