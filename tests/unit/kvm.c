/* SPDX-License-Identifier: MIT */
#include "kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define TSS_GPA 0xfffbd000u /* three pages that no test uses, for hosts without real mode */
#define CPUID_MAX 256

struct kvm_cpu {
	struct x86_platform platform;
	int fd[3]; /* of KVM, of the machine, of its CPU */
	struct kvm_run *run;
	size_t run_bytes;
	bool interrupt, halted;
};

/* Each MSR that is in struct x86_state, and where. */
static const struct {
	uint32_t index;
	size_t offset;
} msrs[] = {
	{0xc0000081, offsetof(struct x86_state, star)},
	{0xc0000082, offsetof(struct x86_state, lstar)},
	{0xc0000083, offsetof(struct x86_state, cstar)},
	{0xc0000084, offsetof(struct x86_state, sfmask)},
	{0xc0000102, offsetof(struct x86_state, kernel_gs_base)},
	{0x174, offsetof(struct x86_state, sysenter_cs)},
	{0x175, offsetof(struct x86_state, sysenter_esp)},
	{0x176, offsetof(struct x86_state, sysenter_eip)},
};

bool kvm_answers(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bool answers = fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;

	if (fd >= 0)
		close(fd);
	return answers;
}

static int say_cpuid(const struct kvm_cpu *c)
{
	struct kvm_cpuid2 *all = xalloc(sizeof(*all) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
	int r;

	all->nent = CPUID_MAX;
	r = ioctl(c->fd[0], KVM_GET_SUPPORTED_CPUID, all);
	if (!r)
		r = ioctl(c->fd[2], KVM_SET_CPUID2, all);
	free(all);
	return r;
}

struct kvm_cpu *kvm_create(const struct x86_platform *platform, struct err *e)
{
	struct kvm_userspace_memory_region ram = {.memory_size = platform->ram_bytes,
	                                          .userspace_addr = (uintptr_t)platform->ram};
	struct kvm_cpu *c = xalloc(sizeof(*c));
	int bytes;

	c->platform = *platform;
	c->fd[1] = c->fd[2] = -1;
	c->run = MAP_FAILED;
	c->fd[0] = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (c->fd[0] < 0)
		goto failed;
	c->fd[1] = ioctl(c->fd[0], KVM_CREATE_VM, 0);
	if (c->fd[1] < 0 || ioctl(c->fd[1], KVM_SET_TSS_ADDR, TSS_GPA) ||
	    ioctl(c->fd[1], KVM_SET_USER_MEMORY_REGION, &ram))
		goto failed;
	c->fd[2] = ioctl(c->fd[1], KVM_CREATE_VCPU, 0);
	bytes = ioctl(c->fd[0], KVM_GET_VCPU_MMAP_SIZE, 0);
	if (c->fd[2] < 0 || bytes < 0 || say_cpuid(c))
		goto failed;
	c->run_bytes = (size_t)bytes;
	c->run = mmap(NULL, c->run_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd[2], 0);
	if (c->run != MAP_FAILED)
		return c;
failed:
	err_say(e, -errno, "/dev/kvm: %s", strerror(errno));
	kvm_destroy(c);
	return NULL;
}

void kvm_destroy(struct kvm_cpu *c)
{
	if (!c)
		return;
	if (c->run != MAP_FAILED)
		munmap(c->run, c->run_bytes);
	for (unsigned i = 0; i < ARRAY_LEN(c->fd); i++)
		if (c->fd[i] >= 0)
			close(c->fd[i]);
	free(c);
}

/* ---- state -------------------------------------------------------------------------------- */

static struct kvm_segment segment_in(const struct x86_segment *s)
{
	unsigned a = s->attributes;

	return (struct kvm_segment){.base = s->base,
	                            .limit = s->limit,
	                            .selector = s->selector,
	                            .type = a & X86_SEG_TYPE,
	                            .s = !!(a & X86_SEG_S),
	                            .dpl = (a >> X86_SEG_DPL_SHIFT) & 3,
	                            .present = !!(a & X86_SEG_P),
	                            .avl = !!(a & X86_SEG_AVL),
	                            .l = !!(a & X86_SEG_L),
	                            .db = !!(a & X86_SEG_DB),
	                            .g = !!(a & X86_SEG_G),
	                            .unusable = !(a & X86_SEG_P)};
}

static struct x86_segment segment_out(const struct kvm_segment *s)
{
	unsigned a = s->type | (s->s ? X86_SEG_S : 0) | (unsigned)s->dpl << X86_SEG_DPL_SHIFT |
	             (s->present ? X86_SEG_P : 0) | (s->avl ? X86_SEG_AVL : 0) |
	             (s->l ? X86_SEG_L : 0) | (s->db ? X86_SEG_DB : 0) | (s->g ? X86_SEG_G : 0);

	return (struct x86_segment){.base = s->base,
	                            .limit = s->limit,
	                            .selector = s->selector,
	                            .attributes = (uint16_t)a};
}

/* KVM's names of the registers, in the order of enum x86_gpr. */
#define GPRS(r)                                                                                    \
	{                                                                                          \
		&(r)->rax, &(r)->rcx, &(r)->rdx, &(r)->rbx, &(r)->rsp, &(r)->rbp, &(r)->rsi,       \
			&(r)->rdi, &(r)->r8, &(r)->r9, &(r)->r10, &(r)->r11, &(r)->r12, &(r)->r13, \
			&(r)->r14, &(r)->r15                                                       \
	}

static int set_sregs(struct kvm_cpu *c, const struct x86_state *in)
{
	struct kvm_sregs s;
	uint64_t cr3 = in->cr3;

	if (ioctl(c->fd[2], KVM_GET_SREGS, &s))
		return -errno;
	struct kvm_segment *const segs[] = {&s.es, &s.cs, &s.ss, &s.ds, &s.fs, &s.gs};

	for (unsigned i = 0; i < X86_SREGS; i++)
		*segs[i] = segment_in(&in->seg[i]);
	s.ldt = segment_in(&in->ldtr);
	s.tr = segment_in(&in->tr);
	s.gdt = (struct kvm_dtable){.base = in->gdtr.base, .limit = (uint16_t)in->gdtr.limit};
	s.idt = (struct kvm_dtable){.base = in->idtr.base, .limit = (uint16_t)in->idtr.limit};
	s.cr0 = in->cr0;
	s.cr2 = in->cr2;
	s.cr4 = in->cr4;
	s.cr8 = c->platform.get_tpr(c->platform.ctx);
	s.efer = in->efer;
	memset(s.interrupt_bitmap, 0, sizeof(s.interrupt_bitmap));
	/* Translations are dropped when CR3 is another one. */
	s.cr3 = cr3 ^ PAGE_BYTES;
	if (ioctl(c->fd[2], KVM_SET_SREGS, &s))
		return -errno;
	s.cr3 = cr3;
	return ioctl(c->fd[2], KVM_SET_SREGS, &s) ? -errno : 0;
}

static int set_rest(struct kvm_cpu *c, const struct x86_state *in)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[ARRAY_LEN(msrs)];
	} m = {.head.nmsrs = ARRAY_LEN(msrs)};
	struct kvm_debugregs debug = {.dr6 = in->dr6, .dr7 = in->dr7};
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs = {{.value = in->xcr0}}};
	struct kvm_vcpu_events events = {
		.nmi = {.masked = in->nmi_masked, .pending = in->nmi_pending},
		.interrupt.shadow = (uint8_t)((in->sti_shadow ? KVM_X86_SHADOW_INT_STI : 0) |
	                                      (in->mov_ss_shadow ? KVM_X86_SHADOW_INT_MOV_SS : 0)),
		.flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW};

	for (unsigned i = 0; i < ARRAY_LEN(msrs); i++) {
		m.entry[i].index = msrs[i].index;
		memcpy(&m.entry[i].data, (const char *)in + msrs[i].offset, sizeof(uint64_t));
	}
	memcpy(debug.db, in->dr, sizeof(debug.db));
	if (ioctl(c->fd[2], KVM_SET_MSRS, &m) != ARRAY_LEN(msrs) ||
	    ioctl(c->fd[2], KVM_SET_DEBUGREGS, &debug) || ioctl(c->fd[2], KVM_SET_XCRS, &xcrs) ||
	    ioctl(c->fd[2], KVM_SET_VCPU_EVENTS, &events))
		return -errno;
	return 0;
}

int kvm_set_state(struct kvm_cpu *c, const struct x86_state *in, struct err *e)
{
	struct kvm_regs regs = {.rip = in->rip, .rflags = in->rflags | 2};
	__u64 *const gprs[] = GPRS(&regs);
	int r = set_sregs(c, in);

	for (unsigned i = 0; i < X86_GPRS; i++)
		*gprs[i] = in->gpr[i];
	if (!r && ioctl(c->fd[2], KVM_SET_REGS, &regs))
		r = -errno;
	if (!r)
		r = set_rest(c, in);
	c->halted = in->halted;
	return r ? err_say(e, r, "KVM does not take the state: %s", strerror(-r)) : 0;
}

int kvm_get_state(struct kvm_cpu *c, struct x86_state *out, struct err *e)
{
	struct {
		struct kvm_msrs head;
		struct kvm_msr_entry entry[ARRAY_LEN(msrs)];
	} m = {.head.nmsrs = ARRAY_LEN(msrs)};
	struct kvm_vcpu_events events;
	struct kvm_debugregs debug;
	struct kvm_sregs s;
	struct kvm_regs regs;
	__u64 *const gprs[] = GPRS(&regs);
	const struct kvm_segment *const segs[] = {&s.es, &s.cs, &s.ss, &s.ds, &s.fs, &s.gs};

	for (unsigned i = 0; i < ARRAY_LEN(msrs); i++)
		m.entry[i].index = msrs[i].index;
	if (ioctl(c->fd[2], KVM_GET_REGS, &regs) || ioctl(c->fd[2], KVM_GET_SREGS, &s) ||
	    ioctl(c->fd[2], KVM_GET_MSRS, &m) != ARRAY_LEN(msrs) ||
	    ioctl(c->fd[2], KVM_GET_DEBUGREGS, &debug) ||
	    ioctl(c->fd[2], KVM_GET_VCPU_EVENTS, &events))
		return err_say(e, -errno, "KVM does not tell the state: %s", strerror(errno));
	for (unsigned i = 0; i < X86_GPRS; i++)
		out->gpr[i] = *gprs[i];
	for (unsigned i = 0; i < X86_SREGS; i++)
		out->seg[i] = segment_out(segs[i]);
	for (unsigned i = 0; i < ARRAY_LEN(msrs); i++)
		memcpy((char *)out + msrs[i].offset, &m.entry[i].data, sizeof(uint64_t));
	out->rip = regs.rip;
	out->rflags = regs.rflags;
	out->ldtr = segment_out(&s.ldt);
	out->tr = segment_out(&s.tr);
	out->cr0 = s.cr0;
	out->cr2 = s.cr2;
	out->cr3 = s.cr3;
	out->cr4 = s.cr4;
	out->efer = s.efer;
	memcpy(out->dr, debug.db, sizeof(out->dr));
	out->dr6 = debug.dr6;
	out->dr7 = debug.dr7;
	out->halted = c->halted;
	out->nmi_masked = events.nmi.masked;
	out->nmi_pending = events.nmi.pending;
	out->sti_shadow = events.interrupt.shadow & KVM_X86_SHADOW_INT_STI;
	out->mov_ss_shadow = events.interrupt.shadow & KVM_X86_SHADOW_INT_MOV_SS;
	return 0;
}

/* ---- running ------------------------------------------------------------------------------ */

void kvm_set_interrupt(struct kvm_cpu *c, bool pending)
{
	c->interrupt = pending;
}

void kvm_nmi(struct kvm_cpu *c)
{
	if (!ioctl(c->fd[2], KVM_NMI, 0))
		c->halted = false;
}

static void give_interrupt(struct kvm_cpu *c)
{
	struct kvm_interrupt i;
	int vector = c->platform.ack_interrupt(c->platform.ctx);

	c->interrupt = false;
	if (vector < 0)
		return;
	i.irq = (uint32_t)vector;
	if (!ioctl(c->fd[2], KVM_INTERRUPT, &i))
		c->halted = false;
}

static void do_mmio(const struct kvm_cpu *c)
{
	const struct x86_platform *p = &c->platform;
	uint64_t value = 0;

	if (c->run->mmio.is_write) {
		memcpy(&value, c->run->mmio.data, c->run->mmio.len);
		p->mmio_write(p->ctx, c->run->mmio.phys_addr, c->run->mmio.len, value);
	} else {
		value = p->mmio_read(p->ctx, c->run->mmio.phys_addr, c->run->mmio.len);
		memcpy(c->run->mmio.data, &value, sizeof(value));
	}
}

enum x86_exit kvm_run(struct kvm_cpu *c)
{
	struct kvm_regs regs;

	if (c->halted) {
		if (c->interrupt && !ioctl(c->fd[2], KVM_GET_REGS, &regs) && regs.rflags & 0x200)
			give_interrupt(c);
		if (c->halted)
			return X86_EXIT_HLT;
	}
	for (;;) {
		c->run->request_interrupt_window = c->interrupt;
		c->run->cr8 = c->platform.get_tpr(c->platform.ctx);
		if (ioctl(c->fd[2], KVM_RUN, 0))
			return X86_EXIT_ERROR;
		c->platform.set_tpr(c->platform.ctx, (uint8_t)c->run->cr8);
		switch (c->run->exit_reason) {
		case KVM_EXIT_HLT:
			c->halted = true;
			return X86_EXIT_HLT;
		case KVM_EXIT_IRQ_WINDOW_OPEN:
			give_interrupt(c);
			break;
		case KVM_EXIT_MMIO:
			do_mmio(c);
			break;
		case KVM_EXIT_SET_TPR:
			break;
		case KVM_EXIT_SHUTDOWN:
			return X86_EXIT_SHUTDOWN;
		default: /* an instruction that its emulator does not know */
			return X86_EXIT_ERROR;
		}
	}
}
