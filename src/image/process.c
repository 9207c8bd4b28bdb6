/* SPDX-License-Identifier: MIT */
/* The field tables of the process image. */
#include "image/process.h"

static const struct field run_rec_fields[] = {
	FIELD_HEX(struct run_rec, at, 1, UINT64_MAX,
                  "address in a mapping, offset in an inode; bytes"),
	FIELD(struct run_rec, pages, 2, UINT64_MAX, "how many"),
	FIELD(struct run_rec, first, 3, UINT64_MAX,
              "number of the first page in the snapshot's page stream"),
};

static const struct rec_type run_rec_type = REC_TYPE(run_rec, run_rec_fields, .key = 1);

static const struct field range_rec_fields[] = {
	FIELD_HEX(struct range_rec, at, 1, UINT64_MAX),
	FIELD(struct range_rec, bytes, 2, UINT64_MAX),
};

static const struct rec_type range_rec_type = REC_TYPE(range_rec, range_rec_fields);

static const struct field vma_rec_fields[] = {
	FIELD_HEX(struct vma_rec, start, 1, UINT64_MAX),
	FIELD_HEX(struct vma_rec, end, 2, UINT64_MAX),
	FIELD(struct vma_rec, kind, 3, VMA_KINDS - 1),
	FIELD(struct vma_rec, prot, 4, 7),
	FIELD(struct vma_rec, shared, 5, 1),
	FIELD_HEX(struct vma_rec, flags, 6, UINT32_MAX,
                  "enum proc_vm_flag, those that restore brings back"),
	FIELD(struct vma_rec, offset, 7, UINT64_MAX),
	FIELD(struct vma_rec, inode, 8, IMAGE_IDS_MAX),
	FIELD(struct vma_rec, writable_file, 9, 1, "a shared mapping that may be made writable"),
	FIELD(struct vma_rec, pkey, 10, UINT32_MAX),
	FIELD(struct vma_rec, name, 11, IMAGE_PATH_MAX, "PR_SET_VMA_ANON_NAME"),
	FIELD_LIST(struct vma_rec, runs, 12, &run_rec_type, 16777216, "struct run_rec"),
	FIELD_LIST(struct vma_rec, guards, 13, &range_rec_type, 1048576,
                   "struct range_rec: MADV_GUARD_INSTALL"),
};

static const struct rec_type vma_rec_type = REC_TYPE(vma_rec, vma_rec_fields, .key = 1);

static const struct field mm_rec_fields[] = {
	FIELD(struct mm_rec, id, 1, IMAGE_IDS_MAX),
	FIELD_LIST(struct mm_rec, vmas, 2, &vma_rec_type, 1048576),
	FIELD_HEX(struct mm_rec, start_code, 3, UINT64_MAX),
	FIELD_HEX(struct mm_rec, end_code, 4, UINT64_MAX),
	FIELD_HEX(struct mm_rec, start_data, 5, UINT64_MAX),
	FIELD_HEX(struct mm_rec, end_data, 6, UINT64_MAX),
	FIELD_HEX(struct mm_rec, start_brk, 7, UINT64_MAX),
	FIELD_HEX(struct mm_rec, brk, 8, UINT64_MAX),
	FIELD_HEX(struct mm_rec, start_stack, 9, UINT64_MAX),
	FIELD_HEX(struct mm_rec, arg_start, 10, UINT64_MAX),
	FIELD_HEX(struct mm_rec, arg_end, 11, UINT64_MAX),
	FIELD_HEX(struct mm_rec, env_start, 12, UINT64_MAX),
	FIELD_HEX(struct mm_rec, env_end, 13, UINT64_MAX),
	FIELD(struct mm_rec, auxv, 14, 4096),
	FIELD(struct mm_rec, exe, 15, IMAGE_IDS_MAX, "inode"),
	FIELD(struct mm_rec, dumpable, 16, 2, "0, 1, 2"),
	FIELD(struct mm_rec, thp_disable, 17, 3, "PR_GET_THP_DISABLE"),
	FIELD(struct mm_rec, mdwe, 18, UINT32_MAX, "PR_SET_MDWE bits"),
	FIELD(struct mm_rec, memory_merge, 19, 1),
	FIELD(struct mm_rec, mlock_future, 20, UINT32_MAX, "MCL_*"),
	FIELD(struct mm_rec, pkeys, 21, UINT64_MAX, "bit n: key n is allocated"),
	FIELD(struct mm_rec, membarrier, 22, UINT32_MAX,
              "MEMBARRIER_CMD_REGISTER_* that were made"),
};

static const struct rec_type mm_rec_type = REC_TYPE(mm_rec, mm_rec_fields, .key = 1);

static const struct field inode_rec_fields[] = {
	FIELD(struct inode_rec, id, 1, IMAGE_IDS_MAX),
	FIELD(struct inode_rec, kind, 2, INODE_KINDS - 1),
	FIELD(struct inode_rec, path, 3, IMAGE_PATH_MAX, "also the name of a memfd"),
	FIELD(struct inode_rec, dev_major, 4, UINT32_MAX),
	FIELD(struct inode_rec, dev_minor, 5, UINT32_MAX),
	FIELD(struct inode_rec, ino, 6, UINT64_MAX),
	FIELD(struct inode_rec, mode, 7, UINT32_MAX, "st_mode"),
	FIELD(struct inode_rec, uid, 8, UINT32_MAX),
	FIELD(struct inode_rec, gid, 9, UINT32_MAX),
	FIELD(struct inode_rec, size, 10, INT64_MAX),
	FIELD(struct inode_rec, mtime_ns, 11, INT64_MAX),
	FIELD_HEX(struct inode_rec, rdev, 12, UINT64_MAX),
	FIELD(struct inode_rec, seals, 13, UINT32_MAX, "F_SEAL_* of a memfd"),
	FIELD(struct inode_rec, hugetlb, 14, 1),
	FIELD_LIST(struct inode_rec, runs, 15, &run_rec_type, 16777216,
                   "content of ghosts, memfds, shared memory"),
};

static const struct rec_type inode_rec_type = REC_TYPE(inode_rec, inode_rec_fields, .key = 1);

static const struct field epoll_target_rec_fields[] = {
	FIELD(struct epoll_target_rec, fd, 1, UINT32_MAX),
	FIELD(struct epoll_target_rec, file, 2, IMAGE_IDS_MAX, "the description that is watched"),
	FIELD_HEX(struct epoll_target_rec, events, 3, UINT32_MAX),
	FIELD_HEX(struct epoll_target_rec, data, 4, UINT64_MAX),
};

static const struct rec_type epoll_target_rec_type =
	REC_TYPE(epoll_target_rec, epoll_target_rec_fields);

static const struct field epoll_rec_fields[] = {
	FIELD_LIST(struct epoll_rec, targets, 1, &epoll_target_rec_type, 1048576),
};

static const struct rec_type epoll_rec_type = REC_TYPE(epoll_rec, epoll_rec_fields);

static const struct field timerfd_rec_fields[] = {
	FIELD(struct timerfd_rec, clock, 1, UINT32_MAX),
	FIELD(struct timerfd_rec, settime_flags, 2, UINT32_MAX),
	FIELD(struct timerfd_rec, ticks, 3, UINT64_MAX, "expirations not yet read"),
	FIELD(struct timerfd_rec, value_ns, 4, UINT64_MAX, "value: until the next one"),
	FIELD(struct timerfd_rec, interval_ns, 5, UINT64_MAX, "value: until the next one"),
};

static const struct rec_type timerfd_rec_type = REC_TYPE(timerfd_rec, timerfd_rec_fields);

static const struct field watch_rec_fields[] = {
	FIELD(struct watch_rec, wd, 1, UINT32_MAX),
	FIELD_HEX(struct watch_rec, mask, 2, UINT32_MAX),
	FIELD(struct watch_rec, inode, 3, IMAGE_IDS_MAX),
};

static const struct rec_type watch_rec_type = REC_TYPE(watch_rec, watch_rec_fields, .key = 1);

static const struct field inotify_rec_fields[] = {
	FIELD_LIST(struct inotify_rec, watches, 1, &watch_rec_type, 1048576),
};

static const struct rec_type inotify_rec_type = REC_TYPE(inotify_rec, inotify_rec_fields);

static const struct field file_rec_fields[] = {
	FIELD(struct file_rec, id, 1, IMAGE_IDS_MAX),
	FIELD(struct file_rec, kind, 2, FILE_KINDS - 1),
	FIELD_HEX(struct file_rec, flags, 3, UINT32_MAX, "O_*, as F_GETFL tells"),
	FIELD(struct file_rec, pos, 4, UINT64_MAX),
	FIELD(struct file_rec, inode, 5, IMAGE_IDS_MAX),
	FIELD(struct file_rec, object, 6, IMAGE_IDS_MAX, "id of the pipe, tty or socket"),
	FIELD(struct file_rec, end, 7, 2,
              "of a pipe: 0 reads, 1 writes, 2 both; of a tty: 1 master"),
	FIELD(struct file_rec, owner, 8, INT32_MAX, "F_SETOWN: pid, or -pgid"),
	FIELD(struct file_rec, owner_type, 9, UINT32_MAX),
	FIELD(struct file_rec, owner_uid, 10, UINT32_MAX),
	FIELD(struct file_rec, owner_euid, 11, UINT32_MAX),
	FIELD(struct file_rec, owner_signal, 12, UINT32_MAX, "F_SETSIG"),
	FIELD(struct file_rec, count, 13, UINT64_MAX, "eventfd: value; signalfd: mask; pidfd: pid"),
	FIELD(struct file_rec, semaphore, 14, 1),
	FIELD_REC(struct file_rec, epoll, 15, &epoll_rec_type),
	FIELD_REC(struct file_rec, timerfd, 16, &timerfd_rec_type),
	FIELD_REC(struct file_rec, inotify, 17, &inotify_rec_type),
	FIELD(struct file_rec, path, 18, IMAGE_PATH_MAX, "FILE_PROC: below /proc"),
	FIELD_HEX(struct file_rec, status, 19, UINT32_MAX,
                  "pidfd of a process that is gone: as wait(2) told it"),
};

static const struct rec_type file_rec_type = REC_TYPE(file_rec, file_rec_fields, .key = 1);

static const struct field fd_rec_fields[] = {
	FIELD(struct fd_rec, fd, 1, UINT32_MAX),
	FIELD(struct fd_rec, file, 2, IMAGE_IDS_MAX),
	FIELD(struct fd_rec, cloexec, 3, 1),
};

static const struct rec_type fd_rec_type = REC_TYPE(fd_rec, fd_rec_fields, .key = 1);

static const struct field table_rec_fields[] = {
	FIELD(struct table_rec, id, 1, IMAGE_IDS_MAX),
	FIELD_LIST(struct table_rec, fds, 2, &fd_rec_type, 1048576),
};

static const struct rec_type table_rec_type = REC_TYPE(table_rec, table_rec_fields, .key = 1);

static const struct field pipe_rec_fields[] = {
	FIELD(struct pipe_rec, id, 1, IMAGE_IDS_MAX),
	FIELD(struct pipe_rec, capacity, 2, UINT32_MAX, "bytes, as F_GETPIPE_SZ gives it"),
	FIELD(struct pipe_rec, inode, 3, IMAGE_IDS_MAX, "of a FIFO with a name, else 0"),
	FIELD(struct pipe_rec, packets, 4, UINT32_MAX,
              "the bytes are packets (O_DIRECT): their number"),
	FIELD_LIST_U64(struct pipe_rec, sizes, 5, 65536, "of the packets, uint64_t"),
	FIELD(struct pipe_rec, data, 6, 268435456, "bytes written but not yet read, oldest first"),
	FIELD(struct pipe_rec, full, 7, 1, "no room for one more byte, whatever the capacity says"),
};

static const struct rec_type pipe_rec_type = REC_TYPE(pipe_rec, pipe_rec_fields, .key = 1);

static const struct field tty_rec_fields[] = {
	FIELD(struct tty_rec, id, 1, IMAGE_IDS_MAX),
	FIELD(struct tty_rec, index, 2, UINT32_MAX, "of a pty; on restore a new one is given"),
	FIELD(struct tty_rec, external, 3, 1,
              "the other side is not in the tree: a terminal of the user's"),
	FIELD(struct tty_rec, hung_up, 4, 1, "a slave whose master is gone"),
	FIELD(struct tty_rec, path, 5, IMAGE_PATH_MAX, "of the slave"),
	FIELD_HEX(struct tty_rec, rdev, 6, UINT64_MAX),
	FIELD(struct tty_rec, slave_mode, 7, UINT32_MAX),
	FIELD(struct tty_rec, slave_uid, 8, UINT32_MAX),
	FIELD(struct tty_rec, slave_gid, 9, UINT32_MAX),
	FIELD(struct tty_rec, termios, 10, 256, "struct termios2"),
	FIELD(struct tty_rec, rows, 11, UINT32_MAX),
	FIELD(struct tty_rec, cols, 12, UINT32_MAX),
	FIELD(struct tty_rec, xpixel, 13, UINT32_MAX),
	FIELD(struct tty_rec, ypixel, 14, UINT32_MAX),
	FIELD(struct tty_rec, packet_mode, 15, 1),
	FIELD(struct tty_rec, locked, 16, 1),
	FIELD(struct tty_rec, session, 17, INT32_MAX, "controlling session and group, 0 if none"),
	FIELD(struct tty_rec, foreground, 18, INT32_MAX,
              "controlling session and group, 0 if none"),
	FIELD(struct tty_rec, to_slave, 19, 1048576, "typed, not yet read"),
	FIELD(struct tty_rec, to_master, 20, 1048576),
	FIELD(struct tty_rec, exclusive, 21, 1, "TIOCEXCL"),
	FIELD(struct tty_rec, slave_closed, 22, 1,
              "it was opened once, and nobody has it open: reading gives EIO"),
	FIELD_LIST_U64(struct tty_rec, line_ends, 23, 4096,
                       "uint64_t: 2 * position in to_slave, + 1: ended by VEOF"),
};

static const struct rec_type tty_rec_type = REC_TYPE(tty_rec, tty_rec_fields, .key = 1);

static const struct field sockopt_rec_fields[] = {
	FIELD(struct sockopt_rec, level, 1, UINT32_MAX),
	FIELD(struct sockopt_rec, name, 2, UINT32_MAX),
	FIELD(struct sockopt_rec, value, 3, 32768),
};

static const struct rec_type sockopt_rec_type = REC_TYPE(sockopt_rec, sockopt_rec_fields);

static const struct field message_rec_fields[] = {
	FIELD(struct message_rec, data, 1, 67108864),
	FIELD(struct message_rec, from, 2, 128, "sender's address, datagrams"),
	FIELD(struct message_rec, has_creds, 3, 1, "the receiver asked for them (SO_PASSCRED)"),
	FIELD(struct message_rec, pid, 4, INT32_MAX),
	FIELD(struct message_rec, uid, 5, UINT32_MAX),
	FIELD(struct message_rec, gid, 6, UINT32_MAX),
};

static const struct rec_type message_rec_type = REC_TYPE(message_rec, message_rec_fields);

static const struct field sock_rec_fields[] = {
	FIELD(struct sock_rec, id, 1, IMAGE_IDS_MAX),
	FIELD(struct sock_rec, family, 2, UINT32_MAX),
	FIELD(struct sock_rec, type, 3, UINT32_MAX),
	FIELD(struct sock_rec, protocol, 4, UINT32_MAX),
	FIELD(struct sock_rec, ino, 5, UINT64_MAX),
	FIELD(struct sock_rec, listening, 6, 1),
	FIELD(struct sock_rec, backlog, 7, UINT32_MAX),
	FIELD(struct sock_rec, local, 8, 128, "sockaddr"),
	FIELD(struct sock_rec, path_mode, 9, UINT32_MAX, "of a UNIX socket with a path"),
	FIELD(struct sock_rec, path_uid, 10, UINT32_MAX, "of a UNIX socket with a path"),
	FIELD(struct sock_rec, path_gid, 11, UINT32_MAX, "of a UNIX socket with a path"),
	FIELD(struct sock_rec, path_gone, 12, 1),
	FIELD(struct sock_rec, peer, 13, IMAGE_IDS_MAX, "id, UNIX pairs"),
	FIELD(struct sock_rec, shut, 14, UINT32_MAX, "bit 0: receiving, bit 1: sending"),
	FIELD(struct sock_rec, creator, 15, UINT32_MAX, "pid, for SO_PEERCRED"),
	FIELD_LIST(struct sock_rec, options, 16, &sockopt_rec_type, 256),
	FIELD_LIST(struct sock_rec, queue, 17, &message_rec_type, 65536, "struct message_rec"),
	FIELD(struct sock_rec, remote, 18, 128,
              "sockaddr of a peer outside that is found by address again"),
	FIELD(struct sock_rec, peer_closed, 19, 1, "it was connected, and the other end is gone"),
	FIELD(struct sock_rec, reset, 20, 1,
              "that end had unread data: the next read gives ECONNRESET"),
	FIELD(struct sock_rec, dir, 21, IMAGE_PATH_MAX, "where a relative path was bound"),
	FIELD(struct sock_rec, uid, 22, UINT32_MAX, "of the socket itself"),
	FIELD(struct sock_rec, gid, 23, UINT32_MAX, "of the socket itself"),
	FIELD(struct sock_rec, creator_uid, 24, UINT32_MAX, "for SO_PEERCRED"),
	FIELD(struct sock_rec, creator_gid, 25, UINT32_MAX, "for SO_PEERCRED"),
	FIELD_LIST_U64(struct sock_rec, groups, 26, 2048,
                       "netlink, uint64_t: multicast groups from 1"),
};

static const struct rec_type sock_rec_type = REC_TYPE(sock_rec, sock_rec_fields, .key = 1);

static const struct field lock_rec_fields[] = {
	FIELD(struct lock_rec, kind, 1, LOCK_KINDS - 1),
	FIELD(struct lock_rec, write, 2, 1),
	FIELD(struct lock_rec, file, 3, IMAGE_IDS_MAX, "description"),
	FIELD(struct lock_rec, pid, 4, INT32_MAX, "POSIX: the owner"),
	FIELD_HEX(struct lock_rec, start, 5, UINT64_MAX,
                  "inclusive; UINT64_MAX: to the end of the file"),
	FIELD_HEX(struct lock_rec, end, 6, UINT64_MAX,
                  "inclusive; UINT64_MAX: to the end of the file"),
};

static const struct rec_type lock_rec_type = REC_TYPE(lock_rec, lock_rec_fields);

static const struct field fs_rec_fields[] = {
	FIELD(struct fs_rec, id, 1, IMAGE_IDS_MAX),
	FIELD(struct fs_rec, cwd, 2, IMAGE_PATH_MAX),
	FIELD(struct fs_rec, root, 3, IMAGE_PATH_MAX),
	FIELD(struct fs_rec, umask, 4, UINT32_MAX),
	FIELD(struct fs_rec, cwd_gone, 5, 1, "the working directory is deleted"),
};

static const struct rec_type fs_rec_type = REC_TYPE(fs_rec, fs_rec_fields, .key = 1);

static const struct field action_rec_fields[] = {
	FIELD(struct action_rec, sig, 1, 64),
	FIELD_HEX(struct action_rec, handler, 2, UINT64_MAX),
	FIELD_HEX(struct action_rec, flags, 3, UINT64_MAX),
	FIELD_HEX(struct action_rec, restorer, 4, UINT64_MAX),
	FIELD_HEX(struct action_rec, mask, 5, UINT64_MAX),
};

static const struct rec_type action_rec_type = REC_TYPE(action_rec, action_rec_fields, .key = 1);

static const struct field sighand_rec_fields[] = {
	FIELD(struct sighand_rec, id, 1, IMAGE_IDS_MAX),
	FIELD_LIST(struct sighand_rec, actions, 2, &action_rec_type, 64,
                   "those that are not SIG_DFL"),
};

static const struct rec_type sighand_rec_type = REC_TYPE(sighand_rec, sighand_rec_fields, .key = 1);

static const struct field siginfo_rec_fields[] = {
	FIELD(struct siginfo_rec, info, 1, 128, "siginfo_t, 128 bytes"),
};

static const struct rec_type siginfo_rec_type = REC_TYPE(siginfo_rec, siginfo_rec_fields);

static const struct field itimer_rec_fields[] = {
	FIELD(struct itimer_rec, which, 1, 2),
	FIELD(struct itimer_rec, value_us, 2, UINT64_MAX),
	FIELD(struct itimer_rec, interval_us, 3, UINT64_MAX),
};

static const struct rec_type itimer_rec_type = REC_TYPE(itimer_rec, itimer_rec_fields, .key = 1);

static const struct field posix_timer_rec_fields[] = {
	FIELD(struct posix_timer_rec, id, 1, UINT32_MAX),
	FIELD(struct posix_timer_rec, clock, 2, UINT32_MAX),
	FIELD(struct posix_timer_rec, notify, 3, UINT32_MAX, "SIGEV_* with SIGEV_THREAD_ID"),
	FIELD(struct posix_timer_rec, sig, 4, UINT32_MAX),
	FIELD_HEX(struct posix_timer_rec, sigval, 5, UINT64_MAX),
	FIELD(struct posix_timer_rec, tid, 6, INT32_MAX, "SIGEV_THREAD_ID"),
	FIELD(struct posix_timer_rec, value_ns, 7, UINT64_MAX),
	FIELD(struct posix_timer_rec, interval_ns, 8, UINT64_MAX),
	FIELD(struct posix_timer_rec, overrun, 9, UINT32_MAX),
};

static const struct rec_type posix_timer_rec_type =
	REC_TYPE(posix_timer_rec, posix_timer_rec_fields, .key = 1);

static const struct field regs_rec_fields[] = {
	FIELD_HEX(struct regs_rec, r15, 1, UINT64_MAX),
	FIELD_HEX(struct regs_rec, r14, 2, UINT64_MAX),
	FIELD_HEX(struct regs_rec, r13, 3, UINT64_MAX),
	FIELD_HEX(struct regs_rec, r12, 4, UINT64_MAX),
	FIELD_HEX(struct regs_rec, rbp, 5, UINT64_MAX),
	FIELD_HEX(struct regs_rec, rbx, 6, UINT64_MAX),
	FIELD_HEX(struct regs_rec, r11, 7, UINT64_MAX),
	FIELD_HEX(struct regs_rec, r10, 8, UINT64_MAX),
	FIELD_HEX(struct regs_rec, r9, 9, UINT64_MAX),
	FIELD_HEX(struct regs_rec, r8, 10, UINT64_MAX),
	FIELD_HEX(struct regs_rec, rax, 11, UINT64_MAX),
	FIELD_HEX(struct regs_rec, rcx, 12, UINT64_MAX),
	FIELD_HEX(struct regs_rec, rdx, 13, UINT64_MAX),
	FIELD_HEX(struct regs_rec, rsi, 14, UINT64_MAX),
	FIELD_HEX(struct regs_rec, rdi, 15, UINT64_MAX),
	FIELD_HEX(struct regs_rec, orig_rax, 16, UINT64_MAX),
	FIELD_HEX(struct regs_rec, rip, 17, UINT64_MAX),
	FIELD_HEX(struct regs_rec, cs, 18, UINT64_MAX),
	FIELD_HEX(struct regs_rec, eflags, 19, UINT64_MAX),
	FIELD_HEX(struct regs_rec, rsp, 20, UINT64_MAX),
	FIELD_HEX(struct regs_rec, ss, 21, UINT64_MAX),
	FIELD_HEX(struct regs_rec, fs_base, 22, UINT64_MAX),
	FIELD_HEX(struct regs_rec, gs_base, 23, UINT64_MAX),
	FIELD_HEX(struct regs_rec, ds, 24, UINT64_MAX),
	FIELD_HEX(struct regs_rec, es, 25, UINT64_MAX),
	FIELD_HEX(struct regs_rec, fs, 26, UINT64_MAX),
	FIELD_HEX(struct regs_rec, gs, 27, UINT64_MAX),
};

static const struct rec_type regs_rec_type = REC_TYPE(regs_rec, regs_rec_fields);

static const struct field creds_rec_fields[] = {
	FIELD(struct creds_rec, ruid, 1, UINT32_MAX),
	FIELD(struct creds_rec, euid, 2, UINT32_MAX),
	FIELD(struct creds_rec, suid, 3, UINT32_MAX),
	FIELD(struct creds_rec, fsuid, 4, UINT32_MAX),
	FIELD(struct creds_rec, rgid, 5, UINT32_MAX),
	FIELD(struct creds_rec, egid, 6, UINT32_MAX),
	FIELD(struct creds_rec, sgid, 7, UINT32_MAX),
	FIELD(struct creds_rec, fsgid, 8, UINT32_MAX),
	FIELD_LIST_U64(struct creds_rec, groups, 9, 65536, "uint64_t"),
	FIELD_HEX(struct creds_rec, cap_inh, 10, UINT64_MAX),
	FIELD_HEX(struct creds_rec, cap_prm, 11, UINT64_MAX),
	FIELD_HEX(struct creds_rec, cap_eff, 12, UINT64_MAX),
	FIELD_HEX(struct creds_rec, cap_bnd, 13, UINT64_MAX),
	FIELD_HEX(struct creds_rec, cap_amb, 14, UINT64_MAX),
	FIELD(struct creds_rec, securebits, 15, UINT32_MAX),
	FIELD(struct creds_rec, no_new_privs, 16, 1),
};

static const struct rec_type creds_rec_type = REC_TYPE(creds_rec, creds_rec_fields);

static const struct field sched_rec_fields[] = {
	FIELD(struct sched_rec, policy, 1, UINT32_MAX),
	FIELD(struct sched_rec, nice, 2, INT32_MAX),
	FIELD(struct sched_rec, priority, 3, 99),
	FIELD_HEX(struct sched_rec, flags, 4, UINT64_MAX),
	FIELD(struct sched_rec, runtime, 5, UINT64_MAX),
	FIELD(struct sched_rec, deadline, 6, UINT64_MAX),
	FIELD(struct sched_rec, period, 7, UINT64_MAX),
};

static const struct rec_type sched_rec_type = REC_TYPE(sched_rec, sched_rec_fields);

static const struct field thread_rec_fields[] = {
	FIELD(struct thread_rec, tid, 1, UINT32_MAX),
	FIELD(struct thread_rec, table, 2, IMAGE_IDS_MAX),
	FIELD(struct thread_rec, fs, 3, IMAGE_IDS_MAX),
	FIELD(struct thread_rec, comm, 4, IMAGE_PATH_MAX),
	FIELD_REC(struct thread_rec, regs, 5, &regs_rec_type),
	FIELD(struct thread_rec, xstate, 6, 65536,
              "NT_X86_XSTATE: the XSAVE area in its standard form"),
	FIELD_HEX(struct thread_rec, xcomp_perm, 7, UINT64_MAX,
                  "ARCH_GET_XCOMP_PERM: dynamic features (AMX) that were granted"),
	FIELD_HEX(struct thread_rec, sigmask, 8, UINT64_MAX),
	FIELD_LIST(struct thread_rec, pending, 9, &siginfo_rec_type, 65536,
                   "struct siginfo_rec, oldest first"),
	FIELD_HEX(struct thread_rec, altstack_sp, 10, UINT64_MAX),
	FIELD(struct thread_rec, altstack_bytes, 11, UINT64_MAX),
	FIELD(struct thread_rec, altstack_flags, 12, UINT32_MAX),
	FIELD_HEX(struct thread_rec, robust_list, 13, UINT64_MAX),
	FIELD(struct thread_rec, robust_bytes, 14, UINT64_MAX),
	FIELD_HEX(struct thread_rec, clear_child_tid, 15, UINT64_MAX),
	FIELD_HEX(struct thread_rec, rseq, 16, UINT64_MAX),
	FIELD(struct thread_rec, rseq_bytes, 17, UINT32_MAX),
	FIELD_HEX(struct thread_rec, rseq_signature, 18, UINT32_MAX),
	FIELD_REC(struct thread_rec, creds, 19, &creds_rec_type),
	FIELD_REC(struct thread_rec, sched, 20, &sched_rec_type),
	FIELD(struct thread_rec, affinity, 21, 8192, "as sched_getaffinity(2) gives it"),
	FIELD_HEX(struct thread_rec, ioprio, 22, UINT32_MAX),
	FIELD(struct thread_rec, timer_slack_ns, 23, UINT64_MAX),
	FIELD(struct thread_rec, pdeathsig, 24, UINT32_MAX),
	FIELD_HEX(struct thread_rec, personality, 25, UINT32_MAX),
	FIELD(struct thread_rec, tsc_mode, 26, UINT32_MAX),
	FIELD(struct thread_rec, cpuid_fault, 27, UINT32_MAX,
              "1: arch_prctl(ARCH_CPUID) forbids it"),
	FIELD(struct thread_rec, group_stop, 28, UINT32_MAX,
              "stop signal if the thread stands in a group stop"),
	FIELD(struct thread_rec, mce_kill, 31, 2, "PR_MCE_KILL_GET"),
	FIELD_HEX(struct thread_rec, speculation, 32, 0xffffff,
                  "PR_GET_SPECULATION_CTRL of kind n in byte n"),
	FIELD_HEX(struct thread_rec, numa_policy, 33, UINT32_MAX, "get_mempolicy(2)"),
	FIELD(struct thread_rec, numa_nodes, 34, 128, "its nodes, a bit each"),
};

static const struct rec_type thread_rec_type = REC_TYPE(thread_rec, thread_rec_fields, .key = 1);

static const struct field limit_rec_fields[] = {
	FIELD(struct limit_rec, resource, 1, UINT32_MAX),
	FIELD(struct limit_rec, soft, 2, UINT64_MAX),
	FIELD(struct limit_rec, hard, 3, UINT64_MAX),
};

static const struct rec_type limit_rec_type = REC_TYPE(limit_rec, limit_rec_fields, .key = 1);

static const struct field task_rec_fields[] = {
	FIELD(struct task_rec, pid, 1, UINT32_MAX),
	FIELD(struct task_rec, ppid, 2, UINT32_MAX, "0: the parent is outside of the tree"),
	FIELD(struct task_rec, pgid, 3, UINT32_MAX),
	FIELD(struct task_rec, sid, 4, UINT32_MAX),
	FIELD(struct task_rec, state, 5, TASK_STATES - 1),
	FIELD(struct task_rec, exit_status, 6, UINT32_MAX, "zombie: as wait(2) tells it"),
	FIELD(struct task_rec, exit_signal, 7, UINT32_MAX, "to the parent; 17 mostly"),
	FIELD(struct task_rec, stop_signal, 8, UINT32_MAX),
	FIELD(struct task_rec, mm, 9, IMAGE_IDS_MAX),
	FIELD(struct task_rec, sighand, 10, IMAGE_IDS_MAX),
	FIELD(struct task_rec, tty, 11, IMAGE_IDS_MAX, "controlling terminal"),
	FIELD(struct task_rec, subreaper, 12, 1),
	FIELD(struct task_rec, oom_score_adj, 13, INT32_MAX),
	FIELD(struct task_rec, coredump_filter, 14, UINT32_MAX),
	FIELD_LIST(struct task_rec, pending, 15, &siginfo_rec_type, 65536, "shared ones"),
	FIELD_LIST(struct task_rec, limits, 16, &limit_rec_type, 32),
	FIELD_LIST(struct task_rec, itimers, 17, &itimer_rec_type, 3),
	FIELD_LIST(struct task_rec, timers, 18, &posix_timer_rec_type, 65536),
	FIELD_LIST(struct task_rec, threads, 19, &thread_rec_type, 131072),
	FIELD(struct task_rec, comm, 20, IMAGE_PATH_MAX, "of a zombie, which has no threads"),
	FIELD(struct task_rec, stop_news, 21, 1, "the parent has not waited for the stop yet"),
};

static const struct rec_type task_rec_type = REC_TYPE(task_rec, task_rec_fields, .key = 1);

static const struct field process_image_fields[] = {
	FIELD(struct process_image, version, 1, UINT32_MAX),
	FIELD(struct process_image, wslx, 2, IMAGE_PATH_MAX, "version that wrote it"),
	FIELD(struct process_image, kernel, 3, IMAGE_PATH_MAX, "uname -r"),
	FIELD(struct process_image, boot_id, 4, IMAGE_PATH_MAX),
	FIELD(struct process_image, taken_ns, 5, UINT64_MAX, "CLOCK_REALTIME"),
	FIELD(struct process_image, monotonic_ns, 6, UINT64_MAX),
	FIELD(struct process_image, boottime_ns, 7, UINT64_MAX),
	FIELD(struct process_image, root, 8, UINT32_MAX, "pid of the root task"),
	FIELD_HEX(struct process_image, xfeatures, 9, UINT64_MAX,
                  "XCR0: what the register images need"),
	FIELD_HEX(struct process_image, vdso_hash, 10, UINT64_MAX,
                  "os_quick_hash() of the vdso's bytes"),
	FIELD(struct process_image, profile, 11, IMAGE_PATH_MAX),
	FIELD(struct process_image, n_pages, 12, UINT64_MAX >> PAGE_SHIFT, "in the page stream"),
	FIELD(struct process_image, command, 13, IMAGE_PATH_MAX,
              "of the root task, for list and show"),
	FIELD_LIST(struct process_image, tasks, 14, &task_rec_type, IMAGE_TASKS_MAX),
	FIELD_LIST(struct process_image, mms, 15, &mm_rec_type, IMAGE_TASKS_MAX),
	FIELD_LIST(struct process_image, inodes, 16, &inode_rec_type, IMAGE_IDS_MAX),
	FIELD_LIST(struct process_image, files, 17, &file_rec_type, IMAGE_IDS_MAX),
	FIELD_LIST(struct process_image, tables, 18, &table_rec_type, IMAGE_TASKS_MAX),
	FIELD_LIST(struct process_image, fss, 19, &fs_rec_type, IMAGE_TASKS_MAX),
	FIELD_LIST(struct process_image, sighands, 20, &sighand_rec_type, IMAGE_TASKS_MAX),
	FIELD_LIST(struct process_image, pipes, 21, &pipe_rec_type, IMAGE_IDS_MAX),
	FIELD_LIST(struct process_image, ttys, 22, &tty_rec_type, IMAGE_IDS_MAX),
	FIELD_LIST(struct process_image, socks, 23, &sock_rec_type, IMAGE_IDS_MAX),
	FIELD_LIST(struct process_image, locks, 24, &lock_rec_type, IMAGE_IDS_MAX),
};

static int check_image(const void *rec, struct err *e)
{
	return process_image_check(rec, e);
}

const struct rec_type process_image_type =
	REC_TYPE(process_image, process_image_fields, .check = check_image);
