/* SPDX-License-Identifier: MIT */
/*
 * Is this machine, or one program on it, ready to be snapshotted? A report as data; whoever
 * prints it takes one of the two renderings.
 */
#ifndef WSLX_READY_H
#define WSLX_READY_H

#include "probe/probe.h"
#include "ready/channels.h"
#include "ready/view.h"

enum ready_class {
	READY_RESTORABLE,  /* with every profile, and by this version */
	READY_NET,         /* with --profile net or full */
	READY_FULL,        /* with --profile full */
	READY_COOPERATIVE, /* only if the program, or its peer, does its part */
	READY_NOT,
	READY_CLASSES,
};
/*
 * The last class that the process engine of this version takes: a tree with anything beyond it
 * is not ready, whatever the classes promise for the profiles to come.
 */
#define READY_TAKEN READY_RESTORABLE
const char *ready_class_name(enum ready_class class);

enum ready_verdict {
	READY_YES,
	READY_PARTLY, /* something is lost or needs a profile; it is said what */
	READY_NO,     /* an obstacle: a snapshot would be refused */
};
const char *ready_verdict_name(enum ready_verdict verdict);

struct ready_feature {
	const struct probe *probe;
	struct probe_result result;
};

struct ready_channel {
	const struct channel *channel;
	enum channel_presence presence;
	const char *seen;
};

/* One thing that a program of the tree holds. */
struct ready_resource {
	pid_t pid;
	const char *where; /* "descriptor 3", "memory at 7f..", "process" */
	const char *sign;  /* what the table of kinds is looked up with: "socket:TCP:LISTEN" */
	const char *shows; /* what /proc shows of it: "socket:[4711]" */
	const char *kind;  /* its name for people */
	enum ready_class class;
	const char *sentence; /* what it means, or NULL if there is nothing to say */
};

struct ready_options {
	const char *root; /* directory of a recording; NULL: this machine */
	pid_t pid;        /* report on the tree below it; 0: the machine alone */
	/*
	 * What the process engine said when it was asked (flow_ask_proc()): struct obstacle, none if
	 * it would take the tree. It is believed over the table of kinds. NULL: it was not asked.
	 */
	const struct list *obstacles;
};

struct ready_report {
	struct arena arena; /* owns everything here */
	const char *recording;
	const char *kernel;   /* release */
	struct list features; /* struct ready_feature */
	struct wsl wsl;
	struct list channels; /* struct ready_channel that are not absent; WSL2 only */
	pid_t pid;
	const char *command;
	size_t n_tasks;
	struct list resources; /* struct ready_resource */
	size_t counts[READY_CLASSES];
	enum ready_verdict host_verdict; /* of the machine */
	enum ready_verdict tree_verdict; /* of the tree; READY_YES without one */
	enum ready_verdict verdict;      /* the worse of the two */
	struct list reasons;             /* const char *: the verdict's, worst first */
};

/**
 * ready_build() - look at everything
 * @out: finished by the caller with ready_finish(), also after a failure
 *
 * Stops, changes and writes nothing. Return: 0 whatever the verdict; -ESRCH if there is no such
 * process; -ENOENT, -EINVAL for what is no recording.
 */
MUST_CHECK int ready_build(const struct ready_options *options, struct ready_report *out,
                           struct err *e);
void ready_finish(struct ready_report *r);
static inline void auto_ready(struct ready_report *r)
{
	ready_finish(r);
}

/* For people. @all: also what is in order; otherwise such rows are only counted. */
void ready_add_text(struct buf *out, const struct ready_report *r, bool all);
/* One JSON object. */
void ready_add_json(struct buf *out, const struct ready_report *r);

/* ---- ready-tree.c ---------------------------------------------------------------------- */

/* Fills the report's resources and counts for the marked tree of @v. */
void ready_classify_tree(struct ready_report *r, const struct view *v,
                         const struct list *obstacles);
/* The row of the table of kinds for @sign; for tests. */
enum ready_class ready_class_of(const char *sign, const char **kind, const char **sentence);

#endif
