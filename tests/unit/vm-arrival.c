/* SPDX-License-Identifier: MIT */
/* Pages that are on their way: the board, the line, and a machine's end of both. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tap.h"
#include "vm/arrival.h"

static const uint64_t pages[] = {70, 3};
static struct arrival_board board;
static struct arrival *machine;
static int line; /* the carrier's end */
static int board_fd;
static jmp_buf away;
static char why[400];

static void lost(void *arg, const char *text)
{
	snprintf(why, sizeof(why), "%s", text);
	longjmp(away, 1);
}

static void begin(void)
{
	struct err e = {0};
	int ends[2];

	ok(!arrival_board_make(&board, pages, 2, &board_fd, &e), "%s", e.text);
	ok(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends));
	line = ends[0];
	ok(!arrival_open(pages, 2, dup(board_fd), ends[1], lost, NULL, &machine, &e), "%s", e.text);
}

static void end(void)
{
	arrival_close(machine);
	arrival_board_finish(&board);
	close(board_fd);
	if (line >= 0)
		close(line);
}

static void need(unsigned target, uint64_t at, uint64_t bytes)
{
	struct vm_need n = arrival_need(machine, target);

	n.need(n.arg, at, bytes);
}

/* Answers one question: puts the page on the board, or says that it will not come. */
static struct arrival_ask asked[4];
static int n_asked;

static void *carry(void *arg)
{
	const int *code = arg;

	for (; n_asked < 4; n_asked++) {
		struct arrival_answer answer = {.code = *code, .text = "no way"};
		struct arrival_ask *a = &asked[n_asked];

		if (read(line, a, sizeof(*a)) != sizeof(*a))
			break;
		if (!*code && a->target != ARRIVAL_ALL)
			arrival_is_here_now(&board.bits[a->target], a->page);
		if (write(line, &answer, sizeof(answer)) < 0)
			break;
	}
	return NULL;
}

static void what_is_there_is_not_asked_for(void)
{
	begin();
	for (uint64_t i = 0; i < pages[0]; i++)
		arrival_is_here_now(&board.bits[0], i);
	need(0, 0, pages[0] * PAGE_BYTES);
	ok(recv(line, asked, sizeof(asked[0]), MSG_DONTWAIT) < 0);
	/* Of the other target nothing is there yet. */
	ok(!arrival_is_there(&board.bits[1], 0) && !arrival_is_there(&board.bits[1], 2));
	__atomic_store_n(board.complete, 1, __ATOMIC_RELEASE);
	need(1, 0, 3 * PAGE_BYTES);
	ok(recv(line, asked, sizeof(asked[0]), MSG_DONTWAIT) < 0);
	end();
}

static void each_page_that_is_missing_is_waited_for(void)
{
	int code = 0;
	pthread_t t;

	begin();
	n_asked = 0;
	arrival_is_here_now(&board.bits[0], 64);
	ok(!pthread_create(&t, NULL, carry, &code));
	need(0, 63 * PAGE_BYTES + 4000, PAGE_BYTES * 2);
	need(1, 2 * PAGE_BYTES, PAGE_BYTES);
	shutdown(line, SHUT_RDWR);
	pthread_join(t, NULL);
	ok(n_asked == 3, "%d", n_asked);
	ok(asked[0].target == 0 && asked[0].page == 63);
	ok(asked[1].target == 0 && asked[1].page == 65);
	ok(asked[2].target == 1 && asked[2].page == 2);
	end();
}

static void what_was_given_back_is_not_waited_for(void)
{
	struct vm_need n;

	begin();
	n = arrival_need(machine, 0);
	n.forget(n.arg, 63 * PAGE_BYTES, 3 * PAGE_BYTES);
	need(0, 63 * PAGE_BYTES, 3 * PAGE_BYTES);
	ok(recv(line, asked, sizeof(asked[0]), MSG_DONTWAIT) < 0);
	ok(!arrival_need(machine, 1).forget, "a disk is not given back");
	end();
}

/* What is typed during a wait, and what makes the answer come after it. */
static int keys[2], answered[2];
static unsigned n_typed;

static bool typed(void *arg)
{
	char key;

	ok(read(keys[0], &key, 1) == 1 && key == "ab"[n_typed], "%c", key);
	n_typed++;
	/* The second one is the last that is wanted. */
	if (n_typed == 2)
		ok(write(answered[1], "", 1) == 1);
	return n_typed < 2;
}

static void *answer_when_typed(void *arg)
{
	static const struct arrival_answer answer;
	char byte;

	(void)!read(answered[0], &byte, 1);
	arrival_is_here_now(&board.bits[0], 7);
	return write(line, &answer, sizeof(answer)) < 0 ? arg : NULL;
}

static void input_is_looked_after_during_a_wait(void)
{
	pthread_t t;

	begin();
	ok(!pipe(keys) && !pipe(answered));
	arrival_attend(machine, keys[0], typed, NULL);
	ok(write(keys[1], "abc", 3) == 3);
	ok(!pthread_create(&t, NULL, answer_when_typed, NULL));
	need(0, 7 * PAGE_BYTES, 1);
	pthread_join(t, NULL);
	ok(n_typed == 2 && arrival_is_there(&board.bits[0], 7));
	end();
}

static void what_will_not_come_is_said(void)
{
	int code = -EIO;
	struct err e = {0};
	pthread_t t;

	begin();
	n_asked = 0;
	ok(!pthread_create(&t, NULL, carry, &code));
	if (!setjmp(away)) {
		need(0, 0, 1);
		ok(false, "it came back");
	}
	ok(!strcmp(why, "no way"), "%s", why);
	ok(arrival_wait_for_all(machine, &e) == -EIO && strstr(e.text, "no way"), "%s", e.text);
	shutdown(line, SHUT_RDWR);
	pthread_join(t, NULL);
	end();
}

static void a_carrier_that_is_gone_is_noticed(void)
{
	begin();
	signal(SIGPIPE, SIG_IGN);
	close(line);
	line = -1;
	if (!setjmp(away)) {
		need(0, 0, 1);
		ok(false, "it came back");
	}
	ok(strstr(why, "has ended"), "%s", why);
	end();
}

static void nobody_else_can_write_the_board(void)
{
	begin();
	ok(mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, board_fd, 0) == MAP_FAILED);
	ok(pwrite(board_fd, "x", 1, 0) < 0);
	end();
}

int main(void)
{
	RUN(what_is_there_is_not_asked_for);
	RUN(each_page_that_is_missing_is_waited_for);
	RUN(what_was_given_back_is_not_waited_for);
	RUN(input_is_looked_after_during_a_wait);
	RUN(what_will_not_come_is_said);
	RUN(a_carrier_that_is_gone_is_noticed);
	RUN(nobody_else_can_write_the_board);
	return tap_done();
}
