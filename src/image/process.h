/* SPDX-License-Identifier: MIT */
/*
 * The image of a process snapshot: plain structs that dump fills and restore reads, each with
 * its field table in process.c. Kernel objects that can be shared have an id and stand once;
 * whoever uses one names its id. Ids start at 1: 0 means "none".
 *
 *	image ─┬─ tasks ── threads          who runs
 *	       ├─ mms ── vmas ── runs        address spaces; page contents are named by number
 *	       ├─ inodes                     files, by path or by content
 *	       ├─ files                      open file descriptions
 *	       ├─ tables                     descriptor tables: fd -> file
 *	       ├─ fss, sighands              what CLONE_FS and CLONE_SIGHAND share
 *	       └─ pipes, socks, ttys, locks  what descriptions point at
 */
#ifndef WSLX_IMAGE_PROCESS_H
#define WSLX_IMAGE_PROCESS_H

#include "image/rec.h"

#define IMAGE_TASKS_MAX 100000
#define IMAGE_IDS_MAX 10000000
#define IMAGE_PATH_MAX 4096

/* Pages with content. What is not named by a run reads as zero, or as the file beneath. */
struct run_rec {
	uint64_t at;    /* address in a mapping, offset in an inode; bytes */
	uint64_t pages; /* how many */
	uint64_t first; /* number of the first page in the snapshot's page stream */
};

struct range_rec {
	uint64_t at, bytes;
};

/* ---- memory ---------------------------------------------------------------------------- */

enum vma_kind {
	VMA_ANON,  /* private and anonymous */
	VMA_INODE, /* a file, a memfd or shared anonymous memory: .inode */
	VMA_VDSO,
	VMA_VVAR,
	VMA_VVAR_VCLOCK,
	VMA_KINDS,
};

struct vma_rec {
	uint64_t start, end;
	uint8_t kind;
	uint8_t prot;
	bool shared;
	uint32_t flags; /* enum proc_vm_flag, those that restore brings back */
	uint64_t offset;
	uint32_t inode;
	bool writable_file; /* a shared mapping that may be made writable */
	uint32_t pkey;
	const char *name;   /* PR_SET_VMA_ANON_NAME */
	struct list runs;   /* struct run_rec */
	struct list guards; /* struct range_rec: MADV_GUARD_INSTALL */
};

struct mm_rec {
	uint32_t id;
	struct list vmas;
	uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack;
	uint64_t arg_start, arg_end, env_start, env_end;
	struct span auxv;
	uint32_t exe;         /* inode */
	uint32_t dumpable;    /* 0, 1, 2 */
	uint32_t thp_disable; /* PR_GET_THP_DISABLE: 1, and flags (Linux 6.18) */
	uint32_t mdwe;        /* PR_SET_MDWE bits */
	bool memory_merge;
	uint32_t mlock_future; /* MCL_* */
	uint64_t pkeys;        /* bit n: key n is allocated */
	uint32_t membarrier;   /* MEMBARRIER_CMD_REGISTER_* that were made */
};

/* ---- files ----------------------------------------------------------------------------- */

enum inode_kind {
	INODE_PATH,  /* found again under its path and checked */
	INODE_GHOST, /* has no name any more: content is here */
	INODE_MEMFD,
	INODE_SHMEM, /* MAP_SHARED | MAP_ANONYMOUS */
	INODE_KINDS,
};

struct inode_rec {
	uint32_t id;
	uint8_t kind;
	const char *path; /* also the name of a memfd */
	uint32_t dev_major, dev_minor;
	uint64_t ino;
	uint32_t mode; /* st_mode */
	uint32_t uid, gid;
	uint64_t size;
	int64_t mtime_ns;
	uint64_t rdev;
	uint32_t seals; /* F_SEAL_* of a memfd */
	bool hugetlb;
	struct list runs; /* content of ghosts, memfds, shared memory */
};

enum file_kind {
	FILE_INODE,  /* regular file, directory, O_PATH: by .inode */
	FILE_DEVICE, /* a stateless /dev node, by .inode's path */
	FILE_PIPE,
	FILE_FIFO,
	FILE_EVENTFD,
	FILE_EPOLL,
	FILE_TIMERFD,
	FILE_SIGNALFD,
	FILE_INOTIFY,
	FILE_PIDFD,
	FILE_TTY,
	FILE_SOCKET,
	FILE_PROC, /* a file of a process in the tree, under /proc */
	FILE_KINDS,
};

struct epoll_target_rec {
	uint32_t fd;
	uint32_t file; /* the description that is watched */
	uint32_t events;
	uint64_t data;
};

struct epoll_rec {
	struct list targets;
};

struct timerfd_rec {
	uint32_t clock;
	uint32_t settime_flags;
	uint64_t ticks;                 /* expirations not yet read */
	uint64_t value_ns, interval_ns; /* value: until the next one */
};

struct watch_rec {
	uint32_t wd;
	uint32_t mask;
	uint32_t inode;
};

struct inotify_rec {
	struct list watches;
};

struct file_rec {
	uint32_t id;
	uint8_t kind;
	uint32_t flags; /* O_*, as F_GETFL tells */
	uint64_t pos;
	uint32_t inode;
	uint32_t object; /* id of the pipe, tty or socket */
	uint8_t end;     /* of a pipe: 0 reads, 1 writes, 2 both; of a tty: 1 master */
	int32_t owner;   /* F_SETOWN: pid, or -pgid */
	uint32_t owner_type;
	uint32_t owner_uid, owner_euid;
	uint32_t owner_signal; /* F_SETSIG */
	uint64_t count;        /* eventfd: value; signalfd: mask; pidfd: pid */
	bool semaphore;
	struct epoll_rec epoll;
	struct timerfd_rec timerfd;
	struct inotify_rec inotify;
	const char *path; /* FILE_PROC: below /proc */
	uint32_t status;  /* pidfd of a process that is gone: as wait(2) told it */
};

struct fd_rec {
	uint32_t fd;
	uint32_t file;
	bool cloexec;
};

struct table_rec {
	uint32_t id;
	struct list fds;
};

struct pipe_rec {
	uint32_t id;
	uint32_t capacity; /* bytes, as F_GETPIPE_SZ gives it */
	uint32_t inode;    /* of a FIFO with a name, else 0 */
	uint32_t packets;  /* the bytes are packets (O_DIRECT): their number */
	struct list sizes; /* of the packets, uint64_t */
	struct span data;  /* bytes written but not yet read, oldest first */
	bool full;         /* no room for one more byte, whatever the capacity says */
};

struct tty_rec {
	uint32_t id;
	uint32_t index;   /* of a pty; on restore a new one is given */
	bool external;    /* the other side is not in the tree: a terminal of the user's */
	bool hung_up;     /* a slave whose master is gone */
	const char *path; /* of the slave */
	uint64_t rdev;
	uint32_t slave_mode, slave_uid, slave_gid;
	struct span termios; /* struct termios2 */
	uint32_t rows, cols, xpixel, ypixel;
	bool packet_mode, locked;
	int32_t session, foreground; /* controlling session and group, 0 if none */
	struct span to_slave;        /* typed, not yet read */
	struct span to_master;
	bool exclusive;        /* TIOCEXCL */
	struct list line_ends; /* uint64_t: 2 * position in to_slave, + 1: ended by VEOF */
	bool slave_closed;     /* it was opened once, and nobody has it open: reading gives EIO */
};

struct sockopt_rec {
	uint32_t level, name;
	struct span value;
};

struct message_rec {
	struct span data;
	struct span from; /* sender's address, datagrams */
	bool has_creds;   /* the receiver asked for them (SO_PASSCRED) */
	uint32_t pid, uid, gid;
};

struct sock_rec {
	uint32_t id;
	uint32_t family, type, protocol;
	uint64_t ino;
	bool listening;
	uint32_t backlog;
	struct span local;                      /* sockaddr */
	uint32_t path_mode, path_uid, path_gid; /* of a UNIX socket with a path */
	bool path_gone;
	uint32_t peer;    /* id, UNIX pairs */
	uint32_t shut;    /* bit 0: receiving, bit 1: sending */
	uint32_t creator; /* pid, for SO_PEERCRED */
	struct list options;
	struct list queue;  /* struct message_rec */
	struct span remote; /* sockaddr of a peer outside that is found by address again */
	bool peer_closed;   /* it was connected, and the other end is gone */
	bool reset;         /* that end had unread data: the next read gives ECONNRESET */
	const char *dir;    /* where a relative path was bound */
	uint32_t uid, gid;  /* of the socket itself */
	uint32_t creator_uid, creator_gid; /* for SO_PEERCRED */
	struct list groups;                /* netlink, uint64_t: multicast groups from 1 */
};

enum lock_kind { LOCK_FLOCK, LOCK_POSIX, LOCK_OFD, LOCK_KINDS };

struct lock_rec {
	uint8_t kind;
	bool write;
	uint32_t file;       /* description */
	int32_t pid;         /* POSIX: the owner */
	uint64_t start, end; /* inclusive; UINT64_MAX: to the end of the file */
};

struct fs_rec {
	uint32_t id;
	const char *cwd;
	const char *root;
	uint32_t umask;
	bool cwd_gone;
};

/* ---- signals and timers ----------------------------------------------------------------- */

struct action_rec {
	uint32_t sig;
	uint64_t handler, flags, restorer, mask;
};

struct sighand_rec {
	uint32_t id;
	struct list actions; /* those that are not SIG_DFL */
};

struct siginfo_rec {
	struct span info; /* siginfo_t, 128 bytes */
};

struct itimer_rec {
	uint32_t which;
	uint64_t value_us, interval_us;
};

struct posix_timer_rec {
	uint32_t id;
	uint32_t clock;
	uint32_t notify; /* SIGEV_* with SIGEV_THREAD_ID */
	uint32_t sig;
	uint64_t sigval;
	int32_t tid; /* SIGEV_THREAD_ID */
	uint64_t value_ns, interval_ns;
	uint32_t overrun;
};

/* ---- tasks ----------------------------------------------------------------------------- */

/* struct user_regs_struct in its order (ptrace(2), sys/user.h). */
struct regs_rec {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
	uint64_t rip, cs, eflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

struct creds_rec {
	uint32_t ruid, euid, suid, fsuid, rgid, egid, sgid, fsgid;
	struct list groups; /* uint64_t */
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	uint32_t securebits;
	bool no_new_privs;
};

struct sched_rec {
	uint32_t policy;
	int32_t nice;
	uint32_t priority;
	uint64_t flags, runtime, deadline, period;
};

struct thread_rec {
	uint32_t tid;
	uint32_t table, fs;
	const char *comm;
	struct regs_rec regs;
	struct span xstate;  /* NT_X86_XSTATE: the XSAVE area in its standard form */
	uint64_t xcomp_perm; /* ARCH_GET_XCOMP_PERM: dynamic features (AMX) that were granted */
	uint64_t sigmask;
	struct list pending; /* struct siginfo_rec, oldest first */
	uint64_t altstack_sp, altstack_bytes;
	uint32_t altstack_flags;
	uint64_t robust_list, robust_bytes;
	uint64_t clear_child_tid;
	uint64_t rseq;
	uint32_t rseq_bytes, rseq_signature;
	struct creds_rec creds;
	struct sched_rec sched;
	struct span affinity; /* as sched_getaffinity(2) gives it */
	uint32_t ioprio;
	uint64_t timer_slack_ns;
	uint32_t pdeathsig;
	uint32_t personality;
	uint32_t tsc_mode;
	uint32_t cpuid_fault; /* 1: arch_prctl(ARCH_CPUID) forbids it */
	uint32_t group_stop;  /* stop signal if the thread stands in a group stop */
	uint32_t mce_kill;    /* PR_MCE_KILL_GET */
	uint32_t speculation; /* PR_GET_SPECULATION_CTRL of kind n in byte n; 0: cannot be set */
	uint32_t numa_policy; /* get_mempolicy(2), with its flags */
	struct span numa_nodes;
};

enum task_state { TASK_ALIVE, TASK_STOPPED, TASK_ZOMBIE, TASK_STATES };

struct limit_rec {
	uint32_t resource;
	uint64_t soft, hard;
};

struct task_rec {
	uint32_t pid;
	uint32_t ppid; /* 0: the parent is outside of the tree */
	uint32_t pgid, sid;
	uint8_t state;
	uint32_t exit_status; /* zombie: as wait(2) tells it */
	uint32_t exit_signal; /* to the parent; 17 mostly */
	uint32_t stop_signal;
	bool stop_news; /* the parent has not waited for the stop yet */
	uint32_t mm, sighand;
	uint32_t tty; /* controlling terminal */
	bool subreaper;
	int32_t oom_score_adj;
	uint32_t coredump_filter;
	struct list pending; /* shared ones */
	struct list limits;
	struct list itimers;
	struct list timers;
	struct list threads;
	const char *comm; /* of a zombie, which has no threads */
};

struct process_image {
	uint32_t version;
	const char *wslx;   /* version that wrote it */
	const char *kernel; /* uname -r */
	const char *boot_id;
	uint64_t taken_ns; /* CLOCK_REALTIME */
	uint64_t monotonic_ns, boottime_ns;
	uint32_t root;      /* pid of the root task */
	uint64_t xfeatures; /* XCR0: what the register images need */
	uint64_t vdso_hash; /* os_quick_hash() of the vdso's bytes */
	const char *profile;
	uint64_t n_pages;    /* in the page stream */
	const char *command; /* of the root task, for list and show */
	struct list tasks, mms, inodes, files, tables, fss, sighands, pipes, ttys, socks, locks;
};

#define PROCESS_IMAGE_VERSION 1

extern const struct rec_type process_image_type;

/* What decoding checks of an image as a whole. Return: 0; -EBADMSG. */
MUST_CHECK int process_image_check(const struct process_image *im, struct err *e);

/* Whose a number is: processes and threads have theirs from one pot. */
struct task_number {
	uint32_t tid;
	uint32_t task;   /* its index in the image */
	uint32_t thread; /* its index in the task; 0: the process itself */
};
struct task_numbers {
	struct task_number *items; /* by tid, ascending */
	size_t n;
};
/* Of an image that does not change meanwhile. */
void task_numbers_init(struct task_numbers *out, const struct process_image *im);
/* Return: NULL if nobody in the image has that number. */
const struct task_number *task_numbers_find(const struct task_numbers *numbers, uint32_t tid);
void task_numbers_finish(struct task_numbers *numbers);

#endif
