/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* A deleted file whose name now belongs to another file: the two are not mixed up. */
#include "zoo.h"

int main(int argc, char **argv)
{
	char text[16] = "";
	int old, new;

	zoo_init(argc, argv);
	old = must(open(zoo_beside("f"), O_RDWR | O_CREAT | O_TRUNC, 0600));
	must(write(old, "old", 3));
	must(unlink(zoo_beside("f")));
	new = must(open(zoo_beside("f"), O_RDWR | O_CREAT | O_EXCL, 0600));
	must(write(new, "new", 3));

	zoo_snapshot_here();
	zoo_spoil(must(dup2(new, old)));
	check_eq(pread(old, text, 3, 0), 3);
	check_text(text, "old");
	check_eq(pread(new, text, 3, 0), 3);
	check_text(text, "new");
	check_eq(zoo_read_file(zoo_beside("f"), text, sizeof(text)), 3);
	check_text(text, "new");
	zoo_pass();
}
