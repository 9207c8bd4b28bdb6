/* SPDX-License-Identifier: MIT */
/* zoo: expect=either */
/*
 * AMX tiles and their configuration, restored or refused. The permission to use them is the
 * process's, and a refused snapshot must not have spoiled them either.
 */
#include "cpu.h"

#include <asm/prctl.h>

#ifndef ARCH_REQ_XCOMP_PERM
#define ARCH_REQ_XCOMP_PERM 0x1023
#endif

struct tile_config {
	uint8_t palette, start_row, reserved[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
};

static void *hold(void *arg)
{
	struct tile_config config = {.palette = 1}, config_out;
	uint8_t in[2][1024], out[2][1024];
	long mode = (long)arg;

	cpu_tids[mode] = zoo_tid();
	for (int i = 0; i < 2; i++) {
		config.rows[i] = 16;
		config.row_bytes[i] = 64;
		zoo_fill(in[i], 1024, (uint32_t)(mode * 10 + i));
	}
	__asm__ volatile("movl $64, %%r8d\n\t"
	                 "ldtilecfg %[config]\n\t"
	                 "tileloadd (%[in], %%r8, 1), %%tmm0\n\t"
	                 "tileloadd 1024(%[in], %%r8, 1), %%tmm1\n\t" CPU_STAY "movl $64, %%r8d\n\t"
	                 "tilestored %%tmm0, (%[out], %%r8, 1)\n\t"
	                 "tilestored %%tmm1, 1024(%[out], %%r8, 1)\n\t"
	                 "sttilecfg %[config_out]\n\t"
	                 "tilerelease\n\t"
	                 : [config_out] "=m"(config_out)
	                 : CPU_OPERANDS(mode), [in] "r"(in), [out] "r"(out), [config] "m"(config)
	                 : CPU_CLOBBERS, "r8");
	zoo_spoil(out[1][1023] ^= 1);
	zoo_spoil(config_out.rows[0] = 1);
	for (int i = 0; i < 2; i++)
		check_eq(zoo_first_wrong(out[i], 1024, (uint32_t)(mode * 10 + i)), -1);
	check(!memcmp(&config, &config_out, sizeof(config)), "the tile configuration changed");
	return NULL;
}

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	if ((cpu_xcr0() & 0x60000) != 0x60000 || syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, 18))
		zoo_skip("no AMX");
	cpu_hold_across(hold);
}
