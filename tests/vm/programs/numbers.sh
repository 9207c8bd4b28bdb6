# SPDX-License-Identifier: MIT
# Numbers: x87 and SSE through the C library, awk's doubles, bc's own arithmetic.
for level in -O0 "-O2" "-O2 -mfpmath=387" "-O3 -ffast-math"; do
	echo "gcc $level"
	gcc $level -frounding-math -o numbers "$HERE/numbers.c" -lm
	./numbers
done
gawk 'BEGIN {
	for (i = 1; i <= 200000; i++) {
		x = sin(i) * exp(i % 50 / 7) + log(i) / sqrt(i) - atan2(i, 3) + cos(i) ^ 3
		sum += x
		n = (n * 69069 + int(x * 1000) % 1000 + 4096) % 4294967296
		if (i % 20000 == 0)
			printf "%d %.17g %.17g %d %s\n", i, x, sum, n, x
	}
}'
echo 'scale=300; 4*a(1); e(1); l(2); s(1); sqrt(2); 2^4000 % 1000000007' | BC_LINE_LENGTH=0 bc -l
awk 'BEGIN { for (i = 0; i < 100000; i++) s += i * 0.1; printf "%.17g %x %e\n", s, i * 4096, s }'
