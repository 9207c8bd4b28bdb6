/* SPDX-License-Identifier: MIT */
/*
 * What CPUID answers at level v2.
 *
 * The CPU says it is an Intel Atom of the first kind (family 6, model 0x1c): in order, without
 * speculation, which is what we are. Kernels know that such a CPU needs no mitigation of
 * speculative attacks, and all of those would only be instructions to interpret.
 *
 * ERMS and FSRM are true with a vengeance: REP MOVSB is the host's memmove.
 */
#include "x86/x86-int.h"

#define BIT(n) (1u << (n))

static const uint32_t l1_ecx =
	BIT(0) /* SSE3 */ | BIT(1) /* PCLMULQDQ */ | BIT(9) /* SSSE3 */ | BIT(13) /* CMPXCHG16B */ |
	BIT(17) /* PCID */ | BIT(19) /* SSE4.1 */ | BIT(20) /* SSE4.2 */ | BIT(21) /* x2APIC */ |
	BIT(22) /* MOVBE */ | BIT(23) /* POPCNT */ | BIT(24) /* TSC deadline */ |
	BIT(25) /* AES */ | BIT(26) /* XSAVE */ | BIT(30) /* RDRAND */ | BIT(31) /* hypervisor */;
static const uint32_t l1_edx =
	BIT(0) /* FPU */ | BIT(2) /* DE */ | BIT(3) /* PSE */ | BIT(4) /* TSC */ |
	BIT(5) /* MSR */ | BIT(6) /* PAE */ | BIT(8) /* CMPXCHG8B */ | BIT(9) /* APIC */ |
	BIT(11) /* SYSENTER */ | BIT(12) /* MTRR */ | BIT(13) /* PGE */ | BIT(15) /* CMOV */ |
	BIT(16) /* PAT */ | BIT(17) /* PSE-36 */ | BIT(19) /* CLFLUSH */ | BIT(23) /* MMX */ |
	BIT(24) /* FXSR */ | BIT(25) /* SSE */ | BIT(26) /* SSE2 */ | BIT(27) /* self snoop */;
static const uint32_t l7_ebx =
	BIT(0) /* FSGSBASE */ | BIT(1) /* TSC_ADJUST */ | BIT(6) /* FDP_EXCPTN_ONLY */ |
	BIT(7) /* SMEP */ | BIT(9) /* ERMS */ | BIT(10) /* INVPCID */ | BIT(13) /* no FCS, FDS */ |
	BIT(18) /* RDSEED */ | BIT(20) /* SMAP */ | BIT(23) /* CLFLUSHOPT */ | BIT(24) /* CLWB */ |
	BIT(29) /* SHA */;
static const uint32_t l7_ecx = BIT(2) /* UMIP */ | BIT(22) /* RDPID */;
static const uint32_t l7_edx = BIT(4) /* FSRM */;
static const uint32_t ext1_ecx = BIT(0) /* LAHF in 64-bit code */ | BIT(8) /* PREFETCHW */;
static const uint32_t ext1_edx = BIT(11) /* SYSCALL */ | BIT(20) /* NX */ |
                                 BIT(26) /* 1 GiB pages */ | BIT(27) /* RDTSCP */ |
                                 BIT(29) /* long mode */;

#define OSXSAVE BIT(27)
#define XCR0_KNOWN 3u
#define XSAVE_BYTES 576u
#define LEAF_MAX 0x16u
#define HYPERVISOR_MAX 0x40000010u
#define EXTENDED_MAX 0x80000008u

static struct x86_cpuid text_leaf(uint32_t eax, const char text[12])
{
	struct x86_cpuid r = {.eax = eax};

	memcpy(&r.ebx, text, 4);
	memcpy(&r.ecx, text + 4, 4);
	memcpy(&r.edx, text + 8, 4);
	return r;
}

/* Leaf 4: one cache a subleaf: type, level, ways, sets of 64-byte lines. */
static struct x86_cpuid cache_leaf(uint32_t subleaf)
{
	static const struct {
		uint8_t type, level;
		uint16_t ways, sets;
	} caches[] = {{1, 1, 8, 64}, {2, 1, 8, 64}, {3, 2, 16, 1024}, {3, 3, 16, 16384}};
	struct x86_cpuid r = {0};

	if (subleaf < ARRAY_LEN(caches)) {
		r.eax = caches[subleaf].type | (uint32_t)caches[subleaf].level << 5 | BIT(8);
		r.ebx = 63u | (uint32_t)(caches[subleaf].ways - 1) << 22;
		r.ecx = caches[subleaf].sets - 1u;
	}
	return r;
}

static struct x86_cpuid xsave_leaf(uint32_t subleaf)
{
	if (subleaf == 0)
		return (struct x86_cpuid){XCR0_KNOWN, XSAVE_BYTES, XSAVE_BYTES, 0};
	if (subleaf == 1)
		return (struct x86_cpuid){.eax = BIT(0)}; /* XSAVEOPT */
	return (struct x86_cpuid){0};
}

static struct x86_cpuid brand_leaf(uint32_t leaf)
{
	static const char brand[48] = "wslx software CPU, level x86-64-v2";
	struct x86_cpuid r;

	memcpy(&r, brand + (leaf - 0x80000002u) * 16, 16);
	return r;
}

struct x86_cpuid x86_cpuid(const struct x86_config *config, uint32_t leaf, uint32_t subleaf,
                           uint64_t cr4, uint64_t xcr0)
{
	uint32_t mhz = (uint32_t)(config->tsc_hz / 1000000);
	uint32_t apic_id = config->apic_id;

	/* As Intel does: what is above the last leaf answers like the last basic one. */
	if (leaf - 0x40000000u > HYPERVISOR_MAX - 0x40000000u && leaf > LEAF_MAX &&
	    leaf - 0x80000000u > EXTENDED_MAX - 0x80000000u)
		leaf = LEAF_MAX;
	switch (leaf) {
	case 0:
		return text_leaf(LEAF_MAX, "GenuntelineI");
	case 1:
		return (struct x86_cpuid){0x000106ca, apic_id << 24 | 1u << 16 | 8u << 8,
		                          l1_ecx | (cr4 & CR4_OSXSAVE ? OSXSAVE : 0), l1_edx};
	case 2:
		return (struct x86_cpuid){.eax = 0xff01}; /* see leaf 4 */
	case 4:
		return cache_leaf(subleaf);
	case 6:
		return (struct x86_cpuid){.eax = BIT(2)}; /* the APIC timer always runs */
	case 7:
		if (subleaf == 0)
			return (struct x86_cpuid){0, l7_ebx, l7_ecx, l7_edx};
		return (struct x86_cpuid){0};
	case 0xb:
		/* One thread, one core. */
		return (struct x86_cpuid){0, subleaf < 2,
		                          subleaf | (subleaf < 2 ? subleaf + 1 : 0) << 8, apic_id};
	case 0xd:
		return xsave_leaf(subleaf);
	case 0x15: /* the crystal, which is also the APIC timer's clock, is the TSC */
		return (struct x86_cpuid){1, 1, (uint32_t)config->tsc_hz, 0};
	case 0x16:
		return (struct x86_cpuid){mhz, mhz, 100, 0};
	case 0x40000000:
		return text_leaf(HYPERVISOR_MAX, "wslxwslxwslx");
	case HYPERVISOR_MAX:
		return (struct x86_cpuid){.eax = (uint32_t)(config->tsc_hz / 1000),
		                          .ebx = (uint32_t)(config->tsc_hz / 1000)};
	case 0x80000000:
		return (struct x86_cpuid){.eax = EXTENDED_MAX};
	case 0x80000001:
		return (struct x86_cpuid){.ecx = ext1_ecx, .edx = ext1_edx};
	case 0x80000002:
	case 0x80000003:
	case 0x80000004:
		return brand_leaf(leaf);
	case 0x80000006:
		return (struct x86_cpuid){.ecx = 1024u << 16 | 8u << 12 | 64}; /* L2 */
	case 0x80000007:
		return (struct x86_cpuid){.edx = BIT(8)}; /* the TSC never stops */
	case 0x80000008:
		return (struct x86_cpuid){.eax = 40 | 48 << 8};
	default:
		(void)xcr0;
		return (struct x86_cpuid){0};
	}
}
