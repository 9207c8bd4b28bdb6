/* SPDX-License-Identifier: MIT */
/* The readiness report on the recordings in tests/recordings and on programs of our own. */
#include "ready/ready.h"
#include "flow/flow.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

static const char *recordings;

static void report_on(const char *recording, pid_t pid, struct ready_report *r)
{
	struct ready_options o = {.pid = pid};
	struct err e = {0};
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", recordings, recording);
	o.root = path;
	ok(!ready_build(&o, r, &e), "%s: %s", path, e.text);
}

/* The numbers of the channels that a report has, "1 2 3 "; a '~' before those that are implied. */
static const char *channel_numbers(const struct ready_report *r, struct buf *out)
{
	LIST_EACH(&r->channels, struct ready_channel, c)
		buf_printf(out, "%s%u ", c->presence == CHANNEL_IMPLIED ? "~" : "",
		           c->channel->number);
	return buf_text(out);
}

static const struct ready_resource *find(const struct ready_report *r, pid_t pid, const char *where)
{
	LIST_EACH(&r->resources, struct ready_resource, res) {
		if (res->pid == pid && !strcmp(res->where, where))
			return res;
	}
	return NULL;
}

static void expect(const struct ready_report *r, pid_t pid, const char *where,
                   enum ready_class class, const char *kind)
{
	const struct ready_resource *res = find(r, pid, where);

	ok(res, "process %d has no %s", pid, where);
	if (res)
		ok(res->class == class && !strcmp(res->kind, kind), "%d %s: %s, %s (%s)", pid,
		   where, res->kind, ready_class_name(res->class), res->sign);
}

static const struct ready_feature *feature(const struct ready_report *r, const char *name)
{
	LIST_EACH(&r->features, struct ready_feature, f) {
		if (!strcmp(f->probe->name, name))
			return f;
	}
	return NULL;
}

/* ---- recordings ------------------------------------------------------------------------ */

static void a_plain_host_has_no_channels(void)
{
	AUTO(ready) struct ready_report r;

	report_on("plain", 0, &r);
	ok(!r.wsl.version && !r.channels.count);
	ok(!strcmp(r.kernel, "6.1.0-40-amd64"));
	ok(feature(&r, "yama")->result.answer == PROBE_NO);
	ok(feature(&r, "lockdown")->result.answer == PROBE_YES);
	ok(feature(&r, "kcmp")->result.answer == PROBE_UNKNOWN);
	ok(r.verdict == READY_PARTLY && r.host_verdict == READY_PARTLY);
	ok(!r.resources.count);
}

static void a_pipeline_on_a_plain_host_is_restorable(void)
{
	AUTO(ready) struct ready_report r;

	report_on("plain", 701, &r);
	ok(r.tree_verdict == READY_YES && r.n_tasks == 5, "%zu", r.n_tasks);
	ok(r.counts[READY_RESTORABLE] == r.resources.count);
	expect(&r, 723, "process", READY_RESTORABLE, "zombie");
	expect(&r, 721, "descriptor 1", READY_RESTORABLE, "pipe");
	expect(&r, 722, "descriptor 3", READY_RESTORABLE, "file");
	expect(&r, 701, "descriptor 0", READY_RESTORABLE, "terminal");
	/* Who asked stands below the same shell and is not part of the answer. */
	expect(&r, 800, "process", READY_RESTORABLE, "wslx itself");
	ok(!find(&r, 800, "descriptor 0"));
}

static void half_a_pipeline_is_not(void)
{
	AUTO(ready) struct ready_report r;

	report_on("plain", 721, &r);
	ok(r.tree_verdict == READY_NO && r.verdict == READY_NO);
	expect(&r, 721, "descriptor 1", READY_NOT, "pipe to another program");
	expect(&r, 721, "descriptor 3", READY_RESTORABLE, "pipe");
}

static void systemd_and_kernel_threads_are_no_programs(void)
{
	AUTO(ready) struct ready_report r;

	report_on("plain", 2, &r);
	expect(&r, 2, "process", READY_NOT, "kernel thread");
	ready_finish(&r);
	report_on("plain", 1, &r);
	expect(&r, 1, "process", READY_NOT, "init");
}

static void wsl2_with_nat_and_systemd(void)
{
	AUTO(ready) struct ready_report r;
	AUTO(buf) struct buf numbers = {0};

	report_on("wsl2-nat", 302, &r);
	ok(r.wsl.version == 2 && r.wsl.mode == WSL_MODE_NAT && !r.wsl.filtered);
	ok(!strcmp(r.wsl.mode_how, "wslinfo --networking-mode"));
	ok(!strcmp(channel_numbers(&r, &numbers),
	           "~1 ~2 3 4 5 6 7 8 ~9 10 ~11 13 14 15 18 20 21 22 23 24 25 26 ~28 29 30 32 "),
	   "%s", buf_text(&numbers));
	ok(feature(&r, "seccomp-init")->result.answer == PROBE_YES);
	/* What other profiles promise is refused until the engine keeps it. */
	ok(!r.counts[READY_NOT] && r.tree_verdict == READY_NO && READY_TAKEN < READY_NET);
	ok(strstr(*LIST_AT(&r.reasons, const char *, 0), "refused by this version"));
	expect(&r, 350, "descriptor 2", READY_RESTORABLE, "file on a Windows drive");
	expect(&r, 350, "descriptor 3", READY_RESTORABLE, "listening TCP socket");
	expect(&r, 350, "descriptor 5", READY_NET, "TCP connection");
	expect(&r, 350, "descriptor 6", READY_RESTORABLE, "UNIX socket with its peer");
	expect(&r, 350, "descriptor 9", READY_RESTORABLE, "eventfd");
	expect(&r, 350, "descriptor 10", READY_COOPERATIVE, "D-Bus connection");
	ok(r.counts[READY_NET] == 1 && r.counts[READY_COOPERATIVE] == 1);
}

static void wsl2_mirrored_without_wslinfo(void)
{
	AUTO(ready) struct ready_report r;
	AUTO(buf) struct buf numbers = {0};
	const struct ready_resource *res;

	report_on("wsl2-mirrored", 10, &r);
	ok(r.wsl.version == 2 && r.wsl.mode == WSL_MODE_MIRRORED && r.wsl.filtered);
	ok(strstr(r.wsl.mode_how, "filter"), "%s", r.wsl.mode_how);
	ok(!strcmp(channel_numbers(&r, &numbers),
	           "~1 ~2 3 5 6 7 8 ~9 12 13 14 15 18 19 20 21 22 23 24 25 26 ~28 29 31 32 "),
	   "%s", buf_text(&numbers));
	ok(feature(&r, "seccomp-init")->result.answer == PROBE_NO);
	ok(r.verdict == READY_NO && r.counts[READY_NOT] == 4, "%zu", r.counts[READY_NOT]);
	expect(&r, 40, "descriptor 3", READY_NOT, "WSLg display or sound");
	expect(&r, 40, "descriptor 4", READY_NOT, "GPU");
	expect(&r, 40, "memory at 7f2a00000000", READY_NOT, "GPU memory");
	expect(&r, 40, "descriptor 6", READY_COOPERATIVE, "vsock");
	/* An equal number of filters is a baseline; one more is the program's own. */
	res = find(&r, 50, "process");
	ok(res && !strcmp(res[1].kind, "seccomp filters of its own") && res[1].class == READY_NOT);
	res = find(&r, 10, "process");
	ok(res && !strcmp(res[1].kind, "inherited seccomp filters"));
}

static void the_processes_of_wsl_are_never_frozen(void)
{
	AUTO(ready) struct ready_report r;

	report_on("wsl2-nat", 300, &r);
	ok(r.tree_verdict == READY_NO);
	expect(&r, 300, "process", READY_NOT, "process of WSL");
	expect(&r, 301, "process", READY_NOT, "process of WSL");
	expect(&r, 302, "process", READY_RESTORABLE, "process");
	ready_finish(&r);
	report_on("wsl2-nat", 2, &r);
	expect(&r, 2, "descriptor 100", READY_NOT, "vsock of the WSL service");
	/* Another port of the host is somebody's own business. */
	expect(&r, 2, "descriptor 5", READY_COOPERATIVE, "vsock");
	ready_finish(&r);
	/* The same with the ports of an installation beside another. */
	report_on("wsl2-mirrored", 1, &r);
	expect(&r, 1, "descriptor 100", READY_NOT, "vsock of the WSL service");
}

static void only_six_ports_of_the_host_are_the_service(void)
{
	ok(wsl_is_service(2, 50000) && wsl_is_service(2, 50005) && wsl_is_service(2, 51000) &&
	   wsl_is_service(2, 51005));
	ok(!wsl_is_service(2, 50006) && !wsl_is_service(2, 49999) && !wsl_is_service(3, 50000) &&
	   !wsl_is_service(2, 51006));
}

static void every_row_says_what_stands_in_the_way(void)
{
	static const char *const signs[] = {
		"task:wsl",
		"task:traced",
		"task:seccomp:own",
		"task:namespace:net",
		"socket:TCP:connection",
		"socket:UDPv6:queued",
		"socket:RAW",
		"socket:XDP",
		"socket:UNIX-STREAM:outside",

		"fd:/dev/ptmx:used",
		"socket:PACKET",
		"socket:MPTCPv6",
		"socket:AF_VSOCK:service",
		"socket:unknown:",
		"fd:pipe:outside",
		"fd:anon_inode:[io_uring]",
		"fd:anon_inode:[userfaultfd]",
		"fd:anon_inode:[perf_event]",
		"fd:anon_inode:bpf-map",
		"fd:anon_inode:[fanotify]",
		"fd:anon_inode:seccomp notify",
		"fd:anon_inode:kvm-vcpu:0",
		"fd:anon_inode:[new]",
		"fd:/secretmem (deleted)",
		"fd:/dev/dxg",
		"fd:/dev/nvidia0",
		"fd:/dev/fuse",
		"fd:/dev/kvm",
		"fd:/dev/sda",
		"fd:/dev/net/tun",
		"fd:net:[4026531840]",
		"fd:something",
		"map:/SYSV00000000",
		"map:/[aio]",
		"map:anon_inode:[perf_event]",
		"map:flag:zz",
		"map:userfaultfd",
		"map:hugetlb",
	};
	static const char *const fine[] = {
		"fd:anon_inode:[eventpoll]",
		"fd:anon_inode:[timerfd]",
		"fd:anon_inode:[signalfd]",
		"fd:anon_inode:inotify",
		"fd:/memfd:x (deleted)",
		"fd:/dev/null",
		"fd:/dev/shm/x",
		"fd:/tmp/gone (deleted)",
		"fd:/home/[x]/*",
		"socket:UNIX:pair",
		"socket:TCPv6:LISTEN",
		"socket:UDPv6:open",
		"socket:UDP:CLOSE",
		"socket:NETLINK",
		"fd:/dev/ptmx",
		"fd:/dev/tty",
		"fd:/dev/tty1",
		"fd:/dev/ttyS0",
		"fd:/dev/pts/4:outside",
		"fd:/proc/1/stat",
		"task:ok",
	};
	const char *kind, *sentence;

	for (size_t i = 0; i < ARRAY_LEN(signs); i++) {
		enum ready_class class = ready_class_of(signs[i], &kind, &sentence);

		ok(class != READY_RESTORABLE, "%s", signs[i]);
		ok(*kind && sentence && strlen(sentence) > 10, "%s", signs[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(fine); i++)
		ok(ready_class_of(fine[i], &kind, &sentence) == READY_RESTORABLE, "%s is %s",
		   fine[i], kind);
}

static void what_is_no_recording_is_refused(void)
{
	char path[] = "/tmp/wslx-ready-XXXXXX", proc[64], command[512];
	struct ready_options o = {.root = path};
	struct ready_report r;
	struct err e = {0};

	ok(mkdtemp(path) != NULL);
	ok(ready_build(&o, &r, &e) == -ENOENT && strstr(e.text, "facts"), "%s", e.text);
	ready_finish(&r);
	snprintf(command, sizeof(command), "touch %s/facts; mkdir -p %s/proc/7", path, path);
	ok(!system(command));
	ok(ready_build(&o, &r, &e) == -EINVAL && strstr(e.text, "no process"), "%s", e.text);
	ready_finish(&r);
	snprintf(command, sizeof(command), "echo nonsense > %s/proc/7/stat", path);
	ok(!system(command));
	ok(ready_build(&o, &r, &e) == -EBADMSG && strstr(e.text, "nonsense"), "%s", e.text);
	ready_finish(&r);
	snprintf(command, sizeof(command), "cp %s/plain/proc/701/stat %s/proc/7/stat", recordings,
	         path);
	ok(!system(command));
	ok(ready_build(&o, &r, &e) == -EINVAL && strstr(e.text, "is of process 701"), "%s", e.text);
	ready_finish(&r);
	/* A link that leads out of the recording leads nowhere. */
	snprintf(proc, sizeof(proc), "%s/proc/7/stat", path);
	ok(!unlink(proc) && !symlink("/proc/self/stat", proc));
	ok(ready_build(&o, &r, &e) == -EINVAL, "%s", e.text);
	ready_finish(&r);
	snprintf(command, sizeof(command), "rm -rf %s", path);
	ok(!system(command));
	report_on("plain", 0, &r);
	ready_finish(&r);
	snprintf(command, sizeof(command), "%s/plain", recordings);
	o = (struct ready_options){.root = command, .pid = 99999};
	ok(ready_build(&o, &r, &e) == -ESRCH && strstr(e.text, "99999"), "%s", e.text);
	ready_finish(&r);
}

/* ---- this machine ---------------------------------------------------------------------- */

enum {
	FD_EVENT = 40,
	FD_PAIR,
	FD_PAIR_END,
	FD_LISTEN,
	FD_CLIENT,
	FD_SERVER,
	FD_PIPE_OUT,
	FD_GHOST,
	FD_MEMFD,
	FD_UNIX_OUT,
	FD_NETLINK,
	FD_PIDFD,
};

static void put_fd(int fd, int number)
{
	if (fd < 0 || dup2(fd, number) < 0)
		_exit(1);
	close(fd);
}

/* What the child of the next test holds; the ends that are ours are inherited. */
static void hold_things(int pipe_end, int unix_end)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char ghost[] = "/tmp/wslx-ready-XXXXXX";
	socklen_t len = sizeof(at);
	int pair[2];

	put_fd(pipe_end, FD_PIPE_OUT);
	put_fd(unix_end, FD_UNIX_OUT);
	put_fd(eventfd(3, 0), FD_EVENT);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		_exit(1);
	put_fd(pair[0], FD_PAIR);
	put_fd(pair[1], FD_PAIR_END);
	put_fd(socket(AF_INET, SOCK_STREAM, 0), FD_LISTEN);
	if (bind(FD_LISTEN, (struct sockaddr *)&at, len) || listen(FD_LISTEN, 5) ||
	    getsockname(FD_LISTEN, (struct sockaddr *)&at, &len))
		_exit(1);
	put_fd(socket(AF_INET, SOCK_STREAM, 0), FD_CLIENT);
	if (connect(FD_CLIENT, (struct sockaddr *)&at, len))
		_exit(1);
	put_fd(accept(FD_LISTEN, NULL, NULL), FD_SERVER);
	put_fd(mkstemp(ghost), FD_GHOST);
	unlink(ghost);
	put_fd((int)syscall(SYS_memfd_create, "m", 0), FD_MEMFD);
	put_fd(socket(AF_NETLINK, SOCK_RAW, 0), FD_NETLINK);
	put_fd((int)syscall(SYS_pidfd_open, getppid(), 0), FD_PIDFD);
}

static void *filter_one_thread(void *done)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) || write(*(int *)done, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
	return NULL;
}

static void a_filter_of_one_thread_is_seen(void)
{
	AUTO(ready) struct ready_report r = {0};
	struct ready_options o = {0};
	size_t threads = 0;
	struct err e = {0};
	pthread_t thread;
	int done[2];
	char byte;

	ok(!pipe2(done, O_CLOEXEC));
	o.pid = fork();
	if (!o.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pthread_create(&thread, NULL, filter_one_thread, &done[1]);
		for (;;)
			pause();
	}
	close(done[1]);
	ok(read(done[0], &byte, 1) == 1);
	ok(!ready_build(&o, &r, &e), "%s", e.text);
	LIST_EACH(&r.resources, struct ready_resource, res) {
		if (!text_starts(res->where, "thread "))
			continue;
		threads++;
		ok(res->class > READY_TAKEN && strstr(res->kind, "filters of its own"), "%s",
		   res->kind);
	}
	ok(threads == 1, "%zu", threads);
	kill(o.pid, SIGKILL);
	ok(waitpid(o.pid, NULL, 0) == o.pid);
	close(done[0]);
}

static void a_program_of_ours_is_told_piece_by_piece(void)
{
	AUTO(ready) struct ready_report r = {0}, again = {0};
	struct ready_options o = {0};
	int pipe_ends[2], unix_ends[2], done[2];
	const struct ready_resource *res;
	struct obstacle obstacles[2];
	struct list said = {0};
	struct err e = {0};
	char byte;
	pid_t pid;

	ok(!pipe2(pipe_ends, O_CLOEXEC) && !pipe2(done, O_CLOEXEC));
	ok(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, unix_ends));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pipe_ends[0]);
		close(unix_ends[0]);
		hold_things(pipe_ends[1], unix_ends[1]);
		if (mmap(NULL, PAGE_BYTES, PROT_READ, MAP_SHARED, FD_MEMFD, 0) == MAP_FAILED ||
		    write(done[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(pipe_ends[1]);
	close(unix_ends[1]);
	close(done[1]);
	ok(read(done[0], &byte, 1) == 1);
	o.pid = pid;
	ok(!ready_build(&o, &r, &e), "%s", e.text);
	ok(r.n_tasks == 1 && r.verdict == READY_NO);
	expect(&r, pid, "descriptor 40", READY_RESTORABLE, "eventfd");
	expect(&r, pid, "descriptor 41", READY_RESTORABLE, "UNIX socket with its peer");
	expect(&r, pid, "descriptor 42", READY_RESTORABLE, "UNIX socket with its peer");
	expect(&r, pid, "descriptor 43", READY_RESTORABLE, "listening TCP socket");
	expect(&r, pid, "descriptor 44", READY_NET, "TCP connection");
	expect(&r, pid, "descriptor 45", READY_NET, "TCP connection");
	expect(&r, pid, "descriptor 46", READY_NOT, "pipe to another program");
	expect(&r, pid, "descriptor 47", READY_RESTORABLE, "deleted file");
	expect(&r, pid, "descriptor 48", READY_RESTORABLE, "memfd");
	expect(&r, pid, "descriptor 49", READY_COOPERATIVE, "UNIX socket to another program");
	expect(&r, pid, "descriptor 50", READY_RESTORABLE, "netlink socket");
	expect(&r, pid, "descriptor 51", READY_NOT, "pidfd of another program");
	expect(&r, pid, "memory", READY_RESTORABLE, "memory");
	/* The tree that holds both ends of everything is another matter. */
	o.obstacles = &said;
	obstacles[0] = (struct obstacle){pid, "descriptor 40: not today"};
	obstacles[1] = (struct obstacle){pid, "is in a Landlock domain"};
	said = (struct list){.items = obstacles, .count = 2};
	ok(!ready_build(&o, &again, &e), "%s", e.text);
	res = find(&again, pid, "descriptor 40");
	ok(res && res->class == READY_NOT && !strcmp(res->sentence, "descriptor 40: not today"));
	ok(again.counts[READY_NOT] == r.counts[READY_NOT] + 2,
	   "the one that is listed nowhere too");
	ready_finish(&again);
	said.count = 0;
	ok(!ready_build(&o, &again, &e), "%s", e.text);
	ok(again.tree_verdict == READY_YES && !again.counts[READY_NOT] &&
	           again.counts[READY_RESTORABLE] == again.resources.count,
	   "what the engine takes is restorable");

	kill(pid, SIGKILL);
	ok(waitpid(pid, NULL, 0) == pid);
	close(pipe_ends[0]);
	close(unix_ends[0]);
	close(done[0]);
}

/* ---- renderings ------------------------------------------------------------------------ */

static void json_is_json(void)
{
	static const struct {
		const char *recording;
		pid_t pid;
	} rows[] = {{"plain", 701}, {"wsl2-nat", 302}, {"wsl2-mirrored", 0}};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(ready) struct ready_report r;
		AUTO(buf) struct buf json = {0};
		FILE *check;

		report_on(rows[i].recording, rows[i].pid, &r);
		ready_add_json(&json, &r);
		check = popen("python3 -c 'import json,sys; d=json.load(sys.stdin); "
		              "sys.exit(0 if len(d[\"features\"]) > 20 and (\"tree\" in d) == "
		              "(d.get(\"tree\", {}).get(\"pid\", 0) > 0) else 9)'",
		              "w");
		ok(check && fwrite(json.data, 1, json.len, check) == json.len);
		ok(pclose(check) == 0, "%s", rows[i].recording);
	}
}

static void text_says_the_verdict_and_hides_no_control_byte(void)
{
	AUTO(ready) struct ready_report r;
	AUTO(buf) struct buf text = {0};

	report_on("wsl2-mirrored", 40, &r);
	r.command = "evil\x1b[2Jname";
	ready_add_text(&text, &r, true);
	ok(strstr(buf_text(&text), "\nVerdict: not ready\n"));
	ok(strstr(buf_text(&text), "evil\\x1b[2Jname"));
	ok(!memchr(text.data, 0x1b, text.len));
	ok(strstr(buf_text(&text), "the windows live in another distribution"));
	ok(strstr(buf_text(&text), "networking mode mirrored"));
}

int main(int argc, char **argv)
{
	recordings = argc > 1 ? argv[1] : "tests/recordings";
	RUN(a_plain_host_has_no_channels);
	RUN(a_pipeline_on_a_plain_host_is_restorable);
	RUN(half_a_pipeline_is_not);
	RUN(systemd_and_kernel_threads_are_no_programs);
	RUN(wsl2_with_nat_and_systemd);
	RUN(wsl2_mirrored_without_wslinfo);
	RUN(the_processes_of_wsl_are_never_frozen);
	RUN(only_six_ports_of_the_host_are_the_service);
	RUN(every_row_says_what_stands_in_the_way);
	RUN(what_is_no_recording_is_refused);
	RUN(a_program_of_ours_is_told_piece_by_piece);
	RUN(a_filter_of_one_thread_is_seen);
	RUN(json_is_json);
	RUN(text_says_the_verdict_and_hides_no_control_byte);
	return tap_done();
}
