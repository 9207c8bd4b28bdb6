/* SPDX-License-Identifier: MIT */
/*
 * Process images from any bytes. What passes the border must be fit for everything that is done
 * with an image: shown, compared, encoded again, and its references followed.
 */
#include "image/process.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_references(const struct process_image *im)
{
	LIST_EACH(&im->tasks, struct task_rec, t) {
		assert(t->tty <= im->ttys.count);
		if (t->state == TASK_ZOMBIE)
			continue;
		assert(LIST_AT(&im->mms, struct mm_rec, t->mm - 1)->id == t->mm);
		assert(LIST_AT(&im->sighands, struct sighand_rec, t->sighand - 1)->id);
		LIST_EACH(&t->threads, struct thread_rec, th) {
			assert(LIST_AT(&im->tables, struct table_rec, th->table - 1)->id);
			assert(LIST_AT(&im->fss, struct fs_rec, th->fs - 1)->id);
		}
	}
	LIST_EACH(&im->tables, struct table_rec, table)
		LIST_EACH(&table->fds, struct fd_rec, fd)
			assert(LIST_AT(&im->files, struct file_rec, fd->file - 1)->id == fd->file);
	LIST_EACH(&im->mms, struct mm_rec, mm)
		LIST_EACH(&mm->vmas, struct vma_rec, v)
			LIST_EACH(&v->runs, struct run_rec, run)
				assert(run->first + run->pages <= im->n_pages &&
				       run->at + run->pages * PAGE_BYTES <= v->end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(arena) struct arena a = {0};
	AUTO(buf) struct buf out = {0}, once = {0}, twice = {0};
	struct process_image im, again;
	struct err e = {0};

	if (rec_decode(SPAN(data, size), &process_image_type, &a, &im, &e) < 0) {
		assert(e.code == -EBADMSG && e.text[0]);
		return 0;
	}
	check_references(&im);
	rec_show_text(&out, &process_image_type, &im, 0);
	for (size_t i = 0; i < out.len; i++)
		assert(out.data[i] == '\n' || (out.data[i] >= ' ' && out.data[i] != 0x7f));
	rec_show_json(&out, &process_image_type, &im);
	rec_encode(&once, &process_image_type, &im);
	/* Optional fields from the future are dropped, so the input itself may be longer. */
	assert(once.len <= size);
	assert(!rec_decode(buf_span(&once), &process_image_type, &a, &again, &e));
	assert(!rec_diff(&out, &process_image_type, &im, &again));
	rec_encode(&twice, &process_image_type, &again);
	assert(span_equal(buf_span(&once), buf_span(&twice)));
	/* Two images that share nothing but their making. */
	again = (struct process_image){.version = PROCESS_IMAGE_VERSION};
	rec_diff(&out, &process_image_type, &im, &again);
	rec_diff(&out, &process_image_type, &again, &im);
	return 0;
}
