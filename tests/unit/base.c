/* SPDX-License-Identifier: MIT */
#include "base/base.h"

#include "tap.h"

static void an_error_gains_context_on_the_way_up(void)
{
	struct err e = {0};
	int r = err_set(&e, -ENOENT, "pipe %d", 7);

	ok(r == -ENOENT);
	ok(err_wrap(&e, r, "task %d", 12) == -ENOENT);
	ok(!strcmp(e.text, "task 12: pipe 7: No such file or directory"), "%s", e.text);
	ok(e.code == -ENOENT);
}

static void a_long_error_is_cut_and_not_overrun(void)
{
	struct err e = {0};
	char big[2000];

	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = 0;
	err_set(&e, -EIO, "%s", big);
	err_wrap(&e, -EIO, "%s", big);
	ok(strlen(e.text) == sizeof(e.text) - 1);
}

static void numbers_parse_whole_or_not_at_all(void)
{
	uint64_t v = 5;

	ok(!text_to_u64("18446744073709551615", 10, UINT64_MAX, &v) && v == UINT64_MAX);
	ok(text_to_u64("18446744073709551616", 10, UINT64_MAX, &v) == -ERANGE);
	ok(text_to_u64("", 10, 9, &v) == -EINVAL);
	ok(text_to_u64("1 ", 10, 9, &v) == -EINVAL);
	ok(text_to_u64("-1", 10, 9, &v) == -EINVAL);
	ok(text_to_u64("11", 10, 10, &v) == -ERANGE);
	ok(!text_to_u64("ff", 16, 255, &v) && v == 255);
	ok(!text_to_u64("0x10", 0, 255, &v) && v == 16);
	ok(!text_to_bytes("256M", UINT64_MAX, &v) && v == 256u << 20);
	ok(text_to_bytes("99999999999999999999G", UINT64_MAX, &v) == -ERANGE);
}

static void an_arena_keeps_what_it_gave(void)
{
	AUTO(arena) struct arena a = {0};
	struct list l = {0};
	char *first = arena_text(&a, "first");

	for (int i = 0; i < 10000; i++)
		*LIST_ADD(&l, &a, int) = i;
	arena_alloc(&a, 1 << 20);
	ok(!strcmp(first, "first"));
	ok(l.count == 10000 && *LIST_AT(&l, int, 9999) == 9999);
	ok((uintptr_t)arena_alloc(&a, 1) % 16 == 0);
}

static void what_steers_a_terminal_is_escaped(void)
{
	AUTO(buf) struct buf b = {0};

	text_add_printable(&b, "a\033[2Jb\xc3\xa9\xff\xc2\x9b", 11);
	ok(!strcmp(buf_text(&b), "a\\x1b[2Jb\xc3\xa9\\xff\\xc2\\x9b"), "%s", buf_text(&b));
	b.len = 0;
	text_add_json_string(&b, "\"\n\xff", 3);
	ok(!strcmp(buf_text(&b), "\"\\\"\\u000a\\ufffd\""), "%s", buf_text(&b));
}

static void hexadecimal_goes_both_ways(void)
{
	uint8_t bytes[3];
	char hex[7];

	ok(!text_unhex(bytes, "00fFa1", 3));
	text_hex(hex, bytes, 3);
	ok(!strcmp(hex, "00ffa1"));
	ok(text_unhex(bytes, "00ff", 3) == -EINVAL);
	ok(text_unhex(bytes, "00ffgg", 3) == -EINVAL);
}

static void nothing_is_copied_from_an_empty_span(void)
{
	char to[4] = "abc";

	span_copy(to, (struct span){0});
	ok(!strcmp(to, "abc"));
	span_copy(to, SPAN("xy", 2));
	ok(!strcmp(to, "xyc"));
}

static void a_fault_fires_at_its_passage_only(void)
{
	fault_arm("here:3");
	ok(fault_point("there") == FAULT_NONE);
	ok(fault_point("here") == FAULT_NONE);
	ok(fault_point("here") == FAULT_NONE);
	ok(fault_point("here") == FAULT_FAIL);
	ok(fault_point("here") == FAULT_NONE);
	fault_arm(NULL);
}

int main(void)
{
	RUN(an_error_gains_context_on_the_way_up);
	RUN(a_long_error_is_cut_and_not_overrun);
	RUN(numbers_parse_whole_or_not_at_all);
	RUN(an_arena_keeps_what_it_gave);
	RUN(what_steers_a_terminal_is_escaped);
	RUN(hexadecimal_goes_both_ways);
	RUN(nothing_is_copied_from_an_empty_span);
	RUN(a_fault_fires_at_its_passage_only);
	return tap_done();
}
