/* SPDX-License-Identifier: MIT */
/*
 * The /proc parsers on texts recorded from running kernels: 6.18 unless a name says otherwise.
 */
#include "os/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

static struct span text(const char *t)
{
	return span_of_text(t);
}

/* The whole of a file that the kernel makes up as it is read. */
static void slurp(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	ok(fd >= 0, "%s", path);
	while (fd >= 0 && n > 0) {
		buf_reserve(out, 65536);
		n = read(fd, out->data + out->len, 65536);
		ok(n >= 0, "%s", path);
		if (n > 0)
			out->len += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
}

/* ---- stat ------------------------------------------------------------------------------ */

#define STAT_TAIL                                                                                  \
	" R 5985 5985 4770 34817 -1 4194304 101 0 0 0 0 0 0 0 20 -5 3 0 124486 3133440 408 "       \
	"18446744073709551615 94857640263680 94857640283561 140732925675968 0 0 0 0 0 0 0 0 0 17 " \
	"0 50 1 0 0 0 94857640299568 94857640301184 94858347503616 140732925684188 "               \
	"140732925684208 140732925684209 140732925685739 9\n"

static void stat_gives_every_field_its_own_value(void)
{
	struct proc_stat s;
	struct err e = {0};

	ok(!proc_parse_stat(text("5987 (cat)" STAT_TAIL), &s, &e), "%s", e.text);
	ok(s.pid == 5987 && !strcmp(s.comm, "cat") && s.state == 'R');
	ok(s.ppid == 5985 && s.pgrp == 5985 && s.session == 4770);
	ok(s.tty_nr == 34817 && s.tpgid == -1 && s.flags == 4194304);
	ok(s.nice == -5 && s.n_threads == 3 && s.start_time == 124486);
	ok(s.start_code == 94857640263680 && s.end_code == 94857640283561);
	ok(s.start_stack == 140732925675968 && s.exit_signal == 17);
	ok(s.rt_priority == 50 && s.policy == 1);
	ok(s.start_data == 94857640299568 && s.end_data == 94857640301184);
	ok(s.start_brk == 94858347503616);
	ok(s.arg_start == 140732925684188 && s.arg_end == 140732925684208);
	ok(s.env_start == 140732925684209 && s.env_end == 140732925685739);
	ok(s.exit_code == 9);
}

static void a_name_may_look_like_the_rest_of_stat(void)
{
	struct proc_stat s;
	struct err e = {0};

	ok(!proc_parse_stat(text("7 (a) Z 1\n (b))" STAT_TAIL), &s, &e), "%s", e.text);
	ok(!strcmp(s.comm, "a) Z 1\n (b)") && s.state == 'R' && s.ppid == 5985);
	ok(!proc_parse_stat(text("7 ()" STAT_TAIL), &s, &e) && !*s.comm);
}

static void half_a_stat_is_refused_and_changes_nothing(void)
{
	const char whole[] = "5987 (cat)" STAT_TAIL;
	struct proc_stat s = {.pid = 77};
	struct err e;

	/* The last field is one digit: without it, and at every shorter length, it is bad. */
	for (size_t n = 0; n < sizeof(whole) - 3; n++) {
		e = (struct err){0};
		ok(proc_parse_stat(SPAN(whole, n), &s, &e) == -EBADMSG, "%zu bytes", n);
		ok(s.pid == 77 && e.text[0]);
	}
	ok(proc_parse_stat(text("99999999999 (cat)" STAT_TAIL), &s, NULL) == -EBADMSG);
	ok(proc_parse_stat(SPAN("7 (cat) \0" STAT_TAIL, 9 + sizeof(STAT_TAIL) - 1), &s, NULL) ==
	   -EBADMSG);
	ok(s.pid == 77);
}

/* ---- status ---------------------------------------------------------------------------- */

#define STATUS_HEAD                                                                                \
	"Name:\tcat\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t12\nNgid:\t0\nPid:\t13\n"
#define STATUS_IDS                                                                                 \
	"PPid:\t11\nTracerPid:\t14\nUid:\t1000\t1001\t1002\t1003\nGid:\t100\t101\t102\t103\n"      \
	"FDSize:\t64\nGroups:\t4 24 4294967294 \n"
#define STATUS_SIGNALS                                                                             \
	"SigQ:\t0/96343\nSigPnd:\t0000000000000001\nShdPnd:\t8000000000000002\n"                   \
	"SigBlk:\t0000000000000003\nSigIgn:\t0000000000001004\nSigCgt:\t0000000000000005\n"        \
	"CapInh:\t0000000000000006\nCapPrm:\t000001fffeffffff\nCapEff:\t0000000000000007\n"        \
	"CapBnd:\t000001ffffffffff\nCapAmb:\t0000000000000008\n"

static void status_of_6_18(void)
{
	AUTO(arena) struct arena a = {0};
	struct proc_status s;
	struct err e = {0};

	ok(!proc_parse_status(
		   text(STATUS_HEAD STATUS_IDS
	                "NStgid:\t12\t2\nNSpid:\t13\t3\nNSpgid:\t11\t1\nNSsid:\t11\t1\nKthread:"
	                "\t0\n"
	                "VmPeak:\t    3060 kB\nVmSize:\t    3061 kB\nVmLck:\t       5 kB\n"
	                "VmPin:\t       0 kB\nVmHWM:\t    1636 kB\nVmRSS:\t    1637 kB\n"
	                "RssAnon:\t     116 kB\nRssFile:\t    1520 kB\nRssShmem:\t       7 kB\n"
	                "CoreDumping:\t0\nTHP_enabled:\t1\nuntag_mask:\t0xffffffffffffffff\n"
	                "Threads:\t1\n" STATUS_SIGNALS
	                "NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"
	                "Speculation_Store_Bypass:\tthread vulnerable\nCpus_allowed:\t3\n"
	                "x86_Thread_features:\tshstk wrss \nx86_Thread_features_locked:\t\n"),
		   &a, &s, &e),
	   "%s", e.text);
	ok(!strcmp(s.name, "cat") && s.state == 'S' && s.umask == 022);
	ok(s.tgid == 12 && s.pid == 13 && s.ppid == 11 && s.tracer_pid == 14);
	for (uint32_t i = 0; i < 4; i++)
		ok(s.uid[i] == 1000 + i && s.gid[i] == 100 + i, "id %u", i);
	ok(s.groups.count == 3 && *LIST_AT(&s.groups, uint64_t, 2) == 4294967294);
	ok(s.sig_pending == 1 && s.shared_pending == 0x8000000000000002 && s.sig_blocked == 3);
	ok(s.sig_ignored == 0x1004 && s.sig_caught == 5);
	ok(s.cap_inh == 6 && s.cap_prm == 0x1fffeffffff && s.cap_eff == 7);
	ok(s.cap_bnd == 0x1ffffffffff && s.cap_amb == 8);
	ok(s.no_new_privs == 1 && s.seccomp == 2 && s.seccomp_filters == 1);
	ok(s.ns_levels == 2 && s.ns_pid == 3);
	ok(s.thp_enabled == 1 && s.shadow_stack == 1);
	ok(s.vm_size_kb == 3061 && s.vm_locked_kb == 5 && s.vm_rss_kb == 1637);
	ok(s.rss_anon_kb == 116 && s.rss_shmem_kb == 7);
}

static void status_of_a_zombie_and_of_an_older_kernel(void)
{
	AUTO(arena) struct arena a = {0};
	struct proc_status s;
	struct err e = {0};

	/* A zombie has no Umask and no Vm lines; before 5.9 nobody counts filters. */
	ok(!proc_parse_status(text("Name:\tsh\nState:\tZ (zombie)\nTgid:\t9\nPid:\t9\n" STATUS_IDS
	                           "Threads:\t1\n" STATUS_SIGNALS "NoNewPrivs:\t0\nSeccomp:\t0\n"),
	                      &a, &s, &e),
	   "%s", e.text);
	ok(s.state == 'Z' && s.umask == UINT32_MAX && s.seccomp_filters == -1);
	ok(s.ns_levels == 1 && s.ns_pid == 9 && s.thp_enabled == -1 && !s.shadow_stack);
	ok(!s.vm_size_kb && !s.vm_rss_kb);
}

static void a_name_in_status_is_unescaped(void)
{
	AUTO(arena) struct arena a = {0};
	struct proc_status s = {.pid = 5};
	struct err e = {0};

	ok(!proc_parse_status(text("Name:\t\ta\\nUid: 0\\\\n: b\nState:\tS (sleeping)\nTgid:\t1\n"
	                           "Pid:\t1\n" STATUS_IDS STATUS_SIGNALS),
	                      &a, &s, &e),
	   "%s", e.text);
	ok(!strcmp(s.name, "\ta\nUid: 0\\n: b"), "%s", s.name);
	s.pid = 5;
	ok(proc_parse_status(text("Name:\ta\\x\n"), &a, &s, &e) == -EBADMSG && s.pid == 5);
}

static void what_status_must_say_is_missed(void)
{
	static const char *const parts[] = {STATUS_HEAD, STATUS_IDS, STATUS_SIGNALS};
	AUTO(arena) struct arena a = {0};
	struct proc_status s;
	struct err e = {0};

	for (size_t skip = 0; skip < ARRAY_LEN(parts); skip++) {
		AUTO(buf) struct buf b = {0};

		for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
			if (i != skip)
				buf_add_text(&b, parts[i]);
		}
		ok(proc_parse_status(buf_span(&b), &a, &s, &e) == -EBADMSG, "part %zu", skip);
		ok(strstr(e.text, "there is no line"), "%s", e.text);
	}
	ok(proc_parse_status(text(STATUS_HEAD STATUS_IDS STATUS_SIGNALS "Seccomp:\ttwo\n"), &a, &s,
	                     &e) == -EBADMSG);
	ok(strstr(e.text, "Seccomp:\\x09two"), "%s", e.text);
}

/* ---- maps, smaps ----------------------------------------------------------------------- */

/* The lines of these files are the lines here. */
/* clang-format off */

/* What stands between the header and the flags, as 6.18 prints it. */
#define SMAPS_SIZES(kb)                                                                            \
	"Size:           " kb " kB\nKernelPageSize:        4 kB\nMMUPageSize:           4 kB\n"    \
	"Rss:            " kb " kB\nPss:            " kb " kB\nPss_Dirty:             0 kB\n"      \
	"Shared_Clean:          0 kB\nShared_Dirty:          0 kB\nPrivate_Clean:  " kb " kB\n"    \
	"Private_Dirty:         0 kB\nReferenced:     " kb " kB\nAnonymous:             0 kB\n"    \
	"KSM:                   0 kB\nLazyFree:              0 kB\nAnonHugePages:         0 kB\n"  \
	"ShmemPmdMapped:        0 kB\nFilePmdMapped:         0 kB\nShared_Hugetlb:        0 kB\n"  \
	"Private_Hugetlb:       0 kB\nSwap:                  0 kB\nSwapPss:               0 kB\n"  \
	"Locked:                0 kB\nTHPeligible:           0\n"
#define KEY(n) "ProtectionKey:         " n "\n"
/* A name stands in column 74. */
#define NAMED(address) address "                         "

static const char smaps_of_6_18[] =
	NAMED("5619c61d4000-5619c61d6000 r--p 00001000 fe:00 247498") "/usr/bin/head\n"
	SMAPS_SIZES("       8") KEY("0") "VmFlags: rd mr mw me \n"
	"7fc0320f2000-7fc0320f3000 rw-p 00000000 00:00 0 \n"
	SMAPS_SIZES("       4") KEY("1") "VmFlags: rd wr mr mw me ac sl \n"
	"7fc0320f3000-7fc0320f4000 rw-p 00000000 00:00 0 \n"
	SMAPS_SIZES("       4") KEY("0") "VmFlags: rd wr mr mw me nr wf dd dp \n"
	NAMED("7fc032bba000-7fc032bbb000 rw-s 00000000 00:01 3")
	"/memfd:a name\\012\\040(deleted) (deleted)\n"
	SMAPS_SIZES("       4") KEY("0") "VmFlags: rd wr sh mr mw me ms \n"
	NAMED("7fc032d54000-7fc032d56000 r--p 00000000 00:00 0") "[vvar_vclock]\n"
	SMAPS_SIZES("       8") KEY("0") "VmFlags: rd mr pf io de dd \n"
	NAMED("7fff4aee6000-7fff4af07000 rw-p 00000000 00:00 0") "[stack]\n"
	SMAPS_SIZES("     132") KEY("0") "VmFlags: rd wr mr mw me gd ac zz ?? \n"
	NAMED("ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0") "[vsyscall]\n"
	SMAPS_SIZES("       4") "VmFlags: ex \n";
/* clang-format on */

static void smaps_tells_every_mapping_apart(void)
{
	AUTO(arena) struct arena a = {0};
	struct list l = {0};
	struct err e = {0};
	const struct proc_vma *v;

	ok(!proc_parse_maps(text(smaps_of_6_18), &a, &l, &e), "%s", e.text);
	ok(l.count == 7, "%zu", l.count);
	v = LIST_AT(&l, struct proc_vma, 0);
	ok(v->start == 0x5619c61d4000 && v->end == 0x5619c61d6000 && v->offset == 0x1000);
	ok(v->dev_major == 0xfe && v->dev_minor == 0 && v->inode == 247498);
	ok(v->prot == PROT_READ && !v->shared && !v->deleted && v->has_flags);
	ok(v->flags == (PROC_VM_MAY_READ | PROC_VM_MAY_WRITE | PROC_VM_MAY_EXEC));
	ok(!strcmp(v->name, "/usr/bin/head") && !v->unknown_flag);
	v++;
	ok(v->pkey == 1 && v->flags & PROC_VM_SEALED && v->flags & PROC_VM_ACCOUNT);
	ok(!*v->name && v->prot == (PROT_READ | PROT_WRITE));
	v++;
	ok(v->flags & PROC_VM_WIPEONFORK && v->flags & PROC_VM_DROPPABLE &&
	   v->flags & PROC_VM_DONTDUMP && v->flags & PROC_VM_NORESERVE && !v->pkey);
	v++;
	/* The newline is escaped in this file; a backslash stands for itself. */
	ok(v->shared && v->deleted && v->inode == 3 && v->dev_minor == 1);
	ok(!strcmp(v->name, "/memfd:a name\n\\040(deleted)"), "%s", v->name);
	ok(v->flags & PROC_VM_MAY_SHARE);
	v++;
	ok(!strcmp(v->name, "[vvar_vclock]") && v->flags & PROC_VM_PFNMAP &&
	   v->flags & PROC_VM_IO && v->flags & PROC_VM_DONTEXPAND);
	v++;
	ok(v->flags & PROC_VM_GROWSDOWN && v->unknown_flag && !strcmp(v->unknown_flag, "zz"));
	v++;
	ok(v->start == 0xffffffffff600000 && v->prot == PROT_EXEC && !v->flags);
}

static void every_flag_of_the_kernel_has_its_own_bit(void)
{
	static const char names[] =
		"gd lo dc dd wf hg nh mg nr ht rr sr ac io pf mm de um uw ui sl "
		"dp ss mr mw me ms lf sd sf ar";
	AUTO(arena) struct arena a = {0};
	uint32_t all = 0;

	for (const char *p = names; p < names + sizeof(names) - 1; p += 3) {
		char file[128];
		struct list l = {0};
		uint32_t flags;

		snprintf(file, sizeof(file), "1000-2000 rwxp 00000000 00:00 0 \nVmFlags: %.2s \n",
		         p);
		ok(!proc_parse_maps(text(file), &a, &l, NULL) && l.count == 1, "%.2s", p);
		flags = LIST_AT(&l, struct proc_vma, 0)->flags;
		ok(flags == 1u << ((p - names) / 3), "%.2s is %x", p, flags);
		ok(!LIST_AT(&l, struct proc_vma, 0)->unknown_flag, "%.2s", p);
		all |= flags;
	}
	ok(all == 0x7fffffff, "%x", all);
}

static void maps_has_no_flags(void)
{
	AUTO(arena) struct arena a = {0};
	struct list l = {0};
	struct err e = {0};

	ok(!proc_parse_maps(text("00400000-00401000 r-xp 00000000 08:10 42 /a b (deleted)\n"
	                         "00401000-00402000 ---p 00000000 00:00 0 [anon:mine]\n"
	                         "00500000-00501000 rw-s 00000000 00:01 9 /SYSV00000000 (deleted)"),
	                    &a, &l, &e),
	   "%s", e.text);
	ok(l.count == 3 && !LIST_AT(&l, struct proc_vma, 0)->has_flags);
	ok(!strcmp(LIST_AT(&l, struct proc_vma, 0)->name, "/a b"));
	ok(LIST_AT(&l, struct proc_vma, 0)->dev_minor == 0x10);
	ok(!strcmp(LIST_AT(&l, struct proc_vma, 1)->name, "[anon:mine]"));
	ok(!LIST_AT(&l, struct proc_vma, 1)->deleted && !LIST_AT(&l, struct proc_vma, 1)->prot);
	ok(!strcmp(LIST_AT(&l, struct proc_vma, 2)->name, "/SYSV00000000"));
	ok(!proc_parse_maps(text(""), &a, &l, &e) && !l.count);
}

static void maps_that_no_kernel_writes_are_refused(void)
{
	static const char *const bad[] = {
		"Size: 4 kB\n",
		"2000-1000 r--p 00000000 00:00 0\n",
		"1000-2000 r--q 00000000 00:00 0\n",
		"1000-2000 r--p 00000000 00:00\n",
		"1000-2000 r--p 00000000 00:00 0x\n",
		"1000-3000 r--p 00000000 00:00 0\n2000-4000 r--p 00000000 00:00 0\n",
		"10000000000000000-2000 r--p 00000000 00:00 0\n",
		"1000-2000 r--p 00000000 00:00 0\n\n",
		"1000-2000 r--p 00000000 00:00 0\nProtectionKey: x\n",
	};
	AUTO(arena) struct arena a = {0};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct list l = {.count = 99};
		struct err e = {0};

		ok(proc_parse_maps(text(bad[i]), &a, &l, &e) == -EBADMSG, "%s", bad[i]);
		ok(l.count == 99 && e.text[0], "%s", bad[i]);
	}
}

static void our_own_smaps_agrees_with_our_maps(void)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf maps = {0}, smaps = {0};
	struct list l = {0}, m = {0};
	struct err e = {0};
	bool found = false;
	void *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ok(page != MAP_FAILED && !madvise(page, 8192, MADV_WIPEONFORK));
	/* The buffers grow to what they need before the addresses are compared. */
	buf_reserve(&maps, 1 << 20);
	buf_reserve(&smaps, 1 << 20);
	slurp("/proc/self/maps", &maps);
	slurp("/proc/self/smaps", &smaps);
	ok(!proc_parse_maps(buf_span(&maps), &a, &m, &e), "%s", e.text);
	ok(!proc_parse_maps(buf_span(&smaps), &a, &l, &e), "%s", e.text);
	ok(l.count == m.count && l.count > 5, "%zu and %zu", l.count, m.count);
	for (size_t i = 0; i < MIN(l.count, m.count); i++) {
		const struct proc_vma *v = LIST_AT(&l, struct proc_vma, i);

		ok(v->start == LIST_AT(&m, struct proc_vma, i)->start && v->has_flags);
		ok(!strcmp(v->name, LIST_AT(&m, struct proc_vma, i)->name));
		ok(!v->unknown_flag, "%s", v->unknown_flag);
		if (v->start <= (uintptr_t)page && (uintptr_t)page < v->end)
			found = v->flags & PROC_VM_WIPEONFORK && v->prot == PROT_READ;
	}
	ok(found);
	munmap(page, 8192);
}

static void ten_thousand_mappings_take_milliseconds(void)
{
	const unsigned long rounds = 5;
	AUTO(buf) struct buf b = {0};
	int64_t best_us = INT64_MAX;

	for (unsigned i = 0; i < 10000; i++)
		buf_printf(&b,
		           "%012x-%012x rw-p 00000000 fe:00 %-26u /usr/lib/lib%u.so\n%s"
		           "ProtectionKey:         0\nVmFlags: rd wr mr mw me ac \n",
		           0x10000000 + i * 8192, 0x10001000 + i * 8192, i, i / 4,
		           SMAPS_SIZES("       4"));
	for (unsigned i = 0; i < rounds; i++) {
		AUTO(arena) struct arena a = {0};
		struct timespec from, to;
		struct list l = {0};
		int64_t us;

		clock_gettime(CLOCK_MONOTONIC, &from);
		ok(!proc_parse_maps(buf_span(&b), &a, &l, NULL) && l.count == 10000);
		clock_gettime(CLOCK_MONOTONIC, &to);
		us = (to.tv_sec - from.tv_sec) * 1000000 + (to.tv_nsec - from.tv_nsec) / 1000;
		best_us = MIN(best_us, us);
	}
	printf("# smaps of 10000 mappings, %zu bytes: %.1f ms\n", b.len, (double)best_us / 1000);
	/* Far over the few milliseconds that it takes, so that only a change of order fails. */
	ok(best_us < 200000, "%lld us", (long long)best_us);
}

/* ---- fdinfo ---------------------------------------------------------------------------- */

static void fdinfo_of_a_plain_file_then_and_now(void)
{
	AUTO(arena) struct arena a = {0};
	struct proc_fdinfo f;
	struct err e = {0};

	ok(!proc_parse_fdinfo(text("pos:\t5879\nflags:\t02100001\nmnt_id:\t27\nino:\t10952950\n"),
	                      &a, &f, &e),
	   "%s", e.text);
	ok(f.pos == 5879 && f.flags == (O_WRONLY | 0100000 | O_CLOEXEC) && f.mount_id == 27);
	ok(f.inode == 10952950 && f.tty_index == -1 && !f.has_eventfd && !f.has_pidfd);
	/* 5.10 writes no inode. */
	ok(!proc_parse_fdinfo(text("pos:\t0\nflags:\t0100000\nmnt_id:\t24\n"), &a, &f, &e));
	ok(!f.inode && f.mount_id == 24);
}

static void fdinfo_of_every_anonymous_inode(void)
{
	AUTO(arena) struct arena a = {0};
	struct proc_fdinfo f;
	struct err e = {0};
	const struct proc_epoll_target *t;
	const struct proc_inotify_watch *w;

#define HEAD "pos:\t0\nflags:\t02\nmnt_id:\t17\nino:\t1044\n"
	ok(!proc_parse_fdinfo(text(HEAD "eventfd-count:               1f\neventfd-id: 1\n"
	                                "eventfd-semaphore: 1\n"),
	                      &a, &f, &e));
	ok(f.has_eventfd && f.eventfd_count == 31 && f.eventfd_semaphore && !f.has_epoll);
	/* Without the last line, as before 6.5. */
	ok(!proc_parse_fdinfo(text(HEAD "eventfd-count: ffffffffffffffff\n"), &a, &f, &e));
	ok(f.has_eventfd && f.eventfd_count == UINT64_MAX && !f.eventfd_semaphore);

	ok(!proc_parse_fdinfo(
		text(HEAD "tfd:        4 events: 80000019 data:     7f7100000004  pos:6 ino:414 "
	                  "sdev:10\ntfd:       10 events:       1d data: ffffffffffffffff \n"),
		&a, &f, &e));
	ok(f.has_epoll && f.epoll.count == 2);
	t = LIST_AT(&f.epoll, struct proc_epoll_target, 0);
	ok(t->fd == 4 && t->events == 0x80000019 && t->data == 0x7f7100000004 && t->pos == 6 &&
	   t->inode == 0x414 && t->device == 0x10);
	ok(t[1].fd == 10 && t[1].data == UINT64_MAX && !t[1].inode);

	ok(!proc_parse_fdinfo(text(HEAD "sigmask:\t0000000000000200\n"), &a, &f, &e));
	ok(f.has_signalfd && f.signalfd_mask == 0x200);

	ok(!proc_parse_fdinfo(text(HEAD "clockid: 1\nticks: 3\nsettime flags: 03\n"
	                                "it_value: (99, 999982742)\nit_interval: (2, 5)\n"),
	                      &a, &f, &e));
	ok(f.has_timerfd && f.timerfd_clock == 1 && f.timerfd_ticks == 3 && f.timerfd_flags == 3);
	ok(f.timerfd_value_ns == 99999982742 && f.timerfd_interval_ns == 2000000005);

	ok(!proc_parse_fdinfo(
		text(HEAD "inotify wd:c ino:1 sdev:6 mask:100 ignored_mask:0 fhandle-bytes:c "
	                  "fhandle-type:1 f_handle:1c15dd500100000000000000\n"
	                  "inotify wd:1 ino:3ec9f sdev:fe00000 mask:2000100 ignored_mask:0 \n"),
		&a, &f, &e));
	ok(f.has_inotify && f.inotify.count == 2);
	w = LIST_AT(&f.inotify, struct proc_inotify_watch, 0);
	ok(w->wd == 12 && w->inode == 1 && w->device == 6 && w->mask == 0x100);
	ok(w->handle_type == 1 && w->handle.len == 12 && w->handle.data[0] == 0x1c &&
	   w->handle.data[3] == 0x50);
	ok(w[1].wd == 1 && w[1].inode == 0x3ec9f && !w[1].handle.len && w[1].mask == 0x2000100);

	ok(!proc_parse_fdinfo(text(HEAD "Pid:\t6169\nNSpid:\t6169\n"), &a, &f, &e));
	ok(f.has_pidfd && f.pidfd_pid == 6169);
	ok(!proc_parse_fdinfo(text(HEAD "Pid:\t-1\nNSpid:\t-1\n"), &a, &f, &e) && f.has_pidfd &&
	   f.pidfd_pid == -1);

	ok(!proc_parse_fdinfo(text(HEAD "fanotify flags:10 event-flags:0\n"
	                                "fanotify ino:4f969 sdev:800013 mflags: 0 mask: 3b\n"),
	                      &a, &f, &e));
	ok(f.has_fanotify && !f.has_inotify);

	ok(!proc_parse_fdinfo(text("pos:\t0\nflags:\t02100002\nmnt_id:\t24\nino:\t91\n"
	                           "tty-index:\t7\n"),
	                      &a, &f, &e));
	ok(f.tty_index == 7);
#undef HEAD
}

static void fdinfo_keeps_locks(void)
{
	AUTO(arena) struct arena a = {0};
	const struct proc_lock *l;
	struct proc_fdinfo f;
	struct err e = {0};

	ok(!proc_parse_fdinfo(text("pos:\t0\nflags:\t022700002\nmnt_id:\t27\nino:\t10952929\n"
	                           "lock:\t1: FLOCK  ADVISORY  WRITE 6169 fe:00:10952929 0 EOF\n"
	                           "lock:\t2: POSIX  ADVISORY  READ  6169 fe:00:10952929 3 7\n"
	                           "lock:\t3: OFDLCK ADVISORY  WRITE -1 fe:00:10952929 8 EOF\n"
	                           "lock:\t4: LEASE  ACTIVE    READ  6169 fe:00:10952929 0 EOF\n"),
	                      &a, &f, &e),
	   "%s", e.text);
	ok(f.locks.count == 4);
	l = LIST_AT(&f.locks, struct proc_lock, 0);
	ok(l->kind == 'F' && l->write && l->pid == 6169 && !l->start && l->end == UINT64_MAX);
	ok(l[1].kind == 'P' && !l[1].write && l[1].start == 3 && l[1].end == 7);
	ok(l[2].kind == 'O' && l[2].write && l[2].pid == -1 && l[2].start == 8);
	ok(l[3].kind == 'L' && !l[3].write);
}

static void lines_of_unknown_drivers_are_passed_over(void)
{
	AUTO(arena) struct arena a = {0};
	struct proc_fdinfo f;

	ok(!proc_parse_fdinfo(text("pos:\t1\nflags:\t02\nmnt_id:\t15\nino:\t3\nSqMask:\t0x3\n"
	                           "UserFiles:\t0\n  pos: yes\n\nPollList:\ndrm-driver:\ti915\n"),
	                      &a, &f, NULL));
	ok(f.pos == 1 && f.inode == 3);
}

static void fdinfo_that_makes_no_sense_is_refused(void)
{
	static const char *const bad[] = {
		"pos:\tx\n",
		"pos:\t1 2\n",
		"flags:\t08\n",
		"eventfd-count: g\n",
		"eventfd-semaphore: 2\n",
		"it_value: (1, 1000000000)\n",
		"it_value: (9223372036854775807, 1)\n",
		"tfd: 1 events: 1\n",
		"inotify wd:1 ino:1 sdev:1 mask:1 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 "
		"f_handle:00\n",
		"inotify wd:1 ino:1 sdev:1 mask:1 ignored_mask:0 fhandle-bytes:ffffffff "
		"fhandle-type:1 f_handle:00\n",
		"lock:\t1: BOGUS  ADVISORY  WRITE 1 fe:00:1 0 EOF\n",
		"lock:\t1: FLOCK  ADVISORY  WRITE\n",
	};
	AUTO(arena) struct arena a = {0};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct proc_fdinfo f = {.pos = 42};
		struct err e = {0};

		ok(proc_parse_fdinfo(text(bad[i]), &a, &f, &e) == -EBADMSG, "%s", bad[i]);
		ok(f.pos == 42 && e.text[0], "%s", bad[i]);
	}
}

/* ---- mountinfo, timers, limits, net/unix ------------------------------------------------ */

static void mountinfo_with_blanks_empty_sources_and_propagation(void)
{
	AUTO(arena) struct arena a = {0};
	const struct proc_mount *m;
	struct list l = {0};
	struct err e = {0};

	ok(!proc_parse_mountinfo(
		   text("27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
	                "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:7 - ext3 "
	                "/dev/root\\134x rw,errors=continue\n"
	                "87 78 0:52 / /mnt/c rw,noatime - 9p C:\\134 "
	                "rw,dirsync,aname=drvfs;path=C:\\;uid=1000,trans=fd,rfd=5,wfd=5\n"
	                "90 27 0:60 / /mnt/empty rw - tmpfs  rw\n"
	                "91 27 0:4 net:[4026532281] /run/netns/a rw shared:3 - nsfs nsfs rw\n"),
		   &a, &l, &e),
	   "%s", e.text);
	ok(l.count == 5);
	m = LIST_AT(&l, struct proc_mount, 0);
	ok(m->id == 27 && m->parent == 1 && m->dev_major == 254 && !m->dev_minor);
	ok(!strcmp(m->root, "/") && !strcmp(m->point, "/") && !strcmp(m->options, "rw,relatime"));
	ok(!strcmp(m->fstype, "ext4") && !strcmp(m->source, "/dev/vda"));
	ok(!strcmp(m->super_options, "rw,discard") && !strcmp(m->optional, ""));
	ok(!strcmp(m[1].point, "/mnt 2") && !strcmp(m[1].source, "/dev/root\\x"));
	ok(!strcmp(m[1].optional, "master:1 shared:7"), "%s", m[1].optional);
	ok(!strcmp(m[2].source, "C:\\") && strstr(m[2].super_options, "path=C:\\;uid=1000"));
	ok(!*m[3].source && !strcmp(m[3].super_options, "rw"));
	ok(!strcmp(m[4].root, "net:[4026532281]") && !strcmp(m[4].optional, "shared:3"));
	ok(proc_parse_mountinfo(text("27 1 254:0 / / rw shared:1\n"), &a, &l, &e) == -EBADMSG);
	ok(proc_parse_mountinfo(text("27 1 254:0 /\n"), &a, &l, &e) == -EBADMSG && l.count == 5);
}

static void timers_of_every_notification(void)
{
	AUTO(arena) struct arena a = {0};
	const struct proc_timer *t;
	struct list l = {0};
	struct err e = {0};

	ok(!proc_parse_timers(text("ID: 0\nsignal: 14/0000000000000000\nnotify: signal/pid.6169\n"
	                           "ClockID: 1\n"
	                           "ID: 7\nsignal: 60/00007fff86e452a8\nnotify: signal/tid.2634\n"
	                           "ClockID: 0\n"
	                           "ID: 8\nsignal: 0/0000000000000003\nnotify: none/pid.2634\n"
	                           "ClockID: -6\n"),
	                      &a, &l, &e),
	   "%s", e.text);
	ok(l.count == 3);
	t = LIST_AT(&l, struct proc_timer, 0);
	ok(!t->id && t->signal == SIGALRM && !t->sigval && t->notify == SIGEV_SIGNAL);
	ok(!t->thread && t->target == 6169 && t->clock == CLOCK_MONOTONIC);
	ok(t[1].id == 7 && t[1].sigval == 0x7fff86e452a8 && t[1].thread && t[1].target == 2634);
	ok(t[2].notify == SIGEV_NONE && t[2].clock == -6 && t[2].sigval == 3);
	ok(!proc_parse_timers(text(""), &a, &l, &e) && !l.count);
	ok(proc_parse_timers(text("ID: 0\nsignal: 14/0\n"), &a, &l, &e) == -EBADMSG);
	ok(proc_parse_timers(text("ID: 0\nsignal: 14/0\nnotify: pigeon/pid.1\nClockID: 0\n"), &a,
	                     &l, &e) == -EBADMSG);
	ok(strstr(e.text, "pigeon"), "%s", e.text);
}

static void limits_are_those_of_getrlimit(void)
{
	struct proc_limit limits[PROC_LIMITS];
	AUTO(buf) struct buf b = {0};
	struct err e = {0};
	struct rlimit old, odd;
	char *line;

	ok(!getrlimit(RLIMIT_NOFILE, &old));
	odd = (struct rlimit){.rlim_cur = old.rlim_cur - 3, .rlim_max = old.rlim_max};
	ok(!setrlimit(RLIMIT_NOFILE, &odd));
	slurp("/proc/self/limits", &b);
	ok(!proc_parse_limits(buf_span(&b), limits, &e), "%s", e.text);
	for (int i = 0; i < PROC_LIMITS; i++) {
		struct rlimit r;

		ok(!getrlimit((__rlimit_resource_t)i, &r));
		ok(limits[i].soft == r.rlim_cur && limits[i].hard == r.rlim_max, "limit %d", i);
	}
	ok(limits[RLIMIT_NOFILE].soft == old.rlim_cur - 3);
	ok(!setrlimit(RLIMIT_NOFILE, &old));

	line = strstr((char *)b.data, "Max open files");
	ok(line != NULL);
	memcpy(line, "Max odd  files", 14);
	ok(proc_parse_limits(buf_span(&b), limits, &e) == -EBADMSG);
	ok(strstr(e.text, "Max open files"), "%s", e.text);
	memcpy(line, "Max open files x", 16);
	ok(proc_parse_limits(buf_span(&b), limits, &e) == -EBADMSG);
}

static void unix_sockets_with_any_name(void)
{
#define HEADING "Num       RefCount Protocol Flags    Type St Inode Path\n"
	AUTO(arena) struct arena a = {0};
	const struct proc_unix *u;
	struct list l = {0};
	struct err e = {0};

	ok(!proc_parse_net_unix(
		   text(HEADING "000000008996768e: 00000003 00000000 00000000 0001 03  1599\n"
	                        "0000000058c2ee02: 00000002 00000000 00010000 0005 01 21600 "
	                        "/run/WSL/1_interop\n"
	                        "0000000058c2ee03: 00000002 00000000 00010000 0001 01 21601 "
	                        "@/tmp/.X11-unix/X0\n"
	                        "0000000058c2ee04: 00000002 00000000 00000000 0002 01 21602 /a "
	                        "b\nsecond line\n"
	                        "0000000058c2ee05: 00000002 00000000 00000000 0002 01 21603  \n"),
		   &a, &l, &e),
	   "%s", e.text);
	ok(l.count == 5, "%zu", l.count);
	u = LIST_AT(&l, struct proc_unix, 0);
	ok(u->inode == 1599 && !u->flags && u->type == 1 && u->state == 3 && !*u->path);
	ok(u[1].flags == 0x10000 && u[1].type == 5 && !strcmp(u[1].path, "/run/WSL/1_interop"));
	ok(!strcmp(u[2].path, "@/tmp/.X11-unix/X0"));
	ok(!strcmp(u[3].path, "/a b\nsecond line"), "%s", u[3].path);
	ok(!strcmp(u[4].path, " "));
	ok(!proc_parse_net_unix(text(HEADING), &a, &l, &e) && !l.count);
	ok(proc_parse_net_unix(text("1: 2 0 0 1 1 5\n"), &a, &l, &e) == -EBADMSG);
	ok(proc_parse_net_unix(text(HEADING "1: 2 0 0 1 1 5\nmore\n"), &a, &l, &e) == -EBADMSG);
#undef HEADING
}

static void internet_sockets_of_both_families(void)
{
	AUTO(arena) struct arena a = {0};
	const struct proc_inet *s;
	struct list l = {0};
	struct err e = {0};

	ok(!proc_parse_net_inet(
		   text("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when "
	                "retrnsmt"
	                "   uid  timeout inode                                                     "
	                "\n"
	                "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 "
	                "00000000"
	                "  1000        0 4711 1 0000000000000000 100 0 0 10 0                     "
	                "\n"
	                "   1: 0100007F:9C40 0100007F:1F90 01 0000000A:00000000 00:00000000 "
	                "00000000"
	                "     0        0 4712 1 0000000000000000 20 4 30 10 -1                    "
	                "\n"
	                "  12: 00000000000000000000000001000000:0016 "
	                "00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 "
	                "00000000     0        0 4713 2 0000000000000000 0\n"),
		   &a, &l, &e),
	   "%s", e.text);
	ok(l.count == 3);
	s = LIST_AT(&l, struct proc_inet, 0);
	ok(s->inode == 4711 && s->local_port == 8080 && !s->remote_port && s->state == 10);
	ok(s->receive_queue == 3 && !s->send_queue);
	ok(s[1].inode == 4712 && s[1].state == 1 && s[1].remote_port == 8080);
	ok(s[1].send_queue == 10);
	ok(s[2].inode == 4713 && s[2].local_port == 22 && s[2].state == 7);
	ok(!proc_parse_net_inet(text(""), &a, &l, &e) && !l.count);
	ok(proc_parse_net_inet(text("  sl  local\n   0: 0100007F:1F90\n"), &a, &l, &e) == -EBADMSG);
	ok(proc_parse_net_inet(text("Num\n"), &a, &l, &e) == -EBADMSG);
}

static void netlink_sockets_and_what_waits_in_them(void)
{
	AUTO(arena) struct arena a = {0};
	const struct proc_netlink *n;
	struct proc_fdinfo f;
	struct list l = {0};
	struct err e = {0};

	ok(!proc_parse_net_netlink(
		   text("sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    "
	                "Drops    Inode\n"
	                "00000000cf882fa8 0   0          00000000 0        0        0     2        "
	                "0"
	                "        4       \n"
	                "00000000fa9f8135 4   2867       00000001 4352     0        1     2        "
	                "0"
	                "        387782  \n"),
		   &a, &l, &e),
	   "%s", e.text);
	n = LIST_AT(&l, struct proc_netlink, 0);
	ok(l.count == 2 && n->inode == 4 && !n->protocol && !n->receive_queue);
	ok(n[1].inode == 387782 && n[1].protocol == 4 && n[1].receive_queue == 4352);
	ok(proc_parse_net_netlink(text("sk\n"), &a, &l, &e) == -EBADMSG);
	ok(proc_parse_net_netlink(text("sk \n00 0 0 0 x\n"), &a, &l, &e) == -EBADMSG);
	/* What a UNIX socket has on the way stands in fdinfo. */
	ok(!proc_parse_fdinfo(text("pos:\t0\nflags:\t02000002\nmnt_id:\t10\nscm_fds: 2\n"), &a, &f,
	                      &e) &&
	   f.scm_fds == 2);
}

static void everything_of_this_process_is_understood(void)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf)
	struct buf stat = {0}, status = {0}, mounts = {0}, sockets = {0}, fd = {0}, netlink = {0};
	struct proc_status s;
	struct proc_fdinfo f;
	struct list l = {0};
	struct proc_stat st;
	struct err e = {0};

	slurp("/proc/self/stat", &stat);
	ok(!proc_parse_stat(buf_span(&stat), &st, &e), "%s", e.text);
	ok(st.pid == getpid() && st.ppid == getppid() && st.session == getsid(0));
	slurp("/proc/self/status", &status);
	ok(!proc_parse_status(buf_span(&status), &a, &s, &e), "%s", e.text);
	ok(s.pid == getpid() && s.uid[1] == geteuid() && !strcmp(s.name, st.comm));
	slurp("/proc/self/mountinfo", &mounts);
	ok(!proc_parse_mountinfo(buf_span(&mounts), &a, &l, &e) && l.count, "%s", e.text);
	slurp("/proc/net/unix", &sockets);
	ok(!proc_parse_net_unix(buf_span(&sockets), &a, &l, &e), "%s", e.text);
	slurp("/proc/net/netlink", &netlink);
	ok(!proc_parse_net_netlink(buf_span(&netlink), &a, &l, &e) && l.count, "%s", e.text);
	slurp("/proc/self/fdinfo/0", &fd);
	ok(!proc_parse_fdinfo(buf_span(&fd), &a, &f, &e) && f.mount_id > 0, "%s", e.text);
}

int main(void)
{
	RUN(stat_gives_every_field_its_own_value);
	RUN(a_name_may_look_like_the_rest_of_stat);
	RUN(half_a_stat_is_refused_and_changes_nothing);
	RUN(status_of_6_18);
	RUN(status_of_a_zombie_and_of_an_older_kernel);
	RUN(a_name_in_status_is_unescaped);
	RUN(what_status_must_say_is_missed);
	RUN(smaps_tells_every_mapping_apart);
	RUN(every_flag_of_the_kernel_has_its_own_bit);
	RUN(maps_has_no_flags);
	RUN(maps_that_no_kernel_writes_are_refused);
	RUN(our_own_smaps_agrees_with_our_maps);
	RUN(ten_thousand_mappings_take_milliseconds);
	RUN(fdinfo_of_a_plain_file_then_and_now);
	RUN(fdinfo_of_every_anonymous_inode);
	RUN(fdinfo_keeps_locks);
	RUN(lines_of_unknown_drivers_are_passed_over);
	RUN(fdinfo_that_makes_no_sense_is_refused);
	RUN(mountinfo_with_blanks_empty_sources_and_propagation);
	RUN(timers_of_every_notification);
	RUN(limits_are_those_of_getrlimit);
	RUN(unix_sockets_with_any_name);
	RUN(internet_sockets_of_both_families);
	RUN(netlink_sockets_and_what_waits_in_them);
	RUN(everything_of_this_process_is_understood);
	return tap_done();
}
