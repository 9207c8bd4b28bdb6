/* SPDX-License-Identifier: MIT */
/* Probes of policy: read from files, of this machine or of a recording. */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "os/os.h"
#include "probe/probe-int.h"

/* @path is absolute; below @root where that is not AT_FDCWD. */
static int read_below(int root, const char *path, struct buf *out)
{
	return os_read_file_at(root, root == AT_FDCWD ? path : path + 1, out);
}

/* A file of one line. Return: its text, or NULL if it is not there. */
static const char *read_line(int root, const char *path, struct buf *out)
{
	if (read_below(root, path, out) < 0)
		return NULL;
	while (out->len && out->data[out->len - 1] == '\n')
		out->len--;
	return buf_text(out);
}

static bool read_status(int root, const char *path, struct arena *a, struct proc_status *s,
                        struct probe_result *r)
{
	AUTO(buf) struct buf text = {0};
	struct err e = {0};
	int code = read_below(root, path, &text);

	if (code < 0) {
		probe_unknown(r, "%s: %s", path, strerror(-code));
		return false;
	}
	if (proc_parse_status(buf_span(&text), a, s, &e)) {
		probe_unknown(r, "%.120s", e.text);
		return false;
	}
	return true;
}

static void tell_seccomp(int root, const char *path, const char *who, struct probe_result *r)
{
	AUTO(arena) struct arena a = {0};
	struct proc_status s;

	if (!read_status(root, path, &a, &s, r))
		return;
	if (!s.seccomp)
		probe_yes(r, "%s has no filter", who);
	else if (s.seccomp_filters >= 0)
		probe_no(r, "%s has %d filter%s", who, s.seccomp_filters,
		         s.seccomp_filters == 1 ? "" : "s");
	else
		probe_no(r, "%s has filters, this kernel does not say how many", who);
}

void probe_seccomp_init(int root, struct probe_result *r)
{
	tell_seccomp(root, "/proc/1/status", "PID 1", r);
}

void probe_seccomp_self(int root, struct probe_result *r)
{
	tell_seccomp(root, "/proc/self/status", "this program", r);
}

void probe_yama(int root, struct probe_result *r)
{
	static const char *const meaning[] = {
		"0: any program of the same user may be traced",
		"1: only descendants may be traced without CAP_SYS_PTRACE",
		"2: only CAP_SYS_PTRACE may trace",
		"3: nobody may trace until the next boot",
	};
	AUTO(buf) struct buf b = {0};
	const char *text = read_line(root, "/proc/sys/kernel/yama/ptrace_scope", &b);
	uint64_t scope;

	if (!text)
		probe_yes(r, "there is no Yama");
	else if (text_to_u64(text, 10, 3, &scope))
		probe_unknown(r, "ptrace_scope is \"%.20s\"", text);
	else if (scope)
		probe_no(r, "%s", meaning[scope]);
	else
		probe_yes(r, "%s", meaning[scope]);
}

static void tell_capability(int root, unsigned number, struct probe_result *r)
{
	AUTO(arena) struct arena a = {0};
	const uint64_t bit = UINT64_C(1) << number;
	struct proc_status s;

	if (!read_status(root, "/proc/self/status", &a, &s, r))
		return;
	if (s.cap_eff & bit)
		probe_yes(r, "effective");
	else if (s.cap_prm & bit)
		probe_no(r, "permitted but not effective");
	else if (s.cap_bnd & bit)
		probe_no(r, "not held; root would have it");
	else
		probe_no(r, "not even in the bounding set: root does not have it here");
}

void probe_cap_checkpoint_restore(int root, struct probe_result *r)
{
	tell_capability(root, CAP_CHECKPOINT_RESTORE, r);
}

void probe_cap_sys_admin(int root, struct probe_result *r)
{
	tell_capability(root, CAP_SYS_ADMIN, r);
}

void probe_cap_sys_ptrace(int root, struct probe_result *r)
{
	tell_capability(root, CAP_SYS_PTRACE, r);
}

void probe_cap_sys_resource(int root, struct probe_result *r)
{
	tell_capability(root, CAP_SYS_RESOURCE, r);
}

void probe_cap_net_admin(int root, struct probe_result *r)
{
	tell_capability(root, CAP_NET_ADMIN, r);
}

void probe_lockdown(int root, struct probe_result *r)
{
	AUTO(buf) struct buf b = {0};
	const char *text = read_line(root, "/sys/kernel/security/lockdown", &b);

	/* "none [integrity] confidentiality": the mode that is set stands in brackets. */
	if (!text)
		probe_yes(r, "there is no lockdown");
	else if (strstr(text, "[none]"))
		probe_yes(r, "lockdown is off");
	else
		probe_no(r, "lockdown: %.100s", text);
}

void probe_user_namespace_limit(int root, struct probe_result *r)
{
	static const struct {
		const char *path;
		bool zero_forbids;
		const char *says;
	} switches[] = {
		{"/proc/sys/user/max_user_namespaces", true, "max_user_namespaces is 0"},
		{"/proc/sys/kernel/unprivileged_userns_clone", true,
	         "unprivileged_userns_clone is 0"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", false,
	         "AppArmor takes the capabilities of unprivileged user namespaces away"},
	};
	uint64_t value, limit = UINT64_MAX;

	for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
		AUTO(buf) struct buf b = {0};
		const char *text = read_line(root, switches[i].path, &b);

		if (!text || text_to_u64(text, 10, UINT64_MAX, &value))
			continue;
		if (!value == switches[i].zero_forbids) {
			probe_no(r, "%s", switches[i].says);
			return;
		}
		if (!i)
			limit = value;
	}
	if (limit == UINT64_MAX)
		probe_unknown(r, "this kernel says nothing about user namespaces");
	else
		probe_yes(r, "up to %" PRIu64, limit);
}
