/* SPDX-License-Identifier: MIT */
/* KVM behind the door of x86/x86.h, as far as tests of the CPU need it: one CPU, no devices. */
#ifndef TESTS_KVM_H
#define TESTS_KVM_H

#include "x86/x86.h"

struct kvm_cpu;

/* Whether there is a KVM that we may use. */
bool kvm_answers(void);

/**
 * kvm_create() - a CPU on RAM that begins at guest-physical 0
 * @platform: as for x86_create(); ranges, MSRs, clock and random numbers are KVM's own here
 *
 * Return: the CPU; NULL, with @e.
 */
MUST_CHECK struct kvm_cpu *kvm_create(const struct x86_platform *platform, struct err *e);
void kvm_destroy(struct kvm_cpu *cpu);

/* Until it halts or shuts down; X86_EXIT_ERROR when KVM itself does not know how to go on. */
enum x86_exit kvm_run(struct kvm_cpu *cpu);

/* The state but for the x87, SSE, MTRRs and the clock. Every translation is dropped. */
MUST_CHECK int kvm_set_state(struct kvm_cpu *cpu, const struct x86_state *in, struct err *e);
MUST_CHECK int kvm_get_state(struct kvm_cpu *cpu, struct x86_state *out, struct err *e);

/* Ask platform->ack_interrupt for a vector when the guest takes interrupts again. */
void kvm_set_interrupt(struct kvm_cpu *cpu, bool pending);
void kvm_nmi(struct kvm_cpu *cpu);

#endif
