/* SPDX-License-Identifier: MIT */
/*
 * String functions beside plain loops, with all operands at the very end of a page or at any
 * alignment, and a sum of all results.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <wchar.h>

#define PAGE 4096
#define AREA (4 * PAGE)

static uint64_t state = 88172645463325252ull, sum = 14695981039346656037ull;

static uint32_t any(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 20) % below;
}

static void note(const char *what, int64_t got, int64_t want)
{
	if (got != want) {
		printf("%s: %lld instead of %lld\n", what, (long long)got, (long long)want);
		exit(1);
	}
	sum = (sum ^ (uint64_t)got) * 1099511628211ull;
}

/* Readable and writable bytes that end where nothing is. */
static char *area(void)
{
	char *p =
		mmap(NULL, AREA + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED || mprotect(p + AREA, PAGE, PROT_NONE))
		abort();
	return p;
}

/* @bytes of them: at the end, or anywhere. */
static char *place(char *area, size_t bytes)
{
	return any(2) ? area + AREA - bytes : area + any((uint32_t)(AREA - bytes));
}

static int sign(int v)
{
	return (v > 0) - (v < 0);
}

static int64_t at(const void *found, const void *base)
{
	return found ? (const char *)found - (const char *)base : -1;
}

static void fill(char *p, size_t n, unsigned letters)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(any(16) ? 'a' + any(letters) : 200 + any(50));
}

static int64_t find(const char *p, size_t n, char c)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == c)
			return (int64_t)i;
	return -1;
}

static int64_t find_last(const char *p, size_t n, char c)
{
	while (n--)
		if (p[n] == c)
			return (int64_t)n;
	return -1;
}

static size_t span(const char *s, const char *set, int in)
{
	size_t i = 0;

	while (s[i] && (find(set, strlen(set), s[i]) >= 0) == in)
		i++;
	return i;
}

static int order(const unsigned char *a, const unsigned char *b, size_t n, int text)
{
	for (size_t i = 0; i < n; i++) {
		if (a[i] != b[i])
			return a[i] < b[i] ? -1 : 1;
		if (text && !a[i])
			return 0;
	}
	return 0;
}

static int64_t find_text(const char *s, size_t n, const char *what, size_t m)
{
	for (size_t i = 0; i + m <= n; i++)
		if (!order((const unsigned char *)s + i, (const unsigned char *)what, m, 0))
			return (int64_t)i;
	return -1;
}

static char *one, *two, *three;

static void search(void)
{
	size_t n = any(20) ? any(300) : any(8000), m = any(6);
	char *s = place(one, n + 1), *set = place(two, m + 1), c = (char)('a' + any(12));

	fill(s, n, 1 + any(12));
	s[n] = 0;
	fill(set, m, 12);
	set[m] = 0;
	note("strlen", (int64_t)strlen(s), (int64_t)n);
	note("strnlen", (int64_t)strnlen(s, n / 2), (int64_t)(n / 2));
	note("strchr", at(strchr(s, c), s), find(s, n, c));
	note("strchrnul", at(strchrnul(s, c), s), find(s, n, c) < 0 ? (int64_t)n : find(s, n, c));
	note("strrchr", at(strrchr(s, c), s), find_last(s, n, c));
	note("memchr", at(memchr(s, c, n), s), find(s, n, c));
	note("memrchr", at(memrchr(s, c, n), s), find_last(s, n, c));
	note("rawmemchr", at(rawmemchr(s, 0), s), (int64_t)n);
	note("strspn", (int64_t)strspn(s, set), (int64_t)span(s, set, 1));
	note("strcspn", (int64_t)strcspn(s, set), (int64_t)span(s, set, 0));
	note("strpbrk", at(strpbrk(s, set), s), s[span(s, set, 0)] ? (int64_t)span(s, set, 0) : -1);
	note("strstr", at(strstr(s, set), s), find_text(s, n, set, m));
	note("memmem", at(memmem(s, n, set, m), s), find_text(s, n, set, m));
}

static void compare(void)
{
	size_t n = any(20) ? any(200) : any(6000), k = any((uint32_t)n + 1);
	char *a = place(one, n + 1), *b = place(two, n + 1);
	const unsigned char *x = (unsigned char *)a, *y = (unsigned char *)b;

	fill(a, n, 3);
	memcpy(b, a, n);
	a[n] = b[n] = 0;
	if (n && any(3))
		b[any((uint32_t)n)] ^= (char)(1 + any(127));
	if (n && !any(4))
		a[any((uint32_t)n)] = 0;
	note("memcmp", sign(memcmp(a, b, n)), order(x, y, n, 0));
	note("bcmp", bcmp(a, b, n) != 0, order(x, y, n, 0) != 0);
	note("strcmp", sign(strcmp(a, b)), order(x, y, n + 1, 1));
	note("strncmp", sign(strncmp(a, b, k)), order(x, y, k, 1));
	note("strcasecmp", sign(strcasecmp(a, a)), 0);
	note("strncasecmp", sign(strncasecmp(a, b, 0)), 0);
}

static void move(void)
{
	size_t n = any(20) ? any(600) : any(7000), off = any((uint32_t)(AREA - n));
	char *to = place(two, n), *from = place(one, n);
	int shift = (int)any(200) - 100;
	char *near;

	fill(one, AREA, 26);
	fill(two, AREA, 26);
	memcpy(three, two, AREA);
	for (size_t i = 0; i < n; i++)
		three[to - two + (ptrdiff_t)i] = from[i];
	note("memcpy", memcpy(to, from, n) == to, 1);
	note("memcpy's bytes", order((void *)two, (void *)three, AREA, 0), 0);

	if ((long)off + shift < 0 || off + n + (size_t)labs(shift) > AREA)
		shift = 0;
	near = one + off + shift;
	memcpy(three, one, AREA);
	for (size_t i = 0; i < n; i++)
		three[near - one + (ptrdiff_t)i] = two[0] = one[off + i];
	memmove(near, one + off, n);
	note("memmove's bytes", order((void *)one, (void *)three, AREA, 0), 0);

	for (size_t i = 0; i < n; i++)
		three[off + i] = 'Z';
	memset(one + off, 'Z', n);
	note("memset's bytes", order((void *)one, (void *)three, AREA, 0), 0);
	for (size_t i = 0; i < n; i++)
		sum = (sum ^ (uint8_t)one[i]) * 1099511628211ull;
}

static void copy_text(void)
{
	size_t n = any(400), k = any(500);
	char *s = place(one, n + 1), *d = place(two, n + 1);

	fill(s, n, 26);
	s[n] = 0;
	note("stpcpy", stpcpy(d, s) - d, (int64_t)n);
	note("stpcpy's bytes", order((void *)s, (void *)d, n + 1, 0), 0);
	d = place(two, k);
	memset(d, 'x', k);
	strncpy(d, s, k);
	for (size_t i = 0; i < k; i++)
		note("strncpy", d[i], i < n ? s[i] : 0);
	d = two;
	d[0] = 0;
	strcat(d, "head");
	strcat(d, s);
	strncat(d, s, k);
	note("strcat", (int64_t)strlen(d), (int64_t)(4 + n + (k < n ? k : n)));
}

static void wide(void)
{
	size_t n = any(300);
	wchar_t *s = (wchar_t *)place(one, (n + 2) * sizeof(*s));
	int64_t want = -1;

	s = (wchar_t *)((uintptr_t)s & ~(uintptr_t)3);
	for (size_t i = 0; i < n; i++)
		s[i] = (wchar_t)('a' + any(20));
	s[n] = 0;
	for (size_t i = 0; i < n && want < 0; i++)
		if (s[i] == 'c')
			want = (int64_t)i;
	note("wcslen", (int64_t)wcslen(s), (int64_t)n);
	note("wmemchr", wmemchr(s, 'c', n) ? wmemchr(s, 'c', n) - s : -1, want);
	note("wcschr", wcschr(s, 'c') ? wcschr(s, 'c') - s : -1, want);
	note("wmemset", wmemset(s, 'q', n) == s && (!n || s[n - 1] == 'q'), 1);
}

int main(void)
{
	one = area();
	two = area();
	three = area();
	for (int i = 0; i < 400; i++) {
		search();
		compare();
		copy_text();
		wide();
		if (i % 4 == 0)
			move();
	}
	printf("%016llx\n", (unsigned long long)sum);
	return 0;
}
