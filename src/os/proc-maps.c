/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/maps and /proc/PID/smaps.
 *
 * smaps is some 700 bytes in 25 lines for each mapping, and a target with 10,000 of them is
 * frozen while it is read: one pass, one memchr() a line, and of the lines between two headers
 * only those that begin with the P of ProtectionKey or the V of VmFlags are looked at.
 */
#include "os/proc.h"

#include <sys/mman.h>

#include "os/cursor.h"

#define FLAG_KEY(a, b) ((uint16_t)((uint8_t)(a) << 8 | (uint8_t)(b)))

/* Return: the flag; 0 if it is known and says nothing that a snapshot needs; -1 if unknown. */
static int64_t vm_flag(const char name[2])
{
	switch (FLAG_KEY(name[0], name[1])) {
	case FLAG_KEY('g', 'd'):
		return PROC_VM_GROWSDOWN;
	case FLAG_KEY('l', 'o'):
		return PROC_VM_LOCKED;
	case FLAG_KEY('d', 'c'):
		return PROC_VM_DONTCOPY;
	case FLAG_KEY('d', 'd'):
		return PROC_VM_DONTDUMP;
	case FLAG_KEY('w', 'f'):
		return PROC_VM_WIPEONFORK;
	case FLAG_KEY('h', 'g'):
		return PROC_VM_HUGEPAGE;
	case FLAG_KEY('n', 'h'):
		return PROC_VM_NOHUGEPAGE;
	case FLAG_KEY('m', 'g'):
		return PROC_VM_MERGEABLE;
	case FLAG_KEY('n', 'r'):
		return PROC_VM_NORESERVE;
	case FLAG_KEY('h', 't'):
		return PROC_VM_HUGETLB;
	case FLAG_KEY('r', 'r'):
		return PROC_VM_RANDOM;
	case FLAG_KEY('s', 'r'):
		return PROC_VM_SEQUENTIAL;
	case FLAG_KEY('a', 'c'):
		return PROC_VM_ACCOUNT;
	case FLAG_KEY('i', 'o'):
		return PROC_VM_IO;
	case FLAG_KEY('p', 'f'):
		return PROC_VM_PFNMAP;
	case FLAG_KEY('m', 'm'):
		return PROC_VM_MIXEDMAP;
	case FLAG_KEY('d', 'e'):
		return PROC_VM_DONTEXPAND;
	case FLAG_KEY('u', 'm'):
		return PROC_VM_UFFD_MISSING;
	case FLAG_KEY('u', 'w'):
		return PROC_VM_UFFD_WP;
	case FLAG_KEY('u', 'i'):
		return PROC_VM_UFFD_MINOR;
	case FLAG_KEY('s', 'l'):
		return PROC_VM_SEALED;
	case FLAG_KEY('d', 'p'):
		return PROC_VM_DROPPABLE;
	case FLAG_KEY('s', 's'):
		return PROC_VM_SHADOW_STACK;
	case FLAG_KEY('m', 'r'):
		return PROC_VM_MAY_READ;
	case FLAG_KEY('m', 'w'):
		return PROC_VM_MAY_WRITE;
	case FLAG_KEY('m', 'e'):
		return PROC_VM_MAY_EXEC;
	case FLAG_KEY('m', 's'):
		return PROC_VM_MAY_SHARE;
	case FLAG_KEY('l', 'f'):
		return PROC_VM_LOCKONFAULT;
	case FLAG_KEY('s', 'd'):
		return PROC_VM_SOFTDIRTY;
	case FLAG_KEY('s', 'f'):
		return PROC_VM_SYNC;
	case FLAG_KEY('a', 'r'):
		return PROC_VM_ARCH;
	/* The permissions stand in the header line; gu says that there may be guard regions;
	 * dw (a running executable, until 5.15) was kernel bookkeeping. */
	case FLAG_KEY('r', 'd'):
	case FLAG_KEY('w', 'r'):
	case FLAG_KEY('e', 'x'):
	case FLAG_KEY('s', 'h'):
	case FLAG_KEY('g', 'u'):
	case FLAG_KEY('d', 'w'):
		return 0;
	default:
		return -1;
	}
}

static bool parse_flags(struct cursor c, struct arena *a, struct proc_vma *vma)
{
	struct cursor word;

	vma->has_flags = true;
	while (cursor_blanks(&c) && cursor_word(&c, &word)) {
		int64_t flag = cursor_left(&word) == 2 ? vm_flag(word.at) : -1;

		if (flag >= 0)
			vma->flags |= (uint32_t)flag;
		else if (!vma->unknown_flag)
			vma->unknown_flag = cursor_copy(word, a);
	}
	return true;
}

static bool parse_permissions(struct cursor *c, struct proc_vma *vma)
{
	const char *p = c->at;

	if (cursor_left(c) < 4 || (p[0] != 'r' && p[0] != '-') || (p[1] != 'w' && p[1] != '-') ||
	    (p[2] != 'x' && p[2] != '-') || (p[3] != 'p' && p[3] != 's'))
		return false;
	vma->prot = (uint8_t)((p[0] == 'r' ? PROT_READ : 0) | (p[1] == 'w' ? PROT_WRITE : 0) |
	                      (p[2] == 'x' ? PROT_EXEC : 0));
	vma->shared = p[3] == 's';
	c->at += 4;
	return true;
}

static void parse_name(struct cursor c, struct arena *a, const struct proc_vma *before,
                       struct proc_vma *vma)
{
	static const char deleted[] = " (deleted)";
	const size_t n = sizeof(deleted) - 1;

	if (cursor_left(&c) >= n && !memcmp(c.end - n, deleted, n)) {
		vma->deleted = true;
		c.end -= n;
	}
	if (cursor_done(&c)) {
		vma->name = "";
		return;
	}
	/* A library is mapped four times in a row: one copy of its name will do. */
	if (before && strlen(before->name) == cursor_left(&c) &&
	    !memcmp(before->name, c.at, cursor_left(&c)) && !memchr(c.at, '\\', cursor_left(&c)))
		vma->name = before->name;
	else
		vma->name = cursor_unescape(c, '\n', a);
}

static bool parse_header(struct cursor c, struct arena *a, const struct proc_vma *before,
                         struct proc_vma *vma)
{
	bool sane = cursor_u64(&c, 16, UINT64_MAX, &vma->start) && cursor_char(&c, '-') &&
	            cursor_u64(&c, 16, UINT64_MAX, &vma->end) && cursor_char(&c, ' ') &&
	            parse_permissions(&c, vma) && cursor_char(&c, ' ') &&
	            cursor_u64(&c, 16, UINT64_MAX, &vma->offset) && cursor_char(&c, ' ') &&
	            cursor_u32(&c, 16, &vma->dev_major) && cursor_char(&c, ':') &&
	            cursor_u32(&c, 16, &vma->dev_minor) && cursor_char(&c, ' ') &&
	            cursor_u64(&c, 10, UINT64_MAX, &vma->inode);

	if (!sane || vma->start >= vma->end || (before && vma->start < before->end))
		return false;
	/* The inode number is followed by one blank and, before a name, by more up to column 73.
	 * A name never begins with a blank: it is a path, [..] or a word of the kernel's. */
	if (!cursor_done(&c) && !cursor_char(&c, ' '))
		return false;
	cursor_blanks(&c);
	parse_name(c, a, before, vma);
	return true;
}

int proc_parse_maps(struct span text, struct arena *a, struct list *out, struct err *e)
{
	struct cursor c = cursor_of(text), line;
	struct proc_vma *vma = NULL;
	struct list vmas = {0};

	while (cursor_line(&c, &line)) {
		char first = cursor_done(&line) ? 0 : *line.at;
		struct cursor value = line;

		/* Every attribute of smaps begins with a capital, every address with a digit. */
		if (first >= 'A' && first <= 'Z') {
			if (!vma)
				return cursor_refuse(e, "maps", line);
			if (first == 'V' && cursor_text(&value, "VmFlags:"))
				parse_flags(value, a, vma);
			else if (first == 'P' && cursor_text(&value, "ProtectionKey:") &&
			         (!cursor_blanks(&value) || !cursor_u32(&value, 10, &vma->pkey) ||
			          !cursor_done(&value)))
				return cursor_refuse(e, "smaps", line);
		} else {
			struct proc_vma fresh = {0};

			if (!parse_header(line, a, vma, &fresh))
				return cursor_refuse(e, "maps", line);
			vma = LIST_ADD(&vmas, a, struct proc_vma);
			*vma = fresh;
		}
	}
	*out = vmas;
	return 0;
}
