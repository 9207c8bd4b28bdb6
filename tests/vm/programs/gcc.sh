# SPDX-License-Identifier: MIT
# The compiler's output, byte for byte, and what the programs say.
gawk 'BEGIN {
	n = 7
	print "#include <stdio.h>\n#include <stdint.h>"
	for (i = 0; i < 40; i++) {
		n = (n * 69069 + 1) % 4294967296
		printf "static uint64_t f%d(uint64_t a, uint64_t b)\n{\n", i
		printf "\tdouble x = (double)(a %% 1000) * %.3f;\n", n / 1e6
		printf "\tfor (int i = 0; i < %d; i++) {\n", n % 37 + 3
		printf "\t\ta = (a << %d | a >> %d) ^ (b * 0x%xull) %s (a / (b %% %d + 1));\n",
			n % 31 + 1, 63 - n % 31, n, n % 2 ? "+" : "-", n % 1000 + 2
		printf "\t\tif (a & %d) b += a; else x = x / 1.5 + (double)(b & 255);\n", n % 255 + 1
		printf "\t}\n\treturn a + b * (uint64_t)x%s;\n}\n", i ? " + f" i - 1 "(b, a >> 1)" : ""
	}
	print "int main(void)\n{\n\tuint64_t s = 1;\n\tfor (int i = 0; i < 50; i++)"
	print "\t\ts = f39(s, (uint64_t)i);\n\tprintf(\"%016llx\\n\", (unsigned long long)s);\n}"
}' >many.c
sha256sum many.c
for level in -O0 "-O2 -g" "-O3 -march=x86-64-v2" "-Os -m32"; do
	gcc -c $level -o many.o many.c
	gcc $level -o many many.c
	sha256sum many.o many
	./many
done
for file in numbers bits32; do
	gcc -O2 -S -o - "$HERE/$file.c" | sha256sum
done
gcc -O2 -static -o strings "$HERE/strings.c"
sha256sum strings
