/* SPDX-License-Identifier: MIT */
/* Fault points and forced fallbacks: how tests reach the error paths. */
#include "base.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
	bool read; /* the environment was looked at */
	bool kill;
	uint64_t passage; /* which passage fails, from 1 */
	uint64_t seen;
	char name[48]; /* empty: nothing armed */
} fault;

void fault_arm(const char *spec)
{
	const char *colon;

	memset(&fault, 0, sizeof(fault));
	fault.read = true;
	fault.passage = 1;
	if (!spec)
		return;
	colon = strchr(spec, ':');
	snprintf(fault.name, sizeof(fault.name), "%.*s",
	         (int)(colon ? colon - spec : (long)strlen(spec)), spec);
	for (; colon; colon = strchr(colon + 1, ':')) {
		if (text_starts(colon, ":kill"))
			fault.kill = true;
		else
			fault.passage = strtoull(colon + 1, NULL, 10);
	}
}

enum fault_answer fault_point(const char *name)
{
	if (!fault.read)
		fault_arm(getenv("WSLX_FAULT"));
	if (!fault.name[0] || strcmp(name, fault.name) || ++fault.seen != fault.passage)
		return FAULT_NONE;
	if (fault.kill)
		raise(SIGKILL);
	return FAULT_FAIL;
}

bool fallback_forced(const char *name)
{
	const char *p = getenv("WSLX_FORCE");
	size_t n = strlen(name);

	while (p && *p) {
		size_t len = strcspn(p, ",");

		if (len == n && !memcmp(p, name, n))
			return true;
		p += len + (p[len] == ',');
	}
	return false;
}
