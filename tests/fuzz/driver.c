/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target without libFuzzer: every file of a corpus as it is, then mutations of
 * those files until the time is up. The seed is printed, and taken from WSLX_FUZZ_SEED, so a
 * failure can be repeated; the input that was being run is left in the file that is named.
 *
 *	fuzz-NAME CORPUS-DIRECTORY [SECONDS]
 */
#include "base/base.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define INPUT_MAX (64u * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t state;
static uint8_t input[INPUT_MAX];
static volatile size_t input_len;
static char crash_path[64];

/* xorshift64* (Vigna 2016): quality does not matter here, repeatability does. */
static uint64_t draw(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * UINT64_C(2685821657736338717);
}

static size_t draw_below(size_t n)
{
	return n ? (size_t)(draw() % n) : 0;
}

static void keep_input(int signal_number)
{
	int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd >= 0 && write(fd, input, input_len) == (ssize_t)input_len)
		close(fd);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void mutate(size_t *len, struct span other)
{
	static const uint8_t telling[] = {0,    1,   0x7f, 0x80, 0xff, ' ',
	                                  '\n', ':', '-',  '0',  '9',  ')'};
	size_t at = draw_below(*len), n = draw_below(*len - at + 1), from;

	switch (draw_below(6)) {
	case 0:
		if (*len)
			input[at] ^= (uint8_t)(1u << draw_below(8));
		break;
	case 1:
		if (*len)
			input[at] = telling[draw_below(sizeof(telling))];
		break;
	case 2: /* cut a piece out */
		memmove(input + at, input + at + n, *len - at - n);
		*len -= n;
		break;
	case 3: /* put a piece of the same input in again */
		from = draw_below(*len - n + 1);
		if (*len + n > INPUT_MAX)
			break;
		memmove(input + at + n, input + at, *len - at);
		memmove(input + at, input + MIN(from, at), MIN(n, *len - MIN(from, at)));
		*len += n;
		break;
	case 4: /* overwrite with a piece of another one */
		n = draw_below(MIN(other.len, INPUT_MAX - at) + 1);
		from = draw_below(other.len - n + 1);
		if (n)
			memcpy(input + at, other.data + from, n);
		*len = MAX(*len, at + n);
		break;
	default: /* cut the end off */
		*len = at;
	}
}

static void read_corpus(const char *path, struct arena *a, struct list *inputs)
{
	DIR *dir = opendir(path);
	struct dirent *d;

	if (!dir) {
		perror(path);
		exit(2);
	}
	while ((d = readdir(dir))) {
		int fd = openat(dirfd(dir), d->d_name, O_RDONLY | O_CLOEXEC);
		struct stat st;
		ssize_t n;

		if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode)) {
			if (fd >= 0)
				close(fd);
			continue;
		}
		n = read(fd, input, sizeof(input));
		close(fd);
		if (n < 0) {
			perror(d->d_name);
			exit(2);
		}
		*LIST_ADD(inputs, a, struct span) =
			SPAN(arena_copy(a, input, (size_t)n), (size_t)n);
	}
	closedir(dir);
}

static void run(size_t len)
{
	input_len = len;
	LLVMFuzzerTestOneInput(input, len);
}

int main(int argc, char **argv)
{
	static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	AUTO(arena) struct arena a = {0};
	uint64_t seconds = 2, runs = 0;
	struct list inputs = {0};
	struct timespec now, end;
	const char *seed = getenv("WSLX_FUZZ_SEED");

	if (argc < 2 || argc > 3 || (argc > 2 && text_to_u64(argv[2], 10, 1 << 20, &seconds))) {
		fprintf(stderr, "usage: %s CORPUS-DIRECTORY [SECONDS]\n", argv[0]);
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	state = (uint64_t)now.tv_nsec << 20 ^ (uint64_t)getpid();
	if (seed && text_to_u64(seed, 10, UINT64_MAX, &state))
		return 2;
	state |= 1;
	snprintf(crash_path, sizeof(crash_path), "/tmp/wslx-fuzz-%d", getpid());
	printf("# seed %llu; a failing input is left in %s\n", (unsigned long long)state,
	       crash_path);
	fflush(stdout);
	for (size_t i = 0; i < ARRAY_LEN(deadly); i++)
		signal(deadly[i], keep_input);

	read_corpus(argv[1], &a, &inputs);
	if (!inputs.count) {
		fprintf(stderr, "%s: no inputs\n", argv[1]);
		return 2;
	}
	LIST_EACH(&inputs, struct span, s) {
		memcpy(input, s->data, s->len);
		run(s->len);
	}
	end = (struct timespec){now.tv_sec + (time_t)seconds, now.tv_nsec};
	do {
		for (int i = 0; i < 256; i++, runs++) {
			const struct span *s =
				LIST_AT(&inputs, struct span, draw_below(inputs.count));
			size_t len = s->len;

			memcpy(input, s->data, len);
			for (size_t n = 1 + draw_below(8); n; n--)
				mutate(&len,
				       *LIST_AT(&inputs, struct span, draw_below(inputs.count)));
			run(len);
		}
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec ||
	         (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	printf("# %zu inputs, %llu mutations\n", inputs.count, (unsigned long long)runs);
	return 0;
}
