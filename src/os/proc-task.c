/* SPDX-License-Identifier: MIT */
/* /proc/PID/{stat,status,timers,limits}: what a task is. */
#include "os/proc.h"

#include <signal.h>
#include <sys/resource.h>

#include "os/cursor.h"

/* ---- stat ------------------------------------------------------------------------------ */

#define STAT_FIELDS 52 /* exit_code, the last one, is there since Linux 3.5 */

/* Numbered as in proc(5). The numbers that are not here are of no use to a snapshot. */
static const struct stat_field {
	uint8_t number;
	uint8_t bytes; /* 4: signed, 8: unsigned */
	uint16_t offset;
} stat_fields[] = {
#define STAT_FIELD(number, member)                                                                 \
	{                                                                                          \
		number, sizeof(((struct proc_stat *)0)->member),                                   \
			offsetof(struct proc_stat, member)                                         \
	}
	STAT_FIELD(4, ppid),         STAT_FIELD(5, pgrp),         STAT_FIELD(6, session),
	STAT_FIELD(7, tty_nr),       STAT_FIELD(8, tpgid),        STAT_FIELD(9, flags),
	STAT_FIELD(19, nice),        STAT_FIELD(20, n_threads),   STAT_FIELD(22, start_time),
	STAT_FIELD(26, start_code),  STAT_FIELD(27, end_code),    STAT_FIELD(28, start_stack),
	STAT_FIELD(38, exit_signal), STAT_FIELD(40, rt_priority), STAT_FIELD(41, policy),
	STAT_FIELD(45, start_data),  STAT_FIELD(46, end_data),    STAT_FIELD(47, start_brk),
	STAT_FIELD(48, arg_start),   STAT_FIELD(49, arg_end),     STAT_FIELD(50, env_start),
	STAT_FIELD(51, env_end),     STAT_FIELD(52, exit_code),
};

static bool stat_store(struct cursor word, const struct stat_field *f, struct proc_stat *s)
{
	uint8_t *member = (uint8_t *)s + f->offset;
	uint64_t u64;
	int32_t i32;

	if (f->bytes == sizeof(u64)) {
		if (!cursor_u64(&word, 10, UINT64_MAX, &u64) || !cursor_done(&word))
			return false;
		memcpy(member, &u64, sizeof(u64));
	} else {
		if (!cursor_i32(&word, &i32) || !cursor_done(&word))
			return false;
		memcpy(member, &i32, sizeof(i32));
	}
	return true;
}

/* All states are letters; new ones come with new kernels. */
static bool is_state(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

int proc_parse_stat(struct span text, struct proc_stat *out, struct err *e)
{
	struct cursor whole = cursor_of(text), c = whole, word;
	const struct stat_field *f = stat_fields;
	struct proc_stat s = {0};
	const char *close;

	/* The name is not escaped and may hold anything, a ')' or a newline too; nothing that
	 * follows it can. */
	if (!cursor_i32(&c, &s.pid) || !cursor_text(&c, " ("))
		return cursor_refuse(e, "stat", whole);
	close = cursor_done(&c) ? NULL : memrchr(c.at, ')', cursor_left(&c));
	if (!close || (size_t)(close - c.at) > sizeof(s.comm) - 1)
		return cursor_refuse(e, "stat", whole);
	memcpy(s.comm, c.at, (size_t)(close - c.at));
	c.at = close + 1;
	if (cursor_left(&c) && c.end[-1] == '\n')
		c.end--;
	if (!cursor_char(&c, ' ') || !cursor_word(&c, &word) || cursor_left(&word) != 1 ||
	    !is_state(*word.at))
		return cursor_refuse(e, "stat", whole);
	s.state = *word.at;
	for (unsigned number = 4; number <= STAT_FIELDS; number++) {
		if (!cursor_char(&c, ' ') || !cursor_word(&c, &word))
			return cursor_refuse(e, "stat", whole);
		if (f < stat_fields + ARRAY_LEN(stat_fields) && f->number == number) {
			if (!stat_store(word, f, &s))
				return cursor_refuse(e, "stat", whole);
			f++;
		}
	}
	*out = s;
	return 0;
}

/* ---- status ---------------------------------------------------------------------------- */

enum status_form {
	STATUS_NAME,
	STATUS_STATE,
	STATUS_I32,
	STATUS_OCTAL32,
	STATUS_IDS, /* four uint32_t */
	STATUS_HEX64,
	STATUS_KB,
	STATUS_GROUPS,
	STATUS_NSPID,
	STATUS_FEATURES,
};

static const struct status_line {
	const char *key;
	uint8_t form; /* enum status_form */
	bool required;
	uint16_t offset;
} status_lines[] = {
#define STATUS_LINE(key, form, required, member)                                                   \
	{                                                                                          \
		key, form, required, offsetof(struct proc_status, member)                          \
	}
	STATUS_LINE("Name", STATUS_NAME, true, name),
	STATUS_LINE("State", STATUS_STATE, true, state),
	STATUS_LINE("Tgid", STATUS_I32, true, tgid),
	STATUS_LINE("Pid", STATUS_I32, true, pid),
	STATUS_LINE("PPid", STATUS_I32, true, ppid),
	STATUS_LINE("TracerPid", STATUS_I32, true, tracer_pid),
	STATUS_LINE("Uid", STATUS_IDS, true, uid),
	STATUS_LINE("Gid", STATUS_IDS, true, gid),
	STATUS_LINE("Groups", STATUS_GROUPS, true, groups),
	STATUS_LINE("SigPnd", STATUS_HEX64, true, sig_pending),
	STATUS_LINE("ShdPnd", STATUS_HEX64, true, shared_pending),
	STATUS_LINE("SigBlk", STATUS_HEX64, true, sig_blocked),
	STATUS_LINE("SigIgn", STATUS_HEX64, true, sig_ignored),
	STATUS_LINE("SigCgt", STATUS_HEX64, true, sig_caught),
	STATUS_LINE("CapInh", STATUS_HEX64, true, cap_inh),
	STATUS_LINE("CapPrm", STATUS_HEX64, true, cap_prm),
	STATUS_LINE("CapEff", STATUS_HEX64, true, cap_eff),
	STATUS_LINE("CapBnd", STATUS_HEX64, true, cap_bnd),
	STATUS_LINE("CapAmb", STATUS_HEX64, false, cap_amb),
	STATUS_LINE("NoNewPrivs", STATUS_I32, false, no_new_privs),
	STATUS_LINE("Seccomp", STATUS_I32, false, seccomp),
	STATUS_LINE("Seccomp_filters", STATUS_I32, false, seccomp_filters),
	STATUS_LINE("Umask", STATUS_OCTAL32, false, umask),
	STATUS_LINE("NSpid", STATUS_NSPID, false, ns_pid),
	STATUS_LINE("THP_enabled", STATUS_I32, false, thp_enabled),
	STATUS_LINE("x86_Thread_features", STATUS_FEATURES, false, shadow_stack),
	STATUS_LINE("VmSize", STATUS_KB, false, vm_size_kb),
	STATUS_LINE("VmRSS", STATUS_KB, false, vm_rss_kb),
	STATUS_LINE("VmLck", STATUS_KB, false, vm_locked_kb),
	STATUS_LINE("RssAnon", STATUS_KB, false, rss_anon_kb),
	STATUS_LINE("RssShmem", STATUS_KB, false, rss_shmem_kb),
};
_Static_assert(ARRAY_LEN(status_lines) <= 64, "which lines were seen is kept in a uint64_t");

/* Here, unlike in stat, the kernel writes a newline as \n and a backslash as \\. */
static bool status_name(struct cursor c, char out[64])
{
	char *end = out + 63;

	while (!cursor_done(&c)) {
		char ch = *c.at++;

		if (ch == '\\' && cursor_char(&c, 'n'))
			ch = '\n';
		else if (ch == '\\' && !cursor_char(&c, '\\'))
			return false;
		if (out == end)
			return false;
		*out++ = ch;
	}
	*out = 0;
	return true;
}

static bool status_value(struct cursor c, const struct status_line *line, struct arena *a,
                         struct proc_status *s)
{
	void *member = (uint8_t *)s + line->offset;
	struct cursor word;
	uint64_t id;

	/* One tab stands before every value; a name may begin with more. */
	if (!cursor_char(&c, '\t'))
		return false;
	switch ((enum status_form)line->form) {
	case STATUS_NAME:
		return status_name(c, member);
	case STATUS_STATE:
		if (cursor_done(&c) || !is_state(*c.at))
			return false;
		s->state = *c.at;
		return true;
	case STATUS_I32:
		return cursor_i32(&c, member) && cursor_done(&c);
	case STATUS_OCTAL32:
		return cursor_u32(&c, 8, member) && cursor_done(&c);
	case STATUS_IDS:
		for (int i = 0; i < 4; i++) {
			if (!cursor_blanks(&c) || !cursor_u32(&c, 10, (uint32_t *)member + i))
				return false;
		}
		return cursor_done(&c);
	case STATUS_HEX64:
		return cursor_u64(&c, 16, UINT64_MAX, member) && cursor_done(&c);
	case STATUS_KB:
		return cursor_blanks(&c) && cursor_u64(&c, 10, UINT64_MAX, member) &&
		       cursor_is(c, " kB");
	case STATUS_GROUPS:
		s->groups = (struct list){0};
		while (cursor_blanks(&c) && !cursor_done(&c)) {
			if (s->groups.count == PROC_GROUPS_MAX ||
			    !cursor_u64(&c, 10, UINT32_MAX, &id))
				return false;
			*LIST_ADD(&s->groups, a, uint64_t) = id;
		}
		return true;
	case STATUS_NSPID:
		s->ns_levels = 0;
		while (cursor_blanks(&c) && !cursor_done(&c)) {
			if (!cursor_i32(&c, &s->ns_pid))
				return false;
			s->ns_levels++;
		}
		return s->ns_levels > 0;
	case STATUS_FEATURES:
		s->shadow_stack = 0;
		while (cursor_blanks(&c) && cursor_word(&c, &word))
			s->shadow_stack |= cursor_is(word, "shstk");
		return true;
	}
	return false;
}

int proc_parse_status(struct span text, struct arena *a, struct proc_status *out, struct err *e)
{
	struct proc_status s = {.umask = UINT32_MAX, .seccomp_filters = -1, .thp_enabled = -1};
	struct cursor c = cursor_of(text), line;
	uint64_t seen = 0;

	while (cursor_line(&c, &line)) {
		struct cursor value = line, key = cursor_until(&value, ':');

		for (size_t i = 0; i < ARRAY_LEN(status_lines); i++) {
			if (!cursor_is(key, status_lines[i].key))
				continue;
			if (!status_value(value, &status_lines[i], a, &s))
				return cursor_refuse(e, "status", line);
			seen |= UINT64_C(1) << i;
			break;
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(status_lines); i++) {
		if (status_lines[i].required && !(seen >> i & 1))
			return err_say(e, -EBADMSG, "status: there is no line \"%s:\"",
			               status_lines[i].key);
	}
	if (!s.ns_levels) {
		/* A kernel without pid namespaces does not write NSpid. */
		s.ns_levels = 1;
		s.ns_pid = s.pid;
	}
	*out = s;
	return 0;
}

/* ---- timers ---------------------------------------------------------------------------- */

static bool timer_notify(struct cursor *c, struct proc_timer *t)
{
	if (cursor_text(c, "signal"))
		t->notify = SIGEV_SIGNAL;
	else if (cursor_text(c, "none"))
		t->notify = SIGEV_NONE;
	else if (cursor_text(c, "thread"))
		t->notify = SIGEV_THREAD;
	else
		return false;
	t->thread = cursor_text(c, "/tid.");
	return (t->thread || cursor_text(c, "/pid.")) && cursor_i32(c, &t->target);
}

int proc_parse_timers(struct span text, struct arena *a, struct list *out, struct err *e)
{
	struct cursor c = cursor_of(text), line, first;
	struct list timers = {0};

	while (cursor_line(&c, &line)) {
		struct proc_timer t = {0};

		/* Four lines a timer, in this order since Linux 3.10. */
		first = line;
		if (!cursor_text(&line, "ID: ") || !cursor_i32(&line, &t.id) || !cursor_done(&line))
			return cursor_refuse(e, "timers", first);
		if (!cursor_line(&c, &line))
			return cursor_refuse(e, "timers", first);
		first = line;
		if (!cursor_text(&line, "signal: ") || !cursor_i32(&line, &t.signal) ||
		    !cursor_char(&line, '/') || !cursor_u64(&line, 16, UINT64_MAX, &t.sigval) ||
		    !cursor_done(&line) || !cursor_line(&c, &line))
			return cursor_refuse(e, "timers", first);
		first = line;
		if (!cursor_text(&line, "notify: ") || !timer_notify(&line, &t) ||
		    !cursor_done(&line) || !cursor_line(&c, &line))
			return cursor_refuse(e, "timers", first);
		first = line;
		if (!cursor_text(&line, "ClockID: ") || !cursor_i32(&line, &t.clock) ||
		    !cursor_done(&line))
			return cursor_refuse(e, "timers", first);
		*LIST_ADD(&timers, a, struct proc_timer) = t;
	}
	*out = timers;
	return 0;
}

/* ---- limits ---------------------------------------------------------------------------- */

static const char *const limit_names[PROC_LIMITS] = {
	[RLIMIT_CPU] = "Max cpu time",
	[RLIMIT_FSIZE] = "Max file size",
	[RLIMIT_DATA] = "Max data size",
	[RLIMIT_STACK] = "Max stack size",
	[RLIMIT_CORE] = "Max core file size",
	[RLIMIT_RSS] = "Max resident set",
	[RLIMIT_NPROC] = "Max processes",
	[RLIMIT_NOFILE] = "Max open files",
	[RLIMIT_MEMLOCK] = "Max locked memory",
	[RLIMIT_AS] = "Max address space",
	[RLIMIT_LOCKS] = "Max file locks",
	[RLIMIT_SIGPENDING] = "Max pending signals",
	[RLIMIT_MSGQUEUE] = "Max msgqueue size",
	[RLIMIT_NICE] = "Max nice priority",
	[RLIMIT_RTPRIO] = "Max realtime priority",
	[RLIMIT_RTTIME] = "Max realtime timeout",
};

static bool limit_value(struct cursor *c, uint64_t *out)
{
	cursor_blanks(c);
	if (cursor_text(c, "unlimited")) {
		*out = UINT64_MAX;
		return true;
	}
	return cursor_u64(c, 10, UINT64_MAX, out);
}

int proc_parse_limits(struct span text, struct proc_limit out[PROC_LIMITS], struct err *e)
{
	struct proc_limit limits[PROC_LIMITS];
	struct cursor c = cursor_of(text), line;
	uint32_t seen = 0;

	while (cursor_line(&c, &line)) {
		for (size_t i = 0; i < PROC_LIMITS; i++) {
			struct cursor rest = line;

			if (!cursor_text(&rest, limit_names[i]) || !cursor_char(&rest, ' '))
				continue;
			if (!limit_value(&rest, &limits[i].soft) || !cursor_char(&rest, ' ') ||
			    !limit_value(&rest, &limits[i].hard))
				return cursor_refuse(e, "limits", line);
			seen |= 1u << i;
			break;
		}
	}
	for (size_t i = 0; i < PROC_LIMITS; i++) {
		if (!(seen >> i & 1))
			return err_say(e, -EBADMSG, "limits: there is no line \"%s\"",
			               limit_names[i]);
	}
	memcpy(out, limits, sizeof(limits));
	return 0;
}
