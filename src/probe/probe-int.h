/* SPDX-License-Identifier: MIT */
/* What the files of the probes share: the functions that the table in probe.c names. */
#ifndef WSLX_PROBE_INT_H
#define WSLX_PROBE_INT_H

#include "probe/probe.h"

void probe_yes(struct probe_result *r, const char *fmt, ...) PRINTF(2, 3);
void probe_no(struct probe_result *r, const char *fmt, ...) PRINTF(2, 3);
void probe_unknown(struct probe_result *r, const char *fmt, ...) PRINTF(2, 3);
/* No, because @what failed with errno. */
void probe_no_errno(struct probe_result *r, const char *what);

/*
 * A child that waits for a signal until it is killed; it dies with its parent too.
 * @prepare: what it does first, NULL for nothing; not 0 is a failure and ends it
 * Return: its pid when it is prepared; -1 with errno.
 */
int probe_target_start(int (*prepare)(void));
void probe_target_end(int pid);

#define PROBE_FUNCTION(name) void probe_##name(int root, struct probe_result *r)

/* probe-task.c */
PROBE_FUNCTION(set_tid);
PROBE_FUNCTION(ns_last_pid);
PROBE_FUNCTION(kcmp);
PROBE_FUNCTION(pidfd_open);
PROBE_FUNCTION(pidfd_getfd);
PROBE_FUNCTION(timer_ids);
PROBE_FUNCTION(set_mm_map);
PROBE_FUNCTION(close_range);
PROBE_FUNCTION(user_namespace);
PROBE_FUNCTION(pid_namespace);

/* probe-ptrace.c */
PROBE_FUNCTION(ptrace);
PROBE_FUNCTION(xstate);
PROBE_FUNCTION(peeksiginfo);
PROBE_FUNCTION(rseq);
PROBE_FUNCTION(seccomp_get_filter);
PROBE_FUNCTION(suspend_seccomp);
PROBE_FUNCTION(set_syscall_info);
PROBE_FUNCTION(vm_readv);
PROBE_FUNCTION(mem_force);

/* probe-memory.c */
PROBE_FUNCTION(pagemap);
PROBE_FUNCTION(pagemap_scan);
PROBE_FUNCTION(procmap_query);
PROBE_FUNCTION(soft_dirty);
PROBE_FUNCTION(userfaultfd);
PROBE_FUNCTION(userfaultfd_kernel);
PROBE_FUNCTION(userfaultfd_wp_async);
PROBE_FUNCTION(map_files);
PROBE_FUNCTION(memfd);
PROBE_FUNCTION(mseal);
PROBE_FUNCTION(guard_regions);

/* probe-socket.c */
PROBE_FUNCTION(tcp_repair);
PROBE_FUNCTION(diag_inet);
PROBE_FUNCTION(diag_unix);
PROBE_FUNCTION(diag_netlink);
PROBE_FUNCTION(diag_packet);
PROBE_FUNCTION(diag_vsock);

/* probe-policy.c */
PROBE_FUNCTION(seccomp_init);
PROBE_FUNCTION(seccomp_self);
PROBE_FUNCTION(yama);
PROBE_FUNCTION(cap_checkpoint_restore);
PROBE_FUNCTION(cap_sys_admin);
PROBE_FUNCTION(cap_sys_ptrace);
PROBE_FUNCTION(cap_sys_resource);
PROBE_FUNCTION(cap_net_admin);
PROBE_FUNCTION(lockdown);
PROBE_FUNCTION(user_namespace_limit);

#endif
