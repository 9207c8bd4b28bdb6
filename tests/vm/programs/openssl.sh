# SPDX-License-Identifier: MIT
# Every digest and every cipher of the library, along each path that it picks by CPUID: as the
# CPU says; without SHA; without AES-NI and PCLMULQDQ; without SSSE3; with none of them.
seq 1 40000 >data
key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f
iv=f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff

for mask in : "~0x0:~0x20000000" "~0x200000200000000" "~0x20000000000" \
	"~0x200020200000000:~0x20000000"; do
	echo "OPENSSL_ia32cap=$mask"
	if [ "$mask" = : ]; then unset OPENSSL_ia32cap; else export OPENSSL_ia32cap=$mask; fi
	for digest in $(openssl list -digest-commands); do
		openssl dgst "-$digest" data || echo "$digest: not here"
	done
	for cipher in $(openssl list -cipher-commands); do
		openssl enc "-$cipher" -K $key -iv $iv -in data -out sealed 2>/dev/null || continue
		echo "$cipher $(sha256sum <sealed)"
		openssl enc "-$cipher" -d -K $key -iv $iv -in sealed 2>/dev/null | cmp - data
	done
	echo "hmac $(openssl dgst -sha256 -hmac key <data) $(openssl dgst -sha512 -hmac key <data)"
done
unset OPENSSL_ia32cap

# Keys are random, what they say to each other is not.
openssl genrsa -out rsa 2048 2>/dev/null
openssl rsa -in rsa -pubout -out rsa.pub 2>/dev/null
openssl dgst -sha256 -sign rsa -out signature data
openssl dgst -sha256 -verify rsa.pub -signature signature data
for curve in prime256v1 secp384r1; do
	openssl ecparam -name $curve -genkey -noout -out ec
	openssl ec -in ec -pubout -out ec.pub 2>/dev/null
	openssl dgst -sha256 -sign ec -out signature data
	openssl dgst -sha256 -verify ec.pub -signature signature data
done
openssl genpkey -algorithm x25519 -out a
openssl genpkey -algorithm x25519 -out b
openssl pkey -in a -pubout -out a.pub
openssl pkey -in b -pubout -out b.pub
openssl pkeyutl -derive -inkey a -peerkey b.pub -out ab
openssl pkeyutl -derive -inkey b -peerkey a.pub -out ba
cmp ab ba && echo "agreed"
openssl prime 170141183460469231731687303715884105727
openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt pass:word -kdfopt salt:salt \
	-kdfopt iter:20000 PBKDF2
