# SPDX-License-Identifier: MIT
# 32-bit programs: both ways into the kernel, and the C library's numbers on the x87.
gcc -m32 -static -O2 -o bits32 "$HERE/bits32.c" -lm -lpthread
./bits32
gcc -m32 -static -O2 -frounding-math -o numbers "$HERE/numbers.c" -lm
./numbers
gcc -m32 -static -O2 -msse2 -mfpmath=sse -o numbers "$HERE/numbers.c" -lm
./numbers
