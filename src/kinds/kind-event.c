/* SPDX-License-Identifier: MIT */
/* eventfd, signalfd and timerfd: a number or two inside of an anonymous inode. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>

#include "kinds/kinds.h"
#include "os/abi.h"

#define NS 1000000000u

/* ---- eventfd --------------------------------------------------------------------------- */

static bool eventfd_claims(const struct fd_view *v)
{
	return v->info.has_eventfd;
}

static int eventfd_dump(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	f->count = v->info.eventfd_count;
	f->semaphore = v->info.eventfd_semaphore;
	return 0;
}

static int eventfd_restore(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	AUTO(fd)
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC | (f->semaphore ? EFD_SEMAPHORE : 0));

	if (fd < 0)
		return err_set(e, -errno, "eventfd");
	if (f->count && write(fd, &f->count, sizeof(f->count)) < 0)
		return err_set(e, -errno, "eventfd: count");
	*out = take_fd(&fd);
	return 0;
}

const struct kind kind_eventfd = {
	.name = "eventfd",
	.kind = FILE_EVENTFD,
	.claims = eventfd_claims,
	.dump = eventfd_dump,
	.restore = eventfd_restore,
};

/* ---- signalfd -------------------------------------------------------------------------- */

static bool signalfd_claims(const struct fd_view *v)
{
	return v->info.has_signalfd;
}

static int signalfd_dump(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	f->count = v->info.signalfd_mask;
	return 0;
}

static int signalfd_restore(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	uint64_t mask = f->count;
	long fd = syscall(SYS_signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC);

	if (fd < 0)
		return err_set(e, -errno, "signalfd");
	*out = (int)fd;
	return 0;
}

const struct kind kind_signalfd = {
	.name = "signalfd",
	.kind = FILE_SIGNALFD,
	.claims = signalfd_claims,
	.dump = signalfd_dump,
	.restore = signalfd_restore,
};

/* ---- timerfd --------------------------------------------------------------------------- */

static bool timerfd_claims(const struct fd_view *v)
{
	return v->info.has_timerfd;
}

static int timerfd_dump(struct dump *d, const struct fd_view *v, struct file_rec *f, struct err *e)
{
	f->timerfd = (struct timerfd_rec){
		.clock = (uint32_t)v->info.timerfd_clock,
		.settime_flags = (uint32_t)v->info.timerfd_flags,
		.ticks = v->info.timerfd_ticks,
		.value_ns = (uint64_t)MAX(v->info.timerfd_value_ns, (int64_t)0),
		.interval_ns = (uint64_t)v->info.timerfd_interval_ns,
	};
	return 0;
}

/*
 * A timer runs on from where it was. Only one that was set to a time of the wall clock keeps
 * that time, and has expired if it is past.
 */
static int timerfd_restore(struct restore *r, const struct file_rec *f, int *out, struct err *e)
{
	const struct timerfd_rec *t = &f->timerfd;
	AUTO(fd) int fd = timerfd_create((int)t->clock, TFD_CLOEXEC);
	bool wall = t->settime_flags & TFD_TIMER_ABSTIME &&
	            (t->clock == CLOCK_REALTIME || t->clock == CLOCK_REALTIME_ALARM);
	uint64_t at = wall ? r->image->taken_ns + t->value_ns : t->value_ns;
	struct itimerspec spec = {
		.it_value = {(time_t)(at / NS), (long)(at % NS)},
		.it_interval = {(time_t)(t->interval_ns / NS), (long)(t->interval_ns % NS)},
	};

	if (fd < 0)
		return err_set(e, -errno, "timerfd");
	/* A periodic timer that has expired and was not read waits for that: let it expire. */
	if (!t->value_ns && t->interval_ns && t->ticks)
		spec.it_value.tv_nsec = 1;
	if ((spec.it_value.tv_sec || spec.it_value.tv_nsec) &&
	    timerfd_settime(fd, wall ? (int)t->settime_flags : 0, &spec, NULL) < 0)
		return err_set(e, -errno, "timerfd: settime");
	if (!t->value_ns && t->interval_ns && t->ticks)
		poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -1);
	if (t->ticks && ioctl(fd, TFD_IOC_SET_TICKS, &t->ticks) < 0)
		return err_set(e, -errno, "timerfd: its unread expirations");
	*out = take_fd(&fd);
	return 0;
}

const struct kind kind_timerfd = {
	.name = "timerfd",
	.kind = FILE_TIMERFD,
	.claims = timerfd_claims,
	.dump = timerfd_dump,
	.restore = timerfd_restore,
};
