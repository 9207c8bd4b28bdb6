/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <stdio.h>
#include <string.h>

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

int text_to_u64(const char *text, int base, uint64_t max, uint64_t *out)
{
	uint64_t value = 0;

	if (!base) {
		base = 10;
		if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
			base = 16;
			text += 2;
		} else if (text[0] == '0' && text[1]) {
			base = 8;
			text++;
		}
	}
	if (!*text)
		return -EINVAL;
	for (; *text; text++) {
		int d = digit_of(*text);

		if (d >= base)
			return -EINVAL;
		if (value > (UINT64_MAX - (uint64_t)d) / (uint64_t)base)
			return -ERANGE;
		value = value * (uint64_t)base + (uint64_t)d;
	}
	if (value > max)
		return -ERANGE;
	*out = value;
	return 0;
}

int text_to_bytes(const char *text, uint64_t max, uint64_t *out)
{
	char digits[24];
	size_t n = strlen(text);
	unsigned shift = 0;
	uint64_t value;
	int r;

	if (n && strchr("KkMmGg", text[n - 1])) {
		switch (text[n - 1]) {
		case 'G':
		case 'g':
			shift = 30;
			break;
		case 'M':
		case 'm':
			shift = 20;
			break;
		default:
			shift = 10;
		}
		n--;
	}
	if (n >= sizeof(digits))
		return -ERANGE;
	memcpy(digits, text, n);
	digits[n] = 0;
	r = text_to_u64(digits, 10, max >> shift, &value);
	if (r < 0)
		return r;
	*out = value << shift;
	return 0;
}

bool text_starts(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

bool text_ends(const char *text, const char *suffix)
{
	size_t n = strlen(text), m = strlen(suffix);

	return n >= m && !memcmp(text + n - m, suffix, m);
}

char *text_of_bytes(char out[16], uint64_t bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(out, 16, unit && value < 100 ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return out;
}

void text_hex(char *out, const uint8_t *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	out[2 * len] = 0;
}

int text_unhex(uint8_t *out, const char *hex, size_t len)
{
	if (strlen(hex) != 2 * len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int hi = digit_of(hex[2 * i]), lo = digit_of(hex[2 * i + 1]);

		if (hi > 15 || lo > 15)
			return -EINVAL;
		out[i] = (uint8_t)(hi << 4 | lo);
	}
	return 0;
}

/* Length of the well-formed UTF-8 sequence at @p, or 0 (RFC 3629). */
static size_t utf8_len(const uint8_t *p, size_t left)
{
	size_t n;
	uint32_t c;

	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		n = 2, c = p[0] & 0x1fu;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		n = 3, c = p[0] & 0x0fu;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		n = 4, c = p[0] & 0x07u;
	else
		return 0;
	if (n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff ||
	    (c >= 0xd800 && c <= 0xdfff))
		return 0;
	return n;
}

void text_add_json_string(struct buf *out, const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text;

	buf_add_byte(out, '"');
	while (len) {
		size_t n = utf8_len(p, len);

		if (!n) {
			buf_add_text(out, "\\ufffd");
			n = 1;
		} else if (*p == '"' || *p == '\\') {
			buf_printf(out, "\\%c", *p);
		} else if (*p < 0x20) {
			buf_printf(out, "\\u%04x", *p);
		} else {
			buf_add(out, p, n);
		}
		p += n;
		len -= n;
	}
	buf_add_byte(out, '"');
}

void text_add_printable(struct buf *out, const char *text, size_t len)
{
	const uint8_t *p = (const uint8_t *)text;

	while (len) {
		size_t n = utf8_len(p, len);

		/* C1 controls (U+0080..U+009F) steer terminals as well as C0 does. */
		if (!n || *p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] < 0xa0)) {
			n = n ? n : 1;
			for (size_t i = 0; i < n; i++)
				buf_printf(out, "\\x%02x", p[i]);
		} else {
			buf_add(out, p, n);
		}
		p += n;
		len -= n;
	}
}
