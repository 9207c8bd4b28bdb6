/* SPDX-License-Identifier: MIT */
/* zoo: expect=restore */
/* The x87 stack with its control word, and MXCSR with rounding and sticky flags. */
#include "cpu.h"

static void *hold(void *arg)
{
	long double in[8], out[8];
	uint16_t control = 0x0c7f; /* round towards zero, 24 bits of precision */
	uint32_t mxcsr = 0x5fa1;   /* round up, all masked, invalid and precision seen */
	uint16_t control_out, status_out;
	uint32_t mxcsr_out;
	long mode = (long)arg;

	cpu_tids[mode] = zoo_tid();
	for (int i = 0; i < 8; i++)
		in[i] = 1.0L / (3 + i + (int)mode);
	__asm__ volatile("fninit\n\t"
	                 ".irp n,0,1,2,3,4,5,6,7\n\t"
	                 "fldt 16*\\n(%[in])\n\t"
	                 ".endr\n\t"
	                 "fldcw %[control]\n\t"
	                 "ldmxcsr %[mxcsr]\n\t" CPU_STAY "stmxcsr %[mxcsr_out]\n\t"
	                 "fnstcw %[control_out]\n\t"
	                 "fnstsw %[status_out]\n\t"
	                 ".irp n,7,6,5,4,3,2,1,0\n\t"
	                 "fstpt 16*\\n(%[out])\n\t"
	                 ".endr\n\t"
	                 "fninit\n\t"
	                 : [control_out] "=m"(control_out), [status_out] "=m"(status_out),
	                   [mxcsr_out] "=m"(mxcsr_out)
	                 : CPU_OPERANDS(mode), [in] "r"(in), [out] "r"(out), [control] "m"(control),
	                   [mxcsr] "m"(mxcsr)
	                 : CPU_CLOBBERS, "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",
	                   "st(7)");
	__asm__ volatile("ldmxcsr %0" : : "m"((uint32_t){0x1f80}));
	zoo_spoil(out[3] *= 2);
	zoo_spoil(control_out = 0x37f);
	zoo_spoil(mxcsr_out &= ~1u);
	for (int i = 0; i < 8; i++)
		check(!memcmp(&in[i], &out[i], 10), "st(%d)", 7 - i);
	check_eq(control_out, control);
	check_eq(status_out >> 11 & 7, 0); /* eight pushes: top is back at 0 */
	check_eq(mxcsr_out, mxcsr);
	return NULL;
}

int main(int argc, char **argv)
{
	zoo_init(argc, argv);
	cpu_hold_across(hold);
}
