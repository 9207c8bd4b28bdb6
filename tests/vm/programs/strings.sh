# SPDX-License-Identifier: MIT
# The C library's string functions, in each of the versions that it has for this level of CPU.
gcc -O2 -fno-builtin -o strings "$HERE/strings.c"
less=$GLIBC_TUNABLES
for without in "" ,-SSE4_2 ,-SSE4_2,-SSE4_1 ,-SSE4_2,-SSE4_1,-SSSE3 \
	,-SSE4_2,-SSE4_1,-SSSE3,-ERMS ,Prefer_No_AVX512_Probing,-Fast_Unaligned_Copy; do
	echo "hwcaps: $without"
	GLIBC_TUNABLES=$less$without ./strings
done
GLIBC_TUNABLES=$less:glibc.cpu.x86_rep_movsb_threshold=256 ./strings
