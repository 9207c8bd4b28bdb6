/* SPDX-License-Identifier: MIT */
/*
 * The integration channels of WSL2: what lies on the other end of a distribution's vsocks,
 * mounts and devices, and what becomes of each when the line is cut.
 */
#ifndef WSLX_READY_CHANNELS_H
#define WSLX_READY_CHANNELS_H

#include "ready/view.h"

enum channel_class {
	CHANNEL_APART,      /* belongs to the host; never part of this kind of snapshot */
	CHANNEL_RESTORABLE, /* goes on by itself */
	CHANNEL_HANDSHAKE,  /* must be set up again, which can be done */
	CHANNEL_LOST,
};

struct channel {
	unsigned number;
	const char *name, *transport, *owner;
	const char *signs; /* how it is recognised: see data/wsl-channels.tsv */
	const char *cut;   /* what happens when it is cut */
	const char *again; /* how it comes back */
	enum channel_class process, machine;
	const char *process_reason, *machine_reason;
};

extern const struct channel channels[];
extern const size_t n_channels;
const char *channel_class_name(enum channel_class class);

/* Networking modes of WSL2, as far as the modes differ for a snapshot. */
enum wsl_mode {
	WSL_MODE_UNKNOWN,
	WSL_MODE_NAT,
	WSL_MODE_BRIDGED,
	WSL_MODE_MIRRORED,
	WSL_MODE_CONSOMME,
	WSL_MODE_NONE,
};
const char *wsl_mode_name(enum wsl_mode mode);

struct wsl {
	int version;     /* 0: not WSL; 1; 2 */
	const char *how; /* it was recognised */
	enum wsl_mode mode;
	const char *mode_how;
	/* The processes of init carry a filter that a restore inherits and cannot remove. */
	bool filtered;
};

/* Is this WSL, and how does it reach the network? Strings are static or the view's. */
void wsl_detect(const struct view *v, struct wsl *out);

/*
 * Is this the port of one of the WSL service's own listeners on the host? The service uses
 * 50000 to 50005, and 51000 to 51005 when it was installed beside another one.
 */
bool wsl_is_service(uint32_t cid, uint32_t port);
/* Is this a process of WSL itself (init, relays, trackers), which must never be frozen? */
bool wsl_is_own_process(const struct view_proc *p);

enum channel_presence {
	CHANNEL_ABSENT,
	CHANNEL_IMPLIED, /* not visible from here, but every such machine has it */
	CHANNEL_SEEN,
};

/**
 * channel_look() - is a channel there?
 * @seen: set to what gave it away, in the view's arena; untouched if it is absent
 */
enum channel_presence channel_look(const struct channel *c, const struct view *v,
                                   const struct wsl *wsl, const char **seen);

#endif
