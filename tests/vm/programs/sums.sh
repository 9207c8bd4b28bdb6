# SPDX-License-Identifier: MIT
# Sums and compressions of large files: one of text, one that no one can compress.
seq 1 2500000 >text
openssl enc -aes-128-ctr -K 00112233445566778899aabbccddeeff -iv 0 -in /dev/zero 2>/dev/null |
	head -c 12000000 >noise
for sum in sha256sum sha512sum md5sum b2sum; do
	$sum text noise
done
for file in text noise; do
	zstd -q -3 -c $file >$file.zst
	gzip -n -1 -c $file >$file.gz
	sha256sum $file.zst $file.gz
	zstd -q -d -c $file.zst | cmp - $file
	gzip -d -c $file.gz | cmp - $file
done
head -c 1500000 text >part
zstd -q -15 -c part >part.zst
xz -T1 -2 -c part >part.xz
sha256sum part.zst part.xz
zstd -q -d -c part.zst | cmp - part
xz -d -c part.xz | cmp - part
sort -r part | sha256sum
