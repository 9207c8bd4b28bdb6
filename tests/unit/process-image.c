/* SPDX-License-Identifier: MIT */
/*
 * The check of process images: a small image that uses every kind of reference is accepted, and
 * each rule refuses the one change that breaks it, with its own sentence. Images are encoded
 * and decoded, so that the border is tested that a snapshot crosses.
 */
#include "image/process.h"

#include "tap.h"

struct kit {
	struct arena arena;
	struct process_image im;
	struct mm_rec *mm;
	struct vma_rec *anon, *mapped, *vdso;
	struct run_rec *run;
	struct range_rec *guard;
	struct inode_rec *ghost;
	struct file_rec *plain, *pipe_file, *epoll, *inotify, *tty_file, *sock_file;
	struct fd_rec *fd;
	struct pipe_rec *pipe;
	struct sock_rec *sock;
	struct lock_rec *lock;
	struct task_rec *root, *child, *zombie;
	struct thread_rec *leader, *second;
};

static void auto_kit(struct kit *k)
{
	arena_finish(&k->arena);
}

/* The lists grow by doubling from eight: pointers into one of at most eight items stay good. */
#define ADD(list, type) LIST_ADD((list), &k->arena, type)

static void add_memory(struct kit *k)
{
	k->mm = ADD(&k->im.mms, struct mm_rec);
	*k->mm = (struct mm_rec){.id = 1, .exe = 1};
	k->anon = ADD(&k->mm->vmas, struct vma_rec);
	*k->anon = (struct vma_rec){.start = 0x10000, .end = 0x14000, .prot = 3};
	k->run = ADD(&k->anon->runs, struct run_rec);
	*k->run = (struct run_rec){.at = 0x11000, .pages = 2, .first = 0};
	k->guard = ADD(&k->anon->guards, struct range_rec);
	*k->guard = (struct range_rec){.at = 0x13000, .bytes = 0x1000};
	k->mapped = ADD(&k->mm->vmas, struct vma_rec);
	*k->mapped = (struct vma_rec){
		.start = 0x14000, .end = 0x15000, .kind = VMA_INODE, .inode = 1, .offset = 0x1000};
	k->vdso = ADD(&k->mm->vmas, struct vma_rec);
	*k->vdso = (struct vma_rec){.start = 0x7000000, .end = 0x7002000, .kind = VMA_VDSO};
}

static struct file_rec *add_file(struct kit *k, uint8_t kind)
{
	struct file_rec *f = ADD(&k->im.files, struct file_rec);

	*f = (struct file_rec){.id = (uint32_t)k->im.files.count, .kind = kind};
	return f;
}

static void add_files(struct kit *k)
{
	struct table_rec *table = ADD(&k->im.tables, struct table_rec);

	*ADD(&k->im.inodes, struct inode_rec) =
		(struct inode_rec){.id = 1, .kind = INODE_PATH, .path = "/bin/program"};
	k->ghost = ADD(&k->im.inodes, struct inode_rec);
	*k->ghost = (struct inode_rec){.id = 2, .kind = INODE_GHOST, .size = 5000};
	*ADD(&k->ghost->runs, struct run_rec) =
		(struct run_rec){.at = 4096, .pages = 1, .first = 2};
	k->plain = add_file(k, FILE_INODE);
	k->plain->inode = 2;
	k->pipe_file = add_file(k, FILE_PIPE);
	k->epoll = add_file(k, FILE_EPOLL);
	*ADD(&k->epoll->epoll.targets, struct epoll_target_rec) =
		(struct epoll_target_rec){.fd = 3, .file = 2};
	k->inotify = add_file(k, FILE_INOTIFY);
	*ADD(&k->inotify->inotify.watches, struct watch_rec) =
		(struct watch_rec){.wd = 1, .inode = 1};
	k->tty_file = add_file(k, FILE_TTY);
	k->sock_file = add_file(k, FILE_SOCKET);
	k->pipe_file->object = k->tty_file->object = k->sock_file->object = 1;
	table->id = 1;
	*ADD(&table->fds, struct fd_rec) = (struct fd_rec){.fd = 0, .file = 1};
	k->fd = ADD(&table->fds, struct fd_rec);
	*k->fd = (struct fd_rec){.fd = 3, .file = 2};
	k->pipe = ADD(&k->im.pipes, struct pipe_rec);
	*k->pipe = (struct pipe_rec){
		.id = 1, .capacity = 65536, .packets = 2, .data = SPAN("hello", 5)};
	*ADD(&k->pipe->sizes, uint64_t) = 2;
	*ADD(&k->pipe->sizes, uint64_t) = 3;
	ADD(&k->im.ttys, struct tty_rec)->id = 1;
	k->sock = ADD(&k->im.socks, struct sock_rec);
	*k->sock = (struct sock_rec){.id = 1, .family = 1, .type = 1, .peer = 2};
	*ADD(&k->im.socks, struct sock_rec) =
		(struct sock_rec){.id = 2, .family = 1, .type = 1, .peer = 1};
	k->lock = ADD(&k->im.locks, struct lock_rec);
	*k->lock = (struct lock_rec){.file = 1};
}

static struct task_rec *add_task(struct kit *k, uint32_t pid, uint32_t ppid)
{
	struct task_rec *t = ADD(&k->im.tasks, struct task_rec);

	*t = (struct task_rec){
		.pid = pid, .ppid = ppid, .pgid = 100, .sid = 100, .mm = 1, .sighand = 1};
	return t;
}

static struct thread_rec *add_thread(struct kit *k, struct task_rec *t, uint32_t tid)
{
	struct thread_rec *th = ADD(&t->threads, struct thread_rec);

	*th = (struct thread_rec){.tid = tid, .table = 1, .fs = 1};
	return th;
}

static void add_pending(struct kit *k, struct list *to, size_t bytes)
{
	ADD(to, struct siginfo_rec)->info = SPAN(arena_alloc(&k->arena, bytes), bytes);
}

static struct kit sample(void)
{
	struct kit kit = {.im = {.version = PROCESS_IMAGE_VERSION, .root = 100, .n_pages = 3}};
	struct kit *k = &kit;

	add_memory(k);
	add_files(k);
	ADD(&k->im.fss, struct fs_rec)->id = 1;
	ADD(&k->im.sighands, struct sighand_rec)->id = 1;
	k->root = add_task(k, 100, 0);
	k->leader = add_thread(k, k->root, 100);
	k->second = add_thread(k, k->root, 101);
	add_pending(k, &k->leader->pending, 128);
	add_pending(k, &k->root->pending, 128);
	k->child = add_task(k, 102, 100);
	k->child->tty = 1;
	add_thread(k, k->child, 102);
	k->zombie = add_task(k, 103, 100);
	k->zombie->state = TASK_ZOMBIE;
	return kit;
}

static int pass_border(struct kit *k, struct process_image *out, struct err *e)
{
	AUTO(buf) struct buf b = {0};

	rec_encode(&b, &process_image_type, &k->im);
	return rec_decode(buf_span(&b), &process_image_type, &k->arena, out, e);
}

static void a_sound_image_passes_unchanged(void)
{
	AUTO(kit) struct kit k = sample();
	AUTO(buf) struct buf diff = {0};
	struct process_image out;
	struct err e = {0};

	ok(!pass_border(&k, &out, &e), "%s", e.text);
	ok(!rec_diff(&diff, &process_image_type, &k.im, &out), "%s", buf_text(&diff));
}

static void the_largest_sound_values_pass(void)
{
	AUTO(kit) struct kit k = sample();
	struct process_image out;
	struct err e = {0};

	k.vdso->end = 0x800000000000;
	k.run->at = 0x10000;
	k.run->pages = 4;
	k.im.n_pages = 1000;
	k.run->first = 996;
	k.fd->fd = INT32_MAX - 1;
	k.second->tid = INT32_MAX;
	ok(!pass_border(&k, &out, &e), "%s", e.text);
}

static void refused(struct kit *k, const char *sentence)
{
	struct process_image out;
	struct err e = {0};
	int r = pass_border(k, &out, &e);

	ok(r == -EBADMSG, "%d", r);
	ok(strstr(e.text, sentence), "\"%s\"", e.text);
}

/* RULE(name of the test, sentence of the refusal, the change that breaks the rule) */
#define RULE(test, sentence, ...)                                                                  \
	static void test(void)                                                                     \
	{                                                                                          \
		AUTO(kit) struct kit kit_ = sample();                                              \
		struct kit *k = &kit_;                                                             \
                                                                                                   \
		__VA_ARGS__;                                                                       \
		refused(k, sentence);                                                              \
	}

RULE(another_version, "format version 2, this wslx reads version 1", k->im.version = 2)
RULE(no_version, "format version 0", k->im.version = 0)
RULE(no_tasks, "holds no task", k->im.tasks.count = 0)

#define OUT_OF_ORDER(list, type)                                                                   \
	RULE(ids_of_##list, #type " 1: its id is out of order",                                    \
	     LIST_AT(&k->im.list, struct type, 0)->id = 2)
OUT_OF_ORDER(mms, mm_rec)
OUT_OF_ORDER(inodes, inode_rec)
OUT_OF_ORDER(files, file_rec)
OUT_OF_ORDER(tables, table_rec)
OUT_OF_ORDER(fss, fs_rec)
OUT_OF_ORDER(sighands, sighand_rec)
OUT_OF_ORDER(pipes, pipe_rec)
OUT_OF_ORDER(socks, sock_rec)
OUT_OF_ORDER(ttys, tty_rec)

RULE(mapping_that_starts_within_a_page, "bounds make no sense", k->anon->start += 8)
RULE(mapping_that_ends_within_a_page, "bounds make no sense", k->anon->end += 8)
RULE(mapping_that_is_empty, "bounds make no sense", k->vdso->end = k->vdso->start)
RULE(mapping_that_is_inside_out, "bounds make no sense", k->vdso->end = 0x1000)
RULE(mapping_beyond_user_space, "bounds make no sense", k->vdso->end = 0x800000001000)
RULE(mapping_of_a_file_from_within_a_page, "bounds make no sense", k->mapped->offset = 1)
RULE(mappings_that_overlap, "overlaps another one", k->mapped->start = 0x13000)
RULE(mapping_of_a_file_unknown, "names a file that is not there", k->mapped->inode = 3)
RULE(mapping_of_no_file, "names a file that is not there", k->mapped->inode = 0)
RULE(anonymous_mapping_of_a_file, "names a file that is not there", k->anon->inode = 1)
RULE(content_in_the_vdso, "is the kernel's and has content",
     *ADD(&k->vdso->runs, struct run_rec) = ((struct run_rec){.at = 0x7000000, .pages = 1}))
RULE(guard_before_its_mapping, "a guard lies outside", k->guard->at = 0xf000)
RULE(guard_behind_its_mapping, "a guard lies outside", k->guard->at = 0x15000)
RULE(guard_beyond_the_end, "a guard lies outside", k->guard->bytes = 0x2000)
RULE(guard_that_wraps, "a guard lies outside", k->guard->bytes = UINT64_MAX & ~0xfffull)
RULE(guard_within_a_page, "a guard lies outside", k->guard->bytes = 0x800)
RULE(program_unknown, "its program is not there", k->mm->exe = 3)

RULE(run_before_its_mapping, "outside of it or out of order", k->run->at = 0xf000)
RULE(run_behind_its_mapping, "outside of it or out of order", k->run->at = 0x14000)
RULE(run_beyond_the_end, "outside of it or out of order", k->run->pages = 4)
RULE(run_that_wraps, "outside of it or out of order", k->run->pages = UINT64_MAX >> 12)
RULE(run_of_nothing, "outside of it or out of order", k->run->pages = 0)
RULE(run_within_a_page, "outside of it or out of order", k->run->at += 1)
RULE(runs_that_overlap, "outside of it or out of order",
     *ADD(&k->anon->runs, struct run_rec) = ((struct run_rec){.at = 0x12000, .pages = 1}))
RULE(run_of_pages_beyond_the_last, "pages that the snapshot does not have", k->run->first = 2)
RULE(run_of_pages_that_wraps, "pages that the snapshot does not have", k->run->first = UINT64_MAX)
RULE(run_behind_the_end_of_a_file, "inode 2: a run of pages lies outside",
     LIST_AT(&k->ghost->runs, struct run_rec, 0)->at = 8192)

RULE(file_without_inode, "names no inode", k->plain->inode = 0)
RULE(file_of_an_inode_unknown, "its inode is not there", k->plain->inode = 3)
RULE(device_without_inode, "names no inode", k->plain->kind = FILE_DEVICE; k->plain->inode = 0)
RULE(pipe_end_of_no_pipe, "what it opens is not there", k->pipe_file->object = 0)
RULE(pipe_end_of_a_pipe_unknown, "what it opens is not there", k->pipe_file->object = 2)
RULE(fifo_unknown, "what it opens is not there", k->pipe_file->kind = FILE_FIFO;
     k->pipe_file->object = 2)
RULE(terminal_unknown, "what it opens is not there", k->tty_file->object = 2)
RULE(socket_unknown, "what it opens is not there", k->sock_file->object = 3)
RULE(epoll_of_no_file, "watches a file that is not there",
     LIST_AT(&k->epoll->epoll.targets, struct epoll_target_rec, 0)->file = 0)
RULE(epoll_of_a_file_unknown, "watches a file that is not there",
     LIST_AT(&k->epoll->epoll.targets, struct epoll_target_rec, 0)->file = 7)
RULE(watch_of_an_inode_unknown, "watches an inode that is not there",
     LIST_AT(&k->inotify->inotify.watches, struct watch_rec, 0)->inode = 3)

RULE(descriptor_without_file, "without a file", k->fd->file = 0)
RULE(descriptor_of_a_file_unknown, "without a file", k->fd->file = 7)
RULE(descriptor_twice, "out of order", k->fd->fd = 0)
RULE(descriptor_beyond_all, "out of order", k->fd->fd = INT32_MAX)
RULE(packets_that_do_not_add_up, "its content makes no sense",
     *LIST_AT(&k->pipe->sizes, uint64_t, 0) = 3)
RULE(packets_that_add_up_by_wrapping, "its content makes no sense",
     *LIST_AT(&k->pipe->sizes, uint64_t, 0) = UINT64_MAX - 4;
     *LIST_AT(&k->pipe->sizes, uint64_t, 1) = 10)
RULE(fifo_of_an_inode_unknown, "its content makes no sense", k->pipe->inode = 3)
RULE(socket_with_a_peer_unknown, "its peer is not there", k->sock->peer = 3)
RULE(lock_on_nothing, "its file is not there", k->lock->file = 0)
RULE(lock_on_a_file_unknown, "its file is not there", k->lock->file = 7)

RULE(task_without_pid, "makes no sense", k->child->pid = 0)
RULE(task_with_a_negative_pid, "makes no sense", k->child->pid = 0x80000000)
RULE(task_without_group, "makes no sense", k->child->pgid = 0)
RULE(task_without_session, "makes no sense", k->child->sid = 0)
RULE(task_twice, "is there twice", k->child->pid = 100)
RULE(child_of_a_stranger, "its parent is not there", k->child->ppid = 99)
RULE(child_of_itself, "its parent is not there", k->child->ppid = 102)
RULE(child_of_a_later_one, "its parent is not there", k->child->ppid = 103)
RULE(child_of_a_zombie, "its parent is not there", k->child->state = TASK_ZOMBIE;
     k->child->threads.count = 0; k->zombie->ppid = 102)
RULE(two_roots, "its parent is not there", k->child->ppid = 0)
RULE(root_of_another_name, "its parent is not there", k->im.root = 102)
RULE(terminal_of_a_task_unknown, "its terminal is not there", k->child->tty = 2)
RULE(zombie_with_threads, "a zombie with threads", add_thread(k, k->zombie, 103))
RULE(task_without_memory, "memory or signal actions are not there", k->child->mm = 0)
RULE(task_of_a_memory_unknown, "memory or signal actions are not there", k->child->mm = 2)
RULE(task_without_actions, "memory or signal actions are not there", k->child->sighand = 0)
RULE(task_of_actions_unknown, "memory or signal actions are not there", k->child->sighand = 2)
RULE(task_without_threads, "is not its leader", k->child->threads.count = 0)
RULE(leader_of_another_name, "is not its leader", k->leader->tid = 105)
RULE(thread_of_two_tasks, "is there twice", k->second->tid = 102)
RULE(thread_twice, "is there twice", k->second->tid = 100)
RULE(thread_with_a_negative_number, "its number makes no sense", k->second->tid = 0x80000000)
RULE(thread_without_table, "files or directories are not there", k->second->table = 0)
RULE(thread_of_a_table_unknown, "files or directories are not there", k->second->table = 2)
RULE(thread_without_directories, "files or directories are not there", k->second->fs = 0)
RULE(thread_of_directories_unknown, "files or directories are not there", k->second->fs = 2)
RULE(signal_of_a_thread_cut_short, "a pending signal is malformed",
     add_pending(k, &k->second->pending, 127))
RULE(signal_of_a_task_cut_short, "a pending signal is malformed",
     add_pending(k, &k->root->pending, 8))

/* Limits that stand in the field table. */
static void values_over_their_limit_do_not_pass(void)
{
	/* {12: 2^52}, {16: [{10: 2^63}]}: what the codec itself would not write. */
	static const uint8_t pages[] = {0xa1, 12, 0x1b, 0, 0x10, 0, 0, 0, 0, 0, 0};
	static const uint8_t size[] = {0xa1, 16, 0x81, 0xa1, 10, 0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0};
	AUTO(arena) struct arena a = {0};
	struct process_image out;
	struct err e = {0};

	ok(rec_decode(SPAN(pages, sizeof(pages)), &process_image_type, &a, &out, &e) == -EBADMSG);
	ok(strstr(e.text, "n_pages"), "%s", e.text);
	ok(rec_decode(SPAN(size, sizeof(size)), &process_image_type, &a, &out, &e) == -EBADMSG);
	ok(strstr(e.text, "size"), "%s", e.text);
}

int main(void)
{
	RUN(a_sound_image_passes_unchanged);
	RUN(the_largest_sound_values_pass);
	RUN(another_version);
	RUN(no_version);
	RUN(no_tasks);
	RUN(ids_of_mms);
	RUN(ids_of_inodes);
	RUN(ids_of_files);
	RUN(ids_of_tables);
	RUN(ids_of_fss);
	RUN(ids_of_sighands);
	RUN(ids_of_pipes);
	RUN(ids_of_socks);
	RUN(ids_of_ttys);
	RUN(mapping_that_starts_within_a_page);
	RUN(mapping_that_ends_within_a_page);
	RUN(mapping_that_is_empty);
	RUN(mapping_that_is_inside_out);
	RUN(mapping_beyond_user_space);
	RUN(mapping_of_a_file_from_within_a_page);
	RUN(mappings_that_overlap);
	RUN(mapping_of_a_file_unknown);
	RUN(mapping_of_no_file);
	RUN(anonymous_mapping_of_a_file);
	RUN(content_in_the_vdso);
	RUN(guard_before_its_mapping);
	RUN(guard_behind_its_mapping);
	RUN(guard_beyond_the_end);
	RUN(guard_that_wraps);
	RUN(guard_within_a_page);
	RUN(program_unknown);
	RUN(run_before_its_mapping);
	RUN(run_behind_its_mapping);
	RUN(run_beyond_the_end);
	RUN(run_that_wraps);
	RUN(run_of_nothing);
	RUN(run_within_a_page);
	RUN(runs_that_overlap);
	RUN(run_of_pages_beyond_the_last);
	RUN(run_of_pages_that_wraps);
	RUN(run_behind_the_end_of_a_file);
	RUN(file_without_inode);
	RUN(file_of_an_inode_unknown);
	RUN(device_without_inode);
	RUN(pipe_end_of_no_pipe);
	RUN(pipe_end_of_a_pipe_unknown);
	RUN(fifo_unknown);
	RUN(terminal_unknown);
	RUN(socket_unknown);
	RUN(epoll_of_no_file);
	RUN(epoll_of_a_file_unknown);
	RUN(watch_of_an_inode_unknown);
	RUN(descriptor_without_file);
	RUN(descriptor_of_a_file_unknown);
	RUN(descriptor_twice);
	RUN(descriptor_beyond_all);
	RUN(packets_that_do_not_add_up);
	RUN(packets_that_add_up_by_wrapping);
	RUN(fifo_of_an_inode_unknown);
	RUN(socket_with_a_peer_unknown);
	RUN(lock_on_nothing);
	RUN(lock_on_a_file_unknown);
	RUN(task_without_pid);
	RUN(task_with_a_negative_pid);
	RUN(task_without_group);
	RUN(task_without_session);
	RUN(task_twice);
	RUN(child_of_a_stranger);
	RUN(child_of_itself);
	RUN(child_of_a_later_one);
	RUN(child_of_a_zombie);
	RUN(two_roots);
	RUN(root_of_another_name);
	RUN(terminal_of_a_task_unknown);
	RUN(zombie_with_threads);
	RUN(task_without_memory);
	RUN(task_of_a_memory_unknown);
	RUN(task_without_actions);
	RUN(task_of_actions_unknown);
	RUN(task_without_threads);
	RUN(leader_of_another_name);
	RUN(thread_of_two_tasks);
	RUN(thread_twice);
	RUN(thread_with_a_negative_number);
	RUN(thread_without_table);
	RUN(thread_of_a_table_unknown);
	RUN(thread_without_directories);
	RUN(thread_of_directories_unknown);
	RUN(signal_of_a_thread_cut_short);
	RUN(signal_of_a_task_cut_short);
	RUN(values_over_their_limit_do_not_pass);
	return tap_done();
}
