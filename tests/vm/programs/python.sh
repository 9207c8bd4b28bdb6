# SPDX-License-Identifier: MIT
python3 "$HERE/python.py" test_json test_decimal test_math test_struct test_zlib test_threading \
	test_float test_cmath test_long test_fractions test_statistics test_hashlib
