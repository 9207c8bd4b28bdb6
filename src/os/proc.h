/* SPDX-License-Identifier: MIT */
/*
 * /proc as structs. Every parser is a function of bytes: it takes the text of a file, never a
 * pid, so that it can be fuzzed and fed from a recording. Text comes from the kernel, but it
 * quotes names that other programs chose: it is parsed as hostile.
 *
 * Return of each parser: 0, or -EBADMSG with the line that could not be understood. Unknown
 * lines and unknown flags are not errors; unknown VmFlags are kept by name, because a flag that
 * we do not know is an obstacle and never ignored.
 *
 * Source: proc(5), Documentation/filesystems/proc.rst, fs/proc/{array,base,task_mmu}.c.
 */
#ifndef WSLX_OS_PROC_H
#define WSLX_OS_PROC_H

#include "base/base.h"

/* ---- /proc/PID/stat, /proc/PID/status -------------------------------------------------- */

struct proc_stat {
	int32_t pid;
	char comm[64]; /* between the first '(' and the last ')' */
	char state;    /* R S D T t Z X I P */
	int32_t ppid, pgrp, session;
	int32_t tty_nr; /* dev_t of the controlling terminal as the kernel prints it; 0: none */
	int32_t tpgid;
	int32_t exit_signal;
	int32_t exit_code; /* wait(2) status of a zombie; 0 where we may not see it */
	int32_t nice;
	int32_t rt_priority, policy;
	uint64_t flags;      /* PF_* */
	uint64_t start_time; /* clock ticks since boot */
	uint64_t start_code, end_code, start_stack;
	uint64_t start_data, end_data, start_brk;
	uint64_t arg_start, arg_end, env_start, env_end;
	int32_t n_threads;
};
MUST_CHECK int proc_parse_stat(struct span text, struct proc_stat *out, struct err *e);

#define PROC_GROUPS_MAX 65536
struct proc_status {
	char name[64];
	char state;
	uint32_t umask; /* UINT32_MAX if the line is not there (a zombie) */
	int32_t tgid, pid, ppid, tracer_pid;
	uint32_t uid[4], gid[4]; /* real, effective, saved, file system */
	struct list groups;      /* of uint64_t */
	uint64_t sig_pending, shared_pending, sig_blocked, sig_ignored, sig_caught;
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	int32_t no_new_privs;
	int32_t seccomp;         /* 0 none, 1 strict, 2 filter */
	int32_t seccomp_filters; /* -1 if this kernel does not say */
	int32_t ns_levels;       /* how many pid namespaces deep, from NSpid; 1 is ours */
	int32_t ns_pid;          /* pid in the innermost namespace (last of NSpid) */
	int32_t thp_enabled;     /* -1 if not said */
	int32_t shadow_stack;    /* x86_Thread_features has shstk */
	uint64_t vm_size_kb, vm_rss_kb, vm_locked_kb, rss_anon_kb, rss_shmem_kb;
};
MUST_CHECK int proc_parse_status(struct span text, struct arena *a, struct proc_status *out,
                                 struct err *e);

/* ---- /proc/PID/maps, /proc/PID/smaps --------------------------------------------------- */

enum proc_vm_flag {
	PROC_VM_GROWSDOWN = 1 << 0,     /* gd */
	PROC_VM_LOCKED = 1 << 1,        /* lo */
	PROC_VM_DONTCOPY = 1 << 2,      /* dc */
	PROC_VM_DONTDUMP = 1 << 3,      /* dd */
	PROC_VM_WIPEONFORK = 1 << 4,    /* wf */
	PROC_VM_HUGEPAGE = 1 << 5,      /* hg */
	PROC_VM_NOHUGEPAGE = 1 << 6,    /* nh */
	PROC_VM_MERGEABLE = 1 << 7,     /* mg */
	PROC_VM_NORESERVE = 1 << 8,     /* nr */
	PROC_VM_HUGETLB = 1 << 9,       /* ht */
	PROC_VM_RANDOM = 1 << 10,       /* rr */
	PROC_VM_SEQUENTIAL = 1 << 11,   /* sr */
	PROC_VM_ACCOUNT = 1 << 12,      /* ac */
	PROC_VM_IO = 1 << 13,           /* io */
	PROC_VM_PFNMAP = 1 << 14,       /* pf */
	PROC_VM_MIXEDMAP = 1 << 15,     /* mm */
	PROC_VM_DONTEXPAND = 1 << 16,   /* de */
	PROC_VM_UFFD_MISSING = 1 << 17, /* um */
	PROC_VM_UFFD_WP = 1 << 18,      /* uw */
	PROC_VM_UFFD_MINOR = 1 << 19,   /* ui */
	PROC_VM_SEALED = 1 << 20,       /* sl */
	PROC_VM_DROPPABLE = 1 << 21,    /* dp */
	PROC_VM_SHADOW_STACK = 1 << 22, /* ss */
	PROC_VM_MAY_READ = 1 << 23,     /* mr */
	PROC_VM_MAY_WRITE = 1 << 24,    /* mw */
	PROC_VM_MAY_EXEC = 1 << 25,     /* me */
	PROC_VM_MAY_SHARE = 1 << 26,    /* ms */
	PROC_VM_LOCKONFAULT = 1 << 27,  /* lf */
	PROC_VM_SOFTDIRTY = 1 << 28,    /* sd */
	PROC_VM_SYNC = 1 << 29,         /* sf */
	PROC_VM_ARCH = 1 << 30,         /* ar */
	/* gu, guard regions, is a hint of newer kernels and known */
};

struct proc_vma {
	uint64_t start, end;
	uint64_t offset; /* bytes */
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	uint8_t prot; /* PROT_READ | PROT_WRITE | PROT_EXEC */
	bool shared;
	bool deleted;     /* the name ended in " (deleted)", which a file may also be called */
	bool has_flags;   /* came from smaps */
	uint32_t flags;   /* enum proc_vm_flag */
	uint32_t pkey;    /* ProtectionKey: */
	const char *name; /* "" if anonymous; "[heap]"; a path, with its newlines back */
	const char *unknown_flag; /* a VmFlag that we do not know, or NULL */
};
/* Both formats: maps has no flags. @out gets struct proc_vma in ascending order. */
MUST_CHECK int proc_parse_maps(struct span text, struct arena *a, struct list *out, struct err *e);

/* ---- /proc/PID/fdinfo/N ---------------------------------------------------------------- */

struct proc_epoll_target {
	int32_t fd;
	uint32_t events;
	uint64_t data, pos, inode, device;
};
struct proc_inotify_watch {
	int32_t wd;
	uint64_t inode;
	uint32_t device, mask;
	uint8_t handle_type; /* of the file handle */
	struct span handle;
};
struct proc_lock {
	char kind; /* 'F' flock, 'P' POSIX, 'O' OFD, 'L' lease */
	bool write;
	int32_t pid;         /* -1 for OFD */
	uint64_t start, end; /* end UINT64_MAX: EOF */
};
struct proc_fdinfo {
	int64_t pos;
	uint32_t flags; /* O_*; octal in the file; O_CLOEXEC of the descriptor included */
	int32_t mount_id;
	uint64_t inode;
	/* Which of these lines were there: */
	bool has_eventfd, has_epoll, has_signalfd, has_timerfd, has_inotify, has_pidfd,
		has_fanotify;
	uint64_t eventfd_count;
	bool eventfd_semaphore;
	uint64_t signalfd_mask;
	int32_t timerfd_clock;
	uint64_t timerfd_ticks;
	int32_t timerfd_flags; /* TFD_TIMER_* of the last settime; octal in the file */
	int64_t timerfd_value_ns, timerfd_interval_ns;
	int32_t pidfd_pid;   /* -1: the process is gone; 0: not visible from here */
	struct list epoll;   /* struct proc_epoll_target */
	struct list inotify; /* struct proc_inotify_watch */
	struct list locks;   /* struct proc_lock */
	int32_t tty_index;   /* "tty-index:" of a pty master, -1 otherwise */
	uint32_t scm_fds;    /* descriptors on their way in a UNIX socket */
};
MUST_CHECK int proc_parse_fdinfo(struct span text, struct arena *a, struct proc_fdinfo *out,
                                 struct err *e);

/* ---- /proc/PID/mountinfo --------------------------------------------------------------- */

struct proc_mount {
	int32_t id, parent;
	uint32_t dev_major, dev_minor;
	const char *root, *point, *fstype, *source, *options, *super_options;
	const char *optional; /* "shared:1 master:2", or "" */
};
MUST_CHECK int proc_parse_mountinfo(struct span text, struct arena *a, struct list *out,
                                    struct err *e);

/* ---- /proc/PID/timers, /proc/PID/limits, /proc/net -------------------------------------- */

struct proc_timer {
	int32_t id;
	int32_t signal;
	uint64_t sigval; /* the pointer form of sigev_value */
	int32_t notify;  /* SIGEV_*, without SIGEV_THREAD_ID */
	bool thread;     /* notify/signal.tid: rather than .pid: */
	int32_t target;  /* tid or pid */
	int32_t clock;
};
MUST_CHECK int proc_parse_timers(struct span text, struct arena *a, struct list *out,
                                 struct err *e);

struct proc_limit {
	uint64_t soft, hard; /* UINT64_MAX: unlimited */
};
#define PROC_LIMITS 16 /* RLIM_NLIMITS */
/* In the order of RLIMIT_*: the file's order is that of the numbers, but names decide. */
MUST_CHECK int proc_parse_limits(struct span text, struct proc_limit out[PROC_LIMITS],
                                 struct err *e);

/*
 * The kernel does not escape these paths. One with a newline in it may imitate whole lines of
 * other sockets, so what is decided from this list must not need its owner's honesty; sock_diag
 * is not so easily told lies.
 */
struct proc_unix {
	uint64_t inode;
	uint32_t flags; /* 0x10000: listening */
	int32_t type, state;
	const char *path; /* "" if unnamed; an abstract name begins with '@' */
};
MUST_CHECK int proc_parse_net_unix(struct span text, struct arena *a, struct list *out,
                                   struct err *e);

/* /proc/net/{tcp,udp,raw,udplite} and their 6: one form for all. */
struct proc_inet {
	uint64_t inode;
	uint16_t local_port, remote_port;
	uint8_t state; /* TCP_ESTABLISHED 1, TCP_CLOSE 7, TCP_LISTEN 10 (netinet/tcp.h) */
	uint32_t send_queue;
	uint32_t receive_queue; /* bytes; of a listening socket: connections nobody accepted */
};
MUST_CHECK int proc_parse_net_inet(struct span text, struct arena *a, struct list *out,
                                   struct err *e);

struct proc_netlink {
	uint64_t inode;
	uint32_t protocol;      /* NETLINK_* */
	uint32_t receive_queue; /* bytes, with the kernel's own overhead */
};
MUST_CHECK int proc_parse_net_netlink(struct span text, struct arena *a, struct list *out,
                                      struct err *e);

#endif
