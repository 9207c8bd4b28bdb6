/* SPDX-License-Identifier: MIT */
/* What each sign means: the one table that judges (ready-tree.c makes the signs). */
#include <fnmatch.h>

#include "ready/ready.h"

#define OUTSIDE_HINT "; snapshot a tree that holds both ends"

/*
 * The first row that matches decides. A backslash before '[' keeps fnmatch(3) from reading it as
 * a set; '*' matches slashes too.
 */
static const struct ready_kind {
	const char *sign;
	const char *kind;
	enum ready_class class;
	const char *sentence;
} kinds[] = {
	/* Processes */
	{"task:ok", "process", READY_RESTORABLE, NULL},
	{"task:zombie", "zombie", READY_RESTORABLE, NULL},
	{"task:asker", "wslx itself", READY_RESTORABLE,
         "it stands below the program now: start the snapshot from another session"},
	{"task:leader-ended", "process without its first thread", READY_NOT,
         "its first thread has ended and others run on, which cannot be built again"},
	{"task:cpu-timer", "CPU time clock of a timer", READY_NOT,
         "a timer counts the CPU time of one process or thread: that clock cannot be carried over"},
	{"task:wsl", "process of WSL", READY_NOT,
         "it keeps the distribution or its terminal alive and must never be frozen; name the "
         "program itself instead"},
	{"task:kernel", "kernel thread", READY_NOT, "the kernel's own threads are no programs"},
	{"task:init", "init", READY_NOT,
         "it is the first process of its netns; name the program itself, or snapshot the "
         "whole machine"},
	{"task:32-bit", "32-bit program", READY_NOT, "run the 64-bit build of it"},
	{"task:traced", "traced process", READY_NOT,
         "a debugger is attached, and only one can be; detach it"},
	{"task:unreadable", "process of another user", READY_NOT,
         "what it holds may not be read; run this as root, or as its user"},
	{"task:other-user", "process of another user", READY_RESTORABLE,
         "it comes back with its own ids only if root restores it"},
	{"task:seccomp:equal", "inherited seccomp filters", READY_RESTORABLE,
         "the restored program inherits the same number of filters from whoever restores it"},
	{"task:seccomp:fewer", "fewer seccomp filters than ours", READY_RESTORABLE,
         "a restore from here would add a filter to it; restore from an unfiltered session"},
	{"task:seccomp:own", "seccomp filters of its own", READY_NOT,
         "we are filtered ourselves and may not read filters; run this unfiltered, or the program "
         "without its sandbox"},
	{"task:seccomp:readable", "seccomp filters of its own", READY_FULL,
         "filters are to be read and installed again; run the program without its sandbox"},
	{"task:seccomp:strict", "strict seccomp", READY_NOT,
         "a program in this mode cannot answer a single question"},
	{"task:namespace:user", "user namespace of its own", READY_NOT,
         "nested user namespaces are not built again; run wslx inside of it (nsenter --target PID "
         "--all)"},
	{"task:namespace:*", "namespace of its own", READY_FULL,
         "namespaces are to be built again; run wslx inside of it (nsenter --target PID --all)"},
	{"task:shadow-stack", "shadow stack", READY_NOT,
         "user shadow stacks are not rebuilt; start it with "
         "GLIBC_TUNABLES=glibc.cpu.x86_shstk=off"},
	{"task:terminal:outside", "controlling terminal", READY_RESTORABLE,
         "it is the terminal of somebody outside of the tree: a restore attaches the caller's "
         "with --tty"},

	/* Sockets */
	{"socket:TCP*:LISTEN", "listening TCP socket", READY_RESTORABLE, NULL},
	{"socket:TCP*:CLOSE", "unconnected TCP socket", READY_RESTORABLE, NULL},
	{"socket:TCP*:LISTEN-queued", "listening TCP socket", READY_COOPERATIVE,
         "connections that the program has not accepted yet wait in its queue; let it accept them"},
	{"socket:TCP*", "TCP connection", READY_NET,
         "connections are to be resumed where their address comes back too, or closed cleanly; "
         "close it before the snapshot"},
	{"socket:UDP*:queued", "UDP socket", READY_COOPERATIVE,
         "datagrams that the program has not read yet wait in it; let it read them"},
	{"socket:UDP*", "UDP socket", READY_RESTORABLE, NULL},
	{"socket:PING*", "ICMP socket", READY_FULL,
         "it is to be opened again; close it before the snapshot"},
	{"socket:RAW*", "raw socket", READY_FULL,
         "it is to be opened again with CAP_NET_RAW; close it before the snapshot"},
	{"socket:UNIX*:descriptors", "UNIX socket", READY_COOPERATIVE,
         "descriptors are on their way in it (SCM_RIGHTS); let the program receive them"},
	{"socket:UNIX*:pair", "UNIX socket with its peer", READY_RESTORABLE, NULL},
	{"socket:UNIX*:listen", "listening UNIX socket", READY_RESTORABLE, NULL},
	{"socket:UNIX*:loose", "UNIX socket without a peer", READY_RESTORABLE, NULL},
	{"socket:UNIX*:wslg", "WSLg display or sound", READY_NOT,
         "the windows live in another distribution; only programs that reconnect survive that"},
	{"socket:UNIX*:interop", "WSL interop", READY_COOPERATIVE,
         "the line to a Windows program is cut; WSL_INTEROP is set to a live session's socket"},
	{"socket:UNIX*:dbus", "D-Bus connection", READY_COOPERATIVE,
         "the bus sees us leave; the program must connect again"},
	{"socket:UNIX*:outside", "UNIX socket to another program", READY_COOPERATIVE,
         "its peer is not in the tree and reads end of file" OUTSIDE_HINT},
	{"socket:UNIX*:unknown", "UNIX socket", READY_COOPERATIVE,
         "its peer cannot be found out without unix_diag"},
	{"socket:NETLINK:queued", "netlink socket", READY_COOPERATIVE,
         "messages of the kernel that the program has not read yet wait in it; let it read them"},
	{"socket:NETLINK", "netlink socket", READY_RESTORABLE, NULL},
	{"socket:PACKET", "packet socket", READY_FULL,
         "it is to be opened again with CAP_NET_RAW; close it before the snapshot"},
	{"socket:AF_VSOCK:service", "vsock of the WSL service", READY_NOT,
         "the host keeps the distribution alive by this line; it can never be part of a snapshot"},
	{"socket:AF_VSOCK:*", "vsock", READY_COOPERATIVE,
         "both ends must connect again: the other one is outside of this machine"},
	{"socket:MPTCP*", "multipath TCP socket", READY_NOT,
         "the kernel has no way to take such a connection apart; use plain TCP"},
	{"socket:unknown:*", "socket", READY_NOT,
         "what kind it is cannot be found out; run this as root"},
	{"socket:*", "socket of a rare family", READY_NOT,
         "the kernel does not tell its state; close it before the snapshot"},

	/* Pipes and what has no name */
	{"fd:pipe:inside", "pipe", READY_RESTORABLE, NULL},
	{"fd:pipe:outside", "pipe to another program", READY_NOT,
         "its other end is not in the tree" OUTSIDE_HINT},
	{"fd:anon_inode:\\[eventfd]", "eventfd", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[eventpoll]", "epoll", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[timerfd]", "timerfd", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[signalfd]", "signalfd", READY_RESTORABLE, NULL},
	{"fd:anon_inode:inotify", "inotify", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[pidfd]:inside", "pidfd", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[pidfd]:ended", "pidfd of what has ended", READY_RESTORABLE, NULL},
	{"fd:anon_inode:\\[pidfd]:outside", "pidfd of another program", READY_NOT,
         "it names a process that is not in the tree; snapshot a tree that holds both"},
	{"fd:anon_inode:\\[io_uring]", "io_uring", READY_NOT,
         "requests in flight cannot be taken out of the kernel; have the program use epoll"},
	{"fd:anon_inode:\\[userfaultfd]", "userfaultfd", READY_NOT,
         "who serves the faults of whom is not told by the kernel"},
	{"fd:anon_inode:\\[perf_event]", "perf event", READY_NOT,
         "counters cannot be set; stop profiling it"},
	{"fd:anon_inode:bpf*", "BPF object", READY_NOT,
         "BPF maps and programs stay in the kernel they were loaded into"},
	{"fd:anon_inode:\\[fanotify]", "fanotify", READY_NOT,
         "its pending permissions cannot be read; stop the watcher"},
	{"fd:anon_inode:\\[landlock-ruleset]", "Landlock rules", READY_NOT,
         "rules that are not enforced yet cannot be read"},
	{"fd:anon_inode:seccomp notify", "seccomp listener", READY_NOT,
         "it answers for other programs, which would wait for ever"},
	{"fd:anon_inode:kvm*", "virtual machine", READY_NOT,
         "its state is in the kernel; snapshot it with its own tool"},
	{"fd:anon_inode:*", "kernel object", READY_NOT,
         "the kernel does not tell its state; close it before the snapshot"},
	{"fd:namespace:own", "namespace", READY_RESTORABLE, NULL},
	{"fd:*:\\[*]", "namespace", READY_FULL,
         "the program is not in it; close it before the snapshot"},
	{"fd:/memfd:*", "memfd", READY_RESTORABLE, NULL},
	{"fd:/secretmem*", "secret memory", READY_NOT,
         "the kernel keeps it from everybody but the program itself"},

	/* Files with a name */
	{"fd:lease", "lease on a file", READY_NOT,
         "who breaks a lease must wait for its holder; give it back (F_UNLCK) before the snapshot"},
	{"fd:unmounted", "message queue or other file of the kernel", READY_FULL,
         "it lies in a file system that is mounted nowhere; close it before the snapshot"},
	{"fd:/dev/null", "device", READY_RESTORABLE, NULL},
	{"fd:/dev/zero", "device", READY_RESTORABLE, NULL},
	{"fd:/dev/full", "device", READY_RESTORABLE, NULL},
	{"fd:/dev/random", "device", READY_RESTORABLE, NULL},
	{"fd:/dev/urandom", "device", READY_RESTORABLE, NULL},
	{"fd:/dev/tty", "terminal", READY_RESTORABLE, NULL},
	{"fd:/dev/ptmx:used", "pty master", READY_NOT,
         "somebody outside of the tree uses the terminal that it makes" OUTSIDE_HINT},
	{"fd:/dev/ptmx", "pty master", READY_RESTORABLE, NULL},

	{"fd:/dev/pts/* (deleted)", "pty whose master is gone", READY_RESTORABLE, NULL},
	{"fd:/dev/pts/*:inside", "pty", READY_RESTORABLE, NULL},
	{"fd:/dev/pts/*:outside", "terminal", READY_RESTORABLE,
         "somebody outside of the tree holds its other side: a restore attaches the caller's "
         "terminal with --tty"},
	{"fd:/dev/shm/* (deleted)", "deleted file", READY_RESTORABLE, NULL},
	{"fd:/dev/shm/*", "shared memory file", READY_RESTORABLE, NULL},
	{"fd:/dev/mqueue/*", "message queue", READY_FULL,
         "its messages are to be read and sent again; close it before the snapshot"},
	{"fd:/dev/dxg", "GPU", READY_NOT,
         "its state is on the Windows side; the program must end its GPU work first"},
	{"fd:/dev/nvidia*", "GPU", READY_NOT, "its state is in the driver; end the GPU work first"},
	{"fd:/dev/dri/*", "GPU", READY_NOT, "its state is in the driver; end the GPU work first"},
	{"fd:/dev/kfd", "GPU", READY_NOT, "its state is in the driver; end the GPU work first"},
	{"fd:/dev/fuse", "FUSE server", READY_NOT,
         "the file systems it serves would hang; unmount them"},
	{"fd:/dev/kvm", "virtual machine monitor", READY_NOT,
         "its state is in the kernel; snapshot it with its own tool"},
	{"fd:/dev/net/tun", "tun interface", READY_FULL,
         "the interface is to be made again; close it before the snapshot"},
	{"fd:/dev/hvc*", "console", READY_RESTORABLE,
         "a restore attaches the caller's terminal with --tty"},
	{"fd:/dev/console", "console", READY_RESTORABLE,
         "a restore attaches the caller's terminal with --tty"},
	{"fd:/dev/tty*", "terminal", READY_RESTORABLE,
         "a restore attaches the caller's terminal with --tty"},
	{"fd:/dev/*", "device", READY_NOT,
         "the kernel does not tell the state of this device; close it before the snapshot"},
	{"fd:/proc/*:outside", "file of another process in /proc", READY_NOT,
         "that process is not in the tree; close it, or snapshot a tree that holds both"},
	{"fd:/proc/* (deleted)", "file of an ended process in /proc", READY_NOT,
         "that process is gone; close it before the snapshot"},
	{"fd:/proc/*", "file of /proc", READY_RESTORABLE, NULL},
	{"fd:/sys/*", "file of /sys", READY_RESTORABLE, NULL},
	{"fd:/* (deleted)", "deleted file", READY_RESTORABLE, NULL},
	{"fd:/*:windows", "file on a Windows drive", READY_RESTORABLE,
         "it is found again by its path: it has no stable inode number"},
	{"fd:/*", "file", READY_RESTORABLE, NULL},
	{"fd:*", "file of an unknown kind", READY_NOT,
         "it is not known how to bring this back; close it before the snapshot"},

	/* Memory that is more than bytes */
	{"map:ok", "memory", READY_RESTORABLE, NULL},
	{"map:unreadable", "memory", READY_NOT, "its mappings may not be read; run this as root"},
	{"map:/SYSV*", "SysV shared memory", READY_FULL,
         "it is to be built again with its IPC netns; POSIX shared memory (shm_open) works"},
	{"map:/dev/dxg*", "GPU memory", READY_NOT,
         "its state is on the Windows side; the program must end its GPU work first"},
	{"map:/\\[aio]*", "asynchronous I/O", READY_NOT,
         "requests in flight cannot be taken out of the kernel"},
	{"map:/secretmem*", "secret memory", READY_NOT,
         "the kernel keeps it from everybody but the program itself"},
	{"map:anon_inode:\\[io_uring]", "io_uring", READY_NOT,
         "requests in flight cannot be taken out of the kernel; have the program use epoll"},
	{"map:anon_inode:*", "kernel memory", READY_NOT,
         "it belongs to a kernel object that cannot be rebuilt"},
	{"map:socket:*", "packet ring", READY_NOT, "the ring is shared with the kernel"},
	{"map:device:*", "device memory", READY_NOT, "the state of the device is not in it"},
	{"map:shadow-stack", "shadow stack", READY_NOT, "user shadow stacks are not rebuilt"},
	{"map:userfaultfd", "memory under userfaultfd", READY_NOT,
         "who serves its faults is not told by the kernel"},
	{"map:hugetlb", "reserved huge pages", READY_NOT,
         "use transparent huge pages (madvise) instead"},
	{"map:flag:*", "memory with an unknown property", READY_NOT,
         "this kernel has a property of memory that wslx does not know; a newer wslx may"},
};

static const struct ready_kind *find_kind(const char *sign)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!fnmatch(kinds[i].sign, sign, 0))
			return &kinds[i];
	}
	/* Every family of signs ends with a row that takes all of it. */
	assert(false);
	return NULL;
}

enum ready_class ready_class_of(const char *sign, const char **kind, const char **sentence)
{
	const struct ready_kind *k = find_kind(sign);

	*kind = k->kind;
	*sentence = k->sentence;
	return k->class;
}
