/* SPDX-License-Identifier: MIT */
/* zoo: expect=obstacle needs=root unprivileged=no */
/* A BPF map. */
#include "zoo.h"

#include <linux/bpf.h>

int main(int argc, char **argv)
{
	union bpf_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4};
	uint64_t value = 77;
	uint32_t key = 2;
	int fd;

	zoo_init(argc, argv);
	fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		zoo_skip("bpf: %s", strerror(errno));
	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)fd;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	must(syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr)));

	zoo_snapshot_here();
	value = 0;
	zoo_spoil(must(syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr))));
	must(syscall(SYS_bpf, BPF_MAP_LOOKUP_ELEM, &attr, sizeof(attr)));
	check_eq(value, 77);
	zoo_pass();
}
