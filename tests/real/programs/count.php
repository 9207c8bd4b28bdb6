<?php // SPDX-License-Identifier: MIT
for ($n = 0;; $n++) {
	$garbage = range(1, 10000);
	echo $n, "\n";
	usleep(20000);
}
