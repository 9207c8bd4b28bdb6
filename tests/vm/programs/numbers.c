/* SPDX-License-Identifier: MIT */
/* Floating-point arithmetic in all widths and roundings, printed to the last bit. */
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int roundings[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};
static uint64_t state = 1;

static double any(void)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return ldexp((double)(state >> 11), (int)(state >> 40) % 60 - 80);
}

static void long_doubles(void)
{
	long double sum = 0, product = 1;

	for (int i = 1; i <= 3000; i++) {
		long double x = (long double)any() + 1 / (long double)i;

		sum += sinl(x) + logl(1 + x) - atanl(x) * sqrtl(x);
		product *= 1 + fmodl(x, 0.001L) - expm1l(-x * 1e-6L);
		if (i % 500 == 0)
			printf("%d %La %La %.21Lg %Lf\n", i, sum, product, sum, rintl(sum * 1e3L));
	}
	printf("%La %La %La %La\n", powl(1.1L, 300), cbrtl(2), tgammal(5.5L), j0l(1.5L));
}

static void doubles(void)
{
	double sum = 0;
	float fsum = 0;

	for (int i = 1; i <= 20000; i++) {
		double x = any();
		float f = (float)x;

		sum += sin(x) * cos(x) / (1 + x * x) + hypot(x, i) + cbrt(x) - fma(x, 0.5, i);
		fsum += sinf(f) + sqrtf(f) / (1 + f) - expf(-f) + (float)(int)(f * 3);
		if (i % 4000 == 0)
			printf("%d %a %a %.17g %.9g %lld\n", i, sum, (double)fsum, sum,
			       (double)fsum, (long long)sum);
	}
	printf("%a %a %a %a %a\n", pow(1.0000001, 1e7), lgamma(10.3), erf(0.3), asin(0.7),
	       tanh(0.3));
}

static void directions(void)
{
	volatile double a = 1, b = 3, tiny = 0x1p-1060;
	volatile float c = 16777217.0f, d = 1e-40f;
	volatile long double e = 1, f = 3;

	for (size_t i = 0; i < 4; i++) {
		fesetround(roundings[i]);
		feclearexcept(FE_ALL_EXCEPT);
		printf("%a %a %a %La %ld %ld %a %a", a / b, -a / b, tiny * 0.1, e / f,
		       lrint(a * 2.5), lrint(-a * 2.5), (double)(float)(a / b), (double)(c * d));
		printf(" %x", (unsigned)fetestexcept(FE_ALL_EXCEPT));
		printf(" %.3f %.0f %g %Lg\n", 2.0005, 0.5, 1e23, 1e-4940L);
	}
	fesetround(FE_TONEAREST);
	feclearexcept(FE_ALL_EXCEPT);
	printf("%g %g %g %x\n", a / (b - 3), sqrt(-b), (double)NAN + b,
	       (unsigned)fetestexcept(FE_ALL_EXCEPT));
}

static void text(void)
{
	for (int i = 0; i < 2000; i++) {
		char s[400];
		double x = any(), y;
		long double l = (long double)x / 3, m;

		snprintf(s, sizeof(s), "%.17g", x);
		y = strtod(s, NULL);
		snprintf(s, sizeof(s), "%.21Lg", l);
		m = strtold(s, NULL);
		if (x != y || l != m) {
			printf("%.17g read back as %.17g, %La as %La\n", x, y, l, m);
			exit(1);
		}
		if (i % 200 == 0)
			printf("%.30f %.30Lf %a\n", x, l, strtof(s, NULL));
	}
	printf("%a %a %La %a\n", strtod("4.9e-324", NULL), strtod("1.7976931348623159e308", NULL),
	       strtold("3.6e-4951", NULL), (double)strtof("1.4e-45", NULL));
}

static void integers(void)
{
	uint64_t h = 1469598103934665603ull;
#ifdef __SIZEOF_INT128__
	unsigned __int128 wide = 1;
#else
	uint64_t wide = 1;
#endif

	for (int64_t i = 1; i <= 100000; i++) {
		int64_t v = (int64_t)(any() * 1e9);

		wide = wide * 0x9e3779b97f4a7c15ull + (uint64_t)v;
		h ^= (uint64_t)(v / i) ^ (uint64_t)(v % (i | 1)) << 7 ^
		     (uint64_t)(wide / (uint64_t)i);
		h = (h << 13 | h >> 51) * 5 + (uint32_t)__builtin_popcountll(h) +
		    (uint32_t)__builtin_ctzll(h | 1ull << 63);
	}
	printf("%016llx %016llx\n", (unsigned long long)h, (unsigned long long)(wide >> 32));
}

int main(void)
{
	long_doubles();
	doubles();
	directions();
	text();
	integers();
	return 0;
}
